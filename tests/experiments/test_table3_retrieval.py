"""Table 3: recalls by hand, hubs against scikit-learn."""

import numpy as np
import pytest
import sklearn.neighbors

from experiments import table3_retrieval
from speech2face import images
from speech2face.metrics import neighbors
from tests.helpers.predictions import predictions
from tests.helpers.tiny_material import shared_material


def test_hubness_equals_a_count_of_scikit_learns_neighbors():
    generator = np.random.default_rng(0)
    gallery = generator.normal(size=(60, 5)) * generator.uniform(0.1, 2, (60, 1))
    queries = generator.normal(size=(40, 5))
    model = sklearn.neighbors.NearestNeighbors(n_neighbors=10).fit(gallery)
    found = model.kneighbors(queries, return_distance=False)
    counts = np.array([(found == face).sum() for face in range(60)])
    nearest, _ = neighbors.nearest(queries, gallery, 10, "l2")
    measured = table3_retrieval.compute_hubness(nearest, 60)
    assert measured.never == pytest.approx(np.mean(counts == 0))
    assert measured.most == pytest.approx(counts.max() / 40)
    z = (counts - counts.mean()) / counts.std()
    assert measured.skewness == pytest.approx((z**3).mean())


def test_rows_by_hand():
    # 200 faces on a line; every voice lies nearest to its own face, or 3 faces off.
    faces = np.stack([np.arange(200.0), np.zeros(200)], 1)
    voices = faces.copy()
    voices[100:, 0] += 3.1
    measured = table3_retrieval.compute_retrieval(predictions(faces, voices))
    rows = table3_retrieval.render_rows(6, measured, [f"s{i}" for i in range(200)])
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
    assert found["cos", "median rank"].paper == 550
    percent = found["cos", "median rank, %"]
    assert percent.paper == pytest.approx(11.0)  # of 5,000 faces
    assert percent.ours == found["cos", "median rank"].ours / 2  # of 200 faces
    assert found["L1", "median rank"].paper is None
    papers_random_row = {1: 1.0, 2: 2.0, 5: 5.0, 10: 10.0}
    for k, chance in papers_random_row.items():
        assert found["cos", f"R@{k}, % of gallery"].chance == pytest.approx(chance)


def test_a_model():
    result = table3_retrieval.run(shared_material())
    assert len(result.rows) == 2 * 3 * (8 + 2 + 3)
    assert images.decode_image(result.picture).shape[2] == 3
    assert result.provenance["data"].endswith("test, 8 clips")
