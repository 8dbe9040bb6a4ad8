"""Feature similarity: distances between voice features and face features (Table 2)."""

import numpy as np

from speech2face.metrics.features import check_same_length, checked_features, unit


def feature_distances(true: np.ndarray, predicted: np.ndarray) -> dict[str, np.ndarray]:
    """Returns the distances of each example, [n], by name; see `feature_similarity`.

    Raises:
      UserError: the shapes differ, or a value is not finite.
    """
    true = checked_features(true, "true")
    predicted = checked_features(predicted, "predicted")
    check_same_length(true, predicted)
    difference = true - predicted
    return {
        "cos_deg": _angle_deg(true, predicted),
        "l2": np.linalg.norm(difference, axis=1),
        "l1": np.abs(difference).sum(axis=1),
    }


def feature_similarity(
    true: np.ndarray, predicted: np.ndarray
) -> dict[str, dict[str, float]]:
    """Distances between voice and face features, as in Table 2.

    Args:
      true: face features [n, d], normalized (v_f).
      predicted: voice features [n, d] (v_s).

    Returns:
      'cos_deg' (angle in degrees), 'l2' and 'l1', each the 'mean' over examples and
      their standard deviation 'sd'.
    """
    return {
        name: {"mean": float(values.mean()), "sd": float(values.std())}
        for name, values in feature_distances(true, predicted).items()
    }


def pair_angles(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles in degrees between every row of `a` [n, d] and of `b` [m, d], [n, m].

    One matrix product, which needs no copy of the features for each pair. Equal vectors
    come out below 1e-5 degrees, not 0; `feature_distances` of row and row is exact.
    """
    a, b = checked_features(a, "a"), checked_features(b, "b")
    return np.degrees(np.arccos(np.clip(unit(a) @ unit(b).T, -1.0, 1.0)))


def _angle_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Returns the angle between rows [n, d], [n].

    Exact near 0 and 180 degrees, where arccos loses half of the digits (Kahan, "How
    futile are mindless assessments of roundoff", 2006).
    """
    a, b = unit(a), unit(b)
    apart, along = np.linalg.norm(a - b, axis=1), np.linalg.norm(a + b, axis=1)
    return np.degrees(2 * np.arctan2(apart, along))
