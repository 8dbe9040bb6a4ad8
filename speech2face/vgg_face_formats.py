"""Every VGG-Face weights file in circulation, recognised by content, as one file.

    MatConvNet   vgg_face.mat (authors), vgg-face.mat (vlfeat.org)
    Caffe        VGG_FACE.caffemodel (authors)
    Torch7       VGG_FACE.t7 (authors)
    PyTorch      vgg_face_dag.pth
    Keras        rcmalli_vggface_tf_vgg16.h5 (keras-vggface), vgg_face_weights.h5
                 (deepface)

Each reader is written for files that cannot be trusted: sizes are checked against the
bytes that are there, and nothing in a file is executed. A file that is not what it
should be ends in a ValueError of one line.
"""

import dataclasses
import os
from typing import Callable, Dict, List, Optional, Sequence

from speech2face import (
    files,
    vgg_face_caffe,
    vgg_face_file,
    vgg_face_keras,
    vgg_face_matlab,
    vgg_face_pytorch,
    vgg_face_torch7,
)
from speech2face.vgg_face_file import VggFaceInfo, VggFaceSize
from speech2face.vgg_face_layout import SourceNetwork, to_common_layout

KNOWN_FORMATS = (
    "MatConvNet .mat, Caffe .caffemodel, Torch7 .t7, PyTorch .pth, Keras .h5"
)

_HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_T7_STARTS = (
    b"\x04\0\0\0\x01\0\0\0\x03\0\0\0V ",  # an object with index 1 and a version
    b"\x03\0\0\0\x01\0\0\0",  # a table with index 1
)
# Files that people take for the weights, by their first bytes: what to do instead.
_MISTAKEN = (
    (b"MATLAB 7.3 MAT-file", "is a MATLAB 7.3 file; save it with '-v7' in MATLAB"),
    (b"4\n1\n3\nV ", "is a Torch7 file in ASCII; save it in binary"),
    (b"\x1f\x8b", "is a gzip archive: unpack it and pass the weights inside"),
    (b"version https://git-lfs", "is a Git LFS pointer, not the weights themselves"),
    (b"<", "is a web page, not weights: the download failed"),
    (b"\n<", "is a web page, not weights: the download failed"),
)


def import_weights(
    path: str,
    output: str,
    *,
    size: Optional[VggFaceSize] = None,
    channel_order: str = "auto",
    class_names: Sequence[str] = (),
) -> VggFaceInfo:
    """Converts a VGG-Face file to the one that this project reads.

    Args:
      path: weights in one of the formats above.
      output: where to write; see `vgg_face_file`.
      size: expected size, the paper's by default.
      channel_order: 'auto' for the order that the format has, or 'rgb' or 'bgr' for a
        file known to differ.
      class_names: names of the classes, for formats that carry none.

    Raises:
      FileNotFoundError: there is no file at `path`.
      ValueError: the file is not VGG-Face, not complete, or not safe.
    """
    size = size or vgg_face_file.PAPER_SIZE
    source = read_source(path)
    if channel_order != "auto":
        source = dataclasses.replace(source, channel_order=channel_order)
    weights = to_common_layout(source, size, path)
    names = tuple(class_names) or source.class_names
    if names and len(names) != size.n_classes:
        raise ValueError(
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


def read_source(path: str) -> SourceNetwork:
    """Returns the network of a file in any of the formats, in its own layout.

    Raises as `import_weights`.
    """
    return _READERS[identify(path)](path)


def identify(path: str) -> str:
    """Returns a file's format, from its content: a key of the readers' table.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the content is of no known format.
    """
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no file {path}; expected VGG-Face weights")
    with open(path, "rb") as file:
        head = file.read(128)
    if not head:
        raise ValueError(f"{path} is empty")
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
            raise ValueError(f"{path} {advice}")
    if vgg_face_caffe.looks_like_caffe(path):  # protobuf has no signature
        return "caffe"
    raise ValueError(
        f"{path} is not a VGG-Face weights file, or is truncated; expected one of: "
        f"{KNOWN_FORMATS}"
    )


def describe(info: VggFaceInfo, output: str) -> List[str]:
    """Returns the lines that tell a person what was imported."""
    names = f"{len(info.class_names)} class names" if info.class_names else "no names"
    return [
        f"{output}: VGG-Face, {info.size.n_parameters:,} parameters, {names}",
        f"source: {info.source_format}, channels {info.channel_order.upper()}, "
        f"sha256 {info.source_sha256}",
        f"checksum: {info.checksum}",
    ]


def read_class_names(path: str) -> List[str]:
    """Returns the lines of a text file, such as the authors' names.txt.

    Raises FileNotFoundError or ValueError where it cannot be read as text.
    """
    try:
        with open(path, encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip()]
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not a text file of one name a line") from None


_READERS: Dict[str, Callable[[str], SourceNetwork]] = {
    "matlab": vgg_face_matlab.read_matlab,
    "caffe": vgg_face_caffe.read_caffe,
    "torch7": vgg_face_torch7.read_torch7,
    "pytorch": vgg_face_pytorch.read_pytorch,
    "keras": vgg_face_keras.read_keras,
}
