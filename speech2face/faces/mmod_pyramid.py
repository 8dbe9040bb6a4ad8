"""dlib's image pyramid: the sizes of a picture that its detector sees, on one canvas.

A level is one size of the picture: each is 5/6 of the one before, resized between the
corners' pixels, after an optional doubling. dlib lays the levels out on one canvas, the
large ones down its left side and the small ones up its right side:

    +--------------+
    |   level 0    |
    +---------+----+
    | level 1 |  4 |
    +-------+-+----+
    |   2   |   3  |
    +-------+------+

Points move between levels with small offsets, which are dlib's
(docs/decisions/face-detection.md).
"""

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

GAP_PX, MARGIN_PX = 10, 11  # between the levels on the canvas, and around them
_SCALE = 5 / 6  # dlib's pyramid_down<6>
# What dlib adds to points when it goes up a doubling (2) or a reduction (5/6).
_DOUBLING_OFFSET = np.array([1.25, 0.75])
_REDUCTION_OFFSET = 0.25
_MIN_LEVEL_HEIGHT_PX = 5  # dlib stops at smaller ones


class Level(NamedTuple):
    """One size of a picture.

    Attributes:
      n_reductions: how often it was reduced to 5/6, after the doublings.
      n_doublings: how often the picture was doubled first.
      width_px: its size.
      height_px: its size.
      left_px: its place on dlib's canvas.
      top_px: its place on dlib's canvas.
    """

    n_reductions: int
    n_doublings: int
    width_px: int
    height_px: int
    left_px: int
    top_px: int

    @property
    def corner(self) -> np.ndarray:
        """(left, top) on the canvas, [2] int px."""
        return np.array([self.left_px, self.top_px])

    @property
    def shape(self) -> np.ndarray:
        """(width, height), [2] int px."""
        return np.array([self.width_px, self.height_px])

    def from_picture(self, point: np.ndarray) -> np.ndarray:
        """Maps points (x, y) of the picture [..., 2] to this level."""
        for _ in range(self.n_doublings):
            point = (point + _DOUBLING_OFFSET) * 2
        for _ in range(self.n_reductions):
            point = point * _SCALE - _REDUCTION_OFFSET
        return point

    def to_picture(self, point: np.ndarray) -> np.ndarray:
        """Inverts `from_picture`."""
        for _ in range(self.n_reductions):
            point = (point + _REDUCTION_OFFSET) / _SCALE
        for _ in range(self.n_doublings):
            point = point / 2 - _DOUBLING_OFFSET
        return point


def levels(height: int, width: int, n_doublings: int) -> list[Level]:
    """Returns the levels of a picture, as dlib shows them to its network.

    Args:
      height: height of the picture, px.
      width: width of the picture, px.
      n_doublings: how often the picture is doubled first.
    """
    for _ in range(n_doublings):
        height, width = doubled(height, width)
    sizes = [(height, width)]
    while True:
        height, width = _reduced(*sizes[-1])
        if height < _MIN_LEVEL_HEIGHT_PX or not width:
            break
        sizes.append((height, width))
    return [
        Level(n_reductions, n_doublings, w, h, left, top)
        for n_reductions, ((h, w), (left, top)) in enumerate(zip(sizes, _places(sizes)))
    ]


def canvas_shape(pyramid: list[Level]) -> tuple[int, int]:
    """Returns height and width of the canvas, px."""
    ends = np.max([level.corner + level.shape for level in pyramid], axis=0)
    return int(ends[1]) + MARGIN_PX, int(ends[0]) + MARGIN_PX


def doubled(height: int, width: int) -> tuple[int, int]:
    """Returns height and width after dlib's doubling, which adds a few pixels."""
    last = np.array([width - 1, height - 1])
    right, bottom = np.floor((last + _DOUBLING_OFFSET) * 2 + 0.5).astype(int)
    return int(bottom) + 1, int(right) + 1


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """Resizes as dlib does, bilinearly, corner pixels onto corner pixels.

    Args:
      image: [h, w, 3] float.
      height: height of the result, px.
      width: width of the result, px.

    Returns:
      [height, width, 3] of the image's type.
    """
    for axis, size in ((0, height), (1, width)):
        n = image.shape[axis]
        if n != size:
            image = _sampled(image, axis, np.arange(size) * _step(n, size))
    return image


def region(
    picture: np.ndarray,
    level: Level,
    first: np.ndarray,
    last: np.ndarray,
    normalize: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Makes part of a level by way of all larger ones, as dlib makes the whole.

    Args:
      picture: [h, w, 3] uint8.
      level: one of its `levels`.
      first: (x, y) of the part's first pixel in the level, [2] int.
      last: (x, y) after the part's last pixel, [2] int.
      normalize: makes [h, w, 3] float32 of pixels of the picture.

    Returns:
      [height, width, 3] float32 of the part.
    """
    shapes = [picture.shape[:2]]
    for _ in range(level.n_doublings):
        shapes.append(doubled(*shapes[-1]))
    for _ in range(level.n_reductions):
        shapes.append(_reduced(*shapes[-1]))
    # Backwards: which part of each size the next one is made of, (y, x).
    parts = [(first[::-1], last[::-1])]
    for below, above in zip(shapes[-2::-1], shapes[:0:-1]):
        steps = np.array([_step(n, m) for n, m in zip(below, above)])
        start = np.floor(parts[0][0] * steps).astype(int)
        end = np.ceil((parts[0][1] - 1) * steps).astype(int) + 1
        parts.insert(0, (start, np.minimum(end, below)))
    (top, left), (bottom, right) = parts[0]
    current = normalize(picture[top:bottom, left:right])
    for i in range(1, len(shapes)):
        for axis in (0, 1):
            step = _step(shapes[i - 1][axis], shapes[i][axis])
            positions = np.arange(parts[i][0][axis], parts[i][1][axis]) * step
            current = _sampled(current, axis, positions - parts[i - 1][0][axis])
    return current


def _reduced(height: int, width: int) -> tuple[int, int]:
    return int(_SCALE * height), int(_SCALE * width)


def _places(sizes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yields (left, top) on the canvas: down its left side, then up its right side.

    Args:
      sizes: (height, width) of each level.

    Stops where a level would lie on the first one: dlib leaves out the rest.
    """
    height, width = sizes[0]
    bottom = _left_side_px(sizes) - GAP_PX + MARGIN_PX
    top, going_down = MARGIN_PX, True
    for h, w in sizes:
        if going_down and top < bottom:
            yield MARGIN_PX, top
            top += h + GAP_PX
            continue
        if going_down:
            going_down, top = False, top - GAP_PX
        if top - h < MARGIN_PX + height:
            return
        yield MARGIN_PX + width - w, top - h
        top -= h + GAP_PX


def _left_side_px(sizes: list[tuple[int, int]]) -> int:
    """Returns how far down the levels of the left side reach, each with its gap.

    The right side begins with the first level that fits beside the last left one when
    half of the height below level 0 is used.
    """
    height, width = sizes[0]
    total = sum(h + GAP_PX for h, _ in sizes) - 2 * GAP_PX
    column, width_above = 0, 0
    for h, w in sizes:
        fits_beside = w <= width - width_above - GAP_PX
        if fits_beside and (column - height) * 2 >= total - height:
            break
        column += h + GAP_PX
        width_above = w
    return column


def _step(n_from: int, n_to: int) -> float:
    """Returns source pixels from one target pixel to the next along a side."""
    return (n_from - 1) / max(n_to - 1, 1)


def _sampled(image: np.ndarray, axis: int, positions: np.ndarray) -> np.ndarray:
    """Reads the image [h, w, 3] at fractional positions [n] along an axis, linearly."""
    last = image.shape[axis] - 1
    first = np.clip(positions.astype(int), 0, last)
    share = (positions - first).astype(np.float32)
    share = share.reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
    lower = image.take(first, axis)
    return lower + share * (image.take(np.minimum(first + 1, last), axis) - lower)
