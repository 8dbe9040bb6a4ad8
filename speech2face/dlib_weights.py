"""Reads the weights of dlib's face networks, recognition and detection, from its files.

dlib can run `dlib_face_recognition_resnet_model_v1.dat` but shows no weight of it, so
this reads the bytes. What a file is made of (dlib's serialisation):

  integer  a control byte (low four bits: how many bytes follow, little endian; top
           bit: negative), then the bytes
  real     two integers: mantissa and exponent, value = mantissa * 2^exponent
  flag     one character, '0' or '1'
  string   an integer, its length, then the characters
  tensor   an integer, 2, its version; four integers, its shape; float32 values, little
           endian, unpacked
  network  the loss, one version integer per nested layer, the input layer, then the
           computational layers from input to output, each its name, its details,
           three flags and three empty tensors
"""

import dataclasses
import importlib.util
import os
import pathlib
import struct
from typing import Any, Callable, List, Optional, Tuple

import numpy as np

# Files of the package face_recognition_models (CC0)
NETWORK_FILE = "dlib_face_recognition_resnet_model_v1.dat"
NETWORK_SHA256 = "55533b28a95800a551ba546ba62fe69625c7e95a7061c338adffead08719da30"
DETECTOR_FILE = "mmod_human_face_detector.dat"
LANDMARKS_FILE = "shape_predictor_68_face_landmarks.dat"

INPUT_NAME = "input_rgb_image_sized"
PYRAMID_NAME = "input_rgb_image_pyramid"
MAX_INTEGER_BYTES = 8


@dataclasses.dataclass(frozen=True)
class Layer:
    """A layer of the file: its kind and whatever its kind has.

    Attributes:
      kind: `con`, `affine`, `relu`, `max_pool`, `avg_pool`, `add_prev` or `fc`.
      window, stride, padding: (rows, columns) of `con` and the pools; a pool with
        window (0, 0) covers everything.
      weights: float32; `con`: [out, in, rows, columns], `affine`: [channels] (gamma),
        `fc`: [in, out].
      bias: float32 [channels] of `con` and `affine`.
    """

    kind: str
    window: Tuple[int, int] = (0, 0)
    stride: Tuple[int, int] = (1, 1)
    padding: Tuple[int, int] = (0, 0)
    weights: Optional[np.ndarray] = None
    bias: Optional[np.ndarray] = None


@dataclasses.dataclass(frozen=True)
class FaceNetwork:
    """What the file holds.

    Attributes:
      input_mean: (red, green, blue) subtracted from pixels of 0..255.
      input_px: (rows, columns) of the input image.
      layers: from input to output.
    """

    input_mean: Tuple[float, float, float]
    input_px: Tuple[int, int]
    layers: List[Layer]


@dataclasses.dataclass(frozen=True)
class DetectorNetwork:
    """What a detector's file holds.

    Attributes:
      input_mean: (red, green, blue) subtracted from pixels of 0..255.
      window_px: (columns, rows) of the box that a score stands for.
      max_overlap: intersection over union above which the weaker of two boxes goes.
      layers: from input to output.
    """

    input_mean: Tuple[float, float, float]
    window_px: Tuple[int, int]
    max_overlap: float
    layers: List[Layer]


def package_file(name: str) -> str:
    """Returns the path of a file of the package face_recognition_models.

    Found without importing the package, which needs pkg_resources.

    Raises:
      FileNotFoundError: the package or the file is missing.
    """
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = os.path.join(folder, "models", name)
        if os.path.isfile(path):
            return path
    raise FileNotFoundError(
        f"dlib's {name} is missing: install it with pip install face_recognition_models"
    )


def read_face_network(path: str) -> FaceNetwork:
    """Reads a `loss_metric` network over RGB images of one size.

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: the file is not such a network, is damaged, or holds a weight that
        is no number; names the file and the byte.
    """
    return _read(path, NETWORK_FILE, _read_network)


def read_detector(path: str) -> DetectorNetwork:
    """Reads a `loss_mmod` network over an image pyramid (King 2015).

    Raises:
      FileNotFoundError, ValueError: as `read_face_network`.
    """
    return _read(path, DETECTOR_FILE, _read_detector)


def folded_convolution(
    layer: Layer, affine: Optional[Layer] = None
) -> Tuple[np.ndarray, np.ndarray]:
    """A convolution, and the affine layer behind it, as one convolution of Keras.

    Returns:
      kernel [rows, columns, in, out] and bias [out], float32.
    """
    weights, bias = layer.weights.astype(np.float64), layer.bias.astype(np.float64)
    if affine is not None:
        weights = weights * affine.weights[:, None, None, None]
        bias = bias * affine.weights + affine.bias
    kernel = weights.transpose(2, 3, 1, 0)  # [o, i, h, w] -> [h, w, i, o]
    return kernel.astype(np.float32), bias.astype(np.float32)


def _read(path: str, name: str, read: Callable[["_Reader"], Any]) -> Any:
    file = pathlib.Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"{path}: no such file; expected {name} from the package "
            "face_recognition_models"
        )
    reader = _Reader(file.read_bytes())
    try:
        return read(reader)
    except (_FormatError, struct.error) as error:
        raise ValueError(
            f"{path}: not a network like dlib's {name}, or damaged, at byte "
            f"{reader.offset}: {error}"
        ) from None


class _FormatError(Exception):
    """The bytes are not what they should be."""


class _Reader:
    """A cursor over dlib's serialised values."""

    def __init__(self, data: bytes):
        self.data = data
        self.offset = 0

    def take(self, n_bytes: int) -> bytes:
        if self.offset + n_bytes > len(self.data):
            raise _FormatError("the file ends too early")
        self.offset += n_bytes
        return self.data[self.offset - n_bytes : self.offset]

    def integer(self) -> int:
        control = self.take(1)[0]
        n_bytes = control & 0x0F
        if control & 0x70 or not 1 <= n_bytes <= MAX_INTEGER_BYTES:
            raise _FormatError(f"no integer starts with the byte {control:#04x}")
        value = int.from_bytes(self.take(n_bytes), "little")
        return -value if control & 0x80 else value

    def integers(self, n: int) -> List[int]:
        return [self.integer() for _ in range(n)]

    def real(self) -> float:
        mantissa, exponent = self.integers(2)
        if not -2000 < exponent < 2000:
            raise _FormatError(f"a number with the exponent {exponent}")
        return mantissa * 2.0**exponent

    def reals(self, n: int) -> List[float]:
        return [self.real() for _ in range(n)]

    def flags(self, n: int) -> None:
        if set(self.take(n)) - set(b"01"):
            raise _FormatError("a flag is neither 0 nor 1")

    def string(self) -> str:
        n_bytes = self.integer()
        if not 0 < n_bytes < 64:
            raise _FormatError(f"a layer name of {n_bytes} characters")
        return self.take(n_bytes).decode("ascii", errors="replace")

    def expect(self, value: int, what: str) -> None:
        found = self.integer()
        if found != value:
            raise _FormatError(f"{what} is {found}, expected {value}")

    def tensor(self) -> np.ndarray:
        self.expect(2, "the version of a tensor")
        shape = self.integers(4)
        if min(shape) < 0:
            raise _FormatError(f"a tensor of shape {shape}")
        size = int(np.prod(shape, dtype=object))
        values = np.frombuffer(self.take(4 * size), "<f4").reshape(shape)
        if not np.isfinite(values).all():
            raise _FormatError("a weight is not finite")
        return values

    def alias_shape(self) -> List[int]:
        """The shape of a view into a tensor of parameters."""
        self.expect(1, "the version of an alias tensor")
        return self.integers(4)


def _read_network(reader: _Reader) -> FaceNetwork:
    _expect_loss(reader, "loss_metric_2")
    reader.reals(2)  # margin, distance threshold
    _skip_versions(reader, INPUT_NAME)
    mean = tuple(reader.reals(3))
    size_px = tuple(reader.integers(2))
    layers = _read_layers(reader)
    if layers[-1].kind != "fc":
        raise _FormatError("the file ends before the last layer")
    return FaceNetwork(mean, size_px, layers)


def _read_detector(reader: _Reader) -> DetectorNetwork:
    _expect_loss(reader, "loss_mmod_")
    reader.expect(1, "the version of the detector's options")
    window_px = tuple(reader.integers(2))
    reader.reals(3)  # losses of a false alarm and a miss, overlap that is a match
    max_overlap, _ = reader.reals(2)
    reader.reals(2)  # the same of boxes to ignore
    _skip_versions(reader, PYRAMID_NAME)
    mean = tuple(reader.reals(3))
    layers = _read_layers(reader)
    if layers[-1].kind != "con":
        raise _FormatError("the file ends before the last layer")
    return DetectorNetwork(mean, window_px, max_overlap, layers)


def _expect_loss(reader: _Reader, name: str) -> None:
    reader.expect(1, "the version of the loss layer")
    loss = reader.string()
    if loss != name:
        raise _FormatError(f"its loss is {loss!r}, expected {name!r}")


def _read_layers(reader: _Reader) -> List[Layer]:
    layers = []
    while reader.offset < len(reader.data):
        layers.append(_read_layer(reader))
        reader.flags(3)  # set up, gradient stale, output disabled
        for _ in range(3):  # gradient of the input, cached output, its gradient
            if reader.tensor().size:
                raise _FormatError("a cached tensor that is not empty")
        if len(layers) == 1:
            reader.expect(1, "the sample expansion factor")
    if not layers:
        raise _FormatError("the file has no layers")
    return layers


def _skip_versions(reader: _Reader, input_name: str) -> None:
    """Skips one version per nested layer, up to and with the input layer's name."""
    name = bytes([1, len(input_name)]) + input_name.encode()
    while not reader.data.startswith(name, reader.offset):
        version = reader.integer()
        if version not in (1, 2, 3):
            raise _FormatError(f"a layer of version {version} before {input_name}")
    reader.take(len(name))


def _read_layer(reader: _Reader) -> Layer:
    name = reader.string()
    if name not in _LAYER_READERS:
        raise _FormatError(f"a layer named {name!r}")
    return _LAYER_READERS[name](reader)


def _read_con(reader: _Reader) -> Layer:
    parameters = reader.tensor().ravel()
    n_filters, rows, columns = reader.integers(3)
    stride, padding = reader.integers(2), reader.integers(2)
    filters_shape, biases_shape = reader.alias_shape(), reader.alias_shape()
    reader.reals(4)  # multipliers of the learning rate and of the weight decay
    weights, bias = _split(parameters, filters_shape, biases_shape)
    if [n_filters, rows, columns] != [weights.shape[i] for i in (0, 2, 3)]:
        raise _FormatError(f"a convolution with filters of shape {weights.shape}")
    return Layer("con", (rows, columns), tuple(stride), tuple(padding), weights, bias)


def _read_affine(reader: _Reader) -> Layer:
    parameters = reader.tensor().ravel()
    gamma_shape, beta_shape = reader.alias_shape(), reader.alias_shape()
    reader.expect(0, "the mode of an affine layer (0: per channel)")
    gamma, beta = _split(parameters, gamma_shape, beta_shape)
    return Layer("affine", weights=gamma.ravel(), bias=beta)


def _read_batch_norm(reader: _Reader) -> Layer:
    """A batch normalisation as it was trained, as the affine layer that it ends as."""
    parameters = reader.tensor().ravel()
    gamma_shape, beta_shape = reader.alias_shape(), reader.alias_shape()
    _, _ = reader.tensor(), reader.tensor()  # statistics of the last batch
    means, variances = reader.tensor().ravel(), reader.tensor().ravel()
    reader.integers(2)  # updates of the running statistics, their window
    reader.reals(4)  # multipliers, as of a convolution
    epsilon = reader.real()
    gamma, beta = _split(parameters, gamma_shape, beta_shape)
    if not gamma.size == beta.size == means.size == variances.size:
        raise _FormatError("a batch normalisation whose parts differ in size")
    scale = gamma.ravel() / np.sqrt(variances + np.float32(epsilon))
    return Layer("affine", weights=scale, bias=beta - scale * means)


def _read_fc(reader: _Reader) -> Layer:
    n_outputs, n_inputs = reader.integers(2)
    parameters = reader.tensor().ravel()
    weights_shape, _ = reader.alias_shape(), reader.alias_shape()
    reader.expect(1, "the bias mode of the last layer (1: none)")
    reader.reals(4)
    weights, _ = _split(parameters, weights_shape, [0, 0, 0, 0])
    if weights.size != n_inputs * n_outputs:
        raise _FormatError(f"{weights.size} weights for {n_inputs} x {n_outputs}")
    return Layer("fc", weights=weights.reshape(n_inputs, n_outputs))


def _read_pool(kind: str, reader: _Reader) -> Layer:
    window, stride, padding = (tuple(reader.integers(2)) for _ in range(3))
    return Layer(kind, window, stride, padding)


def _split(
    parameters: np.ndarray, weights_shape: List[int], bias_shape: List[int]
) -> Tuple[np.ndarray, np.ndarray]:
    """Cuts a layer's parameters into its weights and its bias, which follows them."""
    n_weights, n_biases = int(np.prod(weights_shape)), int(np.prod(bias_shape))
    if n_weights + n_biases != parameters.size:
        raise _FormatError(
            f"{parameters.size} parameters for {weights_shape} and {bias_shape}"
        )
    return parameters[:n_weights].reshape(weights_shape), parameters[n_weights:]


_LAYER_READERS = {
    "con_4": _read_con,
    "affine_": _read_affine,
    "bn_con2": _read_batch_norm,
    "fc_2": _read_fc,
    "relu_": lambda reader: Layer("relu"),
    "add_prev_": lambda reader: Layer("add_prev"),
    "max_pool_2": lambda reader: _read_pool("max_pool", reader),
    "avg_pool_2": lambda reader: _read_pool("avg_pool", reader),
}
