"""Short trainings on logical CPU devices: the process behind test_distribution.py.

How many devices there are must be said before TensorFlow starts, so this is a process
of its own: `python replica_runs.py OUTPUT` saves, for each run of `RUNS`, what the
network and the optimizer come to and the terms of each step.
"""

import pathlib
import sys

import keras
import numpy as np
import tensorflow as tf

from speech2face.artifacts.checkpoints import Checkpointer
from speech2face.config import LoopConfig, OptimizerConfig, VoiceEncoderConfig
from speech2face.training import distribution
from speech2face.training.trainer import Trainer, build_optimizer

N_DEVICES = 8
BATCH, N_STEPS = 8, 4

# name -> phases: (devices, batch norm: no, own or global; options of the loop).
# Phases share the steps evenly; each resumes from the checkpoint of the phase before.
RUNS = {
    "plain": [(1, "no", {})],
    "plain_on_4": [(4, "no", {})],
    "plain_in_4_parts": [(1, "no", {"accumulate_steps": 4})],
    "norm": [(1, "own", {})],
    "norm_in_one_call": [(1, "own", {"steps_per_call": N_STEPS})],
    "norm_in_xla": [(1, "own", {"xla": True})],
    "norm_on_8_then_1": [(8, "global", {}), (1, "own", {})],
    "own_norm_on_4": [(4, "own", {})],
    "own_norm_in_4_parts": [(1, "own", {"accumulate_steps": 4})],
    "own_norm_on_2_in_2_parts_in_xla": [
        (2, "own", {"accumulate_steps": 2, "xla": True})
    ],
    "half": [(1, "no", {"precision": "mixed_float16"})],
    "half_on_2": [(2, "no", {"precision": "mixed_float16"})],
    "single_then_half_then_single": [
        (1, "no", {}),
        (1, "no", {"precision": "mixed_bfloat16"}),
        (1, "no", {"precision": "mixed_float16"}),
        (1, "no", {}),
    ],
    "dropout_on_2": [(2, "dropout", {})],
}


class SmallTrainer(Trainer):
    """A convolution, batch normalization, a dense layer."""

    def __init__(self, kind: str, loop: LoopConfig):
        keras.utils.set_random_seed(0)
        encoder = VoiceEncoderConfig(global_batch_norm=kind == "global")
        distribution.check_batch_norm(encoder, loop)
        super().__init__(
            small_model(kind, loop.precision),
            build_optimizer(OptimizerConfig(learning_rate=0.01), loop.precision),
            loop,
        )

    def losses(self, batch, training):
        found = self.model(batch["x"], training=training)
        error = tf.reduce_mean(tf.square(found - batch["y"]), axis=-1)
        return {"total": error, "mean_output": tf.reduce_mean(found, axis=-1)}


def small_model(kind, precision="float32"):
    middle = {
        "no": [],
        "own": [keras.layers.BatchNormalization(dtype=precision, name="norm")],
        "global": [keras.layers.BatchNormalization(synchronized=True, name="norm")],
        "dropout": [keras.layers.Dropout(0.5)],
    }
    return keras.Sequential(
        [
            keras.Input([6, 5, 2]),
            keras.layers.Conv2D(4, 3, dtype=precision, name="conv"),
            keras.layers.ReLU(dtype=precision),
            *middle[kind],
            keras.layers.Flatten(dtype=precision),
            keras.layers.Dense(3, dtype="float32", name="dense"),
        ]
    )


def examples():
    random = np.random.default_rng(0)
    x = random.normal(size=(N_STEPS, BATCH, 6, 5, 2)).astype(np.float32)
    # The parts of a batch are unlike each other, so that their statistics differ.
    x += np.repeat([0, 1, 2, 3], BATCH // 4).astype(np.float32)[:, None, None, None]
    return x, random.normal(size=(N_STEPS, BATCH, 3)).astype(np.float32)


def phase(kind, loop, step, n_steps, run_dir):
    """Resumes at iteration `step`; returns the values and the terms of each step."""
    x, y = examples()

    def portions(part):
        dataset = tf.data.Dataset.from_tensor_slices({"x": x[step:], "y": y[step:]})
        return dataset.unbatch().batch(BATCH // part.n_replicas)

    trainer = SmallTrainer(kind, loop)
    checkpointer = Checkpointer(run_dir, trainer.model, trainer.optimizer)
    assert checkpointer.restore_latest() == step
    if loop.precision == "mixed_float16" and step == 0:
        trainer.optimizer.dynamic_scale.assign(2.0**16)  # one device overflows, once
    batches, calls = iter(distribution.distribute(portions)), []
    for _ in range(n_steps // loop.steps_per_call):
        n = tf.constant(loop.steps_per_call)
        calls.append(trainer.train_steps(batches, n, tf.constant(0.0))[0])
    checkpointer.save(step + n_steps)
    values = {v.path: v.numpy() for v in trainer.model.variables}
    values["iterations"] = trainer.optimizer.iterations.numpy()
    values["are_equal"] = copies_are_equal(trainer.model)
    if loop.precision == "mixed_float16":
        values["loss_scale"] = trainer.optimizer.dynamic_scale.numpy()
    return values, calls


def copies_are_equal(model):
    local = tf.distribute.get_strategy().experimental_local_results
    return all(
        np.array_equal(local(v.value)[0], copy)
        for v in model.variables
        for copy in local(v.value)
    )


def train(phases, run_dir):
    calls, n_steps = [], N_STEPS // len(phases)
    for index, (n_devices, kind, options) in enumerate(phases):
        strategy = tf.distribute.get_strategy()
        if n_devices > 1:
            strategy = distribution.mirrored(
                tf.config.list_logical_devices("CPU")[:n_devices]
            )
        loop = LoopConfig(batch_size=BATCH, **options)
        with strategy.scope():
            values, found = phase(kind, loop, index * n_steps, n_steps, run_dir)
        keras.backend.clear_session()  # the next process would name layers alike
        calls += found
    for name in calls[0]:
        values[name] = np.concatenate([terms[name] for terms in calls])
    return values


def main():
    cpu = tf.config.list_physical_devices("CPU")[0]
    device = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(cpu, [device] * N_DEVICES)
    output = pathlib.Path(sys.argv[1])
    for name, phases in RUNS.items():
        np.savez(output / f"{name}.npz", **train(phases, output / name))


if __name__ == "__main__":
    main()
