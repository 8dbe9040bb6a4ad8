"""Distillation of a pretrained speaker recogniser into Table 1. Beyond the paper.

Hundreds of pairs of a voice and a face are too few to learn hearing from. A speaker
recogniser can hear; it labels any waveform with an embedding, and Table 1 learns to
give the same one. What it has learned, all but its last layer, then starts the training
of Sec. 3.
"""

import os
from typing import Dict, Tuple

import numpy as np
import tensorflow as tf
from keras import ops

from speech2face import (
    checkpoints,
    dataset_info,
    distribution,
    input_pipeline,
    training,
    transfer,
    validation,
)
from speech2face.config import PretrainingConfig
from speech2face.dataset_info import DatasetInfo
from speech2face.models import speaker_embedding, voice_encoder
from speech2face.trainer import Batch, Trainer, build_optimizer


def pretrain_voice_encoder(
    config: PretrainingConfig, data_dir: os.PathLike, run_dir: os.PathLike
) -> int:
    """Trains a student in `run_dir`, or resumes; returns the iteration reached.

    Raises:
      FileNotFoundError, ValueError: as `training.train_voice_encoder`.
    """
    if config.voice_encoder.encoder != "table1":
        raise ValueError("--encoder=speaker_embedding is the teacher; pretrain table1")
    with distribution.scope(config.loop.strategy):
        return _pretrain(config, data_dir, run_dir)


def _pretrain(config, data_dir, run_dir) -> int:
    info = dataset_info.read(data_dir, kind="voice")
    n_steps = input_pipeline.n_iterations(info, config.loop)
    training.set_seed(config.loop)
    trainer = DistillationTrainer(config)
    if distribution.is_chief():
        checkpoints.prepare_run(run_dir, config, data_dir, {"data_set": info.checksum})
    parse = input_pipeline.voice_parser(
        info, config.audio, config.augment, config.loop.seed
    )
    some = input_pipeline.training_batches(
        *(data_dir, info, config.loop, parse),
        damage=input_pipeline.Damage(skip=True),  # the training says what is damaged
    )
    trainer.start_at_mean(next(iter(some)))
    validate = None
    if config.loop.validate_every and validation.SPLIT in info.splits:
        validate = _Validator(data_dir, info, config, trainer)
    return training.run_loop(
        trainer, parse, n_steps, config.loop, data_dir, info, run_dir, validate
    )


class DistillationTrainer(Trainer):
    """Trains Table 1 to give the embeddings of a speaker recogniser."""

    def __init__(self, config: PretrainingConfig):
        """Builds the teacher and a new student."""
        distribution.check_batch_norm(config.voice_encoder, config.loop)
        names = config.voice_encoder.speaker_embedders
        self._teacher = speaker_embedding.build_embedding(names)
        self._spread = speaker_embedding.spread(names)
        student = transfer.build_student(config.voice_encoder, config.loop.precision)
        optimizer = build_optimizer(config.optimizer, config.loop.precision)
        super().__init__(student, optimizer, config.loop)

    def predict(self, batch: Batch) -> tf.Tensor:
        """Returns the student's embedding [b, 256 n], in standard deviations."""
        return self.model(batch["waveform"], training=False)

    def losses(self, batch: Batch, training: bool) -> Dict[str, tf.Tensor]:
        """Returns 'total' [b]: mean squared error, in variances of a unit.

        A student that always gives the mean embedding has about 1.
        """
        found = self.model(batch["waveform"], training=training)
        error = ops.cast(found, "float32") - ops.stop_gradient(self._targets(batch))
        return {"total": ops.mean(ops.square(error), axis=-1)}

    def start_at_mean(self, batch: Batch) -> None:
        """Lets a new student begin with the mean embedding of a batch.

        The units lie about a standard deviation from 0, which at a learning rate of
        .001 is a thousand iterations of ADAM away.
        """
        last = voice_encoder.table_1_layers(self.model)[-1]
        last.bias.assign(ops.mean(self._targets(batch), axis=0))

    def _targets(self, batch: Batch) -> tf.Tensor:
        return self._teacher(batch["waveform"], training=False) / self._spread


class _Validator:
    """The share of the embeddings' variance that the student misses."""

    def __init__(
        self,
        data_dir: os.PathLike,
        info: DatasetInfo,
        config: PretrainingConfig,
        trainer: DistillationTrainer,
    ):
        self._batches = validation.voice_batches(
            data_dir, info, config.audio, config.loop
        )
        self._trainer = trainer

    def __call__(self) -> Tuple[Dict[str, float], None]:
        losses = [self._trainer.evaluate_step(b)["total"] for b in self._batches]
        return {"total": float(np.concatenate(losses).mean())}, None
