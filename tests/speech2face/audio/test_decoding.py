"""Decoding and resampling against libsndfile, librosa and FFmpeg's own encoders."""

import fractions
import hashlib

import av
import librosa
import numpy as np
import pytest
import scipy.signal
import soundfile

from speech2face.audio import channels, decoding


def tone(n_samples, rate_hz=16_000, frequency_hz=440.0, amplitude=0.5):
    time_secs = np.arange(n_samples) / rate_hz
    return amplitude * np.sin(2 * np.pi * frequency_hz * time_secs)


def noise(*shape, seed=0):
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, shape)
    return values.astype(np.float32)


def write_container(path, waveform, rate_hz, codec, offset_secs=0.0):
    """Writes a video file with sound: one gray frame a quarter second, [c, n] audio."""
    layout = {1: "mono", 2: "stereo"}[len(waveform)]
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=4)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream(codec, rate=rate_hz, layout=layout)
        for _ in range(int(4 * waveform.shape[1] / rate_hz)):
            picture = av.VideoFrame.from_ndarray(np.full([48, 64, 3], 99, np.uint8))
            container.mux(video.encode(picture))
        block = np.ascontiguousarray(waveform.astype(np.float32))
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout=layout)
        frame.sample_rate = rate_hz
        frame.time_base = fractions.Fraction(1, rate_hz)
        frame.pts = round(offset_secs * rate_hz)
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        container.mux(video.encode(None))
    return str(path)


def aligned_error(waveform, expected, margin=800):
    """Relative RMS error away from both ends."""
    size = min(len(waveform), len(expected)) - margin
    difference = waveform[margin:size] - expected[margin:size]
    return np.sqrt(np.mean(difference**2) / np.mean(expected[margin:size] ** 2))


# Reading


@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_wav_at_16_khz_comes_back_sample_for_sample(tmp_path, subtype):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(8_000), 16_000, subtype=subtype)
    expected, _ = soundfile.read(path, dtype="float32")
    waveform = decoding.load_waveform(path)
    assert waveform.dtype == np.float32
    np.testing.assert_allclose(waveform, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["a.flac", "a.ogg", "a.aiff", "a.au", "a.mp3"])
def test_other_audio_files_equal_libsndfile(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, tone(32_000), 16_000)
    expected, _ = soundfile.read(path, dtype="float32")
    waveform = decoding.load_waveform(str(path))
    assert abs(len(waveform) - len(expected)) <= 1152  # one MP3 frame
    assert aligned_error(waveform, expected) < 1e-3


@pytest.mark.parametrize("n_channels", [9, 24])
def test_more_channels_than_eight(tmp_path, n_channels):
    """PyAV reads past the end of their planes: a crash, often."""
    path = str(tmp_path / "many.wav")
    samples = noise(16_000, 1) + 0.1 * noise(16_000, n_channels, seed=1)
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    waveform = decoding.load_waveform(path)
    np.testing.assert_allclose(waveform, samples.mean(axis=1), atol=1e-6)


def test_sound_that_changes_midway_is_refused(tmp_path):
    """Of one channel, then of two: AAC frames may follow each other like that."""
    content = b""
    for layout, n_channels in (("mono", 1), ("stereo", 2)):
        part = tmp_path / f"{layout}.aac"
        with av.open(str(part), "w", format="adts") as out:
            stream = out.add_stream("aac", rate=16_000, layout=layout)
            samples = np.tile(tone(16_000), [n_channels, 1]).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples, "fltp", layout)
            frame.sample_rate = 16_000
            out.mux(stream.encode(frame))
            out.mux(stream.encode())
        content += part.read_bytes()
    path = tmp_path / "both.aac"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"both.aac is unreadable .* changes channels"):
        decoding.load_waveform(str(path))


def test_channels_are_averaged(tmp_path):
    path = tmp_path / "a.wav"
    channels = noise(4_000, 3)
    soundfile.write(path, channels, 16_000, subtype="FLOAT")
    np.testing.assert_allclose(
        decoding.load_waveform(path), channels.mean(axis=1), atol=1e-6
    )


def test_channels_before_samples_are_refused():
    with pytest.raises(ValueError, match=r"\(2, 4000\); expected \[n\] or"):
        channels.one_channel(noise(4_000, 2).T)
    assert channels.one_channel(noise(1, 2)).shape == (1,)


@pytest.mark.parametrize("rate_hz", [8_000, 11_025, 22_050, 44_100, 48_000, 96_000])
def test_any_rate_becomes_16_khz(tmp_path, rate_hz):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(rate_hz, rate_hz), rate_hz, subtype="FLOAT")
    waveform = decoding.load_waveform(path)
    assert abs(len(waveform) - 16_000) <= 1
    assert aligned_error(waveform, tone(16_000)) < 1e-3


def test_resampling_equals_librosa(tmp_path):
    path = tmp_path / "a.wav"
    samples = noise(44_100)
    soundfile.write(path, samples, 44_100, subtype="FLOAT")
    expected = librosa.resample(samples, orig_sr=44_100, target_sr=16_000)
    np.testing.assert_allclose(decoding.load_waveform(path), expected, atol=1e-5)


def test_resampling_overshoot_is_clipped(tmp_path):
    path = tmp_path / "a.wav"
    square = np.sign(tone(44_100, 44_100, 500.0))
    soundfile.write(path, square, 44_100, subtype="FLOAT")
    assert np.abs(decoding.load_waveform(path)).max() == 1.0


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "n_channels"),
    [
        ("a.mp4", "aac", 48_000, 2),
        ("a.mp4", "aac", 16_000, 1),
        ("a.mkv", "flac", 44_100, 2),
        ("a.mpg", "mp2", 44_100, 2),
    ],
)
def test_sound_of_video_files(tmp_path, name, codec, rate_hz, n_channels):
    samples = np.stack([tone(3 * rate_hz, rate_hz)] * n_channels)
    if codec == "flac":
        samples = samples * 0.999
    path = write_container(tmp_path / name, samples, rate_hz, codec)
    waveform = decoding.load_waveform(path)
    assert abs(len(waveform) - 48_000) < 0.1 * 16_000
    peak_hz = np.abs(np.fft.rfft(waveform)).argmax() * 16_000 / len(waveform)
    assert peak_hz == pytest.approx(440, abs=2)
    assert np.sqrt(np.mean(waveform**2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.1)


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mkv", "flac"), ("a.mp4", "aac"), ("a.mpg", "mp2")]
)
@pytest.mark.parametrize("span", [(0.5, 1.25), (2.0, 3.5), (3.25, None)])
def test_a_segment_is_the_same_stretch_of_the_whole(tmp_path, name, codec, span):
    samples = scipy.signal.lfilter([0.05], [1, -0.95], noise(2, 4 * 16_000) * 4)
    rate_hz = 32_000 if codec == "mp2" else 16_000
    path = write_container(
        tmp_path / name, np.repeat(samples, rate_hz // 16_000, axis=1), rate_hz, codec
    )
    whole = decoding.load_waveform(path)
    start_secs, end_secs = span
    part = decoding.load_waveform(path, start_secs=start_secs, end_secs=end_secs)
    first = round(start_secs * 16_000)
    expected = whole[first : None if end_secs is None else round(end_secs * 16_000)]
    assert abs(len(part) - len(expected)) <= 2
    assert aligned_error(part, expected, margin=400) < 0.02


@pytest.mark.parametrize("span", [(0.0, 0.5), (0.25, 0.75), (2.5, 2.7)])
def test_segments_of_wav_files_are_exact(tmp_path, span):
    path = tmp_path / "a.wav"
    samples = noise(48_000)
    soundfile.write(path, samples, 16_000, subtype="FLOAT")
    part = decoding.load_waveform(path, start_secs=span[0], end_secs=span[1])
    expected = samples[round(span[0] * 16_000) : round(span[1] * 16_000)]
    np.testing.assert_array_equal(part, expected)


def test_an_end_past_the_end_is_the_end(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(16_000), 16_000)
    assert len(decoding.load_waveform(path, start_secs=0.5, end_secs=9)) == 8_000


def test_time_zero_is_the_containers_not_the_sound_tracks(tmp_path):
    samples = tone(3 * 16_000)[None]
    samples[:, 16_000:] *= 0.1  # the level drops 1 s into the sound track
    path = write_container(tmp_path / "a.mkv", samples, 16_000, "flac", offset_secs=0.5)
    waveform = decoding.load_waveform(path, start_secs=1.25, end_secs=1.75)
    assert np.abs(waveform[:3_900]).max() > 0.4  # it drops 1.5 s into the file
    assert np.abs(waveform[4_100:]).max() < 0.1


def test_another_sample_rate_on_request(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000), 16_000)
    assert len(decoding.load_waveform(path, sample_rate_hz=8_000)) == 8_000


# Bad input


def _error(path, **keywords):
    with pytest.raises(ValueError) as caught:
        decoding.load_waveform(path, **keywords)
    message = str(caught.value)
    assert "\n" not in message and str(path) in message
    return message


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no such file: .*missing.wav"):
        decoding.load_waveform(tmp_path / "missing.wav")


def test_folder(tmp_path):
    assert "not a file" in _error(tmp_path)


@pytest.mark.parametrize("content", [b"", b"RIFF", b"just some text\n" * 99])
def test_unreadable_file(tmp_path, content):
    path = tmp_path / "a.wav"
    path.write_bytes(content)
    assert "unreadable as audio or video" in _error(path)


@pytest.mark.parametrize("name", ["a.flac", "a.mp3", "a.ogg", "a.wav"])
def test_an_interrupted_recording_is_read_to_where_it_ends(tmp_path, name):
    path = tmp_path / name
    soundfile.write(path, noise(64_000), 16_000)
    whole, content = decoding.load_waveform(path), path.read_bytes()
    path.write_bytes(content[: len(content) * 3 // 4 - 101])
    part = decoding.load_waveform(path)
    assert 42_000 < len(part) < 50_000
    np.testing.assert_allclose(part[:40_000], whole[:40_000], atol=1e-6)


def test_damage_between_sounds_is_refused(tmp_path):
    path = tmp_path / "a.mp3"
    soundfile.write(path, noise(64_000), 16_000)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 3_000] = bytes(3_000)
    path.write_bytes(content)
    assert "unreadable" in _error(path)


def test_a_dropped_stretch_does_not_shift_a_segment(tmp_path):
    path = tmp_path / "a.flac"
    soundfile.write(path, noise(64_000), 16_000)
    with av.open(str(path)) as container:
        places = [packet.pos for packet in container.demux() if packet.size]
    content = path.read_bytes()
    path.write_bytes(content[: places[7]] + content[places[9] :])
    whole = decoding.load_waveform(path)
    part = decoding.load_waveform(path, start_secs=0.5, end_secs=3.0)
    assert len(whole) == 64_000 - 2 * 4096
    assert len(part) == 40_000 - 2 * 4096  # by the clock of the file
    np.testing.assert_array_equal(part[:12_000], whole[8_000:20_000])


def test_no_audio_track(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=4)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        picture = av.VideoFrame.from_ndarray(np.zeros([48, 64, 3], np.uint8))
        container.mux(video.encode(picture))
        container.mux(video.encode(None))
    assert "has no audio track" in _error(path)


def test_silence(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(16_000, amplitude=0.9e-3), 16_000, subtype="FLOAT")
    assert "is silent (peak below -60 dBFS)" in _error(path)
    soundfile.write(path, tone(16_000, amplitude=1.1e-3), 16_000, subtype="FLOAT")
    assert len(decoding.load_waveform(path)) == 16_000


def test_too_short(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(1_599), 16_000)
    assert "at least 0.1 s is needed" in _error(path)
    soundfile.write(path, noise(1_600), 16_000)
    assert len(decoding.load_waveform(path)) == 1_600


@pytest.mark.parametrize("span", [(-1.0, None), (2.0, 2.0), (3.0, 1.0)])
def test_empty_segments(tmp_path, span):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(16_000), 16_000)
    assert "is empty" in _error(path, start_secs=span[0], end_secs=span[1])


@pytest.mark.parametrize("span", [("1", None), (0.0, "6"), (None, 6.0)])
def test_times_that_are_no_numbers(tmp_path, span):
    path = tmp_path / "a.wav"
    message = "must be a number of seconds"
    assert message in _error(path, start_secs=span[0], end_secs=span[1])


def test_segment_after_the_end(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, noise(16_000), 16_000)
    assert "between 5 s and 8 s" in _error(path, start_secs=5.0, end_secs=8.0)


# Real recordings


@pytest.mark.real_data
def test_real_flac_equals_libsndfile(real_data_dir):
    for path in sorted(real_data_dir.glob("avspeech/audio/*.flac"))[:20]:
        expected, _ = soundfile.read(path, dtype="float32")
        waveform = decoding.load_waveform(path)
        assert hashlib.sha256(waveform).digest() == hashlib.sha256(expected).digest()


@pytest.mark.real_data
def test_real_video_files(real_data_dir):
    expected_errors = {
        "no_audio_track.mp4": "has no audio track",
        "silent_audio.mp4": "is silent",
    }
    for path in sorted(real_data_dir.glob("video/*.m*")):
        if path.name in expected_errors:
            assert expected_errors[path.name] in _error(path)
        else:
            assert len(decoding.load_waveform(path)) > 2.9 * 16_000
            part = decoding.load_waveform(path, start_secs=1.5, end_secs=2.5)
            assert len(part) == pytest.approx(16_000, abs=1)
