"""Exact retrieval among up to a million faces, beside its arithmetic alone.

    python -m experiments.benchmarks.retrieval
    python -m experiments.benchmarks.retrieval --gallery_sizes=5000

Measures the time and the memory of 100 queries for each metric, in a gallery of random
features of the compact model's 128 dimensions, in a file that is mapped into memory:

    ranks      the rank of the true face, ties counted, as Table 3 needs it
    nearest    the first ten faces, as a search needs them

The floor of cosine and L2 is the product of queries and gallery in float64, block by
block. L1 is not a product; its floor is `scipy.spatial.distance.cdist`.
"""

import dataclasses
import functools
import pathlib
import resource
import tempfile
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import scipy.spatial.distance

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face.metrics import neighbors
from speech2face.options import Options, option, run_command

# Of the compact model's features, dlib's.
DIM = 128
N_QUERIES = 100
K = 10
_ROWS_AT_ONCE = 16_384  # 16 MB in float64
_MILLION = 1_000_000  # such a gallery is searched once only


@dataclasses.dataclass(frozen=True)
class RetrievalBenchmarkOptions(Options):
    """Sizes of the galleries to search."""

    gallery_sizes: tuple[int, ...] = option(
        (5_000, 100_000, _MILLION),
        "Faces in the gallery, six rows each.",
        minimum=K,
        maximum=1_000_000_000,
    )


def main(options: RetrievalBenchmarkOptions) -> None:
    """Prints the table, row by row."""
    timing.print_table(measure(options.gallery_sizes))


def measure(gallery_sizes: Sequence[int]) -> Iterator[Timing]:
    """Times `neighbors.ranks` and `neighbors.nearest` for every metric and size."""
    with tempfile.TemporaryDirectory() as folder:
        for n in gallery_sizes:
            path = pathlib.Path(folder) / f"gallery_{n}.npy"
            write_gallery(path, n)
            yield from _measure_one(np.load(path, mmap_mode="r"))
            path.unlink()


def write_gallery(path: pathlib.Path, n: int) -> None:
    """Writes n random features, [n, 128] float32, block by block."""
    random = np.random.default_rng(0)
    gallery = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIM))
    for start in range(0, n, _ROWS_AT_ONCE):
        block = gallery[start : start + _ROWS_AT_ONCE]
        # Into the mapped file: a million faces would take 512 MB.
        block[:] = random.standard_normal(block.shape, np.float32)
    gallery.flush()


def _measure_one(gallery: np.ndarray) -> Iterator[Timing]:
    random = np.random.default_rng(1)
    true = random.integers(0, len(gallery), N_QUERIES)
    queries = gallery[true] + random.normal(size=(N_QUERIES, DIM)).astype(np.float32)
    n_repeats = 5 if len(gallery) < _MILLION else 1
    for metric in neighbors.METRICS:
        before = _peak_mb()
        operations: dict[str, Callable[[], object]] = {
            "floor": functools.partial(_floor, queries, gallery, metric),
            "ranks": functools.partial(neighbors.ranks, queries, gallery, true, metric),
            "nearest": functools.partial(
                neighbors.nearest, queries, gallery, K, metric
            ),
        }
        secs = timing.fastest(operations, n_repeats)
        memory = f"peak memory +{_peak_mb() - before:.0f} MB"
        beside = "cdist" if metric == "l1" else "float64 product"
        for name in ("ranks", "nearest"):
            what = f"{name}, {N_QUERIES} of {len(gallery):,}, {metric}"
            yield Timing(what, secs[name], beside, secs["floor"], memory)


def _floor(queries: np.ndarray, gallery: np.ndarray, metric: str) -> float:
    """The arithmetic alone: every distance is computed once and not kept."""
    queries, total = queries.astype(np.float64), 0.0
    for start in range(0, len(gallery), _ROWS_AT_ONCE):
        block = gallery[start : start + _ROWS_AT_ONCE].astype(np.float64)
        if metric == "l1":
            distances = scipy.spatial.distance.cdist(queries, block, "cityblock")
        else:
            distances = queries @ block.T
        total += distances[0, 0]
    return total


def _peak_mb() -> float:
    return timing.peak_bytes(resource.getrusage(resource.RUSAGE_SELF)) / 1e6


if __name__ == "__main__":
    run_command(main, RetrievalBenchmarkOptions)
