"""Faces in pictures: dlib's CNN detector, the choice of one face, crop, 68 landmarks.

As in the paper (Sec. 3, "Data preparation"): a CNN-based detector from dlib, the crop
resized to 224 x 224. The crop is square, unaligned, 1.65 times the detector's box;
beyond the picture it repeats the edge (docs/decisions/face-crop.md).

The models come from the package `face_recognition_models` (CC0) and are loaded once a
process. The detector runs in TensorFlow (`faces.mmod_search`), on any device it has,
and gives dlib's boxes (docs/decisions/face-detection.md); only the landmarks run in
dlib itself.
"""

import dataclasses
from collections.abc import Sequence

import dlib
import numpy as np
from PIL import Image

from speech2face import paper
from speech2face.faces import dlib_models, mmod_search
from speech2face.faces.boxes import CROP_SCALE, landmark_box
from speech2face.images import limit_size

# Doublings tried in turn: as it is (faces from 80 px on), then twice as large (40 px).
UPSAMPLES = (0, 1)
# (x, y) as fractions of width and height; None where unknown.
Place = tuple[float | None, float | None]
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
    def center(self) -> tuple[float, float]:
        """(x, y) of the middle, px."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    @property
    def size_px(self) -> float:
        """The longer side."""
        return max(self.right - self.left, self.bottom - self.top)


@dataclasses.dataclass(frozen=True)
class Face:
    """A detected face: box and landmarks in px of the picture, and its crop."""

    box: Box
    landmarks: np.ndarray  # [68, 2] float32, x and y
    crop: np.ndarray  # [224, 224, 3] uint8 RGB


def find_face(
    image: np.ndarray, x: float | None = None, y: float | None = None
) -> Face | None:
    """Detects, chooses, crops, and finds the landmarks of one face.

    If the face's place is given, windows around it are searched first, which costs the
    same for a frame of any size. If that finds nothing, or without a place, the whole
    picture is searched, first as it is and then doubled.

    Args:
      image: [height, width, 3] uint8 RGB.
      x: where the face is, as a fraction of the width; None for the largest face.
      y: the same, as a fraction of the height.

    Returns:
      The face, or None if the detector finds none.
    """
    return find_faces([image], [(x, y)])[0]


def find_faces(
    images: Sequence[np.ndarray], places: Sequence[Place]
) -> list[Face | None]:
    """`find_face` for several pictures, whose places are searched in one batch.

    Args:
      images: [height, width, 3] uint8 RGB each.
      places: (x, y) each, as for `find_face`.
    """
    known = {
        i: (x, y) for i, (x, y) in enumerate(places) if x is not None and y is not None
    }
    at_places = detect_faces_at([images[i] for i in known], list(known.values()))
    known_boxes = dict(zip(known, at_places))
    faces = []
    for i, (image, place) in enumerate(zip(images, places)):
        box = known_boxes.get(i)
        boxes = [box] if box else []
        for upsample in UPSAMPLES:
            boxes = boxes or detect_faces(image, upsample)
        faces.append(_face_of(image, boxes, place) if boxes else None)
    return faces


def find_largest_face(image: np.ndarray, max_px: int) -> Face | None:
    """Finds the largest face in a reduced copy and crops it from the picture.

    Takes about the same time for a photograph of any size. Faces of less than about
    40 px in the copy are not found.

    Args:
      image: [height, width, 3] uint8 RGB.
      max_px: longer side of the copy.

    Returns:
      The face, in px of `image`, or None.
    """
    reduced = np.asarray(limit_size(Image.fromarray(image), max_px))
    face = find_face(reduced)
    if face is None:
        return None
    scale_y, scale_x = np.array(image.shape[:2]) / reduced.shape[:2]
    box = dataclasses.replace(
        face.box,
        left=face.box.left * scale_x,
        top=face.box.top * scale_y,
        right=face.box.right * scale_x,
        bottom=face.box.bottom * scale_y,
    )
    return Face(box, landmarks68(image, box), crop_face(image, box))


def detect_faces_at(
    images: Sequence[np.ndarray], places: Sequence[tuple[float, float]]
) -> list[Box | None]:
    """Returns the boxes of the faces at known places; None where none covers its place.

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
    best_boxes = mmod_search.search_at(images, points)
    return [Box(*boxes[0].tolist()) if len(boxes) else None for boxes in best_boxes]


def detect_faces(image: np.ndarray, upsample: int = 0) -> list[Box]:
    """Returns all faces that dlib's CNN detector finds, most confident first.

    Args:
      image: [height, width, 3] uint8 RGB.
      upsample: how many times the picture is doubled first; every doubling finds faces
        of half the size and costs four times as much.
    """
    if min(image.shape[:2]) < MIN_PICTURE_PX:
        return []
    return [Box(*box) for box in mmod_search.search(image, upsample).tolist()]


def choose_face(boxes: Sequence[Box], place: Place, width: int, height: int) -> Box:
    """Returns the box whose center is nearest to a place; without one, the largest.

    Args:
      boxes: one box or more.
      place: (x, y) as fractions of width and height, or None in either.
      width: width of the picture, px.
      height: height of the picture, px.
    """
    x, y = place
    if x is None or y is None:
        return max(boxes, key=lambda box: box.size_px)
    x_px, y_px = x * width, y * height

    def distance_px(box: Box) -> float:
        return float(np.hypot(box.center[0] - x_px, box.center[1] - y_px))

    return min(boxes, key=distance_px)


def crop_face(
    image: np.ndarray,
    box: Box,
    scale: float = CROP_SCALE,
    size_px: int = paper.FACE_PX,
) -> np.ndarray:
    """Crops the square of `scale` times the box about its center.

    Args:
      image: [height, width, 3] uint8 RGB.
      box: box in px of the image; it may reach beyond, where edge pixels are repeated.
      scale: side of the crop in sides of the box.
      size_px: side of the result.

    Returns:
      [size_px, size_px, 3] uint8.
    """
    half = box.size_px * scale / 2
    cx, cy = box.center
    region = np.array([cx - half, cy - half, cx + half, cy + half])
    height, width = image.shape[:2]
    first = np.floor(region[:2]).astype(int) - 1  # one pixel more for the resampling
    last = np.ceil(region[2:]).astype(int) + 1
    columns = np.clip(np.arange(first[0], last[0]), 0, width - 1)
    rows = np.clip(np.arange(first[1], last[1]), 0, height - 1)
    patch = Image.fromarray(np.ascontiguousarray(image[rows[:, None], columns]))
    left, top, right, bottom = region - np.tile(first, 2)
    resized = patch.resize(
        (size_px, size_px), Image.Resampling.LANCZOS, box=(left, top, right, bottom)
    )
    return np.asarray(resized)


def landmarks68(image: np.ndarray, box: Box) -> np.ndarray:
    """Returns dlib's 68 facial landmarks, [68, 2] float32, (x, y) px in the picture.

    Args:
      image: [height, width, 3] uint8 RGB.
      box: the CNN detector's box.
    """
    x, y = box.center
    rectangle = dlib.rectangle(*landmark_box(x, y, box.right - box.left))
    return dlib_models.landmarks_from(image, rectangle)


def _face_of(image: np.ndarray, boxes: list[Box], place: Place) -> Face:
    height, width = image.shape[:2]
    box = choose_face(boxes, place, width, height)
    return Face(box, landmarks68(image, box), crop_face(image, box))
