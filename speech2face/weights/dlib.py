"""Reads the weights of dlib's face networks, recognition and detection, from its files.

dlib (D. E. King, "Dlib-ml: A Machine Learning Toolkit", JMLR 2009) can run
`dlib_face_recognition_resnet_model_v1.dat` but does not show its weights, so this reads
the bytes. A network's file holds the loss, one version integer per nested layer, the
input layer, then the computational layers from input to output; each layer its name,
its details, three flags and three empty tensors. `dlib_stream` reads the values.
"""

import dataclasses
import importlib.util
import math
import pathlib
import struct
from collections.abc import Callable
from typing import TypeVar

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights.dlib_stream import FormatError, Reader

# Files of the package face_recognition_models (CC0)
NETWORK_FILE = "dlib_face_recognition_resnet_model_v1.dat"
NETWORK_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
DETECTOR_FILE = "mmod_human_face_detector.dat"
LANDMARKS_FILE = "shape_predictor_68_face_landmarks.dat"

INPUT_NAME = "input_rgb_image_sized"
PYRAMID_NAME = "input_rgb_image_pyramid"

Read = TypeVar("Read")


def _no_values() -> np.ndarray:
    return np.empty(0, np.float32)


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of the file; weights and bias are empty in kinds without them.

    Attributes:
      kind: `con`, `affine`, `relu`, `max_pool`, `avg_pool`, `add_prev` or `fc`.
      window: (rows, columns) of `con` and the pools; (0, 0) covers everything.
      stride: (rows, columns) of `con` and the pools.
      padding: (rows, columns) of `con` and the pools.
      weights: float32; `con`: [out, in, rows, columns], `affine`: [channels] (gamma),
        `fc`: [in, out].
      bias: float32 [channels] of `con` and `affine`.
    """

    kind: str
    window: tuple[int, int] = (0, 0)
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    weights: np.ndarray = dataclasses.field(default_factory=_no_values)
    bias: np.ndarray = dataclasses.field(default_factory=_no_values)


@dataclasses.dataclass(frozen=True)
class FaceNetwork:
    """A face recognition network as its file holds it.

    Attributes:
      input_mean: (red, green, blue) subtracted from pixels of 0..255.
      input_px: (rows, columns) of the input image.
      layers: the layers from input to output.
    """

    input_mean: tuple[float, float, float]
    input_px: tuple[int, int]
    layers: list[Layer]


@dataclasses.dataclass(frozen=True)
class DetectorNetwork:
    """A face detector as its file holds it.

    Attributes:
      input_mean: (red, green, blue) subtracted from pixels of 0..255.
      window_px: (columns, rows) of the box that a score stands for.
      max_overlap: intersection over union above which the weaker of two boxes is
        dropped.
      layers: the layers from input to output.
    """

    input_mean: tuple[float, float, float]
    window_px: tuple[int, int]
    max_overlap: float
    layers: list[Layer]


def package_file(name: str) -> str:
    """Returns the path of a file of the package face_recognition_models.

    Found without importing the package, which needs pkg_resources.

    Raises:
      FileNotFoundError: the package or the file is missing.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = pathlib.Path(folder, "models", name)
        if path.is_file():
            return str(path)
    raise FileNotFoundError(
        f"dlib's {name} is missing: install it with pip install face_recognition_models"
    )


def read_face_network(path: PathLike) -> FaceNetwork:
    """Reads a `loss_metric` network over RGB images of one size.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is not such a network, is damaged, or holds a weight that is
        not a number; names the file and the byte.
    """
    return _read(path, NETWORK_FILE, _read_network)


def read_detector(path: PathLike) -> DetectorNetwork:
    """Reads a `loss_mmod` network over an image pyramid (King 2015).

    Raises:
      FileNotFoundError: there is no such file.
      UserError: as `read_face_network`.
    """
    return _read(path, DETECTOR_FILE, _read_detector)


def folded_convolution(
    layer: Layer, affine: Layer | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Makes one convolution of Keras of a convolution and the affine layer after it.

    Args:
      layer: a layer of kind `con`.
      affine: the layer of kind `affine` that follows, or None.

    Returns:
      kernel [rows, columns, in, out] and bias [out], float32.
    """
    weights, bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
    if affine is not None:
        weights = weights * affine.weights[:, None, None, None]
        bias = bias * affine.weights + affine.bias
    kernel = weights.transpose(2, 3, 1, 0)  # [o, i, h, w] -> [h, w, i, o]
    return kernel.astype(np.float32), bias.astype(np.float32)


def _read(path: PathLike, name: str, read: Callable[[Reader], Read]) -> Read:
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; expected {name} from the package "
            "face_recognition_models"
        )
    reader = Reader(file.read_bytes())
    try:
        return read(reader)
    except (FormatError, struct.error) as error:
        raise UserError(
            f"{path}: not a network like dlib's {name}, or damaged, at byte "
            f"{reader.offset}: {error}"
        ) from None


def _read_network(reader: Reader) -> FaceNetwork:
    _expect_loss(reader, "loss_metric_2")
    reader.reals(2)  # margin, distance threshold
    _skip_versions(reader, INPUT_NAME)
    red, green, blue = reader.reals(3)
    size_px = reader.pair()
    layers = _read_layers(reader)
    if layers[-1].kind != "fc":
        raise FormatError("the file ends before the last layer")
    return FaceNetwork((red, green, blue), size_px, layers)


def _read_detector(reader: Reader) -> DetectorNetwork:
    _expect_loss(reader, "loss_mmod_")
    reader.expect(1, "the version of the detector's options")
    window_px = reader.pair()
    reader.reals(3)  # losses of a false alarm and a miss, overlap that is a match
    max_overlap, _ = reader.reals(2)
    reader.reals(2)  # the same of boxes to ignore
    _skip_versions(reader, PYRAMID_NAME)
    red, green, blue = reader.reals(3)
    layers = _read_layers(reader)
    if layers[-1].kind != "con":
        raise FormatError("the file ends before the last layer")
    return DetectorNetwork((red, green, blue), window_px, max_overlap, layers)


def _expect_loss(reader: Reader, name: str) -> None:
    reader.expect(1, "the version of the loss layer")
    loss = reader.string()
    if loss != name:
        raise FormatError(f"its loss is {loss!r}, expected {name!r}")


def _read_layers(reader: Reader) -> list[Layer]:
    layers = []
    while reader.offset < len(reader.data):
        layers.append(_read_layer(reader))
        reader.flags(3)  # set up, gradient stale, output disabled
        for _ in range(3):  # gradient of the input, cached output, its gradient
            if reader.tensor().size:
                raise FormatError("a cached tensor that is not empty")
        if len(layers) == 1:
            reader.expect(1, "the sample expansion factor")
    if not layers:
        raise FormatError("the file has no layers")
    return layers


def _skip_versions(reader: Reader, input_name: str) -> None:
    """Skips one version per nested layer, then the input layer's name."""
    name = bytes([1, len(input_name)]) + input_name.encode()
    while not reader.data.startswith(name, reader.offset):
        version = reader.integer()
        if version not in (1, 2, 3):
            raise FormatError(f"a layer of version {version} before {input_name}")
    reader.take(len(name))


def _read_layer(reader: Reader) -> Layer:
    name = reader.string()
    if name not in _LAYER_READERS:
        raise FormatError(f"a layer named {name!r}")
    return _LAYER_READERS[name](reader)


def _read_con(reader: Reader) -> Layer:
    parameters = reader.tensor().ravel()
    n_filters, rows, columns = reader.integers(3)
    stride, padding = reader.pair(), reader.pair()
    filters_shape, biases_shape = reader.alias_shape(), reader.alias_shape()
    reader.reals(4)  # multipliers of the learning rate and of the weight decay
    weights, bias = _split(parameters, filters_shape, biases_shape)
    if [n_filters, rows, columns] != [weights.shape[i] for i in (0, 2, 3)]:
        raise FormatError(f"a convolution with filters of shape {weights.shape}")
    return Layer("con", (rows, columns), stride, padding, weights, bias)


def _read_affine(reader: Reader) -> Layer:
    parameters = reader.tensor().ravel()
    gamma_shape, beta_shape = reader.alias_shape(), reader.alias_shape()
    reader.expect(0, "the mode of an affine layer (0: per channel)")
    gamma, beta = _split(parameters, gamma_shape, beta_shape)
    return Layer("affine", weights=gamma.ravel(), bias=beta)


def _read_batch_norm(reader: Reader) -> Layer:
    """Reads a batch normalization as the affine layer that it is at inference."""
    parameters = reader.tensor().ravel()
    gamma_shape, beta_shape = reader.alias_shape(), reader.alias_shape()
    _, _ = reader.tensor(), reader.tensor()  # statistics of the last batch
    means, variances = reader.tensor().ravel(), reader.tensor().ravel()
    reader.integers(2)  # updates of the running statistics, their window
    reader.reals(4)  # multipliers, as of a convolution
    epsilon = reader.real()
    gamma, beta = _split(parameters, gamma_shape, beta_shape)
    if not gamma.size == beta.size == means.size == variances.size:
        raise FormatError("a batch normalization whose parts differ in size")
    scale = gamma.ravel() / np.sqrt(variances + np.float32(epsilon))
    return Layer("affine", weights=scale, bias=beta - scale * means)


def _read_fc(reader: Reader) -> Layer:
    n_outputs, n_inputs = reader.integers(2)
    parameters = reader.tensor().ravel()
    weights_shape, _ = reader.alias_shape(), reader.alias_shape()
    reader.expect(1, "the bias mode of the last layer (1: none)")
    reader.reals(4)
    weights, _ = _split(parameters, weights_shape, [0, 0, 0, 0])
    if n_inputs <= 0 or weights.size != n_inputs * n_outputs:
        raise FormatError(f"{weights.size} weights for {n_inputs} x {n_outputs}")
    return Layer("fc", weights=weights.reshape(n_inputs, n_outputs))


def _read_pool(kind: str, reader: Reader) -> Layer:
    return Layer(kind, reader.pair(), reader.pair(), reader.pair())


def _split(
    parameters: np.ndarray, weights_shape: list[int], bias_shape: list[int]
) -> tuple[np.ndarray, np.ndarray]:
    """Splits a layer's parameters into its weights and the bias after them."""
    # Not np.prod, which overflows for shapes that a damaged file may declare.
    n_weights, n_biases = math.prod(weights_shape), math.prod(bias_shape)
    is_shape = min(*weights_shape, *bias_shape) >= 0 and n_weights > 0
    if not is_shape or n_weights + n_biases != parameters.size:
        raise FormatError(
            f"{parameters.size} parameters for {weights_shape} and {bias_shape}"
        )
    return parameters[:n_weights].reshape(weights_shape), parameters[n_weights:]


_LAYER_READERS: dict[str, Callable[[Reader], Layer]] = {
    "con_4": _read_con,
    "affine_": _read_affine,
    "bn_con2": _read_batch_norm,
    "fc_2": _read_fc,
    "relu_": lambda reader: Layer("relu"),
    "add_prev_": lambda reader: Layer("add_prev"),
    "max_pool_2": lambda reader: _read_pool("max_pool", reader),
    "avg_pool_2": lambda reader: _read_pool("avg_pool", reader),
}
