"""t-SNE: groups stay groups; neighbors counted against scikit-learn."""

import numpy as np
import pytest
import sklearn.neighbors

from experiments import supp_tsne
from experiments.lib import results
from speech2face import images
from tests.helpers.tiny_material import shared_material


def two_groups(n=30, seed=0):
    generator = np.random.default_rng(seed)
    centers = np.repeat(np.eye(2, 6) * 5, n, axis=0)
    return centers + generator.normal(0, 0.3, (2 * n, 6)), ["a"] * n + ["b"] * n


def test_the_map_keeps_groups_apart_and_is_reproducible():
    features, labels = two_groups()
    points = supp_tsne.compute_map(features)
    assert points.shape == (60, 2)
    neighbors = sklearn.neighbors.KNeighborsClassifier(5).fit(points, labels)
    assert neighbors.score(points, labels) == 1.0
    np.testing.assert_array_equal(points, supp_tsne.compute_map(features))
    with pytest.raises(results.NotApplicable, match="5 clips or more, not 4"):
        supp_tsne.compute_map(features[:4])


def test_purity_equals_a_count_of_scikit_learns_neighbors():
    generator = np.random.default_rng(1)
    features = generator.normal(size=(80, 4))
    labels = np.where(features[:, 0] + generator.normal(size=80) > 0, "a", "b")
    model = sklearn.neighbors.NearestNeighbors(n_neighbors=5, metric="cosine")
    found = model.fit(features).kneighbors(return_distance=False)
    expected = np.mean(labels[found] == labels[:, None])
    share, chance = supp_tsne.compute_purity(features, labels, np.arange(80))
    assert share == pytest.approx(expected)
    counts = np.unique(labels, return_counts=True)[1]
    assert chance == pytest.approx((counts * (counts - 1)).sum() / (80 * 79))


def test_a_speakers_own_clips_are_not_neighbors():
    # Four speakers, one face each; the nearest other speaker has the other label.
    angles = np.radians([0, 5, 90, 95])
    faces = np.stack([np.cos(angles), np.sin(angles)], 1)
    features, speakers = np.repeat(faces, 6, axis=0), np.repeat(np.arange(4), 6)
    labels = np.repeat(["a", "b", "a", "b"], 6)
    share, chance = supp_tsne.compute_purity(features, labels, speakers)
    assert share == 0.0 and chance == pytest.approx(1 / 3)


def test_maps_of_a_model():
    result = supp_tsne.run(shared_material())
    assert len(result.rows) == 2 * 4 and result.rows[0].n == 8
    assert result.rows[0].chance == pytest.approx(2 / 6)  # other speakers
    assert result.rows[0].keys["measure"].endswith("gender")
    assert result.rows[4].keys["measure"].endswith("age")
    height, width, _ = images.decode_image(result.picture).shape
    # Four lines of two columns, and the map with faces.
    assert height / width == pytest.approx((16 + 9) / 9, abs=0.05)
    unlabeled = supp_tsne.run(shared_material(), ["nothing"])
    assert unlabeled.rows == [] and unlabeled.picture


def test_one_face_in_each_cell():
    points = np.array([[0, 0], [0.1, 0.1], [10, 10], [5.1, 0], [10, 9.9]])
    assert supp_tsne.one_in_each_cell(points, 2) == {(0, 0): 0, (1, 1): 2, (1, 0): 3}
    same = np.ones([3, 2])
    assert supp_tsne.one_in_each_cell(same, 2) == {(0, 0): 0}


def test_ages_are_colored_by_class_and_in_order():
    labels = [{"age": age} for age in ("34", "9", "31", "84", "")]
    values = supp_tsne.values_of("age", labels)
    assert values == ["30", "<20", "30", ">80", None]
    assert supp_tsne._colored_values("age", values) == ["<20", "30", ">80"]


def test_a_map_has_so_many_points(monkeypatch):
    mapped = []

    def compute_map(features, seed=0):
        mapped.append(len(features))
        return np.zeros((len(features), 2))

    monkeypatch.setattr(supp_tsne, "compute_map", compute_map)
    result = supp_tsne.run(shared_material(), n_points=6)
    assert mapped == [6] * 4
    assert result.rows[0].n == 8  # the table is of all clips
