"""Contents of a sheet of faces, and the expected ones."""

import numpy as np

from experiments.lib import plots
from speech2face import images

STEP = plots.SHEET_FACE_PX + images.MARGIN_PX
TITLE_PX = images.MARGIN_PX + images.LINE_PX
CAPTION_PX = images.LINE_PX + images.MARGIN_PX // 2


def cell(picture, row, column, row_px=STEP, title_px=TITLE_PX):
    """The middle of one face of a sheet."""
    sheet = images.decode_image(picture)
    y = title_px + images.MARGIN_PX + row * row_px + plots.SHEET_FACE_PX // 2
    x = images.MARGIN_PX + column * STEP + plots.SHEET_FACE_PX // 2
    return sheet[y, x].astype(int)


def photograph_color(index):
    """Of the photographs of `tests.helpers.tiny_material`."""
    return np.array([40 + 20 * index, 120, 200])
