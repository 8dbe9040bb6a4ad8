"""Configs that promise more than their files hold are refused before building."""

import json
import math

import numpy as np
import pytest

from speech2face.artifacts import decoder_bundle, network_size
from speech2face.config import FaceDecoderConfig, VoiceEncoderConfig
from speech2face.errors import UserError
from speech2face.models import (
    face_decoder,
    speaker_encoder,
    voice_encoder,
    weight_counts,
)
from tests.helpers.records import DIM
from tests.helpers.tiny_models import TINY_DECODER, make_decoder


def n_in_matrices(model):
    weights = voice_encoder.learned_variables(model)
    return sum(math.prod(w.shape) for w in weights if len(w.shape) > 1)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_the_weights_of_table_1_are_counted(padding):
    config = VoiceEncoderConfig(width=1 / 64, padding=padding)
    built = n_in_matrices(voice_encoder.build_table_1(config, DIM))
    assert weight_counts.of_voice_encoder(config, DIM) == built


def test_the_paper_size_is_counted():
    count = weight_counts.of_voice_encoder(VoiceEncoderConfig(), 4096)
    assert 0.999 * 148_067_584 < count < 148_067_584  # Table 1; the rest are vectors


@pytest.mark.slow
def test_the_weights_of_a_speaker_encoder_are_counted():
    config = VoiceEncoderConfig("speaker_embedding", speaker_hidden_units=(5, 3))
    built = n_in_matrices(speaker_encoder.build_speaker_encoder(config, DIM))
    assert weight_counts.of_voice_encoder(config, DIM) == built


def test_the_weights_of_a_face_decoder_are_counted():
    config = FaceDecoderConfig(
        decoder_units=6,
        landmark_units=(4, 3),
        texture_channels=(6, 5, 4, 3, 2),
        texture_components=2,
    )
    landmarks = np.random.default_rng(0).uniform(60, 160, (94, 2))
    built = n_in_matrices(face_decoder.build_face_decoder(config, DIM, landmarks))
    assert weight_counts.of_face_decoder(config, DIM, 94) == built


@pytest.mark.parametrize(
    "changed",
    [
        {"decoder_units": 65_536},
        {"landmark_units": [65_536, 65_536]},
        {"landmark_units": [1] * 10_000},
        {"texture_channels": [65_536] * 5},
        {"texture_components": 65_536},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_a_decoder_of_a_few_bytes_is_not_built_large(tmp_path, monkeypatch, changed):
    make_decoder().save(tmp_path / "decoder")
    path = tmp_path / "decoder" / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
    monkeypatch.setattr(face_decoder, "build_face_decoder", pytest.fail)
    with pytest.raises(UserError, match=r"config.json describes a network") as error:
        decoder_bundle.load(tmp_path / "decoder")
    assert "\n" not in str(error.value)


def test_a_mean_face_of_many_points_is_refused(tmp_path):
    (tmp_path / "decoder.npz").write_bytes(b"")
    with pytest.raises(UserError, match="50000 landmarks, expected at most 1024"):
        network_size.check_decoder(tmp_path, TINY_DECODER, DIM, 50_000)


@pytest.mark.parametrize("name", ["voice_encoder.npz", "checkpoints/ckpt-1.index"])
@pytest.mark.parametrize(
    "config",
    [
        VoiceEncoderConfig(width=16),
        VoiceEncoderConfig("speaker_embedding", speaker_hidden_units=(65_536,) * 2),
        VoiceEncoderConfig("speaker_embedding", speaker_hidden_units=(1,) * 10_000),
    ],
    ids=["table1", "wide", "deep"],
)
def test_an_encoder_of_a_few_bytes_is_refused(tmp_path, name, config):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / name).write_bytes(b"123")
    with pytest.raises(UserError, match="which the files beside it cannot hold"):
        network_size.check_encoder(tmp_path, config, DIM)


def test_the_paper_size_fits_its_checkpoint(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/ckpt-1.index").write_bytes(b"")
    with (tmp_path / "checkpoints/ckpt-1.data-00000-of-00001").open("wb") as file:
        file.truncate(4 * 148_067_584)
    network_size.check_encoder(tmp_path, VoiceEncoderConfig(), 4096)
