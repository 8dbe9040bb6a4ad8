"""A linear solver in plain operations, for runtimes that have none."""

from typing import Any

import keras
import numpy as np
from keras import ops


def solve_by_elimination(
    matrices: keras.KerasTensor, right_sides: keras.KerasTensor
) -> keras.KerasTensor:
    """Solves linear systems by Gauss-Jordan elimination with partial pivoting.

    The same as `ops.solve` in operations that TFLite and ONNX have. The solution is
    refined once by its own residual, which halves the error that elimination alone
    has in float32.

    Args:
      matrices: [batch, n, n] float, regular, n static.
      right_sides: [batch, n, m] float.

    Returns:
      [batch, n, m] float.
    """
    inverses = _inverted(matrices)
    solutions = ops.matmul(inverses, right_sides)
    # Not matmul: some of its kernels add up so coarsely that the residual is noise.
    products = matrices[..., None] * solutions[:, None]  # [b, n, n, m]
    residuals = right_sides - ops.sum(products, axis=2)
    return solutions + ops.matmul(inverses, residuals)


def _inverted(matrices: keras.KerasTensor) -> keras.KerasTensor:
    """The inverses [batch, n, n] of matrices [batch, n, n]."""
    n_rows = matrices.shape[-1]
    rows = np.arange(n_rows, dtype="int32")

    def eliminate(column: Any, state: tuple[Any, Any]) -> tuple[Any, Any]:
        """Clears a column in every row but the largest one not used as pivot yet."""
        table, order_used = state  # [b, n, 2 n], [b, n, n]: is row the i-th pivot?
        entries = ops.take(table, column, axis=2)  # [b, n]
        used = ops.sum(order_used, axis=2)
        # Not argmax: Keras makes it of bit operations, which TFLite lacks.
        _, pivot = ops.top_k(ops.abs(entries) * (1.0 - used) - used, 1)  # [b, 1]
        is_pivot = ops.cast(ops.equal(ops.cast(pivot, "int32"), rows), "float32")
        pivot_row = ops.matmul(is_pivot[:, None], table)  # [b, 1, 2 n]
        pivot_row = pivot_row / ops.sum(is_pivot * entries, axis=1)[:, None, None]
        table = table - (entries - is_pivot)[..., None] * pivot_row
        is_column = ops.cast(ops.equal(column, rows), "float32")
        return table, order_used + is_pivot[..., None] * is_column

    units = ops.zeros_like(matrices) + np.eye(n_rows, dtype="float32")
    table = ops.concatenate([matrices, units], axis=-1)
    table, order_used = ops.fori_loop(
        0, n_rows, eliminate, (table, ops.zeros_like(matrices))
    )
    # Rows were never exchanged: sort them by the column that each was the pivot of.
    return ops.matmul(ops.transpose(order_used, (0, 2, 1)), table[..., n_rows:])
