"""Pictures with a generated face at a known place, for tests and benchmarks."""

import dataclasses
from typing import Tuple

import numpy as np

from data_prep import sample_faces, sample_traits

UNIT_PX = 120  # how finely a face is drawn before it is seen from afar


@dataclasses.dataclass(frozen=True)
class Scene:
    """A picture, and where the face truly is.

    Attributes:
      picture: [height, width, 3] uint8 RGB.
      place: (x, y) between the eyes and the mouth, as fractions of width and height.
      eyes_and_mouth: [n, 2] (x, y) pixels of points that a face's box must cover.
    """

    picture: np.ndarray
    place: Tuple[float, float]
    eyes_and_mouth: np.ndarray


def draw(height: int, width: int, face_px: float, seed: int) -> Scene:
    """A person before a wall, at random.

    Args:
      height, width: of the picture, pixels.
      face_px: about the side of the detector's box.
      seed: decides who it is, and where.
    """
    rng = np.random.default_rng(seed)
    person = sample_traits.draw_people(4, seed)[seed % 4]
    eye_distance = face_px / 2.2
    (face,) = sample_faces.build(person, UNIT_PX)
    room = face_px * 0.9
    view = sample_faces.View(
        width_px=width,
        height_px=height,
        eye_distance_px=eye_distance,
        centre_x_px=rng.uniform(room, width - room),
        centre_y_px=rng.uniform(room, max(room + 1, height - 1.2 * room)),
        roll=rng.uniform(-4, 4),
        yaw=rng.uniform(-6, 6),
    )
    wall = sample_faces.draw_background(rng, width, height)
    picture, points = sample_faces.render(face, view, wall)
    middle = sample_faces.project({"middle": (0.0, 0.55, 1.0)}, view)["middle"]
    names = [name for name in points if "eye" in name or "mouth" in name]
    return Scene(
        picture,
        (float(middle[0] / width), float(middle[1] / height)),
        np.array([points[name] for name in names]),
    )
