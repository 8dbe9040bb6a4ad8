"""Hostile image files through the one function that opens photographs."""

import io
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, features

from experiments.benchmarks import scenes
from speech2face import images
from speech2face.errors import UserError
from tests.campaigns import mutations
from tests.campaigns.cases import Limits, Report, run_in_children
from tests.campaigns.media import is_picture

LIMITS = Limits(secs=90.0, peak_mb=1100, max_secs=20.0)


def run(folder: pathlib.Path, seed: int, numbers) -> Report:
    """Tries the cases `numbers`: first the bombs, then mutations of valid files."""
    sources, bombs = write_sources(), list(_bombs())

    def check(number: int) -> str:
        if number < len(bombs):
            return check_file(folder / f"case{number}.png", bombs[number])
        random = np.random.default_rng([seed, number])
        content = mutations.mutate(
            sources[random.integers(len(sources))], sources, random
        )
        return check_file(folder / f"case{number}.jpg", content)

    report = run_in_children("photographs", check, numbers, folder, LIMITS)
    report.notes = f"{min(len(bombs), len(numbers))} bombs"
    return report


def check_file(path: pathlib.Path, content: bytes) -> str:
    """Reads one file; returns what is wrong with the answer."""
    path.write_bytes(content)
    try:
        image = images.read_image(path)
    except UserError as error:
        is_named = str(path) in str(error) and "\n" not in str(error)
        return "" if is_named else repr(error)
    finally:
        path.unlink()
    return "" if is_picture(image) and image.shape[2] == 3 else "not a picture"


def write_sources() -> list[bytes]:
    """Returns a valid file of each kind."""
    picture = Image.fromarray(scenes.draw(96, 128, 45, 0).picture)
    gray = picture.convert("L")
    made = [
        _saved(picture, "PNG"),
        _saved(picture.convert("P"), "PNG", transparency=3),
        _saved(Image.fromarray(np.asarray(gray, np.uint16) * 257), "PNG"),
        _saved(picture, "JPEG"),
        _saved(picture, "JPEG", progressive=True),
        _saved(picture.convert("CMYK"), "JPEG"),
        _saved(picture, "WEBP"),
        _saved(picture, "WEBP", lossless=True),
        _saved(picture, "TIFF"),
        _saved(picture, "TIFF", compression="tiff_lzw"),
        _saved(picture, "TIFF", compression="tiff_deflate"),
        _saved(gray.convert("1"), "TIFF", compression="group4"),
        _saved(picture, "GIF", save_all=True, append_images=[gray.convert("RGB")]),
        _saved(picture, "BMP"),
        _saved(picture, "PPM"),
        _saved(picture, "TGA", compression="tga_rle"),
        _saved(picture, "JPEG2000"),
    ]
    if features.check("avif"):
        made.append(_saved(picture, "AVIF", speed=10))
    return made


def _saved(image: Image.Image, kind: str, **options) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _bombs():
    """Files whose headers claim, or whose pixels are, more than fits."""
    for width, height in ((13_000, 13_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 9)):
        for depth, color in ((16, 0), (8, 6), (1, 3)):
            yield _png(width, height, depth, color, zlib.compress(bytes(1000)))
    yield _png(10_000, 10_000, 16, 0, _compressed_zeros(10_000 * 20_001))
    yield _png(9_000, 9_000, 16, 6, _compressed_zeros(10**7))
    yield _png(64, 64, 8, 2, b"", extra=[(b"iCCP", _compressed_zeros(2 * 10**8))])
    text = b"a\0\0" + _compressed_zeros(10**8)
    yield _png(64, 64, 8, 2, _compressed_zeros(64 * 193), extra=[(b"zTXt", text)] * 20)
    for kind in ("JPEG", "GIF", "BMP", "TIFF", "PPM"):
        yield _enlarged(_saved(Image.new("L", (4660, 22136)), kind))
    yield b"P6\n99999 99999\n255\n" + bytes(1000)
    yield b"P3\n" + b"9" * 1_000_000
    yield b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nquit\n%%EOF\n"


def _enlarged(content: bytes) -> bytes:
    """Writes an absurd size where a file says 4660 x 22136 (0x1234, 0x5678)."""
    for order in (">", "<"):
        for kind in "HI":
            for number in (4660, 22136):
                old = struct.pack(order + kind, number)
                new = struct.pack(order + kind, 65_500)
                content = content.replace(old, new, 1)
    return content[:200_000]


def _png(width, height, depth, color, pixels, extra=()) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    chunks = [(b"IHDR", header), *extra, (b"IDAT", pixels), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body))
        + kind
        + body
        + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def _compressed_zeros(n_bytes: int) -> bytes:
    packer = zlib.compressobj(1)
    parts = [packer.compress(bytes(1_000_000)) for _ in range(n_bytes // 1_000_000)]
    parts.append(packer.compress(bytes(n_bytes % 1_000_000)))
    return b"".join([*parts, packer.flush()])
