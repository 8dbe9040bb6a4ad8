"""The metrics by hand, by brute force, against scikit-learn and scipy."""

import json

import numpy as np
import pytest
import scipy.spatial.distance
import scipy.stats
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face.metrics import features, similarity
from speech2face.metrics.neighbors import ranks
from speech2face.metrics.recall import retrieval
from speech2face.metrics.similarity import feature_similarity
from speech2face.metrics.statistics import bootstrap_ci, confusion, pearson


def random(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape)


def brute_force_rank(query, gallery, own, metric):
    name = {"cos": "cosine", "l2": "euclidean", "l1": "cityblock"}[metric]
    distance = getattr(scipy.spatial.distance, name)
    distances = [distance(query, face) for face in gallery]
    return scipy.stats.rankdata(np.round(distances, 9))[own]  # mean rank of ties


# Feature similarity


def test_feature_similarity_by_hand():
    true = [[1.0, 0.0], [3.0, 4.0]]
    predicted = [[0.0, 1.0], [6.0, 8.0]]
    result = feature_similarity(true, predicted)
    assert result["cos_deg"] == {"mean": 45.0, "sd": 45.0}
    assert result["l2"]["mean"] == pytest.approx((np.sqrt(2) + 5) / 2)
    assert result["l1"]["mean"] == pytest.approx((2 + 7) / 2)
    assert result["l1"]["sd"] == pytest.approx(2.5)


def test_feature_similarity_equals_scipy():
    true, predicted = random(40, 16), random(40, 16, seed=1)
    result = feature_similarity(true, predicted)
    for name, function in (("l2", "euclidean"), ("l1", "cityblock")):
        distance = getattr(scipy.spatial.distance, function)
        expected = [distance(t, p) for t, p in zip(true, predicted)]
        assert result[name]["mean"] == pytest.approx(np.mean(expected))
        assert result[name]["sd"] == pytest.approx(np.std(expected))
    cosines = [1 - scipy.spatial.distance.cosine(t, p) for t, p in zip(true, predicted)]
    assert result["cos_deg"]["mean"] == pytest.approx(
        np.degrees(np.arccos(cosines)).mean()
    )


@pytest.mark.parametrize("scale", [1, -1])
def test_angles_near_0_and_180_degrees_are_exact(scale):
    a = np.array([[1.0, 0.0]])
    b = scale * np.array([[np.cos(1e-9), np.sin(1e-9)]])
    expected = np.degrees(1e-9) if scale == 1 else 180 - np.degrees(1e-9)
    result = feature_similarity(a, b)["cos_deg"]["mean"]
    assert result == pytest.approx(expected, rel=1e-6)


def test_one_norm_explains_both_rows_of_table_2():
    # At norm 0.2316 an angle of 45.75 degrees is an L2 of 0.18, 48.43 one of 0.19.
    for angle_deg, l2 in ((45.75, 0.18), (48.43, 0.19)):
        angle = np.radians(angle_deg)
        true = 0.2316 * np.array([[1.0, 0.0]])
        predicted = 0.2316 * np.array([[np.cos(angle), np.sin(angle)]])
        result = feature_similarity(true, predicted)
        assert result["cos_deg"]["mean"] == pytest.approx(angle_deg)
        assert round(result["l2"]["mean"], 2) == l2


def test_a_vector_of_zeros_has_no_direction():
    unit = features.unit(np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    assert unit.tolist() == [[0.0, 0.0], [0.6, 0.8], [0.0, 1.0]]


# Retrieval


def test_retrieval_by_hand():
    gallery = np.array([[0.0], [1.0], [3.0], [7.0]])
    queries = np.array([[0.1], [0.1], [6.0], [2.9]])  # own ranks 1, 2, 1, 3
    result = retrieval(queries, gallery, [0, 1, 3, 0], "l1", ks=(1, 2, 3, 50))
    assert ranks(queries, gallery, [0, 1, 3, 0], "l1").tolist() == [1, 2, 1, 3]
    assert result == {
        "n": 4,
        "n_queries": 4,
        "recall_strict": {"1": 0.5, "2": 0.75, "3": 1.0, "50": 1.0},
        "recall_percent": {"1": 0.5, "2": 0.5, "3": 0.5, "50": 0.75},
        "median_rank": 1.5,
        "chance": {
            "recall_strict": {"1": 0.25, "2": 0.5, "3": 0.75, "50": 1.0},
            "recall_percent": {"1": 0.25, "2": 0.25, "3": 0.25, "50": 0.5},
            "median_rank": 2.5,
        },
    }


@pytest.mark.parametrize("metric", ["cos", "l2", "l1"])
@settings(deadline=None, max_examples=15)
@given(st.integers(1, 30), st.integers(1, 600), st.integers(1, 5), st.integers(0, 99))
def test_ranks_equal_brute_force(metric, n, n_queries, d, seed):
    generator = np.random.default_rng(seed)
    gallery = generator.integers(-2, 3, [n, d]) + 0.5  # many ties, no zero vector
    n_queries = min(n_queries, 600 // n)
    queries = generator.normal(0, 1, [n_queries, d])
    own = generator.integers(0, n, n_queries)
    result = ranks(queries, gallery, own, metric)
    expected = [
        brute_force_rank(query, gallery, index, metric)
        for query, index in zip(queries, own)
    ]
    np.testing.assert_allclose(result, expected)


@pytest.mark.parametrize(
    ("metric", "name"), [("cos", "cosine"), ("l2", "euclidean"), ("l1", "manhattan")]
)
def test_recall_equals_scikit_learn_over_several_chunks(metric, name):
    gallery = random(700, 8)
    queries = gallery + 1.5 * random(700, 8, seed=1)
    result = retrieval(queries, gallery, np.arange(700), metric)
    distances = sklearn.metrics.pairwise_distances(queries, gallery, metric=name)
    for k in (1, 2, 5, 10):
        assert result["recall_strict"][str(k)] == pytest.approx(
            sklearn.metrics.top_k_accuracy_score(np.arange(700), -distances, k=k)
        )
        assert result["recall_percent"][str(k)] == pytest.approx(
            sklearn.metrics.top_k_accuracy_score(np.arange(700), -distances, k=7 * k)
        )
    expected = np.median((distances <= np.diag(distances)[:, None]).sum(1))
    assert result["median_rank"] == expected
    assert result["recall_strict"]["1"] > result["chance"]["recall_strict"]["1"]


def test_percent_is_of_the_gallery_as_in_table_3():
    chance = retrieval(random(5, 3), random(5000, 3), np.arange(5))["chance"]
    assert chance["recall_percent"] == {"1": 0.01, "2": 0.02, "5": 0.05, "10": 0.1}
    assert chance["recall_strict"]["1"] == 1 / 5000


@pytest.mark.parametrize(
    ("n", "cut"), [(9, 1), (10, 1), (99, 1), (150, 1), (199, 1), (200, 2), (250, 2)]
)
def test_percent_rounds_down_but_keeps_one(n, cut):
    # The true face of query k is exactly k-th nearest.
    gallery = np.arange(n)[:, None] + 1.0
    result = retrieval(np.zeros([n, 1]), gallery, np.arange(n), "l2", ks=(1,))
    assert result["recall_percent"]["1"] == pytest.approx(cut / n)
    assert result["chance"]["recall_percent"]["1"] == pytest.approx(cut / n)


def test_a_gallery_of_one_face_is_chance_not_success():
    result = retrieval(random(6, 4), np.ones([101, 4]), np.arange(6), "l2")
    assert result["median_rank"] == 51
    assert result["recall_strict"]["10"] == 0


def test_a_perfect_prediction_and_a_collapsed_one():
    gallery = random(200, 8)
    own = np.arange(200)
    perfect = retrieval(gallery, gallery, own, "cos")
    assert perfect["recall_strict"]["1"] == 1
    assert perfect["median_rank"] == 1
    collapsed = retrieval(np.ones([200, 8]), gallery, own, "cos")
    assert collapsed["recall_strict"] == pytest.approx(
        collapsed["chance"]["recall_strict"]
    )
    assert collapsed["median_rank"] == collapsed["chance"]["median_rank"]


def test_results_are_json():
    result = retrieval(random(9, 4), random(9, 4), np.arange(9))
    assert json.loads(json.dumps(result)) == result
    similarity = feature_similarity(random(9, 4), random(9, 4))
    assert json.loads(json.dumps(similarity)) == similarity


@pytest.mark.parametrize(
    ("queries", "own", "metric", "message"),
    [
        (np.full([2, 3], np.nan), [0, 1], "cos", "queries has values that are NaN"),
        (np.zeros([2, 3]), [0], "cos", "2 and 1 examples"),
        (np.zeros([2, 3]), [0, 5], "cos", "true_index must be in"),
        (np.zeros([2, 3]), [0, 1], "max", "'max'"),
        (np.zeros([0, 3]), [], "cos", "n > 0"),
    ],
)
def test_what_retrieval_refuses(queries, own, metric, message):
    with pytest.raises(ValueError, match=message):
        retrieval(queries, random(5, 3), own, metric)


# Correlation, agreement, intervals


def test_pearson_equals_numpy_and_fishers_interval():
    x = random(50)
    y = 0.5 * x + random(50, seed=1)
    result = pearson(x, y)
    r = np.corrcoef(x, y)[0, 1]
    assert result["r"] == pytest.approx(r)
    assert result["n"] == 50
    t = r * np.sqrt(48 / (1 - r**2))
    assert result["p"] == pytest.approx(2 * scipy.stats.t.sf(abs(t), 48))
    z, half = np.arctanh(r), 1.959964 / np.sqrt(47)
    expected = [np.tanh(z - half), np.tanh(z + half)]
    assert result["ci95"] == pytest.approx(expected, rel=1e-5)


def test_pearson_of_a_constant_is_undefined_not_a_number_that_is_none():
    result = pearson([1.0, 1.0, 1.0, 1.0], [1.0, 2.0, 3.0, 4.0])
    assert result == {"r": None, "p": None, "n": 4, "ci95": None}
    assert pearson([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])["ci95"] is None
    assert pearson([1.0, 2.0, 3.0, 4.0], [1.0, 1.0, 1.0, 1.0])["r"] is None
    low, high = pearson([1.0, 2.0, 3.0, 5.0], [1.0, 2.0, 4.0, 3.0])["ci95"]
    assert -1 < low < high < 1
    assert pearson([1.0, 2.0], [1.0, 3.0])["r"] == pytest.approx(1)


def test_confusion_equals_scikit_learn():
    generator = np.random.default_rng(0)
    classes = ["white", "asian", "indian", "black"]
    true = generator.choice(classes[:3], 60).tolist()
    predicted = generator.choice(classes, 60).tolist()
    result = confusion(true, predicted, classes)
    expected = sklearn.metrics.confusion_matrix(true, predicted, labels=classes)
    assert result["counts"] == expected.tolist()
    assert np.sum(result["row_rate"], axis=1) == pytest.approx([1, 1, 1, 0])
    assert result["accuracy"] == sklearn.metrics.accuracy_score(true, predicted)
    assert result["row_rate"][0][1] == expected[0, 1] / expected[0].sum()
    assert json.loads(json.dumps(result)) == result
    assert confusion(["a"], ["b"], ["a", "b"])["row_rate"] == [[0, 1], [0, 0]]


def test_confusion_names_an_unknown_label():
    with pytest.raises(ValueError, match="other"):
        confusion(["a", "b"], ["a", "other"], ["a", "b"])


def test_bootstrap_interval_of_a_mean_and_of_a_correlation():
    values = random(400)
    low, high = bootstrap_ci(values)
    half = 1.96 * values.std() / 20
    assert (low, high) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.015
    )
    assert bootstrap_ci(values) == (low, high)
    paired = values + 0.5 * random(400, seed=1)

    def correlation(x, y):
        return np.corrcoef(x, y)[0, 1]

    low, high = bootstrap_ci(values, paired, statistic=correlation)
    expected = pearson(values, paired)["ci95"]
    assert [low, high] == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize("level", [0.95, 0.5])
def test_a_bootstrap_interval_holds_its_share_of_the_samples(level):
    values, means, seen = random(30), [], set()

    def mean(resampled):
        means.append(resampled.mean())
        seen.update(resampled)
        return means[-1]

    low, high = bootstrap_ci(values, statistic=mean, level=level)
    assert len(means) == 2000 and seen == set(values)
    for tail in (np.less(means, low), np.greater(means, high)):
        assert tail.sum() == pytest.approx(1000 * (1 - level), abs=1)


def test_angles_of_all_pairs_equal_those_of_single_pairs():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(6, 40)), generator.normal(size=(4, 40))
    b[2] = 3 * a[1]
    angles = similarity.pair_angles(a, b)
    for i, j in np.ndindex(6, 4):
        alone = similarity.feature_distances(a[i : i + 1], b[j : j + 1])["cos_deg"]
        assert angles[i, j] == pytest.approx(alone[0], abs=1e-5)
    assert angles[1, 2] < 1e-5
    alike = generator.normal(size=(300, 40))  # of some, rounding takes the cosine to >1
    assert np.diagonal(similarity.pair_angles(alike, alike)).max() < 1e-5
    opposite = np.diagonal(similarity.pair_angles(alike, -alike))
    assert opposite.min() > 180 - 1e-5
