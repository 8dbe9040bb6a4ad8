"""Bilinear sampling of images at displaced pixels."""

from typing import Any

import keras
import numpy as np
from keras import ops

from speech2face.models.fast import gather


def sample(
    images: keras.KerasTensor, displacements: keras.KerasTensor
) -> keras.KerasTensor:
    """Reads `images` bilinearly at every pixel's place plus its displacement.

    Args:
      images: [batch, height, width, channels] float.
      displacements: [batch, 2, height, width] float, x then y, in pixels.

    Returns:
      [batch, height, width, channels] float; beyond the border the border's color.
    """
    _, height, width, n_channels = images.shape
    ys, xs = np.mgrid[:height, :width].astype("float32")
    x, y = xs + displacements[:, 0], ys + displacements[:, 1]
    x, y = ops.clip(x, 0.0, width - 1.0), ops.clip(y, 0.0, height - 1.0)
    # At the last pixel the left neighbor is the one before, so that a right one exists.
    left = ops.stop_gradient(ops.minimum(ops.floor(x), width - 2.0))
    top = ops.stop_gradient(ops.minimum(ops.floor(y), height - 2.0))
    # One share for each channel, by a product: its gradient is a product, too, while
    # that of a broadcast is a sum over the last axis, three times as slow.
    every_channel = np.ones((1, n_channels), "float32")
    right_share = ops.matmul((x - left)[..., None], every_channel)
    bottom_share = ops.matmul((y - top)[..., None], every_channel)
    colors = ops.reshape(images, (-1, n_channels))  # [b * h * w, c]
    first = ops.arange(ops.shape(images)[0], dtype="int32") * (height * width)
    index = ops.cast(top, "int32") * width + ops.cast(left, "int32")
    index = index + first[:, None, None]

    def mix_of_row(index: Any) -> Any:
        """Mixes the color at `index` and its right neighbor's, [b, h, w, c]."""
        left_color = gather.rows(colors, index)
        right_color = gather.rows(colors, index + 1)
        return left_color + (right_color - left_color) * right_share

    upper, lower = mix_of_row(index), mix_of_row(index + width)
    return upper + (lower - upper) * bottom_share
