"""Cartoons: flat colors, dark lines, nothing invented."""

import numpy as np

from speech2face.web import cartoon


def drawing():
    """A light disk on a blue page, a thin dark stroke on the disk, and some noise."""
    y, x = np.mgrid[:224, :224]
    image = np.full((224, 224, 3), (60, 90, 190), np.float64)
    image[(x - 112) ** 2 + (y - 112) ** 2 < 80**2] = (230, 190, 160)
    image[110:113, 80:145] = (90, 50, 40)
    noise = np.random.default_rng(0).normal(0, 3, image.shape)
    return np.clip(image + noise, 0, 255).astype(np.uint8)


def test_a_cartoon_has_few_flat_colors():
    result = cartoon.cartoonize(drawing())
    assert result.shape == (672, 672, 3) and result.dtype == np.uint8
    assert len(np.unique(result.reshape(-1, 3), axis=0)) <= cartoon.N_COLORS + 1
    np.testing.assert_array_equal(result, cartoon.cartoonize(drawing()))


def test_colors_stay_and_strokes_become_lines():
    result = cartoon.cartoonize(drawing()).astype(int)
    page, disk = result[30, 30], result[250, 336]
    np.testing.assert_allclose(page, [60, 90, 190], atol=12)
    np.testing.assert_allclose(disk, [230, 190, 160], atol=12)
    stroke = result[111 * 3 + 1, 90 * 3 : 135 * 3]
    assert (stroke == cartoon.LINE_COLOR).all(axis=1).mean() > 0.9


def test_one_flat_color_has_no_lines():
    result = cartoon.cartoonize(np.full((224, 224, 3), (200, 100, 50), np.uint8))
    assert len(np.unique(result.reshape(-1, 3), axis=0)) == 1
