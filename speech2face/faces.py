"""Faces in pictures: dlib's CNN detector, the choice of one face, crop, 68 landmarks.

As in the paper (Sec. 3 "Data preparation"): a CNN-based detector from dlib, the crop
resized to 224 x 224. The crop is square, unaligned, 1.65 x the detector's box (measured
on crops the authors released); what lies outside the picture repeats its edge.

The models come from the package `face_recognition_models` (CC0) and are loaded once a
process. Install a CUDA build of `dlib` for detection on a GPU; nothing here changes.
"""

import dataclasses
import functools
from typing import List, Optional, Tuple

import numpy as np

from speech2face import dlib_weights, face_boxes, image_files
from speech2face.face_boxes import CROP_PX, CROP_SCALE

# Detection sizes tried in turn: as it is (faces >= 80 px), then twice as large (40 px).
UPSAMPLES = (0, 1)
MIN_PICTURE_PX = 20  # a face in less is smaller than the detector's 40 px, upsampled
# Windows searched around a known place: sides as shares of the picture's shorter one,
# and the size they are scaled to.
WINDOW_SHARES = (1.0, 0.5, 0.25)
WINDOW_PX = 200
# The second look: window and scaled size of the face.
SECOND_WINDOW = 2.5  # face sizes
SECOND_LOOK_PX = 115
_DETECTOR_STEP = 5 / 6  # from one scale of the detector's pyramid to the next
_DETECTOR_FILE = "mmod_human_face_detector.dat"


@dataclasses.dataclass(frozen=True)
class Box:
    """A face box in pixels; right and bottom are exclusive."""

    left: float
    top: float
    right: float
    bottom: float
    confidence: float = 1.0

    @property
    def center(self) -> Tuple[float, float]:
        """(x, y) of the middle."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def size_px(self) -> float:
        """The longer side."""
        return max(self.right - self.left, self.bottom - self.top)


@dataclasses.dataclass(frozen=True)
class Face:
    """A found face: box and landmarks in the picture's pixels, and its crop."""

    box: Box
    landmarks: np.ndarray  # [68, 2] float32, x and y
    crop: np.ndarray  # [224, 224, 3] uint8 RGB


def find_face(
    image: np.ndarray, x: Optional[float] = None, y: Optional[float] = None
) -> Optional[Face]:
    """Detects, chooses, crops, landmarks.

    Where it is said where the face is, only windows around that place are searched
    first, which costs the same for a frame of any size; then, or without a place, the
    whole picture, as it is and at last twice as large.

    Args:
      image: [height, width, 3] uint8 RGB.
      x, y: where the face is, as fractions of width and height; None: the largest.

    Returns:
      The face, or None if the detector finds none.
    """
    height, width = image.shape[:2]
    searches = [functools.partial(detect_faces, image, n) for n in UPSAMPLES]
    if x is not None and y is not None:
        searches.insert(0, functools.partial(detect_face_at, image, x, y))
    for search in searches:
        boxes = search()
        if boxes:
            box = choose_face(boxes, x, y, width, height)
            return Face(box, landmarks68(image, box), crop_face(image, box))
    return None


def find_largest_face(image: np.ndarray, max_px: int) -> Optional[Face]:
    """The largest face, found in a copy of at most `max_px`, cropped from the picture.

    Takes about the same time for a photograph of any size; faces of less than about
    40 px in the copy are not found.

    Args:
      image: [height, width, 3] uint8 RGB.
      max_px: longer side of the copy.
    """
    from PIL import Image

    reduced = np.asarray(image_files.limit_size(Image.fromarray(image), max_px))
    found = find_face(reduced)
    if found is None:
        return None
    scale = np.array(image.shape[1::-1]) / reduced.shape[1::-1]
    box = _moved(found.box, scale, np.zeros(2))
    return Face(box, landmarks68(image, box), crop_face(image, box))


def detect_face_at(image: np.ndarray, x: float, y: float) -> List[Box]:
    """The face around a place: [its box], or [] if windows around it show none.

    Windows of the picture's whole, half and quarter height, scaled to about 200 px,
    show the detector faces from a tenth of the height on. A second look at a window
    around the face found, in which it is neither cut nor at the end of the detector's
    scales, gives the box.

    Args:
      image: [height, width, 3] uint8 RGB.
      x, y: a point on the face, as fractions of width and height.
    """
    height, width = image.shape[:2]
    point = np.array([x * width, y * height])
    for share in WINDOW_SHARES:
        side = share * min(height, width)
        found = _detect_in_window(image, point, side, WINDOW_PX / side)
        if found:
            size = found[0].size_px
            center = np.array(found[0].center)
            again = _detect_in_window(
                image, center, SECOND_WINDOW * size, SECOND_LOOK_PX / size
            )
            return again or found
    return []


def _detect_in_window(
    image: np.ndarray, point: np.ndarray, side: float, factor: float
) -> List[Box]:
    """[The most confident box that holds the point], in a square window around it.

    The window is scaled by about `factor`, to one of the scales that the detector takes
    the doubled picture through, so that the boxes have the same sizes.
    """
    from PIL import Image

    height, width = image.shape[:2]
    factor = _detector_scale(factor)
    first = np.floor(np.clip(point - side / 2, 0, [width - 1, height - 1]))
    last = np.ceil(np.clip(point + side / 2, first + 1, [width, height]))
    size = np.maximum(1, np.round((last - first) * factor)).astype(int)
    window = Image.fromarray(image).resize(
        tuple(size), Image.Resampling.BILINEAR, box=(*first, *last)
    )
    boxes = [
        _moved(box, (last - first) / size, first)
        for box in detect_faces(np.asarray(window))
    ]
    holding = [
        box
        for box in boxes
        if box.left <= point[0] <= box.right and box.top <= point[1] <= box.bottom
    ]
    return holding[:1]


def detect_faces(image: np.ndarray, upsample: int = 0) -> List[Box]:
    """All faces that dlib's CNN detector finds, most confident first.

    Args:
      image: [height, width, 3] uint8 RGB.
      upsample: how many times the picture is doubled first; every doubling finds faces
        of half the size and costs four times as much.
    """
    if min(image.shape[:2]) < MIN_PICTURE_PX:
        return []
    found = _detector()(np.ascontiguousarray(image), upsample)
    boxes = [
        Box(
            d.rect.left(),
            d.rect.top(),
            d.rect.right() + 1,
            d.rect.bottom() + 1,
            d.confidence,
        )
        for d in found
    ]
    return sorted(boxes, key=lambda box: (-box.confidence, box.left, box.top))


def choose_face(
    boxes: List[Box], x: Optional[float], y: Optional[float], width: int, height: int
) -> Box:
    """The box whose centre is nearest to (x, y), as fractions; without, the largest."""
    if x is None or y is None:
        return max(boxes, key=lambda box: box.size_px)

    def distance(box: Box) -> float:
        return float(np.hypot(box.center[0] - x * width, box.center[1] - y * height))

    return min(boxes, key=distance)


def crop_face(
    image: np.ndarray, box: Box, scale: float = CROP_SCALE, size_px: int = CROP_PX
) -> np.ndarray:
    """The square of `scale` x the box about its centre, [size_px, size_px, 3] uint8.

    Parts outside the picture repeat its edge pixels.
    """
    from PIL import Image

    half = box.size_px * scale / 2
    cx, cy = box.center
    region = np.array([cx - half, cy - half, cx + half, cy + half])
    height, width = image.shape[:2]
    first = np.floor(region[:2]).astype(int) - 1  # one pixel more for the resampling
    last = np.ceil(region[2:]).astype(int) + 1
    columns = np.clip(np.arange(first[0], last[0]), 0, width - 1)
    rows = np.clip(np.arange(first[1], last[1]), 0, height - 1)
    patch = Image.fromarray(np.ascontiguousarray(image[rows[:, None], columns]))
    return np.asarray(
        patch.resize(
            (size_px, size_px),
            Image.Resampling.LANCZOS,
            box=tuple(region - np.tile(first, 2)),
        )
    )


def landmarks68(image: np.ndarray, box: Box) -> np.ndarray:
    """dlib's 68 facial landmarks, [68, 2] float32, (x, y) in the picture's pixels."""
    import dlib

    start = face_boxes.landmark_box(*box.center, box.right - box.left)
    rectangle = dlib.rectangle(*start)
    parts = _landmark_model()(np.ascontiguousarray(image), rectangle).parts()
    return np.array([(p.x, p.y) for p in parts], np.float32)


def _detector_scale(factor: float) -> float:
    """The nearest scale of the detector's pyramid over the doubled picture, <= 2."""
    steps = round(np.log(factor / 2) / np.log(_DETECTOR_STEP))
    return 2 * _DETECTOR_STEP ** max(steps, 0)


def _moved(box: Box, scale: np.ndarray, first: np.ndarray) -> Box:
    """A box of a window in the pixels of the picture."""
    edges = np.array([box.left, box.top, box.right, box.bottom])
    return Box(*(edges * np.tile(scale, 2) + np.tile(first, 2)), box.confidence)


@functools.lru_cache(maxsize=1)
def _detector():
    import dlib

    return dlib.cnn_face_detection_model_v1(dlib_weights.package_file(_DETECTOR_FILE))


@functools.lru_cache(maxsize=1)
def _landmark_model():
    import dlib

    return dlib.shape_predictor(dlib_weights.package_file(dlib_weights.LANDMARKS_FILE))
