"""Exact search of a gallery of features, in bounded memory.

The gallery may be a memory-mapped array of millions of rows. It is read in blocks,
once to check it and once to search it, and is never copied whole. All arithmetic is
float64, so the result equals that of sorting all distances.

Not scikit-learn's `pairwise_distances_chunked`, which does the same: it divides the
queries and copies the whole gallery to float64 for each chunk of them. For 64 queries
in a float32 file of 1,000,000 x 128 (10 nearest, two cores, chunks of 64 MB) it needed
2 GB more memory and 5 (cosine), 3 (L2) and 2 (L1) times as long, with the same result.
"""

from collections.abc import Iterator
from concurrent import futures

import numpy as np
import scipy.spatial.distance

from speech2face.errors import UserError
from speech2face.metrics.features import check_same_length, checked_features, unit
from speech2face.system import n_cores

METRICS = ("cos", "l2", "l1")

_QUERIES_AT_ONCE = 256
# Numbers in a block of the gallery and in a matrix of distances: 32 MB in float64.
_BLOCK_VALUES = 1 << 22
# Distances closer than this, relative to the largest, are equal: the same face in two
# blocks may differ in the last bits, since matrix products round by their shape.
_TIE = 1e-12


def ranks(
    queries: np.ndarray, gallery: np.ndarray, true_index: np.ndarray, metric: str
) -> np.ndarray:
    """Returns the rank of each query's true face in the gallery.

    Args:
      queries: voice features [q, d].
      gallery: face features [n, d], may be a memory-mapped file.
      true_index: [q] int, where in the gallery the face of each query is.
      metric: 'cos', 'l2' or 'l1'.

    Returns:
      [q] float64, from 1 (nearest). Faces at the same distance share their mean rank:
      a gallery of one repeated face ranks everything (n + 1) / 2, which is chance.

    Raises:
      UserError: shapes or lengths disagree, a value is not finite, an index lies
        outside the gallery, or the metric is unknown.
    """
    queries = checked_features(queries, "queries")
    counted = _Ranks(queries, gallery, true_index, metric)
    for rows, _, distances in _blocks(queries, gallery, metric):
        counted.add(rows, distances)
    return counted.ranks()


def nearest(
    queries: np.ndarray, gallery: np.ndarray, k: int, metric: str = "cos"
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the k nearest faces of each query, nearest first.

    Args:
      queries: [q, d].
      gallery: [n, d], may be a memory-mapped file.
      k: how many; a gallery with fewer rows is returned whole.
      metric: 'cos', 'l2' or 'l1'.

    Returns:
      Indices [q, k] int into the gallery, and distances [q, k] float64: 1 - cosine, or
      the norm of the difference. Equal distances are in the order of their indices.

    Raises:
      UserError: as `ranks`.
    """
    queries = checked_features(queries, "queries")
    _check_gallery(queries, gallery)
    kept = _Nearest(len(queries), min(k, len(gallery)))
    for rows, start, distances in _blocks(queries, gallery, metric):
        kept.add(rows, start, distances)
    return kept.index, _true_distances(kept.best, queries, metric)


def ranks_and_nearest(
    queries: np.ndarray,
    gallery: np.ndarray,
    true_index: np.ndarray,
    k: int,
    metric: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what `ranks` returns, and the indices of `nearest`, of one search.

    At the paper's size the distances take nearly all of the time: 50 s of one core for
    L1 between 5,000 and 5,000 features of 4096 dimensions.

    Args:
      queries: see `ranks`.
      gallery: see `ranks`.
      true_index: see `ranks`.
      k: see `nearest`.
      metric: 'cos', 'l2' or 'l1'.
    """
    queries = checked_features(queries, "queries")
    counted = _Ranks(queries, gallery, true_index, metric)
    kept = _Nearest(len(queries), min(k, len(gallery)))
    for rows, start, distances in _blocks(queries, gallery, metric):
        counted.add(rows, distances)
        kept.add(rows, start, distances)
    return counted.ranks(), kept.index


class _Ranks:
    """Counts the faces that are nearer than the true one, block by block."""

    def __init__(
        self,
        queries: np.ndarray,
        gallery: np.ndarray,
        true_index: np.ndarray,
        metric: str,
    ):
        true_index = np.asarray(true_index)
        largest = _check_gallery(queries, gallery)
        check_same_length(queries, true_index)
        if true_index.min() < 0 or true_index.max() >= len(gallery):
            raise UserError(f"true_index must be in [0, {len(gallery)})")
        self._tie = _TIE * _largest_distance(queries, largest, metric)
        self._true_distance = np.array(
            [
                _distances(queries[i : i + 1], gallery[j : j + 1], metric)[0]
                for i, j in enumerate(true_index)
            ]
        )  # [q, 1]
        self._n_nearer, self._n_equal = np.zeros(len(queries)), np.zeros(len(queries))

    def add(self, rows: slice, distances: np.ndarray) -> None:
        """Counts in one block of the gallery, for some of the queries."""
        true, tie = self._true_distance[rows], self._tie
        self._n_nearer[rows] += (distances < true - tie).sum(axis=1)
        self._n_equal[rows] += (np.abs(distances - true) <= tie).sum(axis=1)

    def ranks(self) -> np.ndarray:
        """Returns the ranks [q], once all blocks are counted."""
        # The true face is itself among the equal ones.
        return self._n_nearer + (self._n_equal + 1) / 2


class _Nearest:
    """Keeps the k nearest faces of each query, block by block.

    Attributes:
      best: [q, k] what `_distances` returned for them, nearest first.
      index: [q, k] int into the gallery.
    """

    def __init__(self, n_queries: int, k: int):
        self.best = np.full((n_queries, k), np.inf)
        self.index = np.zeros((n_queries, k), int)

    def add(self, rows: slice, start: int, distances: np.ndarray) -> None:
        """Merges the faces of one block, which begins at the row `start`."""
        k = self.best.shape[1]
        n_kept = min(k, distances.shape[1])
        columns = np.argpartition(distances, n_kept - 1, axis=1)[:, :n_kept]
        # The best of this block compete with the best of all blocks before it.
        values = np.take_along_axis(distances, columns, axis=1)
        values = np.concatenate([self.best[rows], values], axis=1)
        indices = np.concatenate([self.index[rows], columns + start], axis=1)
        order = np.lexsort((indices, values))[:, :k]
        self.best[rows] = np.take_along_axis(values, order, axis=1)
        self.index[rows] = np.take_along_axis(indices, order, axis=1)


def _check_gallery(queries: np.ndarray, gallery: np.ndarray) -> float:
    """Raises UserError if it cannot be searched; returns the largest L1 norm in it."""
    if np.ndim(gallery) != 2 or not len(gallery):
        raise UserError(f"gallery must be [n, d], n > 0, not {np.shape(gallery)}")
    if queries.shape[1] != np.shape(gallery)[1]:
        raise UserError(
            f"queries have {queries.shape[1]} dimensions, the gallery "
            f"{np.shape(gallery)[1]}"
        )
    return max(
        float(np.abs(block).sum(axis=1).max()) for _, block in _gallery_blocks(gallery)
    )


def _largest_distance(
    queries: np.ndarray, largest_in_gallery: float, metric: str
) -> float:
    """Returns an upper bound of |distance| as `_distances` defines it."""
    if metric == "cos":
        return 1.0
    largest_query = float(np.abs(queries).sum(axis=1).max())
    if metric == "l1":
        return largest_in_gallery + largest_query
    return largest_in_gallery * (largest_in_gallery + 2 * largest_query)


def _blocks(
    queries: np.ndarray, gallery: np.ndarray, metric: str
) -> Iterator[tuple[slice, int, np.ndarray]]:
    """Yields (slice of the queries, first row of the gallery, their distances)."""
    slices = [
        slice(first, first + _QUERIES_AT_ONCE)
        for first in range(0, len(queries), _QUERIES_AT_ONCE)
    ]
    # Matrix products use all cores by themselves; cdist uses one, and releases the GIL.
    n_threads = n_cores() if metric == "l1" else 1
    with futures.ThreadPoolExecutor(n_threads) as threads:
        for start, block in _gallery_blocks(gallery):
            # As many as there are threads: all slices at once would fill the memory.
            for first in range(0, len(slices), n_threads):
                group = slices[first : first + n_threads]
                computed = threads.map(
                    lambda rows, block=block: _distances(queries[rows], block, metric),
                    group,
                )
                for rows, distances in zip(group, computed):
                    yield rows, start, distances


def _gallery_blocks(gallery: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields (first row, rows as float64)."""
    n_columns = max(gallery.shape[1], _QUERIES_AT_ONCE)  # of rows or of distances
    n_rows = max(1, _BLOCK_VALUES // n_columns)
    for start in range(0, len(gallery), n_rows):
        yield start, checked_features(gallery[start : start + n_rows], "gallery")


def _distances(queries: np.ndarray, gallery: np.ndarray, metric: str) -> np.ndarray:
    """Returns what sorts as the distances do, [q, n].

    'cos' without its 1; 'l2' squared and without |query|^2. Both are constant for a
    query, so one matrix product is enough.
    """
    gallery = np.asarray(gallery, np.float64)
    if metric == "cos":
        return -unit(queries) @ unit(gallery).T
    if metric == "l2":
        return np.square(gallery).sum(axis=1) - 2 * queries @ gallery.T
    if metric == "l1":
        return scipy.spatial.distance.cdist(queries, gallery, "cityblock")
    raise UserError(f"metric is {metric!r}; it must be one of {', '.join(METRICS)}")


def _true_distances(
    ordered: np.ndarray, queries: np.ndarray, metric: str
) -> np.ndarray:
    """Returns the distances of values [q, k] of `_distances`."""
    if metric == "cos":
        return 1.0 + ordered
    if metric == "l2":
        squared = ordered + np.square(queries).sum(axis=1, keepdims=True)
        return np.sqrt(np.maximum(squared, 0.0))  # rounding may fall below 0
    return ordered
