"""Landmarks that cannot be those of a face: the sign that dlib missed it.

Every limit is wider than all but a few of a thousand real faces:
docs/decisions/implausible-landmarks.md.
"""

import numpy as np

from speech2face.errors import UserError

REASON = "implausible_landmarks"
# Lengths in distances between the eyes, the roll undone.
_FACE_WIDTH = (1.5, 3.4)  # between the ends of the jaw
_CHIN_Y = (1.0, 3.3)
_MOUTH_WIDTH = (0.35, 1.5)
_LEAST_LIPS = 0.03  # from the upper edge of the upper lip to the lower of the lower
_MOST_CROSSED = 0.06  # by how far the inner edges of closed lips may overlap


def find_implausible(landmarks: np.ndarray) -> str | None:
    """Returns what is wrong with dlib's 68 landmarks of a face, or None.

    Args:
      landmarks: [68, 2] (x, y) in px.
    """
    points = _upright(np.asarray(landmarks, np.float64))
    x, y = points.T
    crossed = (y[[61, 62, 63]] - y[[67, 66, 65]]).max()
    checks = (
        ("the face is {:.2f} wide", x[16] - x[0], *_FACE_WIDTH),
        ("the chin is {:.2f} below the eyes", y[8], *_CHIN_Y),
        ("the mouth is {:.2f} wide", x[54] - x[48], *_MOUTH_WIDTH),
        ("the lips are {:.2f} high", y[57] - y[51], _LEAST_LIPS, np.inf),
        ("the lips cross by {:.2f}", crossed, -np.inf, _MOST_CROSSED),
        ("the nose ends {:.2f} below the eyes", y[33], 0.0, y[51]),
        ("the brows are {:.2f} above the eyes", -y[17:27].mean(), 0.0, np.inf),
    )
    for sentence, value, low, high in checks:
        if not low <= value <= high:
            return sentence.format(value)
    return None


def check(landmarks: np.ndarray, name: str) -> None:
    """Raises UserError if landmarks cannot be those of a face.

    Args:
      landmarks: [68, 2] (x, y) in px.
      name: name of the picture.
    """
    wrong = find_implausible(landmarks)
    if wrong:
        raise UserError(
            f"implausible landmarks in {name}: {wrong}, in distances between the eyes",
            reason=REASON,
        )


def _upright(landmarks: np.ndarray) -> np.ndarray:
    """The points about the middle of the eyes, level, in distances between the eyes."""
    right, left = landmarks[36:42].mean(0), landmarks[42:48].mean(0)
    across = left - right
    distance = np.hypot(*across) or 1e-6  # eyes in one place: nothing is plausible
    axes = np.array([across, [-across[1], across[0]]]) / distance
    return (landmarks - (right + left) / 2) @ axes.T / distance
