"""Loads a recognizer by the name that data sets record."""

from speech2face.config import InferencePrecision
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.recognizers.base import Recognizer
from speech2face.recognizers.dlib import DlibFace
from speech2face.recognizers.vgg_face import VGG_FACE_NAMES, VggFace


def load_recognizer(
    name: str, weights: PathLike = "", precision: InferencePrecision = "float32"
) -> Recognizer:
    """Loads the recognizer `name`.

    Args:
      name: 'vgg_face' (fc7 before its ReLU), 'vgg_face_relu' (fc7 after it:
        docs/decisions/face-feature.md) or 'dlib'.
      weights: its weights file; '' takes dlib's from the package
        face_recognition_models. VGG-Face has no default: its weights are a download.
      precision: arithmetic of VGG-Face's convolutions; dlib's are float32.

    Raises:
      FileNotFoundError: there is no such file, or no such package.
      UserError: another name, no weights, a file that holds something else, or dlib in
        bfloat16.
    """
    if name == "dlib":
        if precision != "float32":
            raise UserError(f"dlib's recognizer computes in float32, not {precision}")
        return DlibFace(weights)
    if name in VGG_FACE_NAMES:
        return VggFace(weights, name == "vgg_face_relu", precision)
    raise UserError(
        f"unknown recognizer {name!r}; expected 'dlib' or one of {VGG_FACE_NAMES}"
    )
