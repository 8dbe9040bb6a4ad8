"""Shared by the measures: checks of feature matrices, and unit vectors."""

from collections.abc import Sized

import numpy as np

from speech2face.errors import UserError


def unit(vectors: np.ndarray) -> np.ndarray:
    """Returns rows [n, d] scaled to norm 1; a zero row stays zero.

    `speech2face.models.vectors.unit` does the same for tensors in a graph.
    """
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)


def checked_features(values: np.ndarray, name: str) -> np.ndarray:
    """Returns features [n, d] as float64.

    Raises:
      UserError: the array is empty, not a matrix, or has values that are not finite;
        `name` says which array.
    """
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not len(values):
        raise UserError(f"{name} must be [n, d] with n > 0, not {values.shape}")
    if not np.isfinite(values).all():
        raise UserError(
            f"{name} has values that are NaN or infinite", reason="not_finite"
        )
    return values


def check_same_length(a: Sized, b: Sized) -> None:
    """Raises UserError unless `a` and `b` have equal lengths."""
    if len(a) != len(b):
        raise UserError(f"{len(a)} and {len(b)} examples; expected equal lengths")
