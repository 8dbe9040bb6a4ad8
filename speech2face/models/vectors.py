"""Unit vectors in a graph, for networks and losses."""

from typing import Any

from keras import ops

# The least squared norm that is divided by: a zero vector stays zero, and its gradient
# stays finite.
MIN_SQUARED_NORM = 1e-12


def unit(vectors: Any) -> Any:
    """Returns vectors [..., d] divided by their norms, float; zeros stay zeros.

    `speech2face.metrics.features.unit` does the same for numpy arrays in float64.
    """
    squared_norm = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squared_norm, MIN_SQUARED_NORM))
