"""Media of strangers take bounded time and memory."""

import struct
import wave

import av
import numpy as np
import pytest
import soundfile

from speech2face.audio import decoding, resampling
from speech2face.errors import UserError
from tests.helpers import child
from tests.helpers.voices import tone


def write_wav(path, rate_hz, n_samples=16_000, n_channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(n_channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        pcm = (9000 * tone(n_samples)).astype("<i2").repeat(n_channels)
        file.writeframes(pcm.tobytes())


def load_in_child(path, call="decoding.load_waveform", arguments=""):
    return child.evaluate(
        "from speech2face.audio import decoding, recordings",
        f"{call}({str(path)!r}{arguments})",
    )


@pytest.mark.serial
@pytest.mark.parametrize("rate_hz", [1, 7, 3_999, 768_001, 2_000_000_000])
def test_rates_that_are_not_of_sound(tmp_path, rate_hz):
    write_wav(tmp_path / "a.wav", rate_hz)
    outcome = load_in_child(tmp_path / "a.wav")
    assert outcome.reason == "bad_sample_rate" and str(rate_hz) in outcome.answer
    assert outcome.peak_mb < 30


@pytest.mark.parametrize("rate_hz", [4_000, 768_000])
def test_the_slowest_and_the_fastest_rate(tmp_path, rate_hz):
    write_wav(tmp_path / "a.wav", rate_hz, n_samples=rate_hz)
    assert len(decoding.load_waveform(tmp_path / "a.wav")) == 16_000


@pytest.mark.parametrize(
    "rate", [float("nan"), float("inf"), -1, 0, 44.1, 1e9, None, "16000", [16_000]]
)
def test_rates_of_the_api(tmp_path, rate):
    for call in (
        lambda: resampling.resample(np.zeros(99), rate, 16_000),
        lambda: resampling.resample(np.zeros(99), 16_000, rate),
        lambda: resampling.Resampler(rate),
        lambda: decoding.load_waveform(tmp_path / "a.wav", sample_rate_hz=rate),
    ):
        with pytest.raises(ValueError, match=r"sample_rate_hz is .* in Hz \(not kHz\)"):
            call()


def test_more_than_64_channels(tmp_path):
    write_wav(tmp_path / "a.wav", 16_000, n_channels=64)
    assert len(decoding.load_waveform(tmp_path / "a.wav")) == 16_000
    write_wav(tmp_path / "a.wav", 16_000, n_channels=65)
    with pytest.raises(ValueError, match="has 65 channels; at most 64"):
        decoding.load_waveform(tmp_path / "a.wav")


@pytest.mark.serial
def test_a_small_file_with_much_sound(tmp_path):
    """60 s of 8 channels at 384 kHz: 740 MB of float32, of which 4 MB are needed."""
    path = tmp_path / "a.flac"
    silence = np.zeros([384_000, 8], np.int16)
    with soundfile.SoundFile(path, "w", 384_000, 8, "PCM_16") as file:
        file.write((9000 * tone(384_000 * 8)).astype(np.int16).reshape(-1, 8))
        for _ in range(59):
            file.write(silence)
    outcome = load_in_child(path, arguments=").shape, (0")
    assert outcome.answer == "((960000,), 0)"
    assert outcome.peak_mb < 200


@pytest.mark.serial
def test_hours_in_a_small_file(tmp_path):
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16") as file:
        file.write((9000 * tone(16_000)).astype(np.int16))
        for _ in range(70):
            file.write(np.zeros(960_000, np.int16))
    outcome = load_in_child(path)
    assert outcome.reason == "too_long" and "3600 s" in outcome.answer
    assert outcome.peak_mb < 300
    outcome = load_in_child(path, "recordings.SoundFile", ").n_samples, (0")
    assert outcome.answer == "(67216000, 0)"
    assert outcome.peak_mb < 80
    outcome = load_in_child(path, "recordings.SoundFile", ", max_secs=60")
    assert outcome.reason == "too_long" and "60 s" in outcome.answer
    part = decoding.load_waveform(path, start_secs=0.5, end_secs=2, max_secs=1.5)
    assert len(part) == 24_000


@pytest.mark.serial
def test_segments_as_they_are_have_a_limit(tmp_path):
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 192_000, 8, "PCM_16") as file:
        for _ in range(90):
            file.write(np.zeros([192_000, 8], np.int16))
    outcome = load_in_child(path, "decoding.decode_segment", ", 'a.flac'")
    assert outcome.reason == "too_long"
    assert outcome.peak_mb < 600


@pytest.mark.parametrize(
    "times", [(float("nan"), None), (0, float("nan")), (1e300, None), (float("inf"), 2)]
)
def test_times_that_are_no_times(tmp_path, times):
    write_wav(tmp_path / "a.wav", 16_000)
    with pytest.raises(UserError) as error:
        decoding.load_waveform(
            tmp_path / "a.wav", start_secs=times[0], end_secs=times[1]
        )
    is_only_late = times == (1e300, None)
    assert error.value.reason == ("beyond_the_end" if is_only_late else "bad_times")


def test_an_infinite_end_is_the_end(tmp_path):
    write_wav(tmp_path / "a.wav", 16_000)
    path = tmp_path / "a.wav"
    assert len(decoding.load_waveform(path, end_secs=float("inf"))) == 16_000


def test_a_wav_that_claims_more_than_it_has(tmp_path):
    write_wav(tmp_path / "a.wav", 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(decoding.load_waveform(tmp_path / "a.wav")) == 16_000


@pytest.mark.serial
def test_pictures_beyond_8k_are_refused(tmp_path):
    """6,000 x 6,000 in a file of 40 kB."""
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 6000, 6000, "gray"
        picture = av.VideoFrame.from_ndarray(
            np.zeros([6000, 6000], np.uint8), format="gray"
        )
        out.mux(stream.encode(picture))
        out.mux(stream.encode())
    outcome = child.evaluate(
        "from data_prep.clips import media",
        f"media.read_frame({str(path)!r}, 0.0).shape",
    )
    assert outcome.reason == "too_large", outcome
    assert outcome.peak_mb < 100
