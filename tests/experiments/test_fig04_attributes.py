"""Fig. 4: agreement against scikit-learn, shares against the paper's counts."""

import numpy as np
import pytest
import sklearn.metrics

from experiments import fig04_attributes
from experiments.lib import published
from experiments.lib.attributes import Attributes
from experiments.lib.inputs import Provider
from experiments.lib.readings import Readings
from speech2face.images import decode_image
from tests.helpers.tiny_material import shared_material


def test_agreement_equals_scikit_learn():
    generator = np.random.default_rng(0)
    true = generator.choice(["20", "30", "40"], 300, p=[0.6, 0.3, 0.1])
    predicted = np.where(generator.uniform(size=300) < 0.5, true, "30")
    result = fig04_attributes.compute_agreement(true, predicted, ["20", "30", "40"])
    expected = sklearn.metrics.confusion_matrix(true, predicted)
    assert result["counts"] == expected.tolist()
    score = sklearn.metrics.balanced_accuracy_score(true, predicted)
    assert result["balanced_accuracy"] == pytest.approx(score)
    kappa = sklearn.metrics.cohen_kappa_score(true, predicted)
    assert result["kappa"] == pytest.approx(kappa)
    assert result["majority"] == pytest.approx(np.mean(true == "20"))


def test_one_class_alone_has_no_kappa():
    result = fig04_attributes.compute_agreement(["male"] * 3, ["male"] * 3, ["male"])
    assert result["kappa"] is None and result["accuracy"] == 1.0


def test_the_papers_agreement_is_its_matrices_weighted_by_its_counts():
    agreement = published.fig_4_agreement
    men, women = 3119, 1867
    expected = (0.98 * men + 0.89 * women) / (men + women)
    assert agreement("gender", "f2f") == pytest.approx(expected)
    # Below always naming the commonest class, 'white': 2,505 of 4,986.
    expected = (0.50 * 1443 + 0.11 * 603 + 0.13 * 435 + 0.61 * 2505) / 4986
    assert agreement("ethnicity", "s2f") == pytest.approx(expected)
    assert expected < 2505 / 4986
    assert published.fig_4_diagonal("age", "s2f")["<20"] == 0.0


def test_pictures_are_also_compared_with_the_labels():
    man, woman, unknown = Attributes("male"), Attributes("female"), Attributes()
    readings = Readings(
        original=[woman, man, woman, man],  # the first and the third are misread
        f2f=[man, man, man, man],
        s2f=[man, man, man, woman],
        labels=[man, man, unknown, man],
    )
    rows = fig04_attributes.render_label_rows(readings, ["a", "b", "c", "d"])
    assert [row.keys["measure"] for row in rows] == [
        "agreement of S2F with the label",
        "agreement of the original with the label",
    ]
    assert [row.ours for row in rows] == pytest.approx([2 / 3, 2 / 3])
    assert [(row.n, row.ceiling) for row in rows] == [(3, 1.0)] * 2
    without = Readings(readings.original, readings.f2f, readings.s2f)
    assert fig04_attributes.render_label_rows(without, ["a", "b", "c", "d"]) == []


def test_a_model_by_labels():
    result = fig04_attributes.run(shared_material(), Provider())
    rows = {tuple(row.keys.values()): row for row in result.rows}
    gender = rows["gender", "agreement"]
    assert gender.paper == pytest.approx(0.94)  # its text says so, too
    assert gender.chance == 0.5 and gender.n == 8
    assert gender.ceiling >= 0.75, "the probe was fitted to these very faces"
    assert rows["gender", "share of 'female', %"].ours == 50.0
    women = rows["gender", "agreement, 'female'"]
    assert (women.n, women.paper) == (4, 0.94)
    assert women.others == {"paper's F2F": 0.89}
    assert rows["age", "agreement, '20'"].paper == 0.26
    paper = rows["gender", "share of 'female', %"].paper
    assert paper == pytest.approx(100 * 1867 / 4986)
    assert rows["age", "balanced agreement"].chance == pytest.approx(1 / 5)
    assert decode_image(result.picture).shape[2] == 3
