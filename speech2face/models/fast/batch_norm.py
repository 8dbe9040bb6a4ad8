"""Keras' batch normalization as one TensorFlow operation in training.

Keras composes it of a dozen operations, each of which reads the whole map once more,
and widens half precision to float32 first. TensorFlow's fused operation gives the same
result in half the time and keeps less in memory for the gradients
(docs/decisions/fast-training-layers.md). It applies if the input is an image and the
statistics are those of this replica alone. Everything else is Keras' own: inference,
synchronized statistics, other inputs, other back ends, and `fast.plain_keras`.

The statistics of a float32 map on a CPU are computed apart. TensorFlow's operation adds
up the values of a channel one after the other. A map of Table 1 has 1.2 million, and
rounding makes the variance wrong by up to 3.4e-3. Means of means have no such error.
"""

from typing import Any

import keras
from keras import layers, ops

from speech2face.models import fast
from speech2face.models.fast.backward_pass import is_float32_on_cpu

# oneDNN normalizes half precision in groups of 16 channels. With other numbers of
# channels it takes 3 to 40 times as long as float32 (docs/performance.md).
_HALF_PRECISION_CHANNELS = 16


@keras.saving.register_keras_serializable("speech2face")
class FusedBatchNormalization(layers.BatchNormalization):
    """Normalizes [batch, height, width, channels] over all but the channels."""

    def call(self, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
        """Returns the normalized inputs; in training it moves the averages.

        Args:
          inputs: [batch, height, width, channels], float32 or half precision.
          training: whether the statistics are those of the batch.
          mask: as in Keras; the fused operation has none, images never do.
        """
        if not (training and self.trainable and self._is_fusible(inputs)):
            return super().call(inputs, training=training, mask=mask)
        if is_float32_on_cpu(inputs):
            mean, variance = _statistics(inputs)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance)
            return _normalize(
                inputs, self.gamma, self.beta, (mean, variance), self.epsilon
            )
        import tensorflow as tf

        dtype = inputs.dtype
        if inputs.shape[-1] % _HALF_PRECISION_CHANNELS:
            inputs = ops.cast(inputs, "float32")
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon
        )
        n = ops.cast(ops.size(inputs[..., 0]), variance.dtype)
        self._move(self.moving_mean, mean)
        # The operation returns the unbiased variance; Keras averages the biased one.
        self._move(self.moving_variance, variance * (n - 1) / n)
        return ops.cast(outputs, dtype)

    def _is_fusible(self, inputs: Any) -> bool:
        is_image = len(inputs.shape) == 4 and self.axis in (-1, 3)
        is_tensorflow = keras.backend.backend() == "tensorflow"
        return fast.is_on() and is_image and is_tensorflow and not self.synchronized

    def _move(self, average: keras.Variable, value: Any) -> None:
        moved = average.value * self.momentum + value * (1.0 - self.momentum)
        average.assign(moved)


def _statistics(inputs: Any) -> tuple[Any, Any]:
    """Returns mean and biased variance [channels] of [batch, height, width, channels].

    They take no gradient: `_normalize` has that of the whole.
    """

    def mean_of(values: Any) -> Any:
        # One axis at a time: short sums, of which none rounds much.
        return ops.mean(ops.mean(ops.mean(values, axis=2), axis=1), axis=0)

    mean = mean_of(inputs)
    variance = mean_of(ops.square(inputs - mean))
    return ops.stop_gradient(mean), ops.stop_gradient(variance)


def _normalize(
    inputs: Any, scale: Any, offset: Any, statistics: tuple[Any, Any], epsilon: float
) -> Any:
    """Normalizes by the inputs' own statistics.

    Args:
      inputs: [batch, height, width, channels] float32.
      scale: gamma [channels].
      offset: beta [channels].
      statistics: mean and variance, of `_statistics`.
      epsilon: added to the variance.

    Returns:
      Of the inputs' shape, with the gradient that includes that of the statistics.
    """
    import tensorflow as tf

    mean, variance = statistics

    @tf.custom_gradient
    def normalize(x: Any, scale: Any, offset: Any) -> Any:
        def gradient(d_outputs: Any) -> Any:
            gradients = tf.raw_ops.FusedBatchNormGradV3(
                y_backprop=d_outputs,
                x=x,
                scale=scale,
                reserve_space_1=mean,
                reserve_space_2=variance,
                reserve_space_3=tf.zeros([0]),
                epsilon=epsilon,
                is_training=True,
            )
            return (
                gradients.x_backprop,
                gradients.scale_backprop,
                gradients.offset_backprop,
            )

        normalized = tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=epsilon,
            is_training=False,  # takes the given statistics instead of measuring
        )
        return normalized.y, gradient

    return normalize(
        inputs, tf.convert_to_tensor(scale.value), tf.convert_to_tensor(offset.value)
    )
