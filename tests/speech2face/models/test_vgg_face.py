"""VGG-Face itself, and the file that its weights are read from."""

import pathlib

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.errors import UserError
from speech2face.models import vgg_face
from speech2face.weights import vgg_face_file, vgg_face_size
from tests.helpers import vgg_face_writers as writers

TINY = writers.TINY


@pytest.fixture
def weights_path(tmp_path):
    path = str(tmp_path / "vgg_face.weights.h5")
    weights = writers.random_weights(TINY, seed=3)
    vgg_face_file.write(path, weights, size=TINY, source_format="random")
    return path


def test_parameter_count_of_the_paper_network():
    # Parkhi et al.: 13 convolutions, 4096, 4096, 2622.
    model = vgg_face.build_vgg_face()
    assert model.count_params() == 145_002_878
    assert vgg_face_size.PAPER_SIZE.n_parameters == 145_002_878


def test_output_shapes_of_every_layer_of_the_paper_network():
    size = vgg_face_size.PAPER_SIZE
    with keras.device("cpu"):
        model = vgg_face.build_vgg_face()
    assert model.input_shape == (None, 224, 224, 3)
    for block, (side, channels) in enumerate(
        [(112, 64), (56, 128), (28, 256), (14, 512), (7, 512)], start=1
    ):
        assert model.get_layer(f"pool{block}").output.shape[1:] == (
            side,
            side,
            channels,
        )
    assert size.kernel_shapes["fc6"] == (25088, 4096)
    shapes = {name: output.shape for name, output in model.output.items()}
    assert shapes == {"fc6": (None, 4096), "fc7": (None, 4096), "fc8": (None, 2622)}


def test_mean_is_subtracted_in_rgb_order(weights_path):
    # At the mean color every layer but the biases sees zeros.
    model = vgg_face.load_vgg_face(weights_path)
    weights, _ = vgg_face_file.read_weights(weights_path)
    image = np.broadcast_to(np.float32([129.1863, 104.7624, 93.5940]), (1, 64, 64, 3))
    inner = keras.Model(model.input, model.get_layer("conv1_1").output)
    expected = np.maximum(weights["conv1_1"].bias, 0)
    got = inner.predict_on_batch(np.array(image))
    np.testing.assert_allclose(got, np.broadcast_to(expected, got.shape), atol=1e-4)


def test_fc7_before_and_after_its_relu(weights_path):
    image = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("f4")
    before = vgg_face.load_vgg_face(weights_path).predict_on_batch(image)
    after = vgg_face.load_vgg_face(weights_path, fc7_relu=True).predict_on_batch(image)
    assert before["fc7"].min() < 0
    np.testing.assert_array_equal(after["fc7"], np.maximum(before["fc7"], 0))
    np.testing.assert_array_equal(after["fc8"], before["fc8"])


def test_head_applied_to_the_feature_gives_the_logits(weights_path):
    # f_VGG(v) = W8 relu(v) + b8
    image = np.random.default_rng(0).uniform(0, 255, (3, 64, 64, 3)).astype("f4")
    outputs = vgg_face.load_vgg_face(weights_path).predict_on_batch(image)
    head = vgg_face_file.load_head(weights_path)
    assert head.kernel.shape == (10, 9) and head.bias.shape == (9,)
    logits = np.maximum(outputs["fc7"], 0) @ head.kernel + head.bias
    np.testing.assert_allclose(logits, outputs["fc8"], rtol=1e-4, atol=1e-4)


def test_head_is_read_without_the_rest_of_the_file(weights_path):
    with h5py.File(weights_path, "a") as file:
        for name in list(file):
            if name not in ("fc8", "class_names"):
                del file[name]
    assert vgg_face_file.load_head(weights_path).kernel.shape == (10, 9)


def test_gradients_reach_the_image(weights_path):
    model = vgg_face.load_vgg_face(weights_path)
    image = tf.random.uniform((1, 64, 64, 3), 0, 255, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(image)
        value = tf.reduce_sum(model(image)["fc7"])
    assert float(tf.reduce_max(tf.abs(tape.gradient(value, image)))) > 0
    assert not model.trainable_variables


def test_written_weights_come_back(weights_path):
    weights, info = vgg_face_file.read_weights(weights_path)
    expected = writers.random_weights(TINY, seed=3)
    assert list(weights) == writers.LAYER_NAMES
    for name, layer in weights.items():
        np.testing.assert_array_equal(layer.kernel, expected[name].kernel)
        np.testing.assert_array_equal(layer.bias, expected[name].bias)
    assert info.size == TINY and info == vgg_face_file.read_info(weights_path)


def test_a_changed_file_is_noticed(weights_path):
    with h5py.File(weights_path, "a") as file:
        file["conv3_2/kernel"][0, 0, 0, 0] += 1
    with pytest.raises(ValueError, match="conv3_2 does not match its checksum"):
        vgg_face.load_vgg_face(weights_path)
    vgg_face_file.load_head(weights_path)  # fc8 is as it was
    with h5py.File(weights_path, "a") as file:
        file["fc8/bias"][0] += 1
    with pytest.raises(ValueError, match="fc8 does not match its checksum"):
        vgg_face_file.load_head(weights_path)


@pytest.mark.parametrize("size", ["{", "[]", '{"blocks": 3}', '{"depth": 1}'])
def test_a_damaged_description_is_one_line(weights_path, size):
    with h5py.File(weights_path, "a") as file:
        file.attrs["size"] = size
    with pytest.raises(UserError, match=r"vgg_face\.weights\.h5"):
        vgg_face_file.read_info(weights_path)


def test_truncated_and_foreign_files(weights_path, tmp_path):
    data = pathlib.Path(weights_path).read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match="import_vgg_face"):
        vgg_face.load_vgg_face(str(tmp_path / "cut.h5"))
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match="not an imported VGG-Face file"):
        vgg_face_file.load_head(str(tmp_path / "other.h5"))
    with pytest.raises(FileNotFoundError, match="import_vgg_face"):
        vgg_face_file.load_head(str(tmp_path / "missing.h5"))


def test_nothing_half_written_is_left(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(vgg_face_file, "_write_info", fail)
    weights = writers.random_weights(TINY)
    with pytest.raises(OSError, match="disk full"):
        vgg_face_file.write(
            str(tmp_path / "w.h5"), weights, size=TINY, source_format="x"
        )
    assert not list(tmp_path.iterdir())
