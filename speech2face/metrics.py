"""Measures of Sec. 4: feature similarity, retrieval, agreement, correlation.

All take numpy arrays, compute in float64, and return plain numbers that JSON can hold.

Retrieval is reported twice. `recall_strict` at K is the share of queries whose true
face is among the K nearest of the gallery. `recall_percent` at K, the paper's protocol
(Table 3: its random row reads 1, 2, 5 and 10 %), is the share whose true face is among
the nearest K percent of the gallery; that is the first floor(K n / 100) of n, and at
least the first one.
"""

from typing import Any, Callable, Dict, Hashable, Sequence, Tuple

import numpy as np
import scipy.stats

from speech2face.search import checked_features, ranks, unit

KS = (1, 2, 5, 10)


def feature_distances(true: np.ndarray, predicted: np.ndarray) -> Dict[str, np.ndarray]:
    """Distances of each example, [n], by the names of `feature_similarity`."""
    true = checked_features(true, "true")
    predicted = checked_features(predicted, "predicted")
    _check_same_length(true, predicted)
    difference = true - predicted
    return {
        "cos_deg": _angle_deg(true, predicted),
        "l2": np.linalg.norm(difference, axis=1),
        "l1": np.abs(difference).sum(axis=1),
    }


def feature_similarity(
    true: np.ndarray, predicted: np.ndarray
) -> Dict[str, Dict[str, float]]:
    """Distances between voice and face features, as in Table 2.

    Args:
      true: face features [n, d], normalised (v_f).
      predicted: voice features [n, d] (v_s).

    Returns:
      'cos_deg' (angle in degrees), 'l2' and 'l1', each the 'mean' over examples and
      their standard deviation 'sd'.
    """
    return {
        name: {"mean": float(values.mean()), "sd": float(values.std())}
        for name, values in feature_distances(true, predicted).items()
    }


def retrieval(
    queries: np.ndarray,
    gallery: np.ndarray,
    true_index: np.ndarray,
    metric: str = "cos",
    ks: Sequence[int] = KS,
) -> Dict[str, Any]:
    """How often the true face is near the top of the gallery, as in Table 3.

    Args:
      queries: voice features [q, d].
      gallery: face features [n, d].
      true_index: [q], where in the gallery the face of each query is.
      metric: 'cos', 'l2' or 'l1'.
      ks: the K of recall at K.

    Returns:
      'n' (size of the gallery), 'n_queries', 'recall_strict' and 'recall_percent' (see
      the module) as fractions at str(K), 'median_rank' (1 is best), and 'chance', which
      holds the same three for a random order of the gallery.
    """
    rank = ranks(queries, gallery, true_index, metric)
    n = len(gallery)
    strict = {str(k): min(k, n) for k in ks}
    percent = {str(k): percent_rank(k, n) for k in ks}
    return {
        "n": n,
        "n_queries": len(rank),
        "recall_strict": {k: float(np.mean(rank <= cut)) for k, cut in strict.items()},
        "recall_percent": {
            k: float(np.mean(rank <= cut)) for k, cut in percent.items()
        },
        "median_rank": float(np.median(rank)),
        "chance": {
            "recall_strict": {k: cut / n for k, cut in strict.items()},
            "recall_percent": {k: cut / n for k, cut in percent.items()},
            "median_rank": (n + 1) / 2,
        },
    }


def percent_rank(k: int, n: int) -> int:
    """The last rank that counts as within the nearest K percent of n faces."""
    return max(1, k * n // 100)


def pearson(x: np.ndarray, y: np.ndarray) -> Dict[str, Any]:
    """Pearson correlation of two series [n], as in Fig. 5c.

    Returns:
      'r', its two-sided 'p', 'n', and 'ci95', the two ends of Fisher's 95 % interval.
      'r', 'p' and 'ci95' are None where a series is constant, 'ci95' below 4 pairs.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    _check_same_length(x, y)
    if len(x) < 2 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return {"r": None, "p": None, "n": len(x), "ci95": None}
    result = scipy.stats.pearsonr(x, y)
    interval = result.confidence_interval(0.95) if len(x) > 3 else None
    return {
        "r": float(result.statistic),
        "p": float(result.pvalue),
        "n": len(x),
        "ci95": interval and [float(interval.low), float(interval.high)],
    }


def confusion(
    true: Sequence[Hashable], predicted: Sequence[Hashable], classes: Sequence[Hashable]
) -> Dict[str, Any]:
    """Agreement of two labellings, rows normalised as in Fig. 4a.

    Args:
      true: [n] labels; the rows.
      predicted: [n] labels; the columns.
      classes: all labels, in the order of rows and columns.

    Returns:
      'classes', 'counts' [true][predicted], 'row_rate' (each row of counts divided by
      its sum; zeros where the class does not occur), 'accuracy' and 'n'.
    """
    _check_same_length(true, predicted)
    index = {label: k for k, label in enumerate(classes)}
    unknown = sorted(map(str, {*true, *predicted} - set(index)))
    if unknown or not len(true):
        raise ValueError(f"labels outside {list(classes)}: {unknown or 'no labels'}")
    counts = np.zeros([len(classes)] * 2, int)
    np.add.at(counts, ([index[t] for t in true], [index[p] for p in predicted]), 1)
    row_rate = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
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
) -> Tuple[float, float]:
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
    series = [np.asarray(values) for values in series]
    n = len(series[0])
    samples = [
        statistic(*(values[picked] for values in series))
        for picked in (generator.integers(0, n, n) for _ in range(n_resamples))
    ]
    tail = 50 * (1 - level)
    low, high = np.percentile(samples, [tail, 100 - tail])
    return float(low), float(high)


def _angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angle between rows, exact near 0 and 180 degrees, where arccos is not."""
    a, b = unit(a), unit(b)
    apart, along = np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1)
    return np.degrees(2 * np.arctan2(apart, along))


def _check_same_length(a: Sequence, b: Sequence) -> None:
    if len(a) != len(b):
        raise ValueError(f"{len(a)} and {len(b)} examples; expected as many")
