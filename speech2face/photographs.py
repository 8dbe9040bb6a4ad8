"""Opens untrusted image files: known formats, limited size, work and memory.

A small file can claim a huge picture. What it would take is estimated from its header
before anything is decoded: docs/decisions/untrusted-media.md.
"""

import contextlib
import importlib
import io
import os
import re
import warnings
from collections.abc import Iterator
from typing import Any, BinaryIO

import numpy as np
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from speech2face import archives
from speech2face.errors import UserError
from speech2face.files import PathLike

# Pillow's names. Not among them: EPS (starts Ghostscript) and formats without pictures.
# Not in the paper: docs/decisions/untrusted-media.md.
FORMATS = ("PNG", "TIFF", "WEBP", "AVIF", "BMP", "GIF", "PPM", "JPEG2000", "TGA")
MAX_PIXELS = 100_000_000
MAX_BYTES = 1_000_000_000  # of memory, roughly, while a photograph is read
# A JPEG is decoded at 1/8 of its size or more. Its reader touches every pixel once, or
# as often as there are scans (about ten in a progressive file).
MAX_JPEG_PIXELS = 1_000_000_000
MAX_JPEG_SCANNED_PIXELS = 4_000_000_000

# Bytes a pixel that a format's reader keeps beside the image (measured).
_READER_BYTES = {"WEBP": 12, "AVIF": 12, "JPEG2000": 20, "HEIF": 4}
_LARGE_STRIP_BYTES = 12  # of a TIFF compressed in one piece, up to RGBA of 16 bits
_IMAGE_BYTES = 4  # Pillow keeps 3 channels in 4 bytes, and so much again to scale them
_COEFFICIENT_BYTES = 6  # of a JPEG with several scans: 2 bytes each, 3 channels
_HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_STRIP_ROWS = 256
# White in gray pictures of more than 8 bits, whose files do not say it.
_WHITES = {"F": (1.0, 255.0, 65535.0), "I": (255.0, 4095.0, 65535.0)}


@contextlib.contextmanager
def open_image(
    source: PathLike | BinaryIO,
    name: str,
    max_px: int = 0,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[Image.Image]:
    """Opens and decodes an image.

    Args:
      source: a path, or a file object at its beginning.
      name: what errors call it.
      max_px: a JPEG is decoded at a reduced size if its longer side stays at least
        this long; 0 decodes it at its size.
      max_pixels: a larger image is refused.

    Raises:
      UserError: it is not an image, damaged, or too large.
    """
    with contextlib.ExitStack() as stack:
        file: Any = source
        if isinstance(source, (str, os.PathLike)):
            raw: Any = archives.open_binary(source)
            file = stack.enter_context(io.BufferedReader(raw))  # which closes it
        try:
            image = stack.enter_context(_identify(file, name))
            if max_px:
                image.draft("RGB", (max_px, max_px))
            _check_size(image, name, max_pixels)
            image.load()
        except UserError:
            raise
        except UnidentifiedImageError:
            raise UserError(
                f"{name}: not readable as an image (not of a known format)",
                reason="unreadable",
            ) from None
        except Exception as error:  # whatever a format's parser stumbles over
            raise UserError(
                f"{name}: not readable as an image ({error})", reason="unreadable"
            ) from error
        yield image


def _identify(file: Any, name: str) -> Image.Image:
    """Reads the header of an image; which format it is, its content says."""
    beginning = file.read(64)
    file.seek(0)
    if beginning.startswith(b"\xff\xd8"):
        _check_jpeg_scans(file, name)
        # Not Image.open, which refuses what draft mode reads in little memory.
        return JpegImagePlugin.JpegImageFile(file)
    formats = FORMATS
    is_heif = beginning[4:8] == b"ftyp" and beginning[8:12] in _HEIC_BRANDS
    if is_heif and b"avif" not in beginning:
        formats = _heif_formats(name)
    with warnings.catch_warnings():
        # Pillow warns at 90 million pixels; the limits here are checked next.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(file, formats=formats)


def _heif_formats(name: str) -> Any:
    try:
        pillow_heif = importlib.import_module("pillow_heif")  # optional
    except ImportError:
        raise UserError(
            f"{name} is a HEIC photograph, as iPhones take: pip install pillow-heif, "
            "or convert it to JPEG",
            reason="heic",
        ) from None
    pillow_heif.register_heif_opener()
    return ("HEIF",)


def _check_size(image: Any, name: str, max_pixels: int) -> None:
    n_pixels = image.width * image.height
    reader_bytes = _READER_BYTES.get(image.format or "", 0)
    if image.format == "TIFF" and image.tag_v2.get(278, image.height) > _STRIP_ROWS:
        reader_bytes = _LARGE_STRIP_BYTES
    n_bytes = n_pixels * (2 * _IMAGE_BYTES + reader_bytes)
    if n_pixels > max_pixels or n_bytes > MAX_BYTES:
        limit = min(max_pixels, n_pixels * MAX_BYTES // n_bytes)
        raise _too_large(name, image, f"{limit / 1e6:.3g} megapixels")


def _too_large(name: str, image: Image.Image, limit: str) -> UserError:
    return UserError(
        f"{name} has {image.width} x {image.height} pixels; up to {limit} of this "
        "format can be read: scale it down",
        reason="too_large",
    )


def _check_jpeg_scans(file: Any, name: str) -> None:
    """Refuses a JPEG whose decoding takes too much memory or time."""
    image = JpegImagePlugin.JpegImageFile(file)  # not closed: that closes the file
    n_pixels = image.width * image.height
    file.seek(0)
    n_scans = _count_scans(file.read())
    file.seek(0)
    n_bytes = _COEFFICIENT_BYTES * n_pixels if n_scans > 1 else 0
    if (
        n_pixels > MAX_JPEG_PIXELS
        or n_bytes > MAX_BYTES
        or n_pixels * n_scans > MAX_JPEG_SCANNED_PIXELS
    ):
        limit = f"{MAX_BYTES / _COEFFICIENT_BYTES / 1e6:.3g} megapixels if progressive"
        raise _too_large(name, image, limit)


def _count_scans(content: bytes) -> int:
    """Returns the number of scans of the first picture in a JPEG file."""
    position, n_scans = 2, 0
    # Segments before the first scan say their length; a thumbnail there has scans, too.
    while content[position : position + 1] == b"\xff":
        marker = content[position + 1]
        if marker == 0xDA:
            break
        is_fill = marker == 0xFF
        length = int.from_bytes(content[position + 2 : position + 4], "big")
        position += 1 if is_fill else 2 + length
    for match in re.finditer(rb"\xff[\xda\xd9]", content[position:]):
        if match[0] == b"\xff\xd9":
            break
        n_scans += 1
    return max(n_scans, 1)


def to_8_bits(image: Image.Image) -> Image.Image:
    """Gives an image of one of the modes of 8 bits a channel that can be scaled."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _gray_8_bits(image)
    if "transparency" in image.info and image.mode in ("1", "L", "P", "RGB"):
        return image.convert("RGBA")
    if image.mode in ("1", "P"):
        return image.convert("RGB")
    return image


def _gray_8_bits(image: Image.Image) -> Image.Image:
    """Converts gray of 16 or 32 bits or floating point, a strip at a time."""
    strips = range(0, image.height, _STRIP_ROWS)
    lightest = max(float(_strip(image, top).max()) for top in strips)
    whites = _WHITES["F" if image.mode == "F" else "I"]
    white = next((white for white in whites if lightest <= white), lightest)
    tags = getattr(image, "tag_v2", {})
    is_inverted = image.mode.startswith("I;16") and tags.get(262) == 0  # WhiteIsZero
    gray = Image.new("L", image.size)
    for top in strips:
        pixels = np.clip(_strip(image, top) * (255.0 / white), 0, 255)
        pixels = np.round(255.0 - pixels if is_inverted else pixels)
        gray.paste(Image.fromarray(pixels.astype(np.uint8)), (0, top))
    return gray


def _strip(image: Image.Image, top: int) -> np.ndarray:
    """Returns rows as [h, w] float64 without NaN or infinities."""
    bottom = min(top + _STRIP_ROWS, image.height)
    pixels = np.asarray(image.crop((0, top, image.width, bottom)), np.float64)
    return np.nan_to_num(pixels, nan=0.0, posinf=0.0, neginf=0.0)


def upright(image: Image.Image, original: Image.Image) -> Image.Image:
    """Turns an image as the EXIF tag of the file that it comes from says."""
    try:
        orientation = original.getexif().get(0x0112, 1)
    except Exception:  # a damaged tag: the picture is as good as it was
        return image
    method = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }.get(orientation)
    return image if method is None else image.transpose(method)


def on_white(image: Image.Image) -> Image.Image:
    """Converts to RGB; transparent areas become white."""
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")
