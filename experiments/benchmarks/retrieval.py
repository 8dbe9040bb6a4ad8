"""Exact retrieval among up to a million faces, beside its matrix products alone.

    python -m experiments.benchmarks.retrieval

Random features of the compact model's 128 dimensions lie in a file that is mapped into
memory, as a gallery of that size would. 'ranks' is what Table 3 needs (the rank of the
true face, ties counted), 'nearest' what a search needs (the first ten). The yardstick
for cosine and L2 is the product of queries and gallery in float64, block by block; for
L1, which is no product, `scipy.spatial.distance.cdist`.
"""

import dataclasses
import pathlib
import resource
import tempfile
from typing import Iterator, Tuple

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face import flag_config
from speech2face.config_fields import option

DIM = 128
N_QUERIES = 100
K = 10
_ROWS_AT_ONCE = 16_384


@dataclasses.dataclass(frozen=True)
class RetrievalBenchmarkOptions:
    """How much is searched."""

    gallery_sizes: Tuple[int, ...] = option(
        (5_000, 100_000, 1_000_000), "Faces in the gallery, one table each."
    )


def main(options: RetrievalBenchmarkOptions) -> None:
    """Prints the table."""
    print(timing.to_markdown(list(measure(options.gallery_sizes))))


def measure(gallery_sizes: Tuple[int, ...]) -> Iterator[Timing]:
    """Times `search.ranks` and `search.nearest` for every metric and size."""
    import numpy as np

    with tempfile.TemporaryDirectory() as folder:
        for n in gallery_sizes:
            path = pathlib.Path(folder) / f"gallery_{n}.npy"
            write_gallery(path, n)
            yield from _measure_one(np.load(path, mmap_mode="r"))
            path.unlink()


def write_gallery(path: pathlib.Path, n: int) -> None:
    """Writes n random features, without ever holding all of them."""
    import numpy as np

    random = np.random.default_rng(0)
    gallery = np.lib.format.open_memmap(path, "w+", np.float32, (n, DIM))
    for start in range(0, n, _ROWS_AT_ONCE):
        block = gallery[start : start + _ROWS_AT_ONCE]
        block[:] = random.standard_normal(block.shape, np.float32)
    gallery.flush()


def _measure_one(gallery) -> Iterator[Timing]:
    import numpy as np

    from speech2face import search

    random = np.random.default_rng(1)
    own = random.integers(0, len(gallery), N_QUERIES)
    queries = gallery[own] + random.normal(size=(N_QUERIES, DIM)).astype(np.float32)
    n_repeats = 5 if len(gallery) < 1_000_000 else 1
    for metric in search.METRICS:
        before = _peak_mb()
        secs = timing.fastest(
            {
                "floor": lambda metric=metric: _floor(queries, gallery, metric),
                "ranks": lambda metric=metric: search.ranks(
                    queries, gallery, own, metric
                ),
                "nearest": lambda metric=metric: search.nearest(
                    queries, gallery, K, metric
                ),
            },
            n_repeats,
        )
        memory = f"peak memory +{_peak_mb() - before:.0f} MB"
        beside = "cdist" if metric == "l1" else "float64 product"
        for name in ("ranks", "nearest"):
            what = f"{name}, {N_QUERIES} of {len(gallery):,}, {metric}"
            yield Timing(what, secs[name], beside, secs["floor"], memory)


def _floor(queries, gallery, metric: str) -> float:
    """The arithmetic alone: every distance is computed once and forgotten."""
    import numpy as np
    import scipy.spatial.distance

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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


if __name__ == "__main__":
    flag_config.run(main, RetrievalBenchmarkOptions)
