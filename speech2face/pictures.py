"""Images as arrays: conversion, and rows of faces side by side."""

from typing import List, Sequence

import numpy as np

MARGIN_PX = 4


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
