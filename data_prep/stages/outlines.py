"""The outline of a head on white: landmarks beyond dlib's 68.

dlib's 68 landmarks end at the jaw and the brows. Textures that are aligned on them
alone superpose the hair of all people, and a decoder draws that mean as haze. The
outline is where rays from the middle of a normalized face leave the head for the last
time.
Not in the papers: docs/decisions/outline-points.md.
"""

import numpy as np
from scipy import ndimage

from speech2face.models.outline import MIDDLE_PX
from speech2face.paper import FACE_PX

# Right, over the top, to the left; 0 is to the right, 90 is up. Between the last and
# the first ray lie neck and shoulders, whose edge says nothing about the head.
FIRST_DEGREES, LAST_DEGREES = -35.0, 215.0
HEAD_DARKNESS = 60.0  # of 255: darker than the veils around the authors' faces
MAX_STEP = 1.2  # between neighbors, as a factor; rays over the ends of a head do less
_STEP_PX, _NEAREST_PX = 0.5, 40.0


def outline_points(normalized: np.ndarray, n_points: int) -> np.ndarray:
    """Finds where rays from the middle of the face leave the head.

    A single ray that continues into a shoulder or a lock of hair, `MAX_STEP` times as
    far as both of its neighbors, takes the distance of the farther one.

    Args:
      normalized: [224, 224, 3] uint8, a normalized face on white.
      n_points: number of rays, evenly spread over 250 degrees; 0 finds none.

    Returns:
      [n_points, 2] float32 (x, y) px, from the lower right over the top to the lower
      left. Where the head leaves the picture they lie on its border.
    """
    if not n_points:
        return np.zeros((0, 2), np.float32)
    angles = np.deg2rad(np.linspace(FIRST_DEGREES, LAST_DEGREES, n_points))
    directions = np.stack([np.cos(angles), -np.sin(angles)], axis=-1)
    darkness = ndimage.gaussian_filter(255.0 - normalized.min(axis=2), 1.0)
    distances = np.array([_last_dark_px(darkness, to) for to in directions])
    # Reflected at the ends: the first and the last ray have one neighbor.
    padded = np.pad(distances, 1, mode="reflect" if n_points > 1 else "edge")
    farther_neighbor = np.maximum(padded[:-2], padded[2:])
    is_alone = distances > MAX_STEP * farther_neighbor
    distances = np.where(is_alone, farther_neighbor, distances)
    limits = np.array([_border_px(to) for to in directions])
    distances = np.minimum(distances, limits)
    points = np.array(MIDDLE_PX) + directions * distances[:, None]
    return points.astype(np.float32)


def keep_off_jaw(
    outline: np.ndarray, landmarks: np.ndarray, margin_px: float
) -> np.ndarray:
    """Moves points of the outline away from the jaw, along their rays.

    Where there is no hair beside a face, the outline is the jaw. Where others have
    hair, the warp would have to press it all between two points in one place, and would
    fold over: with drawn people of both kinds, blots hung at the ears.

    Args:
      outline: [n, 2] (x, y) px, of `outline_points`.
      landmarks: [68, 2] of the same face; the first 17 are the jaw, from ear to ear.
      margin_px: the least distance from the jaw.

    Returns:
      [n, 2] float32.
    """
    turns, distances = _polar(outline)
    jaw_turns, jaw_distances = _polar(landmarks[:17])
    order = np.argsort(jaw_turns)
    # Above the ears there is no jaw to keep off.
    least = np.interp(turns, jaw_turns[order], jaw_distances[order] + margin_px, 0, 0)
    directions = (outline - np.array(MIDDLE_PX)) / distances[:, None]
    limits = np.array([_border_px(to) for to in directions])
    kept = np.minimum(np.maximum(distances, least), limits)
    return (np.array(MIDDLE_PX) + directions * kept[:, None]).astype(np.float32)


def _polar(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Turns from straight up, counterclockwise in 0..2 pi, and distances in px."""
    x, y = (np.asarray(points, np.float64) - MIDDLE_PX).T
    return np.arctan2(-x, -y) % (2 * np.pi), np.hypot(x, y)


def _last_dark_px(darkness: np.ndarray, direction: np.ndarray) -> float:
    """Distance from the middle at which a ray last meets something dark."""
    distances = np.arange(_NEAREST_PX, _border_px(direction), _STEP_PX)
    x, y = (np.array(MIDDLE_PX) + distances[:, None] * direction).T
    dark = ndimage.map_coordinates(darkness, [y, x], order=1) > HEAD_DARKNESS
    return float(distances[dark].max(initial=_NEAREST_PX))


def _border_px(direction: np.ndarray) -> float:
    """Distance from the middle to a pixel inside the border of the picture."""
    low, high = 1.0, FACE_PX - 2.0
    ends = np.where(direction > 0, high, low) - np.array(MIDDLE_PX)
    with np.errstate(divide="ignore"):
        return float(np.min(np.where(direction == 0, np.inf, ends / direction)))
