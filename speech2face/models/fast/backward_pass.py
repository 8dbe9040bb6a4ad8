"""Computes parts of the backward pass late, so that the memory peak is lower.

Two tricks, both without an effect on any gradient:

Recomputation. A block of Table 1 makes three maps of about the same size: the outputs
of ReLU, batch normalization and max pooling. The gradients read all three. Only the
first is kept; `recompute_in_backward` computes the other two again from it:

    x_hat = gamma (x - mean) / sqrt(variance + epsilon) + beta,    pooled = max(x_hat)

At paper size, with batch 8, a step then takes 6.6 GB instead of 11.2 GB.

Delay. The gradient of a dense kernel is inputs^T d_outputs: as large as the kernel (67
MB for 4096 x 4096), while its two factors are small. Nothing reads it before ADAM does.
`delay_matmul_gradients` computes it after all other gradients, when the maps are free.

docs/decisions/fast-training-layers.md
"""

from typing import Any

import keras

from speech2face.models import fast


def is_float32_on_cpu(inputs: Any) -> bool:
    """Returns whether TensorFlow computes with `inputs` in float32, and on CPUs alone.

    Only there were the tricks measured as faster. False within `fast.plain_keras`.
    """
    is_float32 = keras.backend.standardize_dtype(inputs.dtype) == "float32"
    if not (fast.is_on() and is_float32 and keras.backend.backend() == "tensorflow"):
        return False
    import tensorflow as tf

    devices = tf.config.list_logical_devices()
    return all(device.device_type == "CPU" for device in devices)


def recompute_in_backward(tensor: Any, wait_for: Any) -> Any:
    """Returns a tensor of the forward pass for use in the backward pass.

    In a graph, the output of a batch normalization or a max pooling is computed again
    from its input, which recurses: pooling after normalization needs only the ReLU's
    output. Any other tensor is returned as it is and stays in memory, and so is
    everything in eager execution, where the result cannot be freed earlier.

    Args:
      tensor: [batch, height, width, channels] float32.
      wait_for: gradient that arrives in the backward pass. Without waiting for it,
        TensorFlow would recompute at once and keep the result.
    """
    import tensorflow as tf

    if tf.executing_eagerly():
        return tensor
    operation = tensor.op
    if operation.type == "IdentityN":  # wraps the outputs of tf.custom_gradient
        inner = operation.inputs[tensor.value_index]
        return recompute_in_backward(inner, wait_for)
    if operation.type == "FusedBatchNormV3" and not operation.get_attr("is_training"):
        return _recompute_batch_norm(operation, wait_for)
    if operation.type == "MaxPool":
        pooled_map = recompute_in_backward(operation.inputs[0], wait_for)
        return tf.raw_ops.MaxPool(
            input=pooled_map,
            ksize=operation.get_attr("ksize"),
            strides=operation.get_attr("strides"),
            padding=operation.get_attr("padding"),
        )
    return tensor


def delay_matmul_gradients(gradients: list[Any]) -> list[Any]:
    """Returns the same gradients, matrix products last.

    Args:
      gradients: tensors of one graph, of any shapes. Those that come out of a matrix
        product are computed when all others are done.
    """
    import tensorflow as tf

    if not fast.is_on():
        return gradients
    others = [gradient for gradient in gradients if gradient.op.type != "MatMul"]

    def delayed(gradient: Any) -> Any:
        if gradient.op.type != "MatMul":
            return gradient
        left, right = gradient.op.inputs
        # A copy of the product: an operation takes no further control inputs once it
        # is made, and nothing runs the original if nothing reads it.
        with tf.control_dependencies(others):
            return tf.linalg.matmul(
                left,
                right,
                transpose_a=gradient.op.get_attr("transpose_a"),
                transpose_b=gradient.op.get_attr("transpose_b"),
            )

    return [delayed(gradient) for gradient in gradients]


def _recompute_batch_norm(operation: Any, wait_for: Any) -> Any:
    """Normalizes the input of a FusedBatchNormV3 by the statistics of that one."""
    import tensorflow as tf

    x, scale, offset, mean, variance = operation.inputs
    with tf.control_dependencies([wait_for]):
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance,
            epsilon=operation.get_attr("epsilon"),
            is_training=False,  # takes the given statistics instead of measuring
        ).y
