"""Pictures with a generated face at a known place, for tests and benchmarks."""

import dataclasses

import numpy as np

from data_prep.sample import camera, faces
from data_prep.sample.traits import draw_people

UNIT_PX = 120  # how finely a face is drawn before it is reduced to the picture's scale
_BOX_PER_EYE_DISTANCE = 2.2  # side of the detector's box


@dataclasses.dataclass(frozen=True)
class Scene:
    """A picture, and where the face truly is.

    Attributes:
      picture: [height, width, 3] uint8 RGB.
      place: (x, y) between the eyes and the mouth, as fractions of width and height.
      eyes_and_mouth: [n, 2] (x, y) pixels of points that a face's box must cover.
    """

    picture: np.ndarray
    place: tuple[float, float]
    eyes_and_mouth: np.ndarray


def draw(height: int, width: int, face_px: float, seed: int) -> Scene:
    """A person before a wall, at random.

    Args:
      height: height of the picture, pixels.
      width: width of the picture, pixels.
      face_px: about the side of the detector's box.
      seed: decides who it is, and where.

    Returns:
      The picture and the place of the face.
    """
    rng = np.random.default_rng(seed)
    person = draw_people(4, seed)[seed % 4]
    (face,) = faces.build(person, UNIT_PX)
    room = face_px * 0.9  # from the picture's edges, so that the head is whole
    view = camera.View(
        width_px=width,
        height_px=height,
        eye_distance_px=face_px / _BOX_PER_EYE_DISTANCE,
        center_x_px=rng.uniform(room, width - room),
        center_y_px=rng.uniform(room, max(room + 1, height - 1.2 * room)),
        roll=rng.uniform(-4, 4),
        yaw=rng.uniform(-6, 6),
    )
    wall = camera.draw_background(rng, width, height)
    picture, points = camera.render(face, view, wall)
    middle = camera.project({"middle": camera.MIDDLE}, view)["middle"]
    names = [name for name in points if "eye" in name or "mouth" in name]
    return Scene(
        picture,
        (float(middle[0] / width), float(middle[1] / height)),
        np.array([points[name] for name in names]),
    )
