"""From finished chunks to shards of the right size, and a data set's statistics."""

import json
import math

import numpy as np
import pytest

from data_prep.clips.manifest import Clip
from data_prep.jobs import dataset_writer, record_job
from data_prep.stages.beam_worker import WorkerEnd
from data_prep.stages.work_folder import (
    ChunkResult,
    ChunkSummary,
    Rejection,
    WorkFolder,
)
from speech2face.data import dataset_info, records
from speech2face.errors import UserError

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


def test_a_traceback_of_each_kind_is_in_the_log_once(tmp_path, caplog):
    work = WorkFolder(tmp_path / ".work")
    work.start({"kind": "test"}, [[Clip("clip 0", "x")], [Clip("clip 1", "x")]])
    kind = "ValueError in test_dataset_writer.py, line 1"
    stage = {"stage": "read", "n_in": 1, "n_out": 0, "secs": 0.0, "core_secs": 0.0}
    for index in (0, 1):
        rejection = Rejection(f"clip {index}", "read", "unexpected_error", kind)
        summary = ChunkSummary(
            index, "", [stage], [rejection], {}, [], {kind: "Traceback of it\n"}
        )
        work.save(ChunkResult(summary, []))
    for _ in range(2):  # a job of photographs writes its report twice
        report = dataset_writer.write_report(tmp_path, [work], 1.0)
    assert report["stages"]["read"]["rejected"] == {"unexpected_error": 2}
    assert caplog.text.count("Traceback of it") == 1
    assert f"rejected as unexpected_error: {kind}" in caplog.text


# A finished data set, at the next start

JOB = {"kind": "test"}


@pytest.fixture
def finished(work, tmp_path):
    """The path of the first training shard of two."""
    info = dataset_writer.write_dataset(str(tmp_path), [work], "voice", JOB, 2)
    work.remove()
    return tmp_path / info.splits["train"][0].name


def test_a_whole_data_set_is_not_built_again(finished, capsys):
    assert record_job.is_finished(str(finished.parent), JOB)
    assert "nothing to do" in capsys.readouterr().out


@pytest.mark.parametrize("change", ["deleted", "cut off", "longer", "a folder"])
def test_a_shard_that_is_not_what_was_promised_is_named(finished, change):
    content = finished.read_bytes()
    finished.unlink()
    if change == "cut off":
        finished.write_bytes(content[:-1])
    elif change == "longer":
        finished.write_bytes(content + b"x")
    elif change == "a folder":
        finished.mkdir()
    with pytest.raises(UserError, match=f"{finished}.* is damaged: delete .* and run"):
        record_job.is_finished(str(finished.parent), JOB)


def test_a_data_set_from_before_sizes_were_stored(finished):
    path = finished.parent / "dataset.json"
    content = json.loads(path.read_text())
    for shards in content["splits"].values():
        for shard in shards:
            assert (
                shard.pop("n_bytes") == (finished.parent / shard["name"]).stat().st_size
            )
    path.write_text(json.dumps(content))
    assert record_job.is_finished(str(finished.parent), JOB)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("name", "../train-00000-of-00002.tfrecord", "is not the name of a shard"),
        ("name", "/etc/passwd", "is not the name of a shard"),
        ("n_examples", -1, "n_examples=-1: expected an integer from 0"),
        ("n_examples", "4", "n_examples is '4'; expected an integer"),
        ("n_bytes", 10**30, "n_bytes is 10+; expected an integer of 64 bits"),
    ],
)
def test_a_promise_that_makes_no_sense(finished, field, value, expected):
    path = finished.parent / "dataset.json"
    content = json.loads(path.read_text())
    content["splits"]["train"][0][field] = value
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"dataset.json: .*{expected}"):
        dataset_info.read(finished.parent)


# A job that resumes


def test_a_line_lost_from_the_plan_is_not_a_clip_lost(tmp_path):
    chunks = [[Clip("a", "x")], [Clip("b", "x")]]
    work = WorkFolder(tmp_path / ".work")
    work.start(JOB, chunks)
    work.start(JOB, chunks)
    plan = tmp_path / ".work/plan.jsonl"
    lines = plan.read_text().splitlines(keepends=True)
    for damaged in (lines[:1], lines[::-1], [lines[0], "garbage\n"], []):
        plan.write_text("".join(damaged))
        with pytest.raises(UserError, match=r"plan.jsonl is damaged; delete"):
            work.start(JOB, chunks)
    plan.unlink()
    with pytest.raises(UserError, match=r"plan.jsonl is damaged; delete"):
        work.start(JOB, chunks)


@pytest.mark.parametrize("text", ["[]", "hello", "[" * 10_000, '{"kind": "test"'])
def test_a_damaged_job_file_is_named(tmp_path, text):
    work = WorkFolder(tmp_path / ".work")
    work.start(JOB, [[Clip("a", "x")]])
    (tmp_path / ".work/job.json").write_text(text)
    with pytest.raises(UserError, match=r"job.json"):
        work.start(JOB, [[Clip("a", "x")]])


def test_lines_that_are_no_ends_of_workers_count_for_nothing(tmp_path):
    work = WorkFolder(tmp_path / ".work")
    work.start(JOB, [[Clip("a", "x")]])
    work.record_worker_ends([WorkerEnd("a", "timeout")])
    with (tmp_path / ".work/ends.jsonl").open("a") as file:
        file.write(f'{"[" * 10_000}\n[["a"], "crash"]\n{{}}\n["b", "timeout", 1]\n["c"')
    assert work.fatal_clips() == {"a": "timeout"}


def test_files_of_others_among_the_chunks(work):
    done = work.path / "done"
    n_done = len(work.done())
    (done / "00000001 (copy).chunk").write_bytes(b"")
    (done / "notes.txt").write_bytes(b"")
    assert len(work.done()) == n_done
    (done / "00000001.chunk").replace(done / "00000002.chunk")
    with pytest.raises(UserError, match=r"00000002.chunk is damaged"):
        work.summary(2)


FOREIGN = ["report.json", "train-00000-of-00001.tfrecord", ".work/notes.txt"]


@pytest.mark.parametrize("name", FOREIGN)
def test_a_job_replaces_no_file_of_the_user(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")
    (tmp_path / "clips.csv").write_text("of the user, and in nobody's way")
    with pytest.raises(UserError, match=name) as error:
        record_job.require_own_folder(str(tmp_path))
    assert error.value.reason == "foreign_files"
    assert (tmp_path / name).read_text() == "mine"
    (tmp_path / name).unlink()
    record_job.require_own_folder(str(tmp_path))


def test_leftovers_of_a_killed_job_are_swept(tmp_path):
    work = WorkFolder(tmp_path / ".work")
    work.start({"kind": "test"}, [])
    left = [tmp_path / ".report.json.4194304.tmp", work.path / ".x.4194304.tmp"]
    for path in left:
        path.write_text("half")
    record_job.require_own_folder(str(tmp_path))
    assert not any(path.exists() for path in left)
