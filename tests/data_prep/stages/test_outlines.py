"""Outlines: drawn heads whose edge is known."""

import numpy as np
import pytest

from data_prep.stages import face_normalization, outlines
from speech2face.paper import FACE_PX

Y, X = np.mgrid[:FACE_PX, :FACE_PX].astype(float)


def ellipse(half_width, half_height, gray=60):
    """A head around (112, 118) on white."""
    inside = ((X - 112) / half_width) ** 2 + ((Y - 118) / half_height) ** 2 < 1
    return np.where(inside, gray, 255).astype(np.uint8)[..., None].repeat(3, 2)


@pytest.mark.parametrize("half_width, half_height", [(60, 80), (85, 100), (70, 60)])
@pytest.mark.parametrize("n_points", [26, 11])
def test_points_lie_on_the_edge_of_a_drawn_head(half_width, half_height, n_points):
    points = outlines.outline_points(ellipse(half_width, half_height), n_points)
    assert points.shape == (n_points, 2)
    radius = np.hypot(
        (points[:, 0] - 112) / half_width, (points[:, 1] - 118) / half_height
    )
    np.testing.assert_allclose(radius, 1.0, atol=0.04)
    angles = np.degrees(np.arctan2(118 - points[:, 1], points[:, 0] - 112)) % 360
    expected = np.linspace(-35, 215, n_points) % 360
    np.testing.assert_allclose(angles, expected, atol=0.1)


def test_a_bright_spot_inside_and_a_veil_outside_change_nothing():
    head = ellipse(70, 90)
    other = head.copy()
    other[60:70, 100:130] = 255
    other[np.all(other == 255, axis=2)] -= 40  # also the spot
    np.testing.assert_allclose(
        outlines.outline_points(other, 26), outlines.outline_points(head, 26), atol=1
    )


def test_one_ray_into_a_lock_of_hair_ends_at_the_head():
    head = ellipse(70, 90)
    expected = outlines.outline_points(head, 26)
    along = np.linspace(1.0, 1.4, 200)[:, None]
    lock = (112, 118) + (expected[8] - (112, 118)) * along
    x, y = lock.round().astype(int).T
    for dx in (-1, 0, 1):
        head[y.clip(0, 223), x + dx] = 30
    np.testing.assert_allclose(outlines.outline_points(head, 26), expected, atol=5)


def test_where_the_head_leaves_the_picture_the_points_lie_on_its_border():
    points = outlines.outline_points(ellipse(70, 150), 26)
    assert points[:, 1].min() == pytest.approx(1, abs=1)
    assert np.all((points >= 0.5) & (points <= 222.5))


def test_no_points_if_none_are_asked_for():
    assert outlines.outline_points(ellipse(70, 90), 0).shape == (0, 2)


def test_a_moved_face_does_not_repeat_its_edge():
    """Hair at the upper edge of the picture would become a column."""
    image = np.full([FACE_PX, FACE_PX, 3], 20, np.uint8)
    landmarks = np.tile([112.0, 95.0], (68, 1)).astype(np.float32)
    moved, _ = face_normalization.move_to_place(image, landmarks)
    assert np.all(moved[:9] == 255) and np.all(moved[9:] == 20)


def test_a_margin_keeps_the_outline_off_the_jaw_along_its_rays():
    """A round face without hair beside it: the jaw is the edge of the head."""
    head = ellipse(70, 90)
    outline = outlines.outline_points(head, 26)
    turns = np.linspace(np.pi, 0, 17)  # from ear to ear, below the middle
    jaw = np.stack([112 + 70 * np.cos(turns), 118 + 90 * np.sin(turns)], 1)
    landmarks = np.concatenate([jaw, np.full((51, 2), 118.0)])
    kept = outlines.keep_off_jaw(outline, landmarks, 8.0)
    before, after = outline - (112, 118), kept - (112, 118)
    moved_px = np.linalg.norm(after, axis=1) - np.linalg.norm(before, axis=1)
    is_below = outline[:, 1] > 118
    np.testing.assert_allclose(moved_px[is_below], 8, atol=1.5)
    np.testing.assert_allclose(moved_px[~is_below], 0, atol=1e-3)
    np.testing.assert_allclose(np.arctan2(*after.T), np.arctan2(*before.T), atol=1e-4)
    far = outlines.keep_off_jaw(
        outlines.outline_points(ellipse(95, 100), 26), landmarks, 8
    )
    np.testing.assert_allclose(
        far, outlines.outline_points(ellipse(95, 100), 26), atol=1e-3
    )
    assert (outlines.keep_off_jaw(outline, landmarks, 500.0) <= 222.5).all()
