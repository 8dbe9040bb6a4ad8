"""The picture and the sound of a moment, in every container, against clocks in both."""

import fractions
import pathlib

import av
import numpy as np
import pytest
import soundfile

from data_prep.clips import media
from speech2face.audio import decoding
from tests.helpers import clock_media

STARTS_SECS = (0.33, 1.27, 4.21, 9.69, 12.93)  # with key frames at 0, 3, 6, 9 and 12 s
VIDEOS = (
    ("mp4", "libx264", "aac"),
    ("mov", "mpeg4", "pcm_s16le"),
    ("matroska", "libx264", "aac"),
    ("webm", "libvpx", "libopus"),
    ("avi", "mpeg4", "libmp3lame"),
    ("avi", "libx264", "pcm_s16le"),
    ("flv", "libx264", "aac"),
    ("asf", "wmv2", "libmp3lame"),
    ("mpegts", "libx264", "aac"),
    ("mpegts", "mpeg2video", "mp2"),
    ("mpeg", "mpeg1video", "mp2"),
    ("dvd", "mpeg2video", "ac3"),
    ("mxf", "mpeg2video", "pcm_s16le"),
    ("nut", "mpeg4", "mp2"),
    ("wtv", "mpeg2video", "mp2"),
)
SOUNDS = (
    ("wav", "pcm_s16le"),
    ("wav", "pcm_mulaw"),
    ("wav", "adpcm_ima_wav"),  # FFmpeg's seeks drift by 3 ms a second
    ("wav", "adpcm_ms"),  # 5 ms a second
    ("wav", "libmp3lame"),
    ("w64", "adpcm_ms"),
    ("aiff", "pcm_s16be"),
    ("au", "pcm_mulaw"),
    ("caf", "alac"),
    ("mp3", "libmp3lame"),
    ("adts", "aac"),
    ("ac3", "ac3"),
    ("flac", "flac"),
    ("ogg", "libopus"),
    ("tta", "tta"),
    ("wv", "wavpack"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clocks")


@pytest.mark.slow
@pytest.mark.parametrize(("container", "video", "audio"), VIDEOS)
def test_pictures_and_sound_of_a_moment(folder, container, video, audio):
    path = folder / f"{container}_{video}_{audio}"
    clock_media.write_clock(path, container, video, audio)
    for start_secs in STARTS_SECS:
        shown = clock_media.number_of(media.read_frame(path, start_secs))
        assert 0 <= int(start_secs * 25) - shown <= 1, start_secs
        frames = media.frames_between(path, "a", start_secs, start_secs + 0.4)
        numbers = [clock_media.number_of(picture) for picture, _ in frames]
        assert numbers == list(range(shown, shown + len(numbers)))
        assert len(numbers) in (10, 11)
    check_sound(path, delay_secs=0.05)


@pytest.mark.parametrize(("container", "audio"), SOUNDS)
def test_sound_of_a_moment(folder, container, audio):
    path = folder / f"{container}_{audio}"
    clock_media.write_clock(path, container, "", audio)
    check_sound(path, delay_secs=0.05)


def check_sound(path, delay_secs):
    """A segment is that of the whole, which begins up to a coder's delay late."""
    whole = decoding.load_waveform(path)
    late_secs = 4.0 - clock_media.secs_of(whole[64_000:72_000])
    assert -0.005 < late_secs < delay_secs
    for start_secs in STARTS_SECS:
        part = decoding.load_waveform(
            path, start_secs=start_secs, end_secs=start_secs + 0.8
        )
        assert len(part) == pytest.approx(12_800, abs=20)
        begins = clock_media.secs_of(part)
        assert begins == pytest.approx(start_secs - late_secs, abs=0.002), start_secs


def test_variable_bitrate_mp3_without_an_index(folder):
    """FFmpeg would guess the place from the rate of the first frames."""
    random = np.random.default_rng(0)
    quiet, loud = np.zeros(16_000 * 20), 0.3 * random.standard_normal(16_000 * 20)
    path = folder / "vbr.mp3"
    samples = np.concatenate([quiet, loud, quiet, loud]).astype(np.float32)
    soundfile.write(path, samples, 16_000, bitrate_mode="VARIABLE")
    content = path.read_bytes()
    for tag in (b"Xing", b"Info"):
        content = content.replace(tag, bytes(4))
    path.write_bytes(content)
    part = decoding.load_waveform(path, start_secs=19.0, end_secs=21.0)
    power = np.square(part[: len(part) // 160 * 160]).reshape(-1, 160).mean(axis=1)
    # Loud from 20 s on, and 0.1 s of the coder's delay.
    assert 0.9 < np.argmax(power > 0.01) * 0.01 < 1.2


def orient(folder, matrix):
    """Writes the clock with a display matrix in its track's header."""
    path = pathlib.Path(clock_media.write_clock(folder / "m.mp4", "mp4", "mpeg4", ""))
    one = (1 << 16).to_bytes(4, "big")
    identity = b"".join([one, bytes(12), one, bytes(12), (1 << 30).to_bytes(4, "big")])
    content = path.read_bytes()
    where = content.index(identity, content.index(b"tkhd"))
    a, b, c, d = ((value << 16).to_bytes(4, "big", signed=True) for value in matrix)
    new = b"".join([a, b, bytes(4), c, d, bytes(12), identity[-4:]])
    path.write_bytes(content[:where] + new + content[where + 36 :])
    return path


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("flip_x", [1, -1])
@pytest.mark.parametrize("flip_y", [1, -1])
def test_all_eight_display_matrices(tmp_path, transposed, flip_x, flip_y):
    """Against the matrix applied to each point."""
    matrix = (0, flip_y, flip_x, 0) if transposed else (flip_x, 0, 0, flip_y)
    path = orient(tmp_path, matrix)
    with av.open(str(path)) as container:
        stored = next(container.decode(video=0)).to_ndarray(format="rgb24")
    height, width = stored.shape[:2]
    y, x = np.mgrid[:height, :width]
    a, b, c, d = matrix
    shown_x, shown_y = a * x + c * y, b * x + d * y
    shown_x, shown_y = shown_x - shown_x.min(), shown_y - shown_y.min()
    expected = np.zeros([shown_y.max() + 1, shown_x.max() + 1, 3], np.uint8)
    expected[shown_y, shown_x] = stored
    np.testing.assert_array_equal(media.read_frame(path, 0.0), expected)


@pytest.mark.parametrize(
    ("ratio", "size"),
    [("4:3", (128, 64)), ("1:2", (96, 128)), ("1:1", (96, 64)), ("1:90", (96, 64))],
)
def test_pixels_that_are_not_square(tmp_path, ratio, size):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        width, height = map(int, ratio.split(":"))
        stream.codec_context.sample_aspect_ratio = fractions.Fraction(width, height)
        for _ in range(5):
            pixels = np.full([64, 96, 3], 120, np.uint8)
            out.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        out.mux(stream.encode())
    assert media.read_frame(path, 0.0).shape[1::-1] == size
    frames = media.frames_between(path, "a", 0.0, 0.5)
    assert next(frames)[0].shape[1::-1] == size


def test_the_track_that_is_marked_as_default_is_heard(tmp_path):
    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        streams = [out.add_stream("flac", rate=16_000, layout="mono") for _ in range(2)]
        streams[0].disposition = av.stream.Disposition(0)
        streams[1].disposition = av.stream.Disposition.default
        times = np.arange(16_000) / 16_000
        for stream in streams:
            stream.codec_context.format = "s16"
        for stream, pitch_hz in zip(streams, (300, 700)):
            tone = (9000 * np.sin(2 * np.pi * pitch_hz * times)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(tone[None], "s16", "mono")
            frame.sample_rate, frame.pts = 16_000, 0
            out.mux(stream.encode(frame))
        for stream in streams:
            out.mux(stream.encode())
    spectrum = np.abs(np.fft.rfft(decoding.load_waveform(path)))
    assert spectrum.argmax() == 700  # one bin a hertz
