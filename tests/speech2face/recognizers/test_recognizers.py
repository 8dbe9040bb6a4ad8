"""Recognizers and heads against dlib, numpy and scikit-learn."""

import functools
import hashlib
import importlib.util
import pathlib
import shutil

import dlib
import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from speech2face.errors import UserError
from speech2face.faces import dlib_models
from speech2face.recognizers import dlib as dlib_recognizer
from speech2face.recognizers.base import BATCH
from speech2face.recognizers.loading import load_recognizer
from speech2face.recognizers.vgg_face import vgg_face_head
from speech2face.weights import dlib as dlib_weights
from speech2face.weights import vgg_face_file, vgg_face_size
from tests.helpers.vgg_face_writers import random_weights


def generated_crops(n, seed=0):
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (n, 14, 14, 3)).astype(np.uint8)
    pictures = [Image.fromarray(c).resize((224, 224), Image.BICUBIC) for c in coarse]
    return np.stack([np.array(picture) for picture in pictures])


@functools.lru_cache(maxsize=1)
def reference_models():
    names = dlib_weights.LANDMARKS_FILE, dlib_weights.NETWORK_FILE
    landmarks, network = map(dlib_weights.package_file, names)
    return dlib.shape_predictor(landmarks), dlib.face_recognition_model_v1(network)


def dlib_pipeline(crops, boxes):
    """Landmarks [n, 68, 2] and descriptors [n, 128] as dlib computes them, whole."""
    predictor, network = reference_models()
    shapes = [predictor(crop, box) for crop, box in zip(crops, boxes)]
    features = [network.compute_face_descriptor(*pair) for pair in zip(crops, shapes)]
    landmarks = [[(p.x, p.y) for p in shape.parts()] for shape in shapes]
    return np.array(landmarks, np.float32), np.array(features)


# By hand: the CNN's box is 224 / 1.65 = 135.76 px; 1.1 of it, 149.3 px, about a center
# of 112 + 0.02 * 135.76 = 114.7 and 112 + 0.06 * 135.76 = 120.1
CENTER_BOX = dlib.rectangle(40, 45, 188, 194)


@pytest.fixture(scope="module")
def dlib_face():
    return load_recognizer("dlib")


@pytest.fixture(scope="module")
def crops():
    return generated_crops(5)


@pytest.fixture(scope="module")
def truth(crops):
    return dlib_pipeline(crops, [CENTER_BOX] * len(crops))


@pytest.mark.slow
def test_dlib_features_equal_dlib(dlib_face, crops, truth):
    detector = dlib.get_frontal_face_detector()
    assert not any(len(detector(crop)) for crop in crops)  # generated: no faces
    features = dlib_face.features(crops)
    assert features.dtype == np.float32
    np.testing.assert_allclose(features, truth[1], atol=2e-5)


@pytest.mark.slow
@pytest.mark.real_data
def test_dlib_features_equal_dlib_on_real_faces(dlib_face, real_data_dir):
    paths = sorted((real_data_dir / "avspeech" / "face").glob("*.jpg"))[:12]
    crops = np.stack([np.array(Image.open(path)) for path in paths])
    detector = dlib.get_frontal_face_detector()
    found = [detector(crop) for crop in crops]
    assert sum(len(boxes) == 1 for boxes in found) >= 8
    boxes = [boxes[0] if boxes else CENTER_BOX for boxes in found]
    landmarks, expected = dlib_pipeline(crops, boxes)
    np.testing.assert_allclose(dlib_face.features(crops), expected, atol=1e-5)
    canonical = dlib_face.canonical_features(crops, landmarks)
    np.testing.assert_allclose(canonical, expected, atol=1e-3)
    # two images of faces in one gallery: far apart, and beyond the same-person 0.6
    distances = np.linalg.norm(expected[:, None] - expected, axis=-1)
    assert np.median(distances) > 0.6


def test_canonical_features_equal_features_at_dlibs_landmarks(dlib_face, crops, truth):
    landmarks, expected = truth
    actual = dlib_face.canonical_features(crops, landmarks)
    # chips differ by one gray level in a few of 22,500 pixels; people differ by > 0.6
    np.testing.assert_allclose(actual, expected, atol=1e-3)


@pytest.mark.parametrize(
    "found, expected",
    [
        ([(60, 70, 160, 170)], (60, 70, 160, 170)),
        ([(0, 0, 90, 90), (60, 70, 160, 170)], (60, 70, 160, 170)),
        ([(0, 0, 90, 90)], (40, 45, 188, 194)),  # somebody else's, in the corner
        ([], (40, 45, 188, 194)),
    ],
)
def test_landmarks_start_from_the_face_in_the_middle(
    crops, monkeypatch, found, expected
):
    boxes = [dlib.rectangle(*box) for box in found]
    monkeypatch.setattr(dlib_models, "hog_detector", lambda: lambda *_: boxes)
    start = dlib_recognizer.start_box(crops[0])
    assert (start.left(), start.top(), start.right(), start.bottom()) == expected


def gradients_towards(dlib_face, image, landmarks, direction):
    """Of the features' component along `direction`: to the image, to the landmarks."""
    variables = [tf.constant(image, tf.float32), tf.constant(landmarks, tf.float32)]
    with tf.GradientTape() as tape:
        tape.watch(variables)
        feature = dlib_face.canonical_features(*variables)
        value = tf.linalg.matvec(feature, tf.constant(direction, tf.float32))
    return [gradient.numpy() for gradient in tape.gradient(value, variables)]


def test_gradient_of_the_image_agrees_with_differences_of_dlib(dlib_face):
    image = generated_crops(1, seed=6) // 2 + 60
    change = generated_crops(1, seed=7).astype(np.int32) // 64 - 2  # -2 ... 1
    plus, minus = ((image + sign * change).astype(np.uint8)[0] for sign in (1, -1))
    landmarks, _ = dlib_pipeline(image, [CENTER_BOX])
    parts = [dlib.point(int(x), int(y)) for x, y in landmarks[0]]
    shape = dlib.full_object_detection(CENTER_BOX, parts)
    network = reference_models()[1]
    up, down = (network.compute_face_descriptor(i, shape) for i in (plus, minus))
    difference = (np.array(up) - np.array(down)) / 2
    gradient, _ = gradients_towards(dlib_face, image, landmarks, difference)
    # two gray levels are not infinitesimal: ReLUs switch within them
    np.testing.assert_allclose(
        np.sum(gradient * change), np.sum(difference**2), rtol=0.15
    )


def test_gradient_of_the_landmarks_agrees_with_differences(dlib_face, crops, truth):
    image, landmarks = crops[:1], truth[0][:1]
    change = np.random.default_rng(8).normal(size=(1, 68, 2)).astype(np.float32)
    up, down = (
        dlib_face.canonical_features(image, landmarks + sign * change).numpy()[0]
        for sign in (0.5, -0.5)
    )
    _, gradient = gradients_towards(dlib_face, image, landmarks, up - down)
    np.testing.assert_allclose(
        np.sum(gradient * change), np.sum((up - down) ** 2), rtol=0.15
    )


def test_features_do_not_depend_on_the_batch(dlib_face):
    crops = generated_crops(BATCH + 2, seed=3)
    together = dlib_face.features(crops)
    for i in (0, BATCH - 1, BATCH, BATCH + 1):
        alone = dlib_face.features(crops[i : i + 1])
        np.testing.assert_allclose(together[i], alone[0], atol=1e-5)


def test_no_crops_no_features(dlib_face):
    assert dlib_face.features(np.zeros((0, 224, 224, 3), np.uint8)).shape == (0, 128)


@pytest.mark.parametrize(
    "crops",
    [
        np.zeros((2, 224, 224, 3), np.float32),
        np.zeros((2, 150, 150, 3), np.uint8),
        np.zeros((224, 224, 3), np.uint8),
        np.zeros((2, 224, 224), np.uint8),
    ],
)
def test_other_images_are_refused(dlib_face, crops):
    with pytest.raises(ValueError, match=r"expected uint8 \[n, 224, 224, 3\]"):
        dlib_face.features(crops)


def test_dlib_face_names_its_weights(dlib_face):
    path = dlib_weights.package_file(dlib_weights.NETWORK_FILE)
    content = pathlib.Path(path).read_bytes()
    assert dlib_face.checksum == hashlib.sha256(content).hexdigest()
    assert (dlib_face.name, dlib_face.feature_dim, dlib_face.input_px) == (
        "dlib",
        128,
        150,
    )


def test_unknown_recognizer():
    with pytest.raises(ValueError, match="unknown recognizer 'facenet'; expected"):
        load_recognizer("facenet")


def test_vgg_face_without_weights():
    with pytest.raises(ValueError, match="import_vgg_face"):
        load_recognizer("vgg_face")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.h5"):
        load_recognizer("vgg_face", "nowhere.h5")


def test_missing_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install face_recognition_models"):
        load_recognizer("dlib")


def test_package_file_with_one_changed_weight(monkeypatch, tmp_path):
    file = tmp_path / "network.dat"
    shutil.copy(dlib_weights.package_file(dlib_weights.NETWORK_FILE), file)
    with file.open("r+b") as handle:
        handle.seek(5000)
        handle.write(b"\0")
    # a file that the user names may be another training of the network ...
    changed = load_recognizer("dlib", str(file))
    assert changed.checksum != dlib_weights.NETWORK_SHA256
    # ... the package's may not
    monkeypatch.setattr(dlib_weights, "package_file", lambda name: str(file))
    with pytest.raises(ValueError, match="damaged or changed"):
        load_recognizer("dlib")


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """A VGG-Face with few channels and random weights, as the importer writes it."""
    size = vgg_face_size.VggFaceSize(
        blocks=((4,), (4,), (6,), (8,), (8,)), fc_units=24, n_classes=7
    )
    path = str(tmp_path_factory.mktemp("vgg") / "vgg.h5")
    weights = random_weights(size)
    vgg_face_file.write(path, weights, size=size, source_format="random")
    return path


def test_vgg_face(vgg_file, crops):
    recognizer = load_recognizer("vgg_face", vgg_file)
    assert (recognizer.name, recognizer.feature_dim) == ("vgg_face", 24)
    assert recognizer.checksum == vgg_face_file.read_info(vgg_file).checksum
    features = recognizer.features(crops)
    assert features.shape == (5, 24)
    assert (features < 0).any()  # fc7 before its ReLU
    canonical = recognizer.canonical_features(crops.astype(np.float32))
    np.testing.assert_allclose(canonical, features, rtol=1e-4, atol=1e-4)
    rectified = load_recognizer("vgg_face_relu", vgg_file)
    np.testing.assert_allclose(
        rectified.features(crops), np.maximum(features, 0), rtol=1e-4, atol=1e-4
    )
    assert rectified.name == "vgg_face_relu"


def test_vgg_face_is_float32_under_any_precision_policy(vgg_file, crops):
    expected = load_recognizer("vgg_face", vgg_file).features(crops)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        actual = load_recognizer("vgg_face", vgg_file).features(crops)
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(actual, expected)


def test_vgg_face_in_bfloat16(vgg_file, crops):
    """The features differ, but by less than 1e-3 in cosine, after centering too."""
    expected = load_recognizer("vgg_face", vgg_file).features(crops)
    features = load_recognizer("vgg_face", vgg_file, "bfloat16").features(crops)
    assert features.dtype == np.float32
    assert (features != expected).any()
    for offset in (0, expected.mean(0)):
        a, b = features - offset, expected - offset
        lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        assert (np.sum(a * b, 1) / lengths).min() > 0.999


def test_dlib_in_bfloat16_is_refused():
    with pytest.raises(UserError, match="computes in float32"):
        load_recognizer("dlib", precision="bfloat16")


def test_vgg_face_head_by_hand(vgg_file, crops):
    feature = load_recognizer("vgg_face", vgg_file).features(crops)
    fc8 = vgg_face_file.read_weights(vgg_file)[0]["fc8"]
    expected = np.maximum(feature, 0).astype(np.float64) @ fc8.kernel + fc8.bias
    logits = vgg_face_head(vgg_file).logits(feature)
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4)
