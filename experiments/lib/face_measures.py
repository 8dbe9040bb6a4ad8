"""The twelve craniofacial measures of Fig. 5, on dlib's 68 landmarks.

The paper cites Merler et al. 2019 ("Diversity in Faces") for its measures and does not
define them. The definitions here are ours: docs/decisions/craniofacial-measures.md.
Landmarks have dlib's indices from 0: 0 to 16 the jaw from ear to ear, 27 to 35 the
nose, 36 to 47 the eyes, 48 to 67 the mouth.
"""

from typing import Literal, NamedTuple

import numpy as np

# One of dlib's 68 landmarks, or the mean of several; a segment between two of them.
Point = int | tuple[int, ...]
Segment = tuple[Point, Point]

MOUTH = (62, 66)  # the middle between the lips: their inner edges
JAW_WIDTH: Segment = (4, 12)
NOSE_HEIGHT: Segment = (27, 33)
NOSE_WIDTH: Segment = (31, 35)
MOUTH_WIDTH: Segment = (48, 54)


class Measure(NamedTuple):
    """One measure of a face.

    Attributes:
      name: name in Fig. 5.
      formula: what is measured, in words.
      segments: the one or two segments whose lengths it is made of.
      combine: how two lengths become one number; 'mean' also for a single one.
    """

    name: str
    formula: str
    segments: tuple[Segment, ...]
    combine: Literal["mean", "ratio", "product"] = "mean"


MEASURES = (
    Measure("upper lip height", "base of the nose to mouth", ((33, MOUTH),)),
    Measure(
        "lateral upper lip heights",
        "each side of the nose's base to the lip below it",
        ((32, 50), (34, 52)),
    ),
    Measure("jaw width", "between the corners of the jaw", (JAW_WIDTH,)),
    Measure("nose height", "root to base of the nose", (NOSE_HEIGHT,)),
    Measure("nose width", "between the wings of the nose", (NOSE_WIDTH,)),
    Measure("labio oral region", "between the corners of the mouth", (MOUTH_WIDTH,)),
    Measure(
        "mandibular idx", "mouth to chin / jaw width", ((MOUTH, 8), JAW_WIDTH), "ratio"
    ),
    Measure(
        "intercanthal idx",
        "inner / outer corners of the eyes",
        ((39, 42), (36, 45)),
        "ratio",
    ),
    Measure(
        "nasal index", "nose width / nose height", (NOSE_WIDTH, NOSE_HEIGHT), "ratio"
    ),
    Measure(
        "vermilion height idx",
        "height of the upper / of the lower lip",
        ((51, 62), (66, 57)),
        "ratio",
    ),
    Measure(
        "mouth face width idx",
        "mouth width / width of the face",
        (MOUTH_WIDTH, (0, 16)),
        "ratio",
    ),
    Measure(
        "nose area", "nose height x nose width", (NOSE_HEIGHT, NOSE_WIDTH), "product"
    ),
)


def evaluate(measure: Measure, points: np.ndarray) -> np.ndarray:
    """Measures n faces.

    Args:
      measure: one of `MEASURES`.
      points: landmarks [n, 68, 2] (x, y) px at 224 x 224.

    Returns:
      [n], in px, px^2, or without a unit.
    """
    lengths = [
        np.linalg.norm(_place(points, one) - _place(points, two), axis=-1)
        for one, two in measure.segments
    ]
    if measure.combine == "ratio":
        return lengths[0] / np.maximum(lengths[1], 1e-6)  # landmarks may coincide
    if measure.combine == "product":
        return lengths[0] * lengths[1]
    return np.mean(lengths, axis=0)


def _place(points: np.ndarray, point: Point) -> np.ndarray:
    """Returns the position of a point, [n, 2]."""
    return points[:, np.atleast_1d(point)].mean(axis=1)
