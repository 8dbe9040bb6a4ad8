"""The differentiable face chip against dlib's `get_face_chip`."""

import dlib
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from speech2face.recognizers import dlib_alignment


def smooth_image(generator, detail=12, size_px=224):
    coarse = generator.integers(0, 256, (detail, detail, 3)).astype(np.uint8)
    return np.array(Image.fromarray(coarse).resize((size_px, size_px), Image.BICUBIC))


def random_landmarks(generator, scale=(0.8, 1.3), max_degrees=30.0, shift_px=15.0):
    """68 whole-numbered points: the mean face, moved, plus noise."""
    points = generator.uniform(0, 1, (68, 2))
    points[list(dlib_alignment.ALIGNED_LANDMARKS)] = dlib_alignment.MEAN_FACE
    angle = np.deg2rad(generator.uniform(-max_degrees, max_degrees))
    rotation = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    points = (points - 0.5) @ np.transpose(rotation) * 100 * generator.uniform(*scale)
    points += 112 + generator.uniform(-shift_px, shift_px, 2)
    return np.round(points + generator.normal(0, 2, (68, 2)))


def detection(landmarks):
    parts = [dlib.point(int(x), int(y)) for x, y in landmarks]
    return dlib.full_object_detection(dlib.rectangle(0, 0, 9, 9), parts)


def dlib_chip(image, landmarks):
    return dlib.get_face_chip(image, detection(landmarks), size=150, padding=0.25)


@pytest.mark.parametrize("seed", range(4))
def test_equals_dlib(seed):
    generator = np.random.default_rng(seed)
    images = np.stack([smooth_image(generator) for _ in range(3)])
    landmarks = np.stack([random_landmarks(generator) for _ in range(3)])
    chips = dlib_alignment.align_to_chip(images, landmarks).numpy()
    expected = np.stack([dlib_chip(*pair) for pair in zip(images, landmarks)])
    difference = np.abs(chips - expected)
    assert difference.max() <= 1  # a value on the edge of two integers
    assert difference.mean() < 0.01


def test_black_where_the_chip_leaves_the_image():
    generator = np.random.default_rng(5)
    image = np.full((224, 224, 3), 200, np.uint8)
    landmarks = random_landmarks(generator, scale=(1.7, 1.8), shift_px=60)
    chip = dlib_alignment.align_to_chip(image[None], landmarks[None]).numpy()[0]
    expected = dlib_chip(image, landmarks)
    assert 0.05 < np.mean(expected == 0) < 0.8
    assert np.mean(chip != expected) < 0.005  # points that lie on the border itself


def test_frame_equals_dlib_at_any_scale_and_angle():
    generator = np.random.default_rng(6)
    # dlib's own frame, as its chip_details tell it
    for _ in range(20):
        landmarks = random_landmarks(generator, (0.3, 30.0), 180.0, 500.0)
        details = dlib.get_face_chip_details(detection(landmarks), 150, 0.25)
        rect, angle = details.rect, details.angle
        rotation, center = dlib_alignment._similarity(
            landmarks[None].astype(np.float32)
        )
        scale = (rect.right() - rect.left() + 1) / 150
        expected = np.array([np.cos(angle), np.sin(angle)]) * scale
        np.testing.assert_allclose(rotation[0], expected, atol=2e-5 * scale)
        middle = [(rect.left() + rect.right()) / 2, (rect.top() + rect.bottom()) / 2]
        np.testing.assert_allclose(center[0], middle, rtol=1e-5, atol=1e-3)


def test_every_face_of_a_batch_has_its_own_chip():
    generator = np.random.default_rng(7)
    images = np.stack([smooth_image(generator) for _ in range(5)])
    landmarks = np.stack([random_landmarks(generator) for _ in range(5)])
    together = dlib_alignment.align_to_chip(images, landmarks).numpy()
    for i in range(5):
        alone = dlib_alignment.align_to_chip(images[i : i + 1], landmarks[i : i + 1])
        difference = np.abs(together[i] - alone[0])
        assert difference.max() <= 1  # a value on the edge of two integers
        assert np.mean(difference > 0) < 1e-3  # another face's chip differs everywhere


def value_and_gradients(
    images, landmarks, weights, function=dlib_alignment.align_to_chip
):
    images, landmarks = tf.constant(images), tf.constant(landmarks)
    with tf.GradientTape() as tape:
        tape.watch([images, landmarks])
        value = tf.reduce_mean(function(images, landmarks) * weights)
    return [value, *tape.gradient(value, [images, landmarks])]


@pytest.fixture
def problem():
    """Image [1, h, w, 3], landmarks [1, 68, 2] and smooth weights of a chip."""
    generator = np.random.default_rng(8)
    image = smooth_image(generator, detail=6)[None].astype(np.float32)
    landmarks = random_landmarks(generator, scale=(0.9, 1.0))[None].astype(np.float32)
    weights = smooth_image(generator, detail=5, size_px=150).astype(np.float32) - 128
    return image, landmarks, weights


def test_gradient_of_the_landmarks(problem):
    image, landmarks, weights = problem
    _, _, gradient = value_and_gradients(image, landmarks, weights)
    used = list(dlib_alignment.ALIGNED_LANDMARKS)
    assert not np.delete(gradient[0], used, axis=0).any()
    for direction in np.random.default_rng(9).normal(size=(4, 1, 68, 2)):
        plus, minus = (
            value_and_gradients(image, landmarks + s * direction.astype("f4"), weights)
            for s in (1, -1)
        )
        numeric = (plus[0] - minus[0]) / 2
        predicted = np.sum(gradient * direction)
        np.testing.assert_allclose(predicted, numeric, rtol=0.03, atol=0.03)


def test_gradient_of_the_image_is_the_adjoint(problem):
    image, landmarks, weights = problem
    _, gradient, _ = value_and_gradients(image, landmarks, weights)
    change = smooth_image(np.random.default_rng(10), detail=9)[None].astype(np.float32)
    values = [
        value_and_gradients(i, landmarks, weights)[0] for i in (image + change, image)
    ]
    np.testing.assert_allclose(
        np.sum(gradient * change), values[0] - values[1], rtol=0.01
    )


def test_compiles_with_xla_and_dynamic_batch(problem):
    image, landmarks, weights = problem
    compiled = tf.function(
        dlib_alignment.align_to_chip,
        jit_compile=True,
        input_signature=[
            tf.TensorSpec([None, 224, 224, 3]),
            tf.TensorSpec([None, 68, 2]),
        ],
    )
    expected = value_and_gradients(image, landmarks, weights)
    actual = value_and_gradients(image, landmarks, weights, compiled)
    for a, b in zip(actual, expected):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=2e-3)


def test_coinciding_landmarks_make_a_chip_of_one_color(problem):
    image, _, weights = problem
    landmarks = np.full((1, 68, 2), 80, np.float32)
    chip = dlib_alignment.align_to_chip(image, landmarks)[0]
    np.testing.assert_array_equal(chip, np.tile(image[0, 80, 80], (150, 150, 1)))
    _, of_image, of_landmarks = value_and_gradients(image, landmarks, weights)
    # Every pixel of the chip depends on that pixel alone.
    np.testing.assert_allclose(
        of_image[0, 80, 80], weights.mean(axis=(0, 1)) / 3, rtol=1e-4
    )
    assert np.isfinite(of_landmarks).all()
