"""t-SNE: groups stay groups; neighbours counted against scikit-learn."""

import numpy as np
import pytest
import sklearn.neighbors
from tiny_material import shared_material

from experiments import common, feature_map
from speech2face import files


def two_groups(n=30, seed=0):
    generator = np.random.default_rng(seed)
    centres = np.repeat(np.eye(2, 6) * 5, n, axis=0)
    return centres + generator.normal(0, 0.3, (2 * n, 6)), ["a"] * n + ["b"] * n


def test_the_map_keeps_groups_apart_and_is_reproducible():
    features, labels = two_groups()
    points = feature_map.compute(features)
    assert points.shape == (60, 2)
    neighbours = sklearn.neighbors.KNeighborsClassifier(5).fit(points, labels)
    assert neighbours.score(points, labels) == 1.0
    np.testing.assert_array_equal(points, feature_map.compute(features))
    with pytest.raises(common.NotApplicable, match="5 clips or more, not 4"):
        feature_map.compute(features[:4])


def test_purity_equals_a_count_of_scikit_learns_neighbours():
    generator = np.random.default_rng(1)
    features = generator.normal(size=(80, 4))
    labels = np.where(features[:, 0] + generator.normal(size=80) > 0, "a", "b")
    model = sklearn.neighbors.NearestNeighbors(n_neighbors=5, metric="cosine")
    found = model.fit(features).kneighbors(return_distance=False)
    expected = np.mean(labels[found] == labels[:, None])
    share, chance = feature_map.purity(features, labels, np.arange(80))
    assert share == pytest.approx(expected)
    counts = np.unique(labels, return_counts=True)[1]
    assert chance == pytest.approx((counts * (counts - 1)).sum() / (80 * 79))


def test_a_speakers_own_clips_are_no_neighbours():
    # Four speakers, one face each; the nearest other speaker has the other label.
    angles = np.radians([0, 5, 90, 95])
    faces = np.stack([np.cos(angles), np.sin(angles)], 1)
    features, speakers = np.repeat(faces, 6, axis=0), np.repeat(np.arange(4), 6)
    labels = np.repeat(["a", "b", "a", "b"], 6)
    share, chance = feature_map.purity(features, labels, speakers)
    assert share == 0.0 and chance == pytest.approx(1 / 3)


def test_maps_of_a_model():
    result = feature_map.run(shared_material())
    assert len(result.rows) == 4 and result.rows[0].n == 8
    assert result.rows[0].chance == pytest.approx(2 / 6)  # other speakers
    assert result.rows[0].keys["measure"].endswith("gender")
    assert files.decode_image(result.picture).shape[2] == 3
    unlabelled = feature_map.run(shared_material(), "nothing")
    assert unlabelled.rows == [] and unlabelled.picture
