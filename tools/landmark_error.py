"""Estimates the error of dlib's landmarks by skin tone: a table for the model card.

    python tools/landmark_error.py photographs more_photographs

Nobody has marked the true points of these faces. The error of a landmark model is
estimated by how far the points of a picture and of its mirror image are apart (Yang
and Patras, "Mirror, mirror on the wall, tell me, is the error small?", CVPR 2015). Skin
tone is the individual typology angle of the cheeks (Chardon et al. 1991), which a
photograph's light changes, too. Nothing is written, and no file is named.
"""

import pathlib
import sys
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from speech2face import images
from speech2face.errors import UserError
from speech2face.faces import detection
from speech2face.faces.plausibility import find_implausible

# Upper ends of the classes, in degrees (Del Bino and Bernerd 2013).
TONES = (
    (-30, "dark"),
    (10, "brown"),
    (28, "tan"),
    (41, "intermediate"),
    (55, "light"),
    (91, "very light"),
)
# The point that a mirror puts in the place of each of the 68.
_MIRRORED = np.array(
    [
        *range(16, -1, -1),
        *range(26, 16, -1),
        *range(27, 31),
        *range(35, 30, -1),
        *(45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40),
        *(54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55),
        *(64, 63, 62, 61, 60, 67, 66, 65),
    ]
)
_PARTS = {
    "jaw": slice(0, 17),
    "brows": slice(17, 27),
    "nose": slice(27, 36),
    "eyes": slice(36, 48),
    "lips": slice(48, 68),
}


class Measured(NamedTuple):
    """One face: angle of its skin tone, and errors in percent of the eye distance."""

    tone_degrees: float
    errors: dict[str, float]  # by part of the face
    is_implausible: bool


def measure(path: pathlib.Path) -> Measured | None:
    """Measures the face of a photograph; None if there is none."""
    image = images.read_image(path)
    face = detection.find_face(image)
    if face is None:
        return None
    width = image.shape[1]
    mirrored_box = detection.Box(
        width - face.box.right, face.box.top, width - face.box.left, face.box.bottom
    )
    mirrored = detection.landmarks68(image[:, ::-1], mirrored_box)[_MIRRORED]
    mirrored = np.stack([width - 1 - mirrored[:, 0], mirrored[:, 1]], 1)
    points = face.landmarks
    eyes = points[36:42].mean(0), points[42:48].mean(0)
    distance_px = np.hypot(*(eyes[1] - eyes[0]))
    apart = 100 * np.linalg.norm(points - mirrored, axis=1) / distance_px
    return Measured(
        _typology_angle(image, points),
        {name: float(apart[part].mean()) for name, part in _PARTS.items()},
        find_implausible(points) is not None,
    )


def _typology_angle(image: np.ndarray, points: np.ndarray) -> float:
    """The individual typology angle of both cheeks, degrees; larger is lighter."""
    half = max(2, round(0.12 * np.hypot(*(points[45] - points[36]))))
    patches = []
    for eye, corner in ((41, 48), (46, 54)):
        x, y = np.round((points[eye] + points[corner]) / 2).astype(int)
        patches.append(image[max(y - half, 0) : y + half, max(x - half, 0) : x + half])
    srgb = np.concatenate([p.reshape(-1, 3) for p in patches]) / 255.0
    light = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    # sRGB to CIE XYZ (IEC 61966-2-1), relative to D65; then CIELAB.
    xyz = light @ np.array(
        [[0.4124, 0.2126, 0.0193], [0.3576, 0.7152, 0.1192], [0.1805, 0.0722, 0.9505]]
    )
    xyz = xyz / (0.9505, 1.0, 1.089)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    lightness, blue_to_yellow = 116 * f[:, 1] - 16, 200 * (f[:, 1] - f[:, 2])
    angle = np.arctan2(np.median(lightness) - 50, np.median(blue_to_yellow))
    return float(np.degrees(angle))


def _measured(folders: list[str]) -> Iterator[Measured]:
    for folder in folders:
        paths = sorted(p for p in pathlib.Path(folder).iterdir() if p.is_file())
        if not paths:
            raise UserError(f"{folder} holds no photographs")
        yield from filter(None, map(measure, paths))


def main(folders: list[str]) -> None:
    """Prints the table."""
    faces = list(_measured(folders))
    print(f"| skin | faces | {' | '.join(_PARTS)} | all | implausible |")
    print("|---" * (len(_PARTS) + 4) + "|")
    low = -91.0
    for high, name in TONES:
        chosen = [face for face in faces if low < face.tone_degrees <= high]
        low = high
        if chosen:
            _print_row(name, chosen)
    _print_row("all", faces)


def _print_row(name: str, faces: list[Measured]) -> None:
    means = [np.mean([face.errors[part] for face in faces]) for part in _PARTS]
    weights = [part.stop - part.start for part in _PARTS.values()]
    cells = [f"{value:.1f}" for value in (*means, np.average(means, weights=weights))]
    share = np.mean([face.is_implausible for face in faces])
    print(f"| {name} | {len(faces)} | {' | '.join(cells)} | {share:.1%} |")


if __name__ == "__main__":
    main(sys.argv[1:])
