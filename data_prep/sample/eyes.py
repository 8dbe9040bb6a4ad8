"""The eyes of a generated face, as one layer over the head.

Units as in `canvas`: the eyes' centers are at (-0.5, 0) and (0.5, 0); measures from
`shape`. One unit is 63 mm, the mean distance between an adult's pupils.
"""

import numpy as np

from data_prep.sample.canvas import Grid, Layer, bump, groove, over, rgb, smoothstep
from data_prep.sample.shape import Shape

_X_RANGE, _Y_RANGE = (-1.0, 1.0), (-0.35, 0.3)
_CENTER_X = 0.5
_IRIS_RADIUS = np.float32(0.092)  # 11.7 mm across
_IRIS_Y = -0.018  # the upper lid covers a little of the iris, the lower one nothing


def eyes(canvas: Grid, shape: Shape) -> Layer:
    """Eyeballs, irises, the lines of the lids, and lashes."""
    grid = canvas.window(_X_RANGE, _Y_RANGE)
    y, abs_x = grid.y, grid.abs_x
    across = (abs_x - _CENTER_X) / np.float32(shape.eye_half)
    upper, lower, opening = shape.eyelids(across)
    hole = smoothstep(-0.010, 0.010, y - upper)
    hole = hole * (1 - smoothstep(-0.010, 0.010, y - lower))
    hole = hole * smoothstep(0.0, 0.03, opening)
    color = _eyeball(grid, shape, across, y - upper)
    # Lids' lines and lashes lie on the skin.
    color = over(color, 0.30 * shape.skin, (hole < 0.5).astype(np.float32))
    lash = _lashes(shape, across, y - upper)
    color = over(color, 0.12 * shape.hair + 0.004, lash)
    lower_line = 0.34 * groove(y - lower - 0.004, 0.011) * smoothstep(0.0, 0.2, opening)
    # The fold of the upper lid, deeper with age.
    crease = groove(y - upper + 0.048 + 0.02 * opening, 0.014)
    crease = (0.34 + 0.15 * shape.age) * crease
    crease = crease * (1 - smoothstep(0.85, 1.1, np.abs(across)))
    cover = np.maximum.reduce([hole, 0.95 * lash, lower_line, crease])
    depth = 1.1 + 0.085 * grid.hill((_CENTER_X, 0.0), (0.20, 0.13)) - 0.25 * abs_x**2
    # Eyes are drawn half unlit: in shadow they would be two dark holes.
    return Layer(grid, color, depth, cover, 0.9, 0.0, 0.45 * hole)


def _lashes(shape: Shape, across: np.ndarray, below_lid: np.ndarray) -> np.ndarray:
    """Opacity of the upper lashes, which makeup thickens, and of their outer tips."""
    makeup = 0.5 + 0.5 * max(shape.femininity, 0) * (0.5 + 0.5 * shape.person.wardrobe)
    thickness = 0.012 + 0.008 * makeup
    lash = groove(below_lid + 0.2 * thickness, thickness)
    lash = lash * smoothstep(-1.04, -0.7, across)
    return lash * (1 - smoothstep(1.02, 1.16, across)) * (0.6 + 0.4 * makeup)


def _eyeball(
    grid: Grid, shape: Shape, across: np.ndarray, below_lid: np.ndarray
) -> np.ndarray:
    """[h, w, 3] color of white, iris, pupil, the lid's shadow, and a highlight."""
    y = grid.y - _IRIS_Y
    x = grid.x - np.sign(grid.x) * np.float32(_CENTER_X)
    # The white is yellower in the old, and darker and redder towards the corners.
    rounding = 0.28 * np.clip(np.abs(across), 0, 1)[..., None] ** 2
    white = rgb(0.72, 0.68, 0.64) * (1 - 0.12 * shape.age)
    color = white * (1 - rounding * rgb(0.7, 1, 1))
    radius = np.hypot(x, y) / _IRIS_RADIUS
    # Fibers run from the pupil outwards; the iris ends in a dark ring and is lighter
    # below, opposite to where the light enters.
    fibers = 1 + 0.22 * grid.texture(np.arctan2(y, x) * 7, radius * 2 + 30)
    rings = fibers * (1.15 - 0.75 * smoothstep(0.72, 1.0, radius))
    rings = rings * (1 + 0.7 * np.clip(y / _IRIS_RADIUS, -0.6, 1))
    iris = shape.iris * rings[..., None]
    color = over(color, iris, 1 - smoothstep(0.93, 1.05, radius))
    pupil = 1 - smoothstep(0.36, 0.46, radius)
    color = over(color, rgb(0.006, 0.006, 0.006), pupil)
    shadow = 0.60 * np.exp(-np.clip(below_lid, 0, None) / 0.045)
    color = color * (1 - shadow)[..., None]
    tear_duct = 0.8 * bump(across, grid.y, (-0.95, shape.eye_tilt), (0.10, 0.03))
    color = over(color, shape.skin * rgb(0.8, 0.45, 0.42), tear_duct)
    # The same side in both eyes: the light is far away.
    spark = bump(x, y, (-0.03, -0.035), (0.016, 0.016))
    return over(color, rgb(0.95, 0.95, 0.95), np.clip(1.3 * spark, 0, 0.95))
