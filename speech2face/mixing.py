"""Blends of faces as further training examples of the face decoder.

A voice says less about a face than a photograph, so the features that the voice encoder
predicts are shorter, nearer to the average face, than any the decoder learns from, and
a decoder trained on photographs alone draws grey fog for them. Mixing fills the space
between faces: feature, landmarks and texture of an example become the same weighted
mean over its batch. Textures are all on the mean landmarks, so a mean of textures is a
face (Cole et al. 2017 morph near neighbours; this needs no neighbours and no files).
"""

from typing import Dict

import tensorflow as tf

_MIXED = ("face_feature", "landmarks", "texture")


def mix_faces(
    batch: Dict[str, tf.Tensor], share: float, seed: tf.Tensor
) -> Dict[str, tf.Tensor]:
    """Blends a random `share` of a batch's examples, decided by `seed` alone.

    A chosen example moves a uniformly random part of the way to a mean of the whole
    batch, whose weights are drawn evenly or, half of the time, are all equal.

    Args:
      batch: face_feature [b, d], landmarks [b, 68, 2], texture [b, 224, 224, 3],
        float32, and what else belongs to it, which stays.
      share: of the examples that are blended, 0..1.
      seed: [2] integers.
    """
    n = tf.shape(batch["face_feature"])[0]
    weights = mixing_weights(n, share, seed)
    mixed = dict(batch)
    for name in _MIXED:
        flat = tf.reshape(batch[name], [n, -1])
        mixed[name] = tf.reshape(weights @ flat, tf.shape(batch[name]))
    return mixed


def mixing_weights(n: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Returns [n, n] float32: row i the weights that make up example i, of sum 1."""

    def uniform(shape, number):
        return tf.random.stateless_uniform(shape, seed + [0, number])

    chosen = tf.cast(uniform([n, 1], 1) < share, tf.float32)
    part = chosen * uniform([n, 1], 2)
    even = tf.cast(uniform([n, 1], 3) < 0.5, tf.float32)
    drawn = -tf.math.log(tf.maximum(uniform([n, n], 4), 1e-7))  # Dirichlet(1, ..., 1)
    others = even + (1.0 - even) * drawn
    others /= tf.reduce_sum(others, axis=1, keepdims=True)
    return (1.0 - part) * tf.eye(n) + part * others
