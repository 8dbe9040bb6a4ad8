"""Trains the face decoder: from a data set of photographs to a run folder.

The steps are those of `speech2face.training.job`.
"""

import contextlib
import dataclasses

import keras
import numpy as np

from speech2face import locks
from speech2face.artifacts import run_folder
from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.artifacts.decoder_files import DECODER_DIR
from speech2face.config import DecoderTrainingConfig
from speech2face.data import dataset_info, input_pipeline, records
from speech2face.data.dataset_info import DatasetInfo, FeatureStatistics
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path
from speech2face.models import face_decoder
from speech2face.recognizers import prototypes
from speech2face.recognizers.base import RecognizerHead
from speech2face.recognizers.loading import load_recognizer
from speech2face.recognizers.vgg_face import VGG_FACE_NAMES, vgg_face_head
from speech2face.training import distribution, validation
from speech2face.training.best_weights import BestWeights
from speech2face.training.decoder import DecoderTrainer
from speech2face.training.job import (
    Job,
    check_same_recognizer,
    run_loop,
    set_seed,
    validates,
)
from speech2face.training.loop import ValidateFn
from speech2face.training.precision import dtype_policy
from speech2face.training.validation import DecoderValidator


@dataclasses.dataclass(frozen=True)
class DecoderJob(Job):
    """A training of the face decoder on features that `normalizer` scales.

    Attributes:
      normalizer: raw feature -> v_f.
      head: f_VGG, which the voice encoder needs beside the decoder.
    """

    config: DecoderTrainingConfig
    trainer: DecoderTrainer
    normalizer: FeatureNormalizer
    head: RecognizerHead


def train_face_decoder(
    config: DecoderTrainingConfig,
    data_dir: PathLike,
    run_dir: PathLike,
    vgg_face_weights: PathLike = "",
    voice_data_dir: PathLike = "",
) -> int:
    """Trains the face decoder in `run_dir`, or resumes; returns the iteration reached.

    At the end, and not before, `run_dir`/decoder holds the decoder with its assets.

    Args:
      config: everything about networks, losses and loop.
      data_dir: face data set of `data_prep.build_decoder_tfrecords`.
      run_dir: run folder to create or to resume.
      vgg_face_weights: imported weights, if the data set's recognizer is VGG-Face.
      voice_data_dir: voice data set on whose faces the normalizer is fitted; '' fits it
        on the photographs.

    Raises:
      FileNotFoundError, UserError: as `voice_job.train_voice_encoder`.
    """
    with distribution.scope(config.loop.strategy), contextlib.ExitStack() as held:
        job = prepare_decoder_training(
            config, data_dir, vgg_face_weights, voice_data_dir
        )
        if distribution.is_chief():
            held.enter_context(locks.locked(run_dir))
            run_folder.prepare_run(run_dir, config, data_dir, job.must_match)
        validate: ValidateFn | None = None
        best = BestWeights(job.trainer, run_dir) if config.optimizer.keep_best else None
        if validates(config.loop, job.info):
            validate = DecoderValidator(data_dir, job.info, config, job.trainer)
            if best:
                validate = best.after(validate)
        step = run_loop(job, run_dir, validate)
        # Only at the end: a voice run that began with a half-trained decoder could not
        # be resumed with the finished one.
        if step >= job.n_steps and distribution.is_chief():
            if best:
                best.restore()
            _decoder_bundle(job).save(as_path(run_dir) / DECODER_DIR)
        return step


def prepare_decoder_training(
    config: DecoderTrainingConfig,
    data_dir: PathLike,
    vgg_face_weights: PathLike = "",
    voice_data_dir: PathLike = "",
) -> DecoderJob:
    """Reads and builds what `train_face_decoder` needs before it writes anything.

    Args:
      config: everything about networks, losses and loop.
      data_dir: face data set of `data_prep.build_decoder_tfrecords`.
      vgg_face_weights: imported weights, if the data set's recognizer is VGG-Face.
      voice_data_dir: voice data set on whose faces the normalizer is fitted; '' fits it
        on the photographs.

    Raises:
      FileNotFoundError: a data set or the weights are not there.
      UserError: they do not fit together, or are damaged.
    """
    info = dataset_info.read(
        data_dir, kind="face", check_sizes=not config.loop.skip_corrupt
    )
    n_steps = input_pipeline.n_iterations(info, config.loop)
    recognizer = load_recognizer(info.recognizer.name, str(vgg_face_weights))
    if recognizer.checksum != info.recognizer.checksum:
        raise UserError(
            f"{data_dir} was made with other {info.recognizer.name} weights than these"
        )
    if config.optimizer.keep_best and not validates(config.loop, info):
        raise UserError(
            f"--keep_best needs validations: {data_dir} has no split "
            f"{validation.SPLIT!r}, or --validate_every is 0"
        )
    # Needed at the end only, but an error in it is reported before days of training.
    head = _recognizer_head(config, data_dir, info, vgg_face_weights)
    statistics, voice_checksum = _statistics(info, data_dir, voice_data_dir)
    set_seed(config.loop)
    model = _new_decoder(config, data_dir, info)
    normalizer = FeatureNormalizer.fit(statistics, config.normalizer)
    return DecoderJob(
        config=config,
        data_dir=data_dir,
        info=info,
        parse=input_pipeline.face_parser(info),
        n_steps=n_steps,
        trainer=DecoderTrainer(config, model, normalizer, recognizer),
        must_match={"data_set": info.checksum, "voice_data_set": voice_checksum},
        normalizer=normalizer,
        head=head,
    )


def _statistics(
    info: DatasetInfo, data_dir: PathLike, voice_data_dir: PathLike
) -> tuple[FeatureStatistics, str | None]:
    """Returns what the normalizer is fitted on, and the voice data set's checksum."""
    if not voice_data_dir:
        return info.feature_statistics, None
    voices = dataset_info.read(voice_data_dir, kind="voice")
    check_same_recognizer(voices, info.recognizer, voice_data_dir, data_dir)
    return voices.feature_statistics, voices.checksum


def _new_decoder(
    config: DecoderTrainingConfig, data_dir: PathLike, info: DatasetInfo
) -> keras.Model:
    """Builds the network, and fits its layers that are not learned by gradients."""
    model = face_decoder.build_face_decoder(
        config.face_decoder,
        info.recognizer.feature_dim,
        np.array(info.mean_landmarks, np.float32),
        dtype_policy(config.loop.precision),
    )
    if config.face_decoder.texture_components:
        examples = records.iterate_face_examples(data_dir, "train")
        model.get_layer("space").fit(example.texture for example in examples)
    if config.face_decoder.mean_texture:
        examples = records.iterate_face_examples(data_dir, "train")
        model.get_layer("mean_texture").fit(example.texture for example in examples)
    return model


def _recognizer_head(
    config: DecoderTrainingConfig,
    data_dir: PathLike,
    info: DatasetInfo,
    vgg_face_weights: PathLike,
) -> RecognizerHead:
    """Returns f_VGG: VGG-Face's own, or prototypes of the training faces."""
    if info.recognizer.name in VGG_FACE_NAMES:
        return vgg_face_head(str(vgg_face_weights))
    examples = records.iterate_face_examples(data_dir, "train")
    faces = [(example.face_feature, example.speaker_id) for example in examples]
    return prototypes.prototype_head(
        np.stack([feature for feature, _ in faces]),
        [speaker for _, speaker in faces],
        config.head.n_prototypes,
        config.head.prototype_sharpness,
    )


def _decoder_bundle(job: DecoderJob) -> DecoderBundle:
    mean_feature = np.array(job.info.feature_statistics.mean, np.float32)
    return DecoderBundle(
        model=job.trainer.model,
        config=job.config.face_decoder,
        normalizer=job.normalizer,
        head=job.head,
        mean_landmarks=np.array(job.info.mean_landmarks, np.float32),
        mean_feature=job.normalizer.normalize(mean_feature),
        recognizer=job.info.recognizer,
    )
