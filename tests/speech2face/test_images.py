"""Sheets of pictures: captions that fit, and can be read."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest

from speech2face import images

GRAY = np.full((100, 160, 3), 128, np.uint8)
STEP_Y, STEP_X = 100 + images.MARGIN_PX, 160 + images.MARGIN_PX


def text_rows(part):
    """Rows of a white picture on which something is written."""
    return np.flatnonzero(part.min(axis=(1, 2)) < 200)


def test_a_caption_is_below_its_picture_in_letters_of_10_px():
    page = images.with_caption(GRAY, "Hlg")
    np.testing.assert_array_equal(page[:100], GRAY)
    rows = text_rows(page[100:])
    assert 10 <= np.ptp(rows) + 1 <= images.LINE_PX
    assert page.shape[1] == 160 and page[100 + rows.max() + 1 :].min() > 200


@hypothesis.given(st.text(st.characters(codec="latin-1"), max_size=90))
@hypothesis.settings(max_examples=40, deadline=None)
def test_captions_stay_within_their_picture(text):
    caption = images.with_caption(GRAY, text)
    wide = images.with_caption(np.pad(GRAY, ((0, 0), (0, 60), (0, 0))), text)
    assert caption.shape[1] == 160
    assert wide.shape[0] <= caption.shape[0]
    line = images.fit_line(text, 160)
    assert images.with_caption(GRAY, line, 1).shape[0] == 100 + images.LINE_PX + 4
    if line != " ".join(text.split()):
        assert line.endswith("…")


def test_a_note_below_a_sheet_begins_where_its_pictures_do():
    sheet = images.contact_sheet([GRAY, GRAY], ["Hlg", "Hlg"])
    page = images.with_caption(sheet, "Hlg " * 20, indent_px=images.MARGIN_PX)
    columns = text_rows(page.transpose(1, 0, 2))
    captions = text_rows(sheet[STEP_Y:].transpose(1, 0, 2))
    assert columns.min() == images.MARGIN_PX  # the gray picture's left edge
    note = text_rows(page[sheet.shape[0] :].transpose(1, 0, 2))
    assert note.min() == captions.min()
    assert note.max() < page.shape[1] - images.MARGIN_PX


def test_a_file_name_without_spaces_is_broken():
    one = images.with_caption(GRAY, "x" * 10)
    three = images.with_caption(GRAY, "x" * 60)
    assert three.shape[0] - one.shape[0] == 2 * images.LINE_PX


def test_a_sheet_without_captions_has_no_room_for_them():
    sheet = images.contact_sheet([GRAY] * 7, [""] * 7)
    assert sheet.shape[0] == 2 * STEP_Y + images.MARGIN_PX
    captioned = images.contact_sheet([GRAY] * 7, ["a"] + [""] * 6)
    assert captioned.shape[0] == sheet.shape[0] + 2 * (images.LINE_PX + 4)


@pytest.mark.parametrize("headings", [(), ("first", "second")])
def test_titles_stand_above_their_columns_and_headings_above_their_rows(headings):
    titles = ["one", "a title that is much too long for its column"]
    page = images.grid([[GRAY, GRAY], [GRAY]], titles, headings)
    line_px = images.MARGIN_PX + images.LINE_PX
    assert len(page) == (line_px * (1 + len(headings)) + 2 * STEP_Y + images.MARGIN_PX)
    top = page[:line_px]
    for column in (0, 1):
        x = images.MARGIN_PX + column * STEP_X
        assert len(text_rows(top[:, x : x + 160]))
    assert not len(text_rows(top[:, 2 * STEP_X :]))  # not beyond the column
    first = line_px * (2 if headings else 1) + images.MARGIN_PX
    assert (
        page[first : first + 100, images.MARGIN_PX : images.MARGIN_PX + 160] == 128
    ).all()
