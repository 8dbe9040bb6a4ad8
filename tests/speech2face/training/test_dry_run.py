"""The dry run: what it promises is what the training then takes; it leaves no trace."""

import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face import system
from speech2face import train as train_command
from speech2face.artifacts import checkpoints, environment
from speech2face.config import LoopConfig
from speech2face.data import dataset_info, records
from speech2face.training import cost, dry_run, precision, trainer
from tests.helpers.records import DIM, write_voice_dataset
from tests.helpers.tiny_models import make_decoder, tiny_config, train


def plan(folders, run_dir, config=None, data="voices"):
    return dry_run.plan_voice_training(
        config or tiny_config(), folders / data, folders / "decoder", run_dir
    )


@pytest.mark.rehearsal
def test_the_plan_is_what_the_training_does(folders, tmp_path):
    run_dir = tmp_path / "run"
    before = plan(folders, run_dir)
    assert not run_dir.exists()
    assert (before.first_step, before.n_steps) == (0, 13)
    assert train(folders, run_dir, tiny_config(epochs=0.7, validate_every=0)) == 4
    files_before = sorted(run_dir.rglob("*"))
    after = plan(folders, run_dir)
    assert (after.first_step, after.n_steps) == (4, 13)
    assert sorted(run_dir.rglob("*")) == files_before
    newest = sorted((run_dir / "checkpoints").glob("ckpt-4.*"))
    size = sum(path.stat().st_size for path in newest)
    # The same values, and beside them the names by which they are found.
    assert 0.5 < (tiny_config().loop.keep_checkpoints + 1) * size / after.disk_bytes < 2
    assert "resumes at 4" in str(after) and "13 examples in 3 shards" in str(after)
    with pytest.raises(ValueError, match="other options"):
        plan(folders, run_dir, tiny_config(seed=1))


@pytest.mark.parametrize(
    ("flags", "fastest"),
    [
        ("fma avx2", "float32"),
        ("avx2 avx512f", "float32"),
        ("avx512f avx512_bf16", "mixed_bfloat16"),
        ("avx512f amx_bf16", "mixed_bfloat16"),
    ],
)
def test_the_plan_says_which_precision_is_faster(tmp_path, monkeypatch, flags, fastest):
    cpu_info = tmp_path / "cpuinfo"
    cpu_info.write_text(f"flags : {flags}\n")
    is_fast = system.has_fast_bfloat16(str(cpu_info))
    for module in (dry_run, precision):
        monkeypatch.setattr(module, "has_fast_bfloat16", lambda: is_fast)
    advice = {
        "mixed_bfloat16": "mixed_bfloat16 is faster than float32 here",
        "float32": "bfloat16 would be emulated here, slower than float32",
    }
    text = dry_run._precision_text("mixed_float16")
    assert text == f"mixed_float16; {advice[fastest]}"
    assert precision.dtype_policy("auto") == fastest


@pytest.mark.slow
def test_the_command_prints_the_plan_and_trains_nothing(
    folders,
    tmp_path,
    capsys,
):
    paths = train_command.TrainPaths(
        data_dir=str(folders / "voices"),
        decoder_dir=str(folders / "decoder"),
        run_dir=str(tmp_path / "run"),
        dry_run=True,
    )
    train_command.main(paths, tiny_config())
    lines = capsys.readouterr().out.splitlines()
    subjects = [
        "training set",
        "iterations",
        "network",
        "precision",
        "memory",
        "disk",
        "time",
    ]
    assert [
        s for s in subjects if any(line.startswith(s) for line in lines)
    ] == subjects
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_what_would_stop_the_training_is_said(folders, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="is not a data set"):
        plan(folders, tmp_path / "run", data="nowhere")
    with pytest.raises(ValueError, match="less than one batch"):
        plan(folders, tmp_path / "run", tiny_config(batch_size=64))
    usage = types.SimpleNamespace(free=1000)
    with monkeypatch.context() as patch:
        patch.setattr(dry_run.shutil, "disk_usage", lambda _: usage)
        with pytest.raises(ValueError, match=r"checkpoints take .* free some space"):
            plan(folders, tmp_path / "run")
    monkeypatch.setattr(environment, "available_memory_bytes", lambda: 10**8)
    with pytest.raises(
        ValueError, match=r"0.1 GB are available: raise --accumulate_steps"
    ):
        plan(folders, tmp_path / "run")


def test_a_first_batch_that_cannot_be_learned_from(folders, tmp_path):
    examples, info = write_voice_dataset(tmp_path / "voices", n=5)
    for example in examples:
        example.face_feature[0] = np.nan
    serialized = list(map(records.encode_voice_example, examples))
    shards = {
        "train": records.write_shards(tmp_path / "voices", "train", serialized, 1)
    }
    dataset_info.write(tmp_path / "voices", dataclasses.replace(info, splits=shards))
    with pytest.raises(ValueError, match=r"first example is not finite: .*total nan"):
        dry_run.plan_voice_training(
            tiny_config(),
            tmp_path / "voices",
            folders / "decoder",
            tmp_path / "run",
        )


class TwoLayers(trainer.Trainer):
    """4 -> 5 (ReLU) -> 3; the loss is the sum of squares."""

    def __init__(self):
        layers = [keras.layers.Dense(5, activation="relu"), keras.layers.Dense(3)]
        model = keras.Sequential([keras.Input([4]), *layers])
        super().__init__(model, keras.optimizers.Adam(), LoopConfig(batch_size=2))

    def losses(self, batch, training):
        outputs = self.model(batch["x"], training=training)
        return {"total": tf.reduce_sum(tf.square(outputs), axis=-1)}


def test_memory_of_two_layers_by_hand():
    two_layers = TwoLayers()
    batch = {"x": tf.ones([2, 4])}
    kept = cost.kept_bytes(two_layers, batch, n_examples=10)
    # The ReLU's output and, for the square, the last layer's.
    assert sum(n for n in kept.values() if n >= 40) == 10 * (5 + 3) * 4
    n_parameters = 4 * 5 + 5 + 5 * 3 + 3
    assert cost.n_trainable(two_layers) == n_parameters
    memory = cost.memory(two_layers, batch, 10)
    assert memory.parameters == 16 * n_parameters
    n_values = 3 * n_parameters + 2  # ADAM's two moments, iterations, learning rate
    assert 0 <= cost.checkpoint_bytes(two_layers) - 4 * n_values <= 8


def test_time_is_of_three_forward_passes_of_the_batch():
    calls = []

    class Slow:
        def evaluate_step(self, batch):
            calls.append(len(batch["x"]))
            cost.time.sleep(0.01 * len(batch["x"]))
            return {"total": tf.zeros([])}

    secs = cost.iteration_secs(Slow(), {"x": tf.zeros([8, 3])})
    assert calls == [1, 1, 8, 8]
    assert secs >= 3 * 8 * 0.01


@pytest.mark.parametrize(
    "secs, text",
    [(0.25, "0.25 s"), (100, "100 s"), (720, "12 minutes"), (86_400 * 192, "192 days")],
)
def test_durations(secs, text):
    assert dry_run.duration(secs) == text


def test_newest_step(tmp_path):
    assert checkpoints.newest_step(tmp_path) == 0
    two_layers = TwoLayers()
    checkpointer = checkpoints.Checkpointer(
        tmp_path, two_layers.model, two_layers.optimizer
    )
    for step in (90, 1000):
        checkpointer.save(step)
    assert checkpoints.newest_step(tmp_path) == 1000


def test_decoder_is_checked_against_the_data(folders, tmp_path):
    decoder = make_decoder()
    other = dataset_info.RecognizerInfo("vgg_face", DIM, "1" * 64)
    dataclasses.replace(decoder, recognizer=other).save(tmp_path / "decoder")
    with pytest.raises(ValueError, match=r"features of dlib .* of vgg_face"):
        dry_run.plan_voice_training(
            tiny_config(), folders / "voices", tmp_path / "decoder", tmp_path / "run"
        )
