"""dlib's CNN face detector over the sizes of a picture, everywhere or at a place.

The network finds faces of 80 pixels with a step of 8; dlib shows it the picture at ever
smaller sizes, each 5/6 of the one before, laid out on one canvas. Where a size lies on
that canvas decides which pixels the steps fall on, and the geometry is dlib's to the
quarter of a pixel: the boxes are dlib's own, an order of magnitude sooner.

`search` goes through a whole picture. `search_at` looks only around a known place, at
every size at once: what costs as much for a 4K frame as for a small one, and finds the
box that the whole search finds there.
"""

import atexit
import functools
from typing import Callable, Iterator, List, NamedTuple, Sequence, Tuple

import numpy as np

from speech2face import dlib_weights, face_pyramid
from speech2face.face_pyramid import Level

MIN_LEVEL_PX = 60  # a smaller level is left out around a place: no face of 80 px
# What a score depends on (189 px), and a place that is not the face's middle.
WINDOW_PX = 208
# The second look: the same, and the steps around that might score higher.
EXACT_WINDOW_PX = 240
BATCH = 64  # windows that go through the network together
STRIP_ROWS = 64  # rows of scores that go through the network together
# Around a place, levels whose score is this near to the best one are looked at again,
# exactly: sizes that follow each other often score the same to a hundredth.
NEAR_TIE = 0.15
_VALID_PX = 29  # rows of the picture that make one row of scores
_CONTEXT_PX = 96  # how far a score sees, rounded up to steps
_INPUT_SCALE = 256.0

Point = Tuple[float, float]  # (x, y)


def search(picture: np.ndarray, n_doublings: int = 0) -> np.ndarray:
    """All faces in a picture.

    Args:
      picture: [h, w, 3] uint8 RGB.
      n_doublings: how often it is doubled first: as it is, faces from 80 px on show.

    Returns:
      [n, 5] float64: left, top, right, bottom (exclusive), in pixels, and the score;
      the best ones first.
    """
    sizes = face_pyramid.levels(*picture.shape[:2], n_doublings)
    canvas = np.zeros([*face_pyramid.canvas_shape(sizes), 3], np.float32)
    current = _normalised(picture)
    for _ in range(n_doublings):
        current = face_pyramid.resized(
            current, *face_pyramid.doubled(*current.shape[:2])
        )
    for level in sizes:
        current = face_pyramid.resized(current, level.height_px, level.width_px)
        rows = slice(level.top_px, level.top_px + level.height_px)
        canvas[rows, level.left_px : level.left_px + level.width_px] = current
    scores = np.concatenate(list(_scores_by_strip(canvas)))
    return _strongest(_boxes(scores, sizes, np.zeros(2, int)))


def search_at(
    pictures: Sequence[np.ndarray], points: Sequence[Point]
) -> List[np.ndarray]:
    """The face at a place of each picture, doubled once, all pictures together.

    Args:
      pictures: [h, w, 3] uint8 RGB each.
      points: (x, y) in pixels each.

    Returns:
      For each [1, 5] as `search`, or [0, 5] if no face there covers the place.
    """
    looks = [
        _Look(index, level, point)
        for index, (picture, point) in enumerate(zip(pictures, points))
        for level in face_pyramid.levels(*picture.shape[:2], 1)
        if level.shape.min() >= MIN_LEVEL_PX
    ]
    found = _look(pictures, points, looks, _quick_window)
    best = {}
    for look, box in found:
        best[look.index] = max(box[4], best.get(look.index, 0.0))
    again = [
        look._replace(center=tuple((box[:2] + box[2:4]) / 2))
        for look, box in found
        if box[4] > best[look.index] - NEAR_TIE
    ]
    boxes = [np.zeros([0, 5]) for _ in pictures]
    for look, box in _look(pictures, points, again, _exact_window):
        if not len(boxes[look.index]) or box[4] > boxes[look.index][0, 4]:
            boxes[look.index] = box[None]
    return boxes


def overlap(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [n, >= 4] and one box."""
    first = np.maximum(boxes[:, :2], box[:2])
    last = np.minimum(boxes[:, 2:4], box[2:4])
    shared = np.prod(np.maximum(last - first, 0), axis=1)
    areas = np.prod(boxes[:, 2:4] - boxes[:, :2], axis=1)
    return shared / (areas + np.prod(box[2:4] - box[:2]) - shared)


def _normalised(picture: np.ndarray) -> np.ndarray:
    """Pixels as the network wants them; 0 is what dlib fills gaps with."""
    mean = np.float32(_detector()[1].input_mean)
    return (picture.astype(np.float32) - mean) / np.float32(_INPUT_SCALE)


class _Look(NamedTuple):
    """Which picture is looked at, at which size, about which place of the picture."""

    index: int
    level: Level
    center: Point


def _look(
    pictures: Sequence[np.ndarray],
    points: Sequence[Point],
    looks: Sequence[_Look],
    window_of: Callable[[np.ndarray, Level, Point], Tuple[np.ndarray, np.ndarray]],
) -> List[Tuple[_Look, np.ndarray]]:
    """Looks through windows; the strongest box [5] that covers the point, if any."""
    found = []
    for first in range(0, len(looks), BATCH):
        batch = looks[first : first + BATCH]
        windows, corners = zip(
            *(window_of(pictures[n], level, center) for n, level, center in batch)
        )
        for look, corner, scores in zip(batch, corners, _scores(np.stack(windows))):
            boxes = _boxes(scores, [look.level], corner)
            boxes = _holding(boxes, points[look.index])
            found += [(look, box) for box in _strongest(boxes)[:1]]
    return found


def _quick_window(
    picture: np.ndarray, level: Level, center: Point
) -> Tuple[np.ndarray, np.ndarray]:
    """A window of one level, 0 outside, made from the picture in one step.

    Returns:
      [WINDOW_PX, WINDOW_PX, 3], by a filter that differs a little from dlib's, and its
      (left, top) on the canvas.
    """
    from PIL import Image

    corner = _corner(level, center, WINDOW_PX)
    window = np.zeros([WINDOW_PX, WINDOW_PX, 3], np.float32)
    first = np.maximum(corner, level.corner)
    last = np.minimum(corner + WINDOW_PX, level.corner + level.shape)
    if (last > first).all():
        shape = np.array(picture.shape[1::-1])
        step = (shape - 1) / np.maximum(level.shape - 1, 1)  # corner falls on corner
        edges = np.stack([first, last]) - level.corner - 0.5
        box = np.clip(edges * step + 0.5, 0, shape).ravel()
        part = Image.fromarray(picture).resize(
            tuple(last - first), Image.Resampling.BILINEAR, box=tuple(box)
        )
        (left, top), (right, bottom) = first - corner, last - corner
        window[top:bottom, left:right] = _normalised(np.asarray(part))
    return window, corner


def _exact_window(
    picture: np.ndarray, level: Level, center: Point
) -> Tuple[np.ndarray, np.ndarray]:
    """A window of dlib's canvas, made as dlib makes it; returns as `_quick_window`.

    It ends where the canvas ends, since there the network sees no more pixels.
    """
    sizes = face_pyramid.levels(*picture.shape[:2], level.n_doublings)
    n_cells = (np.array(face_pyramid.canvas_shape(sizes)[::-1]) - _VALID_PX) // 8
    n_steps = np.maximum(0, n_cells - (EXACT_WINDOW_PX - _VALID_PX) // 8)
    corner = np.clip(_corner(level, center, EXACT_WINDOW_PX), 0, n_steps * 8)
    window = np.zeros([EXACT_WINDOW_PX, EXACT_WINDOW_PX, 3], np.float32)
    for other in sizes:
        first = np.maximum(corner, other.corner)
        last = np.minimum(corner + EXACT_WINDOW_PX, other.corner + other.shape)
        if (last > first).all():
            (left, top), (right, bottom) = first - corner, last - corner
            window[top:bottom, left:right] = face_pyramid.region(
                picture, other, first - other.corner, last - other.corner, _normalised
            )
    return window, corner


def _corner(level: Level, center: Point, window_px: int) -> np.ndarray:
    """(left, top) on the canvas of the window about a point, on the network's steps."""
    middle = level.corner + level.from_picture(np.array(center))
    corner = np.round(middle - window_px / 2).astype(int)
    return corner - corner % 8


def _boxes(scores: np.ndarray, sizes: List[Level], corner: np.ndarray) -> np.ndarray:
    """[n, 5] boxes, in the picture's pixels, and scores above 0.

    Args:
      scores: [rows, columns] of a part of the canvas.
      sizes: the levels that lie there.
      corner: (left, top) of the part on the canvas.
    """
    from speech2face.models.mmod import FIRST_CENTER_PX, STRIDE_PX

    rows, columns = np.nonzero(scores > 0)
    centers = np.stack([columns, rows], axis=1) * STRIDE_PX + FIRST_CENTER_PX + corner
    half = (np.array(_detector()[1].window_px) - 1) / 2
    boxes = []
    for center, score in zip(centers, scores[rows, columns]):
        distances = [_distance(level, center) for level in sizes]
        level = sizes[int(np.argmin(distances))]
        if min(distances) > face_pyramid.GAP_PX:
            continue  # beside the only level of a window
        middle = center - level.corner
        first, last = level.to_picture(np.array([middle - half, middle + half]))
        boxes.append([*first, *(last + 1), score])
    return np.array(boxes, np.float64).reshape(-1, 5)


def _distance(level: Level, point: np.ndarray) -> float:
    """Pixels from a point of the canvas to a level; 0 inside."""
    outside = np.maximum(level.corner - point, point - level.corner - level.shape + 1)
    return float(np.hypot(*np.maximum(outside, 0)))


def _holding(boxes: np.ndarray, point: Point) -> np.ndarray:
    """The boxes that cover a point."""
    x, y = point
    left, top, right, bottom, _ = boxes.T
    return boxes[(left <= x) & (x <= right) & (top <= y) & (y <= bottom)]


def _strongest(boxes: np.ndarray) -> np.ndarray:
    """Without those that a stronger one overlaps; the strongest first."""
    boxes = boxes[np.argsort(-boxes[:, 4], kind="stable")]
    kept = []
    while len(boxes):
        kept.append(boxes[0])
        boxes = boxes[overlap(boxes, boxes[0]) <= _detector()[1].max_overlap]
    return np.stack(kept) if kept else boxes


def _scores_by_strip(canvas: np.ndarray) -> Iterator[np.ndarray]:
    """Scores of the whole canvas, some rows at a time: memory is bounded."""
    from speech2face.models.mmod import STRIDE_PX

    n_context = _CONTEXT_PX // STRIDE_PX
    n_rows = (len(canvas) - _VALID_PX) // STRIDE_PX + 1
    for first in range(0, n_rows, STRIP_ROWS):
        n_before = min(first, n_context)
        begin = (first - n_before) * STRIDE_PX
        end = (first + STRIP_ROWS + n_context - 1) * STRIDE_PX + _VALID_PX
        scores = _scores(canvas[None, begin:end])[0]
        yield scores[n_before : n_before + STRIP_ROWS]


def _scores(pictures: np.ndarray) -> np.ndarray:
    """Normalised pictures [b, h, w, 3] -> scores [b, h', w']."""
    return np.asarray(_detector()[0](pictures))


@functools.lru_cache(maxsize=1)
def _detector():
    """The network as a graph for pictures of any size, and what its file says."""
    import tensorflow as tf

    from speech2face.models import mmod

    path = dlib_weights.package_file(dlib_weights.DETECTOR_FILE)
    network = dlib_weights.read_detector(path)
    model = mmod.load_mmod(path, network)
    signature = tf.TensorSpec([None, None, None, 3], tf.float32)
    run = tf.function(lambda x: model(x, training=False), input_signature=[signature])
    atexit.register(_detector.cache_clear)  # TensorFlow's graphs mind dying later
    return run, network
