"""Imports every VGG-Face weights file in circulation, recognized by its content.

    MatConvNet   vgg_face.mat (authors), vgg-face.mat (vlfeat.org)
    Caffe        VGG_FACE.caffemodel (authors)
    Torch7       VGG_FACE.t7 (authors)
    PyTorch      vgg_face_dag.pth
    Keras        rcmalli_vggface_tf_vgg16.h5 (keras-vggface), vgg_face_weights.h5
                 (deepface)

Each reader is written for files that cannot be trusted: sizes are checked against the
bytes that are there, and nothing in a file is executed. A file that is not what it
should be ends in a UserError of one line (docs/decisions/untrusted-weight-files.md).
"""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import (
    caffe,
    keras_hdf5,
    matconvnet,
    pytorch,
    torch7,
    vgg_face_file,
    vgg_face_size,
)
from speech2face.weights.vgg_face_file import VggFaceInfo
from speech2face.weights.vgg_face_layout import SourceNetwork, to_common_layout
from speech2face.weights.vgg_face_size import VggFaceSize

KNOWN_FORMATS = (
    "MatConvNet .mat, Caffe .caffemodel, Torch7 .t7, PyTorch .pth, Keras .h5"
)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_T7_STARTS = (
    b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V ",  # an object with index 1 and a version
    b"\x03\0\0\0\x01\0\0\0",  # a table with index 1
)
# Files that people mistake for the weights, by their first bytes, and what to do.
_MISTAKEN = (
    (b"MATLAB 7.3 MAT-file", "is a MATLAB 7.3 file; save it with '-v7' in MATLAB"),
    (b"4\n1\n3\nV ", "is a Torch7 file in ASCII; save it in binary"),
    (b"\x1f\x8b", "is a gzip archive: unpack it and pass the weights inside"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the weights themselves"),
    (b"<", "is a web page, not weights: the download failed"),
    (b"\n<", "is a web page, not weights: the download failed"),
)


def import_weights(
    path: PathLike,
    output: PathLike,
    *,
    size: VggFaceSize | None = None,
    channel_order: str = "auto",
    class_names: Sequence[str] = (),
) -> VggFaceInfo:
    """Converts a VGG-Face file to the format that this project reads.

    Args:
      path: weights in one of the formats above.
      output: where to write; see `vgg_face_file`.
      size: expected size, the paper's by default.
      channel_order: 'auto' for the order that follows from the format and the names of
        the layers, or 'rgb' or 'bgr' for a file known to differ.
      class_names: names of the classes, for formats without them.

    Returns:
      The description of the file written.

    Raises:
      FileNotFoundError: there is no file at `path`.
      UserError: the file is not VGG-Face, not complete, or not safe, or `output` is a
        file that this project did not write.
    """
    vgg_face_file.check_may_overwrite(output)
    size = size or vgg_face_size.PAPER_SIZE
    source = read_source(path)
    if channel_order != "auto":
        source = dataclasses.replace(source, channel_order=channel_order)
    weights = to_common_layout(source, size, path)
    names = tuple(class_names) or source.class_names
    if names and len(names) != size.n_classes:
        raise UserError(
            f"{path}: {len(names)} class names for {size.n_classes} classes"
        )
    return vgg_face_file.write(
        output,
        weights,
        size=size,
        source_format=source.source_format,
        source_sha256=files.sha256(path),
        channel_order=source.channel_order,
        class_names=names,
    )


def read_source(path: PathLike) -> SourceNetwork:
    """Returns the network of a file in any of the formats, in the format's layout.

    Raises:
      FileNotFoundError: there is no file at `path`.
      UserError: the file is of no known format, or damaged.
    """
    return _READERS[identify(path)](path)


def identify(path: PathLike) -> str:
    """Returns a file's format, from its content: a key of the readers' table.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the content is of no known format.
    """
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"no file {path}; expected VGG-Face weights")
    with pathlib.Path(path).open("rb") as file:
        head = file.read(128)
    if not head:
        raise UserError(f"{path} is empty")
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return "matlab"
    if head.startswith(_HDF5_SIGNATURE):
        return "keras"
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return "pytorch"
    if head.startswith(_T7_STARTS):
        return "torch7"
    for start, advice in _MISTAKEN:
        if head.startswith(start):
            raise UserError(f"{path} {advice}")
    if caffe.looks_like_caffe(path):  # protobuf has no signature
        return "caffe"
    raise UserError(
        f"{path} is not a VGG-Face weights file, or is truncated; expected one of: "
        f"{KNOWN_FORMATS}"
    )


def describe(info: VggFaceInfo, output: PathLike) -> list[str]:
    """Returns lines that report what was imported."""
    names = f"{len(info.class_names)} class names" if info.class_names else "no names"
    return [
        f"{output}: VGG-Face, {info.size.n_parameters:,} parameters, {names}",
        f"source: {info.source_format}, channels {info.channel_order.upper()}, "
        f"sha256 {info.source_sha256}",
        f"checksum: {info.checksum}",
    ]


def read_class_names(path: PathLike) -> list[str]:
    """Returns the lines of a text file, such as the authors' names.txt.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it is not a text file.
    """
    try:
        lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a text file of one name a line") from None
    return [line.strip() for line in lines if line.strip()]


_READERS: dict[str, Callable[[PathLike], SourceNetwork]] = {
    "matlab": matconvnet.read_matlab,
    "caffe": caffe.read_caffe,
    "torch7": torch7.read_torch7,
    "pytorch": pytorch.read_pytorch,
    "keras": keras_hdf5.read_keras,
}
