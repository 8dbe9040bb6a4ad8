"""Trimming of silence: what is kept, and that off is off."""

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face import reconstruct
from speech2face.audio import recordings, voice_activity
from speech2face.audio.decoding import load_waveform
from speech2face.inference import reconstruction
from speech2face.inference.model import Speech2Face
from speech2face.inference.streaming import StreamingSpeech2Face
from tests.helpers.paths import REPOSITORY
from tests.helpers.tiny_models import make_model
from tests.helpers.voices import buzz

RATE_HZ = 16_000
EXAMPLES = REPOSITORY / "speech2face" / "examples"


def spoken(pause_secs=4.0):
    """3 s of a voice, a pause with faint noise, and the voice again."""
    hiss = np.random.default_rng(0).normal(size=round(pause_secs * RATE_HZ)) * 1e-4
    return np.concatenate([buzz(), hiss.astype(np.float32), buzz()])


def trimmed(*blocks):
    return np.concatenate(list(voice_activity.trim(blocks)))


def test_a_pause_goes_and_the_voice_stays_whole():
    kept = trimmed(spoken())
    secs = len(kept) / RATE_HZ
    assert 6.0 <= secs <= 6.0 + 4 * 0.33, "the voice, and at most 0.3 s at its ends"
    np.testing.assert_array_equal(kept[: 3 * RATE_HZ - 480], buzz()[:-480])


def test_kept_frames_are_what_the_detector_hears_and_its_neighbors():
    import webrtcvad

    waveform = spoken()
    frames = waveform[: len(waveform) // 480 * 480].reshape(-1, 480)
    detector = webrtcvad.Vad(2)
    speech = [
        detector.is_speech((f * 32768).astype("<i2").tobytes(), RATE_HZ) for f in frames
    ]
    near = np.convolve(speech, np.ones(21), mode="same") > 0
    np.testing.assert_array_equal(trimmed(waveform), frames[near].ravel())


@given(st.lists(st.integers(0, 30_000), max_size=6))
@settings(max_examples=20, deadline=None)
def test_blocks_do_not_matter(sizes):
    waveform = spoken(1.5)
    blocks = np.split(waveform, np.cumsum(sizes).clip(max=len(waveform)))
    np.testing.assert_array_equal(trimmed(*blocks), trimmed(waveform))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["woman_27", "man_24", "man_60"])
def test_silence_does_not_average_in(name):
    """A voice with 12 s of faint noise in its middle, heard without them."""
    model, voice = Speech2Face.load(), load_waveform(EXAMPLES / f"{name}.ogg")
    hiss = np.random.default_rng(0).normal(size=12 * RATE_HZ).astype(np.float32) * 1e-4
    paused = np.concatenate([voice[: 3 * RATE_HZ], hiss, voice[3 * RATE_HZ :]])
    alone, with_pause = model(voice), model(paused, trim_silence=True)

    def distance(result):
        return np.linalg.norm(result.feature - alone.feature)

    assert distance(with_pause) < 0.75 * distance(model(paused))
    expected = model(trimmed(paused)).feature
    np.testing.assert_array_equal(with_pause.feature, expected)


def test_files_and_microphones_are_trimmed_alike(tmp_path):
    model, waveform = make_model(), spoken()
    soundfile.write(tmp_path / "a.wav", waveform, RATE_HZ, subtype="FLOAT")
    expected = model(waveform, trim_silence=True).feature
    sound = recordings.SoundFile(tmp_path / "a.wav", trim_silence=True)
    assert sound.n_samples == len(trimmed(waveform))
    np.testing.assert_allclose(model.voice_features([sound])[0], expected, atol=1e-4)
    live = StreamingSpeech2Face(model, trim_silence=True)
    for block in np.array_split(waveform, 7):
        live.push(block)
    np.testing.assert_allclose(live.finish().feature, expected, atol=1e-4)
    assert live.secs == sound.n_samples / RATE_HZ


def test_it_is_off_by_default_and_a_flag_turns_it_on(tmp_path):
    model, waveform = make_model(), spoken()
    soundfile.write(tmp_path / "a.wav", waveform, RATE_HZ, subtype="FLOAT")
    assert not reconstruct.ReconstructOptions(audio=(), output_dir="").trim_silence
    plain = reconstruction.reconstruct(model, [tmp_path / "a.wav"], tmp_path / "out")
    np.testing.assert_allclose(plain[0].feature, model(waveform).feature, atol=1e-4)
    live = StreamingSpeech2Face(model)
    live.push(waveform)
    assert live.secs == len(waveform) / RATE_HZ


def test_no_speech_is_an_error(tmp_path):
    model = make_model()
    noise = np.random.default_rng(1).normal(size=2 * RATE_HZ).astype(np.float32) * 2e-3
    with pytest.raises(ValueError, match=r"the recording has .* s of speech"):
        model(noise, trim_silence=True)
    soundfile.write(tmp_path / "noise.wav", noise, RATE_HZ)
    with pytest.raises(ValueError, match=r"noise.wav has .* s of speech"):
        recordings.SoundFile(tmp_path / "noise.wav", trim_silence=True)
    live = StreamingSpeech2Face(model, trim_silence=True)
    live.push(noise)
    assert live.result() is None
