"""The sizes of a picture that dlib's detector looks at, and their places on its canvas.

Each size is 5/6 of the one before, resized between the corners' pixels, after perhaps a
doubling. dlib lays them out on one canvas, down the left side and up the right one.
Places go from one size to another with small offsets, which are dlib's.
"""

from typing import Callable, Iterator, List, NamedTuple, Tuple

import numpy as np

GAP_PX, MARGIN_PX = 10, 11  # between the sizes on the canvas, and around them
_SCALE = 5 / 6
# What dlib adds to places when it goes up a doubling (2) or a size (5/6).
_DOUBLING_OFFSET = np.array([1.25, 0.75])
_SIZE_OFFSET = 0.25


class Level(NamedTuple):
    """One size of a picture: its place on dlib's canvas, and how it was made."""

    index: int
    n_doublings: int
    width_px: int
    height_px: int
    left_px: int
    top_px: int

    @property
    def corner(self) -> np.ndarray:
        """(left, top) on the canvas."""
        return np.array([self.left_px, self.top_px])

    @property
    def shape(self) -> np.ndarray:
        """(width, height)."""
        return np.array([self.width_px, self.height_px])

    def from_picture(self, point: np.ndarray) -> np.ndarray:
        """Points (x, y) of the picture [..., 2] in this level."""
        for _ in range(self.n_doublings):
            point = (point + _DOUBLING_OFFSET) * 2
        for _ in range(self.index):
            point = point * _SCALE - _SIZE_OFFSET
        return point

    def to_picture(self, point: np.ndarray) -> np.ndarray:
        """Inverts `from_picture`."""
        for _ in range(self.index):
            point = (point + _SIZE_OFFSET) / _SCALE
        for _ in range(self.n_doublings):
            point = point / 2 - _DOUBLING_OFFSET
        return point


def levels(height: int, width: int, n_doublings: int) -> List[Level]:
    """The sizes that dlib shows its network of a picture, and where on its canvas."""
    for _ in range(n_doublings):
        height, width = doubled(height, width)
    sizes = [(height, width)]
    while True:
        size = tuple(int(_SCALE * side) for side in sizes[-1])
        if not min(size) or size[0] < 5:
            break
        sizes.append(size)
    return [
        Level(index, n_doublings, w, h, left, top)
        for index, ((h, w), (left, top)) in enumerate(zip(sizes, _places(sizes)))
    ]


def canvas_shape(sizes: List[Level]) -> Tuple[int, int]:
    """Height and width of the canvas."""
    ends = np.max([level.corner + level.shape for level in sizes], axis=0)
    return int(ends[1]) + MARGIN_PX, int(ends[0]) + MARGIN_PX


def doubled(height: int, width: int) -> Tuple[int, int]:
    """Height and width of what dlib makes when it doubles a picture."""
    last = np.array([width - 1, height - 1])
    right, bottom = np.floor((last + _DOUBLING_OFFSET) * 2 + 0.5).astype(int)
    return int(bottom) + 1, int(right) + 1


def resized(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """[height, width, 3], bilinear between the corners, as dlib resizes."""
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
    normalise: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Part of a level, from `first` to before `last` (x, y), by way of all before.

    Args:
      picture: [h, w, 3] uint8.
      level: one of its `levels`.
      first, last: (x, y) in the level's pixels.
      normalise: makes [h, w, 3] float32 of pixels of the picture.
    """
    shapes = [picture.shape[:2]]
    for _ in range(level.n_doublings):
        shapes.append(doubled(*shapes[-1]))
    for _ in range(level.index):
        shapes.append(tuple(int(_SCALE * side) for side in shapes[-1]))
    # Backwards: which part of each size the next one is made of, (y, x).
    parts = [(first[::-1], last[::-1])]
    for below, above in zip(shapes[-2::-1], shapes[:0:-1]):
        steps = np.array([_step(n, m) for n, m in zip(below, above)])
        start = np.floor(parts[0][0] * steps).astype(int)
        end = np.ceil((parts[0][1] - 1) * steps).astype(int) + 1
        parts.insert(0, (start, np.minimum(end, below)))
    (top, left), (bottom, right) = parts[0]
    current = normalise(picture[top:bottom, left:right])
    for index in range(1, len(shapes)):
        for axis in (0, 1):
            step = _step(shapes[index - 1][axis], shapes[index][axis])
            wanted = np.arange(parts[index][0][axis], parts[index][1][axis]) * step
            current = _sampled(current, axis, wanted - parts[index - 1][0][axis])
    return current


def _places(sizes: List[Tuple[int, int]]) -> Iterator[Tuple[int, int]]:
    """Left and top on the canvas: down its left side, then up its right one.

    Stops where a size would lie on the first one: dlib leaves out the rest.
    """
    height, width = sizes[0]
    total = sum(h + GAP_PX for h, _ in sizes) - 2 * GAP_PX
    column, above = 0, 0
    for h, w in sizes:
        if w <= width - above - GAP_PX and (column - height) * 2 >= total - height:
            break
        column += h + GAP_PX
        above = w
    bottom = column - GAP_PX + MARGIN_PX
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


def _step(n_from: int, n_to: int) -> float:
    """Pixels of a side of `n_from` from one of `n_to` to the next."""
    return (n_from - 1) / max(n_to - 1, 1)


def _sampled(image: np.ndarray, axis: int, places: np.ndarray) -> np.ndarray:
    """The image at fractional places along an axis."""
    last = image.shape[axis] - 1
    first = np.clip(places.astype(int), 0, last)
    share = (places - first).astype(np.float32)
    share = share.reshape([-1, 1, 1] if axis == 0 else [1, -1, 1])
    lower = image.take(first, axis)
    return lower + share * (image.take(np.minimum(first + 1, last), axis) - lower)
