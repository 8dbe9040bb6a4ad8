"""The compact model that ships: whole, small, deterministic."""

import os
import subprocess
import sys

import numpy as np
import pytest
from conftest import REPOSITORY

import speech2face
from speech2face import files, inference

PRETRAINED = REPOSITORY / "speech2face" / "pretrained"


@pytest.fixture(scope="module")
def model():
    return speech2face.Speech2Face.load()


def voice():
    """A buzz with three formants: deterministic, and not a person's."""
    time = np.arange(3 * 16_000) / 16_000
    pitch = 120 + 10 * np.sin(2 * np.pi * 3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    gains = [1 / (1 + ((k * 120 - 700) / 300) ** 2) + 0.05 for k in range(1, 30)]
    buzz = sum(g * np.sin(k * phase) for k, g in enumerate(gains, start=1))
    return (0.1 * buzz / np.abs(buzz).max()).astype(np.float32)


def test_size_is_at_most_20_mb():
    total = sum(path.stat().st_size for path in PRETRAINED.rglob("*") if path.is_file())
    assert total <= 20e6


IN_ANOTHER_PROCESS = """
import sys
sys.path[:0] = ["tests"]
import numpy as np
import test_pretrained
result = test_pretrained.speech2face.Speech2Face.load()(test_pretrained.voice())
np.savez(
    sys.argv[1],
    image=np.asarray(result.image),
    feature=result.feature,
    modules=list(sys.modules),
)
"""


def test_same_voice_same_face_in_another_process(model, tmp_path):
    result = model(voice())
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
    feature = model(voice()).feature
    assert np.linalg.norm(feature) == pytest.approx(11.3, rel=1e-3)
    np.testing.assert_allclose(model.decoder.mean_feature, 0, atol=1e-4)


def test_another_voice_gives_another_face(model):
    deep = model(voice())
    high = model(np.interp(np.arange(0, 48_000, 1.9), np.arange(48_000), voice()))
    difference = np.asarray(deep.image, int) - np.asarray(high.image, int)
    assert np.abs(difference).mean() > 2


def test_the_bundle_is_in_the_package():
    assert inference.DEFAULT_BUNDLE == PRETRAINED / "compact"
    assert (inference.DEFAULT_BUNDLE / "decoder" / "assets.npz").is_file()
