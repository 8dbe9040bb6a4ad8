"""Small changes of a decoded face before the recognizer sees it.

A recognizer rewards patterns that no person sees: pixels that raise its cosine without
making the face more like anybody. Such a pattern is fitted to one grid and one scale.
It does not survive another place, size, light or compression. A decoder whose faces are
changed anew at each step therefore gets its reward only for what every version of the
face shows. docs/decisions/recognizer-jitter.md
"""

import tensorflow as tf

# At strength 1; place and size as standard deviations, the rest as limits.
# Not in the papers: docs/decisions/recognizer-jitter.md.
SHIFT_PX, SCALE = 3.0, 0.06
CONTRAST, BRIGHTNESS, TINT = 0.15, 16.0, 8.0  # a factor; of 255; of 255, each color
MAX_NOISE = 6.0  # of 255, standard deviation


def jittered(
    images: tf.Tensor, landmarks: tf.Tensor, strength: float, seed: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Changes faces at random, a function of `seed`.

    Place and size are changed through the landmarks alone: the recognizer cuts the face
    out by them, so no pixel is resampled twice.

    Args:
      images: [b, h, w, 3] float32, 0..255.
      landmarks: [b, n, 2] (x, y) px in them.
      strength: factor on all changes; 0 changes nothing.
      seed: [2] integers.

    Returns:
      Images in 0..255 and landmarks of the same shapes. Both carry gradients.
    """
    n = tf.shape(images)[0]

    def uniform(shape: list, number: int) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, tf.add(seed, [0, number]), -1.0, 1.0)

    def normal(shape: list, number: int) -> tf.Tensor:
        return tf.random.stateless_normal(shape, tf.add(seed, [0, number]))

    middle = tf.reduce_mean(landmarks, axis=1, keepdims=True)
    scale = 1.0 + strength * SCALE * normal([n, 1, 1], 0)
    shift = strength * SHIFT_PX * normal([n, 1, 2], 1)
    landmarks = middle + (landmarks - middle) * scale + shift

    blur_share = tf.abs(uniform([n, 1, 1, 1], 2)) * tf.minimum(strength, 1.0)
    images += blur_share * (_blurred(images) - images)
    mean = tf.reduce_mean(images, axis=[1, 2, 3], keepdims=True)
    contrast = 1.0 + strength * CONTRAST * uniform([n, 1, 1, 1], 3)
    brightness = strength * BRIGHTNESS * uniform([n, 1, 1, 1], 4)
    tint = strength * TINT * uniform([n, 1, 1, 3], 5)
    images = mean + (images - mean) * contrast + brightness + tint
    noise_level = strength * MAX_NOISE * tf.abs(uniform([n, 1, 1, 1], 6))
    images += noise_level * normal(tf.shape(images), 7)
    return tf.clip_by_value(images, 0.0, 255.0), landmarks


def _blurred(images: tf.Tensor) -> tf.Tensor:
    """Binomial blur of 5 x 5 px, [b, h, w, 3]; the border is reflected."""
    for axis in (1, 2):
        for _ in range(2):
            images = _mean_of_neighbors(images, axis)
    return images


def _mean_of_neighbors(images: tf.Tensor, axis: int) -> tf.Tensor:
    """(1, 2, 1) / 4 along an axis; the border is repeated."""
    last = images.shape[axis] - 1
    places = list(range(last + 1))
    before = tf.gather(images, [0, *places[:-1]], axis=axis)
    after = tf.gather(images, [*places[1:], last], axis=axis)
    return (before + 2.0 * images + after) / 4.0
