"""Attributes of the measured clips, by labels and by pictures."""

import types

from experiments.lib import readings
from experiments.lib.attributes import Attributes
from experiments.lib.inputs import Provider
from experiments.lib.readings import Readings
from speech2face.data import records
from speech2face.inference import evaluation
from tests.helpers.tiny_material import shared_material


def test_pairs_leave_out_unknown_classes():
    found = Readings(
        original=[Attributes("male", 20), Attributes(None, 30), Attributes("female")],
        f2f=[Attributes()] * 3,
        s2f=[Attributes("female", 45), Attributes("male", 35), Attributes("female")],
    )
    known, true, predicted = found.pairs("gender", "s2f")
    assert known.tolist() == [0, 2]
    assert true.tolist() == ["male", "female"] and set(predicted) == {"female"}
    assert len(found.pairs("gender", "f2f")[0]) == 0
    assert len(found.pairs("ethnicity", "s2f")[0]) == 0


def test_pictures_are_read_in_the_order_of_the_clips(monkeypatch):
    material = shared_material()

    class ByColor:
        """Male where the picture's red is dark; sees no other faces."""

        def attributes(self, images):
            return [
                Attributes("male" if i[:, :, 0].mean() < 110 else "female", 30.0)
                for i in images
            ]

    passes = []

    def iterate_records(*arguments):
        passes.append(arguments)
        return records.iterate_records(*arguments)

    predicted = material.predictions()  # before the passes are counted
    monkeypatch.setattr(
        evaluation,
        "records",
        types.SimpleNamespace(
            iterate_records=iterate_records,
            decode_voice_example=records.decode_voice_example,
        ),
    )
    monkeypatch.setattr(readings, "_IMAGES_AT_ONCE", 3)
    monkeypatch.setattr(readings, "AgeAndGender", ByColor)
    found = readings.read_attributes(material, Provider("classifier"))
    expected = ["male"] * 4 + ["female"] * 4  # red is 40 + 20 i
    assert [face.gender for face in found.original] == expected
    labels = [face.gender for face in found.labels]
    assert labels == [labels_of["gender"] for labels_of in predicted.labels]
    assert len(passes) == 1, "the split is read once, not for every batch"
    faces = material.faces(predicted.voice_features).images
    assert found.s2f == ByColor().attributes(faces)
