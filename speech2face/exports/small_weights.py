"""Weights in fewer bytes: float16, or 8-bit integers with one scale per slice.

1. `rounded` rounds a model's weights in place. This is the only loss, it is the same
   for all formats, and so its cost is measured once (`comparison`).
2. A file stores the rounded weights exactly (`store`). Only weights are stored at lower
   precision; other constants (Fourier kernels, pixel grids) stay float32.
3. A runtime converts them back to float32 before it computes.

The libraries' own converters lose too much. On the compact model before CAM++,
our float16 files had a cosine of 1.000000 and 0.000 px, our 8-bit files 0.9995 and
0.17 px:

  TFLite converter, float16         15.6 MB (ours 16.4)  1.0000   0.06 px
  TFLite converter, dynamic 8 bits  14.7 MB (ours 10.3)  0.91     2.2 px
  onnxruntime.quantize_dynamic      19.2 MB (ours 7.3)   0.59     4.3 px
  onnxruntime's float16 converter   an invalid file: it breaks the loops of the graph

They also round the waveform, the activations or the Fourier kernels. The power-law
compression (Sec. 3) enlarges small errors near zero, so little of the voice is left.
See docs/decisions/small-weights.md.
"""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from speech2face.exports.request import WeightType

MIN_SIZE = 1024  # numbers; smaller arrays stay float32: biases, statistics
# Numbers; smaller arrays become float16 instead of int8. They are little of the size,
# and the first layers, which suffer most from 8 bits, are among them.
MIN_INT8_SIZE = 65_536
_LARGEST = 127  # symmetric: -128 is not used


class Int8(NamedTuple):
    """Weights = values * scales.

    Attributes:
      values: int8 of the weights' shape, from -127 to 127.
      scales: [n] float32, for the n slices along `axis`.
      axis: the axis of `values` that has a scale for each index.
    """

    values: np.ndarray
    scales: np.ndarray
    axis: int

    def weights(self) -> np.ndarray:
        """Returns the weights, float32."""
        return self.values * self.broadcast_scales()

    def broadcast_scales(self) -> np.ndarray:
        """Returns the scales in the shape that multiplies the slices of the values."""
        shape = [1] * self.values.ndim
        shape[self.axis] = -1
        return self.scales.reshape(shape)


Stored = np.ndarray | Int8  # an array is float32 or float16


class StoredVariables:
    """Variables of a network as arrays in few bytes, for graphs that restore them.

    Attributes:
      arrays: what is stored of each variable: [values], or [values, scales] if the
        values are 8-bit.
    """

    def __init__(self, variables: Sequence[keras.Variable], weights: WeightType):
        """Stores the values of variables, without loss if they are `rounded`."""
        self._variables = list(variables)
        stored = [store(np.asarray(variable), weights) for variable in variables]
        self.arrays: list[list[np.ndarray]] = [
            [one.values, one.broadcast_scales()] if isinstance(one, Int8) else [one]
            for one in stored
        ]

    def scope(self, tensors: Sequence[Sequence[Any]]) -> keras.StatelessScope:
        """Within the scope, the network computes with `tensors`.

        Args:
          tensors: tensors with the types and shapes of `arrays`.
        """
        weights = []
        for values, *scales in tensors:
            float32 = keras.ops.cast(values, "float32")
            weights.append(float32 * scales[0] if scales else float32)
        return keras.StatelessScope(list(zip(self._variables, weights)))


@contextlib.contextmanager
def rounded(models: Sequence[keras.Model], weights: WeightType) -> Iterator[None]:
    """Within the context, the weights of `models` are ones that `weights` can store.

    Args:
      models: Keras models; their weights are as before afterwards.
      weights: how they will be stored.
    """
    variables = [variable for model in models for variable in model.variables]
    before = [np.asarray(variable) for variable in variables]
    try:
        for variable, values in zip(variables, before):
            if is_large(values):
                variable.assign(_round(values, weights))
        yield
    finally:
        for variable, values in zip(variables, before):
            variable.assign(values)


def is_large(values: np.ndarray) -> bool:
    """Returns whether an array counts as weights to be rounded at all."""
    return values.dtype == np.float32 and values.ndim > 1 and values.size >= MIN_SIZE


def store(values: np.ndarray, weights: WeightType) -> Stored:
    """Returns float32 `values` in the fewest bytes that `weights` has, without loss.

    Returns:
      `values` themselves if they are not rounded weights.
    """
    if weights == "float32" or not is_large(values):
        return values
    if _becomes_int8(values, weights):
        exact = _exact_int8(values)
        return values if exact is None else exact
    half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values


def to_int8(weights: np.ndarray, axis: int) -> Int8:
    """Rounds weights to 8 bits, with one scale for each slice along `axis`."""
    others = tuple(a for a in range(weights.ndim) if a != axis)
    scales = np.abs(weights).max(axis=others) / np.float32(_LARGEST)
    scales = np.where(scales > 0, scales, np.float32(1.0))  # a slice of zeros
    empty = Int8(np.empty(weights.shape, np.int8), scales, axis)
    values = np.rint(weights / empty.broadcast_scales()).astype(np.int8)
    return empty._replace(values=values)


def _becomes_int8(values: np.ndarray, weights: WeightType) -> bool:
    return weights == "int8" and values.size >= MIN_INT8_SIZE


def _round(values: np.ndarray, weights: WeightType) -> np.ndarray:
    if weights == "float32":
        return values
    if not _becomes_int8(values, weights):
        return values.astype(np.float16).astype(np.float32)
    # Along the axis that loses least.
    candidates = [to_int8(values, axis).weights() for axis in range(values.ndim)]
    return min(candidates, key=lambda one: np.square(one - values).sum())


def _exact_int8(values: np.ndarray) -> Int8 | None:
    """The 8-bit form of weights that `rounded` has rounded, whatever their axis.

    Converters transpose weights, so the axis is not known here.
    """
    for axis in range(values.ndim):
        candidate = to_int8(values, axis)
        # 1e-6: the scale is computed again from the largest weight, which was rounded.
        if np.allclose(candidate.weights(), values, rtol=1e-6, atol=0.0):
            return candidate
    return None
