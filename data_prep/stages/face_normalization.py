"""From a photograph to a normalized face: eyes level and 55 px apart, on white.

Cole et al. 2017 train the face decoder on faces that are rotated and scaled so that the
eyes have a fixed place. Landmarks are dlib's 68, 0-based; x to the right, y down.
"""

import numpy as np
from PIL import Image
from scipy import ndimage

from data_prep.stages.face_filter import eye_centers, measure
from speech2face.paper import FACE_PX

INTER_OCULAR_PX = 55.0  # Cole et al.; 55.3 measured on the authors' outputs
EYES_CENTER_PX = (112.0, 104.0)  # not in the papers: measured on the authors' outputs
# Normalized faces of a manifest that are this near to the canonical place are moved by
# whole pixels only, because resampling would blur them.
NEARLY_SCALE, NEARLY_PX, NEARLY_DEGREES = 0.15, 14.0, 3.0
# Width of the fade to white where a photograph ends. Not in the papers:
# docs/decisions/glasses-and-photo-edges.md.
FADE_PX = 12.0
_SUPERSAMPLING = 2  # bicubic interpolation alone aliases at smaller scales


def align(image: np.ndarray, landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rotates, scales and moves a face to its canonical place.

    Args:
      image: [h, w, 3] uint8.
      landmarks: [68, 2] (x, y) in its pixels.

    Returns:
      The aligned face [224, 224, 3] uint8, fading to white where the picture ends, so
      that no straight edge shows, and its landmarks [68, 2] float32: eyes level, 55 px
      apart, their middle at (112, 104).
    """
    right, left = eye_centers(np.asarray(landmarks, np.float64))
    scale = INTER_OCULAR_PX / np.hypot(*(left - right))
    # Shrink first, with all pixels, so that the transform never skips any.
    shrink = min(1.0, scale * _SUPERSAMPLING)
    small = _shrunk(Image.fromarray(image), shrink)
    # Pixel k covers k .. k + 1 for Pillow, but landmarks count pixel centers.
    right, left = (right + 0.5) * shrink, (left + 0.5) * shrink
    across = (left - right) / INTER_OCULAR_PX / _SUPERSAMPLING
    matrix = np.array([[across[0], -across[1]], [across[1], across[0]]])
    origin = (np.array(EYES_CENTER_PX) + 0.5) * _SUPERSAMPLING
    offset = (right + left) / 2 - matrix @ origin
    aligned = _transformed(small, matrix, offset, (255, 255, 255))
    covered = _transformed(Image.new("L", small.size, 255), matrix, offset, 0)
    points = (np.asarray(landmarks, np.float64) + 0.5) * shrink - offset
    points = points @ np.linalg.inv(matrix).T / _SUPERSAMPLING - 0.5
    faded = _fade(aligned, _smooth(_depth(covered) / FADE_PX))
    return faded, points.astype(np.float32)


def _shrunk(picture: Image.Image, scale: float) -> Image.Image:
    """The picture at a scale of at most 1, every pixel of it averaged in."""
    if scale >= 1.0:
        return picture
    width, height = (max(1, int(side * scale)) for side in picture.size)
    # The part of the picture that whole pixels of the result cover.
    right = min(width / scale, picture.size[0])
    bottom = min(height / scale, picture.size[1])
    box = (0, 0, right, bottom)
    return picture.resize((width, height), Image.Resampling.LANCZOS, box=box)


def _transformed(
    picture: Image.Image,
    matrix: np.ndarray,
    offset: np.ndarray,
    fill: int | tuple[int, int, int],
) -> np.ndarray:
    """Resamples a picture on the canonical grid, [224, 224(, 3)] uint8.

    Args:
      picture: what to resample.
      matrix: [2, 2], from the supersampled grid to the picture.
      offset: [2], the picture's pixel at the grid's origin.
      fill: color where the picture ends.
    """
    size = (FACE_PX * _SUPERSAMPLING, FACE_PX * _SUPERSAMPLING)
    coefficients = (*matrix[0], offset[0], *matrix[1], offset[1])
    fine = picture.transform(
        size,
        Image.Transform.AFFINE,
        coefficients,
        Image.Resampling.BICUBIC,
        fillcolor=fill,
    )
    return np.asarray(fine.reduce(_SUPERSAMPLING))


def is_aligned(image: np.ndarray, landmarks: np.ndarray) -> bool:
    """Returns whether a face is so near its place that resampling would only blur it.

    Args:
      image: [h, w, 3] uint8.
      landmarks: [68, 2] (x, y) in its pixels.
    """
    right, left = eye_centers(landmarks)
    measures = measure(landmarks)
    off_px = np.abs((right + left) / 2 - EYES_CENTER_PX).max()
    return (
        image.shape[:2] == (FACE_PX, FACE_PX)
        and abs(measures.eye_distance_px / INTER_OCULAR_PX - 1) <= NEARLY_SCALE
        and abs(measures.roll_degrees) <= NEARLY_DEGREES
        and off_px <= NEARLY_PX
    )


def move_to_place(
    image: np.ndarray, landmarks: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Moves a nearly aligned face by whole pixels, which does not blur it.

    The place of a face in its picture is not a property of the face, yet it makes up
    four fifths of the variance of the landmarks of the authors' normalized faces.

    Args:
      image: [224, 224, 3] uint8.
      landmarks: [68, 2] (x, y) in its pixels.

    Returns:
      The picture [224, 224, 3] and the landmarks [68, 2] float32, the middle of the
      eyes within half a pixel of (112, 104). It is white where the picture ends:
      repeated edge pixels would draw hair as a column.
    """
    right, left = eye_centers(np.asarray(landmarks, np.float64))
    dx, dy = np.round(EYES_CENTER_PX - (right + left) / 2).astype(int)
    moved = np.full_like(image, 255)
    to_rows, from_rows = _overlap(dy)
    to_columns, from_columns = _overlap(dx)
    moved[to_rows, to_columns] = image[from_rows, from_columns]
    points = np.asarray(landmarks, np.float32) + np.array([dx, dy], np.float32)
    return moved, points


def _overlap(shift_px: int) -> tuple[slice, slice]:
    """Returns which pixels of an axis a shift fills, and from which it fills them."""
    forward, back = max(shift_px, 0), max(-shift_px, 0)
    return slice(forward, FACE_PX - back), slice(back, FACE_PX - forward)


def whiten_background(aligned: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Fades everything but the head to white.

    There is no segmentation: the head is an ellipse around the landmarks with a soft
    edge, wide enough for ears and hair.

    Args:
      aligned: [224, 224, 3] uint8.
      landmarks: [68, 2] (x, y) in its pixels.
    """
    return _fade(aligned, head_mask(landmarks))


def head_mask(landmarks: np.ndarray, feather: float = 0.12) -> np.ndarray:
    """Returns the head's ellipse, [224, 224] in 0..1.

    Args:
      landmarks: [68, 2] (x, y) in px.
      feather: share of the radius over which the edge is soft.
    """
    # Not in the papers: the ellipse that covers ears and hair of frontal faces.
    jaw_width = landmarks[16, 0] - landmarks[0, 0]
    chin, brow = landmarks[8, 1], landmarks[17:27, 1].min()
    half_height = 0.90 * (chin - brow)
    center = (landmarks[[0, 16], 0].mean(), chin + 0.06 * (chin - brow) - half_height)
    y, x = np.mgrid[:FACE_PX, :FACE_PX]
    radius = np.hypot(
        (x - center[0]) / (0.66 * jaw_width), (y - center[1]) / half_height
    )
    return _smooth((1.0 + feather - radius) / (2 * feather))


def _fade(image: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """Returns the image [h, w, 3] uint8, white where `kept` [h, w] in 0..1 is 0."""
    return np.round(255.0 - (255.0 - image) * kept[..., None]).astype(np.uint8)


def _smooth(t: np.ndarray) -> np.ndarray:
    """A smooth step from 0 (t <= 0) to 1 (t >= 1)."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _depth(covered: np.ndarray) -> np.ndarray:
    """Returns the distance of pixels [h, w] to the nearest that is not 255, in px."""
    if (covered == 255).all():
        return np.full(covered.shape, np.inf)
    return ndimage.distance_transform_edt(covered == 255)
