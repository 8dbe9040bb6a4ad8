"""dlib's face chip as a differentiable function: the input of dlib's recognizer.

dlib's face recognition network sees a face turned upright and scaled to 150 x 150 px,
by the similarity that fits its landmarks best to a mean face. `align_to_chip` does what
`dlib.get_face_chip(image, landmarks, size=150, padding=0.25)` does, for batches, on any
device, with a gradient with respect to the image and the landmarks.
"""

from typing import Any

import keras
import numpy as np

CHIP_PX = 150
CHIP_PADDING = 0.25  # around the mean face, in face widths
# The landmarks that take part: nose, eyes, upper lip.
ALIGNED_LANDMARKS = (*range(27, 55), *range(60, 65))
# The mean face to which dlib aligns, (x, y) in face widths, at those landmarks.
# Measured from `dlib.get_face_chip_details`, which is linear in the landmarks;
# tests/speech2face/recognizers/test_dlib_alignment.py compares it with ours.
# fmt: off
MEAN_FACE = (
    (0.490127, 0.203352), (0.490127, 0.307009), (0.490127, 0.409805),
    (0.490127, 0.515625), (0.366880, 0.587326), (0.426036, 0.609345),
    (0.490127, 0.628106), (0.554217, 0.609345), (0.613373, 0.587326),
    (0.121737, 0.216423), (0.187122, 0.178758), (0.265825, 0.179852),
    (0.334606, 0.231733), (0.260918, 0.245099), (0.182743, 0.244077),
    (0.645647, 0.231733), (0.714428, 0.179852), (0.793132, 0.178758),
    (0.858516, 0.216423), (0.797510, 0.244077), (0.719335, 0.245099),
    (0.254149, 0.780233), (0.340985, 0.745405), (0.428858, 0.727388),
    (0.490127, 0.742578), (0.551395, 0.727388), (0.639268, 0.745405),
    (0.726104, 0.780233), (0.290379, 0.784792), (0.428096, 0.778746),
    (0.490127, 0.785343), (0.552157, 0.778746), (0.689874, 0.784792),
)
# fmt: on


def align_to_chip(images: Any, landmarks: Any) -> Any:
    """dlib's `get_face_chip(size=150, padding=0.25)` as a differentiable function.

    The least-squares similarity from the mean face to the landmarks (nose, eyes, upper
    lip), then bilinear sampling; black outside the image. dlib first halves images in
    which the face is more than twice the chip; at 224 px no face is that large.

    Args:
      images: [n, height, width, 3], 0..255, numpy or a tensor.
      landmarks: [n, k, 2] (x, y) px.

    Returns:
      [n, 150, 150, 3] float32 tensor.
    """
    images = keras.ops.cast(images, "float32")
    rotation, center = _similarity(keras.ops.cast(landmarks, "float32"))
    # dlib's chip is a rectangle of 150 s px, whose corner pixels are 150 s - 1 apart.
    # The small term keeps the gradient of the root finite where all landmarks coincide.
    scale = keras.ops.sqrt(keras.ops.sum(rotation**2, axis=-1, keepdims=True) + 1e-12)
    step = rotation * (CHIP_PX - 1 / scale) / (CHIP_PX - 1)
    ramp = np.arange(CHIP_PX, dtype=np.float32) - (CHIP_PX - 1) / 2
    u, v = (grid.reshape(1, -1) for grid in np.meshgrid(ramp, ramp))  # [1, 150 * 150]
    cosine, sine = step[:, :1], step[:, 1:]
    x = center[:, :1] + cosine * u - sine * v  # [n, 150 * 150]
    y = center[:, 1:] + sine * u + cosine * v
    chips = _sample_bilinear(images, x, y)
    # dlib truncates to an integer. So does the value here, while the gradient passes
    # unchanged; 1e-4 keeps whole numbers that rounding moved just below themselves.
    chips += keras.ops.stop_gradient(keras.ops.floor(chips + 1e-4) - chips)
    # [n, 150 * 150, 3] -> [n, 150, 150, 3]
    return keras.ops.reshape(chips, (-1, CHIP_PX, CHIP_PX, 3))


def _similarity(landmarks: Any) -> tuple[Any, Any]:
    """Fits the similarity from chip to image by least squares.

    Returns:
      (s cos, s sin) [n, 2], and the place of the chip's center in the image [n, 2] px,
      for landmarks [n, k, 2] px.
    """
    chip = np.array(MEAN_FACE) + CHIP_PADDING
    chip *= CHIP_PX / (1 + 2 * CHIP_PADDING)  # face widths -> px of the chip
    chip_mean = chip.mean(0)
    p = chip - chip_mean
    norm = np.sum(p**2)
    # [66, 2]: contracts the (x, y) of all points to (s cos, s sin)
    fit = np.stack([p, np.stack([-p[:, 1], p[:, 0]], -1)], -1).reshape(-1, 2) / norm
    points = keras.ops.take(landmarks, np.array(ALIGNED_LANDMARKS, np.int32), axis=1)
    mean = keras.ops.mean(points, axis=1)
    # [n, 33, 2] -> [n, 66]
    flat = keras.ops.reshape(points - mean[:, None], (-1, 2 * len(p)))
    rotation = keras.ops.matmul(flat, fit.astype(np.float32))
    dx, dy = (CHIP_PX / 2 - chip_mean).astype(np.float32)
    cosine, sine = rotation[:, 0], rotation[:, 1]
    shift = keras.ops.stack([cosine * dx - sine * dy, sine * dx + cosine * dy], axis=-1)
    return rotation, mean + shift


def _sample_bilinear(images: Any, x: Any, y: Any) -> Any:
    """Samples images at points; 0 outside. [n, h, w, c], [n, k] px -> [n, k, c]"""
    ops = keras.ops
    height, width, channels = images.shape[1:]
    pixels = ops.reshape(images, (-1, channels))  # [n, h, w, c] -> [n * h * w, c]
    left = ops.clip(ops.floor(x), 0, width - 2)
    top = ops.clip(ops.floor(y), 0, height - 2)
    first = ops.arange(ops.shape(images)[0], dtype="int32") * (height * width)
    start = first[:, None] + ops.cast(top * width + left, "int32")
    x_share, y_share = (x - left)[..., None], (y - top)[..., None]
    upper = _mix(ops.take(pixels, start, 0), ops.take(pixels, start + 1, 0), x_share)
    start += width
    lower = _mix(ops.take(pixels, start, 0), ops.take(pixels, start + 1, 0), x_share)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    return ops.where(inside[..., None], _mix(upper, lower, y_share), 0.0)


def _mix(first: Any, second: Any, share: Any) -> Any:
    return first + (second - first) * share
