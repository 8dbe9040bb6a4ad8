"""Textures of the face decoder: from their mean, from components, white outside."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import ndimage
from sklearn import decomposition

from speech2face.models import face_decoder, texture_space
from tests.helpers.tiny_decoder import MEAN_LANDMARKS, TINY

pytestmark = pytest.mark.slow


@pytest.fixture
def features():
    return np.random.default_rng(1).normal(size=(2, 6)).astype("float32")


def outlined():
    """Mean landmarks and 26 points on an ellipse around them."""
    angles = np.deg2rad(np.linspace(-35, 215, 26))
    outline = np.stack([112 + 75 * np.cos(angles), 118 - 95 * np.sin(angles)], axis=1)
    return np.concatenate([MEAN_LANDMARKS, outline]).astype("float32")


def test_points_of_an_outline_move_the_texture_as_landmarks_do(features):
    """A texture that says its place: the outline's points show where they came from."""
    mean = outlined()
    model = face_decoder.build_face_decoder(TINY, 6, mean)
    outputs = model(features)
    assert outputs["landmarks"].shape == (len(features), 94, 2)
    warp_layer = model.get_layer("warp")
    moved = mean + np.random.default_rng(0).normal(0, 2, mean.shape)
    ys, xs = np.mgrid[:224, :224].astype("float32")
    places = np.stack([xs, ys, ys], -1)[None]
    image = np.asarray(warp_layer((places, moved[None].astype("float32"))))[0]
    for point, source in zip(moved[68:], mean[68:]):
        came_from = [
            ndimage.map_coordinates(image[..., k], point[::-1, None], order=1)[0]
            for k in (0, 1)
        ]
        np.testing.assert_allclose(came_from, source, atol=0.6)


def test_the_background_is_white_outside_the_outline_only(features):
    config = dataclasses.replace(TINY, white_background=True)
    model = face_decoder.build_face_decoder(config, 6, outlined())
    plain = face_decoder.build_face_decoder(TINY, 6, outlined())
    values = {variable.path: variable for variable in model.variables}
    for variable in plain.variables:  # in another order
        variable.assign(values[variable.path])
    texture = np.asarray(model(features)["texture"])
    y, x = np.mgrid[:224, :224]
    radius = np.hypot((x - 112) / 75, (y - 118) / 95)
    above = y < 118
    assert np.all(texture[:, above & (radius > 1.2)] == 1.0)
    below = np.abs(x - 112) < (y - 118) * 0.5  # neck and shoulders
    for inside in (radius < 0.98, below):
        expected = np.asarray(plain(features)["texture"])[:, inside]
        np.testing.assert_allclose(texture[:, inside], expected, atol=1e-3)


def test_a_white_background_needs_an_outline():
    config = dataclasses.replace(TINY, white_background=True)
    message = "--white_background needs .*--outline_points"
    with pytest.raises(ValueError, match=message):
        face_decoder.build_face_decoder(config, 6, MEAN_LANDMARKS)


def test_textures_start_from_the_mean_training_texture(features):
    """A new decoder of features that are short, as ours are, draws nearly the mean."""
    config = dataclasses.replace(TINY, mean_texture=True)
    model = face_decoder.build_face_decoder(config, 6, MEAN_LANDMARKS)
    plain = face_decoder.build_face_decoder(TINY, 6, MEAN_LANDMARKS)
    textures = np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3), np.uint8)
    model.get_layer("mean_texture").fit(iter(textures))
    drawn = np.asarray(model(0.001 * features)["texture"])
    expected = textures.astype(float).mean(axis=0) / 255
    np.testing.assert_allclose(
        drawn, expected[None].repeat(len(features), 0), atol=0.01
    )
    names = {v.path for v in model.trainable_variables}
    assert names == {v.path for v in plain.trainable_variables}


def halves(textures):
    """Means of 2 x 2 pixels: [n, 112, 112, 3]."""
    return np.reshape(textures, (-1, 112, 2, 112, 2, 3)).mean(axis=(2, 4))


def test_texture_space_is_scikit_learns_principal_components():
    """Of textures at half the size."""
    textures = np.random.default_rng(0).integers(0, 256, (9, 224, 224, 3), np.uint8)
    twin = decomposition.PCA(4, svd_solver="full").fit(
        halves(textures).reshape(9, -1) / 255
    )
    layer = texture_space.TextureSpace(4)
    layer.build(None)
    layer.fit(textures)
    others = np.random.default_rng(1).uniform(size=(2, 224, 224, 3)).astype("float32")
    codes = twin.transform(halves(others).reshape(2, -1))
    expected = twin.inverse_transform(codes).reshape(2, 112, 112, 3)
    for axis in (1, 2):  # enlarged linearly, then halved
        expected = ndimage.convolve1d(expected, [1 / 8, 6 / 8, 1 / 8], axis)
    np.testing.assert_allclose(halves(layer(others)), expected, atol=1e-4)


def test_as_many_components_as_faces_are_refused():
    textures = np.zeros((3, 224, 224, 3), np.uint8)
    message = "--texture_components=3 needs more than 3 training faces; there are 3"
    with pytest.raises(ValueError, match=message):
        texture_space.principal_components(textures, 3)


def test_texture_components_leave_the_other_weights_and_their_gradients(features):
    keras.utils.set_random_seed(0)
    config = dataclasses.replace(TINY, texture_components=2)
    model = face_decoder.build_face_decoder(config, 6, MEAN_LANDMARKS)
    plain = face_decoder.build_face_decoder(TINY, 6, MEAN_LANDMARKS)
    names = [v.path.partition("/")[2] for v in model.trainable_variables]
    assert names == [v.path.partition("/")[2] for v in plain.trainable_variables]
    textures = np.random.default_rng(0).integers(0, 256, (5, 224, 224, 3), np.uint8)
    model.get_layer("space").fit(textures)
    with tf.GradientTape() as tape:
        texture = model(features)["texture"]
        loss = tf.reduce_mean(tf.abs(texture - textures[:2] / np.float32(255)))
    gradients = tape.gradient(loss, model.get_layer("texture_rgb").trainable_variables)
    assert all(np.abs(gradient).max() > 0 for gradient in gradients)
