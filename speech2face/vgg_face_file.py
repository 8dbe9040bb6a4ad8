"""The imported VGG-Face weights file: one HDF5 layout, whatever file it came from.

`python -m speech2face.import_vgg_face` writes it; the network and its classifier head
are read from it. Conventions of the arrays, the same for every source:

    convolutions  kernel [3, 3, in, out] (HWIO), input channels of conv1_1 are R, G, B
    fc6           kernel [h * w * c, out], rows ordered as a flattened [h, w, c] map
    fc7, fc8      kernel [in, out]
    all           bias [out]; float32

The file holds one group per layer with `kernel` and `bias` and the layer's SHA-256,
optionally the `class_names`, and as attributes where the weights came from and one
checksum over all layers. Nothing here imports TensorFlow.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Dict, NamedTuple, Sequence, Tuple

import h5py
import numpy as np

from speech2face import files

FILE_FORMAT = "speech2face vgg_face"
FORMAT_VERSION = 1

IMPORT_HINT = "convert one with python -m speech2face.import_vgg_face"


@dataclasses.dataclass(frozen=True)
class VggFaceSize:
    """How wide VGG-Face is. The defaults are the network of Parkhi et al. (BMVC 2015).

    Attributes:
      blocks: channels of the 3 x 3 convolutions of each block; a 2 x 2 max pool with
        stride 2 follows every block.
      fc_units: units of fc6 and of fc7, the width of the face feature.
      n_classes: units of fc8, the identities of the training set.
      input_px: height and width of the input image.
    """

    blocks: Tuple[Tuple[int, ...], ...] = (
        (64, 64),
        (128, 128),
        (256, 256, 256),
        (512, 512, 512),
        (512, 512, 512),
    )
    fc_units: int = 4096
    n_classes: int = 2622
    input_px: int = 224

    @property
    def pool5_shape(self) -> Tuple[int, int, int]:
        """Shape (height, width, channels) of the last pooling layer's output."""
        side = self.input_px // 2 ** len(self.blocks)
        return side, side, self.blocks[-1][-1]

    @property
    def kernel_shapes(self) -> Dict[str, Tuple[int, ...]]:
        """Kernel shape of every layer with weights, by layer name, in network order."""
        shapes: Dict[str, Tuple[int, ...]] = {}
        n_in = 3
        for block, channels in enumerate(self.blocks, start=1):
            for index, n_out in enumerate(channels, start=1):
                shapes[f"conv{block}_{index}"] = (3, 3, n_in, n_out)
                n_in = n_out
        shapes["fc6"] = (int(np.prod(self.pool5_shape)), self.fc_units)
        shapes["fc7"] = (self.fc_units, self.fc_units)
        shapes["fc8"] = (self.fc_units, self.n_classes)
        return shapes

    @property
    def n_parameters(self) -> int:
        """Number of weights and biases: 145,002,878 for the paper's network."""
        shapes = self.kernel_shapes.values()
        return sum(int(np.prod(shape)) + shape[-1] for shape in shapes)


PAPER_SIZE = VggFaceSize()


class LayerWeights(NamedTuple):
    """One layer's arrays in the conventions of this module."""

    kernel: np.ndarray
    bias: np.ndarray


Weights = Dict[str, LayerWeights]


class Head(NamedTuple):
    """fc8, the classifier: logits = relu(fc7) @ weights + bias."""

    weights: np.ndarray  # [fc_units, n_classes] float32
    bias: np.ndarray  # [n_classes] float32


@dataclasses.dataclass(frozen=True)
class VggFaceInfo:
    """What an imported file says about itself.

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
    class_names: Tuple[str, ...] = ()


def write(
    path: str,
    weights: Weights,
    *,
    size: VggFaceSize = PAPER_SIZE,
    source_format: str,
    source_sha256: str = "",
    channel_order: str = "rgb",
    class_names: Sequence[str] = (),
) -> VggFaceInfo:
    """Writes an imported weights file; `path` appears only when it is complete.

    Raises ValueError where an array has not the shape that `size` asks for.
    """
    _check_shapes(weights, size)
    digests = {name: _layer_sha256(name, layer) for name, layer in weights.items()}
    info = VggFaceInfo(
        size=size,
        source_format=source_format,
        source_sha256=source_sha256,
        channel_order=channel_order,
        checksum=_total_sha256(digests),
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


def read_info(path: str) -> VggFaceInfo:
    """Returns what the file says about itself, without reading any weights."""
    with _open(path) as file:
        return _read_info(file, path)


def read_weights(path: str) -> Tuple[Weights, VggFaceInfo]:
    """Returns all layers and the file's description; every array is verified.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is not an imported one, is incomplete, or was changed.
    """
    with _open(path) as file:
        info = _read_info(file, path)
        names = info.size.kernel_shapes
        weights = {name: _read_layer(file, name, info, path) for name in names}
    return weights, info


def load_head(path: str) -> Head:
    """Returns fc8 alone, for training the voice encoder (Eq. 1).

    Reads 43 MB of the 580: the rest of the network is neither read nor allocated.
    Raises as `read_weights`.
    """
    with _open(path) as file:
        info = _read_info(file, path)
        return Head(*_read_layer(file, "fc8", info, path))


def random_weights(size: VggFaceSize, seed: int = 0) -> Weights:
    """Returns weights drawn at random (He et al. scale), for tests and benchmarks."""
    generator = np.random.default_rng(seed)
    weights = {}
    for name, shape in size.kernel_shapes.items():
        scale = np.float32(np.sqrt(2.0 / np.prod(shape[:-1])))
        kernel = generator.standard_normal(shape, dtype=np.float32) * scale
        bias = generator.standard_normal(shape[-1], dtype=np.float32) * np.float32(0.1)
        weights[name] = LayerWeights(kernel, bias)
    return weights


def is_imported_file(file: h5py.File) -> bool:
    """Returns whether an open HDF5 file is one that `write` made."""
    return file.attrs.get("format") == FILE_FORMAT


def _open(path: str) -> h5py.File:
    if not os.path.isfile(path):
        raise FileNotFoundError(f"no VGG-Face weights at {path}; {IMPORT_HINT}")
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise ValueError(
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


def _read_info(file: h5py.File, path: str) -> VggFaceInfo:
    if not is_imported_file(file):
        raise ValueError(f"{path} is not an imported VGG-Face file; {IMPORT_HINT}")
    version = int(file.attrs["format_version"])
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{path} has format version {version}, this program reads "
            f"{FORMAT_VERSION}; import the weights again"
        )
    names = file["class_names"].asstr()[:] if "class_names" in file else ()
    size = json.loads(file.attrs["size"])
    size["blocks"] = tuple(tuple(block) for block in size["blocks"])
    return VggFaceInfo(
        size=VggFaceSize(**size),
        source_format=file.attrs["source_format"],
        source_sha256=file.attrs["source_sha256"],
        channel_order=file.attrs["channel_order"],
        checksum=file.attrs["checksum"],
        class_names=tuple(names),
    )


def _read_layer(
    file: h5py.File, name: str, info: VggFaceInfo, path: str
) -> LayerWeights:
    shape = info.size.kernel_shapes[name]
    try:
        kernel, bias = file[name]["kernel"], file[name]["bias"]
        if kernel.shape != shape or bias.shape != shape[-1:]:
            raise ValueError(
                f"{path}: {name} has shapes {kernel.shape} and {bias.shape}, expected "
                f"{shape} and {shape[-1:]}; import the weights again"
            )
        layer = LayerWeights(kernel[:], bias[:])
        digest = file[name].attrs["sha256"]
    except (KeyError, OSError) as error:
        raise ValueError(
            f"{path}: cannot read layer {name} ({error}); import the weights again"
        ) from None
    if _layer_sha256(name, layer) != digest:
        raise ValueError(
            f"{path}: layer {name} does not match its checksum, the file was changed; "
            "import the weights again"
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
    digest = hashlib.sha256(name.encode())
    for array in layer:
        digest.update(str(array.shape).encode())
        digest.update(np.ascontiguousarray(array, dtype="<f4"))
    return digest.hexdigest()


def _total_sha256(digests: Dict[str, str]) -> str:
    return hashlib.sha256("".join(digests.values()).encode()).hexdigest()
