"""Fig. 11: mismatches are ranked and shown, not chosen."""

from experiments import fig11_failures
from experiments.lib.attributes import Attributes
from experiments.lib.inputs import Provider
from experiments.lib.readings import Readings
from tests.helpers.tiny_material import shared_material


def test_failures_are_ranked_by_hand():
    readings = Readings(
        original=[
            Attributes("male", 60, "x"),
            Attributes("male", 25, "y"),
            Attributes("female", 70, "x"),
            Attributes("female", 31, "x"),
        ],
        f2f=[Attributes()] * 4,
        s2f=[
            Attributes("female", 45, "x"),
            Attributes("male", 65, "x"),
            Attributes("female", 35, "x"),
            Attributes("female", 35, "x"),
        ],
    )
    assert fig11_failures.compute_mismatches(readings) == {
        "gender mismatch": [0],
        "ethnicity mismatch": [1],
        "age mismatch, old to young": [2, 0],
        "age mismatch, young to old": [1],
    }


def test_failures_are_shown_of_different_speakers():
    shown = fig11_failures.first_of_each_speaker([4, 1, 0, 3], "aabbb")
    assert shown == [4, 1]


def test_captions_say_whose_age_in_words():
    readings = Readings(
        original=[Attributes("male", 61.4)],
        f2f=[Attributes()],
        s2f=[Attributes("female", 45.0)],
    )
    captions = fig11_failures._captions
    assert captions(readings, [0], "age") == ["true: 61 years", "S2F: 45 years"]
    assert captions(readings, [0], "gender") == ["true: male", "S2F: female"]


def test_a_model():
    result = fig11_failures.run(shared_material(), Provider())
    assert len(result.rows) == 3 and result.picture
