"""Measures of the demo on unseen people: recall, and traits read from the voice.

All numbers count people, not frames: another frame of the right person is right.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from experiments.lib import results
from speech2face.metrics.features import unit

if TYPE_CHECKING:
    from speech2face.inference.evaluation import Predictions

# The traits of generated people (data_prep/sample/traits.py), and whether a voice tells
# them: the others are drawn independently of it.
TRAITS = {
    "gender": ("female", "male"),
    "age": (),  # a number
    "body_size": ("small", "medium", "large"),
    "skin": ("light", "medium", "dark"),
}
TOLD_BY_VOICE = ("gender", "age", "body_size")

# Of the probe's ridge regression, in mean squared norms of a feature. A tenth reads the
# traits of unseen faces best among .01, .1 and 1.
_RIDGE = 0.1


class TraitMeasure(NamedTuple):
    """Correlations of a trait with its estimates from features of unseen people.

    Attributes:
      name: name of the trait.
      is_told: whether the voice depends on it.
      voice: r of the trait and what S2F features say of it.
      interval: 95 % interval of `voice`, drawing people; None for too few.
      face: the same from the true faces' features, the best that is possible.
    """

    name: str
    is_told: bool
    voice: float
    interval: tuple[float, float] | None
    face: float


def person_ranks(predictions: "Predictions") -> tuple[np.ndarray, int]:
    """The rank of the right person for each voice.

    A person is as near as its nearest face.

    Returns:
      [n] float64 from 1, people at the same distance sharing their mean rank, and the
      number of people.
    """
    people, person = np.unique(predictions.speaker_ids, return_inverse=True)
    cosines = unit(predictions.voice_features) @ unit(predictions.face_features).T
    nearest = np.stack(
        [cosines[:, person == k].max(axis=1) for k in range(len(people))], axis=1
    )
    right = nearest[np.arange(len(person)), person][:, np.newaxis]
    ranks = 0.5 + (nearest > right).sum(1) + 0.5 * (nearest == right).sum(1)
    return ranks, len(people)


def read_traits(
    features: np.ndarray,
    labels: Sequence[Mapping[str, str]],
    predictions: "Predictions",
) -> list[TraitMeasure]:
    """Reads the traits out of predicted and of true features.

    Args:
      features: [m, d] v_f of people that the model was trained on.
      labels: m dicts of their traits.
      predictions: predictions for other people.
    """
    measures = []
    for name, classes in TRAITS.items():
        known = [name in label for label in labels]
        if not any(known) or any(name not in label for label in predictions.labels):
            continue
        values = _numbers([label for label in labels if name in label], name, classes)
        probe = _fit(features[known], values)
        true = _numbers(predictions.labels, name, classes)
        heard = np.stack([true, probe(predictions.voice_features)], 1)
        seen = np.stack([true, probe(predictions.face_features)], 1)
        ends = results.interval(heard, predictions.speaker_ids, _correlation)
        told = name in TOLD_BY_VOICE
        measures.append(
            TraitMeasure(name, told, _correlation(heard), ends, _correlation(seen))
        )
    return measures


def _numbers(
    labels: Sequence[Mapping[str, str]], name: str, classes: Sequence[str]
) -> np.ndarray:
    values = [label[name] for label in labels]
    return np.array([classes.index(v) if classes else float(v) for v in values], float)


def _fit(
    features: np.ndarray, values: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """A ridge regression of [m] values on [m, d] features."""
    middle, mean = features.mean(0, dtype=np.float64), values.mean()
    centered = features - middle
    strength = _RIDGE * np.square(centered).sum(1).mean()
    gram = centered.T @ centered / len(centered) + strength * np.eye(len(middle))
    weights = np.linalg.solve(gram, centered.T @ (values - mean) / len(centered))
    return lambda others: (others - middle) @ weights + mean


def _correlation(pairs: np.ndarray) -> float:
    """Pearson's r of the columns of [n, 2]; 0 if one is constant."""
    centered = pairs - pairs.mean(0)
    spread = np.sqrt(np.square(centered).sum(0)).prod()
    return float(centered.prod(1).sum() / spread) if spread else 0.0
