"""The canvas on which sample faces are made: coordinates, textures, layers, colours.

Units: the distance between the eyes' centres is 1; x to the right, y down, z towards
the camera, the origin midway between the eyes. Arrays are float32; colours are linear
light, [height, width, 3].
"""

import dataclasses
import functools
from typing import Union

import numpy as np
from PIL import Image, ImageDraw
from scipy import interpolate, ndimage

X_RANGE, Y_RANGE = (-2.9, 2.9), (-2.4, 3.4)


class Grid:
    """A window of the canvas: coordinates, and one person's random textures."""

    def __init__(self, unit_px: float, texture: np.ndarray, x_range, y_range):
        self.unit_px = unit_px
        self.random = texture  # [512, 512] float32, standard normal
        self.left = round((x_range[0] - X_RANGE[0]) * unit_px)
        self.top = round((y_range[0] - Y_RANGE[0]) * unit_px)
        self.width = round((x_range[1] - x_range[0]) * unit_px)
        self.height = round((y_range[1] - y_range[0]) * unit_px)
        columns = self.left + np.arange(self.width, dtype=np.float32) + 0.5
        rows = self.top + np.arange(self.height, dtype=np.float32) + 0.5
        self.x, self.y = np.meshgrid(
            X_RANGE[0] + columns / np.float32(unit_px),
            Y_RANGE[0] + rows / np.float32(unit_px),
        )
        self.ax = np.abs(self.x)
        self.where = (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    def window(self, x_range, y_range) -> "Grid":
        """Another window of the same canvas."""
        return Grid(self.unit_px, self.random, x_range, y_range)

    def take(self, values: np.ndarray, other: "Grid") -> np.ndarray:
        """Values on the `other` window as seen here, 0 where it does not reach."""
        top, left = max(self.top, other.top), max(self.left, other.left)
        bottom = min(self.top + self.height, other.top + other.height)
        right = min(self.left + self.width, other.left + other.width)
        taken = np.zeros_like(self.x)
        if bottom > top and right > left:
            taken[
                top - self.top : bottom - self.top, left - self.left : right - self.left
            ] = values[
                top - other.top : bottom - other.top,
                left - other.left : right - other.left,
            ]
        return taken

    def noise(self, cell: float, seed: int = 0) -> np.ndarray:
        """Smooth noise of about unit variance with features of about `cell` units."""
        across = self.width / self.unit_px / cell
        down = self.height / self.unit_px / cell
        rolled = np.roll(self.random, (-53 * seed, -97 * seed), (0, 1))
        coarse = Image.fromarray(rolled[: int(down) + 4, : int(across) + 4].copy())
        fine = coarse.resize(
            (self.width, self.height),
            Image.Resampling.BICUBIC,
            (1.0, 1.0, 1.0 + across, 1.0 + down),
        )
        return 1.3 * np.asarray(fine)

    def texture(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """The person's random texture at any coordinates, interpolated, periodic."""
        values = ndimage.map_coordinates(
            self.random, (v, u), order=1, mode="grid-wrap", prefilter=False
        )
        return 1.4 * values

    def polygon(self, points, soft: float = 0.012) -> np.ndarray:
        """Coverage of a smooth closed curve through `points` (units), soft edges."""
        origin = (
            X_RANGE[0] + self.left / self.unit_px,
            Y_RANGE[0] + self.top / self.unit_px,
        )
        pixels = (_smooth(points) - origin) * self.unit_px * 2
        image = Image.new("L", (2 * self.width, 2 * self.height))
        ImageDraw.Draw(image).polygon([tuple(p) for p in pixels], fill=255)
        return self.blur(np.asarray(image.reduce(2), np.float32) / 255, soft)

    def blur(self, values: np.ndarray, sigma: float) -> np.ndarray:
        """Gaussian blur, sigma in units."""
        return ndimage.gaussian_filter(
            values, sigma * self.unit_px, mode="nearest", truncate=3.0
        )

    def moved_down(self, values: np.ndarray, distance: float) -> np.ndarray:
        """Values shifted down by a distance in units, the top row repeated."""
        n = round(distance * self.unit_px)
        return np.concatenate([np.repeat(values[:1], n, 0), values[: len(values) - n]])


@dataclasses.dataclass
class Layer:
    """What one part of the picture is made of, on a window of the canvas."""

    grid: Grid
    colour: np.ndarray  # [h, w, 3] reflectance
    depth: np.ndarray  # [h, w]
    cover: np.ndarray  # [h, w] opacity
    occlusion: Union[np.ndarray, float] = 1.0  # share of the ambient light
    gloss: Union[np.ndarray, float] = 0.0  # strength of highlights
    unlit: Union[np.ndarray, float] = 0.0  # share shown as it is, whatever the light

    def __post_init__(self):
        self.colour = np.asarray(self.colour, np.float32)

    @functools.cached_property
    def normals(self) -> np.ndarray:
        """[h, w, 3] unit vectors; steep slopes are eased so that edges keep light."""
        down, across = np.gradient(self.depth, 1 / self.grid.unit_px)
        across, down = -1.6 * np.tanh(across / 1.6), -1.6 * np.tanh(down / 1.6)
        length = np.sqrt(across**2 + down**2 + 1)
        return np.stack([across / length, down / length, 1 / length], -1)


def step(low: float, high: float, values):
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bump(x, y, centre_x, centre_y, width, height):
    """A rounded hill of height 1; it falls to a half at 1.0 widths from its centre."""
    return np.exp(
        -0.7 * (((x - centre_x) / width) ** 2 + ((y - centre_y) / height) ** 2)
    )


def rgb(*values: float) -> np.ndarray:
    """A linear colour, [3] float32."""
    return np.array(values, np.float32)


def over(colour: np.ndarray, paint: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """`paint` laid over `colour` [h, w, 3] with opacity `alpha` [h, w]."""
    return colour + (paint - colour) * alpha[..., None]


def linear(srgb) -> np.ndarray:
    """8-bit sRGB values to linear light."""
    return (np.asarray(srgb, np.float32) / 255) ** np.float32(2.2)


def mix(palette, position: float) -> np.ndarray:
    """A colour along a palette of sRGB values, position in [0, 1], linear light."""
    position = float(np.clip(position, 0, 1)) * (len(palette) - 1)
    index = min(int(position), len(palette) - 2)
    rest = np.float32(position - index)
    return linear(palette[index]) * (1 - rest) + linear(palette[index + 1]) * rest


def mirrored(right: list) -> list:
    """A closed outline from its right half, given from top to bottom."""
    return right + [(-x, y) for x, y in reversed(right) if x]


def _smooth(points) -> np.ndarray:
    """A closed smooth curve through a few points, [240, 2]; dense curves stay."""
    points = np.asarray(points, np.float64)
    if len(points) > 50:
        return points
    points = np.concatenate([points, points[:1]])
    steps = np.maximum(np.hypot(*np.diff(points, axis=0).T), 1e-6)
    at = np.concatenate([[0], np.cumsum(np.sqrt(steps))])
    spline = interpolate.CubicSpline(at, points, bc_type="periodic")
    return spline(np.linspace(0, at[-1], 240))
