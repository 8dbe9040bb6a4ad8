"""Faces of generated people: layers on a canvas, back to front.

A face is a height field cut into layers (hair behind, body, ears, head, eyes, hair in
front), each with a reflectance, a surface and a coverage. `build` makes them from a
person's traits, in the units of `canvas`; `camera` lights and photographs them.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from data_prep.sample import body, shape
from data_prep.sample.canvas import X_RANGE, Y_RANGE, Grid, Layer
from data_prep.sample.eyes import eyes
from data_prep.sample.hair import Hair
from data_prep.sample.head import head
from data_prep.sample.traits import Person, generator

_TEXTURE_PX = 512  # side of a person's random values; large enough for every noise


@dataclasses.dataclass(frozen=True)
class Face:
    """One face with one mouth opening; faces of one person share layers.

    Attributes:
      grid: the whole canvas.
      layers: back to front.
      points: name of a landmark -> (x, y, z) in units.
    """

    grid: Grid
    layers: Sequence[Layer]
    points: dict[str, tuple[float, float, float]]

    @functools.cached_property
    def depth(self) -> np.ndarray:
        """[h, w] z of the whole, blurred: how far its points move in a turned head."""
        total = np.zeros_like(self.grid.x)
        for layer in self.layers:
            part = total[layer.grid.slices]
            part += (layer.depth - part) * layer.cover
        return self.grid.blur(total, 0.1)  # steps of depth would tear the picture


def build(
    person: Person, unit_px: float, mouth_openings: Sequence[float] = (0.0,)
) -> list[Face]:
    """Makes a person's face, once for each mouth opening.

    Args:
      person: the traits, of which the face is a function.
      unit_px: how finely the canvas is drawn, pixels a unit.
      mouth_openings: how far the jaw is down, units; 0 closed, 0.2 wide open.

    Returns:
      A face for each opening.
    """
    rng = generator(0, person.speaker_id, dataclasses.astuple(person))
    texture = rng.normal(size=(_TEXTURE_PX, _TEXTURE_PX)).astype(np.float32)
    canvas = Grid(unit_px, texture, X_RANGE, Y_RANGE)
    shapes = [shape.measure(person, opening) for opening in mouth_openings]
    heads = [head(canvas, one) for one in shapes]
    # Only the head changes with the mouth; the rest is drawn once.
    hair = Hair(canvas, shapes[0], heads[0])
    in_front = hair.front()
    behind = [
        *hair.back(),
        *body.neck_and_clothes(canvas, shapes[0], heads[0]),
        body.ears(canvas, shapes[0]),
    ]
    both_eyes = eyes(canvas, shapes[0])
    for skin in heads:
        hair.cast_shadow(in_front, skin)
    return [
        Face(canvas, [*behind, skin, both_eyes, *in_front], one.points())
        for skin, one in zip(heads, shapes)
    ]
