"""The Keras port of dlib's network against dlib itself, and its reader."""

import pathlib
import struct

import dlib
import hypothesis
import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies
from PIL import Image

from speech2face import files
from speech2face.models import dlib_resnet
from speech2face.weights import dlib as dlib_weights
from speech2face.weights import dlib_stream


@pytest.fixture(scope="module")
def path():
    return dlib_weights.package_file(dlib_weights.NETWORK_FILE)


@pytest.fixture(scope="module")
def data(path):
    return pathlib.Path(path).read_bytes()


@pytest.fixture(scope="module")
def model(path):
    return dlib_resnet.load_dlib_resnet(path)


@pytest.fixture(scope="module")
def dlib_model(path):
    return dlib.face_recognition_model_v1(path)


def descriptors(dlib_model, chips):
    return np.array([dlib_model.compute_face_descriptor(chip) for chip in chips])


def smooth_image(generator, detail, size_px=150):
    coarse = generator.integers(0, 256, (detail, detail, 3)).astype(np.uint8)
    return np.array(Image.fromarray(coarse).resize((size_px, size_px), Image.BICUBIC))


def test_equals_dlib_on_generated_images(model, dlib_model):
    generator = np.random.default_rng(0)
    ramp = np.broadcast_to(np.arange(150, dtype=np.uint8)[:, None, None], (150, 150, 3))
    chips = [
        generator.integers(0, 256, (150, 150, 3)).astype(np.uint8),
        np.zeros((150, 150, 3), np.uint8),
        np.full((150, 150, 3), 255, np.uint8),
        np.ascontiguousarray(ramp),
        *(smooth_image(generator, detail) for detail in (3, 6, 12, 24)),
    ]
    ours = model.predict_on_batch(np.array(chips, np.float32))
    # rounding of a sum of thousands of float32 products, far below the promised 1e-3
    np.testing.assert_allclose(ours, descriptors(dlib_model, chips), atol=2e-5)


@pytest.mark.slow
@pytest.mark.real_data
def test_equals_dlib_on_real_faces(model, dlib_model, real_data_dir):
    paths = sorted((real_data_dir / "avspeech" / "face").glob("*.jpg"))[:24]
    chips = [np.array(Image.open(p).resize((150, 150))) for p in paths]
    ours = model.predict_on_batch(np.array(chips, np.float32))
    np.testing.assert_allclose(ours, descriptors(dlib_model, chips), atol=1e-5)


def test_channel_order_is_rgb(model, dlib_model):
    chip = np.zeros((150, 150, 3), np.uint8)
    chip[30:120, 40:110] = (220, 90, 10)
    expected = descriptors(dlib_model, [chip])
    np.testing.assert_allclose(model.predict_on_batch(chip[None]), expected, atol=1e-5)
    swapped = model.predict_on_batch(np.ascontiguousarray(chip[None, ..., ::-1]))
    assert np.abs(swapped - expected).max() > 0.05


@pytest.mark.parametrize("seed", range(3))
def test_gradient_agrees_with_differences_of_dlib(model, dlib_model, seed):
    generator = np.random.default_rng(seed)
    chip = smooth_image(generator, 8).astype(np.int32) // 2 + 60
    change = smooth_image(generator, 10).astype(np.int32) // 86 - 1  # -1, 0 or 1
    plus, minus = ((chip + sign * change).astype(np.uint8) for sign in (1, -1))
    difference = (descriptors(dlib_model, [plus, minus]).T @ [0.5, -0.5]).astype("f4")
    image = tf.constant(chip[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = tf.linalg.matvec(model(image, training=False), difference)
    predicted = np.sum(tape.gradient(value, image).numpy()[0] * change)
    # a gray level, dlib's smallest step, is not infinitesimal: ReLUs switch within it
    np.testing.assert_allclose(predicted, np.sum(difference**2), rtol=0.1)


def test_architecture(model):
    assert model.output_shape == (None, 128)
    # 29 convolutions with bias and the last matrix, counted by hand per group of blocks
    stem = 3 * 32 * 49 + 32
    c32 = 6 * (32 * 32 * 9 + 32)
    c64 = 32 * 64 * 9 + 64 + 7 * (64 * 64 * 9 + 64)
    c128 = 64 * 128 * 9 + 128 + 5 * (128 * 128 * 9 + 128)
    c256 = 128 * 256 * 9 + 256 + 7 * (256 * 256 * 9 + 256)
    assert model.count_params() == stem + c32 + c64 + c128 + c256 + 256 * 128
    assert not model.trainable_variables
    convolutions = [x for x in model.layers if isinstance(x, keras.layers.Conv2D)]
    assert len(convolutions) == 29


def test_is_float32_under_any_precision_policy(path, model):
    image = np.random.default_rng(2).uniform(0, 255, (1, 150, 150, 3))
    image = image.astype(np.float32)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        feature = dlib_resnet.load_dlib_resnet(path)(image, training=False)
    finally:
        keras.config.set_dtype_policy(before)
    assert feature.dtype == tf.float32
    np.testing.assert_array_equal(feature, model(image, training=False))


def test_reads_what_the_file_says_of_itself(path):
    network = dlib_weights.read_face_network(path)
    np.testing.assert_allclose(network.input_mean, (122.782, 117.001, 104.298), 1e-6)
    assert network.input_px == (150, 150)
    assert [layer.kind for layer in network.layers].count("con") == 29
    assert [layer.kind for layer in network.layers].count("add_prev") == 14
    assert files.sha256(path) == dlib_weights.NETWORK_SHA256


# dlib's serialization, written here once more, from its documentation
def packed_integer(value):
    magnitude = abs(value)
    n_bytes = max(1, (magnitude.bit_length() + 7) // 8)
    control = n_bytes | (0x80 if value < 0 else 0)
    return bytes([control]) + magnitude.to_bytes(n_bytes, "little")


@hypothesis.given(strategies.lists(strategies.integers(-(2**63) + 1, 2**63 - 1)))
def test_integers(values):
    reader = dlib_stream.Reader(b"".join(map(packed_integer, values)))
    assert reader.integers(len(values)) == values


@hypothesis.given(strategies.floats(-1e30, 1e30, allow_subnormal=False))
def test_reals(value):
    fraction, exponent = np.frexp(value)
    mantissa = int(fraction * 2**53)
    data = packed_integer(mantissa) + packed_integer(int(exponent) - 53)
    assert dlib_stream.Reader(data).real() == value


@pytest.mark.parametrize("exponent", [1023, 2**62, -(2**62)])
def test_a_real_beyond_float64_is_refused(exponent):
    data = packed_integer(2**62) + packed_integer(exponent)
    with pytest.raises(dlib_stream.FormatError, match="exponent"):
        dlib_stream.Reader(data).real()


@pytest.mark.parametrize(
    "shape", [(-4, -6, 1, 1), (2**62, 4, 1, 1), (24, 1, 1, 0), (0, 2**60, 2**60, 1)]
)
def test_a_view_that_is_not_its_parameters_is_refused(shape):
    with pytest.raises(dlib_stream.FormatError, match="24 parameters"):
        dlib_weights._split(np.zeros(24, np.float32), list(shape), [0, 0, 0, 0])


def test_an_empty_tensor_of_a_gigantic_shape():
    header = b"".join(map(packed_integer, (2, 0, 2**60, 2**60, 2**60)))
    assert dlib_stream.Reader(header).tensor().size == 0


def test_tensor():
    values = np.arange(24, dtype=np.float32).reshape(2, 3, 4, 1)
    header = b"".join(map(packed_integer, (2, *values.shape)))
    reader = dlib_stream.Reader(header + struct.pack("<24f", *values.ravel()))
    np.testing.assert_array_equal(reader.tensor(), values)


@pytest.mark.parametrize("keep", [0, 1, 3, 100, 300, 400, 20_000, 22_466_065])
def test_truncated_file(data, tmp_path, keep):
    assert "damaged" in load_error(tmp_path, data[:keep])


def test_file_with_something_behind_its_end(data, tmp_path):
    assert "damaged" in load_error(tmp_path, data + b"\x01\x00")


def test_file_with_a_weight_that_is_no_number(data, tmp_path):
    changed = data[:1000] + b"\xff" * 8 + data[1008:]
    assert "not finite" in load_error(tmp_path, changed)


def test_file_with_another_architecture(data, tmp_path):
    stride_2, stride_1 = (bytes([1, 7, 1, 7, 1, s, 1, s]) for s in (2, 1))
    assert data.count(stride_2) == 1
    assert "another network" in load_error(tmp_path, data.replace(stride_2, stride_1))


def test_file_of_another_dlib_model(tmp_path):
    detector = dlib_weights.package_file("mmod_human_face_detector.dat")
    with pytest.raises(ValueError, match="its loss is 'loss_mmod_'"):
        dlib_resnet.load_dlib_resnet(detector)
    assert "damaged" in load_error(tmp_path, b"PK\x03\x04 not a dlib file at all")


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        dlib_resnet.load_dlib_resnet(str(tmp_path / "none.dat"))


@hypothesis.settings(max_examples=60, deadline=None)
@hypothesis.given(
    strategies.integers(0, 352) | strategies.integers(19_290, 19_400),
    strategies.integers(0, 255),
)
def test_a_changed_byte_of_the_structure_is_no_crash(data, offset, value):
    changed = data[:offset] + bytes([value]) + data[offset + 1 :]
    reader = dlib_stream.Reader(changed)
    try:
        dlib_weights._read_network(reader)
    except (dlib_stream.FormatError, struct.error) as error:
        assert "\n" not in str(error)


def load_error(tmp_path, data):
    """Writes `data` as a file and returns the one line that reading it gives."""
    file = tmp_path / "model.dat"
    file.write_bytes(data)
    with pytest.raises(ValueError) as error:
        dlib_resnet.load_dlib_resnet(str(file))
    message = str(error.value)
    assert str(file) in message and "\n" not in message
    return message
