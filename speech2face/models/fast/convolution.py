"""Keras' 2-D convolution and max pooling with cheaper gradients in training on a CPU.

In a training step of Table 1 on a CPU, TensorFlow spends most of its time on the
gradients of the kernels. On processors with AVX2 they take two to four times what their
multiplications should; with AVX-512, those with many channels and those of convolutions
with strides do. As matrix products over a few rows of the map at a time they take about
half as long (docs/decisions/fast-training-layers.md). Two more changes save memory:

- The gradient of a kernel is computed before that of the input. Whatever only the first
  reads is free before the backward pass moves on.
- The outputs of batch normalization and pooling are not kept for the gradients but
  recomputed (`backward_pass.recompute_in_backward`).

Keras' own code runs in inference, with half precision, on an accelerator, for a
convolution with padding, and within `fast.plain_keras`.
"""

import os
from typing import Any

import keras
from keras import layers

from speech2face.models.fast.backward_pass import (
    is_float32_on_cpu,
    recompute_in_backward,
)
from speech2face.system import has_avx512

# Rows of the output in one matrix product. Four rows of a map of Table 1 stay in the
# cache of a core while all rows of the kernel read them.
_N_ROWS = 4
# From so many channels on, products are faster than oneDNN's kernels with AVX-512.
_CHANNELS_OF_PRODUCTS = 256


@keras.saving.register_keras_serializable("speech2face")
class Convolution(layers.Conv2D):
    """Convolves [batch, height, width, channels]."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the convolved inputs."""
        if not (training and self._has_product_gradient(inputs)):
            return super().call(inputs)
        import tensorflow as tf

        outputs = _convolve(inputs, self.kernel, self.strides[0])
        return tf.nn.bias_add(outputs, self.bias.value) if self.use_bias else outputs

    def _has_product_gradient(self, inputs: Any) -> bool:
        stride = self.strides[0]
        # With strides, a kernel of whole strides is one of fewer rows without them.
        is_plain = self.padding == "valid" and self.strides == (stride, stride)
        is_whole = all(size % stride == 0 for size in self.kernel_size)
        return is_plain and is_whole and is_float32_on_cpu(inputs)


@keras.saving.register_keras_serializable("speech2face")
class MaxPooling(layers.MaxPooling2D):
    """Takes maxima of [batch, height, width, channels]."""

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        """Returns the maxima."""
        if not (training and is_float32_on_cpu(inputs)):
            return super().call(inputs)
        return _pool(
            inputs,
            ksize=[1, *self.pool_size, 1],
            strides=[1, *self.strides, 1],
            padding=self.padding.upper(),
        )


def kernel_gradient(
    inputs: Any, d_outputs: Any, kernel_size: tuple[int, int], stride: int = 1
) -> Any:
    """Returns the gradient of a loss with respect to an unpadded convolution's kernel.

    Args:
      inputs: [batch, height, width, channels] float32, of static width and channels.
      d_outputs: gradient with respect to the outputs, float32
        [batch, (height - rows) // stride + 1, (width - columns) // stride + 1,
        filters].
      kernel_size: (rows, columns), multiples of the stride.
      stride: of both axes.

    Returns:
      [rows, columns, channels, filters] float32.
    """
    n_channels = inputs.shape[-1] * stride**2
    if _has_fast_kernels() and n_channels < _CHANNELS_OF_PRODUCTS:
        return _by_example(inputs, d_outputs, kernel_size, stride)
    if stride == 1:
        return _as_products(inputs, d_outputs, kernel_size)
    return _without_stride(inputs, d_outputs, kernel_size, stride)


def _has_fast_kernels() -> bool:
    """Returns whether TensorFlow takes oneDNN's kernels for AVX-512."""
    return os.environ.get("TF_ENABLE_ONEDNN_OPTS", "1") != "0" and has_avx512()


def _by_example(
    inputs: Any, d_outputs: Any, kernel_size: tuple[int, int], stride: int
) -> Any:
    """`kernel_gradient` by TensorFlow's kernel, whose copies are of one example."""
    import tensorflow as tf

    shape = [*kernel_size, inputs.shape[-1], d_outputs.shape[-1]]

    def add_example(index: Any, total: Any) -> Any:
        of_example = tf.raw_ops.Conv2DBackpropFilter(
            input=inputs[index : index + 1],
            filter_sizes=shape,
            out_backprop=d_outputs[index : index + 1],
            strides=[1, stride, stride, 1],
            padding="VALID",
        )
        return index + 1, total + of_example

    return tf.while_loop(
        lambda index, _: index < tf.shape(inputs)[0],
        add_example,
        (0, tf.zeros(shape)),
        parallel_iterations=1,
    )[1]


def _without_stride(
    inputs: Any, d_outputs: Any, kernel_size: tuple[int, int], stride: int
) -> Any:
    """`kernel_gradient` of a convolution with strides.

    It is one without strides over squares of `stride` x `stride` places, whose values
    stand side by side as channels.
    """
    import tensorflow as tf

    n_rows, n_columns = (size // stride for size in kernel_size)
    height = tf.shape(d_outputs)[1] + n_rows - 1
    width = d_outputs.shape[2] + n_columns - 1
    squares = tf.nn.space_to_depth(
        inputs[:, : height * stride, : width * stride], stride
    )
    channels, filters = inputs.shape[-1], d_outputs.shape[-1]
    squares = tf.ensure_shape(squares, [None, None, width, channels * stride**2])
    d_kernel = _as_products(squares, d_outputs, (n_rows, n_columns))
    # [row / s, column / s, row % s, column % s, channels, filters] -> rows, columns
    shape = [n_rows, n_columns, stride, stride, channels, filters]
    d_kernel = tf.transpose(tf.reshape(d_kernel, shape), [0, 2, 1, 3, 4, 5])
    return tf.reshape(d_kernel, [*kernel_size, channels, filters])


def _as_products(inputs: Any, d_outputs: Any, kernel_size: tuple[int, int]) -> Any:
    """`kernel_gradient` of a convolution without strides, as matrix products.

    d_kernel[r, c] = sum over examples and outputs (y, x) of
                     inputs[y + r, x + c]^T d_outputs[y, x]

    For each row r of the kernel this is a product of two matrices, whose inner axis is
    the outputs. The columns c of the kernel stand side by side in the first matrix.
    """
    import tensorflow as tf

    n_rows, n_columns = kernel_size
    n_channels, n_filters = inputs.shape[-1], d_outputs.shape[-1]
    height, width = tf.shape(d_outputs)[1], d_outputs.shape[2]
    n_blocks = -(-height // _N_ROWS)
    # Zeros fill the last block and add nothing to the sums.
    padding = [[0, n_blocks * _N_ROWS - height], [0, 0], [0, 0]]

    def add_example(index: Any, sums: Any) -> Any:
        x = tf.pad(inputs[index], padding)
        # [height, width, channels] -> [height, output width, columns * channels]
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
        parallel_iterations=1,  # the shifted copies of one example at a time
    )
    return tf.reshape(tf.stack(sums), [n_rows, n_columns, n_channels, n_filters])


def _convolve(inputs: Any, kernel: Any, stride: int) -> Any:
    import tensorflow as tf

    @tf.custom_gradient
    def convolve(inputs: Any, kernel: Any) -> Any:
        def gradient(d_outputs: Any) -> Any:
            x = recompute_in_backward(inputs, wait_for=d_outputs)
            d_kernel = kernel_gradient(x, d_outputs, kernel.shape[:2], stride)
            # First the kernel's: `x` and its shifted copies are free after it.
            with tf.control_dependencies([d_kernel]):
                d_inputs = tf.raw_ops.Conv2DBackpropInput(
                    input_sizes=tf.shape(inputs),
                    filter=kernel,
                    out_backprop=d_outputs,
                    strides=[1, stride, stride, 1],
                    padding="VALID",
                )
            return d_inputs, d_kernel

        return tf.nn.conv2d(inputs, kernel, strides=stride, padding="VALID"), gradient

    return convolve(inputs, tf.convert_to_tensor(kernel))


def _pool(inputs: Any, **window: Any) -> Any:
    import tensorflow as tf

    @tf.custom_gradient
    def pool(inputs: Any) -> Any:
        def gradient(d_outputs: Any) -> Any:
            x = recompute_in_backward(inputs, wait_for=d_outputs)
            # Recomputed as well: the forward pass need not keep its own output.
            maxima = tf.raw_ops.MaxPool(input=x, **window)
            return tf.raw_ops.MaxPoolGrad(
                orig_input=x, orig_output=maxima, grad=d_outputs, **window
            )

        return tf.raw_ops.MaxPool(input=inputs, **window), gradient

    return pool(inputs)
