"""Pictures of the results: matplotlib figures and sheets of faces, as PNG."""

import io
from typing import List, Optional, Sequence

import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from speech2face import files, pictures

OURS, PAPER, CHANCE = "tab:blue", "tab:orange", "0.6"
LINE_PX = pictures.LINE_PX
FACE_PX = 160


def figure(width: float = 8.0, height: float = 4.0) -> Figure:
    """An empty figure, in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def to_png(drawn: Figure) -> bytes:
    """Renders a figure."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()


def face_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    captions: Optional[Sequence[Sequence[str]]] = None,
    face_px: int = FACE_PX,
) -> bytes:
    """Faces in rows, a title above each column and a caption below each face.

    Args:
      rows: of images [h, w, 3] uint8; each is made `face_px` square.
      titles: of the columns.
      captions: of the faces, as `rows`; short, they are one line.
      face_px: size of a face.

    Returns:
      A PNG.
    """
    cells: List[List[np.ndarray]] = []
    for i, row in enumerate(rows):
        faces = [_resized(image, face_px) for image in row]
        if captions is not None:
            faces = [_captioned(f, c) for f, c in zip(faces, captions[i])]
        cells.append(faces)
    page = pictures.grid(cells)
    return files.encode_png(_with_titles(page, titles, face_px) if titles else page)


def framed(image: np.ndarray, color: Sequence[int] = (0, 150, 60)) -> np.ndarray:
    """An image [h, w, 3] uint8 with a thick border, for a hit."""
    result, width = image.copy(), max(4, len(image) // 30)
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        result[edge] = color
    return result


def with_points(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image [h, w, 3] uint8 with points [k, 2] (x, y) px marked, twice as large."""
    height, width, _ = image.shape
    picture = Image.fromarray(image).resize((width * 2, height * 2))
    draw = ImageDraw.Draw(picture)
    for x, y in np.asarray(points) * 2:
        draw.ellipse((x - 3, y - 3, x + 3, y + 3), fill=(0, 220, 90), outline="black")
    return np.asarray(picture)


def _resized(image: np.ndarray, size_px: int) -> np.ndarray:
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize((size_px, size_px), Image.Resampling.LANCZOS))


def _captioned(image: np.ndarray, text: str) -> np.ndarray:
    n_characters = image.shape[1] // pictures.CHARACTER_PX
    return pictures.with_caption(image, text[:n_characters])


def _with_titles(page: np.ndarray, titles: Sequence[str], face_px: int) -> np.ndarray:
    strip = Image.new("RGB", (page.shape[1], LINE_PX + 4), "white")
    draw, font = ImageDraw.Draw(strip), ImageFont.load_default(11)
    for column, title in enumerate(titles):
        x = pictures.MARGIN_PX + column * (face_px + pictures.MARGIN_PX)
        draw.text((x, 3), title, fill=(30, 30, 30), font=font)
    return np.concatenate([np.asarray(strip), page])
