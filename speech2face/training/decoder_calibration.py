"""Measures the gradients of the decoder's losses, and the weights that even them out.

Two losses pull at the texture, its own and the recognizer's; two at the landmarks. With
a loss of its own that is too weak, a branch follows the recognizer alone, and the
decoder draws what only a recognizer takes for a face
(docs/decisions/face-decoder-training.md).
"""

import dataclasses
import functools

import numpy as np
import tensorflow as tf

from speech2face.artifacts import run_folder
from speech2face.artifacts.checkpoints import Checkpointer
from speech2face.config import DecoderLossConfig, DecoderTrainingConfig
from speech2face.data import input_pipeline
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.training.decoder_gradients import (
    LANDMARKS,
    PULLS,
    TEXTURE,
    Branches,
    log_name,
)
from speech2face.training.decoder_job import DecoderJob, prepare_decoder_training
from speech2face.training.losses import decoder_weights
from speech2face.training.trainer import Batch, Terms

Norms = dict[tuple[str, str], float]  # (term, branch) -> mean norm of the gradient

_ROW = "{:<12}{:<12}{:>12}{:>12}{:>12}{:>14}"


@dataclasses.dataclass(frozen=True)
class DecoderCalibration:
    """The gradients at one iteration of a run.

    Attributes:
      iteration: 0 stands for the start, at which the decoder draws the average face.
      n_examples: number of examples averaged over.
      loss: the run's weights.
      gradient_norms: (term, branch) -> mean |d term / d branch|_2, without weights.
    """

    iteration: int
    n_examples: int
    loss: DecoderLossConfig
    gradient_norms: Norms

    def weighted_norms(self) -> Norms:
        """Returns the gradient norms times the run's weights."""
        weights = decoder_weights(self.loss)
        return {
            (term, branch): weights[term] * norm
            for (term, branch), norm in self.gradient_norms.items()
        }

    def equal_weights(self) -> dict[str, float]:
        """Returns weights with which the two pulls at either branch are the same.

        The identity loss keeps its weight; 1 if that is 0.

        Raises:
          UserError: a term has no gradient, so no weight makes it equal.
        """
        for (term, branch), norm in self.gradient_norms.items():
            if not (norm > 0 and np.isfinite(norm)):
                raise UserError(
                    f"the gradient of {term} with respect to {branch} has norm {norm} "
                    f"at iteration {self.iteration}: no weight makes it equal to the "
                    "others; train longer, or look at the data set"
                )
        identity = self.loss.identity_weight or 1.0
        norms = self.gradient_norms
        own = {
            branch: identity * norms["identity", branch] / norms[branch, branch]
            for branch in (TEXTURE, LANDMARKS)
        }
        return {**own, "identity": identity}

    def flags(self) -> list[str]:
        """Returns `equal_weights` as flags of `speech2face.train_face_decoder`."""
        weights = self.equal_weights()
        return [
            f"--texture_weight={weights['texture']:.4g}",
            f"--landmark_weight={weights['landmarks']:.4g}",
            f"--identity_weight={weights['identity']:.4g}",
        ]

    def table(self) -> str:
        """Returns all results as text."""
        columns = ("at", "term", "gradient", "weight", "weighted", "equal weight")
        where = f"iteration {self.iteration}" if self.iteration else "average face"
        lines = [
            f"{where}: mean over {self.n_examples} examples of the gradient's norm at "
            "texture and landmarks",
            "",
            _ROW.format(*columns),
            *self._rows(),
            "",
            "Flags that make the two at the texture equal, and the two at the "
            "landmarks:",
            "  " + " ".join(self.flags()),
        ]
        return "\n".join(lines)

    def _rows(self) -> list[str]:
        weights, equal = decoder_weights(self.loss), self.equal_weights()
        weighted = self.weighted_norms()
        rows = []
        for term, branch in PULLS:
            norm = self.gradient_norms[term, branch]
            numbers = (norm, weights[term], weighted[term, branch], equal[term])
            rows.append(_ROW.format(branch, term, *(f"{n:.4g}" for n in numbers)))
        return rows


def calibrate(
    run_dir: PathLike,
    data_dir: PathLike,
    n_batches: int = 8,
    vgg_face_weights: PathLike = "",
    voice_data_dir: PathLike = "",
) -> list[DecoderCalibration]:
    """Measures a run at its start and, if it has one, at its newest checkpoint.

    The start is the average face, which a decoder draws after a few iterations. A new
    decoder draws a flat gray, and no landmark moves anything in that. Each is measured
    on the training batches that would come next. Nothing is written.

    Args:
      run_dir: a run of `speech2face.train_face_decoder`.
      data_dir: its data set, or another of the same recognizer.
      n_batches: number of batches, each of the run's batch size.
      vgg_face_weights: the file that the training was given.
      voice_data_dir: the folder that the training was given.

    Raises:
      FileNotFoundError: the run folder, the data set or the weights are missing.
      UserError: they do not fit together, or `n_batches` is less than 1.
    """
    if n_batches < 1:
        raise UserError(f"--n_batches is {n_batches}; it must be at least 1")
    config = run_folder.read_config(run_dir, DecoderTrainingConfig)
    job = prepare_decoder_training(
        _with_identity(config), data_dir, vgg_face_weights, voice_data_dir
    )
    _check_same_voices(run_dir, job)
    norms = {0: norms_at_average_face(job, n_batches)}
    iteration = Checkpointer(run_dir, job.trainer.model).restore_latest()
    if iteration:
        norms[iteration] = _norms_of_model(job, iteration, n_batches)
    n_examples = n_batches * config.loop.batch_size
    return [
        DecoderCalibration(iteration, n_examples, config.decoder_loss, of_iteration)
        for iteration, of_iteration in norms.items()
    ]


def norms_at_average_face(job: DecoderJob, n_batches: int) -> Norms:
    """Returns the gradients for a decoder that draws the average of these faces.

    Args:
      job: a training with an identity loss.
      n_batches: number of batches, the first of the training.

    Returns:
      `DecoderCalibration.gradient_norms`.
    """
    batches = list(_next_batches(job, 0, n_batches))
    average = Branches(
        tf.reduce_mean([batch["texture"] for batch in batches], axis=(0, 1)),
        tf.reduce_mean([batch["landmarks"] for batch in batches], axis=(0, 1)),
    )

    @functools.partial(tf.function, autograph=False)
    def terms_of(batch: Batch) -> Terms:
        n = tf.shape(batch["texture"])[0]
        ends = Branches(*(tf.repeat(end[tf.newaxis], n, axis=0) for end in average))
        return job.trainer.terms_of(batch, ends)

    return _means([terms_of(batch) for batch in batches])


def _norms_of_model(job: DecoderJob, iteration: int, n_batches: int) -> Norms:
    terms_of = tf.function(
        lambda batch: job.trainer.losses(batch, training=True), autograph=False
    )
    batches = _next_batches(job, iteration, n_batches)
    return _means([terms_of(batch) for batch in batches])


def _means(measured: list[Terms]) -> Norms:
    return {
        pull: float(np.mean([terms[log_name(*pull)] for terms in measured]))
        for pull in PULLS
    }


def _check_same_voices(run_dir: PathLike, job: DecoderJob) -> None:
    """Raises UserError if v_f has another scale than in the run."""
    name = "voice_data_set"
    if run_folder.must_match_of(run_dir).get(name) != job.must_match[name]:
        raise UserError(
            f"{run_dir} was started with another --voice_data_dir, hence another scale "
            "of features; give the same one",
            reason="another_run",
        )


def _with_identity(config: DecoderTrainingConfig) -> DecoderTrainingConfig:
    """Returns the config with an identity loss, whose gradient is always measured."""
    loss = config.decoder_loss
    loss = dataclasses.replace(loss, identity_weight=loss.identity_weight or 1.0)
    return dataclasses.replace(config, decoder_loss=loss)


def _next_batches(job: DecoderJob, iteration: int, n_batches: int) -> tf.data.Dataset:
    loop = job.config.loop
    n_examples = (iteration + n_batches) * loop.batch_size
    # One epoch more than needed: a finished run has batches to measure on as well.
    epochs = n_examples / job.info.n_examples("train") + 1
    loop = dataclasses.replace(loop, epochs=epochs)
    batches = input_pipeline.training_batches(
        job.data_dir, job.info, loop, job.parse, iteration
    )
    return batches.take(n_batches)
