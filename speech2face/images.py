"""Images: reading and encoding files, and drawing sheets of faces.

An image is [height, width, 3] uint8 RGB.
"""

import functools
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin

from speech2face import archives, photographs
from speech2face.errors import UserError
from speech2face.files import PathLike

# Longest side of a picture that is searched for faces: bounds memory (6 MB a frame) and
# the detector's time. AVSpeech is at most 1280 x 720 in its common form. Not in the
# paper: docs/decisions/photograph-formats.md.
MAX_FRAME_PX = 1920
# Of every face that the model draws.
LABEL = "synthetic average face, not the speaker"
_MAX_RECORD_PIXELS = 1 << 22  # faces have 224 x 224; other people's records may differ

# Sizes on a sheet. Text is as large as that of a web page.
MARGIN_PX = 8
TEXT_PX, LINE_PX = 14, 18
MAX_COLUMNS = 6
_CAPTION_COLOR = (70, 70, 70)

SOFTWARE = "speech2face"  # in the metadata of pictures of synthetic faces


# Files


def read_image(
    path: PathLike,
    max_px: int = MAX_FRAME_PX,
    max_pixels: int = photographs.MAX_PIXELS,
) -> np.ndarray:
    """Reads a photograph of any format of `photographs.FORMATS`.

    EXIF rotation is applied; gray, 16-bit, CMYK and palette images are converted to
    RGB; transparent areas become white.

    Args:
      path: path of the file.
      max_px: a longer image is scaled down so that its longer side has this length.
      max_pixels: a larger image is refused. A JPEG is decoded at a reduced size, and
        may be larger (`photographs.open_image`).

    Returns:
      [height, width, 3] uint8, upright.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is empty, truncated, too large or not an image.
    """
    require_file(path)
    with photographs.open_image(path, str(path), max_px, max_pixels) as image:
        eight_bits = photographs.to_8_bits(image)
        turned = photographs.upright(limit_size(eight_bits, max_px), image)
        return np.asarray(photographs.on_white(turned))


def limit_size(image: Image.Image, max_px: int) -> Image.Image:
    """Scales an image down so that its longer side is at most `max_px`."""
    scale = max_px / max(image.size)
    if scale >= 1:
        return image
    width, height = image.size
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return image.resize(size, Image.Resampling.BOX, reducing_gap=3.0)


def require_file(path: PathLike) -> None:
    """Raises FileNotFoundError or UserError unless `path` is a file with content."""
    if not archives.is_file(path):
        raise FileNotFoundError(f"{path}: no such file")
    if archives.n_bytes(path) == 0:
        raise UserError(f"{path}: the file is empty", reason="empty_file")


def is_made_by_model(path: PathLike) -> bool:
    """Returns whether a picture says in its metadata that a model of ours made it."""
    try:
        with Image.open(path, formats=["PNG", "GIF"]) as image:  # reads no pixels
            if image.format == "GIF":
                comment = image.info.get("comment", b"")
                return comment.startswith(f"{SOFTWARE}: ".encode())
            return image.info.get("Software") == SOFTWARE
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def encode_png(image: np.ndarray, description: str = "") -> bytes:
    """Encodes an image without loss.

    Args:
      image: [h, w, 3] uint8.
      description: PNG metadata, such as the note that a face is synthetic. Pictures
        with one are never taken for photographs (`is_made_by_model`).
    """
    metadata = PngImagePlugin.PngInfo()
    if description:
        metadata.add_text("Description", description)
        metadata.add_text("Software", SOFTWARE)
    buffer = io.BytesIO()
    # Twice as fast as by Pillow's default, 6, and a twentieth larger.
    Image.fromarray(image).save(buffer, "PNG", pnginfo=metadata, compress_level=4)
    return buffer.getvalue()


def encode_jpeg(image: np.ndarray, quality: int = 95) -> bytes:
    """Encodes an image [h, w, 3] uint8."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def decode_image(content: bytes) -> np.ndarray:
    """Decodes a PNG or JPEG of a record to [h, w, 3] uint8.

    Raises:
      UserError: it is damaged, or larger than a face.
    """
    file = io.BytesIO(content)
    with photographs.open_image(
        file, "the picture of a record", max_pixels=_MAX_RECORD_PIXELS
    ) as image:
        return np.asarray(image.convert("RGB"))


def to_uint8(images: Any) -> np.ndarray:
    """Clips images [..., 3] in [0, 1], arrays or tensors, and converts to uint8."""
    images = np.clip(np.asarray(images, np.float32), 0.0, 1.0)
    return np.round(images * 255.0).astype(np.uint8)


# Drawing


def grid(
    rows: Sequence[list[np.ndarray]],
    titles: Sequence[str] = (),
    headings: Sequence[str] = (),
) -> np.ndarray:
    """Places rows of equally large images on a white page; rows may be short.

    Args:
      rows: rows of images [h, w, 3] uint8.
      titles: titles of the columns, written above them.
      headings: a line above each row.
    """
    height, width, _ = rows[0][0].shape
    n_columns = max(len(row) for row in rows)
    page_px = n_columns * (width + MARGIN_PX) + MARGIN_PX
    parts = [_line(titles, width, page_px)] if titles else []
    for i, row in enumerate(rows):
        parts += [_line([headings[i]], page_px, page_px)] if headings else []
        line = np.full((MARGIN_PX + height, page_px, 3), 255, np.uint8)
        for j, image in enumerate(row):
            x = MARGIN_PX + j * (width + MARGIN_PX)
            line[MARGIN_PX:, x : x + width] = image
        parts.append(line)
    return np.concatenate([*parts, np.full((MARGIN_PX, page_px, 3), 255, np.uint8)])


def _line(texts: Sequence[str], width_px: int, page_px: int) -> np.ndarray:
    """A line of a grid's page: texts above cells of this width."""
    starts = [MARGIN_PX + k * (width_px + MARGIN_PX) for k in range(len(texts))]
    line = np.full((MARGIN_PX + LINE_PX, page_px, 3), 255, np.uint8)
    places = [(x, MARGIN_PX) for x in starts]
    return _with_text(line, places, [fit_line(text, width_px) for text in texts])


def with_caption(
    image: np.ndarray, text: str, n_lines: int = 0, indent_px: int = 0
) -> np.ndarray:
    """Adds text below an image, wrapped to its width.

    Args:
      image: [h, w, 3] uint8.
      text: any; words that are too long are broken.
      n_lines: make room for at least so many.
      indent_px: space left free at both sides, such as a sheet's margin.
    """
    lines = _wrap(text, image.shape[1] - 2 * indent_px)
    n_lines = max(len(lines), n_lines)
    below_px = n_lines * LINE_PX + MARGIN_PX // 2 if n_lines else 0
    page = np.pad(image, ((0, below_px), (0, 0), (0, 0)), constant_values=255)
    top = image.shape[0] + MARGIN_PX // 2
    places = [(indent_px, top + index * LINE_PX) for index in range(len(lines))]
    return _with_text(page, places, lines)


def contact_sheet(images: Sequence[np.ndarray], captions: Sequence[str]) -> np.ndarray:
    """Places equally large images on one page, each with its caption below it."""
    # Cells of one height: the longest caption decides.
    n_lines = max(len(_wrap(c, images[0].shape[1])) for c in captions)
    cells = [with_caption(i, c, n_lines) for i, c in zip(images, captions)]
    n_columns = min(len(cells), MAX_COLUMNS)
    return grid([cells[i : i + n_columns] for i in range(0, len(cells), n_columns)])


def fit_line(text: str, width_px: int) -> str:
    """Returns as much of a text as one line of this width has room for."""
    lines = _wrap(text, width_px)
    if len(lines) < 2:
        return "".join(lines)
    return _wrap(lines[0], width_px - round(_font().getlength("…")))[0] + "…"


def _with_text(
    page: np.ndarray, places: Sequence[tuple[int, int]], lines: Sequence[str]
) -> np.ndarray:
    """Writes lines, each with its upper left corner at (x, y) px."""
    picture = Image.fromarray(page)
    draw = ImageDraw.Draw(picture)
    for place, line in zip(places, lines):
        draw.text(place, line, fill=_CAPTION_COLOR, font=_font())
    return np.asarray(picture)


def _wrap(text: str, width_px: int) -> list[str]:
    """Lines of at most this width, each broken at a space if it can be; [] for ''."""
    lines, rest = [], " ".join(text.split())
    while rest:
        n = _n_fitting(rest, width_px)
        if n < len(rest) and " " in rest[: n + 1]:
            n = rest.rindex(" ", 0, n + 1)
        lines.append(rest[:n])
        rest = rest[n:].lstrip()
    return lines


def _n_fitting(text: str, width_px: int) -> int:
    """Returns the number of first characters that fit, at least one."""
    few, many = 1, len(text) + 1  # `few` fit, `many` do not: bisection
    while many - few > 1:
        middle = (few + many) // 2
        if _font().getlength(text[:middle]) <= width_px:
            few = middle
        else:
            many = middle
    return few


@functools.cache
def _font() -> Any:
    return ImageFont.load_default(TEXT_PX)
