"""Photographs of generated faces: light, a slightly turned camera, a background.

A face comes in the units of `canvas`; a `View` says where on the picture it lies, in
pixels. Colors are linear light until `to_srgb`. A turn of the head is a parallax: each
point moves in proportion to its depth, which looks right up to about 10 degrees.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from scipy import ndimage

from data_prep.sample.canvas import X_RANGE, Y_RANGE, Layer, rgb, smoothstep, to_srgb
from data_prep.sample.faces import Face

_FACE_Z = 1.0  # depth of the plane that stays in place when the head turns
MIDDLE = (0.0, 0.55, _FACE_Z)  # of the face, on the nose: units

# How far light reaches around a surface that is turned away, as through skin.
_WRAP = 0.35
_SHININESS = 22  # exponent of Blinn-Phong highlights: moist skin


@dataclasses.dataclass(frozen=True)
class View:
    """Camera and light of one picture; angles in degrees, light 1 in a normal photo."""

    width_px: int
    height_px: int
    eye_distance_px: float
    center_x_px: float  # where the point midway between the eyes lands
    center_y_px: float
    roll: float = 0.0
    yaw: float = 0.0
    pitch: float = 0.0
    light_azimuth: float = -25.0
    light_elevation: float = 35.0
    light_strength: float = 1.0
    fill_strength: float = 0.5
    warmth: float = 0.0  # color of the light, from -1 bluish to 1 yellowish


def render(
    face: Face, view: View, background: np.ndarray
) -> tuple[np.ndarray, dict[str, tuple[float, float]]]:
    """A picture of the face before a background.

    Args:
      face: a face of `faces.build`.
      view: camera and light.
      background: [height_px, width_px, 3] float32 linear light.

    Returns:
      uint8 [height_px, width_px, 3] sRGB; and where each named point of the face
      lands, name -> (x, y) in pixels.
    """
    (picture,) = photograph([face], view)
    mixed = background * (1 - picture[..., 3:]) + picture[..., :3]
    return to_srgb(mixed), project(face.points, view)


def photograph(faces: Sequence[Face], view: View) -> list[np.ndarray]:
    """Faces of one person in the same light and view, without a background.

    Returns:
      for each [height_px, width_px, 4] float32 linear light, premultiplied.
    """
    lit: dict[int, np.ndarray] = {}  # faces share layers; each is lit once
    for layer in (layer for face in faces for layer in face.layers):
        if id(layer) not in lit:
            lit[id(layer)] = _light(layer, view)
    x, y = _canvas_coordinates(view, faces[0])
    return [_resampled(_composed(face, lit), x, y, face, view) for face in faces]


def project(
    points: Mapping[str, tuple[float, float, float]], view: View
) -> dict[str, tuple[float, float]]:
    """Where named points (x, y, z) in units land, in the view's pixels."""
    c, s = np.cos(np.radians(view.roll)), np.sin(np.radians(view.roll))
    across, down = _parallax(view)
    projected = {}
    for name, (x, y, z) in points.items():
        seen_x, seen_y = x + across * (z - _FACE_Z), y + down * (z - _FACE_Z)
        column = view.eye_distance_px * (c * seen_x - s * seen_y)
        row = view.eye_distance_px * (s * seen_x + c * seen_y)
        # Pixel 0 has its center at 0.5.
        projected[name] = (
            float(view.center_x_px + column - 0.5),
            float(view.center_y_px + row - 0.5),
        )
    return projected


def draw_background(
    rng: np.random.Generator, width_px: int, height_px: int
) -> np.ndarray:
    """Draws a wall or an out-of-focus room.

    Args:
      rng: decides how it looks.
      width_px: width of the picture.
      height_px: height of the picture.

    Returns:
      [height_px, width_px, 3] float32 linear light.
    """
    ys, xs = np.mgrid[:height_px, :width_px].astype(np.float32)
    xs, ys = xs / width_px, ys / height_px
    hue, tone = rng.uniform(0, 1), rng.uniform(0.08, 0.45)
    base = tone * (1 + 0.35 * np.cos(2 * np.pi * (hue + np.array([0, 0.33, 0.67]))))
    slope = rng.uniform(-0.4, 0.4, size=2)
    wall = 1 + slope[0] * (xs - 0.5) + slope[1] * (ys - 0.5)
    wall = wall - 0.5 * ((xs - 0.5) ** 2 + (ys - 0.5) ** 2)  # darker corners
    picture = wall[..., None] * base
    # Blurred disks: lamps, furniture, people.
    for _ in range(int(rng.integers(0, 7))):
        cx, cy, radius = rng.uniform(0, 1), rng.uniform(0, 0.9), rng.uniform(0.04, 0.25)
        disk = smoothstep(1.15, 0.75, np.hypot(xs - cx, ys - cy) / radius)
        color = base * rng.uniform(0.4, 2.0) * rng.uniform(0.7, 1.3, size=3)
        picture = picture + 0.5 * disk[..., None] * (color - picture)
    return np.clip(picture, 0.01, 0.95).astype(np.float32)


def _composed(face: Face, lit: Mapping[int, np.ndarray]) -> np.ndarray:
    """The whole canvas, [h, w, 4] linear light, premultiplied."""
    picture = np.zeros((face.grid.height, face.grid.width, 4), np.float32)
    for layer in face.layers:
        part = picture[layer.grid.slices]
        cover = layer.cover[..., None]
        part *= 1 - cover
        part[..., :3] += lit[id(layer)] * cover
        part[..., 3:] += cover
    return picture


def _light(layer: Layer, view: View) -> np.ndarray:
    """Soft key light, weak fill from the other side, light from above: [h, w, 3]."""
    normals, occlusion = layer.normals, np.float32(1) * layer.occlusion
    azimuth, elevation = np.radians((view.light_azimuth, view.light_elevation))
    key = _direction(azimuth, elevation)
    facing = normals @ key
    lit = np.clip((facing + _WRAP) / (1 + _WRAP), 0, 1) * (0.35 + 0.65 * occlusion)
    filled = np.clip((normals @ _direction(-1.3 * azimuth, 0.1) + 0.5) / 1.5, 0, 1)
    sky = 0.85 - 0.25 * normals[..., 1]
    neutral = (0.55 * view.fill_strength * filled + 0.26 * sky) * occlusion
    # Light that has gone through skin is redder where the shadow begins.
    bleed = 0.045 * np.exp(-(((facing - 0.05) / 0.28) ** 2))
    tint = rgb(1 + 0.10 * view.warmth, 1.0, 1 - 0.12 * view.warmth)
    light = (view.light_strength * lit)[..., None] * tint
    light += neutral[..., None]
    light += bleed[..., None] * rgb(1.0, 0.15, 0.05)
    if isinstance(layer.unlit, np.ndarray):
        light += (0.95 - light) * layer.unlit[..., None]
    color = layer.color * light
    if isinstance(layer.gloss, np.ndarray):
        half = key + rgb(0, 0, 1)  # between the lamp and the camera
        mirror = normals @ (half / np.linalg.norm(half))
        mirror = np.clip(mirror, 0, 1) ** _SHININESS
        color += (mirror * layer.gloss * view.light_strength)[..., None]
    return color


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    """[3] float32 unit vector towards a lamp; angles in radians."""
    return np.array(
        [
            np.sin(azimuth) * np.cos(elevation),
            -np.sin(elevation),
            np.cos(azimuth) * np.cos(elevation),
        ],
        np.float32,
    )


def _parallax(view: View) -> tuple[float, float]:
    """How far a point moves, in units, for each unit of depth."""
    yaw, pitch = np.radians((view.yaw, view.pitch))
    return float(np.sin(yaw)), -float(np.sin(pitch))


def _canvas_coordinates(view: View, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Which point (x, y) of the canvas, in units, each sample of the view shows."""
    n = _samples_an_axis(view, face)
    rows, columns = np.mgrid[: view.height_px * n, : view.width_px * n]
    px = ((columns + 0.5) / n - view.center_x_px).astype(np.float32)
    py = ((rows + 0.5) / n - view.center_y_px).astype(np.float32)
    angle = np.radians(view.roll)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x = (c * px + s * py) / np.float32(view.eye_distance_px)
    y = (-s * px + c * py) / np.float32(view.eye_distance_px)
    across, down = _parallax(view)
    if not across and not down:
        return x, y
    # How far a point moved depends on the depth where it came from: two fixed-point
    # steps find it within a fraction of a pixel.
    source_x, source_y = x, y
    for _ in range(2):
        z = _sample(face.depth, source_x, source_y, face.grid.unit_px) - _FACE_Z
        source_x, source_y = x - across * z, y - down * z
    return source_x, source_y


def _samples_an_axis(view: View, face: Face) -> int:
    """Samples of a pixel across and down: 2 where the canvas is finer than the view."""
    return 2 if face.grid.unit_px > 1.25 * view.eye_distance_px else 1


def _resampled(
    lit: np.ndarray, x: np.ndarray, y: np.ndarray, face: Face, view: View
) -> np.ndarray:
    """The canvas [h, w, 4] as the view's camera sees it, [height_px, width_px, 4]."""
    n, unit_px = _samples_an_axis(view, face), face.grid.unit_px
    seen = np.stack([_sample(lit[..., k], x, y, unit_px) for k in range(4)], -1)
    if n == 1:
        return seen
    return seen.reshape(view.height_px, n, view.width_px, n, 4).mean(axis=(1, 3))


def _sample(
    values: np.ndarray, x: np.ndarray, y: np.ndarray, unit_px: float
) -> np.ndarray:
    """Canvas values at coordinates in units, bilinear, edges repeated."""
    columns = (x - X_RANGE[0]) * unit_px - 0.5
    rows = (y - Y_RANGE[0]) * unit_px - 0.5
    return ndimage.map_coordinates(
        values, (rows, columns), order=1, mode="nearest", prefilter=False
    )
