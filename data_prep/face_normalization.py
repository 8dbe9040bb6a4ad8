"""From a photograph to a normalised face: measured, filtered, aligned, on white.

Cole et al. 2017 train the face decoder on frontal, neutral faces: photographs in
another pose, with an open mouth, blurred or grey are left out; the others are turned
and scaled so that the eyes are level and 55 px apart, and averaged for each identity.

Measures are in inter-ocular distances (eye centre to eye centre, an eye's centre being
the mean of its six landmarks), after the roll is undone, so they do not depend on the
size of the picture. dlib's 68 landmarks, 0-based; x to the right, y down.
"""

import dataclasses
from typing import Optional, Tuple

import numpy as np
from PIL import Image
from scipy import ndimage

from data_prep.options import FilterOptions

SIZE_PX = 224
INTER_OCULAR_PX = 55.0  # Cole et al.; 55.3 measured on the authors' outputs
EYES_CENTER_PX = (112.0, 104.0)  # not in the papers: measured on the authors' outputs
# A ready normalised face this near to the canonical place is only moved there.
NEARLY_SCALE, NEARLY_PX, NEARLY_DEGREES = 0.15, 14.0, 3.0
FADE_PX = 12.0  # where a photograph ends; not in the papers
_SUPERSAMPLING = 2
_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)


@dataclasses.dataclass(frozen=True)
class Measures:
    """What landmarks say about a face; see the module's docstring for the unit."""

    eye_distance_px: float
    roll_degrees: float
    yaw: float
    pitch: float
    mouth_opening: float
    mouth_width: float
    corner_lift: float


def eye_centers(landmarks: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Centres of the right and left eye (left and right in the picture)."""
    return landmarks[_RIGHT_EYE].mean(0), landmarks[_LEFT_EYE].mean(0)


def measure(landmarks: np.ndarray) -> Measures:
    """Measures a face from its landmarks [68, 2]."""
    landmarks = np.asarray(landmarks, np.float64)
    right, left = eye_centers(landmarks)
    across = left - right
    distance = float(np.hypot(*across)) or 1e-6
    # Rows: the unit vectors along the eyes and down the face.
    axes = np.array([across, [-across[1], across[0]]]) / distance
    points = (landmarks - (right + left) / 2) @ axes.T / distance
    mouth_middle = (points[62] + points[66]) / 2
    return Measures(
        eye_distance_px=distance,
        roll_degrees=float(np.degrees(np.arctan2(across[1], across[0]))),
        yaw=float(points[30, 0]),
        pitch=float(points[33, 1] / max(points[8, 1], 1e-6)),
        mouth_opening=float(np.hypot(*(points[62] - points[66]))),
        mouth_width=float(np.hypot(*(points[48] - points[54]))),
        corner_lift=float(mouth_middle[1] - (points[48, 1] + points[54, 1]) / 2),
    )


def why_rejected(
    measures: Measures,
    crop: np.ndarray,
    landmarks_in_crop: np.ndarray,
    o: FilterOptions,
) -> Optional[Tuple[str, str]]:
    """Why a photograph is no frontal, neutral, sharp, coloured face, or None.

    Args:
      measures: of its landmarks.
      crop: [224, 224, 3] uint8, its face crop.
      landmarks_in_crop: [68, 2] landmarks in pixels of the crop.
      o: the limits.

    Returns:
      (reason, sentence) of the first limit that is broken.
    """
    m = measures
    checks = (
        ("too_small", m.eye_distance_px, o.min_eye_distance_px, None),
        ("tilted", abs(m.roll_degrees), None, o.max_roll_degrees),
        ("not_frontal", abs(m.yaw), None, o.max_yaw),
        ("not_frontal", m.pitch, o.min_pitch, o.max_pitch),
        ("mouth_open", m.mouth_opening, None, o.max_mouth_opening),
        ("smiling", m.mouth_width, None, o.max_mouth_width),
        ("smiling", m.corner_lift, None, o.max_corner_lift),
        ("blurred", sharpness(crop), o.min_sharpness, None),
        ("monochrome", chroma(crop), o.min_chroma, None),
    )
    for reason, value, low, high in checks:
        if low is not None and value < low:
            return reason, f"{reason}: {value:.3g} is less than {low:g}"
        if high is not None and value > high:
            return reason, f"{reason}: {value:.3g} is more than {high:g}"
    edge = bridge_edge(crop, landmarks_in_crop) if o.max_bridge_edge else 0.0
    if edge > o.max_bridge_edge:
        return "glasses", f"glasses: {edge:.3g} is more than {o.max_bridge_edge:g}"
    return None


def sharpness(crop: np.ndarray) -> float:
    """Variance of the Laplacian of the grey values in the crop's middle."""
    grey = crop.astype(np.float64).mean(-1)
    return float(ndimage.laplace(grey)[40:-40, 40:-40].var())


def chroma(crop: np.ndarray) -> float:
    """Mean difference between the largest and the smallest colour channel, 0..255."""
    middle = crop[40:-40, 40:-40].astype(np.float64)
    return float((middle.max(-1) - middle.min(-1)).mean())


def bridge_edge(crop: np.ndarray, landmarks: np.ndarray) -> float:
    """Strongest row-to-row step of the mean grey value between the inner eye corners.

    The bridge of glasses crosses bare skin there. In standard deviations of the grey
    values of the face.
    """
    grey = ndimage.gaussian_filter(crop.astype(np.float64).mean(-1), 1.0)
    gap = landmarks[42, 0] - landmarks[39, 0]
    left, right = landmarks[39, 0] + 0.3 * gap, landmarks[42, 0] - 0.3 * gap
    top, bottom = landmarks[27, 1] - 0.3 * gap, landmarks[28, 1] + 0.3 * gap
    rows = slice(max(int(top), 0), max(int(bottom), 0) + 1)
    columns = slice(max(int(left), 0), max(int(right), 0) + 1)
    steps = np.abs(np.diff(grey[rows, columns].mean(1))) if right > left else [0.0]
    return float(np.max(steps, initial=0.0) / (grey[60:-60, 60:-60].std() + 1e-6))


def align(image: np.ndarray, landmarks: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
    """Turns, scales and moves a face to its canonical place.

    Args:
      image: [h, w, 3] uint8.
      landmarks: [68, 2] (x, y) in its pixels.

    Returns:
      The aligned face [224, 224, 3] uint8, fading to white where the picture ends, so
      that no straight edge shows, and its landmarks [68, 2] float32: eyes level, 55 px
      apart, their middle at (112, 104).
    """
    right, left = eye_centers(np.asarray(landmarks, np.float64))
    to_picture = INTER_OCULAR_PX / np.hypot(*(left - right))
    # Shrink first, with all pixels, so that the transform never skips any.
    shrink = min(1.0, to_picture * _SUPERSAMPLING)
    small = Image.fromarray(image)
    if shrink < 1.0:
        size = [max(1, int(side * shrink)) for side in small.size]
        box = (0, 0, *(min(n / shrink, side) for n, side in zip(size, small.size)))
        small = small.resize(size, Image.Resampling.LANCZOS, box=box)
    # Pixel k covers k .. k + 1 for Pillow, but landmarks count pixel centres.
    right, left = (right + 0.5) * shrink, (left + 0.5) * shrink
    across = (left - right) / INTER_OCULAR_PX / _SUPERSAMPLING
    matrix = np.array([[across[0], -across[1]], [across[1], across[0]]])
    origin = (np.array(EYES_CENTER_PX) + 0.5) * _SUPERSAMPLING
    offset = (right + left) / 2 - matrix @ origin
    aligned, covered = (
        picture.transform(
            (SIZE_PX * _SUPERSAMPLING,) * 2,
            Image.Transform.AFFINE,
            (*matrix[0], offset[0], *matrix[1], offset[1]),
            Image.Resampling.BICUBIC,
            fillcolor=fill,
        ).reduce(_SUPERSAMPLING)
        for picture, fill in (
            (small, (255, 255, 255)),
            (Image.new("L", small.size, 255), 0),
        )
    )
    points = (np.asarray(landmarks, np.float64) + 0.5) * shrink - offset
    points = points @ np.linalg.inv(matrix).T / _SUPERSAMPLING - 0.5
    aligned = _fade(np.asarray(aligned), _smooth(_depth(np.asarray(covered)) / FADE_PX))
    return aligned, points.astype(np.float32)


def is_aligned(image: np.ndarray, landmarks: np.ndarray) -> bool:
    """Whether a face is so near its canonical place that resampling only blurs it."""
    right, left = eye_centers(landmarks)
    measures = measure(landmarks)
    off_px = np.abs((right + left) / 2 - EYES_CENTER_PX).max()
    return (
        image.shape[:2] == (SIZE_PX, SIZE_PX)
        and abs(measures.eye_distance_px / INTER_OCULAR_PX - 1) <= NEARLY_SCALE
        and abs(measures.roll_degrees) <= NEARLY_DEGREES
        and off_px <= NEARLY_PX
    )


def move_to_place(
    image: np.ndarray, landmarks: np.ndarray
) -> Tuple[np.ndarray, np.ndarray]:
    """Moves a nearly aligned face by whole pixels, which leaves it as sharp as it is.

    Where a face stands in its picture is no property of the face, yet it makes up four
    fifths of the variance of the landmarks of the authors' normalised faces.

    Args:
      image: [224, 224, 3] uint8.
      landmarks: [68, 2] (x, y) in its pixels.

    Returns:
      Both, the middle of the eyes within half a pixel of (112, 104); the edges of the
      picture are repeated where it ends.
    """
    right, left = eye_centers(np.asarray(landmarks, np.float64))
    dx, dy = np.round(EYES_CENTER_PX - (right + left) / 2).astype(int)
    rows = np.clip(np.arange(SIZE_PX) - dy, 0, SIZE_PX - 1)
    columns = np.clip(np.arange(SIZE_PX) - dx, 0, SIZE_PX - 1)
    moved = np.asarray(landmarks, np.float32) + np.array([dx, dy], np.float32)
    return image[rows][:, columns], moved


def whiten_background(aligned: np.ndarray, landmarks: np.ndarray) -> np.ndarray:
    """Fades everything but the head to white.

    Without a segmentation the head is taken for an ellipse around the landmarks, wide
    enough for ears and hair, with a soft edge.
    """
    return _fade(aligned, head_mask(landmarks))


def head_mask(landmarks: np.ndarray, feather: float = 0.12) -> np.ndarray:
    """[224, 224] in 0..1: the head's ellipse; `feather` of its radius is soft."""
    jaw_width = landmarks[16, 0] - landmarks[0, 0]
    chin, brow = landmarks[8, 1], landmarks[17:27, 1].min()
    half_height = 0.90 * (chin - brow)
    center = (landmarks[[0, 16], 0].mean(), chin + 0.06 * (chin - brow) - half_height)
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    radius = np.hypot(
        (x - center[0]) / (0.66 * jaw_width), (y - center[1]) / half_height
    )
    return _smooth((1.0 + feather - radius) / (2 * feather))


def _fade(image: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """The image [h, w, 3] uint8, white where `kept` [h, w] in 0..1 is 0."""
    return np.round(255.0 - (255.0 - image) * kept[..., None]).astype(np.uint8)


def _smooth(t: np.ndarray) -> np.ndarray:
    """A smooth step from 0 (t <= 0) to 1 (t >= 1)."""
    t = np.clip(t, 0.0, 1.0)
    return t * t * (3 - 2 * t)


def _depth(covered: np.ndarray) -> np.ndarray:
    """How far each pixel of [h, w] is from the nearest one that is not 255, in px."""
    if (covered == 255).all():
        return np.full(covered.shape, np.inf)
    return ndimage.distance_transform_edt(covered == 255)
