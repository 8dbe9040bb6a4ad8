"""The face record job on generated people: photographs, textures, morphs."""

import csv
import dataclasses
import pathlib

import numpy as np
import pytest
from PIL import Image

from data_prep.jobs import face as face_jobs
from data_prep.jobs.face import FaceOptions
from data_prep.stages import work_folder
from data_prep.stages.face_filter import FilterOptions
from speech2face import images
from speech2face.data import dataset_info, records
from speech2face.faces import detection
from speech2face.recognizers.loading import load_recognizer
from tests.helpers.record_jobs import examples_of, names_in, options_for
from tests.helpers.slow import takes_seconds


@pytest.fixture(scope="module")
@takes_seconds
def built_faces(sample, tmp_path_factory):
    output_dir = tmp_path_factory.mktemp("faces") / "data"
    options = options_for(sample / "faces.csv", sample, output_dir)
    face = FaceOptions(n_morphs=2)
    return options, face_jobs.build_face_records(options, face, FilterOptions())


def is_moved_by_whole_pixels(image, original, most_px=14):
    """Whether the image's middle is a part of the original's, pixel by pixel."""
    steps = range(-most_px, most_px + 1)
    return any(
        np.array_equal(
            image[16:-16, 16:-16], original[16 + y : y - 16, 16 + x : x - 16]
        )
        for y in steps
        for x in steps
    )


def test_face_records(sample, built_faces):
    options, report = built_faces
    found = examples_of(options.output_dir, records.iterate_face_examples)
    rows = (sample / "faces.csv").read_text().splitlines()[1:]
    assert report["rejected"] == 0 and len(found) == len(rows) + 2
    info = dataset_info.read(options.output_dir, "face")
    train = list(records.iterate_face_examples(options.output_dir, "train"))
    train = [e for e in train if not e.clip_id.startswith("morph")]
    mean = np.mean([e.landmarks for e in train], axis=0)
    np.testing.assert_allclose(info.mean_landmarks, mean, atol=1e-4)
    recognizer = load_recognizer("dlib")
    for row in rows[:3]:
        clip_id, face, normalized, _speaker, *_ = row.split(",")
        example = found[clip_id]
        target = images.read_image(str(sample / normalized))
        assert is_moved_by_whole_pixels(example.normalized, target)
        photograph = detection.find_face(images.read_image(str(sample / face)))
        feature = recognizer.features(photograph.crop[None])[0]
        np.testing.assert_allclose(example.face_feature, feature, atol=1e-4)
        # On the texture the landmarks are where the mean says.
        seen = detection.find_face(example.texture)
        assert np.abs(seen.landmarks - info.mean_landmarks).mean() < 2.5
    for name in ("kept.png", "mean_face.png"):
        image = images.read_image(str(pathlib.Path(options.output_dir, name)))
        assert image.min() < 200


def test_morphs_lie_between_their_parents(built_faces):
    options, _ = built_faces
    found = examples_of(options.output_dir, records.iterate_face_examples)
    for name in ("morph-000000", "morph-000001"):
        morph = found[name]
        first, second = (found[morph.labels[k]] for k in ("morph_of", "morph_with"))
        assert first.speaker_id != second.speaker_id
        share = float(morph.labels["morph_landmark_share"])
        expected = (1 - share) * first.landmarks + share * second.landmarks
        np.testing.assert_allclose(morph.landmarks, expected, atol=1e-3)

        def cosine(a, b):
            return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

        apart = cosine(first.face_feature, second.face_feature)
        assert cosine(morph.face_feature, first.face_feature) > apart
        assert cosine(morph.face_feature, second.face_feature) > apart


@pytest.mark.slow
def test_a_face_job_interrupted_in_a_later_pass_gives_the_same_bytes(
    built_faces, tmp_path, monkeypatch
):
    whole, _ = built_faces
    options = dataclasses.replace(whole, output_dir=str(tmp_path / "data"))
    face = FaceOptions(n_morphs=2)
    save = work_folder.WorkFolder.save
    for name in ("textures", "morphs"):

        def fail(self, result, name=name):
            if self.path.name == name and (name == "morphs" or self.done()):
                raise OSError(28, "No space left on device")
            return save(self, result)

        monkeypatch.setattr(work_folder.WorkFolder, "save", fail)
        with pytest.raises(OSError, match="no space left on the disk"):
            face_jobs.build_face_records(options, face, FilterOptions())
        assert "dataset.json" not in names_in(options.output_dir)
    monkeypatch.setattr(work_folder.WorkFolder, "save", save)
    face_jobs.build_face_records(options, face, FilterOptions())
    for path in pathlib.Path(whole.output_dir).iterdir():
        if path.name != "report.json":
            mine = pathlib.Path(options.output_dir) / path.name
            assert mine.read_bytes() == path.read_bytes(), path.name


NO_LIMITS = FilterOptions(
    max_yaw=9, min_pitch=0, max_pitch=9, max_mouth_opening=9, max_mouth_width=9,
    max_corner_lift=9, min_sharpness=0, min_chroma=0, min_eye_distance_px=0,
    max_bridge_edge=0,
)  # fmt: skip


@pytest.mark.slow
def test_photographs_alone(sample, tmp_path):
    """Without normalized_face, faces are made from photographs and averaged."""
    rows = (sample / "faces.csv").read_text().splitlines()
    kept = [rows[0]] + [r for r in rows[1:] if ",train," in r]
    # Without the columns normalized_face and normalized_landmarks.
    cells = [row.split(",") for row in kept]
    lines = [",".join(row[:2] + row[4:]) for row in cells]
    (tmp_path / "faces.csv").write_text("\n".join(lines) + "\n")
    options = options_for(tmp_path / "faces.csv", sample, tmp_path / "data")
    report = face_jobs.build_face_records(options, FaceOptions(), NO_LIMITS)
    found = examples_of(options.output_dir, records.iterate_face_examples)
    assert len(found) == report["records"] == len(kept) - 1
    by_speaker = {}
    for example in found.values():
        by_speaker.setdefault(example.speaker_id, []).append(example)
        right, left = example.landmarks[36:42].mean(0), example.landmarks[42:48].mean(0)
        assert np.hypot(*(left - right)) == pytest.approx(55.0, abs=0.5)
        np.testing.assert_allclose((left + right) / 2, (112, 104), atol=0.5)
        assert (example.normalized[:, :5] > 250).all()
    for examples in by_speaker.values():
        assert len(examples) == 3
        for example in examples[1:]:
            np.testing.assert_array_equal(example.texture, examples[0].texture)
            assert (example.face_feature != examples[0].face_feature).any()


def write_oddities(photograph, folder):
    """Saves one photograph in many ways; returns {clip_id: (file, face_x)}."""
    width, height = photograph.size
    gray = photograph.convert("L")
    gray.save(folder / "gray.png")
    Image.fromarray(np.asarray(gray, np.uint16) * 257).save(folder / "deep.png")
    photograph.convert("CMYK").save(folder / "cmyk.jpg", quality=95)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise by 90 degrees
    turned = photograph.transpose(Image.Transpose.ROTATE_90)
    turned.save(folder / "turned.jpg", quality=95, exif=exif)
    huge = Image.new("RGB", (10_000, 10_000), "white")
    huge.paste(photograph.resize((6_000, 6_000 * height // width)), (2_000, 1_000))
    huge.save(folder / "huge.jpg", quality=90)
    photograph.save(folder / "plain.png")
    content = (folder / "plain.png").read_bytes()
    (folder / "cut.png").write_bytes(content[: len(content) // 2])
    (folder / "empty.png").write_bytes(b"")
    Image.new("RGB", (width, height), "white").save(folder / "nobody.png")
    two = Image.new("RGB", (2 * width, height), "white")
    small = photograph.resize((3 * width // 4, 3 * height // 4))
    two.paste(small, (0, 0))
    two.paste(photograph, (width, 0))
    two.save(folder / "two.png")
    names = ("plain.png", "gray.png", "deep.png", "cmyk.jpg", "turned.jpg")
    names += ("huge.jpg", "cut.png", "empty.png", "nobody.png", "none.png")
    rows = {name.split(".")[0]: (name, "") for name in names}
    return {**rows, "largest": ("two.png", ""), "nearest": ("two.png", "0.2")}


@pytest.mark.slow
def test_photographs_of_every_kind(sample, tmp_path):
    """The whole job finds the same face in each file, or reports a reason."""
    first = next(csv.DictReader((sample / "faces.csv").open()))
    photograph = Image.open(sample / first["face"]).convert("RGB")
    rows = write_oddities(photograph, tmp_path)
    lines = [f"{k},{name},p_{k},train,{x}" for k, (name, x) in rows.items()]
    head = "clip_id,face,speaker_id,split,face_x"
    lines = [f"{line},{'0.4' if line.endswith('0.2') else ''}" for line in lines]
    (tmp_path / "faces.csv").write_text("\n".join([f"{head},face_y", *lines]) + "\n")
    options = options_for(tmp_path / "faces.csv", tmp_path, tmp_path / "data")
    report = face_jobs.build_face_records(options, FaceOptions(), NO_LIMITS)
    found = examples_of(options.output_dir, records.iterate_face_examples)
    rejected = {name: stage["rejected"] for name, stage in report["stages"].items()}
    files_rejected = {"missing_file": 1, "empty_file": 1, "unreadable": 1}
    assert rejected["decode"] == files_rejected
    assert rejected["detect"] == {"no_face": 1}
    assert set(found) == set(rows) - {"cut", "empty", "nobody", "none"}
    plain = found["plain"]
    for name, example in found.items():
        away = np.abs(example.landmarks - plain.landmarks).mean()
        assert away < 2.5, (name, away)
        differ = np.abs(example.normalized.astype(int) - plain.normalized).mean()
        assert differ < (30 if name in ("gray", "deep") else 8), (name, differ)
    largest, nearest = (found[k].face_jpeg for k in ("largest", "nearest"))
    assert largest != nearest
