"""What lies on the skin of a generated face: lips, beard and eyebrows.

Units as in `canvas`, measures from `shape`. Every function takes the skin on the
head's window and returns it with the feature drawn over it.
"""

import numpy as np

from data_prep.sample.canvas import Grid, groove, over, rgb, smoothstep
from data_prep.sample.shape import Shape

_OPEN = 0.01  # a mouth that is open less far is drawn closed: the gap is below a pixel

# A man's trait `beard`, in [0, 1], says what he wears.
_FULL_BEARD, _STUBBLE = 0.72, 0.45
# Where it grows. A pair is a soft edge: bare skin at the first number, hair from the
# second on, or the other way round.
_CHEEK_Y = 0.64  # its upper end at the ears
_CHEEK_DROP = 0.48  # how much lower it ends in the middle
_CHEEK_EDGE, _CHEEK_ROUGHNESS = (-0.12, 0.14), 0.05
_CHIN_Y = 0.10  # below the middle of the mouth: from there on it grows inward
_CHIN_SLOPE = 0.9
_JAW_X = (0.28, 0.44)  # its inner edge beside the mouth
_MUSTACHE_Y, _MUSTACHE_TOP = 0.14, (0.0, 0.05)  # below the tip of the nose
_MUSTACHE_X = (0.36, 0.48)  # its outer edge
_UPPER_LIP, _LOWER_LIP, _LIP_CORNER = (-0.03, 0.01), (-0.01, 0.04), (-0.02, 0.05)
_BEARD_BLUR = 0.025


def add_lips(
    grid: Grid, shape: Shape, depth: np.ndarray, color: np.ndarray, gloss: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draws the mouth.

    Args:
      grid: the head's window, [h, w] pixels.
      shape: measures of the face.
      depth: [h, w] z of the skin, units.
      color: [h, w, 3] of the skin, linear.
      gloss: [h, w] strength of highlights.

    Returns:
      The same three with lips.
    """
    y = grid.y
    top, high, low, bottom = shape.mouth_curves(grid.x)
    upper, lower, inside = _lip_areas(grid, shape)
    lip = _lip_color(shape)
    lined = lip * (1 + 0.06 * grid.texture(grid.x * 26, y * 3 + 50))[..., None]
    strength = 0.84 + 0.10 * max(shape.femininity, 0)
    color = over(color, 0.84 * lined, upper * strength)  # it faces down, hence darker
    color = over(color, lined, lower * strength)
    across = np.clip((y - low) / np.maximum(bottom - low, 1e-3), 0, 1)
    depth = depth + 0.05 * np.sin(np.pi * across) * lower
    rise = np.clip((y - top) / np.maximum(high - top, 1e-3), 0, 1)
    depth = depth + 0.035 * rise * upper * (1 - smoothstep(0.8, 1.0, rise))
    gloss = gloss + 0.12 * lower + 0.03 * upper
    # The dark line between the lips, and dark corners.
    line_strength = 0.90 if shape.mouth_open < _OPEN else 0.45
    color = over(color, 0.16 * lip, line_strength * groove(y - high, 0.018) * inside)
    corners = grid.hill((shape.mouth_half, shape.corner_y()), (0.035, 0.025))
    color = over(color, 0.35 * shape.skin, 0.5 * corners)
    if shape.mouth_open >= _OPEN:
        color = _add_open_mouth(grid, shape, color, inside)
    return depth, color, gloss


def _lip_areas(grid: Grid, shape: Shape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """[h, w] coverage of the upper lip, of the lower lip, and between the corners."""
    y, half = grid.y, shape.mouth_half
    top, high, low, bottom = shape.mouth_curves(grid.x)
    inside = 1 - smoothstep(half - 0.03, half + 0.015, grid.abs_x)
    # The outer edges of the lips are soft, the line between them is sharp.
    upper = smoothstep(-0.02, 0.02, y - top)
    upper = upper * (1 - smoothstep(-0.008, 0.008, y - high)) * inside
    lower = smoothstep(-0.008, 0.008, y - low) * inside
    lower = lower * (1 - smoothstep(-0.02, 0.02, y - bottom))
    return upper, lower, inside


def _lip_color(shape: Shape) -> np.ndarray:
    """[3]: redder than the skin, which shows little blood; women may wear lipstick."""
    natural = shape.skin * rgb(0.72, 0.34, 0.34) + rgb(0.025, 0.0, 0.004)
    painted = rgb(0.46, 0.085, 0.10) * (1 - 0.45 * shape.person.skin_tone)
    makeup = np.float32(0.38 * max(shape.femininity, 0) * shape.person.wardrobe)
    return natural + (painted - natural) * makeup


def _add_open_mouth(
    grid: Grid, shape: Shape, color: np.ndarray, inside: np.ndarray
) -> np.ndarray:
    """The dark hole, with the upper teeth in its upper third."""
    _, high, low, _ = shape.mouth_curves(grid.x)
    y = grid.y
    hole = smoothstep(-0.008, 0.010, y - high)
    hole = hole * (1 - smoothstep(-0.010, 0.008, y - low)) * inside
    color = over(color, rgb(0.045, 0.010, 0.010), hole)
    down = (y - high) / np.maximum(low - high, 0.02)
    teeth = hole * (1 - smoothstep(0.35, 0.5, down))
    teeth = teeth * (1 - smoothstep(0.45, 0.8, grid.abs_x / shape.mouth_half))
    return over(color, rgb(0.55, 0.51, 0.44), 0.8 * teeth)


def add_beard(grid: Grid, shape: Shape, color: np.ndarray) -> np.ndarray:
    """Draws a man's beard: full, stubble, or the shadow that a shave leaves.

    Args:
      grid: the head's window, [h, w] pixels.
      shape: measures of the face.
      color: [h, w, 3] of the skin, linear.

    Returns:
      The color with a beard.
    """
    x, y = grid.x, grid.y
    area = _beard_area(grid, shape)
    strands = grid.texture(x * 55 + 1.5 * grid.noise(0.2, seed=8), y * 24)
    density: np.ndarray
    if shape.person.beard > _FULL_BEARD:
        density = area * np.clip(0.78 + 0.16 * strands, 0, 0.95)
    elif shape.person.beard > _STUBBLE:
        density = area * np.clip(0.28 + 0.10 * grid.noise(0.03, seed=9), 0, 1)
    else:
        density = 0.09 * area
    return over(color, shape.hair * (0.72 + 0.12 * strands[..., None]), density)


def _beard_area(grid: Grid, shape: Shape) -> np.ndarray:
    """[h, w] in [0, 1]: jaw and upper lip, without the mouth."""
    y, abs_x = grid.y, grid.abs_x
    half = np.maximum(shape.half_width(y[:, 0]), 0.05)[:, None]
    # It starts higher at the ears than beside the mouth.
    cheek_line = _CHEEK_Y + _CHEEK_DROP * np.clip(1 - abs_x / half, 0, 1)
    roughness = _CHEEK_ROUGHNESS * grid.noise(0.08, seed=7)
    jaw = smoothstep(*_CHEEK_EDGE, y - cheek_line - roughness)
    below_mouth = np.clip(y - shape.mouth_y - _CHIN_Y, 0, 1)
    jaw = jaw * smoothstep(*_JAW_X, abs_x + _CHIN_SLOPE * below_mouth)
    mustache = smoothstep(*_MUSTACHE_TOP, y - shape.nose_y - _MUSTACHE_Y)
    mustache = mustache * (1 - smoothstep(*_MUSTACHE_X, abs_x))
    top, _, _, bottom = shape.mouth_curves(grid.x)
    mouth = smoothstep(*_UPPER_LIP, y - top) * (1 - smoothstep(*_LOWER_LIP, y - bottom))
    corner_begin, corner_end = (shape.mouth_half + x for x in _LIP_CORNER)
    mouth = mouth * (1 - smoothstep(corner_begin, corner_end, abs_x))
    # The mouth is cut out again after the blur, which spreads the beard over the lips.
    hair = np.maximum(jaw, mustache) * (1 - mouth)
    return grid.blur(hair, _BEARD_BLUR) * (1 - mouth)


def add_brows(grid: Grid, shape: Shape, color: np.ndarray) -> np.ndarray:
    """Draws the eyebrows.

    Args:
      grid: the head's window, [h, w] pixels.
      shape: measures of the face.
      color: [h, w, 3] of the skin, linear.

    Returns:
      The color with eyebrows.
    """
    y, abs_x = grid.y, grid.abs_x
    along = np.clip((abs_x - 0.17) / 0.66, 0, 1)  # 0 at the nose, 1 at the temple
    line = shape.brow_line(abs_x)
    # Thickest in the middle, pointed at the temple.
    thickness = 0.75 + 0.6 * np.sin(np.pi * along**0.7) - 0.55 * along**2
    thickness = shape.brow_thickness * thickness
    strands = grid.texture((abs_x + 0.9 * (y - line)) * 42, (y - line) * 9 + 100)
    density = np.exp(-(np.abs((y - line) / np.maximum(thickness, 0.015)) ** 2.6))
    density = density * smoothstep(0.165, 0.235, abs_x)
    density = density * (1 - smoothstep(0.72, 0.85, abs_x))
    density = density * np.clip(0.78 + 0.18 * strands, 0.1, 1)
    # Blond people's eyebrows are clearly darker than their hair.
    dark = shape.hair * 0.5 if shape.hair.mean() < 0.12 else shape.hair * 0.38
    return over(color, dark, np.clip(0.92 * density, 0, 0.95))
