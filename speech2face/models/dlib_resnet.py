"""dlib's face recognition network in Keras: aligned face -> 128-D feature.

A ResNet (He et al. 2016) with 29 convolutions, trained by Davis King on about 3 million
faces with a metric loss: features of one person lie within 0.6 of each other (L2),
those of two people farther apart; 99.38 % on Labeled Faces in the Wild (D. E. King,
"High Quality Face Recognition with Deep Metric Learning", blog.dlib.net, 2017).

This is the same network with the same weights, read from dlib's file. In Keras it runs
in batches on any device and has a gradient with respect to the image, which the face
decoder's identity loss needs (docs/decisions/dlib-recognizer-in-keras.md).

  150 x 150 x 3 -> conv 7x7/2, 32 -> max pool 3x3/2 -> 14 residual blocks -> average
  over positions -> 128 (no bias)

A block is conv 3x3 -> affine -> ReLU -> conv 3x3 -> affine, plus its input, -> ReLU.
The affine layers (a BatchNorm at inference) are folded into the convolutions. Where a
block halves the resolution its first convolution has stride 2 and no padding, its
input goes through a 2x2/2 average pool, and the smaller of the two is extended with
zeros at the bottom, at the right and in the last channels: dlib's `add_prev`.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import dlib as dlib_weights

INPUT_PX = 150
FEATURE_DIM = 128
INPUT_MEAN = (122.782, 117.001, 104.298)  # R, G, B
INPUT_SCALE = 256.0  # not 255: dlib's input layer
STEM_CHANNELS = 32
# (channels, halves the resolution), from input to output
BLOCKS = (
    (32, False),
    (32, False),
    (32, False),
    (64, True),
    (64, False),
    (64, False),
    (64, False),
    (128, True),
    (128, False),
    (128, False),
    (256, True),
    (256, False),
    (256, False),
    (256, True),
)
_NO_WEIGHTS = (0,)  # shape of the weights of layers without any


def build_dlib_resnet() -> keras.Model:
    """Builds the network with untrained weights.

    Returns:
      A frozen float32 model: image [batch, 150, 150, 3], RGB, 0..255, aligned as by
      `dlib.get_face_chip(..., size=150, padding=0.25)` -> feature [batch, 128].
    """
    image = keras.Input((INPUT_PX, INPUT_PX, 3), name="image")
    x = keras.layers.Rescaling(
        1.0 / INPUT_SCALE,
        offset=[-mean / INPUT_SCALE for mean in INPUT_MEAN],
        dtype="float32",
        name="normalize",
    )(image)
    x = _conv(STEM_CHANNELS, 7, stride=2, relu=True, name="stem")(x)
    x = keras.layers.MaxPooling2D(3, 2, dtype="float32", name="stem_pool")(x)
    for i, (channels, halve) in enumerate(BLOCKS, start=1):
        x = _block(x, channels, halve, name=f"block{i}")
    x = keras.layers.GlobalAveragePooling2D(dtype="float32", name="pool")(x)
    feature = keras.layers.Dense(
        FEATURE_DIM, use_bias=False, dtype="float32", name="feature"
    )(x)
    model = keras.Model(image, feature, name="dlib_resnet")
    model.trainable = False
    return model


def load_dlib_resnet(path: PathLike) -> keras.Model:
    """Builds the network with the weights of a dlib file.

    Args:
      path: `dlib_face_recognition_resnet_model_v1.dat`, or a file of the same
        architecture.

    Returns:
      The model of `build_dlib_resnet`.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is damaged or holds another network.
    """
    network = dlib_weights.read_face_network(path)
    _check_architecture(network, path)
    model = build_dlib_resnet()
    model.set_weights(_folded_weights(network.layers))
    return model


def _conv(
    channels: int, size: int, stride: int, relu: bool, name: str
) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        channels,
        size,
        strides=stride,
        padding="valid" if stride > 1 else "same",
        activation="relu" if relu else None,
        dtype="float32",
        name=name,
    )


def _block(x: Any, channels: int, halve: bool, name: str) -> Any:
    """A residual block. [b, h, w, c] -> [b, h', w', channels]"""
    stride = 2 if halve else 1
    y = _conv(channels, 3, stride, relu=True, name=f"{name}_conv1")(x)
    y = _conv(channels, 3, 1, relu=False, name=f"{name}_conv2")(y)
    if halve:
        x = keras.layers.AveragePooling2D(2, 2, dtype="float32", name=f"{name}_pool")(x)
        # Input and output differ in size by a pixel: no padding against pooling.
        shape = np.maximum(x.shape[1:], y.shape[1:]).tolist()
        x, y = _extend(x, shape), _extend(y, shape)
    return keras.ops.relu(x + y)


def _extend(x: Any, shape: Sequence[int]) -> Any:
    """Appends zeros to rows, columns and channels up to `shape`."""
    missing = [target - n for target, n in zip(shape, x.shape[1:])]
    if not any(missing):
        return x
    return keras.ops.pad(x, [(0, 0), *((0, n) for n in missing)])


def _folded_weights(layers: list[dlib_weights.Layer]) -> list[np.ndarray]:
    """Returns kernels and biases in Keras' order, affine layers folded into them."""
    weights: list[np.ndarray] = []
    for layer, following in zip(layers, [*layers[1:], None]):
        if layer.kind == "con":
            weights += dlib_weights.folded_convolution(layer, following)
        elif layer.kind == "fc":
            weights.append(layer.weights)
    return weights


def _check_architecture(network: dlib_weights.FaceNetwork, path: PathLike) -> None:
    layers = [_summary(layer) for layer in network.layers]
    is_known = (
        layers == _expected_layers()
        and network.input_px == (INPUT_PX, INPUT_PX)
        and np.allclose(network.input_mean, INPUT_MEAN, atol=1e-3)
    )
    if not is_known:
        raise UserError(
            f"{path}: holds another network than dlib's 29-layer face recognition "
            f"ResNet ({len(layers)} layers, input {network.input_px}); expected "
            "dlib_face_recognition_resnet_model_v1.dat"
        )


def _summary(layer: dlib_weights.Layer) -> tuple[Any, ...]:
    shape = layer.weights.shape
    return layer.kind, shape, layer.window, layer.stride, layer.padding


def _expected_layers() -> list[tuple[Any, ...]]:
    """Returns `_summary` of every layer that the file must hold."""

    def pool(kind: str, size: int, stride: int = 2) -> tuple[Any, ...]:
        return kind, _NO_WEIGHTS, (size, size), (stride, stride), (0, 0)

    def plain(kind: str, shape: tuple[int, ...] = _NO_WEIGHTS) -> tuple[Any, ...]:
        return kind, shape, (0, 0), (1, 1), (0, 0)

    def conv(n_in: int, n_out: int, size: int, stride: int) -> list[tuple[Any, ...]]:
        pad = 0 if stride > 1 else size // 2
        shape = (n_out, n_in, size, size)
        con = "con", shape, (size, size), (stride, stride), (pad, pad)
        return [con, plain("affine", (n_out,))]

    layers = [*conv(3, STEM_CHANNELS, 7, 2), plain("relu"), pool("max_pool", 3)]
    n_in = STEM_CHANNELS
    for n_out, halve in BLOCKS:
        layers += [*conv(n_in, n_out, 3, 2 if halve else 1), plain("relu")]
        layers += conv(n_out, n_out, 3, 1)
        layers += [pool("avg_pool", 2)] if halve else []
        layers += [plain("add_prev"), plain("relu")]
        n_in = n_out
    return [*layers, pool("avg_pool", 0, 1), plain("fc", (n_in, FEATURE_DIM))]
