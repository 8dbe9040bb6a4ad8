"""What happens to trainings: killed, preempted, given damaged shards, diverging.

pytest tests/speech2face/training/test_survival.py --n_kills=20
"""

import dataclasses
import json
import signal
import socket
import time

import keras
import numpy as np
import pytest

from speech2face.artifacts import checkpoints
from speech2face.data import damaged_shards, dataset_info, records
from speech2face.training import summaries
from tests.helpers import small_training
from tests.helpers.batches import batches, clip_ids
from tests.helpers.records import DIM, write_voice_dataset
from tests.helpers.tiny_models import final_values

TRAINING = "tests.helpers.small_training"


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("survival") / "voices"
    write_voice_dataset(folder, n=14, n_shards=3)
    return folder


@pytest.fixture(scope="module")
def whole_run(voices):
    assert small_training.train(voices, voices.parent / "whole") == 140
    return voices.parent / "whole"


@pytest.mark.slow
def test_killed_at_random_moments_it_ends_with_the_same_weights(
    voices, whole_run, tmp_path, pytestconfig, fork_server
):
    n_kills = pytestconfig.getoption("n_kills")
    paths = [str(voices), str(tmp_path / "run")]
    process = fork_server.start(TRAINING, *paths, "none", str(n_kills))
    assert process.wait(120 + 60 * n_kills) == 0, process.stderr[-3000:]
    assert_same_values(tmp_path / "run", whole_run, atol=0)
    assert losses_of(tmp_path / "run") == losses_of(whole_run)


def losses_of(run_dir):
    return [(entry["step"], entry["total"]) for entry in summaries.read_log(run_dir)]


def assert_same_values(run_dir, other, atol):
    one, two = final_values(run_dir), final_values(other)
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], rtol=0, atol=atol, err_msg=name)


def start_workers(fork_server, voices, run_dir):
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        hosts = [f"127.0.0.1:{s.getsockname()[1]}" for s in (one, two)]
    return [
        fork_server.start(
            TRAINING,
            str(voices),
            str(run_dir),
            "multi_worker",
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": hosts},
                    "task": {"type": "worker", "index": index},
                }
            ),
        )
        for index in (0, 1)
    ]


def wait_for_iteration(workers, run_dir, step):
    while not any(entry["step"] >= step for entry in summaries.read_log(run_dir)):
        for worker in workers:
            assert worker.poll() is None, worker.stderr[-3000:]
        time.sleep(0.05)


@pytest.mark.rehearsal
def test_two_processes_are_one_training_whatever_happens_to_one(
    voices, tmp_path, fork_server
):
    """Each reads its own part of the records."""
    run_dir = tmp_path / "run"
    workers = start_workers(fork_server, voices, run_dir)
    wait_for_iteration(workers, run_dir, 9)
    workers[1].kill()
    workers[1].wait()
    # The other one notices within a minute; a cluster's manager does not wait, either.
    workers[0].kill()
    workers[0].wait()
    assert checkpoints.list_checkpoints(run_dir)

    workers = start_workers(fork_server, voices, run_dir)
    wait_for_iteration(workers, run_dir, 40)
    workers[1].send_signal(signal.SIGTERM)  # preempted: both stop and save
    for worker in workers:
        assert worker.wait() == 0, worker.stderr[-3000:]
    stopped = int(checkpoints.list_checkpoints(run_dir)[-1].split("-")[-1])
    assert 40 <= stopped < 140

    # A host is lost: one process goes on, and takes what both would have taken.
    loop = dataclasses.replace(
        small_training.LOOP, strategy="mirrored", n_readers=small_training.N_WORKERS
    )
    assert small_training.train(voices, run_dir, loop) == 140
    small_training.train(voices, tmp_path / "single", loop)
    # Sums of two halves are rounded otherwise than one sum, which 140 steps amplify
    # to some 4e-5; a step more or less moves the weights by 1e-3.
    assert_same_values(run_dir, tmp_path / "single", atol=5e-4)


@pytest.mark.slow
def test_a_loss_that_is_not_finite_names_its_clips_and_keeps_their_batch(tmp_path):
    voices = tmp_path / "voices"
    examples, info = write_voice_dataset(voices, n=14, n_shards=1)
    keras.utils.set_random_seed(0)  # as the training does
    clip = clip_ids(batches((voices, info)))[9].decode()  # in the third batch
    number = int(clip[len("clip") :])
    bad = np.where(np.arange(DIM) == 2, np.nan, examples[number].face_feature)
    examples[number] = dataclasses.replace(examples[number], face_feature=bad)
    serialized = [records.encode_voice_example(example) for example in examples]
    info = dataclasses.replace(
        info, splits={"train": records.write_shards(voices, "train", serialized, 1)}
    )
    dataset_info.write(voices, info)
    loop = dataclasses.replace(
        small_training.LOOP, save_every=2, steps_per_call=4, epochs=3.0
    )
    with pytest.raises(ValueError, match=f"iteration 3 is not finite.* {clip}\\b"):
        small_training.train(voices, tmp_path / "run", loop)
    batch = np.load(tmp_path / "run/not_finite/iteration_3.npz")
    assert clip in batch["clip_id"] and np.isnan(batch["face_feature"]).sum() == 1
    assert batch["waveform"].shape == (4, 400) and np.isnan(batch["loss/total"])
    saved = checkpoints.list_checkpoints(tmp_path / "run")
    assert len(saved) == 1 and saved[0].endswith("ckpt-2")  # the last good one
    assert all(np.isfinite(v).all() for v in final_values(tmp_path / "run").values())


def damage_shard(folder, shard, after_records):
    info = dataset_info.read(folder)
    path = folder / info.shards("train")[shard].name
    content = bytearray(path.read_bytes())
    size = len(content) // info.shards("train")[shard].n_examples
    content[size * after_records + size // 2] ^= 0xFF
    path.write_bytes(bytes(content))
    return path


def test_skipping_damage_moves_no_other_example(tmp_path):
    write_voice_dataset(tmp_path / "voices", n=20, n_shards=4)
    info = dataset_info.read(tmp_path / "voices")
    whole = clip_ids(batches((tmp_path / "voices", info)))
    paths = {
        str(damage_shard(tmp_path / "voices", 1, 2)): 3,  # of 5 records
        str(damage_shard(tmp_path / "voices", 3, 0)): 5,
    }
    (tmp_path / "voices" / info.shards("train")[0].name).unlink()
    paths[str(tmp_path / "voices" / info.shards("train")[0].name)] = 5
    lost = {f"clip{i}".encode() for i in (0, 1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 18, 19)}
    for first_step in (0, 7):
        damage = damaged_shards.Damage(skip=True)
        parts = batches((tmp_path / "voices", info), first_step, damage=damage)
        found = clip_ids(parts)
        expected = whole[4 * first_step :]
        assert len(found) == len(expected)
        for one, two in zip(found, expected):
            assert one not in lost and (one == two or two in lost)
    assert set(damage.n_replaced) == set(paths)
    n = sum(clip in lost for clip in whole[28:])
    assert sum(damage.n_replaced.values()) >= n  # and what was read to resume
    assert "skipped" in damage.summary() and next(iter(paths)) in damage.summary()


@pytest.mark.slow
def test_a_training_goes_on_over_a_damaged_shard_if_told_so(tmp_path, caplog):
    voices = tmp_path / "voices"
    write_voice_dataset(voices, n=14, n_shards=3)
    path = damage_shard(voices, 1, 2)
    loop = dataclasses.replace(small_training.LOOP, epochs=3.0)
    with pytest.raises(ValueError, match=f"{path.name}: record 2 is corrupt"):
        small_training.train(voices, tmp_path / "run", loop)
    loop = dataclasses.replace(loop, skip_corrupt=True)
    assert small_training.train(voices, tmp_path / "run", loop) == 10
    assert "damaged records and took others" in caplog.text and path.name in caplog.text


@pytest.mark.slow
def test_a_whole_record_with_half_a_sample_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(records, "_encode_audio", lambda *_: b"123")
    write_voice_dataset(tmp_path / "voices", n=14, n_shards=1)
    with pytest.raises(ValueError, match=r"00001.tfrecord: record 0 is damaged"):
        small_training.train(tmp_path / "voices", tmp_path / "run", small_training.LOOP)
