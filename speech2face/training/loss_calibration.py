"""Measures the gradient of each term of Eq. 1, and the lambdas that even them out.

The paper tunes lambda1 and lambda2 "such that the gradient magnitude of each term with
respect to v_s are within a similar scale at an early iteration (we measured at the
1000th iteration)" (Sec. 3). Its values, 0.025 and 200, hold for its feature scale,
classes and decoder; the rule holds for any. Here the rule is a measurement: for one
checkpoint of a run, the mean over examples of |d term / d v_s|_2, under either
`loss_reduction` (docs/decisions/loss-weights.md).
"""

import dataclasses
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from speech2face.artifacts import (
    checkpoints,
    decoder_bundle,
    network_size,
    run_folder,
)
from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.artifacts.decoder_files import DECODER_DIR
from speech2face.config import LossConfig, VoiceTrainingConfig
from speech2face.data import dataset_info, input_pipeline
from speech2face.data.dataset_info import DatasetInfo
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path
from speech2face.models import voice_encoder
from speech2face.training.job import check_same_recognizer
from speech2face.training.voice import Eq1

TERMS = Eq1.TERMS
REDUCTIONS: tuple[Literal["sum", "mean"], ...] = ("sum", "mean")

# The gradient of the normalized L2 is 1 / |v_s|, and the logits of v_s grow with it.
MAX_LENGTH_RATIO = 3

_ROW = "{:<10}{:<14}{:>12}{:>12}{:>12}{:>14}"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The gradients of one checkpoint.

    Attributes:
      iteration: iteration of the checkpoint.
      n_examples: number of examples averaged over.
      loss: the run's weights and reduction.
      voice_norm: mean |v_s|; the gradient of the normalized L2 is proportional to its
        inverse.
      face_norm: mean |v_f|.
      gradient_norms: reduction -> term -> mean |d term / d v_s|_2, without weights.
    """

    iteration: int
    n_examples: int
    loss: LossConfig
    voice_norm: float
    face_norm: float
    gradient_norms: dict[str, dict[str, float]]

    def weighted_norms(self, reduction: str) -> dict[str, float]:
        """Returns the gradient norms times the run's weights."""
        weights = _weights(self.loss)
        norms = self.gradient_norms[reduction]
        return {term: weights[term] * norms[term] for term in TERMS}

    def equal_weights(self, reduction: str) -> dict[str, float]:
        """Returns the weights under which the three weighted norms are the same.

        The first term keeps its weight (Eq. 1: 1).

        Raises:
          UserError: a term has no gradient, so no weight makes it equal.
        """
        norms = self.gradient_norms[reduction]
        for term, norm in norms.items():
            if not (norm > 0 and np.isfinite(norm)):
                raise UserError(
                    f"the gradient of {term} with respect to v_s has norm {norm} at "
                    f"iteration {self.iteration}: no lambda makes it equal to the "
                    "others; calibrate at another iteration or look at the decoder"
                )
        first = self.loss.decoder_weight or 1.0
        return {term: first * norms["decoder_l1"] / norms[term] for term in TERMS}

    def flags(self, reduction: str) -> list[str]:
        """Returns `equal_weights` as flags of `speech2face.train`."""
        weights = self.equal_weights(reduction)
        return [
            f"--loss_reduction={reduction}",
            f"--decoder_weight={weights['decoder_l1']:.4g}",
            f"--lambda1={weights['feature_l2']:.4g}",
            f"--lambda2={weights['distillation']:.4g}",
        ]

    def table(self) -> str:
        """Returns all results as text."""
        lines = [
            f"iteration {self.iteration}: mean over {self.n_examples} examples of "
            f"|d term / d v_s|; |v_s| {self.voice_norm:.4g}, |v_f| "
            f"{self.face_norm:.4g}, T {self.loss.temperature:g}",
            "",
            _ROW.format(
                "reduction", "term", "gradient", "weight", "weighted", "equal weight"
            ),
        ]
        for reduction in self._reductions():
            lines += self._rows(reduction)
        lines += ["", "Flags that make the three equal (the rule of Sec. 3):"]
        for reduction in self._reductions():
            lines.append("  " + " ".join(self.flags(reduction)))
        return "\n".join(lines)

    def _rows(self, reduction: str) -> list[str]:
        columns = (
            self.gradient_norms[reduction],
            _weights(self.loss),
            self.weighted_norms(reduction),
            self.equal_weights(reduction),
        )
        return [
            _ROW.format(reduction, term, *(f"{column[term]:.4g}" for column in columns))
            for term in TERMS
        ]

    def _reductions(self) -> list[str]:
        """Returns both reductions, that of the run first."""
        return sorted(REDUCTIONS, key=lambda name: name != self.loss.loss_reduction)


def calibrate(run_dir: PathLike, data_dir: PathLike, n_batches: int = 8) -> Calibration:
    """Measures the newest checkpoint of a run on the batches that would come next.

    The network runs as in training (statistics of the batch, dropout, augmentation),
    since the optimizer sees the gradient of that v_s. Nothing is written.

    Args:
      run_dir: a run of `speech2face.train` with a checkpoint.
      data_dir: its voice data set, or another of the same recognizer.
      n_batches: number of batches, each of the run's batch size.

    Raises:
      FileNotFoundError: the run folder, a checkpoint or the data set is missing.
      UserError: they do not fit together, `n_batches` is less than 1, or v_s is still
        much longer than v_f.
    """
    if n_batches < 1:
        raise UserError(f"--n_batches is {n_batches}; it must be at least 1")
    config = run_folder.read_config(run_dir, VoiceTrainingConfig)
    info = dataset_info.read(data_dir, kind="voice")
    decoder = decoder_bundle.load(as_path(run_dir) / DECODER_DIR)
    check_same_recognizer(info, decoder.recognizer, data_dir, run_dir)
    feature_dim = decoder.recognizer.feature_dim
    network_size.check_encoder(as_path(run_dir), config.voice_encoder, feature_dim)
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, feature_dim)
    checkpointer = checkpoints.Checkpointer(run_dir, encoder)
    iteration = checkpointer.restore_latest(required=True)
    keras.utils.set_random_seed(config.loop.seed)  # dropout draws from it
    measured = []
    for batch in _next_batches(config, data_dir, info, iteration, n_batches):
        voice_feature = encoder(batch["waveform"], training=True)
        measured.append(
            _measure(config.loss, decoder, batch["face_feature"], voice_feature)
        )
    means = {name: float(np.mean([m[name] for m in measured])) for name in measured[0]}
    if means["voice_norm"] > MAX_LENGTH_RATIO * means["face_norm"]:
        raise UserError(
            f"|v_s| is {means['voice_norm']:.4g} at iteration {iteration}, and |v_f| "
            f"{means['face_norm']:.4g}: gradients at so long a v_s say nothing about "
            "the rest of the training; train on, and calibrate when they are alike",
            reason="voice_feature_too_long",
        )
    return Calibration(
        iteration=iteration,
        n_examples=n_batches * config.loop.batch_size,
        loss=config.loss,
        voice_norm=means["voice_norm"],
        face_norm=means["face_norm"],
        gradient_norms={
            reduction: {term: means[reduction, term] for term in TERMS}
            for reduction in REDUCTIONS
        },
    )


def _measure(
    loss: LossConfig,
    decoder: DecoderBundle,
    raw_feature: tf.Tensor,
    voice_feature: tf.Tensor,
) -> dict[Any, np.ndarray]:
    """Returns norms [b]: of v_s, of v_f, and of the gradient of (reduction, term)."""
    face_feature = decoder.normalizer.normalize(raw_feature)
    measured: dict[Any, np.ndarray] = {
        "voice_norm": np.linalg.norm(voice_feature, axis=-1),
        "face_norm": np.linalg.norm(face_feature, axis=-1),
    }
    for reduction in REDUCTIONS:
        config = dataclasses.replace(loss, loss_reduction=reduction)
        norms = Eq1(decoder).gradient_norms(config, raw_feature, voice_feature)
        measured.update({(reduction, term): norms[term] for term in TERMS})
    return measured


def _next_batches(
    config: VoiceTrainingConfig,
    data_dir: PathLike,
    info: DatasetInfo,
    iteration: int,
    n_batches: int,
) -> tf.data.Dataset:
    n_examples = (iteration + n_batches) * config.loop.batch_size
    # One epoch more than needed: a finished run has batches to measure on as well.
    epochs = n_examples / info.n_examples("train") + 1
    parse = input_pipeline.voice_parser(
        info, config.audio, config.augment, config.loop.seed
    )
    loop = dataclasses.replace(config.loop, epochs=epochs)
    batches = input_pipeline.training_batches(data_dir, info, loop, parse, iteration)
    return batches.take(n_batches)


def _weights(config: LossConfig) -> dict[str, float]:
    return {
        "decoder_l1": config.decoder_weight,
        "feature_l2": config.lambda1,
        "distillation": config.lambda2,
    }
