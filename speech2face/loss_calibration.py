"""How hard each term of Eq. 1 pulls at v_s, and the lambdas that would make it equal.

The paper tunes lambda1 and lambda2 "such that the gradient magnitude of each term with
respect to v_s are within a similar scale at an early iteration (we measured at the
1000th iteration)" (Sec. 3). Its values, 0.025 and 200, hold for its feature scale,
classes and decoder; the rule holds for any. Here it is a measurement: for one
checkpoint of a run, the mean over examples of |d term / d v_s|_2, under either
`loss_reduction`.
"""

import dataclasses
import os
import pathlib
from typing import Dict, List

import keras
import numpy as np
import tensorflow as tf

from speech2face import (
    checkpoints,
    dataset_info,
    decoder_bundle,
    input_pipeline,
    training,
)
from speech2face.config import LossConfig, VoiceTrainingConfig
from speech2face.decoder_bundle import DECODER_DIR
from speech2face.models import voice_encoder
from speech2face.voice_trainer import Eq1

TERMS = Eq1.TERMS
REDUCTIONS = ("sum", "mean")

_ROW = "{:<10}{:<14}{:>12}{:>12}{:>12}{:>14}"


@dataclasses.dataclass(frozen=True)
class Calibration:
    """The gradients of one checkpoint.

    Attributes:
      iteration: of the checkpoint.
      n_examples: how many were averaged.
      loss: the run's own weights and reduction.
      voice_norm: mean |v_s|, to whose inverse the normalised L2's gradient is
        proportional.
      face_norm: mean |v_f|.
      gradient_norms: reduction -> term -> mean |d term / d v_s|_2, without weights.
    """

    iteration: int
    n_examples: int
    loss: LossConfig
    voice_norm: float
    face_norm: float
    gradient_norms: Dict[str, Dict[str, float]]

    def weighted_norms(self, reduction: str) -> Dict[str, float]:
        """Returns the gradient norms times the run's own weights."""
        weights = _weights(self.loss)
        norms = self.gradient_norms[reduction]
        return {term: weights[term] * norms[term] for term in TERMS}

    def equal_weights(self, reduction: str) -> Dict[str, float]:
        """Returns the weights under which the three weighted norms are the same.

        The first term keeps its weight (Eq. 1: 1).

        Raises:
          ValueError: a term has no gradient, so no weight makes it equal.
        """
        norms = self.gradient_norms[reduction]
        for term, norm in norms.items():
            if not (norm > 0 and np.isfinite(norm)):
                raise ValueError(
                    f"the gradient of {term} with respect to v_s has norm {norm} at "
                    f"iteration {self.iteration}: no lambda makes it equal to the "
                    "others; calibrate at another iteration or look at the decoder"
                )
        first = self.loss.decoder_weight or 1.0
        return {term: first * norms["decoder_l1"] / norms[term] for term in TERMS}

    def flags(self, reduction: str) -> List[str]:
        """Returns `equal_weights` as flags of `speech2face.train`."""
        weights = self.equal_weights(reduction)
        return [
            f"--loss_reduction={reduction}",
            f"--decoder_weight={weights['decoder_l1']:.4g}",
            f"--lambda1={weights['feature_l2']:.4g}",
            f"--lambda2={weights['distillation']:.4g}",
        ]

    def table(self) -> str:
        """Returns all of it as text."""
        lines = [
            f"iteration {self.iteration}: mean over {self.n_examples} examples of "
            f"|d term / d v_s|; |v_s| {self.voice_norm:.4g}, |v_f| "
            f"{self.face_norm:.4g}, T {self.loss.temperature:g}",
            "",
            _ROW.format(
                "reduction", "term", "gradient", "weight", "weighted", "equal weight"
            ),
        ]
        for reduction in self._own_first():
            lines += self._rows(reduction)
        lines += ["", "Flags that make the three equal (the rule of Sec. 3):"]
        for reduction in self._own_first():
            lines.append("  " + " ".join(self.flags(reduction)))
        return "\n".join(lines)

    def _rows(self, reduction: str) -> List[str]:
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

    def _own_first(self) -> List[str]:
        return sorted(REDUCTIONS, key=lambda name: name != self.loss.loss_reduction)


def calibrate(
    run_dir: "os.PathLike[str]", data_dir: "os.PathLike[str]", n_batches: int = 8
) -> Calibration:
    """Measures the newest checkpoint of a run on the batches it would train on next.

    The network runs as in training (statistics of the batch, dropout, augmentation),
    since that is the v_s whose gradient the optimizer sees. Nothing is written.

    Args:
      run_dir: a run of `speech2face.train` with a checkpoint.
      data_dir: its voice data set, or another of the same recognizer.
      n_batches: how many batches of the run's own size.

    Raises:
      FileNotFoundError: no run folder, no checkpoint, or no data set.
      ValueError: they do not fit together, or `n_batches` is less than 1.
    """
    if n_batches < 1:
        raise ValueError(f"--n_batches is {n_batches}; it must be at least 1")
    config = checkpoints.read_config(run_dir, VoiceTrainingConfig)
    info = dataset_info.read(data_dir, kind="voice")
    decoder = decoder_bundle.load(pathlib.Path(run_dir) / DECODER_DIR)
    training.check_same_recognizer(info, decoder.recognizer, data_dir, run_dir)
    encoder = voice_encoder.build_voice_encoder(
        config.voice_encoder, decoder.recognizer.feature_dim
    )
    checkpointer = checkpoints.Checkpointer(run_dir, encoder)
    iteration = checkpointer.restore_latest(required=True)
    keras.utils.set_random_seed(config.loop.seed)  # of the dropout
    measured = []
    for batch in _next_batches(config, data_dir, info, iteration, n_batches):
        voice_feature = encoder(batch["waveform"], training=True)
        measured.append(
            _measure(config.loss, decoder, batch["face_feature"], voice_feature)
        )
    means = {name: float(np.mean([m[name] for m in measured])) for name in measured[0]}
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


def _measure(loss, decoder, raw_feature, voice_feature) -> dict:
    face_feature = decoder.normalizer.normalize(raw_feature)
    measured = {
        "voice_norm": np.linalg.norm(voice_feature, axis=-1),
        "face_norm": np.linalg.norm(face_feature, axis=-1),
    }
    for reduction in REDUCTIONS:
        config = dataclasses.replace(loss, loss_reduction=reduction)
        norms = Eq1(decoder).gradient_norms(config, raw_feature, voice_feature)
        measured.update({(reduction, term): norms[term] for term in TERMS})
    return measured


def _next_batches(config, data_dir, info, iteration, n_batches) -> tf.data.Dataset:
    n_examples = (iteration + n_batches) * config.loop.batch_size
    epochs = n_examples / info.n_examples("train") + 1  # a finished run goes on, too
    parse = input_pipeline.voice_parser(
        info, config.audio, config.augment, config.loop.seed
    )
    loop = dataclasses.replace(config.loop, epochs=epochs)
    batches = input_pipeline.training_batches(data_dir, info, loop, parse, iteration)
    return batches.take(n_batches)


def _weights(config: LossConfig) -> Dict[str, float]:
    return {
        "decoder_l1": config.decoder_weight,
        "feature_l2": config.lambda1,
        "distillation": config.lambda2,
    }
