"""Faces larger than their textures: the warp at the size that is asked for.

A face is a texture of 224 x 224 px and landmarks, which have no size. Enlarging the
finished picture would also enlarge the steps of its outlines. Here the texture is
enlarged smoothly and then warped, pixel by pixel of the large picture.
docs/decisions/image-size.md
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from speech2face.models.warp import MOVE_TOGETHER_PX, NODE_STEP_PX, SplineWarp
from speech2face.paper import FACE_PX

_SHARPNESS = -0.5  # of Keys' cubic kernel: reproduces quadratic functions


def at_size(decoder: keras.Model, size_px: int) -> keras.Model:
    """Returns a face decoder that draws larger pictures and shares all weights.

    Args:
      decoder: a model of `face_decoder.build_face_decoder`.
      size_px: side of its pictures; 224 returns `decoder` itself.

    Returns:
      A model with the same outputs, of which image is [b, size_px, size_px, 3] and
      landmarks are in pixels of that image.
    """
    if size_px == FACE_PX:
        return decoder
    scale = size_px / FACE_PX
    warp = decoder.get_layer("warp")
    outputs = dict(decoder.output)
    outputs["landmarks"] = keras.layers.Rescaling(
        scale, offset=_in_larger(0.0, scale), dtype="float32", name="landmarks_in_image"
    )(outputs["landmarks"])
    larger_warp = SplineWarp(
        _in_larger(warp.source_points, scale),
        warp.order,
        name="larger_warp",
        move_together_px=MOVE_TOGETHER_PX * scale,
        # The same nodes, so that the larger face is bent like the usual one.
        node_step_px=round(NODE_STEP_PX * scale),
    )
    texture = LargerTexture(size_px, name="larger_texture")(outputs["texture"])
    outputs["image"] = larger_warp((texture, outputs["landmarks"]))
    return keras.Model(decoder.input, outputs, name=f"face_decoder_{size_px}")


def _in_larger(place: Any, scale: float) -> Any:
    """A place in px of an image, in px of that image enlarged; centers are whole px."""
    return (place + 0.5) * scale - 0.5


@keras.saving.register_keras_serializable("speech2face")
class LargerTexture(keras.layers.Layer):
    """Enlarges square textures bicubically and clips them to [0, 1].

    Two products with a fixed matrix, which every runtime has, unlike a bicubic resize.
    """

    def __init__(self, size_px: int, name: str | None = None):
        """Takes the new side in pixels."""
        super().__init__(name=name, dtype="float32", trainable=False)
        self.size_px = size_px

    def call(self, texture: Any) -> Any:
        """[b, h, h, 3] -> [b, size_px, size_px, 3]."""
        mix = bicubic_mix(texture.shape[1], self.size_px)
        # [b, h, w, c] -> [b, c, h, w]
        planes = ops.transpose(texture, (0, 3, 1, 2))
        planes = ops.matmul(ops.matmul(mix, planes), mix.T)
        return ops.clip(ops.transpose(planes, (0, 2, 3, 1)), 0.0, 1.0)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"name": self.name, "size_px": self.size_px}


def bicubic_mix(from_px: int, to_px: int) -> np.ndarray:
    """Returns the weights of bicubic interpolation along an axis (Keys 1981).

    Args:
      from_px: pixels that there are.
      to_px: pixels that are wanted.

    Returns:
      [to_px, from_px] float32; the border is repeated.
    """
    places = (np.arange(to_px) + 0.5) * from_px / to_px - 0.5
    nearest = np.floor(places).astype(int)
    mix = np.zeros([to_px, from_px])
    for offset in (-1, 0, 1, 2):
        taken = np.clip(nearest + offset, 0, from_px - 1)
        weights = _keys(np.abs(places - (nearest + offset)))
        np.add.at(mix, (np.arange(to_px), taken), weights)
    return mix.astype("float32")


def _keys(distance: np.ndarray) -> np.ndarray:
    """Keys' cubic kernel at distances 0..2, in pixels."""
    d, a = distance, _SHARPNESS
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = ((a * d - 5 * a) * d + 8 * a) * d - 4 * a
    return np.where(d <= 1, near, far)
