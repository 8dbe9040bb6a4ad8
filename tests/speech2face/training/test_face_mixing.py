"""Blends of faces: the same weights for all of an example, decided by a seed alone."""

import numpy as np
import tensorflow as tf

from speech2face.training.decoder import mix_faces, mixing_weights


def make_batch(n=6):
    """Faces whose landmarks and texture are linear in their feature."""
    rng = np.random.default_rng(0)
    feature = rng.normal(size=(n, 5)).astype("float32")
    to_landmarks = rng.normal(size=(5, 136)).astype("float32")
    to_texture = rng.normal(size=(5, 48)).astype("float32")
    return {
        "face_feature": feature,
        "landmarks": (feature @ to_landmarks).reshape(n, 68, 2),
        "texture": (feature @ to_texture).reshape(n, 4, 4, 3),
        "clip_id": np.array([b"id"] * n),
    }, (to_landmarks, to_texture)


def test_a_blend_is_the_same_for_feature_landmarks_and_texture():
    batch, (to_landmarks, to_texture) = make_batch()
    mixed = mix_faces(batch, 1.0, tf.constant([3, 4]))
    feature = mixed["face_feature"].numpy()
    assert not np.allclose(feature, batch["face_feature"], atol=0.1)
    np.testing.assert_allclose(
        mixed["landmarks"], (feature @ to_landmarks).reshape(-1, 68, 2), atol=1e-4
    )
    np.testing.assert_allclose(
        mixed["texture"], (feature @ to_texture).reshape(-1, 4, 4, 3), atol=1e-4
    )
    assert mixed["clip_id"] is batch["clip_id"]


def test_share_is_the_share_of_blended_examples():
    weights = np.stack(
        [mixing_weights(8, 0.25, tf.constant([0, s])) for s in range(0, 800, 10)]
    )
    untouched = np.all(weights == np.eye(8), axis=-1).mean()
    assert abs(untouched - 0.75) < 0.05
    assert np.all(weights >= 0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, atol=1e-5)


def test_blends_reach_from_the_face_to_the_mean_of_the_batch():
    seeds = [tf.constant([1, s]) for s in range(0, 3000, 10)]
    own = np.stack([np.diag(mixing_weights(8, 1.0, seed)) for seed in seeds])
    assert own.min() < 0.2
    assert own.max() > 0.98
    assert 0.45 < own.mean() < 0.65  # 1/2 + 1/2 of 1/8


def test_the_part_of_the_way_and_the_kind_of_mean_are_drawn_apart():
    weights = np.stack([mixing_weights(8, 0.25, [s, s]) for s in range(400)])
    own = np.diagonal(weights, axis1=1, axis2=2).ravel()
    others = weights[:, ~np.eye(8, dtype=bool)].reshape(-1, 7)  # of each example
    is_blended = own < 1
    is_equal = np.ptp(others, axis=1) < 1e-6
    # Of the blended quarter, half of all ways are longer than half of the way.
    assert abs(np.mean(own[is_blended & is_equal] < 1 - 7 / 16) - 0.5) < 0.06
    for is_far in (own < 0.5, own > 0.5):
        assert abs(is_equal[is_blended & is_far].mean() - 0.5) < 0.1


def test_no_share_leaves_the_batch():
    batch, _ = make_batch()
    mixed = mix_faces(batch, 0.0, tf.constant([3, 4]))
    for name, value in batch.items():
        np.testing.assert_array_equal(mixed[name], value)


def test_the_seed_decides():
    first, again, other = (
        mixing_weights(5, 0.5, tf.constant(seed)) for seed in ([1, 2], [1, 2], [1, 30])
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)
