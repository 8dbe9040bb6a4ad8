"""Faces of 448 px: against another library's bicubic, and against the usual size."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.models import face_decoder, larger_faces
from tests.helpers import landmarks as drawn_landmarks
from tests.helpers.tiny_decoder import TINY_TRAINED


@pytest.fixture(scope="module")
def decoder():
    keras.utils.set_random_seed(1)
    mean = drawn_landmarks.face()[0].astype("float32")
    model = face_decoder.build_face_decoder(TINY_TRAINED, 6, mean)
    kernel = model.get_layer("landmarks_fc_out").kernel
    kernel.assign(np.random.default_rng(0).normal(0, 0.1, kernel.shape))
    return model


@pytest.fixture(scope="module")
def features():
    return np.random.default_rng(2).normal(size=(2, 6)).astype("float32")


@pytest.mark.parametrize("from_px, to_px", [(8, 16), (7, 21), (224, 448)])
def test_textures_are_enlarged_as_tensorflow_does(from_px, to_px):
    rng = np.random.default_rng(0)
    texture = rng.uniform(0.3, 0.7, (2, from_px, from_px, 3)).astype("float32")
    expected = tf.image.resize(texture, (to_px, to_px), "bicubic")
    larger = larger_faces.LargerTexture(to_px)(texture)
    inside = slice(to_px // from_px * 2, -(to_px // from_px * 2))
    np.testing.assert_allclose(  # TensorFlow weighs the border in another way
        np.asarray(larger)[:, inside, inside],
        expected.numpy()[:, inside, inside],
        atol=5e-4,  # TensorFlow reads the kernel off a table
    )


def test_landmarks_lie_at_the_same_places(decoder, features):
    usual, larger = decoder(features), larger_faces.at_size(decoder, 448)(features)
    # The middle of pixel 0 of the small picture is between pixels 0 and 1.
    expected = 2 * np.asarray(usual["landmarks"]) + 0.5
    np.testing.assert_allclose(larger["landmarks"], expected, atol=1e-3)


def test_a_larger_face_reduced_is_the_usual_face(decoder, features):
    usual = np.asarray(decoder(features)["image"])
    larger = np.asarray(larger_faces.at_size(decoder, 448)(features)["image"])
    assert larger.shape == (2, 448, 448, 3)
    reduced = larger.reshape(2, 224, 2, 224, 2, 3).mean(axis=(2, 4))
    assert np.abs(reduced - usual).mean() < 0.01


def test_the_warp_is_computed_at_the_larger_size(decoder):
    """A texture that says its place: between pixels, only the landmarks decide."""
    model = larger_faces.at_size(decoder, 448)
    warp, usual_warp = model.get_layer("larger_warp"), decoder.get_layer("warp")
    rng = np.random.default_rng(3)
    moved = usual_warp.source_points + rng.normal(0, 3, (1, 68, 2))
    moved = moved.astype("float32")
    ys, xs = np.mgrid[:448, :448].astype("float32")
    places = np.asarray(warp((np.stack([xs, ys], -1)[None], 2 * moved + 0.5)))
    ys, xs = np.mgrid[:224, :224].astype("float32")
    usual = np.asarray(usual_warp((np.stack([xs, ys], -1)[None], moved)))
    between = places.reshape(1, 224, 2, 224, 2, 2).mean(axis=(2, 4))
    inside = slice(20, -20)  # the border points lie on the pictures' own borders
    difference = (between - 0.5) / 2 - usual
    assert np.abs(difference[:, inside, inside]).mean() < 0.1


def test_weights_are_shared_and_224_is_the_decoder_itself(decoder):
    assert larger_faces.at_size(decoder, 224) is decoder
    larger = larger_faces.at_size(decoder, 448)
    assert {id(v) for v in larger.variables} == {id(v) for v in decoder.variables}


def test_an_outline_is_moved_too(features):
    outline = np.random.default_rng(4).uniform(20, 200, (5, 2))
    mean = np.concatenate([drawn_landmarks.face()[0], outline]).astype("float32")
    config = dataclasses.replace(TINY_TRAINED, warp_order=2)
    decoder = face_decoder.build_face_decoder(config, 6, mean)
    model = larger_faces.at_size(decoder, 448)
    assert model(features)["landmarks"].shape == (2, 73, 2)
    assert model.get_layer("larger_warp").order == 2
