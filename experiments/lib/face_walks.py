"""Walks through the space of face features, for the sheets of the face decoder."""

import numpy as np

N_STEPS = 7  # faces of a walk: one line of a sheet
N_DIRECTIONS = 3


def compute_walks(
    features: np.ndarray,
    mean: np.ndarray,
    directions: np.ndarray,
    deviations: np.ndarray,
) -> dict[str, np.ndarray]:
    """Walks of `N_STEPS` features [7, d], by name.

    Args:
      features: [n, d] of true faces.
      mean: [d], the average face's.
      directions: [k, d] principal directions.
      deviations: [k], standard deviation along each.
    """
    steps = np.linspace(0, 1, N_STEPS)[:, np.newaxis]
    one, two = features[0], features[len(features) // 2]
    walks = {
        "from one face to another": one + steps * (two - one),
        # The last steps exaggerate the face by 30 %.
        "from the average face to a face, and beyond": mean
        + 1.3 * steps * (one - mean),
    }
    for number, (direction, sd) in enumerate(zip(directions, deviations), start=1):
        offsets = (4 * steps - 2) * sd * direction
        walks[f"principal direction {number}, -2 to 2 sd"] = mean + offsets
    return walks


def principal_directions(
    features: np.ndarray, n: int = N_DIRECTIONS
) -> tuple[np.ndarray, np.ndarray]:
    """The first n unit directions [n, d] of most variance, and their deviations [n]."""
    centered = features - features.mean(axis=0)
    _, values, directions = np.linalg.svd(centered, full_matrices=False)
    return directions[:n], values[:n] / np.sqrt(max(len(features) - 1, 1))
