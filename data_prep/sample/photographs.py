"""Photographs of generated people, and how they are lit and framed.

Each person has a normalized photograph, as the face decoder learns to draw it, with its
landmarks, and photographs at random. Positions are in pixels of the picture, origin at
the top left.
"""

import pathlib
from typing import NamedTuple

import numpy as np
from PIL import Image

from data_prep.sample import camera, faces
from data_prep.sample.landmarks import landmarks68
from data_prep.sample.shape import measure
from data_prep.sample.traits import Person, generator
from data_prep.stages.face_normalization import EYES_CENTER_PX, INTER_OCULAR_PX
from speech2face import paper

PHOTO_PX = 256

_UNIT_PX = 72.0  # of the canvas: finer than any of these pictures shows it

# File name -> name of a point -> (x, y) in pixels.
PointsByFile = dict[str, dict[str, tuple[float, float]]]


class Portraits(NamedTuple):
    """The pictures of a person that were written; paths are relative to the sample.

    Attributes:
      photographs: paths.
      normalized: path of the normalized photograph.
      landmarks: [68, 2] of the normalized photograph, (x, y) in px.
      points: where eyes, mouth and chin truly are, by path.
    """

    photographs: list[str]
    normalized: str
    landmarks: np.ndarray
    points: PointsByFile


def write_photographs(
    person: Person, n_photographs: int, seed: int, folder: pathlib.Path
) -> Portraits:
    """Writes a person's photographs, and the normalized one.

    Args:
      person: who is photographed.
      n_photographs: how many.
      seed: decides on light, pose, place and background.
      folder: folder of the sample; the pictures lie in its subfolder `faces`.
    """
    (face,) = faces.build(person, _UNIT_PX)
    units = landmarks68(measure(person))
    view = _normalized_view(units)
    points = {}
    normalized = f"faces/{person.speaker_id}_normalized.png"
    image, points[normalized] = camera.render(face, view, _white_wall())
    Image.fromarray(image).save(folder / normalized)
    names = []
    for k in range(n_photographs):
        names.append(f"faces/{person.speaker_id}_{k}.png")
        rng = generator(seed, person.speaker_id, "photo", k)
        image, points[names[-1]] = _photograph(face, rng)
        Image.fromarray(image).save(folder / names[-1])
    # Seen from the front, a point lands at the same place whatever its depth.
    seen = camera.project({str(k): (x, y, 0.0) for k, (x, y) in enumerate(units)}, view)
    return Portraits(names, normalized, np.array([*seen.values()]), points)


def random_light(rng: np.random.Generator) -> dict[str, float]:
    """Draws the light of a `View`: from the left or the right, never from below."""
    return {
        "light_azimuth": rng.uniform(-50, 50),
        "light_elevation": rng.uniform(15, 50),
        "light_strength": rng.uniform(0.75, 1.05),
        "fill_strength": rng.uniform(0.3, 0.75),
        "warmth": rng.uniform(-1, 1),
    }


def _photograph(
    face: faces.Face, rng: np.random.Generator
) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    view = _random_view(rng)
    wall = camera.draw_background(rng, PHOTO_PX, PHOTO_PX)
    image, points = camera.render(face, view, wall)
    grain = rng.normal(scale=rng.uniform(0.5, 2.5), size=image.shape)
    return np.rint(image + grain).clip(0, 255).astype(np.uint8), points


def _normalized_view(landmarks: np.ndarray) -> camera.View:
    """Frontal, the eyes where records have them: no record needs to move them.

    Args:
      landmarks: [68, 2] of the face, units.
    """
    eyes_x, eyes_y = landmarks[36:48].mean(0) * INTER_OCULAR_PX
    # Half a pixel: a view counts pixel edges, landmarks count pixel centers.
    return camera.View(
        width_px=paper.FACE_PX,
        height_px=paper.FACE_PX,
        eye_distance_px=INTER_OCULAR_PX,
        center_x_px=EYES_CENTER_PX[0] + 0.5 - eyes_x,
        center_y_px=EYES_CENTER_PX[1] + 0.5 - eyes_y,
        # From the front, weak, with much fill: no side of the face is darker.
        light_azimuth=0.0,
        light_elevation=25.0,
        light_strength=0.72,
        fill_strength=0.6,
    )


def _white_wall() -> np.ndarray:
    # More than 1: `to_srgb` compresses bright light, and 1 would be a light gray.
    return np.full((paper.FACE_PX, paper.FACE_PX, 3), 1.2, np.float32)


def _random_view(rng: np.random.Generator) -> camera.View:
    return camera.View(
        width_px=PHOTO_PX,
        height_px=PHOTO_PX,
        eye_distance_px=rng.uniform(44, 52),
        center_x_px=PHOTO_PX / 2 + rng.uniform(-10, 10),
        center_y_px=PHOTO_PX * 0.44 + rng.uniform(-7, 7),
        roll=rng.uniform(-5, 5),
        # Nearly frontal, as the faces that AVSpeech's speakers show to a camera.
        yaw=rng.uniform(-9, 9),
        pitch=rng.uniform(-4, 4),
        **random_light(rng),
    )
