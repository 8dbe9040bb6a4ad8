"""Fits what the head on the speaker recognizer does not learn by gradient.

In closed form, from the voice vectors and face features of all training clips:

1. the constants of `VoiceVector`: mean, deviation, center, scale
2. the first weights of a head without hidden layers: the ridge regression that the
   noise of the training amounts to. With noise of deviation s on n clips, the expected
   squared error is that of ridge regression of strength n s^2
   (C. Bishop, "Training with Noise is Equivalent to Tikhonov Regularization", 1995)
3. the gain: features predicted for voices that were not fitted, in ten folds by
   speaker, become as long as true features on average. The regression is scaled to
   predictions of length 1 before, so that a learning rate fits any normalizer

Not in the paper: docs/decisions/compact-head-options.md, docs/decisions/feature-gain.md
"""

import hashlib
from collections.abc import Iterator, Sequence

import keras
import numpy as np

from speech2face.config import VoiceEncoderConfig

N_FOLDS = 10
_LEAST_NOISE = 1e-2  # without any, clips fewer than numbers have no one solution


def fit(
    encoder: keras.Model,
    config: VoiceEncoderConfig,
    vectors: np.ndarray,
    face_features: np.ndarray,
    speakers: Sequence[str],
) -> None:
    """Fits the head of an encoder of `speaker_encoder.build_speaker_encoder`.

    Args:
      encoder: its weights are changed.
      config: what it was built from.
      vectors: [n, 1216] float32 voice vectors of the training clips.
      face_features: [n, d] float32 v_f of the same clips.
      speakers: [n]; clips of one speaker are in one fold.
    """
    layer = encoder.get_layer("vector")
    layer.fit(vectors)
    if config.speaker_hidden_units:
        return
    inputs = np.asarray(layer(vectors), np.float64)
    targets = face_features.astype(np.float64)
    noise = max(config.speaker_noise, _LEAST_NOISE)
    kernel, bias = regression(inputs, targets, noise)
    length = np.linalg.norm(targets, axis=1).mean()
    predicted_length = length * length_share(inputs, targets, speakers, noise)
    encoder.get_layer("feature").set_weights(
        [kernel / predicted_length, bias / predicted_length]
    )
    gain = config.speaker_gain * length if config.speaker_gain else predicted_length
    encoder.get_layer("gain").gain.assign(gain)


def regression(
    inputs: np.ndarray, targets: np.ndarray, noise: float
) -> list[np.ndarray]:
    """Returns kernel [k, d] and bias [d] of the least expected squared error.

    Args:
      inputs: [n, k] float64.
      targets: [n, d] float64.
      noise: standard deviation of the noise on each input.
    """
    center, mean = inputs.mean(0), targets.mean(0)
    x = inputs - center
    strength = len(x) * noise**2
    covariance = x.T @ x + strength * np.eye(x.shape[1])
    kernel = np.linalg.solve(covariance, x.T @ (targets - mean))
    return [kernel, mean - center @ kernel]


def length_share(
    inputs: np.ndarray, targets: np.ndarray, speakers: Sequence[str], noise: float
) -> float:
    """Returns the mean length of predictions for new voices, relative to the targets'.

    Args:
      inputs: [n, k] float64.
      targets: [n, d] float64; lengths are those of v_f, as the face decoder sees it.
      speakers: [n].
      noise: see `regression`.
    """
    predicted = np.zeros_like(targets)
    for held_out in folds(speakers):
        kernel, bias = regression(inputs[~held_out], targets[~held_out], noise)
        predicted[held_out] = inputs[held_out] @ kernel + bias
    lengths = [np.linalg.norm(v, axis=1).mean() for v in (predicted, targets)]
    return float(lengths[0] / lengths[1])


def folds(speakers: Sequence[str]) -> Iterator[np.ndarray]:
    """Yields the clips [n] bool of each fold; which one is a hash of the speaker."""
    hashes = [
        hashlib.sha256(f"f{speaker}".encode()).hexdigest() for speaker in speakers
    ]
    fold = np.array([int(digest, 16) % N_FOLDS for digest in hashes])
    for index in np.unique(fold):
        if (fold != index).any():  # otherwise nothing is left to fit
            yield fold == index
