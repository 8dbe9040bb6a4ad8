"""What the backward pass computes late, so that it is not in memory early.

A block of Table 1 makes a map of one size three times: ReLU, batch normalisation, max
pooling. Their gradients and that of the next convolution read all of them, but only the
first has to be kept: `again` computes the others from it when they are needed. The
gradient of a fully connected layer's kernel is as large as the kernel, its factors are
small, and nothing reads it before ADAM does: `products_last` lets it wait until the
maps are gone (BUILD_NOTES 65).
"""

from typing import Any, List

import keras


def is_float32_on_cpu(inputs: Any) -> bool:
    """Whether TensorFlow computes with `inputs` in float32 and has no accelerator."""
    is_float32 = keras.backend.standardize_dtype(inputs.dtype) == "float32"
    if not (is_float32 and keras.backend.backend() == "tensorflow"):
        return False
    import tensorflow as tf

    devices = tf.config.list_logical_devices()
    return all(device.device_type == "CPU" for device in devices)


def again(tensor: Any, behind: Any) -> Any:
    """Returns a tensor of the forward pass, for use in the backward pass.

    Args:
      tensor: in a graph, what `FusedBatchNormalization` or `MaxPooling` returned is
        computed again from what went into them; all else is returned as it is.
      behind: the tensor to wait for.
    """
    import tensorflow as tf

    if tf.executing_eagerly():
        return tensor
    if tensor.op.type == "IdentityN":  # around what has a gradient of ours
        return again(tensor.op.inputs[tensor.value_index], behind)
    if tensor.op.type == "FusedBatchNormV3":
        return _normalize_again(tensor.op, behind)
    if tensor.op.type == "MaxPool":
        names = ("ksize", "strides", "padding")
        window = {name: tensor.op.get_attr(name) for name in names}
        return tf.raw_ops.MaxPool(input=again(tensor.op.inputs[0], behind), **window)
    return tensor


def products_last(gradients: List[Any]) -> List[Any]:
    """Returns gradients of a graph; those that are products of matrices wait."""
    import tensorflow as tf

    others = [gradient for gradient in gradients if gradient.op.type != "MatMul"]

    def late(gradient):
        if gradient.op.type != "MatMul":
            return gradient
        names = ("transpose_a", "transpose_b")
        flags = {name: gradient.op.get_attr(name) for name in names}
        with tf.control_dependencies(others):
            return tf.linalg.matmul(*gradient.op.inputs, **flags)

    return [late(gradient) for gradient in gradients]


def _normalize_again(normalization: Any, behind: Any) -> Any:
    import tensorflow as tf

    x, scale, offset = normalization.inputs[:3]
    _, mean, variance = normalization.outputs[:3]
    n = tf.cast(tf.size(x, tf.int64) / tf.size(mean, tf.int64), variance.dtype)
    with tf.control_dependencies([behind]):
        return tf.raw_ops.FusedBatchNormV3(
            x=x,
            scale=scale,
            offset=offset,
            mean=mean,
            variance=variance * (n - 1) / n,  # the biased one was divided by
            epsilon=normalization.get_attr("epsilon"),
            is_training=False,
        ).y
