"""Table 2: distances by hand, and their chance."""

import numpy as np

from experiments import table2_feature_similarity
from speech2face.data.normalizer import FeatureNormalizer
from tests.helpers.predictions import predictions
from tests.helpers.tiny_material import shared_material


def test_both_spaces_by_hand():
    faces, voices = [[2.0, 0.0], [0.0, 2.0]], [[0.0, 1.0], [0.0, 4.0]]
    normalizer = FeatureNormalizer(np.array([1.0, 1.0], np.float32), 0.5)
    spaces = table2_feature_similarity.compute_similarity(
        predictions(faces, voices), normalizer
    )
    papers, raw = spaces["paper's scale"], spaces["raw"]
    np.testing.assert_allclose(papers.to_true_face["cos_deg"], [90.0, 0.0], atol=1e-6)
    scale = 0.2316 / 2
    np.testing.assert_allclose(papers.to_true_face["l1"], [3 * scale, 2 * scale])
    # raw: faces (5, 1), (1, 5); voices (1, 3), (1, 9)
    np.testing.assert_allclose(raw.to_true_face["l2"], [np.sqrt(20), 4.0], rtol=1e-6)
    # the other face of two clips is the other clip's
    np.testing.assert_allclose(
        np.sort(raw.to_other_face["l2"]), [2.0, np.sqrt(80)], rtol=1e-6
    )


def test_chance_is_never_a_clips_own_face():
    faces = np.eye(9)
    spaces = table2_feature_similarity.compute_similarity(
        predictions(faces, faces), FeatureNormalizer(np.zeros(9, np.float32), 1.0)
    )
    np.testing.assert_allclose(spaces["raw"].to_true_face["cos_deg"], 0.0)
    np.testing.assert_allclose(spaces["raw"].to_other_face["cos_deg"], 90.0)


def test_a_model():
    rows = table2_feature_similarity.run(shared_material()).rows
    assert [row.keys["audio"] for row in rows] == ["3 s"] * 6 + ["6 s"] * 6
    assert rows[0].paper == 48.43 and rows[3].paper is None
