"""Recomputing and delaying in the backward pass changes no gradient."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from speech2face.config import LoopConfig, VoiceEncoderConfig
from speech2face.models import fast, voice_encoder
from speech2face.models.fast import backward_pass
from speech2face.models.fast.batch_norm import FusedBatchNormalization
from speech2face.models.fast.convolution import Convolution, MaxPooling
from speech2face.training import cost, trainer

OURS = (Convolution, FusedBatchNormalization, MaxPooling)
KERAS = (layers.Conv2D, layers.BatchNormalization, layers.MaxPooling2D)


def network(convolution, batch_norm, pooling, dtype, n_filters):
    """Three convolutions; the second is fed by a pooling, the third is not."""
    x = inputs = keras.Input([None, 9, 2])
    for n, is_pooled in zip(n_filters, (True, False, False)):
        x = convolution(n, (3, 2), dtype=dtype)(x)
        x = batch_norm(dtype=dtype)(layers.ReLU(dtype=dtype)(x))
        x = pooling((2, 1), (2, 1), dtype=dtype)(x) if is_pooled else x
    x = layers.Dense(3)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, x)


def network_pair(dtype="float32", n_filters=(4, 5, 6)):
    """Keras' and ours, with the same weights."""
    random = np.random.default_rng(0)
    pair = [network(*types, dtype, n_filters) for types in (KERAS, OURS)]
    values = [random.uniform(-1, 1, w.shape) for w in pair[0].trainable_variables]
    for model in pair:
        for variable, value in zip(model.trainable_variables, values):
            variable.assign(value)  # also scales of batch normalization below zero
    return pair


def differentiated(model, jit_compile=False):
    """A function of the inputs: outputs, then the gradients of inputs and weights."""

    @tf.function(
        input_signature=[tf.TensorSpec([3, 17, 9, 2])], jit_compile=jit_compile
    )
    def run(x):
        with keras.StatelessScope(), tf.GradientTape() as tape:
            tape.watch(x)
            outputs = model(x, training=True)
            total = tf.reduce_sum(tf.sin(outputs))
        weights = [weight.value for weight in model.trainable_variables]
        gradients = tape.gradient(total, [x, *weights])
        return outputs, *backward_pass.delay_matmul_gradients(gradients)

    return run


class SineTrainer(trainer.Trainer):
    """The loss is the sum of the outputs' sines."""

    def losses(self, batch, training):
        outputs = self.model(batch["x"], training=training)
        return {"total": tf.reduce_sum(tf.sin(outputs), axis=-1)}


def kept_maps(model, shape, at_least_bytes):
    """Layers and operations whose results are kept for the gradients of `shape`."""
    of_model = SineTrainer(model, keras.optimizers.Adam(), LoopConfig(batch_size=2))
    kept = cost.kept_bytes(of_model, {"x": tf.ones(shape)}, shape[0])
    names = [name for name, n_bytes in kept.items() if n_bytes >= at_least_bytes]
    return sorted(tuple(name.split("/")[-2:]) for name in names)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_equals_keras(jit_compile):
    inputs = np.random.default_rng(1).normal(size=(3, 17, 9, 2)).astype(np.float32)
    keras_model, model = network_pair()
    theirs = differentiated(keras_model)(inputs)
    ours = differentiated(model, jit_compile)(inputs)
    assert len(theirs) == len(ours) == 2 + 3 * 4 + 2
    for one, two in zip(theirs, ours):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=2e-5)


@pytest.mark.slow
def test_plain_keras_turns_everything_off():
    inputs = np.random.default_rng(1).normal(size=(3, 17, 9, 2)).astype(np.float32)
    keras_model, model = network_pair()
    with fast.plain_keras():
        ours = differentiated(model)(inputs)
        kept_by_ours = kept_maps(model, (2, 17, 9, 2), 400)
    assert len(kept_by_ours) == len(kept_maps(keras_model, (2, 17, 9, 2), 400)) == 6
    for one, two in zip(differentiated(keras_model)(inputs), ours):
        np.testing.assert_array_equal(one, two)
    assert fast.is_on() and len(kept_maps(model, (2, 17, 9, 2), 400)) == 3


def test_one_map_of_each_block_is_kept():
    keras_model, model = network_pair()
    shape = (2, 17, 9, 2)
    assert [name for _, name in kept_maps(model, shape, 400)] == ["Relu:0"] * 3
    assert len(kept_maps(keras_model, shape, 400)) == 6


def test_half_precision_is_keras_own():
    _, model = network_pair("mixed_bfloat16", n_filters=[16] * 3)
    names = [kept[-1] for kept in kept_maps(model, (2, 17, 9, 2), 400)]
    assert names.count("FusedBatchNormV3:0") == 2 and "MaxPool2d:0" in names


def test_what_table_1_keeps():
    model = voice_encoder.build_table_1(VoiceEncoderConfig(width=1 / 64), 8)
    layers_kept = [kept[0] for kept in kept_maps(model, (2, 300, 257, 2), 10_000)]
    relus = [f"relu{number}" for number in range(1, 9)]
    assert [name.split("_")[0] for name in layers_kept] == relus


def test_products_wait_for_all_other_gradients():
    dense = layers.Dense(3)
    dense.build([None, 4])

    @tf.function
    def run(x):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(tf.sin(dense(x)))
        gradients = tape.gradient(total, [w.value for w in dense.trainable_weights])
        kernel, bias = backward_pass.delay_matmul_gradients(gradients)
        assert list(kernel.op.control_inputs) == [bias.op]
        return kernel, bias, gradients[0]

    kernel, _, plain = run(np.random.default_rng(0).normal(size=(5, 4)).astype("f4"))
    np.testing.assert_array_equal(kernel, plain)
