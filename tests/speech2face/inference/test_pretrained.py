"""The compact model that ships: whole, small, deterministic."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

import speech2face
from speech2face import errors, files
from speech2face.inference import model as inference_model
from tests.helpers.paths import REPOSITORY
from tests.helpers.voices import buzz

pytestmark = pytest.mark.slow

PRETRAINED = REPOSITORY / "speech2face" / "pretrained"


@pytest.fixture(scope="module")
def model():
    return speech2face.Speech2Face.load()


def test_size_is_at_most_40_mb():
    total = sum(path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file())
    assert total <= 40e6


IN_ANOTHER_PROCESS = """
import sys
import numpy as np
import speech2face
from tests.helpers.voices import buzz

result = speech2face.Speech2Face.load()(buzz())
np.savez(
    sys.argv[1],
    image=np.asarray(result.image),
    feature=result.feature,
    modules=list(sys.modules),
)
"""


@pytest.mark.rehearsal
def test_same_voice_same_face_in_another_process(model, tmp_path):
    result = model(buzz())
    path = tmp_path / "result.npz"
    subprocess.run(
        [sys.executable, "-c", IN_ANOTHER_PROCESS, str(path)],
        check=True,
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(REPOSITORY)},
    )
    with np.load(path) as other:
        np.testing.assert_allclose(other["feature"], result.feature, atol=1e-4)
        difference = np.abs(other["image"].astype(int) - np.asarray(result.image))
        assert difference.max() <= 1
        # A first face took nine seconds: librosa was imported, with its compiler, and
        # AutoGraph rewrote it line by line.
        modules = {name.split(".")[0] for name in other["modules"]}
        assert not modules & {"librosa", "numba"}
        assert not [name for name in modules if "__autograph_generated" in name]


def test_weights_are_the_ones_that_were_measured(model):
    """The checksums that MODEL_CARD.md gives its figures for."""
    card = (REPOSITORY / "MODEL_CARD.md").read_text()
    assert model.decoder.checksum()[:16] in card
    assert files.sha256(PRETRAINED / "compact" / "voice_encoder.npz")[:16] in card


def test_faces_stay_as_far_from_the_average_as_training_faces_do(model):
    """Training faces are .23 from it on average, and so are new voices by the gain.

    Synthesized voices tell less than people's.
    """
    paths = sorted((REPOSITORY / "speech2face" / "examples").glob("*.ogg"))
    voices = [speech2face.load_waveform(path) for path in paths]
    lengths = [np.linalg.norm(result.feature) for result in model(voices)]
    assert len(lengths) == 4
    gain = np.asarray(model.encoder.get_layer("gain").gain)
    # The normalizer is that of the decoder's faces, the gain that of the clips'.
    assert gain == pytest.approx(0.2316, rel=0.05)
    assert 0.1 < np.mean(lengths) < 0.31
    np.testing.assert_allclose(model.decoder.mean_feature, 0, atol=1e-4)


def test_models_of_removed_encoders_are_refused_with_one_line(tmp_path):
    shutil.copytree(PRETRAINED / "compact", tmp_path / "old")
    path = tmp_path / "old" / "config.json"
    config = json.loads(path.read_text())
    config["voice_encoder"]["speaker_embedders"] = ["resemblyzer"]
    path.write_text(json.dumps(config))
    with pytest.raises(errors.UserError, match="has no field speaker_embedders"):
        speech2face.Speech2Face.load(tmp_path / "old")


def test_another_voice_gives_another_face(model):
    deep = model(buzz())
    high = model(np.interp(np.arange(0, 48_000, 1.9), np.arange(48_000), buzz()))
    difference = np.asarray(deep.image, int) - np.asarray(high.image, int)
    assert np.abs(difference).mean() > 2


def test_the_bundle_is_in_the_package():
    assert inference_model.DEFAULT_BUNDLE == PRETRAINED / "compact"
    assert (inference_model.DEFAULT_BUNDLE / "decoder" / "assets.npz").is_file()
