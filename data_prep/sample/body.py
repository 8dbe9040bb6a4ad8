"""The ears, the neck and the clothes of a generated person, all behind the head.

Units as in `canvas`, measures from `shape`.
"""

import numpy as np

from data_prep.sample.canvas import (
    X_RANGE,
    Y_RANGE,
    Grid,
    Layer,
    bump,
    groove,
    linear,
    mirrored,
    rgb,
    smoothstep,
)
from data_prep.sample.shape import Shape

_EARS_X, _EARS_Y = (-1.5, 1.5), (-0.6, 1.2)
_EAR_WIDTH = 0.15
_EAR_Y = 0.25  # ears are as high as the cheekbones
_EAR_OUTLINE = np.array(
    [
        (-0.10, -0.24),
        (0.11, -0.26),
        (0.15, -0.04),
        (0.11, 0.26),
        (0.02, 0.58),
        (-0.12, 0.54),
    ]
)

_TOP_Y = 0.5  # where the neck begins, behind the chin
_COLLAR_Y = 1.75  # of a mean face; it moves with the chin

# 8-bit sRGB.
_CLOTHES = (
    (38, 54, 84),
    (122, 36, 44),
    (58, 92, 78),
    (196, 192, 184),
    (44, 44, 48),
    (150, 116, 70),
    (92, 74, 120),
    (74, 128, 150),
    (186, 106, 82),
)


def ears(canvas: Grid, shape: Shape) -> Layer:
    """Both ears."""
    grid = canvas.window(_EARS_X, _EARS_Y)
    base = float(shape.half_width(np.array([_EAR_Y]))[0])
    right = _EAR_OUTLINE + np.array([base - 0.02, 0.10])
    cover = np.maximum(grid.polygon(right), grid.polygon(right * (-1, 1)))
    # 0 at the head, 1 at the ear's outer edge.
    across, down = (grid.abs_x - base - 0.02) / _EAR_WIDTH, grid.y - _EAR_Y
    rim = groove(across - 0.55, 0.28) * smoothstep(-0.45, -0.2, down)
    rim = rim * (1 - smoothstep(0.1, 0.4, down))
    hollow = bump(across, down, (0.15, 0.0), (0.3, 0.17))
    depth = grid.blur(0.35 + 0.10 * rim - 0.10 * hollow - 0.2 * across, 0.015)
    # Ears are thin, hence redder than the face.
    color = shape.skin * rgb(1.02, 0.84, 0.84) * (1 - 0.35 * hollow)[..., None]
    return Layer(grid, color, depth, cover, 1 - 0.45 * hollow)


def neck_and_clothes(canvas: Grid, shape: Shape, head: Layer) -> list[Layer]:
    """Neck and clothes, in the head's shadow.

    Args:
      canvas: the whole canvas.
      shape: measures of the face.
      head: its coverage casts the shadow.

    Returns:
      The layers, back to front.
    """
    grid = canvas.window(X_RANGE, (_TOP_Y, Y_RANGE[1]))
    cover = grid.take(head.cover, head.grid)
    shadow = grid.blur(grid.moved_down(cover, 0.12), 0.12)
    shadow = np.clip(1.25 * shadow, 0, 1)
    neck_half = 0.69 - 0.085 * shape.femininity + 0.03 * shape.person.body_size
    return [
        _neck(grid, shape, neck_half, shadow),
        _clothes(grid, shape, neck_half, shadow),
    ]


def _neck(grid: Grid, shape: Shape, neck_half: float, shadow: np.ndarray) -> Layer:
    """The neck and, below it, the skin that an open collar shows."""
    low = shape.longer + _COLLAR_Y
    right = [
        (neck_half, 0.6),
        (neck_half - 0.02, low - 0.30),
        (neck_half + 0.10, low + 0.12),
        (neck_half + 0.55, low + 0.48),
        (neck_half + 1.2, low + 1.0),
        (neck_half + 1.2, low + 2.4),
    ]
    # A cylinder, with the two muscles that run from the ears to the breastbone.
    depth = 1 - (grid.abs_x / (neck_half + 0.25)) ** 2
    depth = 0.75 * np.sqrt(np.clip(depth, 0.02, None))
    depth += 0.05 * grid.hill((0.30, low + 0.2), (0.10, 0.45))
    tone = (1 + 0.03 * grid.noise(0.4, seed=11)) * (1 - 0.50 * shadow)
    color = shape.skin * rgb(0.97, 0.93, 0.92) * tone[..., None]
    cover = grid.polygon(mirrored(right))
    return Layer(grid, color, grid.blur(depth, 0.05), cover, 1 - 0.75 * shadow)


def _clothes(grid: Grid, shape: Shape, neck_half: float, shadow: np.ndarray) -> Layer:
    wardrobe = shape.person.wardrobe
    low = shape.longer + _COLLAR_Y
    # Half width of the shoulders, which in men are broader.
    half = 2.0 - 0.16 * shape.femininity + 0.12 * shape.person.body_size
    # Other digits of the trait choose the depth of the collar and the cloth.
    openness = 1.0 if shape.femininity > 0 else 0.35
    collar = 0.12 + 0.26 * (wardrobe * 7 % 1) * openness
    right = [
        (0.62 * neck_half, low + 0.22 + collar),
        (neck_half + 0.10, low + 0.12),
        (neck_half + 0.50, low + 0.30),
        (half - 0.1, low + 0.66),
        (half + 0.22, low + 1.10),
        (half + 0.4, low + 2.6),
    ]
    outline = [(0.0, low + 0.30 + 1.2 * collar), *mirrored(right)]
    cover = grid.polygon(outline)
    depth = 0.9 * np.sqrt(np.clip(1 - (grid.abs_x / (half + 0.5)) ** 2, 0.02, None))
    depth += 0.05 * grid.noise(0.55, seed=12) + 0.02 * grid.noise(0.2, seed=13)  # folds
    depth -= 0.35 * np.clip(low + 0.6 - grid.y, 0, 1)  # shoulders slope back
    hem = 0.72 + 0.28 * smoothstep(0.6, 0.95, grid.blur(cover, 0.045))
    weave = 1 + 0.05 * grid.noise(0.025, seed=14) + 0.04 * grid.noise(0.3, seed=15)
    cloth = linear(_CLOTHES[int(wardrobe * 997) % len(_CLOTHES)])
    color = cloth * (weave * hem)[..., None]
    return Layer(grid, color, grid.blur(depth, 0.03), cover, 1 - 0.35 * shadow)
