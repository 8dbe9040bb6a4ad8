"""Exact search of a gallery of features, in bounded memory.

The gallery may be a memory-mapped array of millions of rows: it is read in blocks, once
to check it and once to search it, and never copied whole. All arithmetic is float64, so
the result is that of sorting all distances.
"""

from typing import Iterator, Tuple

import numpy as np
import scipy.spatial.distance

METRICS = ("cos", "l2", "l1")

_QUERIES_AT_ONCE = 256
_BLOCK_VALUES = 1 << 22  # of a block of the gallery, and of a matrix of distances
_TIE = 1e-12  # distances closer than this, relative to the largest, are equal


def ranks(
    queries: np.ndarray, gallery: np.ndarray, true_index: np.ndarray, metric: str
) -> np.ndarray:
    """The rank of each query's true face in the gallery.

    Args:
      queries: voice features [q, d].
      gallery: face features [n, d].
      true_index: [q], where in the gallery the face of each query is.
      metric: 'cos', 'l2' or 'l1'.

    Returns:
      [q] float64, from 1 (nearest). Faces at the same distance share their mean rank:
      a gallery of one repeated face ranks everything (n + 1) / 2, which is chance.
    """
    queries, true_index = _queries(queries), np.asarray(true_index)
    largest = _check_gallery(queries, gallery)
    if len(queries) != len(true_index):
        raise ValueError(
            f"{len(queries)} and {len(true_index)} examples; expected as many"
        )
    if true_index.min() < 0 or true_index.max() >= len(gallery):
        raise ValueError(f"true_index must be in [0, {len(gallery)})")
    tie = _TIE * _largest_distance(queries, largest, metric)
    own = np.array(
        [
            _distances(queries[i : i + 1], gallery[j : j + 1], metric)[0]
            for i, j in enumerate(true_index)
        ]
    )  # [q, 1]
    n_nearer, n_equal = np.zeros(len(queries)), np.zeros(len(queries))
    for rows, _, distances in _blocks(queries, gallery, metric):
        n_nearer[rows] += (distances < own[rows] - tie).sum(axis=1)
        n_equal[rows] += (np.abs(distances - own[rows]) <= tie).sum(axis=1)
    return n_nearer + (n_equal + 1) / 2  # itself is among the equal ones


def nearest(
    queries: np.ndarray, gallery: np.ndarray, k: int, metric: str = "cos"
) -> Tuple[np.ndarray, np.ndarray]:
    """The k nearest faces of each query, nearest first.

    Args:
      queries: [q, d].
      gallery: [n, d].
      k: how many; all of a smaller gallery.
      metric: 'cos', 'l2' or 'l1'.

    Returns:
      Indices [q, k] into the gallery, and distances [q, k]: 1 - cosine, or the norm of
      the difference.
    """
    queries = _queries(queries)
    _check_gallery(queries, gallery)
    k = min(k, len(gallery))
    best = np.full((len(queries), k), np.inf)
    index = np.zeros((len(queries), k), int)
    for rows, start, distances in _blocks(queries, gallery, metric):
        width = min(k, distances.shape[1])
        found = np.argpartition(distances, width - 1, axis=1)[:, :width]
        values = np.take_along_axis(distances, found, axis=1)
        values = np.concatenate([best[rows], values], axis=1)
        indices = np.concatenate([index[rows], found + start], axis=1)
        order = np.lexsort((indices, values))[:, :k]
        best[rows] = np.take_along_axis(values, order, axis=1)
        index[rows] = np.take_along_axis(indices, order, axis=1)
    return index, _true_distances(best, queries, metric)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Rows scaled to norm 1; a zero row stays zero."""
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(norms == 0, 1, norms)


def checked_features(values: np.ndarray, name: str) -> np.ndarray:
    """Returns features [n, d] as float64; raises ValueError if they are not finite."""
    values = np.asarray(values, np.float64)
    if values.ndim != 2 or not len(values):
        raise ValueError(f"{name} must be [n, d] with n > 0, not {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} has values that are NaN or infinite")
    return values


def _queries(queries: np.ndarray) -> np.ndarray:
    return checked_features(queries, "queries")


def _check_gallery(queries: np.ndarray, gallery: np.ndarray) -> float:
    """Raises ValueError if it cannot be searched; returns its largest |.|_1."""
    if np.ndim(gallery) != 2 or not len(gallery):
        raise ValueError(f"gallery must be [n, d], n > 0, not {np.shape(gallery)}")
    if queries.shape[1] != np.shape(gallery)[1]:
        raise ValueError(
            f"queries have {queries.shape[1]} dimensions, the gallery "
            f"{np.shape(gallery)[1]}"
        )
    return max(
        float(np.abs(block).sum(axis=1).max()) for _, block in _gallery_blocks(gallery)
    )


def _largest_distance(queries: np.ndarray, largest: float, metric: str) -> float:
    """An upper bound of |distance| as `_distances` has it."""
    if metric == "cos":
        return 1.0
    own = float(np.abs(queries).sum(axis=1).max())
    return largest + own if metric == "l1" else largest * (largest + 2 * own)


def _blocks(
    queries: np.ndarray, gallery: np.ndarray, metric: str
) -> Iterator[Tuple[slice, int, np.ndarray]]:
    """Yields (slice of the queries, first row of the gallery, their distances)."""
    for start, block in _gallery_blocks(gallery):
        for first in range(0, len(queries), _QUERIES_AT_ONCE):
            rows = slice(first, first + _QUERIES_AT_ONCE)
            yield rows, start, _distances(queries[rows], block, metric)


def _gallery_blocks(gallery: np.ndarray) -> Iterator[Tuple[int, np.ndarray]]:
    widest = max(gallery.shape[1], _QUERIES_AT_ONCE)
    n_rows = max(1, _BLOCK_VALUES // widest)
    for start in range(0, len(gallery), n_rows):
        yield start, checked_features(gallery[start : start + n_rows], "gallery")


def _distances(queries: np.ndarray, gallery: np.ndarray, metric: str) -> np.ndarray:
    """[q, n], in the order of the metric; 'l2' is squared and without |query|^2."""
    gallery = np.asarray(gallery, np.float64)
    if metric == "cos":
        return -unit(queries) @ unit(gallery).T
    if metric == "l2":
        return np.square(gallery).sum(axis=1) - 2 * queries @ gallery.T
    if metric == "l1":
        return scipy.spatial.distance.cdist(queries, gallery, "cityblock")
    raise ValueError(f"metric is {metric!r}; it must be one of {', '.join(METRICS)}")


def _true_distances(ordered: np.ndarray, queries: np.ndarray, metric: str):
    if metric == "cos":
        return 1.0 + ordered
    if metric == "l2":
        squared = ordered + np.square(queries).sum(axis=1, keepdims=True)
        return np.sqrt(np.maximum(squared, 0.0))
    return ordered
