"""From finished chunks to shards of the right size, and a data set's statistics."""

import math

import numpy as np
import pytest

from data_prep import dataset_writer
from data_prep.manifest import Clip
from data_prep.work_folder import ChunkResult, ChunkSummary, WorkFolder
from speech2face import records

RECOGNIZER = {"name": "dlib", "feature_dim": 3, "checksum": "0" * 64}


def example(index):
    random = np.random.default_rng(index)
    return records.VoiceExample(
        clip_id=f"clip {index}",
        speaker_id=f"speaker {index}",
        waveform=random.uniform(-0.5, 0.5, 1600 + 160 * (index % 7)),
        face_feature=random.normal(size=3).astype(np.float32),
        face_jpeg=b"jpeg",
        labels={},
    )


@pytest.fixture
def work(tmp_path):
    """40 training records in 10 chunks, 4 of validation in one; each a few kB."""
    work = WorkFolder(tmp_path / ".work")
    splits = ["train"] * 10 + ["val"]
    clips = [[Clip(f"clip {4 * i + k}", "x") for k in range(4)] for i in range(11)]
    work.start({"kind": "test"}, clips)
    for index, split in enumerate(splits):
        content = [
            records.encode_voice_example(example(4 * index + k), "pcm")
            for k in range(4)
        ]
        sizes = [len(record) for record in content]
        summary = ChunkSummary(index, split, [], [], RECOGNIZER, sizes)
        work.save(ChunkResult(summary, content))
    return work


def test_shards_are_of_the_size_asked_for(work, tmp_path, monkeypatch):
    monkeypatch.setattr(dataset_writer, "SHARD_BYTES", 30_000)
    info = dataset_writer.write_dataset(str(tmp_path), [work], "voice", {}, 0)
    n_bytes = sum(sum(work.summary(i).record_bytes) for i in range(10))
    n_shards = math.ceil(n_bytes / 30_000)
    assert n_shards >= 4
    assert [shard.name for shard in info.splits["train"]] == [
        f"train-{i:05d}-of-{n_shards:05d}.tfrecord" for i in range(n_shards)
    ]
    for shard in info.splits["train"]:
        size = (tmp_path / shard.name).stat().st_size
        assert 0.8 * n_bytes / n_shards < size < 1.2 * n_bytes / n_shards + 500
    assert [shard.name for shard in info.splits["val"]] == [
        "val-00000-of-00001.tfrecord"
    ]
    found = [e.clip_id for e in records.iterate_voice_examples(tmp_path, "train")]
    assert found == [f"clip {index}" for index in range(40)]


def test_statistics_are_those_of_the_training_split(work, tmp_path):
    info = dataset_writer.write_dataset(str(tmp_path), [work], "voice", {}, 1)
    features = np.stack([example(i).face_feature for i in range(40)]).astype(float)
    found = info.feature_statistics
    np.testing.assert_allclose(found.mean, features.mean(0), atol=1e-6)
    norms = np.sqrt((features**2).sum(1))
    assert found.mean_norm == pytest.approx(norms.mean(), rel=1e-6)
