"""Keras' batch normalisation, in training as one operation of TensorFlow.

Keras composes it of a dozen operations, each of which goes through the whole map once
more, and widens half precision to float32 first. Where the input is an image and the
statistics are of this replica alone, TensorFlow's own operation gives the same in half
the time and leaves less in memory for the gradients (BUILD_NOTES 65). Everything else,
inference included, and every other back end is Keras' own.
"""

from typing import Any, Optional

import keras
from keras import layers, ops

# oneDNN's half precision normalises so many channels at a time; of other numbers it is
# 3 to 40 times as slow as float32 (BUILD_NOTES 65).
_HALF_PRECISION_CHANNELS = 16


@keras.saving.register_keras_serializable("speech2face")
class FusedBatchNormalization(layers.BatchNormalization):
    """Normalises [batch, height, width, channels] over all but the channels."""

    def call(self, inputs: Any, training: Optional[bool] = None, mask: Any = None):
        """Returns the normalised inputs; in training it moves the averages."""
        if not (training and self.trainable and self._is_fusible(inputs)):
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        dtype = inputs.dtype
        if inputs.shape[-1] % _HALF_PRECISION_CHANNELS:
            inputs = ops.cast(inputs, "float32")
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon
        )
        n = ops.cast(ops.size(inputs[..., 0]), variance.dtype)
        self._move(self.moving_mean, mean)
        self._move(self.moving_variance, variance * (n - 1) / n)  # Keras' is biased
        return ops.cast(outputs, dtype)

    def _is_fusible(self, inputs: Any) -> bool:
        is_image = len(inputs.shape) == 4 and self.axis in (-1, 3)
        is_tensorflow = keras.backend.backend() == "tensorflow"
        return is_image and is_tensorflow and not self.synchronized

    def _move(self, average: keras.Variable, value: Any) -> None:
        moved = average.value * self.momentum + value * (1.0 - self.momentum)
        average.assign(moved)
