"""Fig. 9: pairs of clips by hand, the ROC area against scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics

from experiments import fig09_consistency
from experiments.lib import videos
from speech2face import images
from tests.helpers.face_sheets import STEP, TITLE_PX
from tests.helpers.tiny_material import shared_material


def test_pairs_by_hand_and_area_by_scikit_learn():
    angles = np.radians([0, 10, 90, 130])
    features = np.stack([np.cos(angles), np.sin(angles)], 1)
    measured = fig09_consistency.compute_pair_angles(
        features, ["a", "a", "b", "b"], ["v", "v", "w", "x"]
    )
    np.testing.assert_allclose(np.sort(measured.within), [10, 40])
    np.testing.assert_allclose(np.sort(measured.between), [80, 90, 120, 130])
    np.testing.assert_allclose(measured.angle[measured.same_video], [10])
    np.testing.assert_allclose(measured.angle[measured.two_videos], [40])
    rows = fig09_consistency.render_rows(measured, np.array([1.0, 3.0]), ["a", "b"])
    assert rows[-1].ours == 1.0 and rows[0].ours == 2.0
    generator = np.random.default_rng(0)
    names = [str(i) for i in generator.integers(0, 5, 30)]
    measured = fig09_consistency.compute_pair_angles(
        generator.normal(size=(30, 3)), names, [None] * 30
    )
    area = fig09_consistency.render_rows(measured, np.ones(30), names)[-1].ours
    greater = measured.between[:, None] > measured.within[None]
    assert area == pytest.approx(greater.mean())
    assert area == pytest.approx(
        sklearn.metrics.roc_auc_score(measured.same_speaker, -measured.angle)
    )


def test_videos_are_read_from_the_ids_of_data_sets():
    assert videos.video_of("id10001/abc/00001", "id10001", {}) == "id10001/abc"
    assert videos.video_of("dQw4w9WgXcQ_3.5-9.5", "dQw4w9WgXcQ", {}) == "dQw4w9WgXcQ"
    assert videos.video_of("clip1", "speaker0", {}) is None
    assert videos.video_of("person_03_1", "person_03", {}) is None  # generated people
    assert videos.video_of("clip1", "speaker0", {"video": "holiday"}) == "holiday"


def test_one_video_is_shown_beside_another():
    names = ["v", "v", "w", "v", "v", "v", "w", "w"]
    shown = fig09_consistency.shown_clips(range(8), names)
    assert shown == [0, 1, 3, 2, 6]
    assert fig09_consistency.shown_clips(range(8), [None] * 8) == [0, 1, 2, 3, 4]


def test_a_model():
    result = fig09_consistency.run(shared_material())
    assert [row.n for row in result.rows] == [8, 4, 24, 28]
    assert "unknown" in result.notes[1]
    assert images.decode_image(result.picture).shape[:2] == (
        TITLE_PX + 4 * STEP + images.MARGIN_PX,
        3 * STEP + images.MARGIN_PX,
    )
