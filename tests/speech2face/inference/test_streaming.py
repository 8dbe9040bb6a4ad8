"""Recordings in pieces and blocks of any size give the features of the whole."""

import dataclasses

import keras
import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face.audio import decoding, recordings
from speech2face.config import VoiceEncoderConfig
from speech2face.inference import model as inference_model
from speech2face.inference import pieces, piecewise_encoder, reconstruction
from speech2face.inference.streaming import StreamingSpeech2Face
from speech2face.models import voice_encoder
from tests.helpers.records import DIM
from tests.helpers.tiny_models import make_decoder, tiny_config
from tests.helpers.voices import harmonic_voice, noise


def model_of(**encoder_config):
    config = dataclasses.replace(
        tiny_config(), voice_encoder=VoiceEncoderConfig(**encoder_config)
    )
    keras.utils.set_random_seed(5)
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, DIM)
    return inference_model.Speech2Face(encoder, make_decoder(), config)


CONFIGS = {
    "table1": dict(width=0.05),
    "same": dict(width=0.05, padding="same"),
    "speaker": dict(encoder="speaker_embedding"),
}


@pytest.fixture(scope="module", params=CONFIGS)
def model(request, short_pieces):
    return model_of(**CONFIGS[request.param])


@pytest.fixture(scope="module")
def live_model(short_pieces):
    return model_of(**CONFIGS["speaker"])


@pytest.fixture(scope="module")
def short_pieces():
    """Pieces of a few seconds, so that short recordings have many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(piecewise_encoder, "_TABLE_1_OUTPUTS", 3)
        patch.setattr(piecewise_encoder, "_EMBEDDER_WINDOWS", 2)
        yield


def assert_same(features, expected):
    """To 1e-4 of the largest number, and to 1e-4."""
    tolerance = 1e-4 * min(1.0, np.abs(expected).max())
    np.testing.assert_allclose(features, expected, rtol=0, atol=tolerance)


def quiet_voice(secs, seed=1):
    """Quiet, and louder towards the end."""
    waveform = harmonic_voice(seed, secs)
    return waveform * np.linspace(0.01, 0.05, len(waveform), dtype=np.float32)


@pytest.mark.slow
@pytest.mark.parametrize("n_samples", [43_200, 64_000, 95_999, 128_161])
def test_a_long_recording_in_pieces_is_the_whole(model, n_samples):
    waveform = quiet_voice(8.1)[:n_samples]
    whole = model.encode(waveform[np.newaxis])
    assert_same(model.voice_features([waveform]), whole)


@pytest.mark.slow
def test_recordings_of_different_lengths_share_batches(model):
    waveforms = [quiet_voice(secs, seed=i) for i, secs in enumerate((6, 3, 4.01, 3))]
    expected = [model.encode(waveform[np.newaxis])[0] for waveform in waveforms]
    assert_same(model.voice_features(waveforms), expected)


def test_batches_hold_similar_lengths_up_to_one_piece(live_model):
    mean = dataclasses.replace(live_model.piecewise_encoder.time_mean, piece_outputs=8)
    sounds = [recordings.Samples(noise(secs)) for secs in (1.2, 6.0, 1.1, 1.2, 1.0)]
    batches = list(piecewise_encoder._batches(mean, sounds))
    sizes = [sum(len(piece.samples) for _, piece in batch) for batch in batches]
    assert max(sizes) <= mean.piece_samples
    assert max(len(batch) for batch in batches) > 1
    assert sorted({index for batch in batches for index, _ in batch}) == [0, 1, 2, 3, 4]


@pytest.mark.slow
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
    name=st.sampled_from(["valid", "same"]),
)
@settings(max_examples=200, deadline=None)
def test_every_output_is_cut_exactly_once_with_all_its_samples(n_samples, size, name):
    mean = {
        "valid": pieces.TimeMean(
            None, lambda n: max(0, (n - 259) // 64 + 1), 64, 259, 5
        ),
        "same": pieces.TimeMean(
            None, lambda n: -(-n // 64), 64, 178, 5, n_warm_up=2, padded=True
        ),
    }[name]
    n_samples = n_samples % 5000
    size = size % 900 + 1
    recording = np.arange(1, n_samples + 1, dtype=np.float32)
    padded = np.pad(recording, (0, 10_000))  # 0 is silence
    cutter, seen = pieces.Cutter(mean), 0
    for start in range(0, n_samples, size):
        cutter.push(recording[start : start + size])
        for piece in cutter.pieces(min_outputs=mean.piece_outputs):
            seen = check_piece(mean, piece, seen, padded, n_samples)
    for piece in cutter.last_pieces(n_samples):
        seen = check_piece(mean, piece, seen, padded, n_samples)
    assert seen == mean.n_outputs(n_samples)


def check_piece(mean, piece, seen, padded, n_samples):
    """A piece begins `first` outputs before the next one, as far as there are."""
    assert piece.first == min(seen, mean.n_warm_up)
    start = (seen - piece.first) * mean.stride_samples
    expected = padded[start : start + len(piece.samples)]
    np.testing.assert_array_equal(piece.samples, expected)
    seen_samples = (piece.end - 1) * mean.stride_samples + mean.receptive_field_samples
    ends_with_recording = start + len(piece.samples) == n_samples
    assert len(piece.samples) >= seen_samples or (mean.padded and ends_with_recording)
    return seen + piece.end - piece.first


@given(n_samples=st.integers(1, 1500), size=st.integers(1, 700))
@settings(max_examples=200, deadline=None)
def test_windows_follow_one_another_and_the_last_ends_with_the_sound(n_samples, size):
    mean = pieces.TimeMean(None, lambda n: n / 77, 77, 77, 5, ends_with_sound=True)
    recording = np.arange(n_samples, dtype=np.float32)
    cutter, starts, weights = pieces.Cutter(mean), [], []

    def add(piece):
        windows = piece.samples.reshape(-1, 77)[piece.first : piece.end]
        assert len(windows) == piece.end - piece.first
        for window in windows:
            if n_samples >= 77:  # otherwise the recording is repeated
                np.testing.assert_array_equal(window, window[0] + np.arange(77))
            starts.append(window[0])
            weights.append(piece.weight)

    for start in range(0, n_samples, size):
        cutter.push(recording[start : start + size])
        for piece in cutter.last_pieces(min(start + size, n_samples)):
            assert piece.samples.size  # the sound so far; nothing is cut off by it
        for piece in cutter.pieces(min_outputs=mean.piece_outputs):
            add(piece)
    for piece in cutter.last_pieces(n_samples):
        add(piece)
    expected = [*range(0, n_samples - 76, 77)]
    if n_samples % 77:
        expected.append(max(0, n_samples - 77))
    assert starts == expected
    assert sum(weights) == pytest.approx(n_samples / 77)


@pytest.mark.slow
def test_every_encoder_streams(model):
    waveform = quiet_voice(7.0)
    live = StreamingSpeech2Face(model)
    for start in range(0, len(waveform), 20_011):
        live.push(waveform[start : start + 20_011])
        live.result()
    assert_same(live.finish().feature, model(waveform).feature)


@pytest.mark.slow
def test_the_face_so_far_is_that_of_the_recording_so_far(live_model):
    waveform = harmonic_voice(3, 8.0)
    waveform *= 0.5 / np.abs(waveform).max()
    live = StreamingSpeech2Face(live_model)
    live.push(waveform[:1000])
    assert live.result() is None, "0.06 s are no voice yet"
    for start in range(1000, len(waveform), 17_321):
        live.push(waveform[start : start + 17_321])
        so_far = live_model(waveform[: start + 17_321])
        assert_same(live.result().feature, so_far.feature)


def test_a_microphone_of_another_rate_with_two_channels(live_model):
    stereo = np.stack([noise(4.0, 1), noise(4.0, 2)], axis=1)
    live = StreamingSpeech2Face(live_model, sample_rate_hz=44_100)
    for start in range(0, len(stereo), 4410):
        live.push(stereo[start : start + 4410])
    expected = live_model(stereo, sample_rate_hz=44_100)
    assert_same(live.finish().feature, expected.feature)
    with pytest.raises(ValueError, match="finished"):
        live.push(stereo)


def test_a_microphone_of_16_bit_integers(live_model):
    waveform = noise(3.0, 1)
    sixteen_bits = np.round(waveform * 32_767).astype(np.int16)
    live = StreamingSpeech2Face(live_model)
    for start in range(0, len(waveform), 1024):
        live.push(sixteen_bits[start : start + 1024])
    assert live.result() is not None
    expected = live_model(sixteen_bits.astype(np.float64) / 32_768)
    assert_same(live.finish().feature, expected.feature)


def test_errors_of_a_live_recording(live_model):
    live = StreamingSpeech2Face(live_model)
    with pytest.raises(ValueError, match="NaN"):
        live.push(np.array([np.nan]))
    with pytest.raises(ValueError, match=r"shape \(1, 2, 3\)"):
        live.push(np.zeros([1, 2, 3]))
    live.push(np.zeros(32_000, np.float32))
    assert live.result() is None
    loud = StreamingSpeech2Face(live_model)
    loud.push(20_000 * noise(1.0))  # int16 samples as floating-point numbers
    with pytest.raises(ValueError, match="must be in"):
        loud.result()  # None would be waited for in vain
    with pytest.raises(ValueError, match="silent"):
        live.finish()


@pytest.mark.parametrize("rate_hz", [8000, 16_000, 44_100])
def test_a_file_in_blocks_is_the_file(tmp_path, rate_hz):
    path = tmp_path / "long.flac"
    samples = np.stack([noise(7.0, 1), noise(7.0, 2)], axis=1)[: 5 * rate_hz]
    soundfile.write(path, samples, rate_hz)
    blocks = list(decoding.read_blocks(str(path)))
    assert len(blocks) > 5 and max(map(len, blocks)) < 16_000
    whole = decoding.load_waveform(str(path))
    np.testing.assert_allclose(np.concatenate(blocks), whole, atol=1e-5)
    sound = recordings.SoundFile(path)
    assert sound.n_samples == len(whole)
    power = np.mean(whole.astype(np.float64) ** 2)
    assert sound.mean_square == pytest.approx(power, rel=1e-5)


def test_files_without_a_voice(tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16_000), 16_000)
    soundfile.write(tmp_path / "short.wav", noise(0.05), 16_000)
    (tmp_path / "text.wav").write_text("no sound")
    for name, message in (
        ("silent", "silent"),
        ("short", "at least 0.1 s is needed"),
        ("text", "unreadable"),
    ):
        with pytest.raises(ValueError, match=f"{name}.wav.*{message}"):
            recordings.SoundFile(tmp_path / f"{name}.wav")


def test_reconstruct_reads_files_in_blocks(live_model, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "a.wav", noise(9.0), 16_000)
    expected = live_model(decoding.load_waveform(str(tmp_path / "a.wav")))
    monkeypatch.setattr(decoding, "load_waveform", None)  # would hold all of it
    result = reconstruction.reconstruct(
        live_model, [tmp_path / "a.wav"], tmp_path / "out"
    )[0]
    assert_same(result.feature, expected.feature)
