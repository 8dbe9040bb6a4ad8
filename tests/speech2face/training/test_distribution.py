"""Several devices, parts of a batch, XLA and half precision: one and the same step."""

import os
import pathlib
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.config import LoopConfig, OptimizerConfig, VoiceEncoderConfig
from speech2face.training import distribution, trainer
from tests.helpers import replica_runs
from tests.helpers.replica_runs import BATCH, N_STEPS, RUNS, examples
from tests.helpers.slow import takes_seconds


@pytest.fixture(scope="module")
@takes_seconds
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replicas")
    script = pathlib.Path(replica_runs.__file__)
    command = [sys.executable, str(script), str(folder)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    process = subprocess.run(
        command, check=False, capture_output=True, text=True, env=environment
    )
    assert process.returncode == 0, process.stderr[-3000:]
    return {name: dict(np.load(folder / f"{name}.npz")) for name in RUNS}


def totals_of(small):
    """The loss of each step of a training in this process."""
    batches = [{"x": tf.constant(x), "y": tf.constant(y)} for x, y in zip(*examples())]
    return np.array([small.train_step(batch)["total"] for batch in batches])


def assert_same(one, two, atol):
    assert one.keys() == two.keys()
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], rtol=0, atol=atol, err_msg=name)


# Float32 sums in another order differ by some 1e-7; the weights moved by 1e-2 a step.
@pytest.mark.rehearsal
@pytest.mark.parametrize(
    "one, two, atol",
    [
        ("plain", "plain_on_4", 5e-6),
        ("plain", "plain_in_4_parts", 5e-6),
        ("norm", "norm_in_one_call", 0),
        ("norm", "norm_in_xla", 5e-6),
        ("norm", "norm_on_8_then_1", 5e-6),
        ("own_norm_on_4", "own_norm_in_4_parts", 5e-6),
        ("own_norm_on_4", "own_norm_on_2_in_2_parts_in_xla", 5e-6),
        ("plain", "single_then_half_then_single", 0.05),
    ],
)
def test_they_come_to_the_same(runs, one, two, atol):
    assert_same(runs[one], runs[two], atol)


@pytest.mark.rehearsal
def test_replicas_hold_the_same_values(runs):
    assert all(run["are_equal"] for run in runs.values())


def test_each_part_has_its_own_statistics_and_their_mean_is_kept():
    """Against one tape over a batch whose four parts go through the network alone."""
    keras.utils.set_random_seed(0)
    model = replica_runs.small_model("own")
    optimizer = trainer.build_optimizer(OptimizerConfig(learning_rate=0.01), "float32")
    moving = model.get_layer("norm").non_trainable_variables
    totals = []
    for x, y in zip(*examples()):
        before, after, total = [v.numpy() for v in moving], [], 0.0
        with tf.GradientTape() as tape:
            for part_x, part_y in zip(np.split(x, 4), np.split(y, 4)):
                error = tf.reduce_mean((model(part_x, training=True) - part_y) ** 2, -1)
                total += tf.reduce_sum(error) / BATCH
                after.append([v.numpy() for v in moving])
                for variable, value in zip(moving, before):
                    variable.assign(value)
        gradients = tape.gradient(total, [v.value for v in model.trainable_variables])
        optimizer.apply(gradients, model.trainable_variables)
        for variable, values in zip(moving, zip(*after)):
            variable.assign(np.mean(values, axis=0))
        totals.append(float(total))
    parts = replica_runs.SmallTrainer(
        "own", LoopConfig(batch_size=BATCH, accumulate_steps=4)
    )
    np.testing.assert_allclose(totals_of(parts), totals, rtol=1e-5)
    for ours, expected in zip(parts.model.variables, model.variables):
        np.testing.assert_allclose(ours, expected, atol=5e-6, err_msg=ours.path)
    whole = replica_runs.SmallTrainer("own", LoopConfig(batch_size=BATCH))
    assert np.abs(totals_of(whole) - totals).max() > 0.1


@pytest.mark.rehearsal
def test_an_overflow_on_one_device_leaves_the_step_out_on_all(runs):
    one, two = runs["half"], runs["half_on_2"]
    assert one["iterations"] == two["iterations"] == N_STEPS - 1
    assert one["loss_scale"] == two["loss_scale"] == 2.0**15
    assert_same(one, two, 2e-3)  # float16 has 3 digits


def test_parts_of_a_batch_take_their_turns():
    """The memory of a part is free before the next one starts."""
    events = []

    def note(event, secs=0.0):
        def append():
            time.sleep(secs)
            events.append(event)
            return np.int64(0)

        return tf.numpy_function(append, [], "int64")

    class Watched(replica_runs.SmallTrainer):
        def losses(self, batch, training):
            @tf.custom_gradient
            def watch(values):
                def gradient(d_values):
                    with tf.control_dependencies([note("backward", secs=0.1)]):
                        return tf.identity(d_values)

                with tf.control_dependencies([note("forward")]):
                    return tf.identity(values), gradient

            found = self.model(batch["x"], training=training)
            return {"total": watch(tf.reduce_mean((found - batch["y"]) ** 2, axis=-1))}

    x, y = (values[0] for values in examples())
    watched = Watched("own", LoopConfig(batch_size=BATCH, accumulate_steps=4))
    watched.train_step({"x": tf.constant(x), "y": tf.constant(y)})
    assert events == ["forward", "backward"] * 4


@pytest.mark.rehearsal
def test_devices_drop_different_units(runs):
    dropped = runs["dropout_on_2"]
    seed = next(value for name, value in dropped.items() if "seed" in name)
    assert seed[1] == N_STEPS  # each step draws anew
    assert dropped["are_equal"]


def test_what_cannot_be_divided_is_refused():
    with pytest.raises(ValueError, match="batch_size=8 cannot be divided among 1 dev"):
        distribution.check_batch(LoopConfig(accumulate_steps=3))
    with pytest.raises(ValueError, match="needs the environment variable TF_CONFIG"):
        distribution.make_strategy("multi_worker")
    with pytest.raises(ValueError, match="--strategy=tpu found no TPU"):
        distribution.make_strategy("tpu")
    own = VoiceEncoderConfig(global_batch_norm=True)
    distribution.check_batch_norm(own, LoopConfig(xla=True))  # one device: no matter
    cpu = tf.config.list_logical_devices("CPU")[:1]
    with distribution.mirrored(cpu).scope():
        assert distribution.is_chief() and distribution.n_workers() == 1
