"""Figs. 3, 6, 7, 9, 10: what is shown is what was measured."""

import numpy as np
import pytest
import sklearn.metrics
from test_evaluation import predictions
from tiny_material import shared_material

from experiments import common, face_sheets, plots
from speech2face import evaluation, files

STEP = plots.FACE_PX + 4


def shared():
    return shared_material()


def cell(picture, row, column, row_px=STEP, title_px=17):
    """The middle of one face of a sheet."""
    sheet = files.decode_image(picture)
    y = title_px + 4 + row * row_px + plots.FACE_PX // 2
    return sheet[y, 4 + column * STEP + plots.FACE_PX // 2].astype(int)


def photograph_colour(index):
    return np.array([40 + 20 * index, 120, 200])


def test_fig03_shows_the_clips_asked_for():
    result = face_sheets.run_fig03(shared(), clip_ids=["clip5", "clip2", "clip7"])
    for row, column, index in ((0, 0, 5), (0, 3, 2), (1, 0, 7)):
        shown = cell(result.picture, row, column)
        np.testing.assert_allclose(shown, photograph_colour(index), atol=3)
    expected = shared().faces(shared().predictions().voice_features[[2]]).images[0]
    face = plots._resized(expected, plots.FACE_PX)[80, 80]
    np.testing.assert_array_equal(cell(result.picture, 0, 5), face)
    with pytest.raises(ValueError, match="no clip nobody"):
        face_sheets.run_fig03(shared(), clip_ids=["clip1", "nobody"])


def test_fig03_draws_one_clip_of_each_speaker():
    result = face_sheets.run_fig03(shared(), n=9)
    assert (
        files.decode_image(result.picture).shape[0] == 17 + 2 * STEP + 4
    )  # 4 speakers


def test_fig06_angles_by_hand():
    faces = [[1.0, 0.0], [0.0, 1.0]]
    measured = face_sheets.compute_fig06(
        {
            3: predictions(faces, [[0.0, 2.0], [0.0, 3.0]]),
            6: predictions(faces, [[1.0, 1.0], [0.0, 3.0]]),
        }
    )
    np.testing.assert_allclose(measured[3], [90.0, 0.0], atol=1e-6)
    np.testing.assert_allclose(measured[6], [45.0, 0.0], atol=1e-6)


def test_fig06_of_a_model():
    rows = face_sheets.run_fig06(shared()).rows
    assert rows[2].ours == pytest.approx(rows[0].ours - rows[1].ours)


def test_fig07_retrieves_clips_by_their_face():
    faces = [[0.0, 1.0], [1.0, 0.0], [0.0, 1.0], [-1.0, 0.1], [1.0, 0.5], [1.0, 1.0]]
    voices = [[1.0, 0.1]] * 6
    retrieved, ranks = face_sheets.compute_fig07(predictions(faces, voices), [4, 2])
    assert retrieved.tolist() == [[1, 4, 5, 0, 3]] * 2  # clip 2 has the face of clip 0
    assert ranks.tolist() == [2.0, 4.0]


def test_fig07_frames_the_true_face():
    material = shared()
    found = material.predictions()
    index = material.shown(6)
    retrieved, ranks = face_sheets.compute_fig07(found, index)
    sheet = files.decode_image(face_sheets.run_fig07(material).picture)
    row_px = STEP + 15
    for row, rank in enumerate(ranks):
        for place in range(5):
            edge = sheet[17 + 4 + row * row_px + 80, 4 + (2 + place) * STEP + 1]
            is_green = np.abs(edge.astype(int) - [0, 150, 60]).max() < 40
            assert is_green == (place + 1 == rank)


def test_fig09_pairs_by_hand_and_area_by_scikit_learn():
    angles = np.radians([0, 10, 90, 130])
    features = np.stack([np.cos(angles), np.sin(angles)], 1)
    measured = face_sheets.compute_fig09(features, ["a", "a", "b", "b"])
    np.testing.assert_allclose(np.sort(measured["within"]), [10, 40])
    np.testing.assert_allclose(np.sort(measured["between"]), [80, 90, 120, 130])
    rows = face_sheets._consistency_rows(measured, np.array([1.0, 3.0]), ["a", "b"])
    assert rows[-1].ours == 1.0 and rows[0].ours == 2.0
    generator = np.random.default_rng(0)
    names = [str(i) for i in generator.integers(0, 5, 30)]
    measured = face_sheets.compute_fig09(generator.normal(size=(30, 3)), names)
    area = face_sheets._consistency_rows(measured, np.ones(30), names)[-1].ours
    greater = measured["between"][:, None] > measured["within"][None]
    assert area == pytest.approx(greater.mean())
    assert area == pytest.approx(
        sklearn.metrics.roc_auc_score(measured["is_within"], -measured["angle"])
    )


def test_fig09_of_a_model():
    result = face_sheets.run_fig09(shared())
    assert [row.n for row in result.rows] == [8, 4, 24, 28]
    assert files.decode_image(result.picture).shape[:2] == (
        17 + 4 * STEP + 4,
        3 * STEP + 4,
    )


def test_fig10_takes_two_languages_of_a_speaker():
    found = evaluation.Predictions(
        clip_ids=list("abcdef"),
        speaker_ids=["x", "x", "x", "y", "y", "z"],
        labels=[
            *({"language": v} for v in ("german", "german", "english", "english")),
            *({}, {"language": "german"}),
        ],
        face_features=np.eye(6, dtype=np.float32),
        voice_features=np.eye(6, dtype=np.float32),
    )
    assert face_sheets.compute_fig10(found, "language") == [(2, 0)]
    same = face_sheets._same_label_row(found, "language")
    assert [(row.n, row.ours) for row in same] == [(1, pytest.approx(90.0))]
    with pytest.raises(common.NotApplicable, match="no label 'accent'"):
        face_sheets.compute_fig10(found, "accent")


def test_fig10_of_a_model():
    result = face_sheets.run_fig10(shared())
    assert result.rows[0].n == 4 and len(result.rows) == 1
    with pytest.raises(common.NotApplicable, match="two values of 'gender'"):
        face_sheets.run_fig10(shared(), "gender")
