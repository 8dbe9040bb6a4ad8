"""The imported VGG-Face weights file: one HDF5 layout, whatever file it came from.

`python -m speech2face.import_vgg_face` writes it; the network and its classifier head
are read from it. Conventions of the arrays, the same for every source:

    convolutions  kernel [3, 3, in, out] (HWIO), input channels of conv1_1 are R, G, B
    fc6           kernel [h * w * c, out], rows ordered as a flattened [h, w, c] map
    fc7, fc8      kernel [in, out]
    all           bias [out]; float32

The file holds one group per layer with `kernel` and `bias` and the layer's SHA-256, and
optionally the `class_names`. Its attributes say where the weights came from and give
one checksum over all layers. Nothing here imports TensorFlow.
"""

import contextlib
import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import h5py
import numpy as np

from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import from_json
from speech2face.weights import hdf5_arrays
from speech2face.weights.vgg_face_size import PAPER_SIZE, VggFaceSize

FILE_FORMAT = "speech2face vgg_face"
FORMAT_VERSION = 1

_IMPORT_AGAIN = "; import the weights again"
IMPORT_HINT = "convert one with python -m speech2face.import_vgg_face"


class LayerWeights(NamedTuple):
    """One layer's arrays in the conventions of this module."""

    kernel: np.ndarray
    bias: np.ndarray


Weights = dict[str, LayerWeights]


@dataclasses.dataclass(frozen=True)
class VggFaceInfo:
    """Description of an imported file, from its attributes.

    Attributes:
      size: the network's size.
      source_format: the format that was read, such as 'Torch7'.
      source_sha256: SHA-256 of the source file.
      channel_order: order of the source's input channels, 'rgb' or 'bgr'.
      checksum: SHA-256 over the imported arrays: the same network gives the same
        checksum from every format.
      class_names: names of the classes, empty where unknown.
    """

    size: VggFaceSize
    source_format: str
    source_sha256: str
    channel_order: str
    checksum: str
    class_names: tuple[str, ...] = ()


def write(
    path: PathLike,
    weights: Weights,
    *,
    size: VggFaceSize = PAPER_SIZE,
    source_format: str,
    source_sha256: str = "",
    channel_order: str = "rgb",
    class_names: Sequence[str] = (),
) -> VggFaceInfo:
    """Writes an imported weights file; `path` appears only when it is complete.

    Args:
      path: the file to write.
      weights: all layers, float32.
      size: size of the network.
      source_format: the format that was read, such as 'Torch7'.
      source_sha256: SHA-256 of the file that was read.
      channel_order: 'rgb' or 'bgr', of that file. `weights` are always for RGB.
      class_names: n_classes names, or none.

    Returns:
      The description that `read_info` will return.

    Raises:
      ValueError: a layer is missing or has not the shape that `size` asks for.
    """
    _check_shapes(weights, size)
    # A digest for each layer, so that the head can be verified without the rest.
    digests = {name: _layer_sha256(name, layer) for name, layer in weights.items()}
    info = VggFaceInfo(
        size=size,
        source_format=source_format,
        source_sha256=source_sha256,
        channel_order=channel_order,
        checksum=hashlib.sha256("".join(digests.values()).encode()).hexdigest(),
        class_names=tuple(class_names),
    )
    with files.atomic_path(pathlib.Path(path)) as partial:
        with h5py.File(partial, "w") as file:
            _write_info(file, info)
            for name, layer in weights.items():
                group = file.create_group(name)
                group.create_dataset("kernel", data=layer.kernel)
                group.create_dataset("bias", data=layer.bias)
                group.attrs["sha256"] = digests[name]
    return info


def read_info(path: PathLike) -> VggFaceInfo:
    """Returns a file's description, without reading any weights.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is not an imported one.
    """
    with _open(path) as file:
        return _read_info(file, path)


def read_weights(path: PathLike) -> tuple[Weights, VggFaceInfo]:
    """Returns all layers and the file's description; every array is verified.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is not an imported one, is incomplete, or was changed.
    """
    with _open(path) as file:
        info = _read_info(file, path)
        names = info.size.kernel_shapes
        weights = _read_layers(file, list(names), info, path)
    return weights, info


def load_head(path: PathLike) -> LayerWeights:
    """Returns fc8 alone, for training the voice encoder (Eq. 1).

    logits = relu(fc7) @ kernel + bias, kernel [fc_units, n_classes]. Reads 43 MB of the
    580: the rest of the network is neither read nor allocated.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: as `read_weights`.
    """
    with _open(path) as file:
        info = _read_info(file, path)
        return _read_layers(file, ["fc8"], info, path)["fc8"]


def is_imported_file(file: h5py.File) -> bool:
    """Returns whether an open HDF5 file is one that `write` made."""
    value = file.attrs.get("format")
    return isinstance(value, str) and value == FILE_FORMAT


def check_may_overwrite(path: PathLike) -> None:
    """Raises UserError if `path` is a file that `write` did not make."""
    if not pathlib.Path(path).exists():
        return
    is_imported = False
    with contextlib.suppress(UserError), hdf5_arrays.errors_of(path):
        with h5py.File(path, "r") as file:
            is_imported = is_imported_file(file)
    if not is_imported:
        raise UserError(
            f"{path} exists and is not an imported VGG-Face file; choose another output"
        )


def _open(path: PathLike) -> h5py.File:
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"no VGG-Face weights at {path}; {IMPORT_HINT}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise UserError(
            f"{path} is not an imported VGG-Face file or is incomplete ({error}); "
            f"{IMPORT_HINT}"
        ) from None


def _write_info(file: h5py.File, info: VggFaceInfo) -> None:
    file.attrs["format"] = FILE_FORMAT
    file.attrs["format_version"] = FORMAT_VERSION
    file.attrs["size"] = json.dumps(dataclasses.asdict(info.size))
    for name in ("source_format", "source_sha256", "channel_order", "checksum"):
        file.attrs[name] = getattr(info, name)
    if info.class_names:
        file.create_dataset("class_names", data=list(info.class_names))


def _read_info(file: h5py.File, path: PathLike) -> VggFaceInfo:
    with hdf5_arrays.errors_of(path, _IMPORT_AGAIN):
        return _parse_info(file, path)


def _parse_info(file: h5py.File, path: PathLike) -> VggFaceInfo:
    if not is_imported_file(file):
        raise UserError(f"{path} is not an imported VGG-Face file; {IMPORT_HINT}")
    version = file.attrs.get("format_version")
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version}, this program reads "
            f"{FORMAT_VERSION}; import the weights again"
        )
    size = from_json(VggFaceSize, _text(file, "size", path), str(path))
    names: Sequence[str] = ()
    if "class_names" in file:
        arrays = hdf5_arrays.ArrayReader(path)
        names = arrays.texts(arrays.member(file, "class_names"), size.n_classes)
    return VggFaceInfo(
        size=size,
        source_format=_text(file, "source_format", path),
        source_sha256=_text(file, "source_sha256", path),
        channel_order=_text(file, "channel_order", path),
        checksum=_text(file, "checksum", path),
        class_names=tuple(names),
    )


def _text(file: h5py.File, name: str, path: PathLike) -> str:
    value = file.attrs.get(name)
    if not isinstance(value, str):
        raise UserError(
            f"{path}: its description is damaged ({name} is not a text){_IMPORT_AGAIN}"
        )
    return value


def _read_layers(
    file: h5py.File, names: Sequence[str], info: VggFaceInfo, path: PathLike
) -> Weights:
    arrays = hdf5_arrays.ArrayReader(path)  # one limit for all of them
    with hdf5_arrays.errors_of(path, _IMPORT_AGAIN):
        return {name: _read_layer(file, name, info, arrays, path) for name in names}


def _read_layer(
    file: h5py.File,
    name: str,
    info: VggFaceInfo,
    arrays: hdf5_arrays.ArrayReader,
    path: PathLike,
) -> LayerWeights:
    shape = info.size.kernel_shapes[name]
    group = arrays.member(file, name)
    kernel, bias = arrays.member(group, "kernel"), arrays.member(group, "bias")
    for dataset in (kernel, bias):
        arrays.declare(dataset)
    if kernel.shape != shape or bias.shape != shape[-1:]:
        raise UserError(
            f"{path}: {name} has shapes {kernel.shape} and {bias.shape}, expected "
            f"{shape} and {shape[-1:]}{_IMPORT_AGAIN}"
        )
    layer = LayerWeights(kernel[:], bias[:])
    if _layer_sha256(name, layer) != group.attrs["sha256"]:
        raise UserError(
            f"{path}: layer {name} does not match its checksum, the file was changed"
            f"{_IMPORT_AGAIN}"
        )
    return layer


def _check_shapes(weights: Weights, size: VggFaceSize) -> None:
    expected = {name: (s, s[-1:]) for name, s in size.kernel_shapes.items()}
    found = {name: (w.kernel.shape, w.bias.shape) for name, w in weights.items()}
    if list(found) != list(expected):
        raise ValueError(f"expected the layers {list(expected)}, got {list(found)}")
    for name, shapes in expected.items():
        if found[name] != shapes:
            raise ValueError(f"{name} has shapes {found[name]}, expected {shapes}")


def _layer_sha256(name: str, layer: LayerWeights) -> str:
    # Shapes count too: [2, 3] and [3, 2] can have the same bytes.
    digest = hashlib.sha256(name.encode())
    for array in layer:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4").data)
    return digest.hexdigest()
