"""Voice and face data sets from media: what is in the records, and what is not."""

import csv
import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import av
import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep import face_jobs, jobs, media, sample_dataset, work_folder
from data_prep.options import FaceOptions, FilterOptions, JobOptions, VoiceOptions
from speech2face import (
    audio,
    dataset_info,
    faces,
    files,
    image_files,
    recognizers,
    records,
    vgg_face_file,
)
from speech2face.models import vgg_face

N_PEOPLE = 4
VOICE = VoiceOptions()


@pytest.fixture(scope="module")
def sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    sample_dataset.generate(
        sample_dataset.SampleConfig(N_PEOPLE, 1, 0), str(folder), n_workers=1
    )
    return folder


def mute_video(source, path):
    """A copy without its sound."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)


@pytest.fixture(scope="module")
def bad_clips(sample):
    """Lines of a manifest, and the reason for which each must be rejected."""
    media_dir = sample / "media"
    good = sorted(media_dir.iterdir())[0]
    tone = 0.1 * np.sin(np.arange(32000) / 9.0)
    nan = tone.copy()
    nan[5000] = np.nan
    soundfile.write(media_dir / "tone.wav", tone, 16000)
    soundfile.write(media_dir / "silent.wav", 0 * tone, 16000)
    soundfile.write(media_dir / "short.wav", tone[:800], 16000)
    soundfile.write(media_dir / "nan.wav", nan, 16000, subtype="FLOAT")
    Image.new("RGB", (320, 240), (90, 120, 30)).save(media_dir / "nobody.png")
    (media_dir / "empty.mp4").write_bytes(b"")
    (media_dir / "text.mp4").write_text("no video " * 99)
    (media_dir / "cut.png").write_bytes(
        (sample / "faces")
        .joinpath(sorted(os.listdir(sample / "faces"))[0])
        .read_bytes()[:2000]
    )
    mute_video(good, media_dir / "mute.mp4")
    name = f"media/{good.name}"
    # clip_id, media, face, start_secs, end_secs, face_x, reason
    rows = [
        ("b_missing", "media/none.mp4", "", "", "", "", "missing_file"),
        ("b_empty", "media/empty.mp4", "", "", "", "", "empty_file"),
        ("b_text", "media/text.mp4", "", "", "", "", "unreadable"),
        ("b_mute", "media/mute.mp4", "", "", "", "", "no_audio_track"),
        ("b_silent", "media/silent.wav", "media/nobody.png", "", "", "", "silent"),
        ("b_short", "media/short.wav", "media/nobody.png", "", "", "", "too_short"),
        ("b_nan", "media/nan.wav", "media/nobody.png", "", "", "", "nan_samples"),
        ("b_nobody", "media/tone.wav", "media/nobody.png", "", "", "", "no_face"),
        ("b_cut", "media/tone.wav", "media/cut.png", "", "", "", "unreadable"),
        ("b_sound", "media/tone.wav", "", "", "", "", "no_picture"),
        ("b_late", name, "", "500", "", "", "beyond_the_end"),
        ("b_long", name, "", "0.5", "60", "", "beyond_the_end"),
        ("b_order", name, "", "2", "1", "", "bad_times"),
        ("b_times", name, "", "nan", "", "", "bad_times"),
        ("b_place", name, "", "", "", "nan", "bad_position"),
    ]
    return rows


def write_manifest(path, sample, bad_clips=()):
    lines = (sample / "manifest.csv").read_text().splitlines()
    columns = lines[0].split(",")
    with open(path, "w") as file:
        file.write(f"{lines[0]},face\n")
        file.writelines(f"{line},\n" for line in lines[1:])
        for clip_id, name, face, start, end, x, _ in bad_clips:
            cells = dict.fromkeys(columns, "")
            cells.update(clip_id=clip_id, media=name, start_secs=start, end_secs=end)
            cells.update(face_x=x, speaker_id="bad", split="train")
            file.write(",".join([*cells.values(), face]) + "\n")
    return str(path)


def options_for(manifest, sample, output_dir, **changes):
    base = JobOptions(
        manifest=str(manifest),
        output_dir=str(output_dir),
        media_dir=str(sample),
        recognizer="dlib",
        n_workers=1,
        clips_per_chunk=5,
    )
    return dataclasses.replace(base, **changes)


@pytest.fixture(scope="module")
def built(sample, bad_clips, tmp_path_factory):
    """(options, report) of a data set of good and bad clips."""
    folder = tmp_path_factory.mktemp("built")
    manifest = write_manifest(folder / "clips.csv", sample, bad_clips)
    options = options_for(manifest, sample, folder / "data", n_shards=2)
    return options, jobs.build_voice_records(options, VOICE)


def examples_of(output_dir, iterate=records.iterate_voice_examples):
    info = dataset_info.read(output_dir)
    return {e.clip_id: e for split in info.splits for e in iterate(output_dir, split)}


def test_records_hold_the_sound_the_face_and_its_feature(sample, built):
    options, _ = built
    found = examples_of(options.output_dir)
    assert len(found) == N_PEOPLE
    rows = (sample / "manifest.csv").read_text().splitlines()
    columns = rows[0].split(",")
    recognizer = recognizers.load_recognizer("dlib")
    for row in rows[1:]:
        cells = dict(zip(columns, row.split(",", len(columns) - 1)))
        example = found[cells["clip_id"]]
        path = str(sample / cells["media"])
        end_secs = min(float(cells["end_secs"]), 6.0)
        waveform = audio.load_waveform(path, start_secs=0.0, end_secs=end_secs)
        assert np.abs(example.waveform - waveform).max() <= 0.51 / 32768
        crop = files.decode_image(example.face_jpeg)
        assert crop.shape == (224, 224, 3)
        frame = media.read_frame(path, 0.0)
        face = faces.find_face(frame, float(cells["face_x"]), float(cells["face_y"]))
        assert np.abs(crop.astype(float) - face.crop).mean() < 2.0
        feature = recognizer.features(face.crop[None])[0]
        np.testing.assert_allclose(example.face_feature, feature, atol=1e-4)
        assert example.speaker_id == cells["speaker_id"]
        assert example.labels["gender"] == cells["gender"]


def test_bad_clips_are_counted_with_their_reasons(bad_clips, built):
    options, report = built
    path = pathlib.Path(options.output_dir) / "quarantine.csv"
    lines = path.read_text().splitlines()
    assert lines[0] == "clip_id,stage,reason,detail"
    found = {line.split(",")[0]: line.split(",")[2] for line in lines[1:]}
    assert found == {row[0]: row[-1] for row in bad_clips}
    assert report["clips"] == N_PEOPLE + len(bad_clips)
    assert report["records"] == N_PEOPLE
    assert report["rejected"] == len(bad_clips)
    stages = report["stages"]
    assert stages["read"]["in"] == report["clips"]
    assert stages["encode"]["out"] == N_PEOPLE
    for stage in stages.values():
        assert stage["in"] - stage["out"] == sum(stage["rejected"].values())
        assert (stage["core_secs"] > 0) == (stage["busy_secs"] > 0)
    assert stages["detect"]["rejected"] == {"no_face": 1}
    assert stages["detect"]["core_secs"] > 10 * stages["encode"]["core_secs"]


def test_dataset_info(built):
    options, report = built
    info = dataset_info.read(options.output_dir, "voice")
    for split, counts in report["splits"].items():
        n_records = sum(s.n_examples for s in info.splits.get(split, []))
        assert n_records == counts["records"]
    train = list(records.iterate_voice_examples(options.output_dir, "train"))
    features = np.array([e.face_feature for e in train], np.float64)
    np.testing.assert_allclose(
        info.feature_statistics.mean, features.mean(0), atol=1e-6
    )
    assert info.recognizer.name == "dlib" and info.recognizer.feature_dim == 128
    ids = [e.clip_id for e in train]
    assert ids == sorted(ids, key=lambda i: hashlib.sha256(i.encode()).hexdigest())
    assert not os.path.exists(os.path.join(options.output_dir, ".work"))


def content_of(folder):
    paths = pathlib.Path(folder).iterdir()
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in paths}


def test_a_second_run_does_nothing(built, capsys):
    options, report = built
    before = content_of(options.output_dir)
    again = jobs.build_voice_records(options, VOICE)
    assert again == json.loads(json.dumps(report))
    assert content_of(options.output_dir) == before
    assert "nothing to do" in capsys.readouterr().out


def test_another_config_or_manifest_is_refused(built, sample, tmp_path):
    options, _ = built
    before = content_of(options.output_dir)
    with pytest.raises(ValueError, match="max_audio_secs 6.0 -> 3.0.*choose another"):
        other = dataclasses.replace(VOICE, max_audio_secs=3.0)
        jobs.build_voice_records(options, other)
    manifest = write_manifest(tmp_path / "clips.csv", sample)
    with pytest.raises(ValueError, match="another job .manifest_sha256"):
        jobs.build_voice_records(dataclasses.replace(options, manifest=manifest), VOICE)
    assert content_of(options.output_dir) == before


def test_interrupted_anywhere_and_resumed_gives_the_same_bytes(
    built, sample, tmp_path, monkeypatch
):
    """Interrupted after the first chunk, and again while the shards are written."""
    whole, _ = built
    options = dataclasses.replace(whole, output_dir=str(tmp_path / "data"))
    save, write_shard = work_folder.WorkFolder.save, records.write_shard
    n_saved = []

    def save_once(self, result):
        if n_saved:
            raise OSError(28, "No space left on device")
        n_saved.append(save(self, result))

    monkeypatch.setattr(work_folder.WorkFolder, "save", save_once)
    with pytest.raises(OSError, match="no space left on the disk"):
        jobs.build_voice_records(options, VOICE)
    assert os.listdir(options.output_dir) == [".work"]
    monkeypatch.setattr(work_folder.WorkFolder, "save", save)

    def fail_on_the_second(path, content):
        if "00001-of" in str(path):
            raise RuntimeError("killed")
        return write_shard(path, content)

    monkeypatch.setattr(records, "write_shard", fail_on_the_second)
    with pytest.raises(RuntimeError, match="killed"):
        jobs.build_voice_records(options, VOICE)
    assert "dataset.json" not in os.listdir(options.output_dir)
    monkeypatch.setattr(records, "write_shard", write_shard)
    jobs.build_voice_records(options, VOICE)
    for path in pathlib.Path(whole.output_dir).iterdir():
        if path.name != "report.json":
            mine = pathlib.Path(options.output_dir) / path.name
            assert mine.read_bytes() == path.read_bytes(), path.name


def test_flac_records_hold_the_same_sound(built, sample, tmp_path):
    options, _ = built
    manifest = write_manifest(tmp_path / "clips.csv", sample)
    flac = options_for(manifest, sample, tmp_path / "data")
    jobs.build_voice_records(flac, VoiceOptions("flac", 2.0))
    expected = examples_of(options.output_dir)
    found = examples_of(flac.output_dir)
    assert found.keys() == expected.keys()
    for name, example in found.items():
        assert len(example.waveform) == 32000
        # The sample rate is converted: the cut is heard in the last few samples.
        whole = expected[name].waveform[:31900]
        np.testing.assert_array_equal(example.waveform[:31900], whole)


@pytest.mark.parametrize("name", ["vgg_face", "vgg_face_relu"])
def test_features_of_vgg_face(name, sample, tmp_path):
    """The paper's recognizer, with few channels and generated weights."""
    size = vgg_face_file.VggFaceSize(
        blocks=((4,), (4,), (6,), (8,), (8,)), fc_units=24, n_classes=7
    )
    weights = str(tmp_path / "vgg.h5")
    values = vgg_face_file.random_weights(size)
    vgg_face_file.write(weights, values, size=size, source_format="random")
    manifest = (sample / "manifest.csv").read_text().splitlines()
    (tmp_path / "two.csv").write_text("\n".join(manifest[:3]) + "\n")
    options = options_for(
        tmp_path / "two.csv",
        sample,
        tmp_path / "data",
        recognizer=name,
        vgg_face_weights=weights,
    )
    jobs.build_voice_records(options, VOICE)
    info = dataset_info.read(options.output_dir)
    checksum = vgg_face_file.read_info(weights).checksum
    assert info.recognizer == dataset_info.RecognizerInfo(name, 24, checksum)
    model = vgg_face.load_vgg_face(weights)
    for example in examples_of(options.output_dir).values():
        crop = files.decode_image(example.face_jpeg).astype(np.float32)
        fc7 = np.asarray(model(crop[None])["fc7"])[0]
        expected = np.maximum(fc7, 0) if name == "vgg_face_relu" else fc7
        # The record's feature is of the crop before it became a JPEG.
        cosine = np.corrcoef(example.face_feature, expected)[0, 1]
        assert cosine > 0.95
        assert (example.face_feature.min() < 0) == (name == "vgg_face")


def test_nothing_survives(sample, bad_clips, tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("clip_id,media,speaker_id\na,media/none.mp4,x\nb,media/none,y\n")
    options = options_for(path, sample, tmp_path / "data")
    with pytest.raises(
        ValueError, match="none of 2 clips gave a record .missing_file 2"
    ):
        jobs.build_voice_records(options, VOICE)
    kept = sorted(os.listdir(options.output_dir))
    assert kept == [".work", "quarantine.csv", "report.json"]


@pytest.mark.parametrize("command", ["build_tfrecords", "build_decoder_tfrecords"])
def test_wrong_input_is_one_line_and_exit_status_1(tmp_path, command):
    (tmp_path / "clips.csv").write_text("clip_id,media\na,b\n")
    arguments = [f"--manifest={tmp_path}/clips.csv", f"--output_dir={tmp_path}/data"]
    run = subprocess.run(
        [sys.executable, "-m", f"data_prep.{command}", *arguments],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1 and "lacks the column(s)" in run.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["build_tfrecords", "build_decoder_tfrecords"])
def test_help_does_not_load_the_libraries(command):
    code = (
        f"import sys, data_prep.{command}\n"
        "heavy = {'tensorflow', 'apache_beam', 'dlib', 'av', 'keras'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture(scope="module")
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
    recognizer = recognizers.load_recognizer("dlib")
    for row in rows[:3]:
        clip_id, face, normalized, speaker, *_ = row.split(",")
        example = found[clip_id]
        target = image_files.read_image(str(sample / normalized))
        assert is_moved_by_whole_pixels(example.normalized, target)
        photograph = faces.find_face(image_files.read_image(str(sample / face)))
        feature = recognizer.features(photograph.crop[None])[0]
        np.testing.assert_allclose(example.face_feature, feature, atol=1e-4)
        # On the texture the landmarks are where the mean says.
        seen = faces.find_face(example.texture)
        assert np.abs(seen.landmarks - info.mean_landmarks).mean() < 2.5
    for name in ("kept.png", "mean_face.png"):
        image = image_files.read_image(os.path.join(options.output_dir, name))
        assert image.min() < 200


def test_morphs_lie_between_their_parents(built_faces):
    options, _ = built_faces
    found = examples_of(options.output_dir, records.iterate_face_examples)
    for name in ("morph-000000", "morph-000001"):
        morph = found[name]
        first, second = (found[morph.labels[k]] for k in ("morph_of", "morph_with"))
        assert first.speaker_id != second.speaker_id
        share = float(morph.labels["morph_share"])
        expected = (1 - share) * first.landmarks + share * second.landmarks
        np.testing.assert_allclose(morph.landmarks, expected, atol=1e-3)

        def cosine(a, b):
            return a @ b / np.linalg.norm(a) / np.linalg.norm(b)

        apart = cosine(first.face_feature, second.face_feature)
        assert cosine(morph.face_feature, first.face_feature) > apart
        assert cosine(morph.face_feature, second.face_feature) > apart


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
        assert "dataset.json" not in os.listdir(options.output_dir)
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


def test_photographs_alone(sample, tmp_path):
    """Without normalized_face: made from the photograph, one average a person."""
    rows = (sample / "faces.csv").read_text().splitlines()
    kept = [rows[0]] + [r for r in rows[1:] if ",train," in r]
    lines = [",".join(c for i, c in enumerate(r.split(",")) if i != 2) for r in kept]
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
    grey = photograph.convert("L")
    grey.save(folder / "grey.png")
    Image.fromarray(np.asarray(grey, np.uint16) * 257).save(folder / "deep.png")
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
    names = ("plain.png", "grey.png", "deep.png", "cmyk.jpg", "turned.jpg")
    names += ("huge.jpg", "cut.png", "empty.png", "nobody.png", "none.png")
    rows = {name.split(".")[0]: (name, "") for name in names}
    return {**rows, "largest": ("two.png", ""), "nearest": ("two.png", "0.2")}


def test_photographs_of_every_kind(sample, tmp_path):
    """Through the whole job: the same face from each, or its reason in the report."""
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
        assert differ < (30 if name in ("grey", "deep") else 8), (name, differ)
    largest, nearest = (found[k].face_jpeg for k in ("largest", "nearest"))
    assert largest != nearest


@pytest.mark.real_data
def test_every_real_video_gives_a_record(real_data_dir, tmp_path):
    names = sorted(os.listdir(real_data_dir / "video"))
    lines = [f"{name},{name},{name},train" for name in names]
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(["clip_id,media,speaker_id,split", *lines]) + "\n")
    options = options_for(path, real_data_dir / "video", tmp_path / "data")
    report = jobs.build_voice_records(options, VOICE)
    found = examples_of(options.output_dir)
    negatives = {"no_audio_track.mp4", "silent_audio.mp4"}
    assert set(found) == set(names) - negatives
    assert report["stages"]["read"]["rejected"] == {"no_audio_track": 1, "silent": 1}
    for example in found.values():
        assert 2.9 * 16000 < len(example.waveform) <= 6 * 16000


@pytest.mark.real_data
def test_real_pairs(real_data_dir, tmp_path):
    rows = (real_data_dir / "avspeech" / "clips.csv").read_text().splitlines()[1:121:10]
    lines = []
    for row in rows:
        name, video, *_, split = row.split(",")
        lines.append(f"{name},audio/{name}.flac,face/{name}.jpg,{video},{split}")
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(["clip_id,media,face,speaker_id,split", *lines]) + "\n")
    options = options_for(path, real_data_dir / "avspeech", tmp_path / "data")
    report = jobs.build_voice_records(options, VOICE)
    assert (report["records"], report["rejected"]) == (12, 0)
    for example in examples_of(options.output_dir).values():
        name = f"{example.clip_id}.flac"
        sound, _ = soundfile.read(real_data_dir / "avspeech" / "audio" / name)
        assert np.abs(example.waveform - sound).max() <= 1 / 32768
