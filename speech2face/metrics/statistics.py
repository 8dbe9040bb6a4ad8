"""Agreement of labels, correlation, and bootstrap intervals (Sec. 4).

All take numpy arrays, compute in float64, and return plain numbers that JSON can hold.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np

from speech2face.errors import UserError
from speech2face.metrics.features import check_same_length


def pearson(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Pearson correlation of two series [n], as in Fig. 5c.

    Args:
      x: [n] real numbers.
      y: [n] real numbers, one for each of `x`.

    Returns:
      'r', its two-sided 'p', 'n', and 'ci95', the two ends of Fisher's 95 % interval.
      'r', 'p' and 'ci95' are None where a series is constant, 'ci95' below 4 pairs.

    Raises:
      UserError: the lengths differ.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    check_same_length(x, y)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"r": None, "p": None, "n": len(x), "ci95": None}
    import scipy.stats  # late: it takes half a second, too long for --help

    result = scipy.stats.pearsonr(x, y)
    # Fisher's z has the standard error 1 / sqrt(n - 3).
    interval = result.confidence_interval(0.95) if len(x) > 3 else None
    return {
        "r": float(result.statistic),
        "p": float(result.pvalue),
        "n": len(x),
        "ci95": interval and [float(interval.low), float(interval.high)],
    }


def confusion(
    true: Sequence[Hashable], predicted: Sequence[Hashable], classes: Sequence[Hashable]
) -> dict[str, Any]:
    """Agreement of two labelings, rows normalized as in Fig. 4a.

    Args:
      true: [n] labels; the rows.
      predicted: [n] labels; the columns.
      classes: all labels, in the order of rows and columns.

    Returns:
      'classes', 'counts' [true][predicted], 'row_rate' (each row of counts divided by
      its sum; zeros where the class does not occur), 'accuracy' and 'n'.

    Raises:
      UserError: the lengths differ, there are no labels, or one is not in `classes`.
    """
    check_same_length(true, predicted)
    index = {label: k for k, label in enumerate(classes)}
    unknown = sorted(map(str, {*true, *predicted} - set(index)))
    if unknown or not len(true):
        raise UserError(f"labels outside {list(classes)}: {unknown or 'no labels'}")
    counts = np.zeros([len(classes)] * 2, int)
    np.add.at(counts, ([index[t] for t in true], [index[p] for p in predicted]), 1)
    row_rate = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)  # no 0 / 0
    return {
        "classes": list(classes),
        "counts": counts.tolist(),
        "row_rate": row_rate.tolist(),
        "accuracy": float(np.trace(counts) / counts.sum()),
        "n": len(true),
    }


def bootstrap_ci(
    *series: np.ndarray,
    statistic: Callable[..., float] = np.mean,
    level: float = 0.95,
    n_resamples: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of `statistic(*series)`.

    Args:
      *series: one or more arrays [n], resampled together.
      statistic: called with as many resampled arrays.
      level: coverage.
      n_resamples: how often to resample.
      seed: makes the interval reproducible.

    Returns:
      (low, high).
    """
    generator = np.random.default_rng(seed)
    arrays = [np.asarray(values) for values in series]
    n = len(arrays[0])
    # One draw of indices for all series: their examples stay paired.
    samples = [
        statistic(*(values[picked] for values in arrays))
        for picked in (generator.integers(0, n, n) for _ in range(n_resamples))
    ]
    tail = 50 * (1 - level)
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)
