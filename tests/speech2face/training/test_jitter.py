"""Changes of a decoded face before the recognizer sees it."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage

from speech2face.training import jitter


def make_faces(n=6):
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(n, 32, 32, 3)), (0, 3, 3, 0))
    images = 128 + 400 * smooth
    landmarks = rng.uniform(8, 24, (n, 68, 2))
    return images.astype("float32"), landmarks.astype("float32")


def test_strength_0_changes_nothing():
    images, landmarks = make_faces()
    same, points = jitter.jittered(images, landmarks, 0.0, tf.constant([1, 2]))
    np.testing.assert_allclose(same, images.clip(0, 255), atol=1e-3)
    np.testing.assert_allclose(points, landmarks, atol=1e-4)


def test_the_seed_decides_all_and_faces_differ():
    images, landmarks = make_faces()
    draws = [
        jitter.jittered(images, landmarks, 1.0, tf.constant([1, seed]))
        for seed in (10, 10, 40)
    ]
    np.testing.assert_array_equal(draws[0][0], draws[1][0])
    np.testing.assert_array_equal(draws[0][1], draws[1][1])
    assert np.abs(draws[0][0] - draws[2][0]).mean() > 1
    shifts = (np.asarray(draws[0][1]) - landmarks).mean(axis=1)
    assert len(np.unique(shifts.round(3), axis=0)) == len(images)


def test_place_and_size_have_their_spread():
    images, landmarks = make_faces()
    scales, shifts = [], []
    for seed in range(0, 6000, 30):
        _, moved = jitter.jittered(images, landmarks, 1.0, tf.constant([0, seed]))
        moved = np.asarray(moved)
        shifts.append((moved - landmarks).mean(axis=1))
        scales.append(moved.std(axis=1).mean(1) / landmarks.std(axis=1).mean(1))
    assert np.std(shifts) == pytest.approx(3.0, rel=0.08)
    assert np.std(scales) == pytest.approx(0.06, rel=0.08)
    assert np.mean(scales) == pytest.approx(1.0, abs=0.01)


def test_gradients_reach_images_and_landmarks():
    images, landmarks = map(tf.constant, make_faces(2))
    with tf.GradientTape() as tape:
        tape.watch([images, landmarks])
        changed, points = jitter.jittered(images, landmarks, 1.0, tf.constant([0, 0]))
        loss = tf.reduce_sum(changed) + tf.reduce_sum(points)
    to_images, to_landmarks = tape.gradient(loss, [images, landmarks])
    assert np.abs(to_images).mean() > 0.5
    np.testing.assert_allclose(to_landmarks, 1.0, atol=0.3)
