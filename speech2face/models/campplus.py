"""CAM++: a network that tells speakers apart, rebuilt from its PyTorch weights.

H. Wang et al., "CAM++: A Fast and Efficient Network for Speaker Verification Using
Context-Aware Masking", Interspeech 2023; layers and sizes are those of 3D-Speaker
(`speakerlab.models.campplus`, Apache-2.0):

    log-mel bands [t, 80], minus their mean over time
    head          five residual stages of 3 x 3 convolutions, 32 channels, frequency / 8
    tdnn          convolution over 5 frames, 128 channels, half as many frames
    block1..3     12, 24, 16 dense layers; each adds 32 channels to its input
    transit1..3   after each block, half as many channels
    statistics    mean and standard deviation over time, 1,024 numbers
    dense         192 numbers: the embedding

A dense layer is a bottleneck of 128 channels, a convolution over 3 frames, and a mask
between 0 and 1 for each channel. The mask comes from the context: the mean of the whole
sound plus that of the 100 frames (2 s) around.

Batch normalization is part of the weights here: it is an affine map that the importer
(`tools.import_speaker_embedder`) multiplies into the convolution before it. Where it
comes first, a factor and an offset for each channel are left.

A convolution or matrix product is computed in the type of its kernel, and everything
between them in float32, but for the head: with kernels of bfloat16, its maps are
bfloat16 as well (docs/decisions/inference-precision.md).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from keras import ops

from speech2face.audio.kaldi_fbank import N_MELS

EMBEDDING_DIM = 192
STATISTICS_DIM = 1024  # 512 means, then 512 standard deviations
SEGMENT_FRAMES = 100  # of a mask's context, at half the frame rate

_HEAD_CHANNELS = 32
_FIRST_CHANNELS = 128  # of the first dense block
_GROWTH = 32  # channels that a dense layer adds
_BOTTLENECK = 128
_MASK_UNITS = 64


class Block(NamedTuple):
    """A dense block: its layers, and the spacing of their three frames."""

    n_layers: int
    dilation: int


BLOCKS = (Block(12, 1), Block(24, 2), Block(16, 2))
RESIDUAL_STRIDES = (2, 1, 2, 1)  # in frequency, of the head's residual blocks

Shape = tuple[int, ...]
Weights = dict[str, Any]  # by the names of `weight_shapes`
VECTORS = "vectors"  # the array that holds all weights of one dimension


def weight_shapes() -> dict[str, Shape]:
    """Returns the name and shape of each array of weights, in order."""
    shapes: dict[str, Shape] = {}

    def add(name: str, *shape: int) -> None:
        shapes[f"{name}_kernel"] = shape
        shapes[f"{name}_bias"] = shape[-1:]

    def add_norm(name: str, channels: int) -> None:
        shapes[f"{name}_scale"] = shapes[f"{name}_offset"] = (channels,)

    add("head_first", 3, 3, 1, _HEAD_CHANNELS)
    for index, stride in enumerate(RESIDUAL_STRIDES, start=1):
        add(f"head{index}_a", 3, 3, _HEAD_CHANNELS, _HEAD_CHANNELS)
        add(f"head{index}_b", 3, 3, _HEAD_CHANNELS, _HEAD_CHANNELS)
        if stride > 1:
            add(f"head{index}_shortcut", 1, 1, _HEAD_CHANNELS, _HEAD_CHANNELS)
    add("head_last", 3, 3, _HEAD_CHANNELS, _HEAD_CHANNELS)
    add("tdnn", 5, N_MELS // 8 * _HEAD_CHANNELS, _FIRST_CHANNELS)
    channels = _FIRST_CHANNELS
    for number in range(1, len(BLOCKS) + 1):
        for layer in layer_names(number):
            add_norm(f"{layer}_norm", channels)
            add(f"{layer}_bottleneck", channels, _BOTTLENECK)
            shapes[f"{layer}_local_kernel"] = (3, _BOTTLENECK, _GROWTH)
            add(f"{layer}_context", _BOTTLENECK, _MASK_UNITS)
            add(f"{layer}_mask", _MASK_UNITS, _GROWTH)
            channels += _GROWTH
        add_norm(f"transit{number}_norm", channels)
        shapes[f"transit{number}_kernel"] = (channels, channels // 2)
        channels //= 2
    add_norm("out_norm", channels)
    add("dense", 2 * channels, EMBEDDING_DIM)
    return shapes


def layer_names(block: int) -> list[str]:
    """Returns the prefixes of the layers of a block, which is 1, 2 or 3."""
    count = BLOCKS[block - 1].n_layers
    return [f"block{block}_layer{layer}" for layer in range(1, count + 1)]


def packed_names() -> dict[str, list[str]]:
    """Returns the few arrays that hold all weights: name -> names of the parts.

    The parts lie side by side along the last axis. A graph with 507 variables takes
    half a second longer to build than one with 79: docs/decisions/embedder-start-up.md.
    """
    packed: dict[str, list[str]] = {}
    for name, shape in weight_shapes().items():
        block, _, rest = name.partition("_layer")
        kind = rest.partition("_")[2]
        if len(shape) == 1:
            packed.setdefault(VECTORS, []).append(name)
        elif kind and kind != "bottleneck_kernel":  # these have different shapes
            packed.setdefault(f"{block}_{kind}", []).append(name)
        else:
            packed[name] = [name]
    return packed


def packed_shapes() -> dict[str, Shape]:
    """Returns the name and shape of each array of `packed_names`."""
    shapes = weight_shapes()
    return {
        name: (*shapes[parts[0]][:-1], sum(shapes[part][-1] for part in parts))
        for name, parts in packed_names().items()
    }


def large_kernels() -> set[str]:
    """Returns the names, in `packed_shapes`, of the kernels that take nearly all time.

    The others make masks and the embedding out of means over time.
    """
    small = ("_context_kernel", "_mask_kernel", "dense_kernel")
    return {
        name
        for name in packed_names()
        if name.endswith("kernel") and not name.endswith(small)
    }


def pack(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Joins arrays with the names of `weight_shapes` to those of `packed_names`."""
    return {
        name: np.concatenate([weights[part] for part in parts], axis=-1)
        for name, parts in packed_names().items()
    }


def unpack(packed: Mapping[str, Any]) -> Weights:
    """Undoes `pack` in a graph."""
    shapes, weights = weight_shapes(), {}
    for name, parts in packed_names().items():
        if len(parts) == 1:
            weights[name] = packed[name]
        else:
            ends = np.cumsum([shapes[part][-1] for part in parts])
            split = ops.split(packed[name], ends[:-1].tolist(), axis=-1)
            weights.update(zip(parts, split))
    return weights


def embed(log_mel: Any, weights: Weights) -> Any:
    """Returns the embedding and the statistics of sounds.

    Args:
      log_mel: [batch, frames, 80] float32; the number of frames is static and at least
        five.
      weights: arrays by the names of `weight_shapes`.

    Returns:
      [batch, 192 + 1024] float32: the embedding, then the pooled statistics that it was
      computed from, both as they are.
    """
    x = log_mel - ops.mean(log_mel, axis=1, keepdims=True)
    x = _head(ops.expand_dims(x, -1), weights)
    x = ops.cast(ops.relu(_convolve(x, weights, "tdnn", stride=2)), "float32")
    time = _Time(x.shape[1])
    # From here on time is padded to whole segments, and one axis with the batch.
    x = ops.pad(x, [[0, 0], [0, time.n_missing], [0, 0]])
    x = ops.reshape(x, [-1, _FIRST_CHANNELS])
    for number, block in enumerate(BLOCKS, start=1):
        for name in layer_names(number):
            added = _dense_layer(x, weights, name, block.dilation, time)
            x = ops.concatenate([x, added], axis=-1)
        x = _normalize(x, weights, f"transit{number}_norm")
        x = _product(x, weights[f"transit{number}_kernel"])
        x = ops.cast(x, "float32")
    statistics = _pool(_normalize(x, weights, "out_norm"), time)
    embedding = _product(statistics, weights["dense_kernel"]) + weights["dense_bias"]
    return ops.concatenate([embedding, statistics], axis=-1)


class _Time:
    """The segments of a sound of `n_frames`, the last of which may be shorter."""

    def __init__(self, n_frames: int):
        self.n_frames = n_frames
        self.n_segments = -(-n_frames // SEGMENT_FRAMES)
        self.n_missing = self.n_segments * SEGMENT_FRAMES - n_frames
        is_real = np.arange(self.n_segments * SEGMENT_FRAMES) < n_frames
        is_real = is_real.reshape([self.n_segments, SEGMENT_FRAMES, 1])
        self.is_real = is_real.astype(np.float32)  # [s, 100, 1]
        self.sizes = self.is_real.sum(1)  # [s, 1]

    def split(self, x: Any) -> Any:
        """[b * t, c] -> [b, s, 100, c], zero after the end of the sound."""
        x = ops.reshape(x, [-1, self.n_segments, SEGMENT_FRAMES, x.shape[-1]])
        return x * ops.cast(self.is_real, x.dtype) if self.n_missing else x


def _head(x: Any, weights: Weights) -> Any:
    """[b, t, 80, 1] -> [b, t, 320]: ten frequencies times 32 channels."""
    x = ops.relu(_convolve(x, weights, "head_first"))
    for index, stride in enumerate(RESIDUAL_STRIDES, start=1):
        name = f"head{index}"
        shortcut = x
        if stride > 1:
            kernel = weights[f"{name}_shortcut_kernel"]
            shortcut = ops.conv(x, kernel, strides=(1, stride), padding="valid")
            shortcut = _add(shortcut, weights[f"{name}_shortcut_bias"])
        x = ops.relu(_convolve(x, weights, f"{name}_a", (1, stride)))
        x = ops.relu(_convolve(x, weights, f"{name}_b") + shortcut)
    x = ops.relu(_convolve(x, weights, "head_last", (1, 2)))
    return ops.reshape(x, [-1, x.shape[1], x.shape[2] * x.shape[3]])


def _convolve(
    x: Any, weights: Weights, name: str, stride: int | tuple[int, int] = 1
) -> Any:
    """A convolution of [b, t, (f,) c], padded by half a kernel on all sides."""
    kernel = weights[f"{name}_kernel"]
    # PyTorch pads both sides alike. Keras' "same" would pad the left side less.
    around = [(size // 2, size // 2) for size in kernel.shape[:-2]]
    x = ops.pad(ops.cast(x, kernel.dtype), [(0, 0), *around, (0, 0)])
    x = ops.conv(x, kernel, strides=stride, padding="valid")
    return _add(x, weights[f"{name}_bias"])


def _normalize(x: Any, weights: Weights, name: str) -> Any:
    return ops.relu(x * weights[f"{name}_scale"] + weights[f"{name}_offset"])


def _dense_layer(
    x: Any, weights: Weights, name: str, dilation: int, time: _Time
) -> Any:
    """Returns the new channels of a dense layer, [b * t, channels] -> [b * t, 32]."""
    x = _normalize(x, weights, f"{name}_norm")
    x = _dense(x, weights, f"{name}_bottleneck")
    x = time.split(ops.relu(x))
    mask = _mask(x, weights, name, time)
    # Three frames `dilation` apart are three rows of a plane with `dilation` columns,
    # and a convolution without gaps is faster.
    x = ops.reshape(
        x, [-1, time.n_segments * SEGMENT_FRAMES // dilation, dilation, _BOTTLENECK]
    )
    x = ops.pad(x, [(0, 0), (1, 1), (0, 0), (0, 0)])
    kernel = ops.expand_dims(weights[f"{name}_local_kernel"], 1)
    local = ops.cast(ops.conv(x, kernel, padding="valid"), "float32")
    local = ops.reshape(local, [-1, time.n_segments, SEGMENT_FRAMES, _GROWTH])
    return ops.reshape(local * mask, [-1, _GROWTH])


def _mask(x: Any, weights: Weights, name: str, time: _Time) -> Any:
    """[b, s, 100, 128] -> a factor from 0 to 1 for each segment [b, s, 1, 32]."""
    sums = ops.sum(ops.cast(x, "float32"), axis=2)  # [b, s, 128]
    of_sound = ops.sum(sums, axis=1, keepdims=True) * (1 / time.n_frames)
    context = ops.reshape(sums * (1 / time.sizes) + of_sound, [-1, _BOTTLENECK])
    context = ops.relu(_dense(context, weights, f"{name}_context"))
    mask = ops.sigmoid(_dense(context, weights, f"{name}_mask"))
    return ops.reshape(mask, [-1, time.n_segments, 1, _GROWTH])


def _dense(x: Any, weights: Weights, name: str) -> Any:
    return _add(_product(x, weights[f"{name}_kernel"]), weights[f"{name}_bias"])


def _product(x: Any, kernel: Any) -> Any:
    return ops.matmul(ops.cast(x, kernel.dtype), kernel)


def _add(x: Any, bias: Any) -> Any:
    # Unlike "+", it becomes one operation with the product before it.
    return ops.add(x, ops.cast(bias, x.dtype))


def _pool(x: Any, time: _Time) -> Any:
    """[b * t, c] -> mean and standard deviation [b, 2 c], unbiased as PyTorch's."""
    x = ops.reshape(x, [-1, time.n_segments * SEGMENT_FRAMES, x.shape[-1]])
    x = x[:, : time.n_frames]
    mean = ops.mean(x, axis=1, keepdims=True)
    variance = ops.sum(ops.square(x - mean), axis=1) * (1 / (time.n_frames - 1))
    return ops.concatenate([mean[:, 0], ops.sqrt(variance)], axis=-1)
