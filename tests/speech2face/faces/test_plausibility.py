"""Landmarks that cannot be a face's are found; a face's are not."""

import numpy as np
import pytest

from speech2face.errors import UserError
from speech2face.faces import plausibility
from tests.helpers.landmarks import FACE


def changed(index, dx=0.0, dy=0.0):
    face = FACE.copy()
    face[index] += (dx, dy)
    return face


@pytest.mark.parametrize("degrees", [-40.0, 0.0, 25.0])
@pytest.mark.parametrize("scale", [12.0, 400.0])
def test_the_mean_face_is_plausible_however_it_lies(scale, degrees):
    a = np.radians(degrees)
    turn = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    points = FACE @ turn.T * scale + (300.0, 90.0)
    assert plausibility.find_implausible(points) is None
    plausibility.check(points, "a.png")


@pytest.mark.parametrize(
    "points, sentence",
    [
        (changed([61, 62, 63], dy=0.15), "the lips cross by 0.13"),
        (changed(range(48, 68), dy=-0.6), "the nose ends 0.75 below the eyes"),
        (changed(8, dy=-1.2), "the chin is 0.60 below the eyes"),
        (changed(16, dx=1.0), "the face is 3.50 wide"),
        (changed(range(17, 27), dy=0.7), "the brows are -0.25 above the eyes"),
        (changed(57, dy=-0.25), "the lips are 0.02 high"),
        (FACE * (1, -1), "the chin is"),  # upside down
        (np.zeros((68, 2)), "the face is 0.00 wide"),
        (FACE * np.nan, "the face is nan wide"),
    ],
)
def test_what_is_not_a_face_is_named(points, sentence):
    assert sentence in plausibility.find_implausible(points)
    with pytest.raises(UserError, match=r"implausible landmarks in a.png: ") as error:
        plausibility.check(points, "a.png")
    assert error.value.reason == "implausible_landmarks"
