"""Run folders: whose they are, which data they resume on, and foreign files in them."""

import itertools
import os
import pathlib
import shutil

import keras
import numpy as np
import pytest

from speech2face.artifacts import checkpoints, run_folder
from speech2face.config import (
    DecoderTrainingConfig,
    LoopConfig,
    VoiceTrainingConfig,
)
from speech2face.data import dataset_info
from speech2face.errors import UserError
from tests.helpers.records import write_voice_dataset

CONFIG = VoiceTrainingConfig()


@pytest.fixture
def data_dir(tmp_path):
    write_voice_dataset(tmp_path / "voices", n=6, n_shards=2)
    return tmp_path / "voices"


def prepare(run_dir, data_dir, config=CONFIG):
    info = dataset_info.read(data_dir)
    run_folder.prepare_run(run_dir, config, data_dir, {"data_set": info.checksum})


def replace_shard(data_dir):
    """Another valid shard under the same name; its records have other speech."""
    other = data_dir.parent / "other"
    write_voice_dataset(other, n=12, n_shards=4)
    name = "train-00001-of-00002.tfrecord"
    shutil.copy(other / "train-00003-of-00004.tfrecord", data_dir / name)
    return data_dir / name


def test_a_shard_of_another_size_is_refused_at_the_start(data_dir):
    path = replace_shard(data_dir)
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(
        UserError, match=r"train-00001.* bytes, dataset\.json says"
    ) as error:
        dataset_info.read(data_dir)
    assert error.value.reason == "changed_shard"


def test_a_shard_of_other_content_is_found_by_reading_it(data_dir):
    path = data_dir / "train-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    info = dataset_info.read(data_dir)  # its size is right
    with pytest.raises(UserError, match=r"train-00001.*has another content"):
        dataset_info.check_content(data_dir, info)


def test_a_run_is_not_resumed_on_changed_data(data_dir, tmp_path):
    prepare(tmp_path / "run", data_dir)
    path = data_dir / "train-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"cannot be resumed on changed data: .*00001"):
        prepare(tmp_path / "run", data_dir)
    content[100] ^= 1
    path.write_bytes(content)  # as it was, at another time
    prepare(tmp_path / "run", data_dir)


def test_only_shards_that_have_changed_are_read(data_dir, tmp_path, monkeypatch):
    read = []
    sha256 = dataset_info.files.sha256
    monkeypatch.setattr(
        dataset_info.files, "sha256", lambda p: (read.append(p.name), sha256(p))[1]
    )
    prepare(tmp_path / "run", data_dir)
    prepare(tmp_path / "run", data_dir)
    assert read == []
    os.utime(data_dir / "train-00000-of-00002.tfrecord")
    prepare(tmp_path / "run", data_dir)
    assert read == ["train-00000-of-00002.tfrecord"]


def test_moved_data_are_the_same_and_the_new_place_is_kept(data_dir, tmp_path):
    prepare(tmp_path / "run", data_dir)
    moved = tmp_path / "elsewhere" / "voices"
    moved.parent.mkdir()
    data_dir.rename(moved)
    with pytest.raises(FileNotFoundError, match="where no data set is now; give"):
        run_folder.data_dir_of(tmp_path / "run")
    prepare(tmp_path / "run", moved)
    assert run_folder.data_dir_of(tmp_path / "run") == str(moved)


@pytest.mark.parametrize("name, content", [("thesis.txt", "x"), ("run.json", "[1, 2]")])
def test_a_folder_of_the_user_is_refused_and_the_file_named(
    data_dir, tmp_path, name, content
):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / name).write_text(content)
    with pytest.raises(UserError, match=name):
        prepare(tmp_path / "mine", data_dir)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [name]
    assert (tmp_path / "mine" / name).read_text() == content


def test_leftovers_of_a_killed_training_are_swept(data_dir, tmp_path):
    prepare(tmp_path / "run", data_dir)
    (tmp_path / "run" / "summaries").mkdir()
    left = tmp_path / "run" / "summaries" / ".log.jsonl.4194304.tmp"  # no such process
    left.write_text("half")
    prepare(tmp_path / "run", data_dir)
    assert not left.exists()


FOREIGN = [
    "ckpt-9 (copy).index", "ckpt-best.index", "ckpt-best.data-00000-of-00001",
    "ckpt-007.index", "ckpt-.index", "ckpt-1e3.index", "ckpt-٣.index", "ckpt-old_temp",
    "ckpt-99999999999999999999999.index",
]  # fmt: skip


def test_foreign_files_beside_checkpoints_are_left_alone(tmp_path):
    folder = tmp_path / checkpoints.CHECKPOINT_DIR
    folder.mkdir()
    for name in FOREIGN:
        (folder / name).write_text("mine")
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    checkpointer = checkpoints.Checkpointer(tmp_path, model, optimizer, keep=1)
    assert checkpointer.restore_latest() == 0
    for step in (1, 2):
        model.layers[0].kernel.assign(np.full([2, 1], step))
        checkpointer.save(step)
    assert checkpointer.restore_latest() == 2
    assert [pathlib.Path(p).name for p in checkpoints.list_checkpoints(tmp_path)] == [
        "ckpt-2"
    ]
    assert checkpoints.newest_step(tmp_path) == 2
    for name in FOREIGN:
        assert (folder / name).read_text() == "mine"


def test_damage_may_be_skipped_when_a_run_is_resumed(data_dir, tmp_path):
    config = VoiceTrainingConfig(loop=LoopConfig(skip_corrupt=True))
    prepare(tmp_path / "run", data_dir, config)
    path = data_dir / "train-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(content)
    prepare(tmp_path / "run", data_dir, config)


def test_a_run_of_the_other_network_is_named(data_dir, tmp_path):
    commands = {
        VoiceTrainingConfig: "speech2face.train",
        DecoderTrainingConfig: "speech2face.train_face_decoder",
    }
    for kind, command in commands.items():
        prepare(tmp_path / command, data_dir, kind())
    for wrong, right in itertools.permutations(commands):
        run_dir = tmp_path / commands[wrong]
        message = f"is a run of {commands[wrong]}; expected one of {commands[right]}$"
        with pytest.raises(UserError, match=message):
            run_folder.read_config(run_dir, right)
        assert run_folder.read_config(run_dir, wrong) == wrong()
