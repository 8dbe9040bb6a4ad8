"""The twelve measures of Fig. 5 by hand."""

import pytest

from experiments.lib import published
from experiments.lib.face_measures import MEASURES, evaluate
from tests.helpers.landmarks import face


def test_measures_by_hand():
    points = face(
        p27=(100, 50),
        p33=(100, 90),
        p31=(85, 88),
        p35=(115, 88),
        p62=(100, 120),
        p66=(100, 124),
        p51=(100, 117),
        p57=(100, 130),
        p48=(70, 122),
        p54=(130, 122),
        p8=(100, 182),
        p4=(40, 150),
        p12=(160, 150),
        p0=(20, 70),
        p16=(180, 70),
        p32=(90, 92),
        p50=(90, 110),
        p34=(110, 92),
        p52=(110, 112),
        p39=(85, 60),
        p42=(115, 60),
        p36=(60, 60),
        p45=(140, 60),
    )
    expected = {
        "upper lip height": 32.0,
        "lateral upper lip heights": 19.0,
        "jaw width": 120.0,
        "nose height": 40.0,
        "nose width": 30.0,
        "labio oral region": 60.0,
        "mandibular idx": 60 / 120,
        "intercanthal idx": 30 / 80,
        "nasal index": 30 / 40,
        "vermilion height idx": 3 / 6,
        "mouth face width idx": 60 / 160,
        "nose area": 1200.0,
    }
    names = [measure.name for measure in MEASURES]
    assert list(expected) == names == list(published.FIG_5)
    for measure in MEASURES:
        value = evaluate(measure, points)
        assert value == pytest.approx([expected[measure.name]]), measure.name
