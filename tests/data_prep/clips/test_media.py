"""Frames and images of good and damaged files: the right frame, upright."""

import fractions
import pathlib
import struct

import av
import numpy as np
import pytest
from PIL import Image

from data_prep.clips import media
from speech2face import images

N_FRAMES, RATE_HZ = 40, 10


def gray_level(index):
    return 20 + 5 * index


def write_video(path, n_frames=N_FRAMES, times_ms=None, codec="mpeg4"):
    """Frame k is gray of level 20 + 5k, its left half darker by 15."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE_HZ)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.gop_size = 12
        stream.codec_context.bit_rate = 5_000_000
        if times_ms:
            stream.codec_context.time_base = stream.time_base = fractions.Fraction(
                1, 1000
            )
        for index in range(n_frames):
            picture = np.full([64, 96, 3], gray_level(index), np.uint8)
            picture[:, :48] -= 15
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            if times_ms:
                frame.pts, frame.time_base = (
                    times_ms[index],
                    fractions.Fraction(1, 1000),
                )
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return str(path)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "ramp.mp4")


def shown(frame):
    """Returns the number of a frame of `write_video`."""
    return round((frame[:, 60:].mean() - 20) / 5)


@pytest.mark.parametrize(
    "at_secs, index", [(0, 0), (0.05, 0), (0.1, 1), (1.25, 12), (2.999, 29), (3.95, 39)]
)
def test_frame_on_screen_at_a_time(video, at_secs, index):
    frame = media.read_frame(video, at_secs)
    assert frame.shape == (64, 96, 3) and frame.dtype == np.uint8
    assert shown(frame) == index


def test_variable_frame_rate(tmp_path):
    times_ms = [0, 40, 80, 1000, 1100, 2500]
    path = write_video(tmp_path / "vfr.mkv", 6, times_ms)
    for at_secs, index in [(0.5, 2), (1.05, 3), (2.4, 4), (2.6, 5)]:
        assert shown(media.read_frame(path, at_secs)) == index


def test_time_beyond_the_end(video):
    with pytest.raises(ValueError, match=r"no picture at 9.000 s"):
        media.read_frame(video, 9.0)
    with pytest.raises(ValueError, match="not >= 0"):
        media.read_frame(video, float("nan"))


def test_phone_video_is_turned_upright(video, tmp_path):
    """The display matrix of the track header, as a phone held upright writes it."""
    content = pathlib.Path(video).read_bytes()
    one = 1 << 16
    identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, one, 0, -one, 0, 0, 64 * one, 0, 1 << 30)
    track = content.index(b"tkhd")
    where = content.index(identity, track)
    path = tmp_path / "phone.mp4"
    path.write_bytes(content[:where] + clockwise + content[where + 36 :])
    frame = media.read_frame(str(path), 1.0)
    assert frame.shape == (96, 64, 3)
    # Turned clockwise by 90 degrees: the dark left half is now the upper half.
    assert frame[:40].mean() < frame[56:].mean() - 10


def test_large_frames_are_scaled_down(video):
    assert media.read_frame(video, 0.0, max_px=48).shape == (32, 48, 3)


def test_unreadable_videos(video, tmp_path):
    content = pathlib.Path(video).read_bytes()
    (tmp_path / "empty.mp4").write_bytes(b"")
    (tmp_path / "text.mp4").write_text("this is not a video" * 50)
    (tmp_path / "cut.mp4").write_bytes(content[:100])
    with pytest.raises(FileNotFoundError):
        media.read_frame(str(tmp_path / "none.mp4"), 0.0)
    with pytest.raises(FileNotFoundError):
        media.read_frame(str(tmp_path), 0.0)
    for name in ("empty", "text", "cut"):
        with pytest.raises(ValueError, match=f"{name}.mp4"):
            media.read_frame(str(tmp_path / f"{name}.mp4"), 0.0)


def test_flipped_bits_never_crash(video, tmp_path):
    content = pathlib.Path(video).read_bytes()
    random = np.random.default_rng(0)
    path = tmp_path / "flipped.mp4"
    for _ in range(60):
        damaged = bytearray(content)
        for position in random.integers(0, len(content), 20):
            damaged[position] ^= 1 << random.integers(8)
        path.write_bytes(damaged)
        try:
            assert media.read_frame(str(path), 1.0).dtype == np.uint8
        except ValueError as error:
            assert "flipped.mp4" in str(error)


def test_audio_file_has_no_video(tmp_path):
    import soundfile

    path = str(tmp_path / "a.wav")
    soundfile.write(path, np.zeros(1600), 16000)
    assert not media.has_video(path)
    with pytest.raises(ValueError, match="no video track"):
        media.read_frame(path, 0.0)


def test_has_video(video):
    assert media.has_video(video)


PICTURE = np.zeros([40, 60, 3], np.uint8)
PICTURE[:20, :30] = (200, 100, 50)
PICTURE[20:, 30:] = (10, 220, 120)


@pytest.mark.parametrize("name", ["a.png", "a.bmp", "a.tiff", "a.webp"])
def test_lossless_images(tmp_path, name):
    path = str(tmp_path / name)
    Image.fromarray(PICTURE).save(path, lossless=True)
    np.testing.assert_array_equal(images.read_image(path), PICTURE)


def test_exif_rotation(tmp_path):
    path = str(tmp_path / "a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    Image.fromarray(PICTURE).save(path, exif=exif)
    np.testing.assert_array_equal(images.read_image(path), np.rot90(PICTURE, -1))


def test_gray_and_16_bit(tmp_path):
    ramp = np.arange(0, 65536, 16, dtype=np.uint16).reshape(64, 64)
    Image.fromarray(ramp).save(tmp_path / "deep.png")
    image = images.read_image(str(tmp_path / "deep.png"))
    assert image.shape == (64, 64, 3)
    np.testing.assert_allclose(image[..., 1], ramp / 257.0, atol=0.51)
    Image.fromarray((ramp // 256).astype(np.uint8)).save(tmp_path / "gray.png")
    image = images.read_image(str(tmp_path / "gray.png"))
    np.testing.assert_array_equal(image[..., 0], ramp // 256)


def test_cmyk_palette_and_transparency(tmp_path):
    Image.fromarray(PICTURE).convert("CMYK").save(tmp_path / "c.jpg", quality=100)
    image = images.read_image(str(tmp_path / "c.jpg")).astype(int)
    assert abs(image[5, 5] - (200, 100, 50)).max() < 12
    Image.fromarray(PICTURE).convert("P").save(tmp_path / "p.png")
    assert images.read_image(str(tmp_path / "p.png")).shape == (40, 60, 3)
    alpha = np.dstack([PICTURE, np.zeros([40, 60], np.uint8)])
    Image.fromarray(alpha).save(tmp_path / "t.png")
    assert (images.read_image(str(tmp_path / "t.png")) == 255).all()


def test_huge_image_is_reduced(tmp_path):
    path = str(tmp_path / "huge.jpg")
    Image.new("RGB", (10_000, 10_000), (90, 30, 200)).save(path)
    image = images.read_image(path)
    assert image.shape == (1920, 1920, 3)
    assert abs(image[7, 7].astype(int) - (90, 30, 200)).max() < 4


def test_unreadable_images(tmp_path):
    Image.fromarray(PICTURE.repeat(20, 0)).save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "text.png").write_text("not an image")
    for name in ("cut", "empty", "text"):
        with pytest.raises(ValueError, match=f"{name}.png"):
            images.read_image(str(tmp_path / f"{name}.png"))
    with pytest.raises(FileNotFoundError):
        images.read_image(str(tmp_path / "none.png"))


@pytest.mark.real_data
def test_every_real_video_gives_frames(real_data_dir):
    paths = sorted((real_data_dir / "video").iterdir())
    assert len(paths) == 15
    for path in paths:
        first = media.read_frame(str(path), 0.0)
        later = media.read_frame(str(path), 2.0)
        assert first.shape == later.shape and min(first.shape[:2]) >= 288
        assert (first != later).any()
