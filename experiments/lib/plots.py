"""Pictures of the results: matplotlib figures and sheets of faces, as PNG."""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageDraw

from speech2face import images

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colors of matplotlib, the same in every figure; 0.6 is a gray.
OURS, PAPER, CHANCE = "tab:blue", "tab:orange", "0.6"
SHEET_FACE_PX = 160  # of a face on a sheet: six columns fit the results page
_DPI = 120  # 8 inches become 960 px; the results page is 1,024 px wide


def figure(width: float = 8.0, height: float = 4.0) -> "Figure":
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure  # late: --help must not load matplotlib

    return Figure(figsize=(width, height), layout="constrained")


def stacked(whole: "Figure", heights: Sequence[float]) -> list[Any]:
    """Divides a figure into parts of these relative heights, from top to bottom."""
    parts = whole.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)
    return list(np.ravel(parts))


def to_png(drawn: "Figure") -> bytes:
    """Renders a figure."""
    buffer = io.BytesIO()
    drawn.savefig(buffer, format="png", dpi=_DPI)
    return buffer.getvalue()


def face_sheet(
    rows: Sequence[Sequence[np.ndarray]],
    titles: Sequence[str] = (),
    captions: Sequence[Sequence[str]] | None = None,
    face_px: int = SHEET_FACE_PX,
    headings: Sequence[str] = (),
) -> bytes:
    """Faces in rows, a title above each column and a caption below each face.

    Args:
      rows: rows of images [h, w, 3] uint8; each is made `face_px` square.
      titles: titles of the columns.
      captions: captions of the faces, arranged as `rows`; short, since they are one
        line.
      face_px: size of a face.
      headings: a line above each row.

    Returns:
      A PNG.
    """
    cells: list[list[np.ndarray]] = []
    for i, row in enumerate(rows):
        faces = [_resized(image, face_px) for image in row]
        if captions is not None:
            faces = [_captioned(f, c) for f, c in zip(faces, captions[i])]
        cells.append(faces)
    return images.encode_png(images.grid(cells, titles, headings))


def framed(image: np.ndarray, color: Sequence[int] = (0, 150, 60)) -> np.ndarray:
    """An image [h, w, 3] uint8 with a thick border, for a hit."""
    result, width = image.copy(), max(4, len(image) // 30)
    for edge in (np.s_[:width], np.s_[-width:], np.s_[:, :width], np.s_[:, -width:]):
        result[edge] = color
    return result


def with_points(image: np.ndarray, points: np.ndarray) -> np.ndarray:
    """An image [h, w, 3] uint8 with points [k, 2] (x, y) px marked, twice as large.

    At the size of the face itself, 68 marks would hide it.
    """
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
    return images.with_caption(image, images.fit_line(text, image.shape[1]), n_lines=1)


def draw_confusion(
    axis: Any,
    rate: np.ndarray,
    classes: Sequence[str],
    counts: Sequence[Sequence[int]] | None = None,
) -> None:
    """Draws a confusion matrix.

    Args:
      axis: matplotlib axes.
      rate: [k, k] shares of each row, 0 to 1; NaN stays empty.
      classes: the k classes.
      counts: [k][k] numbers of examples, written below the shares.
    """
    axis.imshow(rate, vmin=0, vmax=1, cmap="Blues")
    for i, j in np.ndindex(rate.shape):
        if np.isnan(rate[i, j]):
            continue
        color = "white" if rate[i, j] > 0.5 else "black"  # readable on dark blue
        size = 9 if len(rate) < 5 else 6  # classes of age: eight by eight
        text = f"{100 * rate[i, j]:.0f} %"
        if counts is not None:
            text += f"\n{counts[i][j]}"
        axis.text(j, i, text, ha="center", va="center", color=color, fontsize=size)
    axis.set_xticks(range(len(classes)), classes, fontsize=8)
    axis.set_yticks(range(len(classes)), classes, fontsize=8)
