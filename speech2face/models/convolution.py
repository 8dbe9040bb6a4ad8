"""Keras' 2-D convolution and max pooling, with other gradients in training on a CPU.

Of a training step of Table 1 on a CPU, TensorFlow spends more time on the gradients of
the kernels than on anything else, two to four times what their multiplications should
take. As matrix products over a few rows of the map at a time they take about half as
long. They also come before the gradient of the input, so that what only they read is
freed before the step goes on; and what batch normalisation and pooling made is not kept
for them but made again (`backward_pass`, BUILD_NOTES 65). With half precision or an
accelerator, and in inference, everything is Keras' own, and so is a convolution with
strides or padding.
"""

from typing import Any, Optional, Tuple

import keras
from keras import layers

from speech2face import backward_pass

_N_ROWS = 4  # of the output in one product: they stay in the cache


@keras.saving.register_keras_serializable("speech2face")
class Convolution(layers.Conv2D):
    """Convolves [batch, height, width, channels]."""

    def call(self, inputs: Any, training: Optional[bool] = None):
        """Returns the convolved inputs."""
        if not (training and self._has_products(inputs)):
            return super().call(inputs)
        import tensorflow as tf

        outputs = _convolve(inputs, self.kernel)
        return tf.nn.bias_add(outputs, self.bias.value) if self.use_bias else outputs

    def _has_products(self, inputs: Any) -> bool:
        is_plain = self.padding == "valid" and self.strides == (1, 1)
        return is_plain and backward_pass.is_float32_on_cpu(inputs)


@keras.saving.register_keras_serializable("speech2face")
class MaxPooling(layers.MaxPooling2D):
    """Takes maxima of [batch, height, width, channels]."""

    def call(self, inputs: Any, training: Optional[bool] = None):
        """Returns the maxima."""
        if not (training and backward_pass.is_float32_on_cpu(inputs)):
            return super().call(inputs)
        return _pool(
            inputs,
            ksize=[1, *self.pool_size, 1],
            strides=[1, *self.strides, 1],
            padding=self.padding.upper(),
        )


def kernel_gradient(inputs: Any, d_outputs: Any, kernel_size: Tuple[int, int]) -> Any:
    """Returns the gradient of a loss by the kernel of an unpadded convolution.

    Args:
      inputs: [batch, height, width, channels] float32, of known width and channels.
      d_outputs: the loss' gradient by the outputs
        [batch, height - rows + 1, width - columns + 1, filters] float32.
      kernel_size: (rows, columns).

    Returns:
      [rows, columns, channels, filters] float32.
    """
    import tensorflow as tf

    n_rows, n_columns = kernel_size
    n_channels, n_filters = inputs.shape[-1], d_outputs.shape[-1]
    height, width = tf.shape(d_outputs)[1], d_outputs.shape[2]
    n_blocks = -(-height // _N_ROWS)
    padding = [[0, n_blocks * _N_ROWS - height], [0, 0], [0, 0]]

    def add_example(index, sums):
        x = tf.pad(inputs[index], padding)
        x = tf.concat([x[:, c : c + width] for c in range(n_columns)], -1)
        d_y = tf.pad(d_outputs[index], padding)
        d_y = tf.reshape(d_y, [n_blocks, _N_ROWS * width, n_filters])
        for row in range(n_rows):
            blocks = tf.reshape(
                x[row : row + n_blocks * _N_ROWS],
                [n_blocks, _N_ROWS * width, n_columns * n_channels],
            )
            product = tf.matmul(blocks, d_y, transpose_a=True)
            sums[row] += tf.reduce_sum(product, axis=0)
        return index + 1, sums

    zeros = [tf.zeros([n_columns * n_channels, n_filters])] * n_rows
    _, sums = tf.while_loop(
        lambda index, _: index < tf.shape(inputs)[0],
        add_example,
        (0, zeros),
        parallel_iterations=1,
    )
    return tf.reshape(tf.stack(sums), [n_rows, n_columns, n_channels, n_filters])


def _convolve(inputs: Any, kernel: Any) -> Any:
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(inputs, kernel):
        def gradient(d_outputs):
            x = backward_pass.again(inputs, behind=d_outputs)
            d_kernel = kernel_gradient(x, d_outputs, kernel.shape[:2])
            with tf.control_dependencies([d_kernel]):
                d_inputs = tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(inputs),
                    filter=kernel,
                    out_backprop=d_outputs,
                    strides=[1, 1, 1, 1],
                    padding="VALID",
                )
            return d_inputs, d_kernel

        return tf.nn.conv2d(inputs, kernel, strides=1, padding="VALID"), gradient

    return convolve(inputs, tf.convert_to_tensor(kernel))


def _pool(inputs: Any, **window) -> Any:
    import tensorflow as tf

    @tf.custom_gradient
    def pool(inputs):
        def gradient(d_outputs):
            x = backward_pass.again(inputs, behind=d_outputs)
            maxima = tf.raw_ops.MaxPool(input=x, **window)
            return tf.raw_ops.MaxPoolGrad(
                orig_input=x, orig_output=maxima, grad=d_outputs, **window
            )

        return tf.raw_ops.MaxPool(input=inputs, **window), gradient

    return pool(inputs)
