"""Hair, neck and clothes of a generated person. Units as in `sample_canvas`."""

import dataclasses

import numpy as np

from data_prep import sample_canvas, sample_shape
from data_prep.sample_canvas import bump, mirrored, rgb, step

_HAIR_X, _HAIR_Y = (-1.85, 1.85), (-2.4, 2.9)

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


@dataclasses.dataclass(frozen=True)
class _Style:
    """Measures of a haircut."""

    volume: float  # how far it stands off the head
    line_y: float  # hairline above the forehead
    front_y: float  # how far down it reaches beside the face
    inset: float = -0.06  # how far it covers the cheeks
    fray: float = 0.30  # raggedness of its edges
    waves: float = 0.0
    back: tuple = ()  # half width and lower end of what hangs behind


_STYLES = {
    "long": _Style(0.12, -0.98, 2.9, 0.06, back=(1.26, 2.55)),
    "waves": _Style(0.18, -0.96, 2.4, 0.03, waves=0.10, back=(1.40, 2.30)),
    "bob": _Style(0.15, -0.92, 1.35, 0.08, back=(1.32, 1.30)),
    "tied": _Style(0.06, -1.00, 0.35, -0.04),
    "curls": _Style(0.26, -0.92, 1.05, 0.0, 0.5, 0.30, back=(1.48, 1.10)),
    "pixie": _Style(0.13, -0.90, 0.45, -0.02),
    "short": _Style(0.13, -0.98, 0.22),
    "parted": _Style(0.15, -0.98, 0.25),
    "cropped": _Style(0.03, -1.00, 0.20, fray=0.5),
    "curly": _Style(0.20, -0.96, 0.22, fray=0.5, waves=0.30),
    "receding": _Style(0.05, -1.20, 0.25, fray=0.42),
    "bald": _Style(0.0, -1.5, 0.25, fray=0.4),
}
_WOMEN = ("long", "waves", "bob", "tied", "curls", "pixie")
_OLD_WOMEN = ("bob", "pixie", "curls", "waves", "tied", "pixie")
_MEN = ("short", "parted", "cropped", "short", "curly", "parted")
_OLD_MEN = ("short", "parted", "receding", "bald", "receding", "parted")


class Hair:
    """The hair of one head."""

    def __init__(
        self,
        canvas: sample_canvas.Grid,
        s: sample_shape.Shape,
        head: sample_canvas.Layer,
    ):
        self.grid = canvas.window(_HAIR_X, _HAIR_Y)
        self.s = s
        self._head_cover = self.grid.take(head.cover, head.grid)
        names = _OLD_WOMEN if s.age > 0.65 else _WOMEN
        if s.feminine <= 0:
            names = _OLD_MEN if s.age > 0.45 else _MEN
        pick = s.person.hair_style
        self.name = names[min(int(pick * len(names)), len(names) - 1)]
        self.style = _STYLES[self.name]
        self.part = 0.30 if pick * 17 % 1 > 0.5 else -0.30
        if self.name in ("long", "short", "cropped", "curly", "tied"):
            self.part = 0.0
        self._waves = self._bend()

    def back(self) -> list[sample_canvas.Layer]:
        """Hair behind the head and shoulders."""
        if not self.style.back:
            return []
        wide, low = self.style.back
        right = [
            (0.45, -1.80),
            (1.0, -1.40),
            (wide - 0.06, -0.6),
            (wide, 0.2),
            (wide + 0.02, 0.8),
            (wide - 0.03, low - 0.35),
            (wide - 0.30, low),
            (0.5, low + 0.02),
        ]
        cover = self._frayed(self.grid.polygon(mirrored(right), 0.03))
        shadow = self.grid.blur(self._head_cover, 0.22)
        return [self._layer(cover, 0.55, 1 - 0.55 * shadow, hanging=True)]

    def front(self) -> list[sample_canvas.Layer]:
        """Hair on top of and beside the face."""
        if self.name == "bald":
            cover = self._sides() * (1 - 0.2 * self._head_cover)
            return [self._layer(cover, 0.8, 0.9, hanging=False)]
        grid, end = self.grid, self.style.front_y
        cover = grid.polygon(self._outside(), 0.03)
        cover = cover * (1 - grid.polygon(self._opening(), 0.05))
        cover = self._frayed(cover * (1 - step(end - 0.22, end, grid.y)))
        if self.name == "cropped":
            cover = cover * (1 - 0.18 * self._head_cover)
        edge = grid.blur(cover, 0.09)
        return [self._layer(cover, 1.0, 0.62 + 0.38 * edge, hanging=False)]

    def cast_shadow(self, front, head: sample_canvas.Layer) -> None:
        """Darkens the skin beneath the front hair's edge."""
        for layer in front:
            cover = head.grid.take(layer.cover, layer.grid)
            shadow = head.grid.blur(head.grid.moved_down(cover, 0.05), 0.07)
            head.occlusion = head.occlusion * (1 - 0.38 * shadow)

    def _outside(self) -> list:
        side, v, top = self.s.temple, self.style.volume, self.s.top_y
        right = [
            (0.0, top - v),
            (0.52, top + 0.10 - v),
            (0.90 + 0.3 * v, top + 0.45 - 0.6 * v),
            (side + 0.03 + 0.75 * v, -0.65),
            (side + 0.05 + 0.8 * v, -0.1),
            (side + 0.03 + 0.8 * v, 0.5),
            (side + 0.6 * v, 1.1),
            (side + 0.3 * v, 2.0),
        ]
        return mirrored(right)

    def _opening(self) -> list:
        """The outline of the part of the face that is free of hair."""
        line, side = self.style.line_y, self.s.temple - self.style.inset
        down = self.style.inset > 0.01 or bool(self.style.back)
        corner = line + (0.10 if self.name != "receding" else -0.02)
        lift = 0.16 if down else 0.05 + 0.04 * (self.part != 0)
        if down:
            right = [(-0.22, -0.56), (-0.10, 0.0), (-0.04, 0.6), (0.0, 1.3)]
        else:
            right = [(-0.20, corner + 0.18), (-0.14, -0.42), (-0.10, -0.1), (0.02, 0.5)]
        right = [(side + dx, y) for dx, y in right] + [(side + 0.06, 2.2)]
        left = [(-x, y) for x, y in reversed(right)]
        top = [
            (-0.42 + self.part, line + 0.02),
            (self.part, line - lift),
            (0.42 + self.part, line + 0.02),
        ]
        return [*top, *right, (0.0, 3.2), *left]

    def _sides(self) -> np.ndarray:
        """What is left above the ears of a bald man."""
        side = self.s.temple
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

    def _bend(self) -> np.ndarray:
        """How far strands are moved sideways."""
        grid = self.grid
        bend = 0.06 * grid.noise(0.9, 21)
        if self.style.waves:
            bend = bend + self.style.waves * grid.noise(0.22, 22)
            bend = bend + 0.05 * np.sin(6.5 * grid.y + 2 * grid.noise(1.0, 23))
        return bend

    def _strands(self, hanging: bool):
        """Coordinates across and along the hair."""
        x, y = self.grid.x, self.grid.y
        if hanging:
            return 2.2 * (x + self._waves), y
        dx, dy = x - self.part, y - self.s.top_y - 0.12
        ahead = 0.5 * (dy + np.sqrt(dy * dy + 0.3)) + 0.30
        across = 2.4 * np.arctan2(dx, ahead) + self._waves
        return across, np.hypot(dx, dy)

    def _frayed(self, cover: np.ndarray) -> np.ndarray:
        """Coverage whose edge follows single strands."""
        across, along = self._strands(hanging=False)
        ragged = self.grid.texture(across * 22, along * 4 + 60)
        if self.style.waves > 0.2:
            ragged = ragged + 1.2 * self.grid.noise(0.14, 24)
        amount = self.style.fray
        cover = self.grid.blur(cover, 0.02)
        cover = cover + 0.16 * amount * np.clip(ragged, -2, 1.5)
        return step(0.5 - amount / 2, 0.5 + amount / 2, cover)

    def _layer(self, cover, lightness, occlusion, hanging) -> sample_canvas.Layer:
        grid, s = self.grid, self.s
        across, along = self._strands(hanging)
        if self.style.waves > 0.2:
            fine = 0.8 - 1.4 * np.abs(grid.noise(0.10, 26))
            locks = 0.6 - 1.1 * np.abs(grid.noise(0.19, 27))
        else:
            fine = grid.texture(across * 40, along * 1.8)
            locks = grid.texture(across * 9 + 90, along * 0.8)
        tone = np.clip(1 + 0.16 * fine + 0.13 * locks, 0.4, 1.7)
        colour = s.hair * (lightness * tone)[..., None]
        if not hanging:
            band = np.exp(-(((along - 0.62 - 0.05 * locks) / 0.25) ** 2))
            smooth = 0.25 if self.name in ("cropped", "curls", "curly") else 1.0
            shine = smooth * band * np.clip(0.8 + 0.4 * fine, 0, 2)
            colour = colour + (0.03 + 0.22 * s.hair) * shine[..., None]
        depth = np.sqrt(np.clip(1.25 - (grid.x / 1.40) ** 2, 0.02, None))
        depth = depth - 0.35 * np.clip(-0.8 - grid.y, 0, 2) ** 2
        depth = grid.blur(depth, 0.05) + 0.014 * locks + 0.005 * fine
        if self.style.waves > 0.2:
            depth = depth + 0.03 * locks + 0.012 * fine
        return sample_canvas.Layer(grid, colour, depth, cover, occlusion)


def body(
    canvas: sample_canvas.Grid, s: sample_shape.Shape, head: sample_canvas.Layer
) -> list[sample_canvas.Layer]:
    """Neck and clothes, in the head's shadow."""
    grid = canvas.window(sample_canvas.X_RANGE, (0.5, sample_canvas.Y_RANGE[1]))
    cover = grid.take(head.cover, head.grid)
    shadow = grid.blur(grid.moved_down(cover, 0.12), 0.12)
    shadow = np.clip(1.25 * shadow, 0, 1)
    neck = 0.69 - 0.085 * s.feminine + 0.03 * s.person.body_size
    return [_neck(grid, s, neck, shadow), _clothes(grid, s, neck, shadow)]


def _neck(grid, s: sample_shape.Shape, neck: float, shadow) -> sample_canvas.Layer:
    low = s.long + 1.75
    right = [
        (neck, 0.6),
        (neck - 0.02, low - 0.30),
        (neck + 0.10, low + 0.12),
        (neck + 0.55, low + 0.48),
        (neck + 1.2, low + 1.0),
        (neck + 1.2, low + 2.4),
    ]
    depth = 0.75 * np.sqrt(np.clip(1 - (grid.ax / (neck + 0.25)) ** 2, 0.02, None))
    depth += 0.05 * bump(grid.ax, grid.y, 0.30, low + 0.2, 0.10, 0.45)
    tone = (1 + 0.03 * grid.noise(0.4, 11)) * (1 - 0.50 * shadow)
    colour = s.skin * rgb(0.97, 0.93, 0.92) * tone[..., None]
    cover = grid.polygon(mirrored(right))
    return sample_canvas.Layer(
        grid, colour, grid.blur(depth, 0.05), cover, 1 - 0.75 * shadow
    )


def _clothes(grid, s: sample_shape.Shape, neck: float, shadow) -> sample_canvas.Layer:
    wardrobe = s.person.wardrobe
    low = s.long + 1.75
    width = 2.0 - 0.16 * s.feminine + 0.12 * s.person.body_size
    deep = 0.12 + 0.26 * (wardrobe * 7 % 1) * (1.0 if s.feminine > 0 else 0.35)
    right = [
        (0.62 * neck, low + 0.22 + deep),
        (neck + 0.10, low + 0.12),
        (neck + 0.50, low + 0.30),
        (width - 0.1, low + 0.66),
        (width + 0.22, low + 1.10),
        (width + 0.4, low + 2.6),
    ]
    outline = [(0.0, low + 0.30 + 1.2 * deep), *mirrored(right)]
    cover = grid.polygon(outline)
    depth = 0.9 * np.sqrt(np.clip(1 - (grid.ax / (width + 0.5)) ** 2, 0.02, None))
    depth += 0.05 * grid.noise(0.55, 12) + 0.02 * grid.noise(0.2, 13)
    depth -= 0.35 * np.clip(low + 0.6 - grid.y, 0, 1)
    hem = 0.72 + 0.28 * step(0.6, 0.95, grid.blur(cover, 0.045))
    weave = 1 + 0.05 * grid.noise(0.025, 14) + 0.04 * grid.noise(0.3, 15)
    cloth = sample_canvas.linear(_CLOTHES[int(wardrobe * 997) % len(_CLOTHES)])
    colour = cloth * (weave * hem)[..., None]
    return sample_canvas.Layer(
        grid, colour, grid.blur(depth, 0.03), cover, 1 - 0.35 * shadow
    )
