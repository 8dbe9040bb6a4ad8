"""Weights in fewer bytes: as float16, or as 8-bit integers with a scale for each slice.

Rounding comes first (`rounded`), and is the same whatever the format: what it costs can
be measured once. A file then stores in fewer bytes whatever loses nothing by it, so the
constants that are no weights (Fourier kernels, pixel grids) keep their precision, and a
runtime makes all of them float32 again before it computes.

Runtimes also offer arithmetic in 8 bits. It would round the waveform and the Fourier
kernels, too; of the voice, little is left (BUILD_NOTES 67).
"""

import contextlib
from typing import Iterator, List, Literal, NamedTuple, Optional, Union

import keras
import numpy as np

WeightType = Literal["float32", "float16", "int8"]

MIN_SIZE = 1024  # numbers; what has fewer stays float32: biases, statistics
# What has fewer is float16 where the rest is int8: little of the size, and among them
# are the first layers, which lose most.
MIN_INT8_SIZE = 65_536
_LARGEST = 127


class Int8(NamedTuple):
    """Weights = values * scales.

    Attributes:
      values: int8 of the weights' shape, from -127 to 127.
      scales: [n] float32, for the n slices along `axis`.
      axis: of `values`.
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


Stored = Union[np.ndarray, Int8]  # float32, float16, or 8 bits


@contextlib.contextmanager
def rounded(models: List[keras.Model], weights: WeightType) -> Iterator[None]:
    """Within, the weights of `models` are those that `weights` can store exactly."""
    variables = [v for model in models for v in model.variables]
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
    """Whether an array counts as weights to be rounded at all."""
    return values.dtype == np.float32 and values.ndim > 1 and values.size >= MIN_SIZE


def store(values: np.ndarray, weights: WeightType) -> Stored:
    """Returns float32 `values` in the fewest bytes that `weights` has, without loss.

    Returns:
      `values` themselves if they are no rounded weights.
    """
    if weights == "float32" or not is_large(values):
        return values
    if _is_int8(values, weights):
        found = _exact_int8(values)
        return values if found is None else found
    half = values.astype(np.float16)
    return half if np.array_equal(half.astype(np.float32), values) else values


def to_int8(weights: np.ndarray, axis: int) -> Int8:
    """Rounds weights to 8 bits, each slice along `axis` to its own scale."""
    others = tuple(a for a in range(weights.ndim) if a != axis)
    scales = np.abs(weights).max(axis=others) / np.float32(_LARGEST)
    scales = np.where(scales > 0, scales, np.float32(1.0))
    empty = Int8(np.empty(weights.shape, np.int8), scales, axis)
    values = np.rint(weights / empty.broadcast_scales()).astype(np.int8)
    return empty._replace(values=values)


def _is_int8(values: np.ndarray, weights: WeightType) -> bool:
    return weights == "int8" and values.size >= MIN_INT8_SIZE


def _round(values: np.ndarray, weights: WeightType) -> np.ndarray:
    if weights == "float32":
        return values
    if not _is_int8(values, weights):
        return values.astype(np.float16).astype(np.float32)
    # Along the axis that loses least.
    candidates = [to_int8(values, axis).weights() for axis in range(values.ndim)]
    return min(candidates, key=lambda one: np.square(one - values).sum())


def _exact_int8(values: np.ndarray) -> Optional[Int8]:
    for axis in range(values.ndim):
        found = to_int8(values, axis)
        if np.allclose(found.weights(), values, rtol=1e-6, atol=0.0):
            return found
    return None
