"""Fig. 3: the clips that are asked for, or one of each speaker."""

import numpy as np
import pytest

from experiments import fig03_qualitative
from experiments.lib import plots
from speech2face import images
from tests.helpers.face_sheets import STEP, TITLE_PX, cell, photograph_color
from tests.helpers.tiny_material import shared_material


@pytest.mark.slow
def test_shows_the_clips_asked_for():
    result = fig03_qualitative.run(
        shared_material(), clip_ids=["clip5", "clip2", "clip7"]
    )
    for row, column, index in ((0, 0, 5), (0, 3, 2), (1, 0, 7)):
        shown = cell(result.picture, row, column)
        np.testing.assert_allclose(shown, photograph_color(index), atol=3)
    expected = (
        shared_material()
        .faces(shared_material().predictions().voice_features[[2]])
        .images[0]
    )
    face = plots._resized(expected, plots.SHEET_FACE_PX)[80, 80]
    np.testing.assert_array_equal(cell(result.picture, 0, 5), face)
    with pytest.raises(ValueError, match="no clip nobody"):
        fig03_qualitative.run(shared_material(), clip_ids=["clip1", "nobody"])


def test_draws_one_clip_of_each_speaker():
    result = fig03_qualitative.run(shared_material(), n_shown=9)
    height_px = TITLE_PX + 2 * STEP + images.MARGIN_PX  # 4 speakers
    assert images.decode_image(result.picture).shape[0] == height_px
