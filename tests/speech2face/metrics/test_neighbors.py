"""Exact search in blocks: against scikit-learn, over block limits, from a file."""

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics
import sklearn.neighbors

from speech2face.metrics import neighbors

SKLEARN = {"cos": "cosine", "l2": "euclidean", "l1": "manhattan"}


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(neighbors, "_BLOCK_VALUES", 256 * 37)
    monkeypatch.setattr(neighbors, "_QUERIES_AT_ONCE", 5)


@pytest.mark.parametrize("metric", neighbors.METRICS)
@pytest.mark.parametrize("k", [1, 7, 50])
@pytest.mark.parametrize("scale", [1, 0.001])
def test_nearest_equals_scikit_learn(metric, k, scale):
    queries, gallery = scale * random(11, 300), scale * random(90, 300, seed=1)
    index, distance = neighbors.nearest(queries, gallery, k, metric)
    model = sklearn.neighbors.NearestNeighbors(
        n_neighbors=k, algorithm="brute", metric=SKLEARN[metric]
    ).fit(gallery.astype(np.float64))
    expected_distance, expected = model.kneighbors(queries.astype(np.float64))
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-9)


def test_nearest_takes_the_whole_of_a_small_gallery():
    index, _ = neighbors.nearest(random(2, 3), random(4, 3, seed=1), 10)
    assert np.sort(index, axis=1).tolist() == [[0, 1, 2, 3]] * 2


@pytest.mark.parametrize("metric", neighbors.METRICS)
@pytest.mark.parametrize("scale", [1, 100])
def test_ranks_over_blocks_equal_the_sorted_distances(metric, scale):
    """Also of queries far longer than the faces: v_s may be, early in a training."""
    queries, gallery = scale * random(23, 300), random(200, 300, seed=1)
    gallery[150] = gallery[3]  # a tie between blocks
    own = np.arange(23)
    distances = sklearn.metrics.pairwise_distances(
        queries.astype(np.float64), gallery.astype(np.float64), metric=SKLEARN[metric]
    )
    expected = [
        scipy.stats.rankdata(np.round(row, 9))[index]
        for row, index in zip(distances, own)
    ]
    np.testing.assert_array_equal(
        neighbors.ranks(queries, gallery, own, metric), expected
    )


def test_a_gallery_may_be_a_mapped_file(tmp_path):
    gallery = random(200, 8)
    np.save(tmp_path / "gallery.npy", gallery)
    mapped = np.load(tmp_path / "gallery.npy", mmap_mode="r")
    expected = neighbors.nearest(gallery[:3], gallery, 5)
    for ours, theirs in zip(neighbors.nearest(gallery[:3], mapped, 5), expected):
        np.testing.assert_array_equal(ours, theirs)


def test_what_cannot_be_searched_is_refused():
    gallery = random(100, 4)
    gallery[99, 2] = np.nan
    with pytest.raises(ValueError, match="gallery has values that are NaN"):
        neighbors.nearest(random(2, 4), gallery, 1)
    with pytest.raises(ValueError, match="4 dimensions, the gallery 3"):
        neighbors.nearest(random(2, 4), random(5, 3), 1)
    with pytest.raises(ValueError, match="metric is 'max'"):
        neighbors.nearest(random(2, 4), random(5, 4), 1, "max")


@pytest.mark.parametrize("metric", neighbors.METRICS)
def test_one_search_gives_the_ranks_and_the_nearest(metric, monkeypatch):
    monkeypatch.setattr(neighbors, "n_cores", lambda: 3)
    queries, gallery = random(23, 300), random(90, 300, seed=1)
    own = np.arange(23)
    ranks, index = neighbors.ranks_and_nearest(queries, gallery, own, 7, metric)
    distances = sklearn.metrics.pairwise_distances(
        queries.astype(np.float64), gallery.astype(np.float64), metric=SKLEARN[metric]
    )
    np.testing.assert_array_equal(index, np.argsort(distances, axis=1)[:, :7])
    expected = (distances <= distances[own, own][:, np.newaxis]).sum(axis=1)
    np.testing.assert_array_equal(ranks, expected)
