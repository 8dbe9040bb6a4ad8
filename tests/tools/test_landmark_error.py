"""The mirror of 68 landmarks, and skin tones of colors whose CIELAB is published."""

import numpy as np
import pytest

from tests.helpers.landmarks import FACE
from tools import landmark_error


def test_a_mirror_puts_every_point_in_the_place_of_its_counterpart():
    order = landmark_error._MIRRORED
    assert sorted(order) == list(range(68))
    np.testing.assert_array_equal(order[order], np.arange(68))
    mirrored = (FACE * (-1, 1))[order]
    np.testing.assert_allclose(mirrored[:48], FACE[:48], atol=1e-9)  # symmetric
    np.testing.assert_allclose(mirrored[48:], FACE[48:], atol=0.25)


@pytest.mark.parametrize(
    "color, degrees",
    [
        ((128, 128, 128), 90.0),  # L* 53.6, b* 0
        ((194, 150, 130), 41.4),  # ColorChecker's light skin: L* 65.7, b* 17.8
        ((115, 82, 68), -40.5),  # its dark skin: L* 38.0, b* 14.1
    ],
)
def test_the_typology_angle_of_known_colors(color, degrees):
    image = np.full((300, 300, 3), color, np.uint8)
    angle = landmark_error._typology_angle(image, FACE * 60 + 150)
    assert angle == pytest.approx(degrees, abs=4)
