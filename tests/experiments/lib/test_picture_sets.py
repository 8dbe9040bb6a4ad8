"""Sets of pictures: recall in galleries by drawing them, and wrong folders."""

import itertools
import types

import numpy as np
import pytest

from experiments.lib import picture_sets
from experiments.lib.results import NotApplicable
from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.weights import vgg_face_file
from tests.helpers.vgg_face_writers import TINY, random_weights


def recall_by_drawing(n_nearer, n, k, size):
    """Of all galleries of `size` with the true face, in how many is it among k?"""
    others = [True] * n_nearer + [False] * (n - 1 - n_nearer)
    drawn = list(itertools.product(others, repeat=size - 1))
    return np.mean([sum(gallery) < k for gallery in drawn])


def test_recall_in_galleries_equals_drawing_them(monkeypatch):
    monkeypatch.setattr(picture_sets, "GALLERY", 5)
    true = np.eye(5)
    found = np.array([[1, 0.5, 0.2, 0, 0], [0.9, 1, 0.1, 0, 0], [0.9, 1.0, 0.5, 0, 0]])
    result = picture_sets.retrieval(found, true[:3], gallery=true)
    np.testing.assert_allclose(result.rank_percent, [20, 20, 60])
    expected = [recall_by_drawing(nearer, 5, 1, 5) for nearer in (0, 0, 2)]
    np.testing.assert_allclose(result.recall_1, expected)
    norms = np.linalg.norm(found, axis=1)
    np.testing.assert_allclose(result.cosine, found[[0, 1, 2], [0, 1, 2]] / norms)


def test_the_first_ten_of_215():
    """Ten of the hundred other faces are nearer: each of 214 is, with chance 0.1."""
    angles = np.radians([20.0, *range(1, 11), *range(30, 120)])
    faces = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    voice = np.array([[1.0, 0.0]])
    result = picture_sets.retrieval(voice, faces[:1], gallery=faces)
    assert result.rank_percent == pytest.approx([100 * 11 / 101])
    drawn = np.random.default_rng(0).binomial(214, 0.1, 200_000)
    assert result.recall_10[0] == pytest.approx(np.mean(drawn <= 9), abs=0.002)


def test_a_set_is_read_in_batches_as_at_once():
    pictures = np.random.default_rng(0).integers(0, 256, (7, 224, 224, 3), np.uint8)

    class Corner:
        def features(self, images):
            return images[:, 0, 0].astype(float)

    found = picture_sets.read_set([pictures[:3], pictures[3:]], Corner())
    np.testing.assert_array_equal(found.features, pictures[:, 0, 0])
    expected = pictures.astype(float).var(axis=0).mean()
    assert found.variance == pytest.approx(expected, rel=1e-12)
    assert found.attributes == []


def test_a_model_of_vgg_face_is_read_back_with_its_weights(tmp_path):
    weights = tmp_path / "vgg_face.weights.h5"
    vgg_face_file.write(
        weights, random_weights(TINY), size=TINY, source_format="random"
    )
    other = tmp_path / "other.weights.h5"
    vgg_face_file.write(
        other, random_weights(TINY, seed=1), size=TINY, source_format="random"
    )
    checksum = vgg_face_file.read_info(weights).checksum
    info = dataset_info.RecognizerInfo("vgg_face", TINY.fc_units, checksum)
    material = types.SimpleNamespace(
        model=types.SimpleNamespace(decoder=types.SimpleNamespace(recognizer=info))
    )
    with pytest.raises(NotApplicable, match="--vgg_face_weights must name"):
        picture_sets.recognizer_of(material)
    with pytest.raises(UserError, match=r"other\.weights\.h5 are "):
        picture_sets.recognizer_of(material, other)
    recognizer = picture_sets.recognizer_of(material, weights)
    assert recognizer.checksum == checksum
