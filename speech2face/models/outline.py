"""The mask of a texture: pixels that show the mean head, not the background.

numpy and Pillow only: `data_prep` looks for outlines without loading Keras.
"""

import numpy as np

from speech2face.paper import FACE_PX, N_LANDMARKS

# From where rays look for the outline: between eyes and mouth of a normalized face.
MIDDLE_PX = (112.0, 118.0)
# Soft hair reaches beyond the outline, which is found at a threshold of brightness: the
# mask is this much larger, and then fades out over so many pixels and, beside the
# shoulders, degrees. Not in the papers: docs/decisions/outline-points.md.
MARGIN_PX, FEATHER_PX, WEDGE_DEGREES = 5.0, 4.0, 15.0
_SUPERSAMPLING = 4


def head_mask(mean_landmarks: np.ndarray) -> np.ndarray:
    """Returns where a texture shows a head or what carries it, not the background.

    Args:
      mean_landmarks: [68 + n, 2] (x, y) px; the last n are the outline, from the lower
        right over the top to the lower left.

    Returns:
      [224, 224, 1] float: 1 inside the outline and `MARGIN_PX` beyond it, and in the
      wedge below its two ends; 0 where the background is, and on the upper edge.
    """
    outline = np.asarray(mean_landmarks, np.float64)[N_LANDMARKS:]
    from_middle = outline - MIDDLE_PX
    wedge = _wedge(from_middle[0], from_middle[-1])
    # The outline continues around the jaw, as far as the wedge has faded in.
    turns = np.radians(np.linspace(0, WEDGE_DEGREES, 5)[1:])
    right = [_turned(from_middle[0], turn) for turn in turns[::-1]]
    left = [_turned(from_middle[-1], -turn) for turn in turns]
    from_middle = np.concatenate([right, from_middle, left])
    outward = from_middle / np.linalg.norm(from_middle, axis=1, keepdims=True)
    steps = MARGIN_PX + np.linspace(0, FEATHER_PX, 9)
    head = np.mean(
        [_polygon(MIDDLE_PX + from_middle + outward * step) for step in steps], axis=0
    )
    # Most heads reach the upper edge of the picture. Without a fade, the warp would
    # leave a line of hair there when it moves the rest of the head down.
    from_top = (np.arange(FACE_PX)[:, None] - FEATHER_PX) / FEATHER_PX
    return (np.maximum(head, wedge) * np.clip(from_top, 0.0, 1.0))[..., None]


def _turned(vector: np.ndarray, angle: float) -> np.ndarray:
    """Turns (x, y) clockwise, as seen with y down."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]]) @ vector


def _wedge(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Returns [224, 224] in 0..1: 1 between the directions `first` and `last`.

    Shoulders have no outline, so they fade out over `WEDGE_DEGREES`.
    """
    y, x = np.mgrid[:FACE_PX, :FACE_PX].astype(np.float64)
    # From straight down, to the right: 0 up to 180 degrees on each side.
    below = np.degrees(np.arctan2(x - MIDDLE_PX[0], y - MIDDLE_PX[1]))
    right, left = (np.degrees(np.arctan2(*direction)) for direction in (first, last))
    depth = np.minimum(right - below, below - left) / WEDGE_DEGREES
    depth = np.clip(depth, 0.0, 1.0)
    return depth * depth * (3.0 - 2.0 * depth)


def _polygon(points: np.ndarray) -> np.ndarray:
    """Returns [224, 224] float32: how much of each pixel lies within `points`."""
    from PIL import Image, ImageDraw  # tools/gpu_check.py does without it

    size = FACE_PX * _SUPERSAMPLING
    canvas = Image.new("L", (size, size))
    corners = (points + 0.5) * _SUPERSAMPLING - 0.5
    ImageDraw.Draw(canvas).polygon([tuple(corner) for corner in corners], fill=255)
    return np.asarray(canvas.reduce(_SUPERSAMPLING), np.float32) / 255.0
