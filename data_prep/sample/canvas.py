"""The canvas of the sample faces: coordinates, random textures, layers and colors.

The unit of length is the distance between the centers of the eyes; x points right, y
down, z towards the camera, and the origin is midway between the eyes. In a normalized
photograph of 224 x 224 px a unit is 55 px and the origin is at about pixel (112, 104).

Coverage, depth and the like are float32 [h, w] on a window of the canvas; colors are
float32 [h, w, 3] in linear light, where 1 is a white surface in full light.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import interpolate, ndimage

Range = tuple[float, float]
Point = tuple[float, float]
Color = Sequence[float]

# The head is about 2 units wide and 3 high; the rest is for hair, shoulders and chest.
X_RANGE: Range = (-2.9, 2.9)
Y_RANGE: Range = (-2.4, 3.4)

# Interpolation averages neighboring values of a texture, which lowers their variance;
# these factors bring it back to about 1.
_NOISE_GAIN = 1.3
_TEXTURE_GAIN = 1.4
# Steeper slopes look the same. Real edges are vertical; they would receive no light.
_STEEPEST_SLOPE = 1.6
_SRGB_GAMMA = 2.2


class Grid:
    """A window of the canvas: the coordinates of its pixels, and random textures."""

    def __init__(
        self, unit_px: float, random: np.ndarray, x_range: Range, y_range: Range
    ):
        """Lays the window on the canvas.

        Args:
          unit_px: pixels a unit.
          random: [512, 512] float32, standard normal: one person's random values.
          x_range: left and right edge, units.
          y_range: upper and lower edge, units.
        """
        self.unit_px = unit_px
        self.random = random
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
        self.abs_x = np.abs(self.x)  # what depends on it is the same on both sides
        self.slices = (
            slice(self.top, self.top + self.height),
            slice(self.left, self.left + self.width),
        )

    def window(self, x_range: Range, y_range: Range) -> "Grid":
        """Another window of the same canvas."""
        return Grid(self.unit_px, self.random, x_range, y_range)

    def take(self, values: np.ndarray, source: "Grid") -> np.ndarray:
        """Cuts this window out of `values` on the window `source`; 0 outside that."""
        top, left = max(self.top, source.top), max(self.left, source.left)
        bottom = min(self.top + self.height, source.top + source.height)
        right = min(self.left + self.width, source.left + source.width)
        taken = np.zeros_like(self.x)
        if bottom > top and right > left:
            taken[
                top - self.top : bottom - self.top, left - self.left : right - self.left
            ] = values[
                top - source.top : bottom - source.top,
                left - source.left : right - source.left,
            ]
        return taken

    def noise(self, cell: float, seed: int) -> np.ndarray:
        """Smooth noise of about unit variance.

        Args:
          cell: size of its features, units.
          seed: each use has its own number, or two patterns of a face would agree.

        Returns:
          [h, w] float32.
        """
        across = self.width / self.unit_px / cell
        down = self.height / self.unit_px / cell
        # Primes: the parts that two seeds take overlap but do not coincide.
        rolled = np.roll(self.random, (-53 * seed, -97 * seed), (0, 1))
        coarse = Image.fromarray(rolled[: int(down) + 4, : int(across) + 4].copy())
        fine = coarse.resize(
            (self.width, self.height),
            Image.Resampling.BICUBIC,
            (1.0, 1.0, 1.0 + across, 1.0 + down),
        )
        return _NOISE_GAIN * np.asarray(fine)

    def texture(self, column: np.ndarray, row: np.ndarray) -> np.ndarray:
        """The person's random values at any coordinates, interpolated, periodic."""
        values = ndimage.map_coordinates(
            self.random, (row, column), order=1, mode="grid-wrap", prefilter=False
        )
        return _TEXTURE_GAIN * values

    def hill(self, center: Point, half_size: Point) -> np.ndarray:
        """A `bump` on the right half of the face and its mirror image on the left."""
        return bump(self.abs_x, self.y, center, half_size)

    def polygon(self, points: npt.ArrayLike, soft: float = 0.012) -> np.ndarray:
        """Coverage of a smooth closed curve.

        Args:
          points: [n, 2] (x, y) in units, in order along the curve.
          soft: blur of the edge, units.

        Returns:
          [h, w] float32 in [0, 1].
        """
        origin = (
            X_RANGE[0] + self.left / self.unit_px,
            Y_RANGE[0] + self.top / self.unit_px,
        )
        # Drawn at twice the size, because Pillow's polygons have jagged edges.
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
    """The material of one part of the picture, on a window of the canvas.

    Attributes:
      grid: the window, [h, w] pixels.
      color: [h, w, 3] reflectance.
      depth: [h, w] z of the surface, units.
      cover: [h, w] opacity in [0, 1].
      occlusion: [h, w] share of the ambient light that arrives.
      gloss: [h, w] strength of highlights.
      unlit: [h, w] share that is shown as it is, whatever the light.
    """

    grid: Grid
    color: np.ndarray
    depth: np.ndarray
    cover: np.ndarray
    occlusion: np.ndarray | float = 1.0
    gloss: np.ndarray | float = 0.0
    unlit: np.ndarray | float = 0.0

    def __post_init__(self) -> None:
        self.color = np.asarray(self.color, np.float32)

    @functools.cached_property
    def normals(self) -> np.ndarray:
        """[h, w, 3] unit vectors of the surface."""
        down, across = np.gradient(self.depth, 1 / self.grid.unit_px)
        across = -_STEEPEST_SLOPE * np.tanh(across / _STEEPEST_SLOPE)
        down = -_STEEPEST_SLOPE * np.tanh(down / _STEEPEST_SLOPE)
        length = np.sqrt(across**2 + down**2 + 1)
        return np.stack([across / length, down / length, 1 / length], -1)


def smoothstep(low: float, high: float, values: np.ndarray | float) -> np.ndarray:
    """The cubic Hermite step of graphics: 0 below `low`, 1 above `high`.

    Args:
      low: where it starts to rise.
      high: where it ends; less than `low` for a step down.
      values: any shape.

    Returns:
      The shape of `values`.
    """
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def bump(x: np.ndarray, y: np.ndarray, center: Point, half_size: Point) -> np.ndarray:
    """A rounded hill of height 1.

    Args:
      x: [h, w] coordinates.
      y: [h, w] coordinates.
      center: (x, y) of the top.
      half_size: how far right and down of the top the hill has half its height.

    Returns:
      [h, w].
    """
    (center_x, center_y), (half_width, half_height) = center, half_size
    # exp(-0.7) is about 1/2.
    return np.exp(
        -0.7
        * (((x - center_x) / half_width) ** 2 + ((y - center_y) / half_height) ** 2)
    )


def groove(distance: np.ndarray, width: float) -> np.ndarray:
    """A soft line: 1 where the distance from it is 0, 1/e at `width`."""
    return np.exp(-((distance / width) ** 2))


def rgb(*values: float) -> np.ndarray:
    """A linear color, [3] float32."""
    return np.array(values, np.float32)


def over(color: np.ndarray, paint: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Composites one color over another.

    Args:
      color: [h, w, 3], below.
      paint: [h, w, 3] or [3], above.
      alpha: [h, w] opacity of the paint.

    Returns:
      [h, w, 3].
    """
    return color + (paint - color) * alpha[..., None]


def linear(srgb: Color) -> np.ndarray:
    """8-bit sRGB values to linear light."""
    return (np.asarray(srgb, np.float32) / 255) ** np.float32(_SRGB_GAMMA)


def to_srgb(linear_light: np.ndarray) -> np.ndarray:
    """Linear light [.., 3] to sRGB uint8; bright parts are compressed, not cut off."""
    bright = np.clip(linear_light, 0, None)
    bright = np.where(bright > 0.8, 0.8 + 0.2 * np.tanh((bright - 0.8) / 0.2), bright)
    return np.rint(255 * bright ** (1 / _SRGB_GAMMA)).clip(0, 255).astype(np.uint8)


def mix(palette: Sequence[Color], position: float) -> np.ndarray:
    """The linear color at a position in [0, 1] along a palette of sRGB values."""
    position = float(np.clip(position, 0, 1)) * (len(palette) - 1)
    index = min(int(position), len(palette) - 2)
    rest = np.float32(position - index)
    return linear(palette[index]) * (1 - rest) + linear(palette[index + 1]) * rest


def mirrored(right: list[Point]) -> list[Point]:
    """A closed outline from its right half, which is given from top to bottom."""
    return right + [(-x, y) for x, y in reversed(right) if x]


def _smooth(points: npt.ArrayLike) -> np.ndarray:
    """A smooth closed curve through a few points, [240, 2]; dense curves stay."""
    points = np.asarray(points, np.float64)
    if len(points) > 50:  # the outline of the head, which is smooth already
        return points
    points = np.concatenate([points, points[:1]])
    steps = np.maximum(np.hypot(*np.diff(points, axis=0).T), 1e-6)
    # Centripetal: by the square root of the distance, a spline does not overshoot.
    knots = np.concatenate([[0], np.cumsum(np.sqrt(steps))])
    spline = interpolate.CubicSpline(knots, points, bc_type="periodic")
    return spline(np.linspace(0, knots[-1], 240))
