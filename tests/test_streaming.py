"""Any length, in pieces of any size: the same features as of the whole at once."""

import keras
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st
from test_inference import voice
from test_records import DIM
from test_speaker_encoder import generated_voice
from test_training import make_decoder, tiny_config

from speech2face import audio, inference, pieces, reconstruction, recordings
from speech2face.config import VoiceEncoderConfig, dataclasses
from speech2face.models import voice_encoder
from speech2face.streaming import StreamingSpeech2Face


def model_of(**encoder_config):
    config = dataclasses.replace(
        tiny_config(), voice_encoder=VoiceEncoderConfig(**encoder_config)
    )
    keras.utils.set_random_seed(5)
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, DIM)
    return inference.Speech2Face(encoder, make_decoder(), config)


CONFIGS = {
    "table1": dict(width=0.05),
    "same": dict(width=0.05, padding="same"),
    "resemblyzer": dict(encoder="speaker_embedding", speaker_embedders=["resemblyzer"]),
    "both": dict(
        encoder="speaker_embedding",
        speaker_embedders=["resemblyzer", "voicefilter"],
        speaker_feature_norm=11.3,
    ),
}


@pytest.fixture(scope="module", params=CONFIGS)
def model(request, short_pieces):
    return model_of(**CONFIGS[request.param])


@pytest.fixture(scope="module")
def live_model(short_pieces):
    return model_of(**CONFIGS["resemblyzer"])


@pytest.fixture(scope="module")
def short_pieces():
    """Pieces of a few seconds, so that short recordings have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "_TABLE_1_OUTPUTS", 3)
        patch.setattr(pieces, "_WINDOWS", 3)
        yield


def assert_same(features, expected):
    """To 1e-4 of the largest number, and to 1e-4."""
    tolerance = 1e-4 * min(1.0, np.abs(expected).max())
    np.testing.assert_allclose(features, expected, rtol=0, atol=tolerance)


def quiet_voice(secs, seed=1):
    """Below every embedder's level, and louder towards the end."""
    waveform = generated_voice(seed, secs)
    return waveform * np.linspace(0.01, 0.05, len(waveform), dtype=np.float32)


@pytest.mark.parametrize("n_samples", [43_200, 96_000, 159_999, 208_161])
def test_a_long_recording_in_pieces_is_the_whole(model, n_samples):
    waveform = quiet_voice(14.0)[:n_samples]
    whole = model.encode(waveform[np.newaxis])
    assert_same(model.voice_features([waveform]), whole)


def test_recordings_of_different_lengths_share_batches(model):
    waveforms = [quiet_voice(secs, seed=i) for i, secs in enumerate((9, 3, 5.01, 3))]
    expected = [model.encode(waveform[np.newaxis])[0] for waveform in waveforms]
    assert_same(model.voice_features(waveforms), expected)


def test_batches_hold_similar_lengths_up_to_one_piece(live_model):
    part = dataclasses.replace(live_model.pieces.parts[0], piece_outputs=8)
    sounds = [recordings.Samples(voice(secs)) for secs in (1.2, 6.0, 1.1, 1.2, 1.0)]
    batches = list(pieces._batches(part, sounds))
    sizes = [sum(len(piece.samples) for _, piece in batch) for batch in batches]
    assert max(sizes) <= part.piece_samples
    assert max(len(batch) for batch in batches) > 1
    assert sorted({index for batch in batches for index, _ in batch}) == [0, 1, 2, 3, 4]


@given(
    n_samples=st.integers(16_000, 130_000),
    sizes=st.lists(st.integers(0, 60_000), min_size=1, max_size=4),
)
@settings(max_examples=12, deadline=None)
def test_blocks_of_any_size_end_with_the_offline_face(live_model, n_samples, sizes):
    waveform = quiet_voice(130_000 / 16_000)[:n_samples]
    live, start = StreamingSpeech2Face(live_model), 0
    sizes = [*sizes, 4001]
    while start < n_samples:
        size = sizes.pop(0) if len(sizes) > 1 else sizes[0]
        live.push(waveform[start : start + size])
        start += size
    offline = live_model(waveform)
    result = live.finish()
    assert_same(result.feature, offline.feature)
    np.testing.assert_allclose(result.landmarks, offline.landmarks, atol=1e-2)
    assert live.secs == n_samples / 16_000


@given(
    n_samples=st.integers(1, 200_000),
    size=st.integers(1, 90_000),
    name=st.sampled_from(["valid", "same", "embedder"]),
)
@settings(max_examples=200, deadline=None)
def test_every_output_is_cut_exactly_once_with_all_its_samples(n_samples, size, name):
    part = {
        "valid": pieces.TimeMean(
            None, lambda n: max(0, (n - 259) // 64 + 1), 64, 259, 5
        ),
        "same": pieces.TimeMean(
            None, lambda n: -(-n // 64), 64, 178, 5, n_lead=2, padded=True
        ),
        "embedder": pieces.TimeMean(
            None, lambda n: 1 + max(0, n - 120) // 77, 77, 160, 5, n_before=20
        ),
    }[name]
    n_samples = n_samples % 5000
    size = size % 900 + 1
    recording = np.arange(1, n_samples + 1, dtype=np.float32)
    padded = np.pad(recording, (part.n_before, 10_000))  # 0 is silence
    cutter, seen = pieces.Cutter(part), 0
    for start in range(0, n_samples, size):
        cutter.push(recording[start : start + size])
        for piece in cutter.pieces(n_least=part.piece_outputs):
            seen = check_piece(part, piece, seen, padded, n_samples)
    for piece in cutter.rest(n_samples):
        seen = check_piece(part, piece, seen, padded, n_samples)
    assert seen == part.n_outputs(n_samples)


def check_piece(part, piece, seen, padded, n_samples):
    """A piece begins `first` outputs before the next one, as far as there are."""
    assert piece.first == min(seen, part.n_lead)
    start = (seen - piece.first) * part.stride_samples
    expected = padded[start : start + len(piece.samples)]
    np.testing.assert_array_equal(piece.samples, expected)
    reach = (piece.last - 1) * part.stride_samples + part.span_samples
    ends_with_recording = start + len(piece.samples) == n_samples
    assert len(piece.samples) >= reach or (part.padded and ends_with_recording)
    return seen + piece.last - piece.first


def test_every_encoder_streams(model):
    waveform = quiet_voice(9.0)
    live = StreamingSpeech2Face(model)
    for start in range(0, len(waveform), 20_011):
        live.push(waveform[start : start + 20_011])
        live.result()
    assert_same(live.finish().feature, model(waveform).feature)


def test_the_face_so_far_is_that_of_the_recording_so_far(live_model):
    """Above the level of the embedder exactly; `finish` has nothing to correct."""
    waveform = generated_voice(3, 8.0)
    waveform *= 0.5 / np.abs(waveform).max()
    live = StreamingSpeech2Face(live_model)
    live.push(waveform[:1000])
    assert live.result() is None, "0.06 s are no voice yet"
    for start in range(1000, len(waveform), 17_321):
        live.push(waveform[start : start + 17_321])
        so_far = live_model(waveform[: start + 17_321])
        assert_same(live.result().feature, so_far.feature)


def test_a_microphone_of_another_rate_with_two_channels(live_model):
    stereo = np.stack([voice(4.0, 1), voice(4.0, 2)], axis=1)
    live = StreamingSpeech2Face(live_model, sample_rate_hz=44_100)
    for start in range(0, len(stereo), 4410):
        live.push(stereo[start : start + 4410])
    expected = live_model(stereo, sample_rate_hz=44_100)
    assert_same(live.finish().feature, expected.feature)
    with pytest.raises(ValueError, match="finished"):
        live.push(stereo)


def test_errors_of_a_live_recording(live_model):
    live = StreamingSpeech2Face(live_model)
    with pytest.raises(ValueError, match="NaN"):
        live.push(np.array([np.nan]))
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\)"):
        live.push(np.zeros([1, 2, 3]))
    live.push(np.zeros(32_000, np.float32))
    assert live.result() is None
    with pytest.raises(ValueError, match="silent"):
        live.finish()


def test_long_sound_waits_on_disk(live_model, monkeypatch):
    monkeypatch.setattr("speech2face.streaming._MEMORY_BYTES", 1000)
    waveform = quiet_voice(5.0)
    live = StreamingSpeech2Face(live_model)
    live.push(waveform[:50_000])
    live.push(waveform[50_000:])
    assert_same(live.finish().feature, live_model(waveform).feature)


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
def test_a_file_in_blocks_is_the_file(tmp_path, rate_hz):
    path = tmp_path / "long.flac"
    samples = np.stack([voice(7.0, 1), voice(7.0, 2)], axis=1)[: 5 * rate_hz]
    soundfile.write(path, samples, rate_hz)
    blocks = list(audio.read_blocks(str(path)))
    assert len(blocks) > 5 and max(map(len, blocks)) < 16_000
    whole = audio.load_waveform(str(path))
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-5)
    sound = recordings.SoundFile(path)
    assert sound.n_samples == len(whole)
    power = np.mean(whole.astype(np.float64) ** 2)
    assert sound.mean_square == pytest.approx(power, rel=1e-5)


def test_files_that_are_no_voice(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "short.wav", voice(0.05), 16_000)
    (tmp_path / "text.wav").write_text("no sound")
    for name, message in (
        ("silent", "silent"),
        ("short", "0.1 s is the least"),
        ("text", "unreadable"),
    ):
        with pytest.raises(ValueError, match=f"{name}.wav.*{message}"):
            recordings.SoundFile(tmp_path / f"{name}.wav")


def test_reconstruct_reads_files_in_blocks(live_model, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", voice(9.0), 16_000)
    expected = live_model(audio.load_waveform(str(tmp_path / "a.wav")))
    monkeypatch.setattr(audio, "load_waveform", None)  # would hold all of it
    result = reconstruction.reconstruct(
        live_model, [tmp_path / "a.wav"], tmp_path / "out"
    )[0]
    assert_same(result.feature, expected.feature)
