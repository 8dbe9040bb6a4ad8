"""One channel of several, against sums by hand; and what can be a voice."""

import numpy as np
import pytest
import soundfile

from speech2face.audio import channels, decoding, recordings
from speech2face.audio.loudness import Loudness, check_waveform


def tone(n_samples=32_000, frequency_hz=440.0):
    times = np.arange(n_samples) / 16_000
    return (0.5 * np.sin(2 * np.pi * frequency_hz * times)).astype(np.float32)


def noise(n_samples=32_000, seed=0):
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, n_samples)
    return values.astype(np.float32)


VOICE, OTHER, NOTHING = tone(), noise(), np.zeros(32_000, np.float32)
CASES = {
    "the same in both": ([VOICE, VOICE], VOICE),
    "left only": ([VOICE, NOTHING], VOICE),
    "right only": ([NOTHING, VOICE], VOICE),
    "opposite phase": ([VOICE, -VOICE], VOICE),
    "opposite phase, with an offset": ([VOICE, 0.25 - 0.9 * VOICE], VOICE),
    "left only, the right has an offset": ([VOICE, NOTHING + 0.3], VOICE),
    "two people": ([VOICE, OTHER], (VOICE + OTHER) / 2),
    "the center of 5.1": ([NOTHING, NOTHING, VOICE, *[NOTHING] * 3], VOICE),
    "one": ([VOICE], VOICE),
}


@pytest.mark.parametrize("name", CASES)
def test_files_arrays_and_blocks_give_the_same_channel(tmp_path, name, monkeypatch):
    parts, expected = CASES[name]
    samples = np.stack(parts, axis=1)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(channels.one_channel(samples), expected, atol=1e-6)
    np.testing.assert_allclose(decoding.load_waveform(path), expected, atol=1e-6)
    monkeypatch.setattr(decoding, "_KEPT_VALUES", 5_000)  # decodes it twice
    np.testing.assert_allclose(decoding.load_waveform(path), expected, atol=1e-6)
    blocks = list(recordings.SoundFile(path).blocks())
    np.testing.assert_allclose(np.concatenate(blocks), expected, atol=1e-6)
    mixer = channels.Mixer()
    mixed = [mixer.push(block) for block in np.array_split(samples, 7)]
    np.testing.assert_allclose(np.concatenate(mixed), expected, atol=1e-6)


def test_silence_at_the_beginning_does_not_decide():
    """A converter's noise on the left, then a voice on the right."""
    mixer = channels.Mixer()
    quiet = np.stack([1e-4 * noise(), NOTHING], axis=1)
    mixer.push(quiet)
    voice = np.stack([1e-4 * noise(seed=1), VOICE], axis=1)
    np.testing.assert_array_equal(mixer.push(voice), VOICE)


@pytest.mark.parametrize("channel", [0, 1])
def test_the_papers_single_channel_by_argument(tmp_path, channel):
    samples = np.stack([VOICE, OTHER], axis=1)
    path = tmp_path / "a.wav"
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    expected = samples[:, channel]
    waveform = decoding.load_waveform(path, channel=channel)
    np.testing.assert_array_equal(waveform, expected)
    blocks = list(recordings.SoundFile(path, channel=channel).blocks())
    np.testing.assert_array_equal(np.concatenate(blocks), expected)


@pytest.mark.parametrize("channel", [-1, 2])
def test_a_channel_that_is_not_there(tmp_path, channel):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.stack([VOICE, OTHER], axis=1), 16_000)
    with pytest.raises(ValueError, match=f"channel {channel} was asked for; there are"):
        decoding.load_waveform(path, channel=channel)


@pytest.mark.parametrize(
    "dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16"]
)
def test_integers_are_scaled_by_their_full_range(dtype):
    limits = np.iinfo(dtype)
    values = np.array([limits.min, limits.max // 2, limits.max], dtype)
    middle = 0.0 if dtype.startswith("i") else 0.5
    expected = [-1.0, 0.5 if not middle else 0.0, 1.0]
    np.testing.assert_allclose(channels.one_channel(values), expected, atol=0.01)


def test_blocks_with_another_number_of_channels():
    mixer = channels.Mixer()
    mixer.push(np.stack([VOICE, OTHER], axis=1))
    with pytest.raises(ValueError, match="has 1 channels; the one before it had 2"):
        mixer.push(VOICE)


# What can be a voice


def test_a_constant_offset_is_not_sound(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, NOTHING + 0.2, 16_000, subtype="FLOAT")
    for read in (decoding.load_waveform, recordings.SoundFile):
        with pytest.raises(ValueError, match="is silent"):
            read(path)
    soundfile.write(path, 0.01 * VOICE + 0.2, 16_000, subtype="FLOAT")
    assert recordings.SoundFile(path).n_samples == len(decoding.load_waveform(path))


@pytest.mark.parametrize("offset", [0.0, 0.3])
@pytest.mark.parametrize("n_blocks", [1, 9])
def test_loudness_of_blocks(offset, n_blocks):
    samples = noise() + np.float32(offset)
    loudness = Loudness()
    for block in np.array_split(samples, n_blocks):
        loudness.add(block)
    exact = samples.astype(np.float64)
    assert loudness.peak == pytest.approx(np.abs(exact - exact.mean()).max())
    assert loudness.mean_square == pytest.approx(np.mean(exact**2))


@pytest.mark.parametrize(
    ("waveform", "reason"),
    [
        (np.r_[VOICE, np.nan], "nan_samples"),
        (np.r_[VOICE, -np.inf], "nan_samples"),
        (VOICE[:1599], "too_short"),
        (VOICE[:0], "too_short"),
        (NOTHING, "silent"),
        (VOICE * 9, "not_scaled"),
        (VOICE * 32_768, "not_scaled"),
    ],
)
def test_what_cannot_be_a_voice(tmp_path, waveform, reason):
    """As an array, a waveform of a file, and a file that is read in blocks."""
    with pytest.raises(ValueError) as caught:
        check_waveform(np.asarray(waveform, np.float32), "it")
    assert caught.value.reason == reason
    path = tmp_path / "a.wav"
    soundfile.write(path, waveform, 16_000, subtype="FLOAT")
    for read in (decoding.load_waveform, recordings.SoundFile):
        with pytest.raises(ValueError) as caught:
            read(path)
        no_sound = ("beyond_the_end", "no_sound") if not len(waveform) else ()
        assert caught.value.reason in (reason, *no_sound)
