"""Faces of generated people: a shaded height field, not a drawing.

A face is a set of layers (back hair, body, ears, head, front hair), each with a
reflectance, a surface (depth over the picture plane, hence normals) and a coverage.
`build` makes the layers from a person's traits, `render` lights them and looks at them
from a slightly turned camera.

Units: the distance between the eyes' centres is 1; x to the right, y down, z towards
the camera, the origin midway between the eyes. Arrays are float32; colours are linear
light, [height, width, 3], except the result of `render`.
"""

import dataclasses
import functools
from typing import Union

import numpy as np
from PIL import Image, ImageDraw
from scipy import interpolate, ndimage

from data_prep import sample_traits

X_RANGE, Y_RANGE = (-2.9, 2.9), (-2.5, 3.5)

_SKIN_TONES = (
    (248, 219, 203),
    (236, 196, 172),
    (214, 168, 138),
    (183, 132, 99),
    (140, 94, 66),
    (98, 64, 47),
)
_HAIR_COLOURS = (
    (24, 20, 19),
    (50, 34, 26),
    (88, 56, 36),
    (126, 82, 48),
    (176, 130, 78),
    (214, 178, 122),
)
_EYE_COLOURS = (
    (62, 38, 24),
    (98, 64, 34),
    (110, 104, 60),
    (96, 120, 108),
    (94, 130, 164),
)
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
_GREY_HAIR = (196, 194, 190)


@dataclasses.dataclass
class Layer:
    """What one part of the picture is made of, on the canvas grid."""

    colour: np.ndarray  # [h, w, 3] reflectance
    depth: np.ndarray  # [h, w]
    cover: np.ndarray  # [h, w] opacity
    occlusion: Union[np.ndarray, float] = 1.0  # [h, w] share of the ambient light
    gloss: Union[np.ndarray, float] = 0.0  # [h, w] strength of highlights
    shade_free: Union[np.ndarray, float] = 0.0  # [h, w] share drawn as it is, unlit


@dataclasses.dataclass(frozen=True)
class View:
    """Camera and light of one picture; angles in degrees."""

    width_px: int
    height_px: int
    eye_distance_px: float
    centre_x_px: float  # where the point midway between the eyes lands
    centre_y_px: float
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    light_azimuth: float = -25.0
    light_elevation: float = 35.0
    light_strength: float = 1.0
    fill_strength: float = 0.5
    warmth: float = 0.0


class Face:
    """The layers of one face with one mouth opening, at a canvas resolution."""

    def __init__(self, layers: list[Layer], points: dict, unit_px: float):
        self.layers = layers
        self.points = points  # name -> (x, y, z) in units
        self.unit_px = unit_px
        self._normals = [_normals(layer.depth, unit_px) for layer in layers]

    def lit(self, view: View) -> np.ndarray:
        """[h, w, 4] premultiplied, linear light, on the canvas."""
        height, width = self.layers[0].depth.shape
        picture = np.zeros((height, width, 4), np.float32)
        for layer, normals in zip(self.layers, self._normals):
            colour = _shade(layer, normals, view)
            cover = layer.cover[..., None]
            picture *= 1 - cover
            picture[..., :3] += colour * cover
            picture[..., 3:] += cover
        return picture

    def depth(self) -> np.ndarray:
        """[h, w] depth of the front layer, smooth, for turning the head."""
        total = np.zeros_like(self.layers[0].depth)
        for layer in self.layers:
            total = np.where(layer.cover > 0.5, layer.depth, total)
        return ndimage.gaussian_filter(total, 0.1 * self.unit_px)


class _Grid:
    """Canvas coordinates and the random textures of one person."""

    def __init__(self, unit_px: float, rng: np.random.Generator):
        self.unit_px = unit_px
        self.width = round((X_RANGE[1] - X_RANGE[0]) * unit_px)
        self.height = round((Y_RANGE[1] - Y_RANGE[0]) * unit_px)
        xs = X_RANGE[0] + (np.arange(self.width, dtype=np.float32) + 0.5) / unit_px
        ys = Y_RANGE[0] + (np.arange(self.height, dtype=np.float32) + 0.5) / unit_px
        self.x, self.y = np.meshgrid(xs, ys)
        self.ax = np.abs(self.x)
        self._texture = rng.normal(size=(512, 512)).astype(np.float32)

    def noise(self, cell: float, seed: int = 0) -> np.ndarray:
        """Smooth noise of unit variance with features of about `cell` units."""
        columns = int(self.width / self.unit_px / cell) + 3
        rows = int(self.height / self.unit_px / cell) + 3
        corner = np.roll(self._texture, (-53 * seed, -97 * seed), (0, 1))[
            :rows, :columns
        ]
        image = Image.fromarray(np.ascontiguousarray(corner))
        size = self.width, self.height
        box = (
            1.0,
            1.0,
            1 + self.width / self.unit_px / cell,
            1 + self.height / self.unit_px / cell,
        )
        return 1.3 * np.asarray(image.resize(size, Image.Resampling.BICUBIC, box))

    def texture(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The person's random texture at any coordinates, interpolated, periodic."""
        u, v = np.broadcast_arrays(u, v)
        values = ndimage.map_coordinates(
            self._texture, (v, u), order=1, mode="grid-wrap", prefilter=False
        )
        return 1.4 * values

    def polygon(self, points, soft: float = 0.012) -> np.ndarray:
        """Coverage of a smooth closed curve through `points` (units), soft edges."""
        curve = _closed_curve(points)
        pixels = (curve - (X_RANGE[0], Y_RANGE[0])) * self.unit_px * 2
        image = Image.new("L", (2 * self.width, 2 * self.height))
        ImageDraw.Draw(image).polygon([tuple(p) for p in pixels], fill=255)
        cover = np.asarray(image.reduce(2), np.float32) / 255
        return ndimage.gaussian_filter(cover, soft * self.unit_px)

    def blur(self, values: np.ndarray, sigma: float) -> np.ndarray:
        return ndimage.gaussian_filter(values, sigma * self.unit_px)


def build(
    person: sample_traits.Person, unit_px: float, mouth_open: float = 0.0
) -> Face:
    """The layers of a person's face; `mouth_open` in units (0 closed, 0.25 wide)."""
    rng = sample_traits.generator(0, "texture", person.speaker_id, person.skin_tone)
    grid = _Grid(unit_px, rng)
    shape = _Shape(person, mouth_open)
    head = _head(grid, shape)
    hair = _Hair(grid, shape, head)
    layers = [*hair.back(), *_body(grid, shape, head), _ears(grid, shape)]
    layers += [head, _eyes(grid, shape, head), *hair.front()]
    return Face(layers, shape.points(), unit_px)


class _Shape:
    """Measures of one face in units, all derived from the person's traits."""

    def __init__(self, person: sample_traits.Person, mouth_open: float):
        p = person
        f = float(np.clip(p.femininity, -1.5, 1.5))
        self.person, self.feminine, self.open = p, f, mouth_open
        self.age = float(np.clip((p.age_years - 28) / 45, 0, 1.1))
        self.long = 0.05 * p.face_length - 0.035 * f + 0.02 * p.body_size
        wide = 0.045 * p.body_size - 0.015 * p.face_length
        self.temple = 1.07 + wide
        self.cheek = 1.10 + wide + 0.015 * p.cheeks
        self.jaw = 0.90 - 0.055 * f + 1.1 * wide + 0.01 * p.cheeks
        self.chin_half = 0.37 - 0.06 * f + 0.015 * p.chin
        self.chin_y = 1.86 + self.long + 0.03 * p.chin + mouth_open * 0.85
        self.top_y = -1.92
        self.nose_y = 0.70 + 0.5 * self.long + 0.03 * p.nose_length + 0.015 * self.age
        self.nose_half = 0.285 - 0.018 * f + 0.022 * p.nose_width
        self.mouth_y = 1.17 + 0.62 * self.long + 0.015 * p.nose_length
        self.mouth_half = 0.405 + 0.02 * p.mouth_width + 0.012 * p.smile
        self.upper_lip = 0.085 + 0.018 * f - 0.02 * self.age
        self.lower_lip = 0.125 + 0.02 * f - 0.02 * self.age
        self.eye_half = 0.238 + 0.008 * p.eye_size + 0.006 * f
        self.eye_up = 0.098 + 0.010 * p.eye_size + 0.012 * f - 0.018 * self.age
        self.eye_down = 0.062 + 0.004 * p.eye_size
        self.eye_tilt = 0.03 * p.eye_tilt + 0.02 * f
        self.brow_y = -0.36 - 0.025 * p.brow_height - 0.035 * f
        self.brow_thick = 0.062 - 0.016 * f
        self.skin = _mix(_SKIN_TONES, p.skin_tone)
        self.skin = self.skin * (
            1 + 0.05 * (p.skin_warmth - 0.5) * np.array([1, 0, -1])
        )
        hair = _mix(_HAIR_COLOURS, p.hair_shade * (1 - 0.55 * p.skin_tone))
        hair = hair * (1 + 0.3 * (p.hair_warmth - 0.5) * np.array([1.2, 0, -0.6]))
        grey = _step(0.45, 1.0, self.age + 0.15 * (p.hair_warmth - 0.5))
        self.hair = hair + (_linear(_GREY_HAIR) - hair) * grey * 0.92
        self.grey = grey

    def half_width(self, y: np.ndarray) -> np.ndarray:
        """Half of the head's width at height y (0 outside)."""
        waist = -0.30
        top = self.temple * np.sqrt(
            np.clip(1 - ((y - waist) / (self.top_y - waist)) ** 2, 0, None)
        )
        c = self.chin_y
        lower = interpolate.PchipInterpolator(
            (waist, 0.25, 0.75, 0.64 * c, 0.82 * c, 0.93 * c, 0.985 * c, c),
            (
                self.temple,
                self.cheek,
                0.5 * (self.cheek + self.jaw) + 0.05,
                self.jaw,
                0.5 * (self.jaw + self.chin_half) + 0.04,
                self.chin_half + 0.02,
                0.55 * self.chin_half,
                0.0,
            ),
            extrapolate=False,
        )(y)
        return np.where(y < waist, top, np.nan_to_num(lower)).astype(np.float32)

    def outline(self, grow: float = 0.0) -> np.ndarray:
        """The head's outline as a closed polygon, [n, 2]."""
        ys = self.top_y + (self.chin_y - self.top_y) * (
            0.5 - 0.5 * np.cos(np.linspace(0, np.pi, 60))
        )
        right = np.stack([self.half_width(ys) + grow, ys], 1)
        return np.concatenate([right, right[::-1] * (-1, 1)])

    def mouth_curves(self, x: np.ndarray):
        """Upper lip's top, both lips' meeting lines, lower lip's bottom at x."""
        u = np.clip(np.abs(x) / self.mouth_half, 0, 1)
        smile = 0.028 + 0.03 * (self.person.smile - 0.5) - 0.02 * self.age
        line = self.mouth_y - smile * u**2 + 0.010 * np.cos(np.pi * 2.2 * u) * (1 - u)
        bow = 1 - 0.22 * np.exp(-((u / 0.10) ** 2)) - 0.05 * np.cos(np.pi * u)
        gap = self.open * np.clip(1 - u**2.2, 0, None)
        top = line - self.upper_lip * bow * np.sqrt(np.clip(1 - u**1.6, 0, None))
        low = line + 0.8 * gap
        high = line - 0.1 * gap
        bottom = low + self.lower_lip * np.clip(1 - u**2.4, 0, None) ** 0.75
        return top - 0.1 * gap, high, low, bottom

    def points(self) -> dict:
        """Where the face's landmarks truly are: name -> (x, y, z)."""
        _, high, low, _ = (float(v) for v in self.mouth_curves(np.float32(0)))
        corner = float(self.mouth_curves(np.float32(self.mouth_half))[1])
        tilt = self.eye_tilt
        return {
            "right_eye": (-0.5, (self.eye_down - self.eye_up) * 0.27, 1.0),
            "left_eye": (0.5, (self.eye_down - self.eye_up) * 0.27, 1.0),
            "right_eye_outer": (-0.5 - self.eye_half, -tilt, 0.95),
            "left_eye_outer": (0.5 + self.eye_half, -tilt, 0.95),
            "nose_base": (0.0, self.nose_y + 0.10, 1.3),
            "mouth_right": (-self.mouth_half, corner, 1.08),
            "mouth_left": (self.mouth_half, corner, 1.08),
            "mouth": (0.0, (high + low) / 2, 1.2),
            "chin": (0.0, self.chin_y, 0.9),
        }


def _head(grid: _Grid, s: _Shape) -> Layer:
    """Skin of the head with brows, lips, nose, wrinkles and beard."""
    x, y, ax = grid.x, grid.y, grid.ax
    cover = grid.polygon(s.outline(), soft=0.010)
    depth = _skull(grid, s)
    depth += _nose(grid, s) + _brow_and_sockets(grid, s) + _cheeks_and_chin(grid, s)
    depth += _wrinkles(grid, s)
    colour = _skin_colour(grid, s)
    gloss = 0.10 + 0.10 * _bump(ax, y, 0.0, s.nose_y - 0.08, 0.13, 0.35)
    gloss += 0.08 * _bump(ax, y, 0.0, -0.75, 0.5, 0.25)
    gloss += 0.07 * _bump(ax, y, 0.62, 0.38, 0.2, 0.16)
    occlusion = np.ones_like(x)
    occlusion -= 0.40 * _bump(ax, y, 0.31, -0.08, 0.12, 0.16)
    occlusion -= 0.22 * _bump(ax, y, 0.5, -0.15, 0.26, 0.08)
    occlusion -= 0.42 * _bump(ax, y, 0.0, s.nose_y + 0.14, 0.20, 0.045)
    occlusion -= 0.18 * _bump(ax, y, 0.0, s.mouth_y + s.lower_lip + 0.07, 0.26, 0.05)
    depth, colour, gloss = _lips(grid, s, depth, colour, gloss)
    colour = _beard(grid, s, colour)
    colour = _brows(grid, s, colour)
    # Nostrils.
    nostril = _bump(ax, y, 0.125, s.nose_y + 0.075, 0.055, 0.024)
    colour = _over(colour, s.skin * 0.10, np.clip(1.25 * nostril, 0, 0.92))
    return Layer(colour, grid.blur(depth, 0.008), cover, occlusion, gloss)


def _skull(grid: _Grid, s: _Shape) -> np.ndarray:
    half = np.maximum(s.half_width(grid.y[:, 0]), 0.02)[:, None]
    half = ndimage.gaussian_filter1d(half, 0.06 * grid.unit_px, axis=0)
    across = (
        np.clip(1 - np.clip(grid.ax / (half + 0.015), 0, 1) ** 2.5, 0, None) ** 0.55
    )
    down = np.clip((s.chin_y + 0.03 - grid.y) / 0.55, 0, 1)
    down = 1 - 0.62 * (1 - down) ** 2.6
    up = np.clip((grid.y - s.top_y) / 1.35, 0, 1)
    up = np.sqrt(1 - (1 - up) ** 2.2)
    return grid.blur(1.18 * across * down * up, 0.035)


def _nose(grid: _Grid, s: _Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    along = np.clip((y + 0.12) / (s.nose_y + 0.12), 0, 1)
    width = 0.085 + 0.075 * along**2 + 0.012 * s.person.nose_width
    ridge = np.exp(-((ax / width) ** 2)) * (0.05 + 0.23 * along**1.4)
    ridge *= _step(-0.42, 0.05, y) * (1 - _step(s.nose_y - 0.02, s.nose_y + 0.13, y))
    tip = 0.16 * _bump(ax, y, 0.0, s.nose_y - 0.01, 0.145, 0.115)
    wings = 0.17 * _bump(ax, y, s.nose_half - 0.09, s.nose_y + 0.02, 0.078, 0.082)
    crease = -0.035 * _bump(ax, y, s.nose_half + 0.01, s.nose_y - 0.01, 0.03, 0.10)
    return ridge + tip + wings + crease


def _brow_and_sockets(grid: _Grid, s: _Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    masculine = 1 - 0.45 * s.feminine
    ridge = 0.055 * masculine * _bump(ax, y, 0.45, s.brow_y - 0.02, 0.34, 0.11)
    socket = -0.115 * _bump(ax, y, 0.40, -0.06, 0.27, 0.17)
    lid = 0.085 * _bump(ax, y, 0.5, 0.0, 0.20, 0.13)
    bag = 0.016 * (0.4 + s.age) * _bump(ax, y, 0.48, 0.21, 0.2, 0.05)
    return ridge + socket + lid + bag


def _cheeks_and_chin(grid: _Grid, s: _Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    bones = 0.06 * _bump(ax, y, 0.72, 0.36, 0.26, 0.2)
    apples = 0.035 * _bump(ax, y, 0.52, 0.62, 0.26, 0.26)
    hollow = -0.03 * (0.6 + s.age) * _bump(ax, y, 0.72, 1.0, 0.2, 0.28)
    chin = 0.085 * _bump(ax, y, 0.0, s.chin_y - 0.25, 0.22, 0.15)
    mouth = 0.07 * _bump(ax, y, 0.0, s.mouth_y, 0.38, 0.26)
    philtrum = -0.018 * _bump(ax, y, 0.0, s.mouth_y - 0.2, 0.04, 0.08)
    fold = s.mouth_y + s.lower_lip + 0.8 * s.open + 0.06
    groove = -0.03 * _bump(ax, y, 0.0, fold, 0.24, 0.05)
    return bones + apples + hollow + chin + mouth + philtrum + groove


def _wrinkles(grid: _Grid, s: _Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    fold_x = (
        s.nose_half + 0.05 + 0.36 * np.clip((y - s.nose_y + 0.05) / 0.6, 0, 1) ** 0.9
    )
    window = _step(s.nose_y - 0.12, s.nose_y + 0.06, y) * (
        1 - _step(s.mouth_y - 0.12, s.mouth_y + 0.12, y)
    )
    depth = -(0.010 + 0.022 * s.age) * np.exp(-(((ax - fold_x) / 0.035) ** 2)) * window
    depth += (
        (0.006 + 0.02 * s.age) * np.exp(-(((ax - fold_x - 0.09) / 0.08) ** 2)) * window
    )
    if s.age > 0.05:
        waves = grid.noise(0.5, 3)
        for k, line_y in enumerate((-0.66, -0.78, -0.90)):
            line = y - line_y - 0.05 * np.cos(1.6 * grid.x) - 0.012 * waves
            side = np.exp(-((ax / (0.62 - 0.06 * k)) ** 4))
            depth -= 0.012 * s.age * np.exp(-((line / 0.018) ** 2)) * side
        for slope in (-0.45, 0.05, 0.5):
            line = y + 0.03 - slope * (ax - 0.74)
            side = _step(0.76, 0.80, ax) * (1 - _step(0.88, 0.98, ax))
            depth -= 0.012 * s.age * np.exp(-((line / 0.013) ** 2)) * side
        line = y - 0.16 - 0.12 * (1 - ((ax - 0.5) / 0.3) ** 2)
        side = np.exp(-(((ax - 0.46) / 0.22) ** 4))
        depth -= 0.012 * s.age * np.exp(-((line / 0.02) ** 2)) * side
        line = ax - s.mouth_half - 0.04 - 0.15 * (y - s.mouth_y)
        side = _step(s.mouth_y, s.mouth_y + 0.08, y) * (
            1 - _step(s.mouth_y + 0.2, s.mouth_y + 0.42, y)
        )
        depth -= 0.016 * s.age * np.exp(-((line / 0.03) ** 2)) * side
    return depth


def _skin_colour(grid: _Grid, s: _Shape) -> np.ndarray:
    y, ax = grid.y, grid.ax
    light = 1 - s.person.skin_tone
    red = 0.20 * _bump(ax, y, 0.62, 0.62, 0.30, 0.24) * (0.7 + 0.3 * s.feminine)
    red += 0.20 * _bump(ax, y, 0.0, s.nose_y + 0.02, 0.24, 0.16)
    red += 0.10 * _bump(ax, y, 0.0, s.chin_y - 0.22, 0.24, 0.14)
    red += 0.10 * _bump(ax, y, 0.5, 0.05, 0.3, 0.16)
    blotches = 0.030 * grid.noise(0.35, 1) + 0.022 * grid.noise(0.12, 2)
    pores = (0.012 + 0.02 * s.age) * grid.noise(0.03, 4)
    colour = s.skin[None, None] * (1 + blotches + pores)[..., None]
    tint = np.array([0.06, -0.20, -0.17]) * (0.6 + 0.6 * light)
    colour *= 1 + red[..., None] * 3.0 * tint
    under_eye = _bump(ax, y, 0.44, 0.17, 0.17, 0.05) * (0.10 + 0.14 * s.age)
    colour *= 1 - under_eye[..., None] * np.array([0.8, 1.0, 0.85])
    if light > 0.55 and s.person.hair_warmth > 0.6:
        spots = np.clip(grid.noise(0.035, 6) - 1.3, 0, 1) * _bump(
            ax, y, 0.3, 0.4, 0.5, 0.28
        )
        colour *= 1 - 0.35 * spots[..., None] * np.array([0.5, 0.9, 1.0])
    return colour.astype(np.float32)


def _lips(grid: _Grid, s: _Shape, depth, colour, gloss):
    x, y, ax = grid.x, grid.y, grid.ax
    top, high, low, bottom = s.mouth_curves(x)
    edge = 0.022
    inside = 1 - _step(s.mouth_half - 0.03, s.mouth_half + 0.015, ax)
    upper = _step(-edge, edge, y - top) * (1 - _step(-0.008, 0.008, y - high)) * inside
    lower = (
        _step(-0.008, 0.008, y - low) * (1 - _step(-edge, edge, y - bottom)) * inside
    )
    light = 1 - s.person.skin_tone
    pink = s.skin * np.array([0.86, 0.50, 0.50]) + np.array([0.03, 0.0, 0.005])
    made_up = np.array([0.46, 0.085, 0.10]) * (0.55 + 0.45 * light)
    makeup = max(s.feminine, 0) * 0.38 * (s.person.wardrobe if s.feminine > 0 else 0)
    lip = pink * (1 - makeup) + made_up * makeup
    lines = 1 + 0.06 * grid.texture(x * 26, y * 3 + 50)
    strength = 0.72 + 0.12 * max(s.feminine, 0)
    colour = _over(colour, lip * lines[..., None] * 0.86, upper * strength)
    colour = _over(colour, lip * lines[..., None], lower * strength)
    middle = np.clip((y - low) / np.maximum(bottom - low, 1e-3), 0, 1)
    depth = depth + 0.055 * np.sin(np.pi * middle) * lower
    rise = np.clip((y - top) / np.maximum(high - top, 1e-3), 0, 1)
    depth = depth + 0.035 * rise * upper * (1 - _step(0.8, 1.0, rise))
    gloss = gloss + 0.14 * lower + 0.04 * upper
    line = np.exp(-(((y - high) / 0.014) ** 2)) * inside
    colour = _over(
        colour,
        lip * 0.16,
        0.8 * line * (s.open < 0.01) + 0.45 * line * (s.open >= 0.01),
    )
    corner = _bump(
        ax,
        y,
        s.mouth_half,
        float(s.mouth_curves(np.float32(s.mouth_half))[1]),
        0.035,
        0.025,
    )
    colour = _over(colour, s.skin * 0.35, 0.55 * corner)
    if s.open > 0.01:
        cavity = (
            _step(-0.008, 0.010, y - high)
            * (1 - _step(-0.010, 0.008, y - low))
            * inside
        )
        colour = _over(colour, np.array([0.045, 0.010, 0.010]), cavity)
        teeth = cavity * (
            1 - _step(0.45, 0.6, (y - high) / np.maximum(low - high, 0.02))
        )
        teeth *= 1 - _step(0.55, 0.85, ax / s.mouth_half)
        colour = _over(colour, np.array([0.62, 0.58, 0.50]), 0.85 * teeth)
    return depth, colour, gloss


def _beard(grid: _Grid, s: _Shape, colour):
    if s.feminine > 0:
        return colour
    x, y, ax = grid.x, grid.y, grid.ax
    half = np.maximum(s.half_width(y[:, 0]), 0.05)[:, None]
    cheek_line = 0.72 + 0.55 * np.clip(1 - ax / half, 0, 1)
    jaw = _step(-0.12, 0.14, y - cheek_line - 0.05 * grid.noise(0.08, 7))
    moustache = _step(0.0, 0.05, y - s.nose_y - 0.14) * (1 - _step(0.4, 0.52, ax))
    area = np.maximum(
        jaw * _step(0.30, 0.46, ax + 0.9 * np.clip(y - s.mouth_y - 0.12, 0, 1)),
        moustache,
    )
    top, _, _, bottom = s.mouth_curves(x)
    mouth = _step(-0.03, 0.01, y - top) * (1 - _step(-0.01, 0.04, y - bottom))
    mouth *= 1 - _step(s.mouth_half - 0.02, s.mouth_half + 0.05, ax)
    area = grid.blur(area * (1 - mouth), 0.025) * (1 - mouth)
    style = s.person.beard
    strands = grid.texture(x * 34 + 4 * grid.noise(0.3, 8), y * 13)
    if style > 0.72:
        density = area * np.clip(0.80 + 0.22 * strands, 0, 0.95)
    elif style > 0.45:
        density = area * np.clip(0.30 + 0.12 * grid.noise(0.03, 9), 0, 1)
    else:
        density = area * 0.09
    hair = s.hair * (0.75 + 0.18 * strands[..., None])
    return _over(colour, hair, density)


def _brows(grid: _Grid, s: _Shape, colour):
    y, ax = grid.y, grid.ax
    t = np.clip((ax - 0.17) / 0.70, 0, 1)
    arch = 0.075 + 0.02 * s.feminine
    line = s.brow_y + 0.055 - arch * np.sin(np.pi * np.clip(t * 0.86, 0, 1)) - 0.02 * t
    thick = s.brow_thick * (0.75 + 0.6 * np.sin(np.pi * t**0.7) - 0.55 * t**2)
    strands = grid.texture((ax * 1.0 + 0.9 * (y - line)) * 38, (y - line) * 9 + 100)
    body = np.exp(-(np.abs((y - line) / np.maximum(thick, 0.015)) ** 2.6))
    ends = _step(0.165, 0.235, ax) * (1 - _step(0.74, 0.88, ax))
    density = body * ends * np.clip(0.80 + 0.22 * strands, 0.1, 1)
    darker = s.hair * (0.55 + 0.25 * s.grey) if s.hair.mean() < 0.12 else s.hair * 0.42
    return _over(colour, darker, np.clip(density * 0.92, 0, 0.95))


def _eyes(grid: _Grid, s: _Shape, head: Layer) -> Layer:
    """Eyeballs, irises and lashes, as one layer over the head."""
    x, y, ax = grid.x, grid.y, grid.ax
    u = (ax - 0.5) / s.eye_half  # -1 at the nose, +1 outside
    inside = np.clip(1 - np.abs(u) ** 2.3, 0, None)
    slant = -s.eye_tilt * u
    upper = slant - s.eye_up * inside**0.75 * (1 - 0.10 * u)
    lower = slant + s.eye_down * inside**0.85 * (1 + 0.14 * u)
    hole = _step(-0.010, 0.010, y - upper) * (1 - _step(-0.010, 0.010, y - lower))
    hole *= _step(0.0, 0.03, inside)
    white = np.array([0.66, 0.62, 0.58]) * (1 - 0.12 * s.age)
    colour = np.broadcast_to(white, (*x.shape, 3)).astype(np.float32).copy()
    colour *= 1 - 0.45 * np.abs(np.clip(u, -1, 1))[..., None] ** 2 * np.array(
        [0.7, 1, 1]
    )
    # Iris: 11.7 mm of 63.
    radius = 0.094
    iris_y = -0.018
    r = np.sqrt((ax - 0.5) ** 2 + (y - iris_y) ** 2) / radius
    angle = np.arctan2(y - iris_y, x - np.sign(x) * 0.5)
    tint = _mix(_EYE_COLOURS, s.person.eye_colour * (1 - 0.75 * s.person.skin_tone))
    fibres = 1 + 0.22 * grid.texture(angle * 7, r * 2 + 30)
    iris = tint * (fibres * (1.15 - 0.75 * _step(0.72, 1.0, r)))[..., None]
    iris = iris * (1 + 0.7 * np.clip((y - iris_y) / radius, -0.6, 1))[..., None]
    disc = 1 - _step(0.93, 1.05, r)
    colour = _over(colour, iris, disc)
    colour = _over(colour, np.full(3, 0.006), 1 - _step(0.36, 0.46, r))
    # The lid's shadow, the tear duct, the reflection of the light.
    shadow = np.exp(-np.clip(y - upper, 0, None) / 0.045)
    colour *= (1 - 0.62 * shadow)[..., None]
    duct = _bump(u, y, -0.95, float(s.eye_tilt), 0.10, 0.03)
    colour = _over(colour, s.skin * np.array([0.8, 0.45, 0.42]), 0.8 * duct)
    spark = _bump(x - np.sign(x) * 0.5, y, -0.03, iris_y - 0.035, 0.016, 0.016)
    colour = _over(colour, np.full(3, 0.95), np.clip(1.3 * spark, 0, 0.95))
    # Lashes and lid lines lie on the skin.
    made_up = 0.5 + 0.5 * max(s.feminine, 0) * (0.5 + 0.5 * s.person.wardrobe)
    thick = 0.013 + 0.009 * made_up
    lash = np.exp(-(((y - upper + 0.2 * thick) / thick) ** 2)) * _step(-1.04, -0.7, u)
    lash *= 1 - _step(1.02, 1.16, u)
    lower_line = np.exp(-(((y - lower - 0.004) / 0.011) ** 2)) * _step(0.0, 0.2, inside)
    crease_y = upper - 0.048 - 0.02 * inside
    crease = np.exp(-(((y - crease_y) / 0.014) ** 2)) * (
        1 - _step(0.85, 1.1, np.abs(u))
    )
    lid = (0.45 + 0.2 * s.age) * crease
    cover = hole
    colour = _over(colour, s.skin * 0.30, np.where(hole > 0.5, 0, 1.0))
    colour = _over(
        colour, s.hair * 0.12 + 0.004, np.clip(lash * (0.75 + 0.25 * made_up), 0, 1)
    )
    cover = np.maximum(cover, 0.95 * lash * (0.6 + 0.4 * made_up))
    cover = np.maximum(cover, 0.34 * lower_line)
    cover = np.maximum(cover, lid * 0.75)
    flat = 0.45 * hole
    return Layer(colour, head.depth, cover, head.occlusion, 0.0, flat)


def _ears(grid: _Grid, s: _Shape) -> Layer:
    y, ax = grid.y, grid.ax
    base = float(s.half_width(np.array([0.3]))[0])
    out = 0.15
    points = np.array(
        [
            (-0.1, -0.22),
            (out * 0.8, -0.24),
            (out, -0.02),
            (out * 0.75, 0.3),
            (0.02, 0.66),
            (-0.12, 0.6),
        ]
    ) + (base - 0.02, 0.12)
    cover = np.maximum(grid.polygon(points), grid.polygon(points * (-1, 1)))
    u, v = (ax - base - 0.02) / out, y - 0.3
    rim = (
        np.exp(-(((u - 0.55) / 0.28) ** 2))
        * _step(-0.45, -0.2, v)
        * (1 - _step(0.1, 0.4, v))
    )
    hollow = _bump(u, v, 0.15, 0.0, 0.3, 0.17)
    depth = 0.35 + 0.10 * rim - 0.10 * hollow - 0.2 * u
    colour = s.skin * np.array([1.02, 0.84, 0.84]) * (1 - 0.35 * hollow)[..., None]
    return Layer(
        colour.astype(np.float32),
        grid.blur(depth, 0.015),
        cover,
        1 - 0.45 * hollow,
        0.05,
    )


def _body(grid: _Grid, s: _Shape, head: Layer) -> list[Layer]:
    y, ax = grid.y, grid.ax
    neck = 0.70 - 0.085 * s.feminine + 0.03 * s.person.body_size
    right = [
        (neck, 0.8),
        (neck - 0.02, 1.7),
        (neck + 0.10, 2.1),
        (neck + 0.55, 2.45),
        (neck + 1.2, 3.0),
        (neck + 1.2, 4.2),
    ]
    outline = right + [(-px, py) for px, py in reversed(right)]
    cover = grid.polygon(outline, 0.012)
    depth = 0.75 * np.sqrt(np.clip(1 - (ax / (neck + 0.25)) ** 2, 0.02, None)) - 0.25
    depth += 0.05 * _bump(ax, y, 0.30, 2.1, 0.10, 0.45) + 0.05 * np.clip(y - 2.0, 0, 1)
    face = grid.blur(np.roll(head.cover, round(0.13 * grid.unit_px), axis=0), 0.13)
    occlusion = 1 - 0.80 * np.clip(1.25 * face, 0, 1)
    tint = (
        s.skin
        * (1 + 0.03 * grid.noise(0.4, 11))[..., None]
        * np.array([0.97, 0.93, 0.92])
    )
    tint = tint * (1 - 0.55 * np.clip(1.2 * face, 0, 1))[..., None]
    skin = Layer(
        tint.astype(np.float32), grid.blur(depth, 0.05), cover, occlusion, 0.03
    )
    # Clothes.
    width = 2.05 - 0.16 * s.feminine + 0.12 * s.person.body_size
    depth_neck = 0.18 + 0.3 * ((s.person.wardrobe * 7) % 1) * (
        1 if s.feminine > 0 else 0.35
    )
    collar = neck + 0.12
    right = [
        (collar, 2.02),
        (collar + 0.45, 2.24),
        (width - 0.1, 2.52),
        (width + 0.22, 2.95),
        (width + 0.4, 4.5),
    ]
    outline = right + [(-px, py) for px, py in reversed(right)]
    outline += [
        (-collar * 0.62, 2.12 + depth_neck),
        (0.0, 2.2 + 1.25 * depth_neck),
        (collar * 0.62, 2.12 + depth_neck),
    ]
    cover = grid.polygon(outline, 0.012)
    cloth = _linear(_CLOTHES[int(s.person.wardrobe * 997) % len(_CLOTHES)])
    folds = 0.05 * grid.noise(0.55, 12) + 0.02 * grid.noise(0.2, 13)
    depth = 0.9 * np.sqrt(np.clip(1 - (ax / (width + 0.5)) ** 2, 0.02, None)) + folds
    depth -= 0.35 * np.clip(2.5 - y, 0, 1)
    hem = grid.blur(cover, 0.045)
    weave = 1 + 0.05 * grid.noise(0.025, 14) + 0.04 * grid.noise(0.3, 15)
    colour = cloth * (weave * (0.72 + 0.28 * _step(0.6, 0.95, hem)))[..., None]
    shirt = Layer(
        colour.astype(np.float32),
        grid.blur(depth, 0.03),
        cover,
        1 - 0.35 * np.clip(face, 0, 1),
        0.0,
    )
    return [skin, shirt]


class _Hair:
    """Back and front hair in one of several styles."""

    def __init__(self, grid: _Grid, s: _Shape, head: Layer):
        self.grid, self.s, self.head = grid, s, head
        pick = s.person.hair_style
        if s.feminine > 0:
            styles = ("long", "waves", "bob", "tied", "curls", "pixie")
            if s.age > 0.6:
                styles = ("bob", "pixie", "curls", "bob", "tied", "pixie")
        else:
            styles = ("short", "parted", "buzz", "short", "curls", "parted")
            if s.age > 0.45:
                styles = ("short", "parted", "receding", "bald", "receding", "parted")
        self.style = styles[min(int(pick * len(styles)), len(styles) - 1)]
        self.part = (
            (0.32 if pick * 17 % 1 > 0.5 else -0.32) if self.style != "long" else 0.0
        )

    def back(self) -> list[Layer]:
        """Hair behind the head and shoulders."""
        lengths = {"long": 2.75, "waves": 2.45, "bob": 1.45, "curls": 1.25}
        if self.s.feminine <= 0 or self.style not in lengths:
            return []
        low = lengths[self.style]
        wide = {"long": 1.34, "waves": 1.48, "bob": 1.42, "curls": 1.62}[self.style]
        right = [
            (0.45, -2.10),
            (1.05, -1.65),
            (wide - 0.08, -0.8),
            (wide, 0.2),
            (wide + 0.02, 1.0),
        ]
        right += [(wide - 0.04, low - 0.35), (wide - 0.35, low), (0.5, low + 0.02)]
        outline = right + [(-px, py) for px, py in reversed(right)]
        cover = self._fray(self.grid.polygon(outline, 0.03), 0.30)
        shadow = self.grid.blur(self.head.cover, 0.22)
        return [self._layer(cover, 0.55, 1 - 0.55 * shadow, hanging=True)]

    def front(self) -> list[Layer]:
        """Hair on top of and beside the face."""
        if self.style == "bald":
            return [self._fringe_of_hair()]
        outer, opening, cut = self._front_curves()
        grid = self.grid
        cover = grid.polygon(outer, 0.03) * (1 - grid.polygon(opening, 0.035))
        cover *= 1 - _step(cut - 0.22, cut, grid.y)
        soft = {"buzz": 0.5, "receding": 0.42, "curls": 0.5}.get(self.style, 0.30)
        cover = self._fray(cover, soft)
        if self.style == "buzz":
            cover *= 0.86
        edge = grid.blur(cover, 0.09)
        layer = self._layer(cover, 1.0, 0.62 + 0.38 * edge, hanging=False)
        shadow = grid.blur(np.roll(cover, round(0.06 * grid.unit_px), axis=0), 0.07)
        self.head.occlusion = self.head.occlusion * (1 - 0.42 * shadow)
        return [layer]

    def _front_curves(self):
        """Outer curve, the opening for the face, and how far down the sides reach."""
        s, part = self.s, self.part
        side = s.temple
        volume = {
            "long": 0.14,
            "waves": 0.20,
            "bob": 0.17,
            "tied": 0.07,
            "curls": 0.34,
            "pixie": 0.15,
            "short": 0.15,
            "parted": 0.17,
            "buzz": 0.04,
            "receding": 0.06,
        }[self.style]
        line = {"receding": -1.36, "buzz": -1.12, "tied": -1.12, "short": -1.08}.get(
            self.style, -1.02
        )
        v = volume
        right = [
            (0.0, -1.93 - v),
            (0.55, -1.80 - v),
            (0.95 + 0.3 * v, -1.38 - 0.6 * v),
            (side + 0.75 * v, -0.75),
        ]
        right += [
            (side + 0.04 + 0.8 * v, -0.1),
            (side + 0.02 + 0.8 * v, 0.6),
            (side + 0.6 * v, 1.3),
            (side + 0.3 * v, 2.2),
        ]
        outer = right + [(-px, py) for px, py in reversed(right[1:])]
        if self.style in ("long", "waves", "bob", "curls") and s.feminine > 0:
            inset = {"long": 0.10, "waves": 0.06, "bob": 0.12, "curls": 0.02}[
                self.style
            ]
            cut = {"long": 3.2, "waves": 2.6, "bob": 1.55, "curls": 1.25}[self.style]
            opening = [
                (part, line - 0.20),
                (part + 0.40, line + 0.05),
                (side - 0.22 - inset, -0.62),
                (side - 0.10 - inset, 0.0),
            ]
            opening += [
                (side - 0.02 - inset, 0.7),
                (side + 0.02 - inset, 1.4),
                (side - 0.02, 2.4),
                (0.0, 3.4),
            ]
            left = [
                (part - 0.40, line + 0.05),
                (-side + 0.22 + inset, -0.62),
                (-side + 0.10 + inset, 0.0),
            ]
            left += [
                (-side + 0.02 + inset, 0.7),
                (-side - 0.02 + inset, 1.4),
                (-side + 0.02, 2.4),
            ]
            return outer, opening + left[::-1], cut
        corner = {"receding": -1.32, "buzz": -1.02}.get(self.style, -0.94)
        inner = side - 0.10
        opening = [
            (part * 0.9, line - (0.07 if self.style == "parted" else 0.0)),
            (0.42 + 0.3 * part, line + 0.01),
        ]
        opening += [
            (inner - 0.14, corner + 0.16),
            (inner - 0.06, -0.45),
            (inner + 0.02, -0.1),
            (side - 0.03, 0.5),
            (side, 1.2),
            (0.0, 3.0),
        ]
        left = [
            (-0.42 + 0.3 * part, line + 0.01),
            (-inner + 0.14, corner + 0.16),
            (-inner + 0.06, -0.45),
            (-inner - 0.02, -0.1),
            (-side + 0.03, 0.5),
            (-side, 1.2),
        ]
        return outer, opening + left[::-1], (0.30 if s.feminine <= 0 else 0.5)

    def _fringe_of_hair(self) -> Layer:
        grid, s = self.grid, self.s
        side = s.temple
        cover = np.zeros_like(grid.x)
        for sign in (1, -1):
            points = np.array(
                [
                    (side - 0.08, -0.85),
                    (side + 0.05, -0.8),
                    (side + 0.09, -0.2),
                    (side + 0.06, 0.25),
                    (side - 0.02, 0.22),
                    (side - 0.07, -0.3),
                ]
            )
            cover = np.maximum(cover, grid.polygon(points * (sign, 1), 0.03))
        return self._layer(0.9 * self._fray(cover, 0.4), 0.8, 0.9, hanging=False)

    def _strands(self, hanging: bool):
        """Coordinates across and along the hair."""
        x, y = self.grid.x, self.grid.y
        bend = 0.10 * self.grid.noise(0.6, 21)
        if self.style in ("waves", "curls"):
            amount = 0.10 if self.style == "waves" else 0.30
            bend = bend + amount * self.grid.noise(0.22, 22)
            bend = bend + 0.05 * np.sin(6.5 * y + 2 * self.grid.noise(1.0, 23))
        crown_y = -1.75
        if hanging:
            return 2.2 * (x + bend), y
        dx, dy = x - self.part, np.maximum(y - crown_y, 0) + 0.35
        radial = np.arctan2(dx, dy) * 1.6
        return radial * 1.6 + bend, np.hypot(dx, y - crown_y)

    def _fray(self, cover: np.ndarray, amount: float) -> np.ndarray:
        across, along = self._strands(hanging=False)
        ragged = self.grid.texture(across * 16, along * 4 + 60)
        if self.style == "curls":
            ragged = ragged + 1.2 * self.grid.noise(0.14, 24)
        cover = self.grid.blur(cover, 0.02)
        return _step(0.5 - amount / 2, 0.5 + amount / 2, cover + 0.16 * amount * ragged)

    def _layer(self, cover, lightness, occlusion, hanging) -> Layer:
        grid, s = self.grid, self.s
        across, along = self._strands(hanging)
        fine = grid.texture(across * 22, along * 1.6)
        broad = grid.texture(across * 6 + 90, along * 0.9)
        tone = np.clip(1 + 0.22 * fine + 0.22 * broad, 0.35, 1.8)
        shine = (
            np.exp(-(((along - 0.75 - 0.06 * broad) / 0.22) ** 2))
            if not hanging
            else 0.0
        )
        if self.style in ("buzz", "curls"):
            shine = 0.25 * shine
        colour = s.hair * (lightness * tone)[..., None]
        colour = (
            colour
            + (0.035 + 0.25 * s.hair)
            * (shine * np.clip(0.8 + 0.5 * fine, 0, 2))[..., None]
        )
        base = np.sqrt(np.clip(1.25 - (grid.x / 1.45) ** 2, 0.02, None))
        base = base - 0.35 * np.clip(-0.9 - grid.y, 0, 2) ** 2
        depth = grid.blur(base, 0.05) + 0.022 * broad + 0.008 * fine
        if self.style == "curls":
            depth = depth + 0.05 * grid.noise(0.16, 25)
        return Layer(colour.astype(np.float32), depth, cover, occlusion, 0.0)


def _normals(depth: np.ndarray, unit_px: float) -> np.ndarray:
    gy, gx = np.gradient(depth)
    gx, gy = -gx * unit_px, -gy * unit_px
    gx, gy = 1.6 * np.tanh(gx / 1.6), 1.6 * np.tanh(gy / 1.6)
    length = np.sqrt(gx * gx + gy * gy + 1)
    return np.stack([gx / length, gy / length, 1 / length], -1).astype(np.float32)


def _shade(layer: Layer, normals: np.ndarray, view: View) -> np.ndarray:
    """Soft key light, weak fill from the other side, light from above; in linear."""
    azimuth, elevation = (
        np.radians(view.light_azimuth),
        np.radians(view.light_elevation),
    )
    key = _direction(azimuth, elevation)
    fill = _direction(-azimuth * 1.3 + 0.15, 0.1)
    facing = normals @ key
    lit = np.clip((facing + 0.35) / 1.35, 0, 1) ** 1.15
    filled = np.clip((normals @ fill + 0.5) / 1.5, 0, 1)
    sky = 0.5 - 0.5 * normals[..., 1]
    occlusion = layer.occlusion
    warm = np.array([1 + 0.10 * view.warmth, 1.0, 1 - 0.12 * view.warmth], np.float32)
    # Light that has gone through skin is redder where the shadow begins.
    bleed = np.exp(-(((facing - 0.05) / 0.28) ** 2)) * 0.045
    light = (view.light_strength * lit * (0.35 + 0.65 * occlusion))[..., None] * warm
    light = light + (view.fill_strength * filled * occlusion * 0.55)[..., None]
    light = light + (0.26 * occlusion * (0.6 + 0.5 * sky))[..., None]
    light = light + bleed[..., None] * np.array([1.0, 0.15, 0.05], np.float32)
    flat = np.asarray(layer.shade_free, np.float32)[..., None]
    light = light * (1 - flat) + 0.95 * flat
    half = key + np.array([0, 0, 1], np.float32)
    half /= np.linalg.norm(half)
    highlight = np.clip(normals @ half, 0, 1) ** 22 * layer.gloss * view.light_strength
    return layer.colour * light + highlight[..., None]


def render(face: Face, view: View, background: np.ndarray) -> tuple[np.ndarray, dict]:
    """A picture of the face before a background.

    Args:
      background: [height_px, width_px, 3] float32 linear light.

    Returns:
      uint8 [height_px, width_px, 3] sRGB; and where each named point of the face
      lands, name -> (x, y) in pixels.
    """
    picture = place(face.lit(view), face, view)
    mixed = background * (1 - picture[..., 3:]) + picture[..., :3]
    return to_srgb(mixed), project(face.points, view)


def place(lit: np.ndarray, face: Face, view: View) -> np.ndarray:
    """The canvas [h, w, 4] as the view's camera sees it, [height_px, width_px, 4]."""
    over = 2  # samples a pixel and axis
    ys, xs = np.mgrid[: view.height_px * over, : view.width_px * over].astype(
        np.float32
    )
    px = (xs + 0.5) / over - view.centre_x_px
    py = (ys + 0.5) / over - view.centre_y_px
    c, s = np.cos(np.radians(view.roll)), np.sin(np.radians(view.roll))
    x = (c * px + s * py) / view.eye_distance_px
    y = (-s * px + c * py) / view.eye_distance_px
    shift_x, shift_y = np.sin(np.radians(view.yaw)), -np.sin(np.radians(view.pitch))
    unit = face.unit_px
    if shift_x or shift_y:
        depth = face.depth()
        source_x, source_y = x, y
        for _ in range(2):
            z = _sample(depth, source_x, source_y, unit) - 1.0
            source_x, source_y = x - shift_x * z, y - shift_y * z
        x, y = source_x, source_y
    channels = [_sample(lit[..., k], x, y, unit) for k in range(4)]
    full = np.stack(channels, -1)
    shape = (view.height_px, over, view.width_px, over, 4)
    return full.reshape(shape).mean(axis=(1, 3))


def project(points: dict, view: View) -> dict:
    """Named points (x, y, z) of the face in the view's pixels."""
    c, s = np.cos(np.radians(view.roll)), np.sin(np.radians(view.roll))
    shift_x, shift_y = np.sin(np.radians(view.yaw)), -np.sin(np.radians(view.pitch))
    projected = {}
    for name, (x, y, z) in points.items():
        x, y = x + shift_x * (z - 1), y + shift_y * (z - 1)
        projected[name] = (
            view.centre_x_px + view.eye_distance_px * (c * x - s * y) - 0.5,
            view.centre_y_px + view.eye_distance_px * (s * x + c * y) - 0.5,
        )
    return projected


def to_srgb(linear: np.ndarray) -> np.ndarray:
    """Linear light [.., 3] to sRGB uint8, bright parts rolled off softly."""
    bright = np.clip(linear, 0, None)
    bright = np.where(bright > 0.8, 0.8 + 0.2 * np.tanh((bright - 0.8) / 0.2), bright)
    return np.rint(255 * bright ** (1 / 2.2)).clip(0, 255).astype(np.uint8)


def draw_background(rng: np.random.Generator, width_px: int, height_px: int):
    """A wall or an unsharp room, [height_px, width_px, 3] float32 linear light."""
    ys, xs = np.mgrid[:height_px, :width_px].astype(np.float32)
    xs, ys = xs / width_px, ys / height_px
    hue, tone = rng.uniform(0, 1), rng.uniform(0.08, 0.45)
    base = tone * (1 + 0.35 * np.cos(2 * np.pi * (hue + np.array([0, 0.33, 0.67]))))
    slope = rng.uniform(-0.4, 0.4, size=2)
    wall = 1 + slope[0] * (xs - 0.5) + slope[1] * (ys - 0.5)
    wall = wall - 0.5 * ((xs - 0.5) ** 2 + (ys - 0.5) ** 2)
    picture = wall[..., None] * base
    for _ in range(int(rng.integers(0, 7))):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 0.9), rng.uniform(0.04, 0.25)
        spot = _step(1.15, 0.75, np.hypot(xs - cx, ys - cy) / radius)
        colour = base * rng.uniform(0.4, 2.0) * rng.uniform(0.7, 1.3, size=3)
        picture = picture + 0.5 * spot[..., None] * (colour - picture)
    return np.clip(picture, 0.01, 0.95).astype(np.float32)


def _sample(
    values: np.ndarray, x: np.ndarray, y: np.ndarray, unit: float
) -> np.ndarray:
    """Canvas values at coordinates in units, bilinear, edges repeated."""
    columns = (x - X_RANGE[0]) * unit - 0.5
    rows = (y - Y_RANGE[0]) * unit - 0.5
    return ndimage.map_coordinates(
        values, (rows, columns), order=1, mode="nearest", prefilter=False
    )


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    return np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            -np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ],
        np.float32,
    )


def _step(low: float, high: float, values):
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def _bump(x, y, centre_x, centre_y, sigma_x, sigma_y):
    return np.exp(
        -(((x - centre_x) / sigma_x) ** 2) / 2 * 1.4
        - (((y - centre_y) / sigma_y) ** 2) / 2 * 1.4
    )


def _over(colour: np.ndarray, paint, alpha: np.ndarray) -> np.ndarray:
    alpha = alpha[..., None]
    return (colour * (1 - alpha) + paint * alpha).astype(np.float32)


def _linear(srgb) -> np.ndarray:
    return (np.asarray(srgb, np.float32) / 255) ** 2.2


def _mix(palette, position: float) -> np.ndarray:
    """A colour along a palette, position in [0, 1], linear light."""
    position = float(np.clip(position, 0, 1)) * (len(palette) - 1)
    index = min(int(position), len(palette) - 2)
    rest = position - index
    first, second = _linear(palette[index]), _linear(palette[index + 1])
    return first * (1 - rest) + second * rest


@functools.lru_cache(maxsize=256)
def _closed_curve_cached(points: tuple) -> np.ndarray:
    points = np.array([*points, points[0]], np.float64)
    steps = np.maximum(np.hypot(*np.diff(points, axis=0).T), 1e-6)
    at = np.concatenate([[0], np.cumsum(np.sqrt(steps))])
    spline = interpolate.CubicSpline(at, points, bc_type="periodic")
    return spline(np.linspace(0, at[-1], 240))


def _closed_curve(points) -> np.ndarray:
    if len(points) > 50:
        return np.asarray(points)
    return _closed_curve_cached(tuple(map(tuple, np.asarray(points, float))))
