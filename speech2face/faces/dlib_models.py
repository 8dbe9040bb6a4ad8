"""dlib's own HOG detector and 68-point landmark model, loaded once a process."""

import functools
from typing import Any

import dlib
import numpy as np

from speech2face.weights import dlib as dlib_weights


@functools.cache
def hog_detector() -> Any:
    """Returns dlib's HOG detector: (image [h, w, 3] uint8, doublings) -> boxes."""
    return dlib.get_frontal_face_detector()


@functools.cache
def landmark_model() -> Any:
    """Returns dlib's landmark model: (image [h, w, 3] uint8, rectangle) -> shape.

    Raises:
      FileNotFoundError: the package face_recognition_models is missing.
    """
    return dlib.shape_predictor(dlib_weights.package_file(dlib_weights.LANDMARKS_FILE))


def landmarks_from(image: np.ndarray, start: Any) -> np.ndarray:
    """Returns the 68 landmarks of a face, [68, 2] float32, (x, y) px.

    Args:
      image: [h, w, 3] uint8 RGB.
      start: dlib.rectangle from which the landmarks start.
    """
    parts = landmark_model()(np.ascontiguousarray(image), start).parts()
    return np.array([(point.x, point.y) for point in parts], np.float32)
