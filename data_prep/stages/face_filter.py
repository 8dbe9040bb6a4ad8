"""Filters photographs: measures of a face, and their limits.

Cole et al. 2017 train the face decoder on frontal, neutral faces, so photographs in
another pose, with an open mouth, blurred or without color are rejected:
docs/decisions/face-decoder-training.md.

Lengths are in inter-ocular distances (eye center to eye center, an eye's center being
the mean of its six landmarks), after the roll is undone, so they do not depend on the
size of the picture. Landmarks are dlib's 68, 0-based; x to the right, y down.
"""

import dataclasses

import numpy as np

from speech2face.options import Options, option

_RIGHT_EYE, _LEFT_EYE = slice(36, 42), slice(42, 48)
_EDGE_PX = 40  # of a crop: hair and background, which are sharp or colorful by chance
_FACE_EDGE_PX = 60  # of a crop: leaves skin, eyes and mouth


@dataclasses.dataclass(frozen=True)
class FilterOptions(Options):
    """Limits that a photograph must keep.

    The limits are not in the papers: they follow from the spread of these measures in
    frontal studio portraits and in face crops from videos. See
    docs/decisions/glasses-and-photo-edges.md for the glasses.
    """

    max_yaw: float = option(
        0.15,
        "Distance of the nose tip from the middle of the eyes, in eye distances.",
        minimum=0,
        maximum=1000,
    )
    min_pitch: float = option(
        0.32,
        "Height from eyes to nose / from eyes to chin; smaller if it looks up.",
        minimum=-1000,
        maximum=1000,
    )
    max_pitch: float = option(
        0.48,
        "Height from eyes to nose / from eyes to chin; larger if it looks down.",
        minimum=-1000,
        maximum=1000,
    )
    max_roll_degrees: float = option(
        30.0, "Tilt of the head; smaller tilts are corrected.", minimum=0, maximum=180
    )
    max_mouth_opening: float = option(
        0.12,
        "Gap between the inner lips, in eye distances.",
        minimum=0,
        maximum=1000,
    )
    max_mouth_width: float = option(
        1.02,
        "Mouth width, in eye distances; larger if it smiles.",
        minimum=0,
        maximum=1000,
    )
    max_corner_lift: float = option(
        0.07,
        "Height of the mouth's corners above its middle, in eye distances; larger if "
        "it smiles.",
        minimum=-1000,
        maximum=1000,
    )
    min_eye_distance_px: float = option(
        30.0, "Eye distance in the photograph.", minimum=0, maximum=10_000
    )
    min_sharpness: float = option(
        12.0,
        "Variance of the Laplacian in the middle of the 224 px crop; smaller if it is "
        "blurred.",
        minimum=0,
        maximum=1e6,
    )
    min_chroma: float = option(
        9.0,
        "Mean difference of the largest and smallest color channel; smaller if it is "
        "monochrome.",
        minimum=0,
        maximum=255,
    )
    max_bridge_edge: float = option(
        0.24,
        "Strongest horizontal edge on the bridge of the nose, as a share of the "
        "face's contrast; larger if it wears glasses. Finds four of five pairs of "
        "glasses, and mistakes one bare face in eight. 0 disables it.",
        minimum=0,
        maximum=1000,
    )


@dataclasses.dataclass(frozen=True)
class Measures:
    """Measures of a face's landmarks; lengths in eye distances unless named."""

    eye_distance_px: float
    roll_degrees: float
    yaw: float
    pitch: float
    mouth_opening: float
    mouth_width: float
    corner_lift: float


def eye_centers(landmarks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the centers [2] of the right and left eye, in px.

    The right eye is on the left of the picture.

    Args:
      landmarks: [68, 2] (x, y) in px.
    """
    return landmarks[_RIGHT_EYE].mean(0), landmarks[_LEFT_EYE].mean(0)


def measure(landmarks: np.ndarray) -> Measures:
    """Measures a face from its landmarks [68, 2] in px."""
    landmarks = np.asarray(landmarks, np.float64)
    right, left = eye_centers(landmarks)
    across = left - right
    distance = float(np.hypot(*across)) or 1e-6  # eyes in one place: no division by 0
    # Rows: the unit vectors along the eyes and down the face.
    axes = np.array([across, [-across[1], across[0]]]) / distance
    points = (landmarks - (right + left) / 2) @ axes.T / distance
    nose_tip, nose_base, chin = points[30], points[33], points[8]
    mouth_right, mouth_left = points[48], points[54]
    upper_lip, lower_lip = points[62], points[66]
    mouth_middle = (upper_lip + lower_lip) / 2
    return Measures(
        eye_distance_px=distance,
        roll_degrees=float(np.degrees(np.arctan2(across[1], across[0]))),
        yaw=float(nose_tip[0]),
        pitch=float(nose_base[1] / max(chin[1], 1e-6)),
        mouth_opening=float(np.hypot(*(upper_lip - lower_lip))),
        mouth_width=float(np.hypot(*(mouth_right - mouth_left))),
        corner_lift=float(mouth_middle[1] - (mouth_right[1] + mouth_left[1]) / 2),
    )


def find_broken_limit(
    measures: Measures,
    crop: np.ndarray,
    landmarks_in_crop: np.ndarray,
    limits: FilterOptions,
) -> tuple[str, str] | None:
    """Returns why a photograph is rejected, or None for a frontal, neutral, sharp face.

    Args:
      measures: what was measured at its landmarks.
      crop: [224, 224, 3] uint8, its face crop.
      landmarks_in_crop: [68, 2] landmarks in pixels of the crop.
      limits: the least and largest accepted measures.

    Returns:
      (reason, sentence) of the first limit that is broken.
    """
    # In this order, so that a small or tilted face is not called blurred.
    checks = (
        ("too_small", measures.eye_distance_px, limits.min_eye_distance_px, None),
        ("tilted", abs(measures.roll_degrees), None, limits.max_roll_degrees),
        ("not_frontal", abs(measures.yaw), None, limits.max_yaw),
        ("not_frontal", measures.pitch, limits.min_pitch, limits.max_pitch),
        ("mouth_open", measures.mouth_opening, None, limits.max_mouth_opening),
        ("smiling", measures.mouth_width, None, limits.max_mouth_width),
        ("smiling", measures.corner_lift, None, limits.max_corner_lift),
        ("blurred", sharpness(crop), limits.min_sharpness, None),
        ("monochrome", chroma(crop), limits.min_chroma, None),
    )
    for reason, value, low, high in checks:
        if low is not None and value < low:
            return reason, f"{reason}: {value:.3g} is less than {low:g}"
        if high is not None and value > high:
            return reason, f"{reason}: {value:.3g} is more than {high:g}"
    limit = limits.max_bridge_edge
    edge = bridge_edge(crop, landmarks_in_crop) if limit else 0.0
    if edge > limit:
        return "glasses", f"glasses: {edge:.3g} is more than {limit:g}"
    return None


def sharpness(crop: np.ndarray) -> float:
    """Returns the variance of the Laplacian of the gray values in the crop's middle."""
    from scipy import ndimage

    gray = crop.astype(np.float64).mean(-1)
    middle = ndimage.laplace(gray)[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX]
    return float(middle.var())


def chroma(crop: np.ndarray) -> float:
    """Returns the mean difference of the largest and smallest color channel, 0..255."""
    middle = crop[_EDGE_PX:-_EDGE_PX, _EDGE_PX:-_EDGE_PX].astype(np.float64)
    return float((middle.max(-1) - middle.min(-1)).mean())


def bridge_edge(crop: np.ndarray, landmarks: np.ndarray) -> float:
    """Returns the strongest row-to-row step of gray between the inner eye corners.

    The bridge of glasses crosses bare skin there.

    Args:
      crop: [224, 224, 3] uint8.
      landmarks: [68, 2] in pixels of the crop.

    Returns:
      The step in standard deviations of the face's gray values.
    """
    from scipy import ndimage

    gray = ndimage.gaussian_filter(crop.astype(np.float64).mean(-1), 1.0)
    right_corner, left_corner = landmarks[39, 0], landmarks[42, 0]
    gap = left_corner - right_corner
    # 0.3 of the gap on each side: the corners' shadows are edges, too.
    left, right = right_corner + 0.3 * gap, left_corner - 0.3 * gap
    top, bottom = landmarks[27, 1] - 0.3 * gap, landmarks[28, 1] + 0.3 * gap
    rows = slice(max(int(top), 0), max(int(bottom), 0) + 1)
    columns = slice(max(int(left), 0), max(int(right), 0) + 1)
    steps = np.abs(np.diff(gray[rows, columns].mean(1))) if right > left else [0.0]
    face = gray[_FACE_EDGE_PX:-_FACE_EDGE_PX, _FACE_EDGE_PX:-_FACE_EDGE_PX]
    return float(np.max(steps, initial=0.0) / (face.std() + 1e-6))
