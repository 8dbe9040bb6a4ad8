"""The face decoder: sizes, a numpy twin, gradients through the warp, precision."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import signal

from speech2face.config import FaceDecoderConfig
from speech2face.models import face_decoder, warp
from tests.helpers.tiny_decoder import MEAN_LANDMARKS, TINY


@pytest.fixture
def tiny_model():
    keras.utils.set_random_seed(0)
    return face_decoder.build_face_decoder(TINY, 6, MEAN_LANDMARKS)


@pytest.fixture
def features():
    return np.random.default_rng(1).normal(size=(2, 6)).astype("float32")


def test_paper_size_layer_by_layer():
    """Cole et al., Fig. 3, with 4096-D features."""
    model = face_decoder.build_face_decoder(FaceDecoderConfig(), 4096, MEAN_LANDMARKS)
    shapes = {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}
    counts = {layer.name: layer.count_params() for layer in model.layers}
    expected = {
        "f_dec": ((1000,), 4096 * 1000 + 1000),
        "landmarks_fc_1": ((256,), 1000 * 256 + 256),
        "landmarks_fc_2": ((256,), 256 * 256 + 256),
        "landmarks_fc_out": ((136,), 256 * 136 + 136),
        "landmarks": ((68, 2), 0),
        "texture_fc": ((14 * 14 * 256,), 1000 * 50176 + 50176),
        "texture_deconv_1": ((28, 28, 128), 25 * 256 * 128 + 128),
        "texture_deconv_2": ((56, 56, 64), 25 * 128 * 64 + 64),
        "texture_deconv_3": ((112, 112, 32), 25 * 64 * 32 + 32),
        "texture_deconv_4": ((224, 224, 32), 25 * 32 * 32 + 32),
        "texture_rgb": ((224, 224, 3), 32 * 3 + 3),
        "texture": ((224, 224, 3), 0),
        "warp": ((224, 224, 3), 0),
    }
    assert {name: (shapes[name], counts[name]) for name in expected} == expected
    assert model.count_params() == 55_781_331
    assert {k: tuple(v.shape) for k, v in model.output.items()} == {
        "decoder_activation": (None, 1000),
        "landmarks": (None, 68, 2),
        "texture": (None, 224, 224, 3),
        "image": (None, 224, 224, 3),
    }


def without_highest_frequency(kernel):
    """The nearest kernel whose alternating sums along each direction are zero."""
    kernel = kernel.copy()
    signs = np.array([1, -1, 1, -1, 1.0])
    for axis in (0, 1):
        alternating = np.tensordot(signs, kernel, (0, axis)) / 5
        kernel -= np.moveaxis(np.multiply.outer(signs, alternating), 0, axis)
    return kernel


def transposed_convolution(x, kernel, bias):
    """Stride 2, 'same': the input spread over every second pixel, then convolved."""
    kernel = without_highest_frequency(kernel)
    batch, height, width, _ = x.shape
    spread = np.zeros((batch, 2 * height, 2 * width, x.shape[-1]))
    spread[:, ::2, ::2] = x
    result = np.zeros((batch, 2 * height, 2 * width, kernel.shape[2]))
    for b, o, i in np.ndindex(batch, kernel.shape[2], kernel.shape[3]):
        full = signal.convolve2d(spread[b, :, :, i], kernel[:, :, o, i])
        result[b, :, :, o] += full[1 : 1 + 2 * height, 1 : 1 + 2 * width]
    return result + bias


def twin(model, features):
    """The decoder without its warp, in float64 numpy."""
    weights = {v.path: v.numpy().astype("float64") for v in model.weights}

    def dense(x, name):
        return x @ weights[name + "/kernel"] + weights[name + "/bias"]

    f_dec = np.maximum(dense(features, "f_dec"), 0)
    hidden = f_dec
    for name in ("landmarks_fc_1", "landmarks_fc_2"):
        hidden = np.maximum(dense(hidden, name), 0)
    offsets = dense(hidden, "landmarks_fc_out").reshape(-1, 68, 2)
    x = np.maximum(dense(f_dec, "texture_fc"), 0).reshape(len(features), 14, 14, -1)
    for i in range(1, 5):
        name = f"texture_deconv_{i}"
        kernel, bias = weights[name + "/kernel"], weights[name + "/bias"]
        x = np.maximum(transposed_convolution(x, kernel, bias), 0)
    colors = x @ weights["texture_rgb/kernel"][0, 0] + weights["texture_rgb/bias"]
    return f_dec, MEAN_LANDMARKS + 16 * offsets, colors.clip(0, 1)


def test_equals_a_numpy_twin(tiny_model, features):
    rng = np.random.default_rng(2)
    for variable in tiny_model.weights:  # untrained biases are 0, kernels symmetric
        noise = rng.normal(0, 0.2, variable.shape)
        variable.assign(variable + noise.astype("float32"))
    tiny_model.get_layer("texture_rgb").bias.assign([-0.15, 0.5, 1.1])
    outputs = tiny_model(features)
    f_dec, landmarks, texture = twin(tiny_model, features)
    assert 0.01 < np.mean((texture == 0) | (texture == 1)) < 0.95
    np.testing.assert_allclose(outputs["decoder_activation"], f_dec, atol=1e-4)
    np.testing.assert_allclose(outputs["landmarks"], landmarks, atol=1e-3)
    np.testing.assert_allclose(outputs["texture"], texture, atol=1e-4)
    mean = np.repeat(MEAN_LANDMARKS[None], 2, axis=0)
    image = warp.warp(outputs["texture"], mean, outputs["landmarks"], order=1)
    np.testing.assert_allclose(outputs["image"], image, atol=1e-5)


def test_f_dec_alone_is_the_first_layer(tiny_model, features):
    f_dec = face_decoder.decoder_activation_layer(tiny_model)
    np.testing.assert_array_equal(
        f_dec(features), tiny_model(features)["decoder_activation"]
    )
    assert [v.path for v in f_dec.weights] == ["f_dec/kernel", "f_dec/bias"]
    assert f_dec.weights[0] is tiny_model.weights[0]


def test_an_untrained_decoder_draws_at_the_mean_landmarks(tiny_model, features):
    landmarks = tiny_model(features)["landmarks"]
    np.testing.assert_allclose(landmarks, MEAN_LANDMARKS[None].repeat(2, 0), atol=3)


def test_a_loss_on_the_image_reaches_both_branches(tiny_model, features):
    """Numerically, at the last bias of each: through the warp and the clipping."""
    ys, xs = np.mgrid[:224, :224].astype("float32")
    target = np.stack([np.sin(xs / 20), np.cos(ys / 20), np.sin((xs + ys) / 30)], -1)

    @tf.function
    def loss():
        image = tiny_model(features)["image"]
        return tf.reduce_mean(tf.square(tf.cast(image - target, "float64")))

    for name, step in (("texture_rgb", 1e-2), ("landmarks_fc_out", 3e-4)):
        bias = tiny_model.get_layer(name).bias
        with tf.GradientTape() as tape:
            value = loss()
        gradient = tape.gradient(value, bias.value).numpy()
        direction = np.random.default_rng(3).normal(size=gradient.shape)
        direction = direction.astype("float32")
        start = bias.numpy()
        bias.assign(start + step * direction)
        ahead = float(loss())
        bias.assign(start - step * direction)
        behind = float(loss())
        bias.assign(start)
        expected = (ahead - behind) / (2 * step)
        assert np.sum(gradient * direction) == pytest.approx(expected, rel=0.05)
        assert np.linalg.norm(gradient) > 1e-5


def test_colors_beyond_the_range_still_learn():
    clip = face_decoder.ClipToUnit()
    colors = tf.constant([[-0.5, 0.25, 1.5]])
    with tf.GradientTape() as tape:
        tape.watch(colors)
        clipped = clip(colors)
        loss = tf.reduce_sum(tf.abs(clipped - [[0.5, 0.5, 0.5]]))
    np.testing.assert_array_equal(clipped, [[0.0, 0.25, 1.0]])
    np.testing.assert_array_equal(tape.gradient(loss, colors), [[-1.0, -1.0, 1.0]])


def smooth_layer_with_random_kernel(n_channels, filters):
    layer = face_decoder.SmoothConv2DTranspose(filters)
    layer.build((None, None, None, n_channels))
    kernel = np.random.default_rng(4).normal(size=layer.kernel.shape)
    layer.kernel.assign(kernel.astype("float32"))
    return layer


def test_trained_transposed_convolutions_draw_no_checkerboard():
    """A plain area stays plain; the same kernel without its care does not."""
    layer = smooth_layer_with_random_kernel(n_channels=7, filters=4)
    colors = np.random.default_rng(5).normal(size=7)
    image = np.broadcast_to(colors, (1, 8, 8, 7)).astype("float32")
    enlarged = np.asarray(layer(image))[0, 2:-2, 2:-2]
    plain = np.broadcast_to(enlarged[:1, :1], enlarged.shape)
    assert enlarged.max() > 0.1
    np.testing.assert_allclose(enlarged, plain, atol=1e-5)
    careless = keras.layers.Conv2DTranspose(4, 5, strides=2, padding="same")
    careless.build(image.shape)
    careless.kernel.assign(layer.kernel)
    assert np.asarray(careless(image))[0, 2:-2, 2:-2].std(axis=(0, 1)).max() > 0.1


def test_new_transposed_convolutions_draw_no_checkerboard():
    """They start as smooth enlargements, which have no highest frequency."""
    layer = face_decoder.SmoothConv2DTranspose(4)
    layer.build((None, 8, 8, 7))
    np.testing.assert_allclose(layer.smooth_kernel(), layer.kernel, atol=1e-6)
    assert np.std(layer.kernel) > 0.01


def test_transposed_convolution_survives_a_round_trip(tmp_path):
    layer = smooth_layer_with_random_kernel(n_channels=3, filters=2)
    inputs = keras.Input((6, 6, 3))
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "layer.keras")
    restored = keras.saving.load_model(tmp_path / "layer.keras")
    image = np.random.default_rng(6).random((1, 6, 6, 3)).astype("float32")
    np.testing.assert_array_equal(restored(image), model(image))


def test_half_precision_stays_inside_the_texture_branch(features):
    keras.utils.set_random_seed(0)
    mixed = face_decoder.build_face_decoder(
        TINY, 6, MEAN_LANDMARKS, dtype_policy="mixed_bfloat16"
    )
    full = face_decoder.build_face_decoder(TINY, 6, MEAN_LANDMARKS)
    full.set_weights(mixed.get_weights())
    outputs, expected = mixed(features), full(features)
    assert {output.dtype for output in outputs.values()} == {tf.float32}
    assert mixed.get_layer("texture_deconv_1").compute_dtype == "bfloat16"
    for name in ("decoder_activation", "landmarks"):
        np.testing.assert_array_equal(outputs[name], expected[name])
    np.testing.assert_allclose(outputs["image"], expected["image"], atol=0.05)


def test_portable_warp_draws_the_same_without_a_solver(tiny_model, features):
    expected = tiny_model(features)["image"]
    tiny_model.get_layer("warp").portable = True
    traced = tf.function(tiny_model).get_concrete_function(features)
    operations = {operation.type for operation in traced.graph.get_operations()}
    assert "MatrixSolve" not in operations
    np.testing.assert_allclose(tiny_model(features)["image"], expected, atol=1e-4)


def test_weights_survive_a_round_trip(tiny_model, features, tmp_path):
    tiny_model.save_weights(tmp_path / "decoder.weights.h5")
    other = face_decoder.build_face_decoder(TINY, 6, MEAN_LANDMARKS)
    other.load_weights(tmp_path / "decoder.weights.h5")
    np.testing.assert_array_equal(
        other(features)["image"], tiny_model(features)["image"]
    )


@pytest.mark.parametrize(
    "config, landmarks, message",
    [
        (TINY, MEAN_LANDMARKS[:5], r"mean landmarks are \(5, 2\); expected 68"),
        (TINY, MEAN_LANDMARKS * np.nan, "expected 68 finite points"),
        (
            dataclasses.replace(TINY, warp_order=3),
            MEAN_LANDMARKS,
            "warp_order is 3; it must be 1 or 2",
        ),
        (
            FaceDecoderConfig(texture_channels=(8, 8)),
            MEAN_LANDMARKS,
            r"texture_channels \(8, 8\): expected 5, from 14 x 14 to 224 x 224",
        ),
    ],
)
def test_wrong_sizes_are_refused(config, landmarks, message):
    with pytest.raises(ValueError, match=message):
        face_decoder.build_face_decoder(config, 6, landmarks)


def test_an_iteration_moves_landmarks_by_a_few_pixels():
    """At the compact decoder's width, rate and length of features; it was forty."""
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(TINY, decoder_units=256, landmark_units=())
    model = face_decoder.build_face_decoder(config, 128, MEAN_LANDMARKS)
    feature = np.random.default_rng(0).normal(size=(1, 128)).astype("float32")
    variables = model.get_layer("landmarks_fc_out").trainable_variables
    with tf.GradientTape() as tape:
        before = model(feature)["landmarks"]
        loss = tf.reduce_mean(tf.square(before - MEAN_LANDMARKS - 20))
    optimizer = keras.optimizers.Adam(0.002, epsilon=1e-7)
    optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
    moved = np.abs(model(feature)["landmarks"] - before)
    assert moved.min() > 0.5 and moved.max() < 6
