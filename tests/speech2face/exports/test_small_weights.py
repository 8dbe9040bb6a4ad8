"""Small weights: float16 and 8 bits in the files of each runtime."""

import hypothesis
import hypothesis.extra.numpy as hypothesis_numpy
import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.exports import (
    comparison,
    export_job,
    onnx_model,
    small_weights,
    tflite,
)
from speech2face.inference.model import Speech2Face
from tests.helpers.tiny_models import make_model


@pytest.mark.slow
def test_table_1_in_small_weights(tmp_path):
    """A network of convolutions; the model itself keeps its weights."""
    model = make_model()
    rows = export_job.export(model, tmp_path / "out", ["savedmodel"], ["int8"])
    assert [row.file for row in rows] == ["saved_model_int8"]
    assert 0.999 < rows[0].cosine < 1 - 1e-9
    again = make_model()
    for ours, theirs in zip(model.encoder.get_weights(), again.encoder.get_weights()):
        np.testing.assert_array_equal(ours, theirs)


def product_in_onnx(kernel, kind):
    """[b, 256] times a stored kernel, in onnxruntime: the bytes, the outputs of `x`."""
    pytest.importorskip("tf2onnx")
    runtime = pytest.importorskip("onnxruntime")
    variable = keras.Variable(kernel)
    model = onnx_model.convert(
        lambda x: {"y": keras.ops.matmul(x, variable)},
        tf.TensorSpec([None, 256], tf.float32, name="x"),
        small_weights.StoredVariables([variable], kind),
    )
    content = model.SerializeToString()
    session = runtime.InferenceSession(content)
    return content, lambda x: session.run(["y"], {"x": x})[0]


def product_in_tflite(kernel, kind):
    """The same in TFLite."""
    spec = tf.TensorSpec([None, 256], tf.float32, name="x")
    function = tf.function(lambda x: x @ tf.constant(kernel), [spec])
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [function.get_concrete_function()]
    )
    content = tflite.with_small_weights(converter.convert(), kind)
    interpreter = tf.lite.Interpreter(model_content=content)
    place = interpreter.get_input_details()[0]["index"]

    def call(x):
        interpreter.resize_tensor_input(place, x.shape)
        interpreter.allocate_tensors()
        interpreter.set_tensor(place, x)
        interpreter.invoke()
        return interpreter.get_tensor(interpreter.get_output_details()[0]["index"])

    return content, call


@pytest.mark.parametrize("product", [product_in_onnx, product_in_tflite])
@pytest.mark.parametrize(
    "kind, n_bytes, error", [("float16", 2, 3e-4), ("int8", 1, 0.01)]
)
def test_small_weights_in_a_runtime(product, kind, n_bytes, error):
    kernel = np.random.default_rng(0).normal(size=(256, 300)).astype(np.float32)
    layer = keras.layers.Dense(300)
    layer.build((None, 256))
    layer.set_weights([kernel, np.zeros(300, np.float32)])
    with small_weights.rounded([layer], kind):
        rounded = layer.get_weights()[0]
    np.testing.assert_array_equal(layer.get_weights()[0], kernel)  # unchanged
    relative = np.linalg.norm(rounded - kernel) / np.linalg.norm(kernel)
    assert error / 3 < relative < error
    content, call = product(rounded, kind)
    n_spare = len(content) - n_bytes * kernel.size
    assert 0 < n_spare < 6000  # 300 scales, and in TFLite 300 zero points
    inputs = np.random.default_rng(1).normal(size=(4, 256)).astype(np.float32)
    np.testing.assert_allclose(call(inputs), inputs @ rounded, atol=1e-4)


@pytest.mark.slow
def test_eight_bits_of_the_model_that_ships():
    shipped = Speech2Face.load()
    waveforms = comparison.example_voices(shipped)[1]
    before = shipped.encode(waveforms)
    with small_weights.rounded([shipped.encoder], "int8"):
        after = shipped.encode(waveforms)
    np.testing.assert_array_equal(shipped.encode(waveforms), before)
    cosines = [np.dot(a, b) for a, b in zip(after, before)] / (
        np.linalg.norm(after, axis=1) * np.linalg.norm(before, axis=1)
    )
    assert 0.997 < cosines.min() < cosines.max() < 0.99999


@hypothesis.given(
    hypothesis_numpy.arrays(
        np.float32, (64, 1100), elements=hypothesis.strategies.floats(-2, 2, width=16)
    ),
    hypothesis.strategies.integers(0, 2**31),
)
@hypothesis.settings(max_examples=10, deadline=None)
def test_rounded_weights_are_stored_without_loss(values, seed):
    noise = np.random.default_rng(seed).normal(size=values.shape)
    values = (values + noise).astype(np.float32)
    eight = small_weights.to_int8(values, axis=1)
    step = np.abs(values).max(axis=0) / 127
    assert np.all(np.abs(eight.weights() - values) <= 0.5001 * step)
    stored = small_weights.store(eight.weights().astype(np.float32), "int8")
    assert isinstance(stored, small_weights.Int8)
    np.testing.assert_allclose(stored.weights(), eight.weights(), rtol=1e-6)
    half = values.astype(np.float16).astype(np.float32)
    assert small_weights.store(half, "float16").dtype == np.float16
    for kind in ("float16", "int8"):  # values that were not rounded stay float32
        assert small_weights.store(values, kind) is values
