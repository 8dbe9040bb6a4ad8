"""The skin of a generated head: its surface, its shading and its color.

Units as in `canvas`, measures from `shape`. The surface is a height field z(x, y), a
sum of soft hills over an egg-shaped skull; all that is drawn here is symmetric. What
lies on the skin (lips, beard, eyebrows) is in `features`.
"""

import numpy as np
from scipy import ndimage

from data_prep.sample import features
from data_prep.sample.canvas import Grid, Layer, groove, over, rgb, smoothstep
from data_prep.sample.shape import Shape

# The head with room for the mouth to open.
_X_RANGE, _Y_RANGE = (-1.4, 1.4), (-2.1, 2.3)


def head(canvas: Grid, shape: Shape) -> Layer:
    """The head's skin with nose, lips, brows, wrinkles and beard; without the eyes."""
    grid = canvas.window(_X_RANGE, _Y_RANGE)
    depth = _skull(grid, shape) + _nose(grid, shape) + _sockets(grid, shape)
    depth += _cheeks_and_chin(grid, shape) + _wrinkles(grid, shape)
    gloss = _gloss(grid, shape)
    color = _skin_color(grid, shape)
    depth, color, gloss = features.add_lips(grid, shape, depth, color, gloss)
    if shape.femininity <= 0:
        color = features.add_beard(grid, shape, color)
    color = features.add_brows(grid, shape, color)
    color = _add_nostrils(grid, shape, color)
    cover = grid.polygon(shape.outline(), 0.010)
    occlusion = _occlusion(grid, shape)
    return Layer(grid, color, grid.blur(depth, 0.008), cover, occlusion, gloss)


def _gloss(grid: Grid, shape: Shape) -> np.ndarray:
    """Skin shines where it is oily: nose, forehead, cheekbones."""
    gloss = 0.08 + 0.09 * grid.hill((0.0, shape.nose_y - 0.08), (0.13, 0.35))
    gloss += 0.06 * grid.hill((0.0, -0.75), (0.5, 0.25))
    gloss += 0.06 * grid.hill((0.62, 0.34), (0.2, 0.16))
    return gloss


def _occlusion(grid: Grid, shape: Shape) -> np.ndarray:
    """The share of ambient light that reaches the skin's hollows."""
    occlusion = 1 - 0.34 * grid.hill((0.31, -0.08), (0.12, 0.16))  # beside the nose
    occlusion -= 0.20 * grid.hill((0.5, -0.15), (0.26, 0.08))  # under the brow
    occlusion -= 0.18 * grid.hill((0.0, shape.nose_y + 0.13), (0.18, 0.045))
    below_lip_y = shape.mouth_y + shape.lower_lip + 0.07
    occlusion -= 0.16 * grid.hill((0.0, below_lip_y), (0.24, 0.05))
    return occlusion


def _add_nostrils(grid: Grid, shape: Shape, color: np.ndarray) -> np.ndarray:
    # The lip throws light back on the underside of the nose.
    reflected = 0.45 * grid.hill((0.0, shape.nose_y + 0.12), (0.17, 0.06))
    color = color * (1 + reflected)[..., None]
    nostrils = grid.hill((0.118, shape.nose_y + 0.078), (0.040, 0.020))
    return over(color, 0.20 * shape.skin, 0.8 * nostrils)


def _skull(grid: Grid, shape: Shape) -> np.ndarray:
    """An egg that fills the outline; z is about 1.2 in the middle of the face."""
    half = np.maximum(shape.half_width(grid.y[:, 0]), 0.02)
    half = ndimage.gaussian_filter1d(half, 0.06 * grid.unit_px)[:, None]
    # Flatter in front and rounder at the sides than an ellipse.
    across = (1 - np.clip(grid.abs_x / (half + 0.015), 0, 1) ** 2.5) ** 0.55
    under = 1 - np.clip((shape.chin_y + 0.03 - grid.y) / 0.5, 0, 1)
    above = 1 - np.clip((grid.y - shape.top_y) / 1.15, 0, 1)
    # The chin still stands out where the crown has fallen off to nothing.
    down = (1 - 0.62 * under**2.6) * np.sqrt(1 - above**2.2)
    return grid.blur(1.18 * across * down, 0.035)


def _nose(grid: Grid, shape: Shape) -> np.ndarray:
    y, nose_y = grid.y, shape.nose_y
    along = np.clip((y + 0.12) / (nose_y + 0.12), 0, 1)  # 0 at the bridge, 1 at the tip
    width = 0.085 + 0.070 * along**2 + 0.012 * shape.person.nose_width
    ridge = np.exp(-((grid.abs_x / width) ** 2)) * (0.05 + 0.21 * along**1.4)
    ends = smoothstep(-0.42, 0.05, y)
    ends = ends * (1 - smoothstep(nose_y - 0.04, nose_y + 0.20, y))
    ridge *= ends
    tip = 0.12 * grid.hill((0.0, nose_y - 0.01), (0.135, 0.110))
    wing = 0.13 * grid.hill((shape.nose_half - 0.09, nose_y + 0.02), (0.076, 0.078))
    crease = 0.04 * grid.hill((shape.nose_half + 0.01, nose_y - 0.01), (0.03, 0.09))
    return ridge + tip + wing - crease


def _sockets(grid: Grid, shape: Shape) -> np.ndarray:
    """Brow ridges (stronger in men), eye sockets, lids, and bags under the eyes."""
    strength = 0.050 * (1 - 0.45 * shape.femininity)
    ridge = strength * grid.hill((0.45, shape.brow_y - 0.02), (0.34, 0.11))
    socket = 0.105 * grid.hill((0.40, -0.06), (0.27, 0.17))
    lid = 0.085 * grid.hill((0.5, 0.0), (0.20, 0.13))
    bag = 0.014 * (0.3 + shape.age) * grid.hill((0.48, 0.20), (0.2, 0.05))
    return ridge - socket + lid + bag


def _cheeks_and_chin(grid: Grid, shape: Shape) -> np.ndarray:
    mouth_y = shape.mouth_y
    depth = 0.06 * grid.hill((0.70, 0.32), (0.26, 0.2))  # cheekbones
    depth += 0.035 * grid.hill((0.52, 0.55), (0.26, 0.24))  # cheeks
    hollow = 0.03 * (0.5 + shape.age)  # cheeks become hollow with age
    depth -= hollow * grid.hill((0.70, 0.88), (0.2, 0.26))
    depth += 0.075 * grid.hill((0.0, shape.chin_y - 0.23), (0.22, 0.14))
    depth += 0.065 * grid.hill((0.0, mouth_y), (0.36, 0.24))  # the teeth behind
    depth -= 0.016 * grid.hill((0.0, mouth_y - 0.18), (0.04, 0.07))  # philtrum
    fold_y = mouth_y + shape.lower_lip + 0.8 * shape.mouth_open + 0.06
    return depth - 0.028 * grid.hill((0.0, fold_y), (0.22, 0.05))  # above the chin


def _wrinkles(grid: Grid, shape: Shape) -> np.ndarray:
    """Furrows, whose depth grows with age; the young have the first pair only."""
    depth = _nasolabial_folds(grid, shape)
    if shape.age < 0.05:
        return depth
    y, abs_x, age = grid.y, grid.abs_x, shape.age
    # Three across the forehead.
    waves = 0.012 * grid.noise(0.5, seed=3) + 0.05 * np.cos(1.6 * grid.x)
    for k, line_y in enumerate((-0.62, -0.74, -0.86)):
        side = np.exp(-((abs_x / (0.62 - 0.06 * k)) ** 4))
        depth -= 0.010 * age * side * groove(y - line_y - waves, 0.018)
    # Crow's feet, three at the outer corner of each eye.
    side = smoothstep(0.75, 0.79, abs_x) * (1 - smoothstep(0.86, 0.95, abs_x))
    for slope in (-0.45, 0.05, 0.5):
        depth -= 0.011 * age * side * groove(y + 0.03 - slope * (abs_x - 0.72), 0.013)
    # Under the bags of the eyes.
    side = np.exp(-(((abs_x - 0.46) / 0.22) ** 4))
    arc = 0.16 + 0.12 * (1 - ((abs_x - 0.5) / 0.3) ** 2)
    depth -= 0.011 * age * side * groove(y - arc, 0.02)
    # From the corners of the mouth down.
    side = smoothstep(shape.mouth_y, shape.mouth_y + 0.08, y)
    side = side * (1 - smoothstep(shape.mouth_y + 0.18, shape.mouth_y + 0.36, y))
    line = abs_x - shape.mouth_half - 0.04 - 0.15 * (y - shape.mouth_y)
    return depth - 0.013 * age * side * groove(line, 0.03)


def _nasolabial_folds(grid: Grid, shape: Shape) -> np.ndarray:
    """From the nose to the corners of the mouth, each with a raised outer edge."""
    y, abs_x, age = grid.y, grid.abs_x, shape.age
    down = np.clip((y - shape.nose_y + 0.05) / 0.5, 0, 1)
    fold_x = shape.nose_half + 0.05 + 0.29 * down**0.9
    where = smoothstep(shape.nose_y - 0.12, shape.nose_y + 0.06, y)
    where = where * (1 - smoothstep(shape.mouth_y - 0.14, shape.mouth_y + 0.10, y))
    depth = -(0.005 + 0.020 * age) * where * groove(abs_x - fold_x, 0.035)
    depth += (0.004 + 0.018 * age) * where * groove(abs_x - fold_x - 0.09, 0.08)
    return depth


def _skin_color(grid: Grid, shape: Shape) -> np.ndarray:
    pale = 1 - shape.person.skin_tone
    # Blood shows in the cheeks, the nose, the chin and around the eyes.
    cheeks = grid.hill((0.62, 0.55), (0.30, 0.22))
    red = 0.20 * cheeks * (0.7 + 0.3 * shape.femininity)
    red += 0.18 * grid.hill((0.0, shape.nose_y + 0.02), (0.24, 0.16))
    red += 0.10 * grid.hill((0.0, shape.chin_y - 0.22), (0.24, 0.14))
    red += 0.10 * grid.hill((0.5, 0.05), (0.3, 0.16))
    # Blotches of two sizes, and pores that are coarser in the old.
    tone = 1 + 0.026 * grid.noise(0.35, seed=1) + 0.020 * grid.noise(0.12, seed=2)
    tone += (0.010 + 0.018 * shape.age) * grid.noise(0.03, seed=4)
    color = shape.skin * tone[..., None]
    color *= 1 + red[..., None] * rgb(0.18, -0.60, -0.51) * (0.6 + 0.6 * pale)
    shadows = grid.hill((0.44, 0.16), (0.17, 0.05))  # under the eyes
    tired = (0.10 + 0.13 * shape.age) * shadows
    color *= 1 - tired[..., None] * rgb(0.8, 1.0, 0.85)
    if pale > 0.55 and shape.person.hair_warmth > 0.6:  # freckles come with red hair
        spots = np.clip(grid.noise(0.035, seed=6) - 1.4, 0, 1)
        spots *= 0.3 * grid.hill((0.3, 0.35), (0.5, 0.26))
        color *= 1 - spots[..., None] * rgb(0.5, 0.9, 1.0)
    return color
