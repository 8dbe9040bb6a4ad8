"""Material: predictions are kept, samples and shown clips are what they should be."""

import subprocess
import sys

import numpy as np
import pytest

from experiments.lib import material
from speech2face.inference import evaluation
from speech2face.inference.model import Speech2Face
from tests.helpers.paths import REPOSITORY
from tests.helpers.tiny_material import make_material, shared_material


@pytest.fixture
def tiny():
    return shared_material()


def test_predictions_are_kept_and_not_made_again(tiny, monkeypatch):
    first = tiny.predictions(3.0)
    assert first.clip_ids == [f"clip{i}" for i in range(8)]

    def fail(*args):
        raise AssertionError("predicted again")

    monkeypatch.setattr(evaluation, "predict", fail)
    for secs in (3.0, 3):
        again = material.Material(tiny.inputs).predictions(secs)
        np.testing.assert_array_equal(again.voice_features, first.voice_features)
    with pytest.raises(AssertionError, match="predicted again"):
        tiny.predictions(2.7)
    sample = {**vars(tiny.inputs), "n_examples": 3}
    with pytest.raises(AssertionError, match="predicted again"):
        material.Material(type(tiny.inputs)(**sample)).predictions(3.0)


def test_examples_of_a_sample_are_those_of_its_predictions(tmp_path):
    sampled = make_material(tmp_path, n_examples=4, sample_seed=3)
    ids = sampled.predictions(2.7).clip_ids
    assert [e.clip_id for e in sampled.examples([3, 0, 0])] == [ids[3], ids[0], ids[0]]


def test_decoded_faces_are_the_models(tiny):
    features = tiny.predictions(3.0).voice_features[:3]
    faces = tiny.faces(features)
    expected = Speech2Face.load(tiny.inputs.run_dir).faces(features)
    for image, landmarks, result in zip(faces.images, faces.landmarks, expected):
        np.testing.assert_array_equal(image, np.asarray(result.image))
        np.testing.assert_allclose(landmarks, result.landmarks, atol=1e-3)


def test_shown_clips_are_of_different_speakers_and_seeded():
    speakers = ["a", "a", "b", "c", "c", "c"]
    shown = material.draw_clips(speakers, 3, seed=1)
    assert sorted(speakers[i] for i in shown) == ["a", "b", "c"]
    assert shown == material.draw_clips(speakers, 3, seed=1)
    draws = {tuple(material.draw_clips(speakers, 2, seed=s)) for s in range(20)}
    assert len(draws) > 5
    assert len(material.draw_clips(speakers, 9)) == 3


def test_a_wrong_data_set_is_reported_before_tensorflow_is_loaded(tmp_path):
    script = (
        "import sys\n"
        "from experiments.lib.inputs import Inputs\n"
        "from experiments.lib.material import Material\n"
        "from speech2face.errors import UserError\n"
        "try:\n"
        "    Material(Inputs(data_dir=sys.argv[1])).predictions()\n"
        "except (UserError, OSError) as error:\n"
        "    print(error, 'tensorflow' in sys.modules)\n"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    result = subprocess.run(
        command, capture_output=True, check=True, text=True, cwd=REPOSITORY
    )
    assert result.stderr == "" and "dataset.json" in result.stdout
    assert result.stdout.endswith(" False\n")
