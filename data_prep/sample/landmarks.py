"""dlib's 68 landmarks of a generated face, from its measures instead of its picture.

Where dlib finds them on light, shaven generated faces: on its own pictures of dark or
bearded ones it errs by several pixels (docs/decisions/landmarks-of-sample-people.md).
Points are 0-based and in dlib's order: jaw 0-16, brows 17-26, nose 27-35, eyes 36-47,
lips 48-67, each from the left of the picture to its right or around the feature.
"""

import numpy as np

from data_prep.sample.shape import Shape

# Shares of the chin's height at which the jaw's points lie, from the ear to the chin.
_JAW_HEIGHTS = np.array([-0.034, 0.139, 0.311, 0.483, 0.643, 0.786, 0.9, 0.982, 1.0])
# From the temple to the nose: x, and how far above the brow's middle line the points
# are, in the brow's thickness. dlib's run along the upper edge.
_BROW_X = np.array([0.826, 0.693, 0.525, 0.354, 0.192])
_BROW_RISE = np.array([-0.45, 0.75, 1.1, 1.05, 0.75])
# Below the tip of the nose.
_BRIDGE_TOP_Y, _BRIDGE_END = -0.049, -0.051
_NOSTRILS_X = np.array([-0.63, -0.315, 0.0, 0.315, 0.63])  # in half widths of the nose
_NOSTRILS_Y = np.array([0.097, 0.116, 0.138, 0.116, 0.097])
# Across an eye, -1 at the inner and +1 at the outer drawn corner. dlib sees the outer
# corner where the eye has become a line.
_OUTER, _INNER, _LID_OUTER, _LID_INNER = 0.715, -0.92, 0.24, -0.42
# In half widths of the mouth.
_LIPS_OUTSIDE = np.array([0.97, 0.63, 0.28, 0.0])
_LIPS_INSIDE = np.array([0.84, 0.28, 0.0])


def landmarks68(shape: Shape) -> np.ndarray:
    """The landmarks of a face, [68, 2] (x, y) in units of the canvas."""
    jaw = _jaw(shape)
    brow = _brow(shape)
    bridge_y = np.linspace(_BRIDGE_TOP_Y, shape.nose_y + _BRIDGE_END, 4)
    nostrils = np.stack([_NOSTRILS_X * shape.nose_half, shape.nose_y + _NOSTRILS_Y], 1)
    parts = [
        jaw,
        _on_the_left(jaw[-2::-1]),
        _on_the_left(brow),
        brow[::-1],
        np.stack([np.zeros(4), bridge_y], 1),
        nostrils,
        _on_the_left(_eye(shape)),
        # The same six points, from the inner corner on and with the lids in turn.
        _eye(shape)[[3, 2, 1, 0, 5, 4]],
        _lips(shape),
    ]
    return np.concatenate(parts).astype(np.float32)


def _on_the_left(points: np.ndarray) -> np.ndarray:
    """The points' mirror images: faces are symmetric."""
    return points * (-1, 1)


def _jaw(shape: Shape) -> np.ndarray:
    """[9, 2] from the ear on the left to the chin."""
    y = _JAW_HEIGHTS * shape.chin_y
    return np.stack([-shape.half_width(y), y], 1)


def _brow(shape: Shape) -> np.ndarray:
    """[5, 2] on the right, from the temple to the nose."""
    rise = _BROW_RISE * shape.brow_thickness
    return np.stack([_BROW_X, shape.brow_line(_BROW_X) - rise], 1)


def _eye(shape: Shape) -> np.ndarray:
    """[6, 2] on the right: outer corner, upper lid, inner corner, lower lid."""
    across = np.array([_OUTER, _LID_OUTER, _LID_INNER, _INNER, _LID_INNER, _LID_OUTER])
    lids = shape.eyelids(across)
    middle = (lids.upper + lids.lower) / 2
    y = np.concatenate([middle[:1], lids.upper[1:3], middle[3:4], lids.lower[4:]])
    return np.stack([0.5 + across * shape.eye_half, y], 1)


def _lips(shape: Shape) -> np.ndarray:
    """[20, 2]: 12 around both lips, then 8 around the gap between them."""
    outside, inside = _LIPS_OUTSIDE, _LIPS_INSIDE
    outer = _ring(shape, outside, 0, 3)
    return np.concatenate([outer, _ring(shape, inside, 1, 2)])


def _ring(shape: Shape, shares: np.ndarray, upper: int, lower: int) -> np.ndarray:
    """Points from the left corner over one edge to the right, and back on another.

    Args:
      shape: measures of the face.
      shares: |x| from the corner to the middle, in half widths of the mouth.
      upper: which of `Shape.mouth_curves` is above.
      lower: which is below.
    """
    x = np.concatenate([-shares, shares[-2::-1]]) * shape.mouth_half
    curves = shape.mouth_curves(x)
    above = np.stack([x, curves[upper]], 1)
    # The corners lie on the line between the lips, however thick the lips are there.
    above[[0, -1], 1] = curves.upper_inside[[0, -1]]
    below = np.stack([x, curves[lower]], 1)[-2:0:-1]
    return np.concatenate([above, below])
