"""Heads of recognizers by hand, and prototypes against scikit-learn."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import special
from sklearn import neighbors

from speech2face.recognizers import prototypes
from speech2face.recognizers.base import RecognizerHead


def test_head_by_hand():
    weights = [[1.0, 0.0, 2.0], [0.0, 1.0, -1.0]]
    feature = np.array([[3.0, -4.0]], np.float32)
    linear = RecognizerHead(weights, [0.5, 0.0, 0.0], relu_input=False)
    np.testing.assert_allclose(linear.logits(feature), [[3.5, -4.0, 10.0]])
    rectified = RecognizerHead(weights, [0.5, 0.0, 0.0], relu_input=True)
    np.testing.assert_allclose(rectified.logits(feature), [[3.5, 0.0, 6.0]])
    assert (rectified.feature_dim, rectified.n_classes) == (2, 3)


def test_a_graph_has_no_copy_of_a_head():
    head = RecognizerHead(np.ones((70, 30)), np.zeros(30), relu_input=True)
    graph = tf.function(head.logits).get_concrete_function(tf.TensorSpec([2, 70])).graph
    assert len(graph.as_graph_def().SerializeToString()) < head.weights.nbytes


@pytest.mark.parametrize(
    "weights, bias, message",
    [
        (np.zeros((4, 3)), np.zeros(4), r"\[feature_dim, n_classes\]"),
        (np.zeros(4), np.zeros(4), r"\[feature_dim, n_classes\]"),
        (np.full((4, 3), np.nan), np.zeros(3), "not finite"),
    ],
)
def test_head_of_wrong_arrays(weights, bias, message):
    with pytest.raises(ValueError, match=message):
        RecognizerHead(weights, bias, relu_input=False)


@pytest.fixture
def people():
    """Features [60, 16] of 12 people in shuffled order, and their ids."""
    generator = np.random.default_rng(4)
    ids = np.array([f"person{i % 12}" for i in generator.permutation(60)])
    centers = {i: generator.normal(size=16) for i in np.unique(ids)}
    noise = generator.normal(scale=0.3, size=(60, 16))
    return np.stack([centers[i] for i in ids]) + noise, ids


def test_prototype_head_is_the_posterior_of_the_nearest_mean(people):
    features, ids = people
    head = prototypes.prototype_head(features, ids, sharpness=3.0)
    queries = np.random.default_rng(5).normal(size=(40, 16))
    logits = head.logits(queries).numpy()
    nearest = neighbors.NearestCentroid().fit(features, ids)
    np.testing.assert_array_equal(
        nearest.classes_[logits.argmax(1)], nearest.predict(queries)
    )
    means = np.stack([features[ids == i].mean(0) for i in sorted(set(ids))])
    squared = np.sum((queries[:, None] - means) ** 2, axis=-1)
    np.testing.assert_allclose(
        special.softmax(logits, 1), special.softmax(-1.5 * squared, 1), atol=1e-5
    )


def test_centroids_are_the_clusters_and_repeatable(people):
    features, ids = people
    alone = [str(index) for index in range(len(features))]  # a face each
    head = prototypes.prototype_head(features, alone, n_prototypes=12, sharpness=2.0)
    again = prototypes.prototype_head(features, alone, n_prototypes=12, sharpness=2.0)
    np.testing.assert_array_equal(head.weights, again.weights)
    means = np.stack([features[ids == i].mean(0) for i in sorted(set(ids))])
    centroids = head.weights.T / 2.0
    # the clusters are far apart, so k-means must find each person's mean
    order = np.linalg.norm(means[:, None] - centroids, axis=-1).argmin(1)
    assert sorted(order) == list(range(12))
    np.testing.assert_allclose(centroids[order], means, atol=1e-5)


def test_no_centroid_is_the_face_of_one_or_two_people():
    crowd = np.random.default_rng(0).normal(size=(9, 4)) * 0.01
    loner = np.full((5, 4), 100.0) + np.arange(5)[:, None] * 0.01  # one person's
    features = np.concatenate([crowd, loner])
    ids = [f"p{index}" for index in range(9)] + ["loner"] * 5
    head = prototypes.prototype_head(features, ids, n_prototypes=2, sharpness=1.0)
    np.testing.assert_allclose(head.weights.T, crowd.mean(0, keepdims=True), atol=1e-6)
    with pytest.raises(ValueError, match="n_prototypes=14: none of them has 3 people"):
        prototypes.prototype_head(features, ids, n_prototypes=14)


@pytest.mark.parametrize(
    "features, ids, options, message",
    [
        (np.zeros((0, 4)), [], {}, "prototypes need"),
        (np.zeros((3, 4)), ["a", "b"], {}, "prototypes need"),
        (np.eye(3), list("abc"), {"n_prototypes": 4}, "n_prototypes=4: .* 3 different"),
        (np.eye(3), list("abc"), {"n_prototypes": -1}, "n_prototypes=-1"),
        (np.eye(3), list("abc"), {"sharpness": 0.0}, "must be positive"),
    ],
)
def test_prototypes_of_nothing(features, ids, options, message):
    with pytest.raises(ValueError, match=message):
        prototypes.prototype_head(features, ids, **options)
