"""The hair of a generated head: behind it, and on top of and beside the face.

Units as in `canvas`, measures from `shape`. A haircut is an outline with an opening for
the face; its strands are random textures, stretched along the direction of growth.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from data_prep.sample.canvas import Grid, Layer, Point, mirrored, smoothstep
from data_prep.sample.shape import Shape

_X_RANGE, _Y_RANGE = (-1.85, 1.85), (-2.4, 2.9)
_PART_X = 0.30  # a side part, above the middle of an eye


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Style:
    """A haircut; lengths in units."""

    volume: float  # how far it stands off the head
    line_y: float  # hairline above the forehead
    front_y: float  # how far down it reaches beside the face
    inset: float = -0.06  # how far it covers the cheeks
    fray: float = 0.30  # raggedness of its edges, 0 to 1
    waves: float = 0.0  # how far its strands are moved sideways
    behind: Point | None = None  # half width and lower end of the hair behind
    has_part: bool = False
    shine: float = 1.0  # of the highlight around the crown, which curls scatter

    @property
    def is_curly(self) -> bool:
        """Whether curls are drawn instead of strands."""
        return self.waves > 0.2


# None hangs below the chin: a decoder has no landmarks there, and would draw the mean
# of long hair and bare necks beside everybody's neck.
_LONG = _Style(volume=0.12, line_y=-0.98, front_y=1.55, inset=0.06, behind=(1.26, 1.52))
_WAVES = _Style(
    volume=0.18,
    line_y=-0.96,
    front_y=1.50,
    inset=0.03,
    waves=0.10,
    behind=(1.40, 1.45),
    has_part=True,
)
_BOB = _Style(
    volume=0.15,
    line_y=-0.92,
    front_y=1.35,
    inset=0.08,
    behind=(1.32, 1.30),
    has_part=True,
)
_TIED = _Style(volume=0.06, line_y=-1.00, front_y=0.35, inset=-0.04)
_CURLS = _Style(
    volume=0.26,
    line_y=-0.92,
    front_y=1.05,
    inset=0.0,
    fray=0.5,
    waves=0.30,
    behind=(1.48, 1.10),
    has_part=True,
    shine=0.25,
)
_PIXIE = _Style(volume=0.13, line_y=-0.90, front_y=0.45, inset=-0.02, has_part=True)
_SHORT = _Style(volume=0.13, line_y=-0.98, front_y=0.22)
_PARTED = _Style(volume=0.15, line_y=-0.98, front_y=0.25, has_part=True)
_CROPPED = _Style(volume=0.03, line_y=-1.00, front_y=0.20, fray=0.5, shine=0.25)
_CURLY = _Style(
    volume=0.20, line_y=-0.96, front_y=0.22, fray=0.5, waves=0.30, shine=0.25
)
_RECEDING = _Style(volume=0.05, line_y=-1.20, front_y=0.25, fray=0.42, has_part=True)
_BALD = _Style(volume=0.0, line_y=-1.5, front_y=0.25, fray=0.4, has_part=True)

# The trait `hair_style`, in [0, 1], picks one; more frequent styles stand twice.
_WOMEN = (_LONG, _WAVES, _BOB, _TIED, _CURLS, _PIXIE)
_OLD_WOMEN = (_BOB, _PIXIE, _CURLS, _WAVES, _TIED, _PIXIE)
_MEN = (_SHORT, _PARTED, _CROPPED, _SHORT, _CURLY, _PARTED)
_OLD_MEN = (_SHORT, _PARTED, _RECEDING, _BALD, _RECEDING, _PARTED)
# Ages (`Shape.age`) from which the second list holds: 57 years, 48 years.
_OLD_WOMAN, _OLD_MAN = 0.65, 0.45


def _style_of(shape: Shape) -> _Style:
    if shape.femininity > 0:
        styles = _OLD_WOMEN if shape.age > _OLD_WOMAN else _WOMEN
    else:
        styles = _OLD_MEN if shape.age > _OLD_MAN else _MEN
    index = int(shape.person.hair_style * len(styles))
    return styles[min(index, len(styles) - 1)]


class Hair:
    """The hair of one head."""

    def __init__(self, canvas: Grid, shape: Shape, head: Layer):
        """Chooses the haircut.

        Args:
          canvas: the whole canvas.
          shape: measures of the face.
          head: the skin that it grows on.
        """
        self.grid = canvas.window(_X_RANGE, _Y_RANGE)
        self.shape = shape
        self.style = _style_of(shape)
        self._head_cover = self.grid.take(head.cover, head.grid)
        # Another digit of the trait says which side the part is on.
        side = 1 if shape.person.hair_style * 17 % 1 > 0.5 else -1
        self._part_x = side * _PART_X if self.style.has_part else 0.0
        self._bend = self._sideways_bend()

    def back(self) -> list[Layer]:
        """Hair behind the head and shoulders."""
        if not self.style.behind:
            return []
        half, low = self.style.behind
        right = [
            (0.45, -1.80),
            (1.0, -1.40),
            (half - 0.06, -0.6),
            (half, 0.2),
            (half + 0.02, 0.8),
            (half - 0.03, low - 0.35),
            (half - 0.30, low),
            (0.5, low + 0.02),
        ]
        cover = self._frayed(self.grid.polygon(mirrored(right), 0.03))
        shadow = self.grid.blur(self._head_cover, 0.22)
        return [self._layer(cover, 0.55, 1 - 0.55 * shadow, is_hanging=True)]

    def front(self) -> list[Layer]:
        """Hair on top of and beside the face."""
        if self.style is _BALD:
            # Thin enough for some skin to show.
            cover = self._above_ears() * (1 - 0.2 * self._head_cover)
            return [self._layer(cover, 0.8, 0.9, is_hanging=False)]
        grid, end = self.grid, self.style.front_y
        cover = grid.polygon(self._outside(), 0.03)
        cover = cover * (1 - grid.polygon(self._opening(), 0.05))
        cover = self._frayed(cover * (1 - smoothstep(end - 0.22, end, grid.y)))
        if self.style is _CROPPED:
            cover = cover * (1 - 0.18 * self._head_cover)
        # Light reaches the outside of the hair, less its edges.
        edge = grid.blur(cover, 0.09)
        return [self._layer(cover, 1.0, 0.62 + 0.38 * edge, is_hanging=False)]

    def cast_shadow(self, front: Sequence[Layer], head: Layer) -> None:
        """Darkens the skin of `head` beneath the edge of the hair in front."""
        for layer in front:
            cover = head.grid.take(layer.cover, layer.grid)
            shadow = head.grid.blur(head.grid.moved_down(cover, 0.05), 0.07)
            head.occlusion = head.occlusion * (1 - 0.38 * shadow)

    def _outside(self) -> list[Point]:
        """The outline of the hair, the face included."""
        side, top = self.shape.temple_half, self.shape.top_y
        volume = self.style.volume
        right = [
            (0.0, top - volume),
            (0.52, top + 0.10 - volume),
            (0.90 + 0.3 * volume, top + 0.45 - 0.6 * volume),
            (side + 0.03 + 0.75 * volume, -0.65),
            (side + 0.05 + 0.8 * volume, -0.1),
            (side + 0.03 + 0.8 * volume, 0.5),
            (side + 0.6 * volume, 1.1),
            (side + 0.3 * volume, 2.0),
        ]
        return mirrored(right)

    def _opening(self) -> list[Point]:
        """The outline of the part of the face that is free of hair."""
        style, part_x = self.style, self._part_x
        line_y, side = style.line_y, self.shape.temple_half - style.inset
        hangs_down = style.inset > 0.01 or style.behind is not None
        if hangs_down:
            lift = 0.16  # how far the part rises above the hairline
            right = [(-0.22, -0.56), (-0.10, 0.0), (-0.04, 0.6), (0.0, 1.3)]
        else:
            lift = 0.05 + 0.04 * (part_x != 0)
            # Where hair recedes, the corners of the forehead go first.
            corner_y = line_y + (0.10 if style is not _RECEDING else -0.02)
            right = [(-0.20, corner_y + 0.18), (-0.14, -0.42), (-0.10, -0.1)]
            right.append((0.02, 0.5))
        right = [(side + dx, y) for dx, y in right] + [(side + 0.06, 2.2)]
        left = [(-x, y) for x, y in reversed(right)]
        top = [
            (-0.42 + part_x, line_y + 0.02),
            (part_x, line_y - lift),
            (0.42 + part_x, line_y + 0.02),
        ]
        return [*top, *right, (0.0, 3.2), *left]

    def _above_ears(self) -> np.ndarray:
        """[h, w] coverage of the hair that a bald man has left."""
        side = self.shape.temple_half
        right = np.array(
            [
                (side - 0.06, -0.72),
                (side + 0.04, -0.70),
                (side + 0.08, -0.2),
                (side + 0.06, 0.2),
                (side - 0.01, 0.18),
                (side - 0.06, -0.25),
            ]
        )
        both = [self.grid.polygon(right * (sign, 1), 0.03) for sign in (1, -1)]
        return self._frayed(np.maximum(*both))

    def _sideways_bend(self) -> np.ndarray:
        """[h, w] how far strands are moved sideways, units."""
        grid = self.grid
        bend = 0.06 * grid.noise(0.9, seed=21)  # no hair is quite straight
        if self.style.waves:
            bend = bend + self.style.waves * grid.noise(0.22, seed=22)
            bend = bend + 0.05 * np.sin(6.5 * grid.y + 2 * grid.noise(1.0, seed=23))
        return bend

    def _strands(self, is_hanging: bool) -> tuple[np.ndarray, np.ndarray]:
        """Coordinates across and along the strands, [h, w] each."""
        x, y = self.grid.x, self.grid.y
        if is_hanging:
            return 2.2 * (x + self._bend), y
        # Strands leave the part at the crown like rays, and bend down at the sides.
        dx, dy = x - self._part_x, y - self.shape.top_y - 0.12
        ahead = 0.5 * (dy + np.sqrt(dy * dy + 0.3)) + 0.30
        across = 2.4 * np.arctan2(dx, ahead) + self._bend
        return across, np.hypot(dx, dy)

    def _frayed(self, cover: np.ndarray) -> np.ndarray:
        """Coverage whose edge follows single strands."""
        across, along = self._strands(is_hanging=False)
        ragged = self.grid.texture(across * 22, along * 4 + 60)
        if self.style.is_curly:
            ragged = ragged + 1.2 * self.grid.noise(0.14, seed=24)
        amount = self.style.fray
        cover = self.grid.blur(cover, 0.02)
        cover = cover + 0.16 * amount * np.clip(ragged, -2, 1.5)
        return smoothstep(0.5 - amount / 2, 0.5 + amount / 2, cover)

    def _layer(
        self,
        cover: np.ndarray,
        lightness: float,
        occlusion: np.ndarray | float,
        is_hanging: bool,
    ) -> Layer:
        grid, style = self.grid, self.style
        across, along = self._strands(is_hanging)
        if style.is_curly:
            fine = 0.8 - 1.4 * np.abs(grid.noise(0.10, seed=26))
            locks = 0.6 - 1.1 * np.abs(grid.noise(0.19, seed=27))
        else:
            fine = grid.texture(across * 40, along * 1.8)
            locks = grid.texture(across * 9 + 90, along * 0.8)
        tone = np.clip(1 + 0.16 * fine + 0.13 * locks, 0.4, 1.7)
        color = self.shape.hair * (lightness * tone)[..., None]
        if not is_hanging:
            # A band of light around the crown, where the hair faces the lamp.
            band = np.exp(-(((along - 0.62 - 0.05 * locks) / 0.25) ** 2))
            shine = style.shine * band * np.clip(0.8 + 0.4 * fine, 0, 2)
            color = color + (0.03 + 0.22 * self.shape.hair) * shine[..., None]
        depth = self._depth(fine, locks)
        return Layer(grid, color, depth, cover, occlusion)

    def _depth(self, fine: np.ndarray, locks: np.ndarray) -> np.ndarray:
        """[h, w] z: a cylinder that bends back at the crown, with locks on it."""
        grid = self.grid
        depth = np.sqrt(np.clip(1.25 - (grid.x / 1.40) ** 2, 0.02, None))
        depth = depth - 0.35 * np.clip(-0.8 - grid.y, 0, 2) ** 2
        depth = grid.blur(depth, 0.05) + 0.014 * locks + 0.005 * fine
        if self.style.is_curly:
            depth = depth + 0.03 * locks + 0.012 * fine
        return depth
