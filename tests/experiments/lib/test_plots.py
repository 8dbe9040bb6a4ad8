"""Sheets of faces: every face in its place, frames and points."""

import numpy as np
from PIL import Image

from experiments.lib import plots
from speech2face import images


def test_a_face_sheet_has_every_face_in_its_place():
    red, blue = (
        np.full((224, 224, 3), c, np.uint8) for c in ([255, 0, 0], [0, 0, 255])
    )
    sheet = images.decode_image(
        plots.face_sheet([[red, blue], [blue]], ["true", "S2F"], [["x", "y"], ["z"]])
    )
    step = 160 + 8
    assert sheet.shape[1] == 2 * step + 8
    assert sheet[60, 50].tolist() == [255, 0, 0]
    assert sheet[60, 50 + step].tolist() == [0, 0, 255]
    assert sheet[60 + step + 22, 50].tolist() == [0, 0, 255]
    assert sheet[60 + step + 22, 50 + step].tolist() == [255, 255, 255]
    assert sheet[:26].min() < 128, "the titles are written"
    below = sheet[26 + 8 + 160 : 26 + 8 + 160 + 22, 8 : 8 + 160]
    assert below.min() < 128, "the captions are written"


def test_frames_and_points_are_drawn():
    gray = np.full((224, 224, 3), 90, np.uint8)
    framed = plots.framed(gray, (1, 2, 3))
    assert framed[0, 100].tolist() == framed[100, -1].tolist() == [1, 2, 3]
    assert framed[100, 100].tolist() == [90, 90, 90] and gray[0, 0, 0] == 90
    marked = plots.with_points(gray, np.array([[50.0, 100.0]]))
    assert marked.shape == (448, 448, 3)
    assert marked[200, 100].tolist() == [0, 220, 90]
    assert Image.fromarray(marked).getpixel((200, 100)) == (90, 90, 90)
