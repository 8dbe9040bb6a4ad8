"""Both trainings from folders to folders: what the training commands call."""

import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from speech2face import (
    checkpoints,
    decoder_bundle,
    distribution,
    frozen_embeddings,
    input_pipeline,
    landmark_regression,
    recognizers,
    records,
    train_loop,
    transfer,
    validation,
)
from speech2face.config import DecoderTrainingConfig, VoiceTrainingConfig
from speech2face.decoder_bundle import DECODER_DIR, DecoderBundle
from speech2face.models import face_decoder, speaker_encoder
from speech2face.normalizer import FeatureNormalizer
from speech2face.precision import dtype_policy
from speech2face.trainer import DecoderTrainer, VoiceTrainer


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
    with distribution.make_strategy(config.loop.strategy).scope():
        return _train_voice_encoder(config, data_dir, decoder_dir, run_dir, init_dir)


def _train_voice_encoder(config, data_dir, decoder_dir, run_dir, init_dir) -> int:
    info = records.read_dataset_info(data_dir, kind="voice")
    decoder = decoder_bundle.load(decoder_dir)
    check_same_recognizer(info, decoder.recognizer, data_dir, decoder_dir)
    n_steps = input_pipeline.n_iterations(info, config.loop)
    keras.utils.set_random_seed(config.loop.seed)
    trainer = VoiceTrainer(config, decoder)
    if init_dir:
        transfer.start_from(init_dir, trainer.model)
    decoder_checksum = decoder.checksum()
    provenance = {"data_set": info.checksum, "face_decoder": decoder_checksum}
    if distribution.is_chief():
        checkpoints.prepare_run(run_dir, config, data_dir, provenance)
        decoder.save(pathlib.Path(run_dir) / DECODER_DIR)
    parse = input_pipeline.voice_parser(
        info, config.audio, config.augment, config.loop.seed
    )
    if frozen_embeddings.is_possible(config):
        embed = speaker_encoder.embedding_part(trainer.model)
        parse = frozen_embeddings.embedding_parser(
            data_dir, info, "train", parse, embed
        )
    validate = None
    if config.loop.validate_every and validation.SPLIT in info.splits:
        validate = validation.VoiceValidator(data_dir, info, config, trainer, decoder)
    return run_loop(
        trainer, parse, n_steps, config.loop, data_dir, info, run_dir, validate
    )


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
    with distribution.make_strategy(config.loop.strategy).scope():
        return _train_face_decoder(config, data_dir, run_dir, vgg_face_weights)


def _train_face_decoder(config, data_dir, run_dir, vgg_face_weights) -> int:
    info = records.read_dataset_info(data_dir, kind="face")
    recognizer = recognizers.load_recognizer(info.recognizer.name, vgg_face_weights)
    if recognizer.checksum != info.recognizer.checksum:
        raise ValueError(
            f"{data_dir} was made with other {info.recognizer.name} weights than these"
        )
    n_steps = input_pipeline.n_iterations(info, config.loop)
    keras.utils.set_random_seed(config.loop.seed)
    normalizer = FeatureNormalizer.fit(info.feature_statistics, config.normalizer)
    mean_landmarks = np.array(info.mean_landmarks, np.float32)
    model = face_decoder.build_face_decoder(
        config.face_decoder,
        info.recognizer.feature_dim,
        mean_landmarks,
        dtype_policy(config.loop.precision),
    )
    trainer = DecoderTrainer(config, model, normalizer, recognizer)
    if distribution.is_chief():
        checkpoints.prepare_run(run_dir, config, data_dir, {"data_set": info.checksum})
    validate = None
    if config.loop.validate_every and validation.SPLIT in info.splits:
        validate = validation.DecoderValidator(data_dir, info, config, trainer)
    parse = input_pipeline.face_parser(info)
    step = run_loop(
        trainer, parse, n_steps, config.loop, data_dir, info, run_dir, validate
    )
    if config.decoder_loss.landmark_ridge:
        landmark_regression.refit(
            model, normalizer, data_dir, config.decoder_loss.landmark_ridge
        )
    bundle = DecoderBundle(
        model=model,
        config=config.face_decoder,
        normalizer=normalizer,
        head=_recognizer_head(config, info.recognizer.name, vgg_face_weights, data_dir),
        mean_landmarks=mean_landmarks,
        mean_feature=normalizer.normalize(
            np.array(info.feature_statistics.mean, np.float32)
        ),
        recognizer=info.recognizer,
    )
    if distribution.is_chief():
        bundle.save(pathlib.Path(run_dir) / DECODER_DIR)
    return step


def run_loop(trainer, parse, n_steps, loop, data_dir, info, run_dir, validate) -> int:
    """Runs `train_loop.run` over a data set; names the record if one is damaged."""

    def batches_from(first_step):
        return distribution.distribute(
            lambda part: input_pipeline.training_batches(
                data_dir, info, loop, parse, first_step, part
            )
        )

    try:
        return train_loop.run(trainer, batches_from, n_steps, loop, run_dir, validate)
    except tf.errors.DataLossError:
        for split in info.splits:  # reads on to the damaged record, and names it
            for _ in records.iterate_records(data_dir, split):
                pass
        raise


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
