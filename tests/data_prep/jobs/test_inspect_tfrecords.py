"""Inspection finds what is wrong in a data set and counts what is right."""

import collections
import dataclasses
import re

import numpy as np
import pytest

from data_prep.jobs import inspection
from speech2face import images
from speech2face.data import dataset_info, records

RECOGNIZER = dataset_info.RecognizerInfo("dlib", 4, "0" * 64)
CROP = np.random.default_rng(0).integers(0, 255, [224, 224, 3], dtype=np.uint8)


def voice(index, secs=2.0, **changes):
    tone = 0.3 * np.sin(np.arange(int(secs * 16000)) / 7.0).astype(np.float32)
    example = records.VoiceExample(
        clip_id=f"clip {index}",
        speaker_id=f"speaker {index // 2}",
        waveform=tone,
        face_feature=np.full(4, 0.5 + index, np.float32),
        face_jpeg=images.encode_jpeg(CROP),
        labels={"gender": "female" if index % 3 else "male", "age": str(index)},
    )
    return dataclasses.replace(example, **changes)


def face(index, **changes):
    example = records.FaceExample(
        clip_id=f"face {index}",
        speaker_id=f"speaker {index}",
        face_feature=np.full(4, 1.0, np.float32),
        landmarks=np.random.default_rng(index).uniform(50, 150, [68, 2]),
        texture=CROP,
        normalized=CROP,
        face_jpeg=images.encode_jpeg(CROP),
        labels={},
    )
    return dataclasses.replace(example, **changes)


def write(folder, kind, **splits):
    encode = {
        "voice": records.encode_voice_example,
        "face": records.encode_face_example,
    }[kind]
    shards, features = {}, []
    for split, examples in splits.items():
        content = [encode(example) for example in examples]
        shards[split] = records.write_shards(folder, split, content, 1)
        features += [e.face_feature for e in examples if len(e.face_feature) == 4]
    info = dataset_info.DatasetInfo(
        kind=kind,
        recognizer=RECOGNIZER,
        config={},
        splits=shards,
        feature_statistics=dataset_info.FeatureStatistics.measure(np.array(features)),
    )
    dataset_info.write(folder, info)
    return str(folder)


def test_counts_and_durations(tmp_path):
    train = [voice(i, secs) for i, secs in enumerate([1.0, 2.0, 6.0, 6.0])]
    data_dir = write(tmp_path, "voice", train=train, val=[voice(9, 3.0)])
    summary = inspection.inspect(data_dir)
    assert summary["problems"] == []
    assert {s: n["records"] for s, n in summary["splits"].items()} == {
        "train": 4,
        "val": 1,
    }
    assert summary["splits"]["train"]["speakers"] == 2
    size = (tmp_path / "val-00000-of-00001.tfrecord").stat().st_size
    assert summary["splits"]["val"]["bytes"] == size
    assert summary["secs"] == pytest.approx(
        {"min": 1, "median": 3, "mean": 3.6, "max": 6, "tiled": 0.6}
    )
    assert summary["labels"]["gender"] == {"male": 3, "female": 2}
    text = inspection.describe(summary)
    assert "train: 4 records of 2 speakers in 1 shard," in text
    assert "60.0% are shorter than 6 s" in text


def test_the_bytes_of_a_record_are_shared_between_its_parts(tmp_path):
    examples = [voice(i, 6.0) for i in range(3)]
    data_dir = write(tmp_path, "voice", train=examples)
    summary = inspection.inspect(data_dir)
    assert summary["crop_bytes"] == len(examples[0].face_jpeg)
    (line,) = [x for x in inspection.describe(summary).splitlines() if "of a" in x]
    crop = len(examples[0].face_jpeg) / 1e3
    # 6 s of 16-bit samples at 16 kHz are 192 kB; names and labels some hundred bytes.
    found = re.search(
        rf"face crop {crop:.1f} kB, feature 0.0 kB, .* labels (\d+\.\d) kB", line
    )
    assert 192.0 < float(found[1]) < 192.5


def test_ages_are_drawn_by_decades_and_categories_by_their_number():
    ages = collections.Counter({str(age): age for age in range(18, 41)})
    by_decade = inspection.by_category(ages)
    assert list(by_decade) == ["10-19", "20-29", "30-39", "40-49"]
    assert by_decade["10-19"] == 18 + 19 and by_decade["40-49"] == 40
    words = collections.Counter({"b": 1, "a": 5, "c": 3})
    assert list(inspection.by_category(words)) == ["a", "c", "b"]
    few = collections.Counter({"10": 1, "9": 2})
    assert list(inspection.by_category(few)) == ["9", "10"]
    odd = collections.Counter({str(n): 1 for n in range(20)} | {"nan": 1})
    assert inspection.by_category(odd) == odd


def test_pictures(tmp_path):
    data_dir = write(tmp_path / "data", "voice", train=[voice(i) for i in range(4)])
    written = inspection.write_pictures(inspection.inspect(data_dir), str(tmp_path))
    assert [path.rsplit("/")[-1] for path in written] == [
        "contact_sheet.png",
        "labels.png",
    ]
    for path in written:
        image = images.read_image(path)
        assert image.shape[0] > 100 and image.std() > 20


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"clip_id": "clip 0"}, "its clip_id occurs twice"),
        ({"speaker_id": "val speaker"}, "its speaker is in the split"),
        ({"face_feature": np.ones(5, np.float32)}, r"its feature has the shape \(5,\)"),
        ({"face_feature": np.full(4, np.nan)}, "its feature is not finite"),
        ({"face_feature": np.zeros(4)}, "its feature is all zero"),
        ({"face_jpeg": images.encode_jpeg(CROP[:100])}, "its crop has the shape"),
        ({"face_jpeg": b"nothing"}, "its crop is not an image"),
        ({"waveform": np.zeros(16000, np.float32)}, "its sound is silent"),
        ({"waveform": np.ones(100, np.float32)}, "at least 0.1 s is needed"),
    ],
)
def test_wrong_voice_records(tmp_path, changes, problem):
    train = [voice(0), voice(1, **changes)]
    val = [voice(8, speaker_id="val speaker")]
    data_dir = write(tmp_path, "voice", train=train, val=val)
    (found,) = inspection.inspect(data_dir)["problems"]
    assert re.search(problem, found)


@pytest.mark.parametrize(
    "changes, problem",
    [
        ({"texture": CROP[:50]}, "its texture has the shape (50, 224, 3)"),
        ({"landmarks": np.full([68, 2], np.nan)}, "its landmarks reach from nan"),
        ({"landmarks": np.full([68, 2], 900.0)}, "its landmarks reach from 900"),
    ],
)
def test_wrong_face_records(tmp_path, changes, problem):
    data_dir = write(tmp_path, "face", train=[face(0), face(1, **changes)])
    (found,) = inspection.inspect(data_dir)["problems"]
    assert found.startswith("train record 1 (face 1)") and problem in found


def test_many_problems_are_summed_up(tmp_path):
    wrong = [voice(i, face_feature=np.zeros(4)) for i in range(50)]
    problems = inspection.inspect(write(tmp_path, "voice", train=wrong))["problems"]
    assert len(problems) == 21 and problems[-1] == "... and 30 more problems"


def test_a_damaged_record_is_named(tmp_path):
    data_dir = write(tmp_path, "voice", train=[voice(i) for i in range(4)])
    path = tmp_path / "train-00000-of-00001.tfrecord"
    content = bytearray(path.read_bytes())
    content[len(content) * 5 // 8] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"train-00000-of-00001.tfrecord: record 2"):
        inspection.inspect(data_dir)


def test_another_file_under_a_shards_name(tmp_path):
    data_dir = write(tmp_path / "a", "voice", train=[voice(0), voice(1)])
    other = write(tmp_path / "b", "voice", train=[voice(2), voice(3)])
    name = "train-00000-of-00001.tfrecord"
    (tmp_path / "a" / name).write_bytes((tmp_path / "b" / name).read_bytes())
    assert other
    with pytest.raises(ValueError, match=r"not the file that dataset.json describes"):
        inspection.inspect(data_dir)


@pytest.mark.slow
def test_command(tmp_path, fork_server):
    data_dir = write(tmp_path, "face", train=[face(0)], val=[face(1, clip_id="face 0")])
    run = fork_server.start("data_prep.inspect_tfrecords", f"--data_dir={data_dir}")
    assert run.wait() == 1
    assert "face records, dlib features [4]" in run.stdout
    assert "val record 0 (face 0): its clip_id occurs twice" in run.stdout
    assert run.stderr.strip().splitlines()[-1].startswith("error: ")
