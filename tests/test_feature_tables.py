"""Tables 2 and 3: by hand, and against scikit-learn."""

import numpy as np
import pytest
import sklearn.neighbors
from test_evaluation import predictions
from tiny_material import shared_material

from experiments import feature_tables, published
from speech2face import files
from speech2face.normalizer import FeatureNormalizer


def test_published_tables_are_whole():
    assert {key[0] for key in published.TABLE_3} == set(published.TABLE_2) == {3, 6}
    for recalls in published.TABLE_3.values():
        assert list(recalls) == sorted(recalls) and len(recalls) == 4
    for counts in published.FIG_4_COUNTS.values():
        assert sum(counts.values()) == published.FIG_4_N
    assert len(published.FIG_5) == 12


def test_table_2_in_both_spaces_by_hand():
    faces, voices = [[2.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 4.0]]
    normalizer = FeatureNormalizer(np.array([1.0, 1.0], np.float32), 0.5)
    spaces = feature_tables.compute_table_2(predictions(faces, voices), normalizer)
    papers, raw = spaces["paper's scale"], spaces["raw"]
    np.testing.assert_allclose(papers.own["cos_deg"], [90.0, 0.0], atol=1e-6)
    scale = 0.2316 / 2
    np.testing.assert_allclose(papers.own["l1"], [3 * scale, 2 * scale])
    # raw: faces (5, 1), (1, 5); voices (1, 3), (1, 9)
    np.testing.assert_allclose(raw.own["l2"], [np.sqrt(20), 4.0], rtol=1e-6)
    # the other face of two clips is the other clip's
    np.testing.assert_allclose(np.sort(raw.other["l2"]), [2.0, np.sqrt(80)], rtol=1e-6)


def test_chance_of_table_2_is_never_a_clips_own_face():
    faces = np.eye(9)
    spaces = feature_tables.compute_table_2(
        predictions(faces, faces), FeatureNormalizer(np.zeros(9, np.float32), 1.0)
    )
    np.testing.assert_allclose(spaces["raw"].own["cos_deg"], 0.0)
    np.testing.assert_allclose(spaces["raw"].other["cos_deg"], 90.0)


def test_hubness_equals_a_count_of_scikit_learns_neighbours():
    generator = np.random.default_rng(0)
    gallery = generator.normal(size=(60, 5)) * generator.uniform(0.1, 2, (60, 1))
    queries = generator.normal(size=(40, 5))
    model = sklearn.neighbors.NearestNeighbors(n_neighbors=10).fit(gallery)
    found = model.kneighbors(queries, return_distance=False)
    counts = np.array([(found == face).sum() for face in range(60)])
    measured = feature_tables.hubness(queries, gallery, "l2")
    assert measured.never == pytest.approx(np.mean(counts == 0))
    assert measured.most == pytest.approx(counts.max() / 40)
    z = (counts - counts.mean()) / counts.std()
    assert measured.skewness == pytest.approx((z**3).mean())


def test_table_3_rows_by_hand():
    # 200 faces on a line; every voice lies nearest to its own face, or 3 faces off.
    faces = np.stack([np.arange(200.0), np.zeros(200)], 1)
    voices = faces.copy()
    voices[100:, 0] += 3.1
    measured = feature_tables.compute_table_3(predictions(faces, voices))
    rows = feature_tables.render_table_3(6, measured, [f"s{i}" for i in range(200)])
    found = {(r.keys["metric"], r.keys["measure"]): r for r in rows}
    strict, percent = found["L2", "R@1, strict"], found["L2", "R@1, % of gallery"]
    assert strict.ours == 50.5  # the last face has nobody beyond it
    assert percent.ours == 51.0  # and the one before it only one: 1 % is rank 2
    assert (strict.chance, percent.chance) == (0.5, 1.0)
    assert (strict.paper, percent.paper) == (None, 8.28)
    assert strict.ci95[0] < 50.5 < strict.ci95[1]
    assert found["cos", "R@10, % of gallery"].paper == 45.82
    assert found["L1", "R@10, strict"].ours == 100.0
    assert found["L1", "median rank"].chance == 100.5


def test_tables_of_a_model():
    material = shared_material()
    table_2 = feature_tables.run_table_2(material)
    assert [row.keys["audio"] for row in table_2.rows] == ["3 s"] * 6 + ["6 s"] * 6
    assert table_2.rows[0].paper == 48.43 and table_2.rows[3].paper is None
    table_3 = feature_tables.run_table_3(material)
    assert len(table_3.rows) == 2 * 3 * (8 + 1 + 3)
    assert files.decode_image(table_3.picture).shape[2] == 3
    assert table_3.provenance["data"].endswith("test, 8 clips")
