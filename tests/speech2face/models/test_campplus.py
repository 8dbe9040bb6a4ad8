"""CAM++ against a float64 twin in PyTorch's layout, and against PyTorch itself."""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from speech2face.audio import kaldi_fbank
from speech2face.errors import UserError
from speech2face.models import campplus, speaker_embedding
from speech2face.weights import pytorch
from tests.helpers import torch_campplus, torch_writers
from tests.helpers.voices import harmonic_voice
from tools import import_speaker_embedder

# What kaldi-native-fbank 1.22 and 3D-Speaker's network under PyTorch 2.13 make of
# generated voices of 6 s, with the weights before they were rounded to float16:
# `log_mel_frame_100`, `embedding`, and every 16th of the `statistics`.
GOLDEN = pathlib.Path(__file__).parent / "golden_campplus.json"


@pytest.fixture(scope="module")
def generated():
    return torch_campplus.generated_state()


def ours(state, bands):
    weights = campplus.unpack(campplus.pack(import_speaker_embedder.convert(state)))
    weights = {name: np.asarray(w, np.float32) for name, w in weights.items()}
    return np.asarray(campplus.embed(bands.astype(np.float32), weights))


@pytest.mark.parametrize("n_frames", [57, 200, 233])  # one, one whole, two segments
def test_network_equals_its_twin(generated, n_frames):
    draw = np.random.default_rng(n_frames)
    bands = draw.normal(8, 3, (2, n_frames, 80))
    for row, one in zip(ours(generated, bands), bands):
        embedding, statistics = torch_campplus.embed(generated, one)
        scale = np.abs(embedding).max()
        np.testing.assert_allclose(row[:192], embedding, rtol=0, atol=1e-4 * scale)
        np.testing.assert_allclose(row[192:], statistics, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("portable", [False, True])
def test_filter_bank_equals_kaldis_steps(portable):
    voice = harmonic_voice(3, 0.6)
    bands = np.asarray(kaldi_fbank.log_mel(voice[None], portable))[0]
    expected = torch_campplus.kaldi_log_mel(voice)
    assert bands.shape == expected.shape == (1 + (len(voice) - 400) // 160, 80)
    np.testing.assert_allclose(bands, expected, rtol=0, atol=2e-3)
    assert np.abs(bands - expected).mean() < 2e-5


def test_silence_has_the_least_power():
    bands = np.asarray(kaldi_fbank.log_mel(np.zeros([1, 1000], np.float32)))
    np.testing.assert_allclose(bands, np.log(2.0**-23), rtol=1e-6)


def test_shipped_weights_give_what_pytorch_gives():
    layer = speaker_embedding.build_embedding()
    for case in json.loads(GOLDEN.read_text()):
        voice = harmonic_voice(case["seed"], 6.0)
        bands = np.asarray(kaldi_fbank.log_mel(voice[None]))[0, 100]
        np.testing.assert_allclose(bands, case["log_mel_frame_100"], atol=2e-3)
        vector = np.asarray(layer(voice[None]))[0]
        embedding, statistics = np.split(vector, [192])
        expected = np.array(case["embedding"])
        np.testing.assert_allclose(
            embedding, expected, atol=1e-2 * np.abs(expected).max()
        )
        cosine = (
            embedding @ expected / np.linalg.norm(embedding) / np.linalg.norm(expected)
        )
        assert cosine > 0.9999
        np.testing.assert_allclose(statistics[::16], case["statistics"], atol=5e-3)


def test_number_of_parameters():
    """937 arrays in PyTorch; less the counters of batches and what is multiplied in."""
    shapes = campplus.weight_shapes()
    assert len(shapes) == 507
    assert sum(np.prod(shape) for shape in shapes.values()) == 6_841_568
    packed = campplus.packed_shapes()
    assert len(packed) < 100
    assert sum(np.prod(shape) for shape in packed.values()) == 6_841_568


@pytest.mark.parametrize("legacy", [False, True])
def test_a_state_dict_is_read_without_unpickling(tmp_path, generated, legacy):
    torch_writers.write_state_dict(tmp_path / "x.pt", generated, legacy)
    state = pytorch.read_state_dict(tmp_path / "x.pt")
    assert state.keys() == generated.keys()
    for name, array in state.items():
        np.testing.assert_array_equal(array, generated[name])


@pytest.mark.slow
def test_import_command(tmp_path, generated):
    torch_writers.write_state_dict(tmp_path / "x.pt", generated)
    run_import(tmp_path / "x.pt", tmp_path / "out.npz").check_returncode()
    with np.load(tmp_path / "out.npz") as file:
        arrays = {name: file[name] for name in file.files}
    assert len(str(arrays.pop("source_sha256"))) == 64
    assert {n: a.shape for n, a in arrays.items()} == campplus.packed_shapes()
    expected = campplus.pack(import_speaker_embedder.convert(generated))
    for name, array in arrays.items():
        assert array.dtype == (np.float32 if name == "vectors" else np.float16)
        np.testing.assert_allclose(array, expected[name], rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_import_refuses_other_networks(tmp_path, generated):
    state = dict(list(generated.items())[:9])
    torch_writers.write_state_dict(tmp_path / "x.pt", state)
    result = run_import(tmp_path / "x.pt", tmp_path / "out.npz")
    assert result.returncode == 1
    assert "x.pt is not CAM++" in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out.npz").exists()


def run_import(weights, output):
    command = [sys.executable, "-m", "tools.import_speaker_embedder"]
    flags = [f"--weights={weights}", f"--output={output}"]
    return subprocess.run(
        [*command, *flags], check=False, capture_output=True, text=True
    )


def test_damaged_weights_are_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(speaker_embedding, "WEIGHTS_FILE", tmp_path / "campplus.npz")
    with pytest.raises(FileNotFoundError, match="no weights at"):
        speaker_embedding.read_weights()
    (tmp_path / "campplus.npz").write_bytes(b"PK\x03\x04 nonsense")
    with pytest.raises(UserError, match="is damaged"):
        speaker_embedding.read_weights()
    np.savez(tmp_path / "campplus.npz", vectors=np.zeros(3))
    with pytest.raises(UserError, match=r"damaged: it is not CAM\+\+"):
        speaker_embedding.read_weights()
