"""Images as arrays: conversion, captions, and faces side by side."""

import textwrap
from typing import List, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN_PX = 4
LINE_PX = 13
CHARACTER_PX = 6
MAX_COLUMNS = 6


def to_uint8(images) -> np.ndarray:
    """Converts images [..., 3] in [0, 1], array or tensor, to uint8, clipped."""
    images = np.clip(np.asarray(images, np.float32), 0.0, 1.0)
    return np.round(images * 255.0).astype(np.uint8)


def grid(rows: Sequence[List[np.ndarray]]) -> np.ndarray:
    """Puts rows of equally large images [h, w, 3] uint8 on a white page."""
    height, width, _ = rows[0][0].shape
    n_columns = max(len(row) for row in rows)
    step_y, step_x = height + MARGIN_PX, width + MARGIN_PX
    shape = (len(rows) * step_y + MARGIN_PX, n_columns * step_x + MARGIN_PX, 3)
    page = np.full(shape, 255, np.uint8)
    for i, row in enumerate(rows):
        for j, image in enumerate(row):
            y, x = i * step_y + MARGIN_PX, j * step_x + MARGIN_PX
            page[y : y + height, x : x + width] = image
    return page


def with_caption(image: np.ndarray, text: str) -> np.ndarray:
    """Adds a line of small text below an image [h, w, 3] uint8, on white."""
    height, width, _ = image.shape
    font = ImageFont.load_default()
    lines = _wrap(text, width // CHARACTER_PX)
    page = Image.new("RGB", (width, height + len(lines) * LINE_PX + 2), "white")
    page.paste(Image.fromarray(image))
    draw = ImageDraw.Draw(page)
    for index, line in enumerate(lines):
        y = height + 1 + index * LINE_PX
        draw.text((2, y), line, fill=(70, 70, 70), font=font)
    return np.asarray(page)


def contact_sheet(images: Sequence[np.ndarray], captions: Sequence[str]) -> np.ndarray:
    """Puts equally large images [h, w, 3] uint8 on one page, captions below them."""
    n_lines = max(len(_wrap(c, images[0].shape[1] // CHARACTER_PX)) for c in captions)
    cells = []
    for image, caption in zip(images, captions):
        cell = with_caption(image, caption)
        height = image.shape[0] + n_lines * LINE_PX + 2
        padding = ((0, height - cell.shape[0]), (0, 0), (0, 0))
        cells.append(np.pad(cell, padding, constant_values=255))
    n_columns = min(len(cells), MAX_COLUMNS)
    return grid([cells[i : i + n_columns] for i in range(0, len(cells), n_columns)])


def _wrap(text: str, n_characters: int) -> List[str]:
    return textwrap.wrap(text, max(n_characters, 1)) or [""]
