"""Both trainings from folders to folders: what the training commands call."""

import dataclasses
import functools
import os
import pathlib
import signal
from typing import Dict, Optional

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from speech2face import (
    checkpoints,
    dataset_info,
    decoder_bundle,
    distribution,
    frozen_embeddings,
    input_pipeline,
    post_mortem,
    recognizers,
    records,
    train_loop,
    transfer,
    validation,
)
from speech2face.config import DecoderTrainingConfig, LoopConfig, VoiceTrainingConfig
from speech2face.dataset_info import DatasetInfo
from speech2face.decoder_bundle import DECODER_DIR, DecoderBundle
from speech2face.decoder_trainer import DecoderTrainer
from speech2face.input_pipeline import ParseFn
from speech2face.models import face_decoder
from speech2face.normalizer import FeatureNormalizer
from speech2face.precision import dtype_policy
from speech2face.trainer import Trainer
from speech2face.voice_trainer import VoiceTrainer

STOPPED = 128 + signal.SIGTERM  # what schedulers take for "start it again"


@dataclasses.dataclass(frozen=True)
class Job:
    """A training before its first iteration: all is read and built, nothing written.

    Attributes:
      trainer: network and optimizer, new.
      info: of the data set.
      parse: of its records.
      n_steps: iterations.
      provenance: what must be the same when a run goes on.
      decoder: voice trainings: the frozen face decoder.
    """

    trainer: Trainer
    info: DatasetInfo
    parse: ParseFn
    n_steps: int
    provenance: Dict[str, str]
    decoder: Optional[DecoderBundle] = None


def set_seed(loop: LoopConfig) -> None:
    """Makes all that is random from now on a function of `loop.seed`."""
    keras.utils.set_random_seed(loop.seed)
    if loop.deterministic_ops:
        tf.config.experimental.enable_op_determinism()


def voice_job(
    config: VoiceTrainingConfig,
    data_dir: os.PathLike,
    decoder_dir: os.PathLike,
    init_dir: str = "",
) -> Job:
    """Reads and builds what `train_voice_encoder` needs; raises as it does."""
    info = dataset_info.read(data_dir, kind="voice")
    decoder = decoder_bundle.load(decoder_dir)
    check_same_recognizer(info, decoder.recognizer, data_dir, decoder_dir)
    n_steps = input_pipeline.n_iterations(info, config.loop)
    if config.loop.host_spectrogram and config.voice_encoder.encoder != "table1":
        raise ValueError("--host_spectrogram needs --encoder=table1: others have none")
    set_seed(config.loop)
    trainer = VoiceTrainer(config, decoder)
    if init_dir:
        transfer.start_from(init_dir, trainer.model)
    parse = input_pipeline.voice_parser(
        info, config.audio, config.augment, config.loop.seed
    )
    provenance = {"data_set": info.checksum, "face_decoder": decoder.checksum()}
    return Job(trainer, info, parse, n_steps, provenance, decoder)


def train_voice_encoder(
    config: VoiceTrainingConfig,
    data_dir: os.PathLike,
    decoder_dir: os.PathLike,
    run_dir: os.PathLike,
    init_dir: str = "",
) -> int:
    """Trains the voice encoder in `run_dir`, or resumes; returns the iteration reached.

    A new run starts with the weights of the pretraining run `init_dir`, if given.

    Raises:
      FileNotFoundError: data set or decoder are not there.
      ValueError: they do not fit together, are damaged, or `run_dir` is another run.
    """
    with distribution.scope(config.loop.strategy):
        job = voice_job(config, data_dir, decoder_dir, init_dir)
        return _train_voice_encoder(job, config, data_dir, run_dir)


def _train_voice_encoder(job, config, data_dir, run_dir) -> int:
    trainer, info, parse = job.trainer, job.info, job.parse
    if distribution.is_chief():
        checkpoints.prepare_run(run_dir, config, data_dir, job.provenance)
        job.decoder.save(pathlib.Path(run_dir) / DECODER_DIR)
    if frozen_embeddings.is_possible(config):
        embed, _ = frozen_embeddings.split(trainer.model, config)
        parse = frozen_embeddings.embedding_parser(
            data_dir, info, "train", parse, embed, config.loop.skip_corrupt
        )
    elif config.loop.host_spectrogram:
        parse = input_pipeline.spectrogram_parser(parse)
    validate = None
    if config.loop.validate_every and validation.SPLIT in info.splits:
        validate = validation.VoiceValidator(
            data_dir, info, config, trainer, job.decoder, run_dir
        )
    return run_loop(
        trainer, parse, job.n_steps, config.loop, data_dir, info, run_dir, validate
    )


def decoder_job(
    config: DecoderTrainingConfig, data_dir: os.PathLike, vgg_face_weights: str = ""
) -> Job:
    """Reads and builds what `train_face_decoder` needs; raises as it does."""
    info = dataset_info.read(data_dir, kind="face")
    recognizer = recognizers.load_recognizer(info.recognizer.name, vgg_face_weights)
    if recognizer.checksum != info.recognizer.checksum:
        raise ValueError(
            f"{data_dir} was made with other {info.recognizer.name} weights than these"
        )
    n_steps = input_pipeline.n_iterations(info, config.loop)
    set_seed(config.loop)
    model = face_decoder.build_face_decoder(
        config.face_decoder,
        info.recognizer.feature_dim,
        np.array(info.mean_landmarks, np.float32),
        dtype_policy(config.loop.precision),
    )
    if config.face_decoder.texture_components:
        examples = records.iterate_face_examples(data_dir, "train")
        model.get_layer("space").fit(example.texture for example in examples)
    normalizer = FeatureNormalizer.fit(info.feature_statistics, config.normalizer)
    trainer = DecoderTrainer(config, model, normalizer, recognizer)
    parse = input_pipeline.face_parser(info)
    return Job(trainer, info, parse, n_steps, {"data_set": info.checksum})


def train_face_decoder(
    config: DecoderTrainingConfig,
    data_dir: os.PathLike,
    run_dir: os.PathLike,
    vgg_face_weights: str = "",
) -> int:
    """Trains the face decoder in `run_dir`, or resumes; returns the iteration reached.

    At the end `run_dir`/decoder holds the decoder with its assets.

    Raises:
      FileNotFoundError, ValueError: as `train_voice_encoder`.
    """
    with distribution.scope(config.loop.strategy):
        job = decoder_job(config, data_dir, vgg_face_weights)
        step = _train_face_decoder(job, config, data_dir, run_dir)
        if distribution.is_chief():
            head = _recognizer_head(
                config, job.info.recognizer.name, vgg_face_weights, data_dir
            )
            bundle = _finished_decoder(job, config, head)
            bundle.save(pathlib.Path(run_dir) / DECODER_DIR)
        return step


def _train_face_decoder(job, config, data_dir, run_dir) -> int:
    trainer, info = job.trainer, job.info
    if distribution.is_chief():
        checkpoints.prepare_run(run_dir, config, data_dir, job.provenance)
    validate = None
    if config.loop.validate_every and validation.SPLIT in info.splits:
        validate = validation.DecoderValidator(data_dir, info, config, trainer)
    return run_loop(
        trainer, job.parse, job.n_steps, config.loop, data_dir, info, run_dir, validate
    )


def _finished_decoder(job, config, head) -> DecoderBundle:
    info = job.info
    normalizer = FeatureNormalizer.fit(info.feature_statistics, config.normalizer)
    return DecoderBundle(
        model=job.trainer.model,
        config=config.face_decoder,
        normalizer=normalizer,
        head=head,
        mean_landmarks=np.array(info.mean_landmarks, np.float32),
        mean_feature=normalizer.normalize(
            np.array(info.feature_statistics.mean, np.float32)
        ),
        recognizer=info.recognizer,
    )


def exit_status(step: int, data_dir: os.PathLike, loop: LoopConfig) -> int:
    """Exit status of a training that reached `step`: 0 at its end, else `STOPPED`."""
    info = dataset_info.read(data_dir)
    return 0 if step >= input_pipeline.n_iterations(info, loop) else STOPPED


def run_loop(trainer, parse, n_steps, loop, data_dir, info, run_dir, validate) -> int:
    """Runs `train_loop.run` over a data set; says whose fault it is if it fails.

    Raises:
      ValueError: a record is damaged, or the loss of an iteration is not finite: its
        clips are named and kept.
    """
    damage = input_pipeline.Damage(loop.skip_corrupt)
    stream = functools.partial(
        input_pipeline.training_batches, data_dir, info, loop, parse
    )

    def batches_from(first_step):
        return distribution.distribute(
            lambda part: stream(first_step, part, damage=damage)
        )

    try:
        return train_loop.run(trainer, batches_from, n_steps, loop, run_dir, validate)
    except train_loop.LossNotFinite as error:
        raise post_mortem.explain(error, stream(error.step - 1), run_dir) from None
    except tf.errors.OpError:
        _name_damaged_record(data_dir, info, damage)
        raise
    finally:
        if damage.n_replaced and damage.skip:
            logging.warning(damage.summary())


def _name_damaged_record(data_dir, info, damage) -> None:
    data_dir = pathlib.Path(data_dir)
    suspects = [
        shard
        for shard in info.shards("train")
        if str(data_dir / shard.name) in damage.n_replaced
    ]
    suspects += info.splits.get(validation.SPLIT, [])
    for shard in [] if damage.skip else suspects:
        for _ in records.iterate_shard(data_dir / shard.name, shard.n_examples):
            pass


def _recognizer_head(config, name, weights, data_dir) -> recognizers.RecognizerHead:
    if name in recognizers.VGG_FACE_NAMES:
        return recognizers.vgg_face_head(weights)
    examples = list(records.iterate_face_examples(data_dir, "train"))
    return recognizers.prototype_head(
        np.stack([example.face_feature for example in examples]),
        [example.speaker_id for example in examples],
        config.head.n_prototypes,
        config.head.prototype_sharpness,
    )


def check_same_recognizer(info, recognizer, data_dir, decoder_dir) -> None:
    """Raises ValueError if the decoder takes the features of another recognizer."""
    if info.recognizer != recognizer:
        raise ValueError(
            f"{data_dir} has features of {info.recognizer.name} "
            f"({info.recognizer.checksum[:8]}), the decoder in {decoder_dir} takes "
            f"those of {recognizer.name} ({recognizer.checksum[:8]}); build both data "
            "sets with the same recognizer"
        )
