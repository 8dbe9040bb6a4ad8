"""Faces of generated people: a lit height field seen by a camera.

A face is a set of layers (back hair, body, ears, head, eyes, front hair), each with a
reflectance, a surface and a coverage (`sample_head`, `sample_hair`). `build` makes them
from a person's traits; `render` lights them and looks at them from a slightly turned
camera, and says where the eyes and the mouth truly are.

Units and colours as in `sample_canvas`, but for the result of `render`.
"""

import dataclasses
import functools
from typing import Sequence

import numpy as np
from scipy import ndimage

from data_prep import (
    sample_canvas,
    sample_hair,
    sample_head,
    sample_shape,
    sample_traits,
)


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


@dataclasses.dataclass(frozen=True)
class Face:
    """One face with one mouth opening; faces of one person share layers."""

    grid: sample_canvas.Grid  # the whole canvas
    layers: Sequence[sample_canvas.Layer]  # back to front
    points: dict  # name -> (x, y, z) in units

    @functools.cached_property
    def depth(self) -> np.ndarray:
        """[h, w] depth of the whole, smooth: what moves when the head turns."""
        total = np.zeros_like(self.grid.x)
        for layer in self.layers:
            part = total[layer.grid.where]
            part += (layer.depth - part) * layer.cover
        return self.grid.blur(total, 0.1)


def build(
    person: sample_traits.Person,
    unit_px: float,
    mouth_openings: Sequence[float] = (0.0,),
) -> list[Face]:
    """A person's face, once for each mouth opening (0 closed, 0.2 wide open)."""
    rng = sample_traits.generator(0, person.speaker_id, dataclasses.astuple(person))
    texture = rng.normal(size=(512, 512)).astype(np.float32)
    canvas = sample_canvas.Grid(
        unit_px, texture, sample_canvas.X_RANGE, sample_canvas.Y_RANGE
    )
    shapes = [sample_shape.Shape(person, opening) for opening in mouth_openings]
    heads = [sample_head.head(canvas, shape) for shape in shapes]
    hair = sample_hair.Hair(canvas, shapes[0], heads[0])
    front, back = hair.front(), hair.back()
    behind = [*back, *sample_hair.body(canvas, shapes[0], heads[0])]
    behind.append(sample_head.ears(canvas, shapes[0]))
    eyes = sample_head.eyes(canvas, shapes[0])
    for head in heads:
        hair.cast_shadow(front, head)
    return [
        Face(canvas, [*behind, head, eyes, *front], shape.points())
        for head, shape in zip(heads, shapes)
    ]


def render(face: Face, view: View, background: np.ndarray) -> tuple[np.ndarray, dict]:
    """A picture of the face before a background.

    Args:
      background: [height_px, width_px, 3] float32 linear light.

    Returns:
      uint8 [height_px, width_px, 3] sRGB; and where each named point of the face
      lands, name -> (x, y) in pixels.
    """
    (picture,) = photograph([face], view)
    mixed = background * (1 - picture[..., 3:]) + picture[..., :3]
    return to_srgb(mixed), project(face.points, view)


def photograph(faces: Sequence[Face], view: View) -> list[np.ndarray]:
    """Faces of one person, lit and seen alike, without background.

    Returns:
      for each [height_px, width_px, 4] float32 linear light, premultiplied.
    """
    lit = {}
    for layer in (layer for face in faces for layer in face.layers):
        if id(layer) not in lit:
            lit[id(layer)] = _shade(layer, view)
    x, y = _seen_from(view, faces[0])
    return [_place(_composed(face, lit), x, y, face, view) for face in faces]


def _composed(face: Face, lit: dict) -> np.ndarray:
    picture = np.zeros((face.grid.height, face.grid.width, 4), np.float32)
    for layer in face.layers:
        part = picture[layer.grid.where]
        cover = layer.cover[..., None]
        part *= 1 - cover
        part[..., :3] += lit[id(layer)] * cover
        part[..., 3:] += cover
    return picture


def _shade(layer: sample_canvas.Layer, view: View) -> np.ndarray:
    """Soft key light, weak fill from the other side, light from above; in linear."""
    normals, occlusion = layer.normals, np.float32(1) * layer.occlusion
    azimuth, elevation = np.radians((view.light_azimuth, view.light_elevation))
    key = _direction(azimuth, elevation)
    facing = normals @ key
    lit = np.clip((facing + 0.35) / 1.35, 0, 1) * (0.35 + 0.65 * occlusion)
    filled = np.clip((normals @ _direction(-1.3 * azimuth, 0.1) + 0.5) / 1.5, 0, 1)
    sky = 0.85 - 0.25 * normals[..., 1]
    neutral = (0.55 * view.fill_strength * filled + 0.26 * sky) * occlusion
    # Light that has gone through skin is redder where the shadow begins.
    bleed = 0.045 * np.exp(-(((facing - 0.05) / 0.28) ** 2))
    tint = sample_canvas.rgb(1 + 0.10 * view.warmth, 1.0, 1 - 0.12 * view.warmth)
    light = (view.light_strength * lit)[..., None] * tint
    light += neutral[..., None]
    light += bleed[..., None] * sample_canvas.rgb(1.0, 0.15, 0.05)
    if isinstance(layer.unlit, np.ndarray):
        light += (0.95 - light) * layer.unlit[..., None]
    colour = layer.colour * light
    if isinstance(layer.gloss, np.ndarray):
        half = key + sample_canvas.rgb(0, 0, 1)
        mirror = np.clip(normals @ (half / np.linalg.norm(half)), 0, 1) ** 22
        colour += (mirror * layer.gloss * view.light_strength)[..., None]
    return colour


def _seen_from(view: View, face: Face) -> tuple[np.ndarray, np.ndarray]:
    """Where on the canvas, in units, each sample of the view looks."""
    n = _samples_an_axis(view, face)
    rows, columns = np.mgrid[: view.height_px * n, : view.width_px * n]
    px = ((columns + 0.5) / n - view.centre_x_px).astype(np.float32)
    py = ((rows + 0.5) / n - view.centre_y_px).astype(np.float32)
    angle = np.radians(view.roll)
    c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    x = (c * px + s * py) / np.float32(view.eye_distance_px)
    y = (-s * px + c * py) / np.float32(view.eye_distance_px)
    across, down = _parallax(view)
    if not across and not down:
        return x, y
    source_x, source_y = x, y
    for _ in range(2):
        z = _sample(face.depth, source_x, source_y, face.grid.unit_px) - 1.0
        source_x, source_y = x - across * z, y - down * z
    return source_x, source_y


def _samples_an_axis(view: View, face: Face) -> int:
    return 2 if face.grid.unit_px > 1.25 * view.eye_distance_px else 1


def _place(lit: np.ndarray, x, y, face: Face, view: View) -> np.ndarray:
    """The canvas [h, w, 4] as the view's camera sees it, [height_px, width_px, 4]."""
    n, unit = _samples_an_axis(view, face), face.grid.unit_px
    seen = np.stack([_sample(lit[..., k], x, y, unit) for k in range(4)], -1)
    if n == 1:
        return seen
    return seen.reshape(view.height_px, n, view.width_px, n, 4).mean(axis=(1, 3))


def _parallax(view: View) -> tuple[float, float]:
    """How far a point moves, in units, for each unit of depth."""
    yaw, pitch = np.radians((view.yaw, view.pitch))
    return float(np.sin(yaw)), -float(np.sin(pitch))


def project(points: dict, view: View) -> dict:
    """Named points (x, y, z) of the face in the view's pixels."""
    c, s = np.cos(np.radians(view.roll)), np.sin(np.radians(view.roll))
    across, down = _parallax(view)
    projected = {}
    for name, (x, y, z) in points.items():
        x, y = x + across * (z - 1), y + down * (z - 1)
        projected[name] = (
            float(view.centre_x_px + view.eye_distance_px * (c * x - s * y) - 0.5),
            float(view.centre_y_px + view.eye_distance_px * (s * x + c * y) - 0.5),
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
        spot = sample_canvas.step(1.15, 0.75, np.hypot(xs - cx, ys - cy) / radius)
        colour = base * rng.uniform(0.4, 2.0) * rng.uniform(0.7, 1.3, size=3)
        picture = picture + 0.5 * spot[..., None] * (colour - picture)
    return np.clip(picture, 0.01, 0.95).astype(np.float32)


def _sample(
    values: np.ndarray, x: np.ndarray, y: np.ndarray, unit: float
) -> np.ndarray:
    """Canvas values at coordinates in units, bilinear, edges repeated."""
    columns = (x - sample_canvas.X_RANGE[0]) * unit - 0.5
    rows = (y - sample_canvas.Y_RANGE[0]) * unit - 0.5
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
