"""Records: round trips, damage is named, dataset.json."""

import dataclasses
import hashlib
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

from speech2face.data import (
    damaged_shards,
    dataset_info,
    input_pipeline,
    parsing,
    records,
    shard_framing,
)
from speech2face.errors import UserError
from tests.helpers.paths import REPOSITORY
from tests.helpers.records import DIM, face_example, voice_example, write_voice_dataset


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
    record = records.encode_face_example(example)
    parsed = parsing.parse_face_example(record, DIM, 68)
    np.testing.assert_array_equal(parsed["landmarks"], example.landmarks)
    np.testing.assert_allclose(parsed["texture"] * 255, example.texture, atol=1e-4)


def test_a_record_holds_the_points_of_the_outline():
    points = np.random.default_rng(0).uniform(0, 224, (94, 2)).astype(np.float32)
    example = dataclasses.replace(face_example(5), landmarks=points)
    record = records.encode_face_example(example)
    np.testing.assert_array_equal(records.decode_face_example(record).landmarks, points)
    parsed = parsing.parse_face_example(record, DIM, 94)
    np.testing.assert_array_equal(parsed["landmarks"], points)


@pytest.mark.parametrize("n_numbers", [134, 137])
def test_fewer_landmarks_than_dlibs_and_half_points_are_refused(n_numbers):
    numbers = np.zeros(n_numbers, np.float32)
    record = records.encode_face_example(
        dataclasses.replace(face_example(5), landmarks=numbers)
    )
    with pytest.raises(ValueError, match=f"{n_numbers} landmark coordinates"):
        records.decode_face_example(record)


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
    centered = features - features.mean(0)
    expected = np.sqrt((centered**2).sum(1)).mean()
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


def test_the_checksum_of_a_length_is_that_of_tensorflow(tmp_path):
    write_voice_dataset(tmp_path, n=6, n_shards=2)
    for path in tmp_path.glob("*.tfrecord"):
        header = path.read_bytes()[:12]
        assert (
            shard_framing._masked_crc(header[:8]) == struct.unpack("<I", header[8:])[0]
        )
        assert shard_framing.impossible_record(path) is None


@pytest.mark.parametrize("length", [2**31 + 1, 2**40, 2**62, 2**63 + 5, 2**64 - 1])
def test_a_length_that_no_machine_has_room_for(tmp_path, length):
    """TensorFlow ended the process, although its checksum was right."""
    _, info = write_voice_dataset(tmp_path, n=6, n_shards=2)
    path = tmp_path / "train-00001-of-00002.tfrecord"
    content = path.read_bytes()
    (first,) = struct.unpack("<Q", content[:8])
    header = struct.pack("<Q", length)
    checksum = struct.pack("<I", shard_framing._masked_crc(header))
    path.write_bytes(content[: first + 16] + header + checksum + bytes(99))
    with pytest.raises(UserError, match=r"00001-of-00002.tfrecord: record 1 is corr"):
        list(records.iterate_voice_examples(tmp_path, "train"))
    arguments = tmp_path, info, "train", 8, lambda record, _: {"record": record}
    with pytest.raises(UserError, match=r"00001-of-00002.tfrecord: record 1 is corr"):
        input_pipeline.evaluation_batches(*arguments)
    (batch,) = input_pipeline.evaluation_batches(*arguments, skip_corrupt=True)
    assert len(batch["record"]) == 3
    paths = [str(path), str(path).replace("-00001-", "-00000-")]
    damage = damaged_shards.Damage(skip=True)
    stream = damaged_shards.records_or_replacements(
        tf.constant(paths), tf.constant(3, tf.int64), damage
    )
    assert len(list(stream)) == damage.n_replaced[str(path)] == 3


def test_missing_and_foreign_datasets_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a data set"):
        dataset_info.read(tmp_path)
    _, info = write_voice_dataset(tmp_path)
    with pytest.raises(ValueError, match="holds voice records, expected face"):
        dataset_info.read(tmp_path, kind="face")
    with pytest.raises(ValueError, match="no split 'test'"):
        info.shards("test")
    (tmp_path / info.shards("train")[0].name).unlink()
    with pytest.raises(FileNotFoundError, match=r"shard .* is missing"):
        dataset_info.read(tmp_path)
    (tmp_path / "dataset.json").write_text("{}")
    with pytest.raises(ValueError, match="is damaged"):
        dataset_info.read(tmp_path)


def test_nothing_is_left_of_a_shard_whose_writing_fails(tmp_path):
    def failing():
        yield records.encode_voice_example(voice_example())
        raise OSError("disk full")

    path = tmp_path / "train-00000-of-00001.tfrecord"
    with pytest.raises(OSError, match="disk full"):
        records.write_shard(path, failing())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_records_are_the_same_bytes_in_another_process(tmp_path):
    script = (
        "from tests.helpers.records import *;"
        "import hashlib; r = records.encode_voice_example(voice_example(1));"
        "print(hashlib.sha256(r).hexdigest())"
    )
    # The seed of this process is random, unless somebody has set it.
    environment = {"PYTHONHASHSEED": "1", "PYTHONPATH": str(REPOSITORY)}
    there = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin", **environment},
    ).stdout.strip()
    here = hashlib.sha256(records.encode_voice_example(voice_example(1))).hexdigest()
    assert there == here
