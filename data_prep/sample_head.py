"""The head of a generated person: surface, skin, features, eyes and ears.

Units as in `sample_canvas`; all measures come from `sample_shape`.
"""

import numpy as np
from scipy import ndimage

from data_prep import sample_canvas
from data_prep.sample_canvas import bump, over, rgb, step
from data_prep.sample_shape import Shape

_HEAD_X, _HEAD_Y = (-1.4, 1.4), (-2.1, 2.3)
_EYES_X, _EYES_Y = (-1.0, 1.0), (-0.35, 0.3)


def head(canvas: sample_canvas.Grid, s: Shape) -> sample_canvas.Layer:
    """The head's skin with nose, lips, brows, wrinkles and beard; without the eyes."""
    grid = canvas.window(_HEAD_X, _HEAD_Y)
    y, ax = grid.y, grid.ax
    depth = _skull(grid, s) + _nose(grid, s) + _sockets(grid, s)
    depth += _cheeks_and_chin(grid, s) + _wrinkles(grid, s)
    gloss = 0.08 + 0.09 * bump(ax, y, 0.0, s.nose_y - 0.08, 0.13, 0.35)
    gloss += 0.06 * bump(ax, y, 0.0, -0.75, 0.5, 0.25)
    gloss += 0.06 * bump(ax, y, 0.62, 0.34, 0.2, 0.16)
    occlusion = 1 - 0.34 * bump(ax, y, 0.31, -0.08, 0.12, 0.16)
    occlusion -= 0.20 * bump(ax, y, 0.5, -0.15, 0.26, 0.08)
    occlusion -= 0.18 * bump(ax, y, 0.0, s.nose_y + 0.13, 0.18, 0.045)
    occlusion -= 0.16 * bump(ax, y, 0.0, s.mouth_y + s.lower_lip + 0.07, 0.24, 0.05)
    colour = _skin_colour(grid, s)
    depth, colour, gloss = _lips(grid, s, depth, colour, gloss)
    if s.feminine <= 0:
        colour = _beard(grid, s, colour)
    colour = _brows(grid, s, colour)
    nostril = bump(ax, y, 0.118, s.nose_y + 0.078, 0.040, 0.020)
    # The lip throws light back on the underside of the nose.
    colour = (
        colour * (1 + 0.45 * bump(ax, y, 0.0, s.nose_y + 0.12, 0.17, 0.06))[..., None]
    )
    colour = over(colour, 0.20 * s.skin, 0.8 * nostril)
    cover = grid.polygon(s.outline(), 0.010)
    return sample_canvas.Layer(
        grid, colour, grid.blur(depth, 0.008), cover, occlusion, gloss
    )


def _skull(grid: sample_canvas.Grid, s: Shape) -> np.ndarray:
    half = np.maximum(s.half_width(grid.y[:, 0]), 0.02)
    half = ndimage.gaussian_filter1d(half, 0.06 * grid.unit_px)[:, None]
    across = (1 - np.clip(grid.ax / (half + 0.015), 0, 1) ** 2.5) ** 0.55
    under = 1 - np.clip((s.chin_y + 0.03 - grid.y) / 0.5, 0, 1)
    above = 1 - np.clip((grid.y - s.top_y) / 1.15, 0, 1)
    tall = (1 - 0.62 * under**2.6) * np.sqrt(1 - above**2.2)
    return grid.blur(1.18 * across * tall, 0.035)


def _nose(grid: sample_canvas.Grid, s: Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    along = np.clip((y + 0.12) / (s.nose_y + 0.12), 0, 1)
    width = 0.085 + 0.070 * along**2 + 0.012 * s.person.nose_width
    ridge = np.exp(-((ax / width) ** 2)) * (0.05 + 0.21 * along**1.4)
    ridge *= step(-0.42, 0.05, y) * (1 - step(s.nose_y - 0.04, s.nose_y + 0.20, y))
    tip = 0.12 * bump(ax, y, 0.0, s.nose_y - 0.01, 0.135, 0.110)
    wing = 0.13 * bump(ax, y, s.nose_half - 0.09, s.nose_y + 0.02, 0.076, 0.078)
    crease = 0.04 * bump(ax, y, s.nose_half + 0.01, s.nose_y - 0.01, 0.03, 0.09)
    return ridge + tip + wing - crease


def _sockets(grid: sample_canvas.Grid, s: Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    strength = 0.050 * (1 - 0.45 * s.feminine)
    ridge = strength * bump(ax, y, 0.45, s.brow_y - 0.02, 0.34, 0.11)
    socket = 0.105 * bump(ax, y, 0.40, -0.06, 0.27, 0.17)
    lid = 0.085 * bump(ax, y, 0.5, 0.0, 0.20, 0.13)
    bag = 0.014 * (0.3 + s.age) * bump(ax, y, 0.48, 0.20, 0.2, 0.05)
    return ridge - socket + lid + bag


def _cheeks_and_chin(grid: sample_canvas.Grid, s: Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    depth = 0.06 * bump(ax, y, 0.70, 0.32, 0.26, 0.2)
    depth += 0.035 * bump(ax, y, 0.52, 0.55, 0.26, 0.24)
    depth -= 0.03 * (0.5 + s.age) * bump(ax, y, 0.70, 0.88, 0.2, 0.26)
    depth += 0.075 * bump(ax, y, 0.0, s.chin_y - 0.23, 0.22, 0.14)
    depth += 0.065 * bump(ax, y, 0.0, s.mouth_y, 0.36, 0.24)
    depth -= 0.016 * bump(ax, y, 0.0, s.mouth_y - 0.18, 0.04, 0.07)
    fold_y = s.mouth_y + s.lower_lip + 0.8 * s.open + 0.06
    return depth - 0.028 * bump(ax, y, 0.0, fold_y, 0.22, 0.05)


def _wrinkles(grid: sample_canvas.Grid, s: Shape) -> np.ndarray:
    y, ax, age = grid.y, grid.ax, s.age
    # From the nose to the corners of the mouth.
    down = np.clip((y - s.nose_y + 0.05) / 0.5, 0, 1)
    fold_x = s.nose_half + 0.05 + 0.29 * down**0.9
    where = step(s.nose_y - 0.12, s.nose_y + 0.06, y)
    where = where * (1 - step(s.mouth_y - 0.14, s.mouth_y + 0.10, y))
    depth = -(0.005 + 0.020 * age) * where * _groove(ax - fold_x, 0.035)
    depth += (0.004 + 0.018 * age) * where * _groove(ax - fold_x - 0.09, 0.08)
    if age < 0.05:
        return depth
    waves = 0.012 * grid.noise(0.5, 3) + 0.05 * np.cos(1.6 * grid.x)
    for k, line_y in enumerate((-0.62, -0.74, -0.86)):
        side = np.exp(-((ax / (0.62 - 0.06 * k)) ** 4))
        depth -= 0.010 * age * side * _groove(y - line_y - waves, 0.018)
    side = step(0.75, 0.79, ax) * (1 - step(0.86, 0.95, ax))
    for slope in (-0.45, 0.05, 0.5):
        depth -= 0.011 * age * side * _groove(y + 0.03 - slope * (ax - 0.72), 0.013)
    side = np.exp(-(((ax - 0.46) / 0.22) ** 4))
    arc = 0.16 + 0.12 * (1 - ((ax - 0.5) / 0.3) ** 2)
    depth -= 0.011 * age * side * _groove(y - arc, 0.02)
    side = step(s.mouth_y, s.mouth_y + 0.08, y)
    side = side * (1 - step(s.mouth_y + 0.18, s.mouth_y + 0.36, y))
    line = ax - s.mouth_half - 0.04 - 0.15 * (y - s.mouth_y)
    return depth - 0.013 * age * side * _groove(line, 0.03)


def _groove(distance: np.ndarray, width: float) -> np.ndarray:
    return np.exp(-((distance / width) ** 2))


def _skin_colour(grid: sample_canvas.Grid, s: Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    pale = 1 - s.person.skin_tone
    red = 0.20 * bump(ax, y, 0.62, 0.55, 0.30, 0.22) * (0.7 + 0.3 * s.feminine)
    red += 0.18 * bump(ax, y, 0.0, s.nose_y + 0.02, 0.24, 0.16)
    red += 0.10 * bump(ax, y, 0.0, s.chin_y - 0.22, 0.24, 0.14)
    red += 0.10 * bump(ax, y, 0.5, 0.05, 0.3, 0.16)
    tone = 1 + 0.026 * grid.noise(0.35, 1) + 0.020 * grid.noise(0.12, 2)
    tone += (0.010 + 0.018 * s.age) * grid.noise(0.03, 4)
    colour = s.skin * tone[..., None]
    colour *= 1 + red[..., None] * rgb(0.18, -0.60, -0.51) * (0.6 + 0.6 * pale)
    tired = (0.10 + 0.13 * s.age) * bump(ax, y, 0.44, 0.16, 0.17, 0.05)
    colour *= 1 - tired[..., None] * rgb(0.8, 1.0, 0.85)
    if pale > 0.55 and s.person.hair_warmth > 0.6:
        spots = np.clip(grid.noise(0.035, 6) - 1.4, 0, 1)
        spots *= 0.3 * bump(ax, y, 0.3, 0.35, 0.5, 0.26)
        colour *= 1 - spots[..., None] * rgb(0.5, 0.9, 1.0)
    return colour


def _lips(grid: sample_canvas.Grid, s: Shape, depth, colour, gloss):
    y, ax = grid.y, grid.ax
    top, high, low, bottom = s.mouth_curves(grid.x)
    inside = 1 - step(s.mouth_half - 0.03, s.mouth_half + 0.015, ax)
    upper = step(-0.02, 0.02, y - top) * (1 - step(-0.008, 0.008, y - high)) * inside
    lower = step(-0.008, 0.008, y - low) * inside
    lower = lower * (1 - step(-0.02, 0.02, y - bottom))
    lip = _lip_colour(s)
    lined = lip * (1 + 0.06 * grid.texture(grid.x * 26, y * 3 + 50))[..., None]
    strength = 0.84 + 0.10 * max(s.feminine, 0)
    colour = over(colour, 0.84 * lined, upper * strength)
    colour = over(colour, lined, lower * strength)
    across = np.clip((y - low) / np.maximum(bottom - low, 1e-3), 0, 1)
    depth = depth + 0.05 * np.sin(np.pi * across) * lower
    rise = np.clip((y - top) / np.maximum(high - top, 1e-3), 0, 1)
    depth = depth + 0.035 * rise * upper * (1 - step(0.8, 1.0, rise))
    gloss = gloss + 0.12 * lower + 0.03 * upper
    closed = 0.90 if s.open < 0.01 else 0.45
    colour = over(colour, 0.16 * lip, closed * _groove(y - high, 0.018) * inside)
    corner = bump(ax, y, s.mouth_half, s.corner_y(), 0.035, 0.025)
    colour = over(colour, 0.35 * s.skin, 0.5 * corner)
    if s.open >= 0.01:
        colour = _open_mouth(grid, s, colour, inside)
    return depth, colour, gloss


def _lip_colour(s: Shape) -> np.ndarray:
    natural = s.skin * rgb(0.72, 0.34, 0.34) + rgb(0.025, 0.0, 0.004)
    painted = rgb(0.46, 0.085, 0.10) * (1 - 0.45 * s.person.skin_tone)
    makeup = np.float32(0.38 * max(s.feminine, 0) * s.person.wardrobe)
    return natural + (painted - natural) * makeup


def _open_mouth(grid: sample_canvas.Grid, s: Shape, colour, inside):
    _, high, low, _ = s.mouth_curves(grid.x)
    y = grid.y
    hole = step(-0.008, 0.010, y - high) * (1 - step(-0.010, 0.008, y - low)) * inside
    colour = over(colour, rgb(0.045, 0.010, 0.010), hole)
    depth = (y - high) / np.maximum(low - high, 0.02)
    teeth = hole * (1 - step(0.35, 0.5, depth))
    teeth = teeth * (1 - step(0.45, 0.8, grid.ax / s.mouth_half))
    return over(colour, rgb(0.55, 0.51, 0.44), 0.8 * teeth)


def _beard(grid: sample_canvas.Grid, s: Shape, colour):
    x, y, ax = grid.x, grid.y, grid.ax
    half = np.maximum(s.half_width(y[:, 0]), 0.05)[:, None]
    cheek_line = 0.64 + 0.48 * np.clip(1 - ax / half, 0, 1)
    jaw = step(-0.12, 0.14, y - cheek_line - 0.05 * grid.noise(0.08, 7))
    jaw = jaw * step(0.28, 0.44, ax + 0.9 * np.clip(y - s.mouth_y - 0.10, 0, 1))
    moustache = step(0.0, 0.05, y - s.nose_y - 0.14) * (1 - step(0.36, 0.48, ax))
    top, _, _, bottom = s.mouth_curves(x)
    mouth = step(-0.03, 0.01, y - top) * (1 - step(-0.01, 0.04, y - bottom))
    mouth = mouth * (1 - step(s.mouth_half - 0.02, s.mouth_half + 0.05, ax))
    area = grid.blur(np.maximum(jaw, moustache) * (1 - mouth), 0.025) * (1 - mouth)
    strands = grid.texture(x * 55 + 1.5 * grid.noise(0.2, 8), y * 24)
    if s.person.beard > 0.72:
        density = area * np.clip(0.78 + 0.16 * strands, 0, 0.95)
    elif s.person.beard > 0.45:
        density = area * np.clip(0.28 + 0.10 * grid.noise(0.03, 9), 0, 1)
    else:
        density = 0.09 * area
    return over(colour, s.hair * (0.72 + 0.12 * strands[..., None]), density)


def _brows(grid: sample_canvas.Grid, s: Shape, colour):
    y, ax = grid.y, grid.ax
    t = np.clip((ax - 0.17) / 0.66, 0, 1)
    arch = (0.07 + 0.02 * s.feminine) * np.sin(2.7 * t)
    line = s.brow_y + 0.055 - arch - 0.02 * t
    thick = s.brow_thick * (0.75 + 0.6 * np.sin(np.pi * t**0.7) - 0.55 * t**2)
    strands = grid.texture((ax + 0.9 * (y - line)) * 42, (y - line) * 9 + 100)
    density = np.exp(-(np.abs((y - line) / np.maximum(thick, 0.015)) ** 2.6))
    density = density * step(0.165, 0.235, ax) * (1 - step(0.72, 0.85, ax))
    density = density * np.clip(0.78 + 0.18 * strands, 0.1, 1)
    dark = s.hair * 0.5 if s.hair.mean() < 0.12 else s.hair * 0.38
    return over(colour, dark, np.clip(0.92 * density, 0, 0.95))


def eyes(canvas: sample_canvas.Grid, s: Shape) -> sample_canvas.Layer:
    """Eyeballs, irises, lids' lines and lashes, as one layer over the head."""
    grid = canvas.window(_EYES_X, _EYES_Y)
    y, ax = grid.y, grid.ax
    u = (ax - 0.5) / np.float32(s.eye_half)
    upper, lower, inside = s.eyelids(u)
    hole = step(-0.010, 0.010, y - upper) * (1 - step(-0.010, 0.010, y - lower))
    hole = hole * step(0.0, 0.03, inside)
    colour = _eyeball(grid, s, u, y - upper)
    # Lids' lines and lashes lie on the skin.
    colour = over(colour, 0.30 * s.skin, (hole < 0.5).astype(np.float32))
    made_up = 0.5 + 0.5 * max(s.feminine, 0) * (0.5 + 0.5 * s.person.wardrobe)
    thick = 0.012 + 0.008 * made_up
    lash = _groove(y - upper + 0.2 * thick, thick) * step(-1.04, -0.7, u)
    lash = lash * (1 - step(1.02, 1.16, u)) * (0.6 + 0.4 * made_up)
    colour = over(colour, 0.12 * s.hair + 0.004, lash)
    lower_line = 0.34 * _groove(y - lower - 0.004, 0.011) * step(0.0, 0.2, inside)
    crease = _groove(y - upper + 0.048 + 0.02 * inside, 0.014)
    crease = (0.34 + 0.15 * s.age) * crease * (1 - step(0.85, 1.1, np.abs(u)))
    cover = np.maximum.reduce([hole, 0.95 * lash, lower_line, crease])
    depth = 1.1 + 0.085 * bump(ax, y, 0.5, 0.0, 0.20, 0.13) - 0.25 * ax**2
    return sample_canvas.Layer(grid, colour, depth, cover, 0.9, 0.0, 0.45 * hole)


def _eyeball(grid: sample_canvas.Grid, s: Shape, u, below_lid) -> np.ndarray:
    radius, iris_y = np.float32(0.092), -0.018  # 11.7 mm across of 63
    y = grid.y - iris_y
    x = grid.x - np.sign(grid.x) * np.float32(0.5)
    rounding = 0.28 * np.clip(np.abs(u), 0, 1)[..., None] ** 2
    colour = (
        rgb(0.72, 0.68, 0.64) * (1 - 0.12 * s.age) * (1 - rounding * rgb(0.7, 1, 1))
    )
    r = np.hypot(x, y) / radius
    fibres = 1 + 0.22 * grid.texture(np.arctan2(y, x) * 7, r * 2 + 30)
    rings = fibres * (1.15 - 0.75 * step(0.72, 1.0, r))
    rings = rings * (1 + 0.7 * np.clip(y / radius, -0.6, 1))
    colour = over(colour, s.iris * rings[..., None], 1 - step(0.93, 1.05, r))
    colour = over(colour, rgb(0.006, 0.006, 0.006), 1 - step(0.36, 0.46, r))
    shadow = 0.60 * np.exp(-np.clip(below_lid, 0, None) / 0.045)
    colour = colour * (1 - shadow)[..., None]
    duct = 0.8 * bump(u, grid.y, -0.95, s.eye_tilt, 0.10, 0.03)
    colour = over(colour, s.skin * rgb(0.8, 0.45, 0.42), duct)
    spark = bump(x, y, -0.03, -0.035, 0.016, 0.016)
    return over(colour, rgb(0.95, 0.95, 0.95), np.clip(1.3 * spark, 0, 0.95))


def ears(canvas: sample_canvas.Grid, s: Shape) -> sample_canvas.Layer:
    """Both ears."""
    grid = canvas.window((-1.5, 1.5), (-0.6, 1.2))
    base, width = float(s.half_width(np.array([0.25]))[0]), 0.15
    right = np.array(
        [
            (-0.10, -0.24),
            (0.11, -0.26),
            (0.15, -0.04),
            (0.11, 0.26),
            (0.02, 0.58),
            (-0.12, 0.54),
        ]
    ) + (base - 0.02, 0.10)
    cover = np.maximum(grid.polygon(right), grid.polygon(right * (-1, 1)))
    u, v = (grid.ax - base - 0.02) / width, grid.y - 0.25
    rim = _groove(u - 0.55, 0.28) * step(-0.45, -0.2, v) * (1 - step(0.1, 0.4, v))
    hollow = bump(u, v, 0.15, 0.0, 0.3, 0.17)
    depth = grid.blur(0.35 + 0.10 * rim - 0.10 * hollow - 0.2 * u, 0.015)
    colour = s.skin * rgb(1.02, 0.84, 0.84) * (1 - 0.35 * hollow)[..., None]
    return sample_canvas.Layer(grid, colour, depth, cover, 1 - 0.45 * hollow)
