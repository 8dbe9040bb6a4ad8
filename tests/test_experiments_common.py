"""Results as files, intervals by simulation, and what the experiments share."""

import csv
import io

import numpy as np
import pytest
from PIL import Image
from tiny_material import make_material, shared_material

from experiments import common, material, plots
from experiments.common import Result, Row
from speech2face import evaluation, files
from speech2face.inference import Speech2Face

RESULT = Result(
    name="table9",
    title="Table 9. Nothing",
    shows="What it shows.",
    rows=[
        Row({"audio": "3 s", "K": "1"}, ours=0.5, n=1200, paper=0.25, ci95=(0.4, 0.6)),
        Row({"audio": "6 s", "K": "1"}, ours=None, n=2),
    ],
    picture=b"png",
    notes=["a note"],
    provenance={"model": "runs/x"},
)


# Files


def test_markdown_has_the_used_columns_beside_the_papers():
    lines = common.to_markdown(RESULT).splitlines()
    assert lines[0] == "## Table 9. Nothing"
    assert lines[4] == "| audio | K | ours | 95 % interval | n | paper |"
    assert lines[6] == "| 3 s | 1 | 0.500 | 0.400 to 0.600 | 1,200 | 0.250 |"
    assert lines[7] == "| 6 s | 1 | – | – | 2 | – |"
    assert "![Table 9. Nothing](table9.png)" in lines
    assert lines[-2:] == ["- a note", "- model: runs/x"]


def test_csv_is_at_full_precision():
    rows = list(csv.DictReader(io.StringIO(common.to_csv(RESULT))))
    assert rows[0] == {
        **{"audio": "3 s", "K": "1", "ours": "0.5", "n": "1200", "paper": "0.25"},
        **{"ci95_low": "0.4", "ci95_high": "0.6"},
    }
    assert rows[1]["ours"] == rows[1]["ci95_low"] == ""


def test_files_are_named_after_the_experiment(tmp_path):
    names = [path.name for path in common.write(RESULT, tmp_path / "results")]
    assert names == ["table9.md", "table9.csv", "table9.png"]
    assert (tmp_path / "results/table9.png").read_bytes() == b"png"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        *[(None, "–"), (5000, "5,000"), (0.35, "0.350"), (12.345, "12.35")],
        *[(1234.5, "1,234.50"), (0.00012, "1e-04"), (0.0, "0.000"), (-0.5, "-0.500")],
    ],
)
def test_numbers_for_a_reader(value, expected):
    assert common.text(value) == expected


# Intervals


@pytest.mark.parametrize("statistic", [np.mean, np.median])
def test_intervals_cover_the_truth_where_clips_of_a_speaker_agree(
    statistic, monkeypatch
):
    # 40 speakers with 5 clips each that agree: an interval that drew clips would be
    # too narrow by the square root of 5, and cover the truth in 62 % of the cases.
    monkeypatch.setattr(common, "N_RESAMPLES", 300)
    generator = np.random.default_rng(0)
    speakers = np.repeat(np.arange(40), 5)
    covered = []
    for _ in range(100):
        values = np.repeat(generator.normal(2.0, 1.0, 40), 5)
        values += generator.normal(0.0, 0.1, 200)
        low, high = common.interval(values, speakers, statistic)
        covered.append(low <= 2.0 <= high)
    assert 0.86 <= np.mean(covered) <= 0.99  # 0.93 of 100, three standard errors down


def test_the_fast_mean_is_the_mean_of_the_drawn_clips():
    generator = np.random.default_rng(1)
    values, speakers = generator.normal(size=30), generator.integers(0, 7, 30)
    fast = common.interval(values, speakers)
    slow = common.interval(values, speakers, lambda drawn: np.mean(drawn))
    np.testing.assert_allclose(fast, slow)
    assert common.interval(values, ["one"] * 30) is None


# Material


@pytest.fixture
def tiny():
    return shared_material()


def test_predictions_are_kept_and_not_made_again(tiny, monkeypatch):
    first = tiny.predictions(3.0)
    assert first.clip_ids == [f"clip{i}" for i in range(8)]

    def fail(*args):
        raise AssertionError("predicted again")

    monkeypatch.setattr(evaluation, "predict", fail)
    again = material.Material(tiny.inputs).predictions(3.0)
    np.testing.assert_array_equal(again.voice_features, first.voice_features)
    with pytest.raises(AssertionError, match="predicted again"):
        tiny.predictions(2.7)
    sample = {**vars(tiny.inputs), "n_examples": 3}
    with pytest.raises(AssertionError, match="predicted again"):
        material.Material(type(tiny.inputs)(**sample)).predictions(3.0)


def test_examples_of_a_sample_are_those_of_its_predictions(tmp_path):
    sampled = make_material(tmp_path, n_examples=4, sample_seed=3)
    ids = sampled.predictions(2.7).clip_ids
    assert [e.clip_id for e in sampled.examples([3, 0, 0])] == [ids[3], ids[0], ids[0]]


def test_decoded_faces_are_the_models(tiny):
    features = tiny.predictions(3.0).voice_features[:3]
    faces = tiny.faces(features)
    expected = Speech2Face.load(tiny.inputs.run_dir).faces(features)
    for image, landmarks, result in zip(faces.images, faces.landmarks, expected):
        np.testing.assert_array_equal(image, np.asarray(result.image))
        np.testing.assert_allclose(landmarks, result.landmarks, atol=1e-3)


def test_shown_clips_are_of_different_speakers_and_seeded():
    speakers = ["a", "a", "b", "c", "c", "c"]
    shown = material.draw_clips(speakers, 3, seed=1)
    assert sorted(speakers[i] for i in shown) == ["a", "b", "c"]
    assert shown == material.draw_clips(speakers, 3, seed=1)
    draws = {tuple(material.draw_clips(speakers, 2, seed=s)) for s in range(20)}
    assert len(draws) > 5
    assert len(material.draw_clips(speakers, 9)) == 3


# Pictures


def test_a_face_sheet_has_every_face_in_its_place():
    red, blue = (
        np.full((224, 224, 3), c, np.uint8) for c in ([255, 0, 0], [0, 0, 255])
    )
    sheet = files.decode_image(
        plots.face_sheet([[red, blue], [blue]], ["true", "S2F"], [["x", "y"], ["z"]])
    )
    step = 160 + 4
    assert sheet.shape[1] == 2 * step + 4
    assert sheet[60, 50].tolist() == [255, 0, 0]
    assert sheet[60, 50 + step].tolist() == [0, 0, 255]
    assert sheet[60 + step + 15, 50].tolist() == [0, 0, 255]
    assert sheet[60 + step + 15, 50 + step].tolist() == [255, 255, 255]
    assert sheet[:16].min() < 128, "the titles are written"


def test_frames_and_points_are_drawn():
    grey = np.full((224, 224, 3), 90, np.uint8)
    framed = plots.framed(grey, (1, 2, 3))
    assert framed[0, 100].tolist() == framed[100, -1].tolist() == [1, 2, 3]
    assert framed[100, 100].tolist() == [90, 90, 90] and grey[0, 0, 0] == 90
    marked = plots.with_points(grey, np.array([[50.0, 100.0]]))
    assert marked.shape == (448, 448, 3)
    assert marked[200, 100].tolist() == [0, 220, 90]
    assert Image.fromarray(marked).getpixel((200, 100)) == (90, 90, 90)
