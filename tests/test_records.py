"""Records: round trips, damage is named, dataset.json."""

import json
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face import dataset_info, files, records

DIM = 8


def voice_example(index=0, n_samples=1600):
    random = np.random.default_rng(index)
    samples = random.integers(-32768, 32768, n_samples)
    return records.VoiceExample(
        clip_id=f"clip{index}",
        speaker_id=f"speaker{index // 2}",
        waveform=(samples / 32768.0).astype(np.float32),
        face_feature=random.normal(size=DIM).astype(np.float32),
        face_jpeg=files.encode_jpeg(np.full((224, 224, 3), 90, np.uint8)),
        labels={"gender": "female"},
    )


def face_example(index=0):
    random = np.random.default_rng(index)
    return records.FaceExample(
        clip_id=f"face{index}",
        speaker_id=f"speaker{index}",
        face_feature=random.normal(size=DIM).astype(np.float32),
        landmarks=random.uniform(0, 224, (68, 2)).astype(np.float32),
        texture=random.integers(0, 256, (224, 224, 3), np.uint8),
        normalized=random.integers(0, 256, (224, 224, 3), np.uint8),
        face_jpeg=files.encode_jpeg(np.full((224, 224, 3), 90, np.uint8)),
        labels={},
    )


def write_voice_dataset(folder, n=10, n_shards=3, encoding="pcm", splits=("train",)):
    examples = [voice_example(index) for index in range(n)]
    serialized = [records.encode_voice_example(e, encoding) for e in examples]
    info = dataset_info.DatasetInfo(
        kind="voice",
        recognizer=dataset_info.RecognizerInfo("dlib", DIM, "0" * 64),
        config={"audio_encoding": encoding},
        splits={
            s: records.write_shards(folder, s, serialized, n_shards) for s in splits
        },
        feature_statistics=dataset_info.FeatureStatistics.measure(
            np.stack([e.face_feature for e in examples])
        ),
    )
    dataset_info.write(folder, info)
    return examples, info


def assert_same(one, two):
    for name, value in vars(one).items():
        np.testing.assert_array_equal(value, getattr(two, name), err_msg=name)


@pytest.mark.parametrize("encoding", ["pcm", "flac"])
@settings(max_examples=20, deadline=None)
@given(n_samples=st.integers(1, 20_000))
def test_voice_round_trip_is_exact_at_16_bits(encoding, n_samples):
    example = voice_example(3, n_samples)
    record = records.encode_voice_example(example, encoding)
    assert_same(records.decode_voice_example(record), example)


def test_samples_beyond_full_scale_are_clipped_not_wrapped():
    example = voice_example()
    loud = records.VoiceExample(**{**vars(example), "waveform": np.array([1.5, -1.5])})
    decoded = records.decode_voice_example(records.encode_voice_example(loud))
    np.testing.assert_array_equal(decoded.waveform, [32767 / 32768, -1.0])


def test_flac_is_read_by_libsndfile_as_16_khz_mono(tmp_path):
    record = records.encode_voice_example(voice_example(), "flac")
    audio = tf.train.Example.FromString(record).features.feature["audio"]
    path = tmp_path / "a.flac"
    path.write_bytes(audio.bytes_list.value[0])
    assert (soundfile.info(path).samplerate, soundfile.info(path).channels) == (
        16000,
        1,
    )


def test_face_round_trip_is_exact():
    example = face_example(5)
    assert_same(
        records.decode_face_example(records.encode_face_example(example)), example
    )


def test_parsing_in_the_graph_gives_the_same_values():
    example = face_example(5)
    parsed = records.parse_face_example(records.encode_face_example(example), DIM)
    np.testing.assert_array_equal(parsed["landmarks"], example.landmarks)
    np.testing.assert_allclose(parsed["texture"] * 255, example.texture, atol=1e-4)


def test_a_dataset_is_read_back_in_order(tmp_path):
    examples, info = write_voice_dataset(tmp_path)
    assert dataset_info.read(tmp_path) == info
    assert [s.name for s in info.shards("train")] == [
        f"train-0000{i}-of-00003.tfrecord" for i in range(3)
    ]
    for read, written in zip(
        records.iterate_voice_examples(tmp_path, "train"), examples
    ):
        assert_same(read, written)
    features = np.stack([e.face_feature for e in examples]).astype(np.float64)
    statistics = info.feature_statistics
    np.testing.assert_allclose(statistics.mean, features.mean(0), rtol=1e-12)
    centred = features - features.mean(0)
    expected = np.sqrt((centred**2).sum(1)).mean()
    np.testing.assert_allclose(statistics.centred_mean_norm, expected, rtol=1e-12)


def test_the_checksum_depends_on_content_alone(tmp_path):
    _, one = write_voice_dataset(tmp_path / "one")
    _, two = write_voice_dataset(tmp_path / "two")
    _, other = write_voice_dataset(tmp_path / "other", n=9)
    assert one.checksum == two.checksum != other.checksum
    assert json.loads((tmp_path / "one/dataset.json").read_text())["checksum"] == (
        one.checksum
    )


@pytest.mark.parametrize("damage", ["truncate", "flip"])
def test_a_damaged_shard_is_named_with_its_record(tmp_path, damage):
    write_voice_dataset(tmp_path, n=6, n_shards=2)
    path = tmp_path / "train-00001-of-00002.tfrecord"
    content = bytearray(path.read_bytes())
    # TFRecord framing: length (8), its crc (4), data, crc of data (4).
    (length,) = struct.unpack("<Q", content[:8])
    second = 8 + 4 + length + 4
    if damage == "truncate":
        del content[second + 100 :]
    else:
        content[second + 200] ^= 0xFF
    path.write_bytes(bytes(content))
    with pytest.raises(ValueError, match=r"00001-of-00002.tfrecord: record 1 is corr"):
        list(records.iterate_voice_examples(tmp_path, "train"))


def test_a_shard_cut_between_records_is_noticed(tmp_path):
    write_voice_dataset(tmp_path, n=6, n_shards=2)
    path = tmp_path / "train-00000-of-00002.tfrecord"
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    path.write_bytes(content[: 8 + 4 + length + 4])
    with pytest.raises(ValueError, match="ends after record 1 of 3"):
        list(records.iterate_voice_examples(tmp_path, "train"))


def test_missing_and_foreign_datasets_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is no data set"):
        dataset_info.read(tmp_path)
    _, info = write_voice_dataset(tmp_path)
    with pytest.raises(ValueError, match="holds voice records, expected face"):
        dataset_info.read(tmp_path, kind="face")
    with pytest.raises(ValueError, match="no split 'test'"):
        info.shards("test")
    (tmp_path / info.shards("train")[0].name).unlink()
    with pytest.raises(FileNotFoundError, match="shard .* is missing"):
        dataset_info.read(tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        dataset_info.read(tmp_path)


def test_a_record_of_another_schema_is_refused():
    with pytest.raises(ValueError, match="lacks audio, audio_encoding"):
        records.decode_voice_example(records.encode_face_example(face_example()))
    with pytest.raises(ValueError, match=r"no tf.train.Example"):
        records.decode_voice_example(b"\xff\xff\xff")


def test_nothing_is_left_of_a_shard_whose_writing_fails(tmp_path):
    def failing():
        yield records.encode_voice_example(voice_example())
        raise OSError("disk full")

    path = tmp_path / "train-00000-of-00001.tfrecord"
    with pytest.raises(OSError, match="disk full"):
        records.write_shard(path, failing())
    assert list(tmp_path.iterdir()) == []


def test_records_are_the_same_bytes_in_another_process(tmp_path):
    script = (
        "import sys; sys.path[:0] = ['tests']; from test_records import *;"
        "import hashlib; r = records.encode_voice_example(voice_example(1));"
        "print(hashlib.sha256(r).hexdigest())"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin", "PYTHONPATH": "."},
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1 and len(digests.pop().strip()) == 64
