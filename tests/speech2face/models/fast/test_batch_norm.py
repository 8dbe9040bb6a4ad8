"""Fused batch normalization is Keras' batch normalization."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.models.fast.batch_norm import FusedBatchNormalization


def layer_pair(dtype, trainable=True, shape=(None, None, 7, 5)):
    """Keras' layer and ours, with the same weights."""
    random = np.random.default_rng(0)
    n_channels = shape[-1]
    weights = [*random.normal(size=(3, n_channels)), random.uniform(1, 2, n_channels)]
    pair = []
    for layer_type in (keras.layers.BatchNormalization, FusedBatchNormalization):
        layer = layer_type(momentum=0.9, epsilon=1e-3, dtype=dtype)
        layer.build(shape)
        layer.set_weights(weights)
        layer.trainable = trainable
        pair.append(layer)
    return pair


def step(layer, inputs, direction, training=True):
    """Outputs, gradients of the inputs, gamma and beta, and the moved averages."""

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=training)
            total = tf.reduce_sum(tf.cast(outputs, tf.float32) * direction)
        sources = [x, layer.gamma.value, layer.beta.value]
        return outputs, tape.gradient(total, sources)

    outputs, gradients = run(inputs)
    averages = [layer.moving_mean.numpy(), layer.moving_variance.numpy()]
    return [outputs, *gradients, *averages]


@pytest.mark.parametrize("training, trainable", [(True, True), (True, False), (0, 1)])
def test_equals_keras(training, trainable):
    random = np.random.default_rng(1)
    inputs = tf.constant(random.normal(1, 2, size=(2, 3, 7, 5)), tf.float32)
    direction = random.normal(size=(2, 3, 7, 5)).astype(np.float32)
    theirs, ours = (
        step(layer, inputs, direction, bool(training))
        for layer in layer_pair("float32", bool(trainable))
    )
    for one, two in zip(theirs, ours):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("n_channels", [5, 16])
def test_half_precision_stays_half_and_statistics_do_not(n_channels):
    random = np.random.default_rng(1)
    shape = (2, 3, 7, n_channels)
    inputs = tf.constant(random.normal(1, 2, size=shape), tf.bfloat16)
    direction = random.normal(size=shape).astype(np.float32)
    theirs, ours = (
        step(layer, inputs, direction)
        for layer in layer_pair("mixed_bfloat16", shape=shape)
    )
    assert ours[0].dtype == tf.bfloat16 and ours[-1].dtype == np.float32
    theirs, ours = (
        [np.asarray(tf.cast(value, tf.float32)) for value in values]
        for values in (theirs, ours)
    )
    for one, two in zip(theirs, ours):
        np.testing.assert_allclose(one, two, rtol=0.05, atol=0.05)
    np.testing.assert_allclose(theirs[-1], ours[-1], rtol=1e-3)


@pytest.mark.parametrize(
    "dtype, n_channels, computed_in",
    [
        ("float32", 5, tf.float32),
        ("bfloat16", 32, tf.bfloat16),
        ("bfloat16", 24, tf.float32),  # where oneDNN has no fast half precision
    ],
)
def test_it_is_one_operation(dtype, n_channels, computed_in):
    shape = [2, 3, 7, n_channels]
    _, ours = layer_pair(
        "float32" if dtype == "float32" else "mixed_bfloat16", shape=shape
    )
    function = tf.function(lambda x: ours(x, training=True))
    graph = function.get_concrete_function(tf.TensorSpec(shape, dtype)).graph
    operations = graph.get_operations()
    # Keras composes it: it divides by the root itself.
    assert "Rsqrt" not in [operation.type for operation in operations]
    (fused,) = (op for op in operations if op.type == "FusedBatchNormV3")
    assert fused.inputs[0].dtype == computed_in and fused.outputs[0].shape == shape
    assert function(tf.zeros(shape, dtype)).dtype == dtype


def test_statistics_of_a_large_map_are_exact():
    """TensorFlow's operation is off by 1e-3 here: it adds up one after the other."""
    random = np.random.default_rng(3)
    inputs = np.maximum(random.normal(0.3, 1, size=(8, 595, 127, 2)), 0)
    inputs = inputs.astype(np.float32)
    layer = FusedBatchNormalization(momentum=0.0, epsilon=1e-3)
    outputs = np.asarray(layer(inputs, training=True))
    wide = inputs.astype(np.float64)
    mean, variance = wide.mean((0, 1, 2)), wide.var((0, 1, 2))
    np.testing.assert_allclose(layer.moving_mean, mean, rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, variance, rtol=1e-5)
    expected = (wide - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(outputs, expected, atol=2e-5)


def test_other_inputs_are_keras_own():
    random = np.random.default_rng(2)
    inputs = random.normal(size=(4, 6, 5)).astype(np.float32)
    pair = layer_pair("float32", shape=(None, 6, 5))
    theirs, ours = (layer(inputs, training=True) for layer in pair)
    np.testing.assert_allclose(theirs, ours, rtol=1e-5, atol=1e-6)
