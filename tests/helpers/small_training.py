"""A training that is over in seconds: the real loop and data, a very small network.

    python small_training.py DATA_DIR RUN_DIR STRATEGY [N_KILLS]

trains, or resumes. If it is to be killed, TensorFlow is imported once, and so many
forks of the process are killed before one may finish: at a random moment of theirs, or
shortly after a checkpoint of theirs has begun.
"""

import dataclasses
import os
import pathlib
import random
import signal
import sys
import time

import keras
import tensorflow as tf

from speech2face.config import (
    AudioConfig,
    AugmentConfig,
    LoopConfig,
    OptimizerConfig,
    VoiceTrainingConfig,
)
from speech2face.data import dataset_info, input_pipeline
from speech2face.training import distribution
from speech2face.training.job import Job, run_loop
from speech2face.training.trainer import Trainer, build_optimizer

LOOP = LoopConfig(
    batch_size=4,
    epochs=float(os.environ.get("SMALL_TRAINING_EPOCHS", "40")),
    save_every=5,
    summarize_every=3,
    validate_every=0,
    shuffle_buffer=8,
)
N_WORKERS = 2  # of the strategy multi_worker, each with a reader
PAUSE_SECS = 0.02  # per call, so that there is time to be killed


class SmallTrainer(Trainer):
    """Learns the face feature from a few samples of the waveform."""

    def __init__(self, loop, feature_dim):
        model = keras.Sequential(
            [
                keras.Input([400]),
                keras.layers.Dense(16, activation="relu", name="hidden"),
                keras.layers.BatchNormalization(synchronized=True, name="norm"),
                keras.layers.Dropout(0.2 if loop.strategy == "none" else 0.0),
                keras.layers.Dense(feature_dim, name="feature"),
            ],
            name="small",  # by itself it would be numbered, within a process
        )
        optimizer = build_optimizer(
            OptimizerConfig(learning_rate=0.001), loop.precision
        )
        super().__init__(model, optimizer, loop)

    def losses(self, batch, training):
        outputs = self.model(batch["waveform"], training=training)
        error = tf.square(outputs - batch["face_feature"])
        return {"total": tf.reduce_mean(error, axis=-1)}


def train(data_dir, run_dir, loop=LOOP):
    """Trains up to the end of `loop`; returns the iteration reached."""
    config = VoiceTrainingConfig(
        audio=AudioConfig(clip_secs=0.025),
        augment=AugmentConfig(gain_db=6.0),
        loop=loop,
    )
    with distribution.scope(loop.strategy):
        info = dataset_info.read(data_dir)
        keras.utils.set_random_seed(loop.seed)
        job = Job(
            config=config,
            data_dir=data_dir,
            info=info,
            parse=input_pipeline.voice_parser(
                info, config.audio, config.augment, loop.seed
            ),
            n_steps=input_pipeline.n_iterations(info, loop),
            trainer=SmallTrainer(loop, info.recognizer.feature_dim),
            must_match={},
        )
        return run_loop(job, run_dir)


def slow_train(data_dir, run_dir, strategy):
    """As `train`, with a pause before each call; exits as a command does."""
    steps = Trainer.train_steps
    Trainer.train_steps = lambda *arguments: (
        time.sleep(PAUSE_SECS),
        steps(*arguments),
    )[1]
    n_readers = N_WORKERS if strategy == "multi_worker" else 1
    loop = dataclasses.replace(LOOP, strategy=strategy, n_readers=n_readers)
    try:
        train(data_dir, run_dir, loop)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")


def wait_for_checkpoint(run_dir, longest_secs=60.0):
    """Until one is being written."""
    folder, end = pathlib.Path(run_dir, "checkpoints"), time.monotonic() + longest_secs
    before = set(folder.glob("*"))
    while set(folder.glob("*")) <= before and time.monotonic() < end:
        time.sleep(0.01)


def kill_and_finish(n_kills, *arguments):
    """Forks the training; kills all but the last fork after a random time."""
    draw = random.Random(n_kills)
    for index in range(n_kills + 1):
        child = os.fork()
        if not child:
            slow_train(*arguments)
            os._exit(0)
        if index < n_kills:
            if index % 2:
                time.sleep(draw.uniform(0.0, 6.0))
            else:
                wait_for_checkpoint(arguments[1])
                time.sleep(draw.uniform(0.0, 0.2))
            os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(f"fork {index} ended with {status}", flush=True)
        if status not in (0, -signal.SIGKILL):
            sys.exit(status)


if __name__ == "__main__":
    if len(sys.argv) > 4:
        kill_and_finish(int(sys.argv[4]), *sys.argv[1:4])
    else:
        slow_train(*sys.argv[1:4])
