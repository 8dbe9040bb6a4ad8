"""Common parts of both training jobs: the job, its loop, and the checks of its data.

A job reads data and weights from folders and writes a run folder. `voice_job` and
`decoder_job` take the same steps in the same order:

    data        dataset.json, the parser of its records, the number of iterations
    networks    frozen ones from their files, the one in training from config and seed
    trainer     losses, optimizer and the step (`voice`, `decoder`)
                So far nothing is written. `dry_run` stops here.
    run folder  created, or checked to belong to this very run
    encoder     of the voice alone, `voice_job.prepare_encoder`: a new head is fitted on
                the speaker recognizer, and the fixed first part moves to the parser
    loop        `loop.run` over the batches; `failures` explains what stops it
    artifacts   checkpoints, summaries, and the face decoder
"""

import dataclasses

import keras
import tensorflow as tf
from absl import logging

from speech2face.config import DecoderTrainingConfig, LoopConfig, VoiceTrainingConfig
from speech2face.data import input_pipeline
from speech2face.data.damaged_shards import Damage
from speech2face.data.dataset_info import DatasetInfo, RecognizerInfo
from speech2face.data.input_pipeline import ParseFn
from speech2face.data.record_stream import WHOLE_BATCH, BatchShare
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.training import failures, validation
from speech2face.training import loop as training_loop
from speech2face.training.loop import LossNotFiniteError, ValidateFn
from speech2face.training.trainer import Trainer

TrainingConfig = VoiceTrainingConfig | DecoderTrainingConfig


@dataclasses.dataclass(frozen=True)
class Job:
    """A training whose data and networks are read and built; nothing is written yet.

    Attributes:
      config: configuration of the whole training.
      data_dir: the data set.
      info: its `dataset.json`.
      parse: parser of its records.
      n_steps: iterations.
      trainer: network and optimizer, new.
      must_match: what must be the same when the run is resumed: name -> checksum.
    """

    config: TrainingConfig
    data_dir: PathLike
    info: DatasetInfo
    parse: ParseFn
    n_steps: int
    trainer: Trainer
    must_match: dict[str, str | None]


def run_loop(job: Job, run_dir: PathLike, validate: ValidateFn | None = None) -> int:
    """Trains a job to its end; on failure, names the damaged records or clips.

    Args:
      job: new; restored from the newest checkpoint if there is one.
      run_dir: the run folder.
      validate: see `loop.run`.

    Returns:
      The iteration reached.

    Raises:
      UserError: a record is damaged, or the loss of an iteration is not finite: its
        clips are named and kept.
    """
    loop = job.config.loop
    damage = Damage(loop.skip_corrupt)

    def batches_from(
        first_step: int, share: BatchShare = WHOLE_BATCH
    ) -> tf.data.Dataset:
        return input_pipeline.training_batches(
            job.data_dir, job.info, loop, job.parse, first_step, share, damage
        )

    try:
        return training_loop.run(
            job.trainer, batches_from, job.n_steps, loop, run_dir, validate
        )
    except LossNotFiniteError as error:
        batches = batches_from(error.step - 1)
        raise failures.save_clips(error, batches, run_dir) from None
    except tf.errors.OpError as error:
        failures.name_damaged_record(job.data_dir, job.info, damage)
        if isinstance(error, tf.errors.InvalidArgumentError):
            failures.name_unreadable_record(job.data_dir, job.info, job.parse)
        raise  # all records are whole
    finally:
        if damage.skip and damage.n_replaced:
            logging.warning(damage.summary())


def set_seed(loop: LoopConfig) -> None:
    """Makes all that is random from now on a function of `loop.seed`."""
    keras.utils.set_random_seed(loop.seed)
    if loop.deterministic_ops:
        tf.config.experimental.enable_op_determinism()


def validates(loop: LoopConfig, info: DatasetInfo) -> bool:
    """Returns whether a training validates: it is asked to and has the split."""
    return loop.validate_every > 0 and validation.SPLIT in info.splits


def check_same_recognizer(
    info: DatasetInfo,
    recognizer: RecognizerInfo,
    data_dir: PathLike,
    decoder_dir: PathLike,
) -> None:
    """Raises UserError if a decoder takes the features of another recognizer.

    fc7 before and after its ReLU count as two: docs/decisions/face-feature.md.

    Args:
      info: `dataset.json` of the voice data set.
      recognizer: recognizer whose features the decoder takes.
      data_dir: the data set, for the message.
      decoder_dir: the decoder, for the message.
    """
    if info.recognizer != recognizer:
        raise UserError(
            f"{data_dir} has features of {info.recognizer.name} "
            f"({info.recognizer.checksum[:8]}), the decoder in {decoder_dir} takes "
            f"those of {recognizer.name} ({recognizer.checksum[:8]}); build both data "
            "sets with the same recognizer"
        )
