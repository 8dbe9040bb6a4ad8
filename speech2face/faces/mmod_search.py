"""dlib's CNN face detector (King 2015) on a picture: all of it, or around a point.

The network (`models.mmod`) finds faces of 80 pixels with a step of 8. dlib shows it the
picture at ever smaller sizes, each 5/6 of the one before, laid out on one canvas
(`mmod_pyramid`). Where a size lies on that canvas decides which pixels the steps fall
on. The geometry here is dlib's to a quarter of a pixel, so the boxes are dlib's own. A
search takes a tenth of dlib's time (docs/performance.md).

`search` goes through a whole picture. `search_at` looks only around a known point, at
every size at once: it costs as much for a 4K frame as for a small one, and finds the
box that the whole search finds there (docs/decisions/face-detection.md).

D. E. King, "Max-Margin Object Detection", arXiv:1502.00046.
"""

import atexit
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from speech2face.faces import boxes as box_geometry
from speech2face.faces import mmod_pyramid
from speech2face.faces.mmod_pyramid import Level
from speech2face.weights import dlib as dlib_weights

STRIDE_PX = 8  # of the network: three convolutions with stride 2
FIRST_CENTER_PX = 14  # center of the receptive field of score [0, 0]
MIN_LEVEL_PX = 60  # a smaller level is left out around a point: no face of 80 px
# A score depends on 189 px. The rest is for a point beside the face's center.
WINDOW_PX = 208
# Larger, because a neighboring step may have a higher score on exact pixels.
EXACT_WINDOW_PX = 240
BATCH = 64  # windows that go through the network together: bounds the memory
STRIP_ROWS = 64  # rows of scores that go through the network together, likewise
# Levels whose score at a point is this near to the best one are scored again on exact
# windows: neighboring sizes often score the same to a hundredth, and the quick windows
# are off by more than that.
NEAR_TIE = 0.15
_VALID_PX = 29  # rows of the picture that make one row of scores
_CONTEXT_PX = 96  # how far a score sees, rounded up to steps
_INPUT_SCALE = 256.0  # of dlib's input layer

Point = tuple[float, float]  # (x, y) in px of a picture
# Makes the pixels of a window and says where it lies: see `_quick_window`.
WindowPixels = Callable[[np.ndarray, Level, Point], tuple[np.ndarray, np.ndarray]]


class Window(NamedTuple):
    """A square to score: in which picture, at which size, about which point.

    Attributes:
      picture: index of the picture in the batch.
      level: one of its sizes.
      center: (x, y) px in the picture.
    """

    picture: int
    level: Level
    center: Point


class Detector(NamedTuple):
    """The network, and what its file says besides the weights.

    Attributes:
      score: normalized pictures [b, h, w, 3] float32 -> scores [b, h', w'].
      options: what dlib's file says besides the weights.
    """

    score: Callable[[np.ndarray], Any]
    options: dlib_weights.DetectorNetwork


def search(picture: np.ndarray, n_doublings: int = 0) -> np.ndarray:
    """Finds all faces in a picture.

    Args:
      picture: [h, w, 3] uint8 RGB.
      n_doublings: how often it is doubled first. Undoubled, it must show a face of at
        least 80 px for the network to find it.

    Returns:
      [n, 5] float64: left, top, right, bottom (exclusive), in px, and the score; the
      best ones first.
    """
    height, width = picture.shape[:2]
    pyramid = mmod_pyramid.levels(height, width, n_doublings)
    canvas = np.zeros([*mmod_pyramid.canvas_shape(pyramid), 3], np.float32)
    current = _normalized(picture)
    for _ in range(n_doublings):
        height, width = mmod_pyramid.doubled(height, width)
        current = mmod_pyramid.resized(current, height, width)
    for level in pyramid:
        current = mmod_pyramid.resized(current, level.height_px, level.width_px)
        rows = slice(level.top_px, level.top_px + level.height_px)
        canvas[rows, level.left_px : level.left_px + level.width_px] = current
    scores = np.concatenate(list(_scores_by_strip(canvas)))
    return _strongest(_boxes(scores, pyramid, np.zeros(2, int)))


def search_at(
    pictures: Sequence[np.ndarray], points: Sequence[Point]
) -> list[np.ndarray]:
    """Finds the face at a point of each picture, doubled once, all pictures together.

    Args:
      pictures: [h, w, 3] uint8 RGB each.
      points: (x, y) in px each.

    Returns:
      For each [1, 5] as `search`, or [0, 5] if no face covers the point.
    """
    windows = [
        Window(index, level, point)
        for index, (picture, point) in enumerate(zip(pictures, points))
        for level in mmod_pyramid.levels(picture.shape[0], picture.shape[1], 1)
        if level.shape.min() >= MIN_LEVEL_PX
    ]
    candidates = scored_windows(pictures, points, windows, _quick_window)
    boxes = [np.zeros([0, 5]) for _ in pictures]
    for window, box in refine_near_ties(pictures, points, candidates):
        best = boxes[window.picture]
        if not len(best) or box[4] > best[0, 4]:
            boxes[window.picture] = box[None]  # [5] -> [1, 5]
    return boxes


def scored_windows(
    pictures: Sequence[np.ndarray],
    points: Sequence[Point],
    windows: Sequence[Window],
    make_pixels: WindowPixels,
) -> list[tuple[Window, np.ndarray]]:
    """Runs the network on windows, `BATCH` at a time.

    Args:
      pictures: [h, w, 3] uint8 RGB each.
      points: (x, y) in px each: boxes that do not cover it are dropped.
      windows: windows in these pictures.
      make_pixels: `_quick_window` or `_exact_window`.

    Returns:
      Windows with a face, each with its strongest box [5].
    """
    scored = []
    for first in range(0, len(windows), BATCH):
        batch = windows[first : first + BATCH]
        pixels, corners = zip(
            *(make_pixels(pictures[w.picture], w.level, w.center) for w in batch)
        )
        for window, corner, scores in zip(batch, corners, _scores(np.stack(pixels))):
            boxes = _boxes(scores, [window.level], corner)
            boxes = box_geometry.covering(boxes, *points[window.picture])
            scored += [(window, box) for box in _strongest(boxes)[:1]]
    return scored


def refine_near_ties(
    pictures: Sequence[np.ndarray],
    points: Sequence[Point],
    candidates: Sequence[tuple[Window, np.ndarray]],
) -> list[tuple[Window, np.ndarray]]:
    """Scores each picture's best candidates again, on dlib's exact pixels.

    Args:
      pictures: [h, w, 3] uint8 RGB each.
      points: (x, y) in px each.
      candidates: windows and boxes of `scored_windows` on quick windows.

    Returns:
      As `scored_windows`, of the candidates within `NEAR_TIE` of their picture's best.
    """
    best: dict[int, float] = {}
    for window, box in candidates:
        best[window.picture] = max(box[4], best.get(window.picture, 0.0))
    near_ties = [
        window._replace(center=((box[0] + box[2]) / 2, (box[1] + box[3]) / 2))
        for window, box in candidates
        if box[4] > best[window.picture] - NEAR_TIE
    ]
    return scored_windows(pictures, points, near_ties, _exact_window)


def _normalized(picture: np.ndarray) -> np.ndarray:
    """Pixels as the network expects them; 0 is what dlib fills gaps with."""
    mean = np.array(_detector().options.input_mean, np.float32)
    return (picture.astype(np.float32) - mean) / np.float32(_INPUT_SCALE)


def _quick_window(
    picture: np.ndarray, level: Level, center: Point
) -> tuple[np.ndarray, np.ndarray]:
    """Makes a window of one level from the picture in one step; 0 outside the level.

    Returns:
      [WINDOW_PX, WINDOW_PX, 3] float32, by a filter that differs a little from dlib's,
      and the window's (left, top) on the canvas.
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
        left, top, right, bottom = np.clip(edges * step + 0.5, 0, shape).ravel()
        part = Image.fromarray(picture).resize(
            tuple(last - first),
            Image.Resampling.BILINEAR,
            box=(left, top, right, bottom),
        )
        _paste(window, _normalized(np.asarray(part)), first - corner)
    return window, corner


def _exact_window(
    picture: np.ndarray, level: Level, center: Point
) -> tuple[np.ndarray, np.ndarray]:
    """Makes a window of dlib's canvas as dlib makes it; returns as `_quick_window`.

    Near the canvas' end the window is moved inside: beyond, the network sees no pixels.
    """
    height, width = picture.shape[:2]
    pyramid = mmod_pyramid.levels(height, width, level.n_doublings)
    canvas = np.array(mmod_pyramid.canvas_shape(pyramid)[::-1])  # (width, height)
    n_cells = (canvas - _VALID_PX) // STRIDE_PX
    n_steps = np.maximum(0, n_cells - (EXACT_WINDOW_PX - _VALID_PX) // STRIDE_PX)
    corner = _corner(level, center, EXACT_WINDOW_PX)
    corner = np.clip(corner, 0, n_steps * STRIDE_PX)
    window = np.zeros([EXACT_WINDOW_PX, EXACT_WINDOW_PX, 3], np.float32)
    # Other levels that lie in the window change the scores too, as on dlib's canvas.
    for other in pyramid:
        first = np.maximum(corner, other.corner)
        last = np.minimum(corner + EXACT_WINDOW_PX, other.corner + other.shape)
        if (last > first).all():
            part = mmod_pyramid.region(
                picture, other, first - other.corner, last - other.corner, _normalized
            )
            _paste(window, part, first - corner)
    return window, corner


def _paste(window: np.ndarray, part: np.ndarray, corner: np.ndarray) -> None:
    """Puts `part` [h, w, 3] into `window` with its (left, top) at `corner`."""
    left, top = corner
    window[top : top + part.shape[0], left : left + part.shape[1]] = part


def _corner(level: Level, center: Point, window_px: int) -> np.ndarray:
    """Returns (left, top) on the canvas of the window about a point.

    It lies on the steps of the whole search: boxes of a search with shifted steps
    overlap those of the whole search by only 0.66.
    """
    middle = level.corner + level.from_picture(np.array(center))
    corner = np.round(middle - window_px / 2).astype(int)
    return corner - corner % STRIDE_PX


def _boxes(scores: np.ndarray, pyramid: list[Level], corner: np.ndarray) -> np.ndarray:
    """Returns [n, 5] boxes, in px of the picture, and scores above 0.

    Args:
      scores: [rows, columns] of a part of the canvas.
      pyramid: the levels that lie there.
      corner: (left, top) of the part on the canvas.
    """
    rows, columns = np.nonzero(scores > 0)
    centers = np.stack([columns, rows], axis=1) * STRIDE_PX + FIRST_CENTER_PX + corner
    half = (np.array(_detector().options.window_px) - 1) / 2
    boxes = []
    for center, score in zip(centers, scores[rows, columns]):
        # As in dlib, a score between two levels belongs to the nearer one.
        distances_px = [_distance_px(level, center) for level in pyramid]
        level = pyramid[int(np.argmin(distances_px))]
        if min(distances_px) > mmod_pyramid.GAP_PX:
            continue  # beside the only level of a window
        middle = center - level.corner
        first, last = level.to_picture(np.array([middle - half, middle + half]))
        boxes.append([*first, *(last + 1), score])
    return np.array(boxes, np.float64).reshape(-1, 5)


def _distance_px(level: Level, point: np.ndarray) -> float:
    """Returns how far a point of the canvas lies from a level; 0 inside."""
    outside = np.maximum(level.corner - point, point - level.corner - level.shape + 1)
    return float(np.hypot(*np.maximum(outside, 0)))


def _strongest(boxes: np.ndarray) -> np.ndarray:
    """`boxes.strongest` with the overlap that dlib's file allows."""
    return box_geometry.strongest(boxes, _detector().options.max_overlap)


def _scores_by_strip(canvas: np.ndarray) -> Iterator[np.ndarray]:
    """Yields scores of the whole canvas, some rows at a time: memory is bounded."""
    n_context = _CONTEXT_PX // STRIDE_PX
    n_rows = (len(canvas) - _VALID_PX) // STRIDE_PX + 1
    for first in range(0, n_rows, STRIP_ROWS):
        n_before = min(first, n_context)
        begin = (first - n_before) * STRIDE_PX
        end = (first + STRIP_ROWS + n_context - 1) * STRIDE_PX + _VALID_PX
        scores = _scores(canvas[None, begin:end])[0]
        yield scores[n_before : n_before + STRIP_ROWS]


def _scores(pictures: np.ndarray) -> np.ndarray:
    """Normalized pictures [b, h, w, 3] -> scores [b, h', w']."""
    return np.asarray(_detector().score(pictures))


@functools.lru_cache(maxsize=1)
def _detector() -> Detector:
    """Loads the network once a process, as a graph for pictures of any size."""
    import tensorflow as tf

    from speech2face.models import mmod

    path = dlib_weights.package_file(dlib_weights.DETECTOR_FILE)
    network = dlib_weights.read_detector(path)
    model = mmod.load_mmod(path, network)
    signature = tf.TensorSpec([None, None, None, 3], tf.float32)
    score = tf.function(
        lambda x: model(x, training=False),
        input_signature=[signature],
        autograph=False,
    )
    # Freeing the graph after interpreter shutdown logs errors.
    atexit.register(_detector.cache_clear)
    return Detector(score, network)
