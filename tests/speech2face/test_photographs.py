"""Photographs of strangers: what is read, in how much memory, and what is refused."""

import io
import struct
import sys
import zlib

import numpy as np
import pytest
from PIL import Image, features

from speech2face import images, photographs
from tests.helpers import child


def ramp(height=64, width=96):
    """A gray ramp [h, w] from 0 to 1."""
    return np.tile(np.linspace(0, 1, width), [height, 1])


def picture(n_pixels_wide, height, mode="RGB"):
    noise = np.random.default_rng(0).integers(0, 255, [30, 40, 3], dtype=np.uint8)
    return Image.fromarray(noise).resize((n_pixels_wide, height)).convert(mode)


def read_in_child(path, timeout_secs=60.0):
    return child.evaluate(
        "from speech2face import images",
        f"images.read_image({str(path)!r}).shape",
        timeout_secs,
    )


@pytest.mark.serial
def test_a_photograph_of_200_megapixels_is_read_in_little_memory(tmp_path):
    path = tmp_path / "large.jpg"
    Image.new("L", (16_400, 12_300), 90).save(path, quality=50)
    outcome = read_in_child(path)
    assert outcome.answer == "(1440, 1920, 3)"
    assert outcome.peak_mb < 120


@pytest.mark.serial
def test_100_megapixels_take_at_most_about_a_gigabyte(tmp_path):
    """16 bits: the float64 that it once became took 4.5 GB for 170 megapixels."""
    path = tmp_path / "gray16.png"
    Image.fromarray(np.full([10_000, 10_000], 30_000, np.uint16)).save(path)
    outcome = read_in_child(path)
    assert outcome.answer == "(1920, 1920, 3)"
    assert outcome.peak_mb < 1000


def png_header(width, height, depth=16, color=0):
    """A PNG file of `width` x `height` without its pixels."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(1000)))]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


@pytest.mark.serial
@pytest.mark.parametrize(
    ("width", "height"), [(13_000, 13_000), (10_001, 10_000), (2**31 - 1, 2**31 - 1)]
)
def test_a_bomb_is_refused_by_its_header(tmp_path, width, height):
    path = tmp_path / "bomb.png"
    path.write_bytes(png_header(width, height))
    outcome = read_in_child(path)
    assert outcome.reason in ("too_large", "unreadable")
    assert outcome.peak_mb < 50


@pytest.mark.serial
@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.jp2", "one_strip.tif"])
def test_the_estimate_of_other_formats_is_not_too_low(tmp_path, name):
    """12 megapixels each; what is measured scales with the size."""
    if name == "a.avif" and not features.check("avif"):
        pytest.skip("Pillow without AVIF")
    path = tmp_path / name
    image = picture(4000, 3000, "RGBA")
    options = {"speed": 10} if name == "a.avif" else {"compression": "tiff_deflate"}
    image.save(path, tiffinfo={278: 3000}, **options)
    outcome = read_in_child(path)
    assert outcome.answer == "(1440, 1920, 3)"
    with Image.open(path) as opened:
        reader_bytes = photographs._READER_BYTES.get(opened.format)
    reader_bytes = reader_bytes or photographs._LARGE_STRIP_BYTES
    # 25 MB: the result, and what libraries need for a picture of any size.
    assert outcome.peak_mb - 25 < 12 * (8 + reader_bytes)


def test_a_limit_by_argument(tmp_path):
    path = tmp_path / "a.png"
    picture(100, 80).save(path)
    assert images.read_image(path, max_pixels=8_000).shape == (80, 100, 3)
    with pytest.raises(ValueError, match=r"100 x 80 pixels; up to 0.00799 megapix"):
        images.read_image(path, max_pixels=7_990)


def test_a_progressive_jpeg_of_endless_scans_is_refused(tmp_path):
    """40 bytes make its reader go through the whole picture once more."""
    path = tmp_path / "scans.jpg"
    picture(4000, 3000).save(path, progressive=True)
    content = path.read_bytes()
    n_scans = photographs._count_scans(content)
    assert 5 < n_scans < 15
    last = content.rindex(b"\xff\xda")
    path.write_bytes(content[:-2] + 400 * content[last:-2][:40] + b"\xff\xd9")
    with pytest.raises(ValueError, match="megapixels if progressive"):
        images.read_image(path)


def test_scans_of_thumbnails_do_not_count(tmp_path):
    path = tmp_path / "thumbnail.jpg"
    picture(64, 64).save(path)
    thumbnail = path.read_bytes()
    segment = b"\xff\xe1" + struct.pack(">H", len(thumbnail) + 2) + thumbnail
    content = thumbnail[:2] + segment + thumbnail[2:]
    assert photographs._count_scans(content) == 1
    path.write_bytes(content + thumbnail)  # a second picture, as panoramas have
    assert images.read_image(path).shape == (64, 64, 3)


@pytest.mark.parametrize(
    ("values", "name"),
    [
        (ramp().astype(np.float32), "unit.tif"),
        ((255 * ramp()).astype(np.float32), "bytes.tif"),
        ((65535 * ramp()).astype(np.float32), "words.tif"),
        ((65535 * ramp()).astype(np.uint16), "gray16.tif"),
        ((4095 * ramp()).astype(np.uint16), "gray12.tif"),
        ((255 * ramp()).astype(np.uint16), "gray8_in_16.tif"),
        ((2**31 - 1) * ramp() // 1 * (1 - 2**-20), "gray32.tif"),
        ((65535 * ramp()).astype(np.uint16), "gray16.png"),
    ],
)
def test_gray_of_every_depth_is_the_same_ramp(tmp_path, values, name):
    path = tmp_path / name
    if name == "gray32.tif":
        values = values.astype(np.int32)
    Image.fromarray(values).save(path)
    expected = np.repeat(255 * ramp()[:, :, None], 3, axis=2)
    np.testing.assert_allclose(images.read_image(path), expected, atol=1.1)


@pytest.mark.parametrize(
    ("order", "white_is_zero"), [("<", False), (">", False), ("<", True)]
)
def test_16_bit_tiff_of_either_byte_order_and_sense(tmp_path, order, white_is_zero):
    """Written by hand: Pillow writes one kind."""
    values = np.round(65535 * ramp()).astype(order + "u2")
    path = tmp_path / "a.tif"
    entries = [
        (256, 4, 96),
        (257, 4, 64),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 0 if white_is_zero else 1),
        (273, 4, 200),
        (277, 3, 1),
        (278, 4, 64),
        (279, 4, values.nbytes),
    ]
    header = {"<": b"II", ">": b"MM"}[order] + struct.pack(order + "HI", 42, 8)
    table = struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        small = struct.pack(order + "HH", value % 65536, 0)
        packed = small if kind == 3 else struct.pack(order + "I", value)
        table += struct.pack(order + "HHI", tag, kind, 1) + packed
    content = (header + table + bytes(4)).ljust(200, b"\0") + values.tobytes()
    path.write_bytes(content)
    expected = 255 * (1 - ramp() if white_is_zero else ramp())
    np.testing.assert_allclose(images.read_image(path)[:, :, 0], expected, atol=1.1)


def test_heic_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    path = tmp_path / "iphone.heic"
    path.write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
    with pytest.raises(
        ValueError, match=r"is a HEIC photograph.* pip install"
    ) as caught:
        images.read_image(path)
    assert caught.value.reason == "heic"


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path):
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    path = tmp_path / "a.heic"
    picture(200, 120).save(path, quality=90)
    expected = np.asarray(picture(200, 120), np.float32)
    assert np.abs(images.read_image(path) - expected).mean() < 8


def test_formats_that_run_programs_are_not_opened(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EOF\n")
    with pytest.raises(ValueError, match="not readable as an image"):
        images.read_image(path)


def test_pictures_in_records_are_small():
    buffer = io.BytesIO()
    Image.new("1", (3000, 3000)).save(buffer, "PNG")
    with pytest.raises(ValueError, match="the picture of a record has 3000 x 3000"):
        images.decode_image(buffer.getvalue())
