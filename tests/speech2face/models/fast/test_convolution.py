"""Our convolution and max pooling: outputs and gradients of Keras' layers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.models.fast import convolution
from speech2face.models.fast.convolution import Convolution, MaxPooling


def layer_pair(kernel_size=(4, 3), **keywords):
    """Keras' layer and ours, with the same weights."""
    random = np.random.default_rng(0)
    pair = []
    for layer_type in (keras.layers.Conv2D, Convolution):
        layer = layer_type(6, kernel_size, **keywords)
        layer.build((None, None, 9, 5))
        pair.append(layer)
    weights = [random.normal(size=weight.shape) for weight in pair[0].weights]
    for layer in pair:
        layer.set_weights(weights)
    return pair


def differentiated(layer, shape_of_inputs, jit_compile=False):
    """A function of the inputs: outputs, gradients of inputs, kernel, bias."""

    @tf.function(
        input_signature=[tf.TensorSpec(shape_of_inputs)], jit_compile=jit_compile
    )
    def run(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            outputs = layer(x, training=True)
            total = tf.reduce_sum(tf.sin(tf.cast(outputs, tf.float32)))
        sources = [x, *(weight.value for weight in layer.trainable_weights)]
        return outputs, *tape.gradient(total, sources)

    return run


@pytest.mark.parametrize(
    "n_frames, kernel_size, keywords",
    [
        (11, (4, 3), {}),  # 8 rows come out: two blocks
        (12, (4, 3), {}),  # one more
        (4, (4, 3), {}),  # a single one
        (9, (1, 1), {"use_bias": False}),
        (9, (3, 4), {"padding": "same"}),
        (9, (3, 4), {"strides": 2}),
        (9, (4, 4), {"strides": 2}),
        (12, (2, 4), {"strides": 2}),  # a row of the input that no output sees
        (10, (3, 3), {"strides": 3}),
        (9, (4, 4), {"strides": (2, 1)}),
    ],
)
@pytest.mark.parametrize("way", ["products", "by_example", "here"])
def test_equals_keras(n_frames, kernel_size, keywords, way, monkeypatch):
    if way != "here":
        is_avx512 = way == "by_example"
        monkeypatch.setattr(convolution, "has_avx512", lambda: is_avx512)
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "1")
    random = np.random.default_rng(1)
    inputs = random.normal(size=(3, n_frames, 9, 5)).astype(np.float32)
    theirs, ours = (
        differentiated(layer, [None, None, 9, 5])(inputs)
        for layer in layer_pair(kernel_size, **keywords)
    )
    assert len(theirs) == len(ours) >= 3
    for one, two in zip(theirs, ours):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "keywords", [{}, {"strides": (2, 1)}, {"padding": "same", "strides": 1}]
)
def test_pooling_equals_keras(keywords):
    inputs = np.random.default_rng(1).normal(size=(3, 12, 9, 5)).astype(np.float32)
    theirs, ours = (
        differentiated(layer_type((2, 3), **keywords), [None, None, 9, 5])(inputs)
        for layer_type in (keras.layers.MaxPooling2D, MaxPooling)
    )
    assert len(theirs) == len(ours) == 2
    for one, two in zip(theirs, ours):
        np.testing.assert_array_equal(one, two)


def test_equals_keras_when_compiled():
    inputs = np.random.default_rng(1).normal(size=(3, 12, 9, 5)).astype(np.float32)
    keras_layer, layer = layer_pair()
    theirs = differentiated(keras_layer, [3, 12, 9, 5])(inputs)
    ours = differentiated(layer, [3, 12, 9, 5], jit_compile=True)(inputs)
    for one, two in zip(theirs, ours):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "keywords, has_products",
    [
        ({}, True),
        ({"kernel_size": (4, 2), "strides": 2}, True),
        ({"strides": 2}, False),  # 4 x 3: a row of a kernel is in two squares
        ({"dtype": "mixed_bfloat16"}, False),
    ],
)
def test_what_is_keras_own(keywords, has_products, monkeypatch):
    monkeypatch.setattr(convolution, "has_avx512", lambda: False)
    _, layer = layer_pair(**keywords)
    function = differentiated(layer, [None, None, 9, 5])
    types = {op.type for op in function.get_concrete_function().graph.get_operations()}
    assert ("Conv2DBackpropFilter" in types) != has_products


@pytest.mark.parametrize(
    "channels, onednn, has_avx512, is_product",
    [
        (5, "1", True, False),
        (5, "0", True, True),
        (5, "1", False, True),
        (256, "1", True, True),
    ],
)
def test_products_where_tensorflows_kernels_are_slow(
    channels, onednn, has_avx512, is_product, monkeypatch
):
    """docs/performance.md has what each processor takes."""
    monkeypatch.setattr(convolution, "has_avx512", lambda: has_avx512)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", onednn)
    gradient = tf.function(
        lambda x, d: convolution.kernel_gradient(x, d, (4, 4))
    ).get_concrete_function(
        tf.TensorSpec([None, None, 9, channels]), tf.TensorSpec([None, None, 6, 2])
    )
    library = gradient.graph.as_graph_def().library  # the body of the loop
    types = {node.op for function in library.function for node in function.node_def}
    assert ("Conv2DBackpropFilter" in types) != is_product


def test_inference_is_keras_own():
    _, layer = layer_pair()
    graph = tf.function(layer).get_concrete_function(tf.TensorSpec([1, 9, 9, 5])).graph
    types = [operation.type for operation in graph.get_operations()]
    assert "IdentityN" not in types and types.count("Conv2D") == 1
