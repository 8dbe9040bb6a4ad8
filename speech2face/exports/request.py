"""Checks a request to `speech2face.export` before TensorFlow is imported."""

import importlib.util
import typing
from collections.abc import Sequence
from typing import Literal

from speech2face import files
from speech2face.artifacts.decoder_files import BUNDLE_KIND
from speech2face.errors import UserError
from speech2face.files import FolderKind, PathLike
from speech2face.paper import FACE_PX

WeightType = Literal["float32", "float16", "int8"]

BUNDLE = "bundle"  # the folder that `Speech2Face.load` takes
SAVED_MODEL = "savedmodel"
SAVED_MODEL_IO = "savedmodel_io"  # also takes encoded audio
TFLITE = "tflite"
ONNX = "onnx"
FORMATS = (BUNDLE, SAVED_MODEL, SAVED_MODEL_IO, TFLITE, ONNX)

TABLE_FILE = "exports.md"
RESULTS_FILE = "exports.json"
# What a new export may replace; TensorFlow and the formats name the files.
_SUFFIXES = ("", "_float16", "_int8")  # of float32 and the other weights
_SAVED_MODEL_FILES = ("saved_model.pb", "fingerprint.pb", "variables/variables.*")
EXPORT_KIND = FolderKind(
    "an earlier export",
    (TABLE_FILE, *BUNDLE_KIND.marks),
    (
        TABLE_FILE,
        RESULTS_FILE,
        *BUNDLE_KIND.names,
        *(f"speech2face{s}.{kind}" for s in _SUFFIXES for kind in ("tflite", "onnx")),
        *(
            f"{name}{suffix}/{file}"
            for name in ("saved_model", "saved_model_io")
            for suffix in _SUFFIXES
            for file in _SAVED_MODEL_FILES
        ),
    ),
)


def check(
    output_dir: PathLike,
    formats: Sequence[str],
    weights: Sequence[str],
    image_size: int = FACE_PX,
) -> None:
    """Checks a request.

    Args:
      output_dir: where the files will be.
      formats: any of `FORMATS`.
      weights: any of `WeightType`.
      image_size: side of the faces in px.

    Raises:
      UserError: a name is unknown, a package is missing, or the folder holds other
        files.
    """
    _check_names("formats", formats, FORMATS)
    _check_names("weights", weights, typing.get_args(WeightType))
    if not formats or not weights:
        raise UserError("--formats and --weights need at least one name each")
    if BUNDLE in formats and tuple(weights) not in (("float32",), ("float16",)):
        raise UserError(
            f"a bundle holds float32 or float16 weights, not {','.join(weights)}: "
            "export the other formats with a separate command"
        )
    if BUNDLE in formats and image_size != FACE_PX:
        raise UserError(
            f"a bundle has no size of pictures: leave out --image_size={image_size} "
            "and give it to the commands that read the bundle"
        )
    for name, package, command in _missing_packages(formats):
        raise UserError(f"the format {name} needs {package}: {command}")
    files.check_replaceable(output_dir, kind=EXPORT_KIND)


def _check_names(flag: str, names: Sequence[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            raise UserError(f"--{flag}={name} is not one of {', '.join(known)}")


def _missing_packages(formats: Sequence[str]) -> list[tuple[str, str, str]]:
    """(format, package that it lacks, how to install it) of the chosen formats."""
    needed = (
        (ONNX, "tf2onnx", 'pip install -c constraints.txt -e ".[export]"'),
        (SAVED_MODEL_IO, "tensorflow_io", "pip install tensorflow-io==0.37.1"),
    )
    return [
        (name, package, command)
        for name, package, command in needed
        if name in formats and not importlib.util.find_spec(package)
    ]
