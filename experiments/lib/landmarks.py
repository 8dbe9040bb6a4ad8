"""Landmarks of decoded faces by dlib (Fig. 5).

DEST, the paper's library, is not available as a package:
docs/decisions/craniofacial-measures.md.
"""

from typing import NamedTuple

import dlib
import numpy as np
from PIL import Image

from experiments.lib.results import NotApplicable
from speech2face.faces import dlib_models

# dlib's landmarks are whole pixels. Found in an image four times as large, they are
# quarter pixels, which the small distances of a 224 px face need.
UPSAMPLE = 4
_MIN_PAIRS = 3  # a correlation of fewer is +1 or -1


class LandmarkPairs(NamedTuple):
    """Landmarks of the pairs of faces in which both faces were found.

    Attributes:
      f2f: [k, 68, 2] (x, y) px.
      s2f: [k, 68, 2] (x, y) px.
      kept: [k] which of the pairs they are.
      note: how they were found, for a reader of the table.
    """

    f2f: np.ndarray
    s2f: np.ndarray
    kept: np.ndarray
    note: str


def detect(image: np.ndarray) -> np.ndarray | None:
    """dlib's landmarks of the largest face in an image, at a quarter pixel.

    Args:
      image: [224, 224, 3] uint8 RGB.

    Returns:
      [68, 2] float64, or None where dlib's HOG detector finds no face.
    """
    boxes = dlib_models.hog_detector()(image, 0)
    if not boxes:
        return None
    box = max(boxes, key=lambda rectangle: rectangle.area())
    # dlib's right and bottom are the last pixel, not the edge after it.
    edges = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
    left, top, right, bottom = (UPSAMPLE * edge for edge in edges)
    large = Image.fromarray(image).resize(
        (UPSAMPLE * image.shape[1], UPSAMPLE * image.shape[0]), Image.Resampling.BICUBIC
    )
    box = dlib.rectangle(left, top, right - 1, bottom - 1)
    points = dlib_models.landmarks_from(np.asarray(large), box).astype(np.float64)
    return (points + 0.5) / UPSAMPLE - 0.5  # pixel centers stay where they are


def detect_pairs(f2f_images: np.ndarray, s2f_images: np.ndarray) -> LandmarkPairs:
    """Finds the landmarks of n pairs of faces, [n, 224, 224, 3] uint8 each.

    Raises:
      NotApplicable: both faces are found in fewer than three pairs.
    """
    pairs = [(detect(f2f), detect(s2f)) for f2f, s2f in zip(f2f_images, s2f_images)]
    complete: list[tuple[int, np.ndarray, np.ndarray]] = [
        (i, f2f, s2f)
        for i, (f2f, s2f) in enumerate(pairs)
        if f2f is not None and s2f is not None
    ]
    if len(complete) < _MIN_PAIRS:
        raise NotApplicable(
            f"dlib finds a face in {len(complete)} of {len(pairs)} pairs of decoded "
            "images: the face decoder draws no faces yet; --landmarks=decoder takes "
            "its own points"
        )
    kept, f2f_points, s2f_points = zip(*complete)
    note = (
        f"landmarks: dlib's on the images, at a quarter pixel; faces found in "
        f"{len(complete)} of {len(pairs)} pairs"
    )
    return LandmarkPairs(
        np.stack(f2f_points), np.stack(s2f_points), np.array(kept), note
    )
