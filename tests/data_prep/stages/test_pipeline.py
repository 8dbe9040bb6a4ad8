"""Running stages: counts, rejections, resumption, and the files of a job.

The stages here are arithmetic, so what comes out is known exactly.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_prep.stages.beam_worker import WorkerEnd
from data_prep.stages.stage import Stage, reject
from data_prep.stages.work_folder import WorkFolder
from speech2face.errors import UserError
from tests.helpers.word_stages import JOB, RECOGNIZER, Parse, Slow, chunks_of, run


class Halve(Stage):
    name = "halve"

    def process_all(self, items):
        for item in items:
            if item.values["number"] % 2:
                error = UserError("it is\nodd", reason="odd")
                reject(item, self.name, error)
            else:
                item.values["record"] = str(item.values["number"] // 2).encode()


class Deadly(Stage):
    name = "deadly"

    def process(self, item):
        if item.clip.media == "6":
            os.kill(os.getpid(), signal.SIGKILL)
        item.values["record"] = item.clip.media.encode()


class Broadcast(Stage):
    """A bug: arrays that do not fit each other."""

    name = "broadcast"

    def process(self, item):
        if item.values["number"] % 2:
            np.zeros(3) + np.zeros(4)
        item.values["record"] = item.clip.media.encode()


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
def test_a_value_error_of_a_bug_is_counted_apart_with_its_traceback(
    tmp_path, n_workers
):
    words = ["1", "2", "3", "5"]
    results = run(tmp_path, words, [Parse(), Broadcast()], n_workers=n_workers)
    assert [r.records for r in results] == [[b"2"], []]
    rejections = [r for result in results for r in result.summary.rejections]
    assert [r.clip_id for r in rejections] == ["clip 1", "clip 3", "clip 5"]
    for rejection in rejections:
        assert rejection.reason == "unexpected_error"
        assert rejection.detail.startswith("ValueError in test_pipeline.py, line ")
        assert "could not be broadcast" in rejection.detail
    for result in results:
        ((kind, text),) = result.summary.tracebacks.items()
        assert rejections[0].detail.startswith(f"{kind}: ")
        assert text.startswith("Traceback") and "np.zeros(3) + np.zeros(4)" in text


@pytest.mark.slow
@pytest.mark.parametrize("n_workers", [1, 2])
def test_counts_records_and_rejections(tmp_path, n_workers):
    words = ["2", "x", "5", "8", "10", "12", "7"]
    results = run(tmp_path, words, [Parse(), Halve()], n_workers=n_workers)
    assert [r.records for r in results] == [[b"1"], [b"4", b"5", b"6"], []]
    assert [r.summary.recognizer for r in results] == [RECOGNIZER] * 3
    counts = [
        [(s["stage"], s["n_in"], s["n_out"]) for s in r.summary.stages] for r in results
    ]
    assert counts[0] == [("open", 3, 3), ("parse", 3, 2), ("halve", 2, 1)]
    assert counts[2] == [("open", 1, 1), ("parse", 1, 1), ("halve", 1, 0)]
    first, second = results[0].summary.rejections
    assert (first.clip_id, first.stage, first.reason) == (
        "clip x",
        "parse",
        "no_number",
    )
    assert (second.clip_id, second.reason, second.detail) == (
        "clip 5",
        "odd",
        "it is odd",
    )


@pytest.mark.parametrize("options", ["--runner='Direct", "--runner=NoSuchRunner"])
def test_wrong_beam_options_are_a_users_error(tmp_path, options):
    with pytest.raises(UserError, match="--beam_options"):
        run(tmp_path, ["2"], [Parse(), Halve()], beam_options=options)


def test_a_line_that_a_kill_cut_off_is_ignored(tmp_path):
    work = WorkFolder(tmp_path / ".work")
    work.start(JOB, chunks_of(["1", "2"]))
    work.record_worker_ends([WorkerEnd("clip 1", "timeout")])
    with (work.path / "ends.jsonl").open("a") as file:
        file.write('["clip 2", "time')
    assert work.fatal_clips() == {"clip 1": "timeout"}


@pytest.mark.slow
def test_a_system_without_affinity_builds(tmp_path, monkeypatch):
    """macOS has no os.sched_getaffinity."""
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    results = run(tmp_path, ["2", "4", "6", "8"], [Parse(), Halve()], n_workers=0)
    assert [r.records for r in results] == [[b"1", b"2", b"3"], [b"4"]]


def test_finished_chunks_are_not_done_again(tmp_path):
    class Never(Stage):
        name = "never"

        def process(self, item):
            raise AssertionError("this chunk was finished")

    words = ["1", "2", "3", "4"]
    first = run(tmp_path, words, [Parse(), Slow()], n_workers=1)
    again = run(tmp_path, words, [Never()], n_workers=1)
    assert again == first


def test_a_bug_stops_the_job(tmp_path):
    class Bug(Stage):
        name = "bug"

        def process(self, item):
            item.values["missing"]

    with pytest.raises(KeyError):
        run(tmp_path, ["1"], [Bug()], n_workers=1)


def test_a_full_disk_stops_the_job_with_one_line(tmp_path, monkeypatch):
    def full(self, result):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(WorkFolder, "save", full)
    with pytest.raises(OSError, match=r"no space left on the disk of .*make room"):
        run(tmp_path, ["2"], [Parse(), Halve()], n_workers=1)


def test_a_full_disk_is_no_clips_fault(tmp_path):
    class Full(Stage):
        name = "full"

        def process(self, item):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="no space left"):
        run(tmp_path, ["2"], [Full()], n_workers=1)


def test_another_job_is_refused(tmp_path):
    work = WorkFolder(tmp_path / ".work")
    work.start(JOB, chunks_of(["1"]))
    work.start(dict(JOB), chunks_of(["1"]))
    with pytest.raises(UserError, match=r"another job \(seed None -> 1\)"):
        work.start({**JOB, "seed": 1}, chunks_of(["1"]))


@pytest.mark.parametrize("position", [0, 30, -2])
def test_a_damaged_chunk_is_named(tmp_path, position):
    """Damage to the line of JSON, or to a record, which `summary` does not read."""
    run(tmp_path, ["24"], [Parse(), Halve()], n_workers=1)
    work = WorkFolder(tmp_path / ".work")
    path = work.path / "done" / "00000000.chunk"
    content = bytearray(path.read_bytes())
    assert content.endswith(b"\n12")
    content[position] ^= 128
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"00000000.chunk is damaged"):
        work.load(0)
    if position == -2:
        assert work.summary(0).record_bytes == [2]


def test_a_chunk_with_a_lost_end_is_named(tmp_path):
    run(tmp_path, ["24"], [Parse(), Halve()], n_workers=1)
    work = WorkFolder(tmp_path / ".work")
    path = work.path / "done" / "00000000.chunk"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r"00000000.chunk is damaged"):
        work.load(0)


@pytest.mark.parametrize(
    "options",
    [
        "--runner=BundleBasedDirectRunner",
        # As Flink and Spark are spoken to: the pipeline goes to a job server by gRPC,
        # in Beam's portable form. This one is Beam's own, in a thread.
        "--runner=PortableRunner --job_endpoint=embed --environment_type=LOOPBACK",
        "--runner=apache_beam.runners.dask.dask_runner.DaskRunner",
    ],
)
def test_beam_options_choose_the_runner(tmp_path, options):
    if "dask" in options:
        pytest.importorskip("distributed", reason='pip install "apache-beam[dask]"')
    words = ["2", "x", "5", "8", "10", "12", "7"]
    stages = [Parse(), Halve()]
    expected = run(tmp_path / "here", words, stages, n_workers=1)
    found = run(tmp_path / "there", words, stages, beam_options=options)
    assert [r.records for r in found] == [[b"1"], [b"4", b"5", b"6"], []]
    for mine, other in zip(found, expected):
        assert mine.summary.rejections == other.summary.rejections


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_clip_that_kills_its_worker_is_rejected_and_no_other(tmp_path):
    words = [str(i) for i in range(12)]
    results = run(tmp_path, words, [Parse(), Deadly()], n_workers=2)
    (rejection,) = [r for result in results for r in result.summary.rejections]
    assert (rejection.clip_id, rejection.reason) == ("clip 6", "crash")
    kept = [w.decode() for result in results for w in result.records]
    assert kept == [word for word in words if word != "6"]


class Stuck(Stage):
    name = "stuck"

    def process(self, item):
        if item.clip.media == "6":
            time.sleep(1000)
        item.values["record"] = item.clip.media.encode()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_clip_that_never_ends_is_rejected_and_no_other(tmp_path):
    words = [str(i) for i in range(12)]
    stages = [Parse(), Stuck()]
    results = run(tmp_path, words, stages, n_workers=2, max_secs_per_clip=2.0)
    (rejection,) = [r for result in results for r in result.summary.rejections]
    assert (rejection.clip_id, rejection.reason) == ("clip 6", "timeout")
    assert "--max_secs_per_clip" in rejection.detail
    kept = [w.decode() for result in results for w in result.records]
    assert kept == [word for word in words if word != "6"]


@pytest.mark.slow
def test_interrupting_stops_the_workers(tmp_path):
    """Ctrl-C ends the main process at once, and its workers."""
    code = KILLED_JOB.format(folder=str(tmp_path))
    job = subprocess.Popen(
        [sys.executable, "-c", code],
        stderr=subprocess.PIPE,
        # A shell starts background jobs deaf to Ctrl-C, and their children inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    work = WorkFolder(tmp_path / ".work")
    deadline = time.time() + 60
    while time.time() < deadline:
        if (work.path / "done").is_dir() and work.done():
            break
        time.sleep(0.05)
    (worker, *_) = (work.path / "workers").iterdir()
    job.send_signal(signal.SIGINT)
    _, errors = job.communicate(timeout=120)
    assert job.returncode != 0 and b"KeyboardInterrupt" in errors
    assert b"Killed" not in errors  # as a shell around a worker would say
    assert not list((work.path / "workers").iterdir())
    with pytest.raises(ProcessLookupError):
        os.kill(int(worker.name), 0)


KILLED_JOB = """
import pathlib
from tests.helpers.word_stages import Parse, Slow, run
if __name__ == "__main__":
    words = [str(i) for i in range(60)]
    run(pathlib.Path({folder!r}), words, [Parse(), Slow()], n_workers=2)
"""


@pytest.mark.slow
def test_killed_and_resumed_gives_the_same(tmp_path, monkeypatch):
    """After SIGKILL of the main process, its workers end too, and no chunk is lost."""
    code = KILLED_JOB.format(folder=str(tmp_path))
    done = tmp_path / ".work" / "done"
    job = subprocess.Popen([sys.executable, "-c", code])
    deadline = time.time() + 60
    while time.time() < deadline:
        if done.is_dir() and len(WorkFolder(done.parent).done()) >= 2:
            break
        time.sleep(0.05)
    job.send_signal(signal.SIGKILL)
    job.wait()
    n_killed = len(WorkFolder(done.parent).done())
    assert 2 <= n_killed < 20
    words = [str(i) for i in range(60)]
    monkeypatch.setattr(Slow, "secs", 0.0)  # there is nothing left to kill
    results = run(tmp_path, words, [Parse(), Slow()], n_workers=1)
    assert [w.decode() for r in results for w in r.records] == words
    assert json.loads((done.parent / "job.json").read_text())["kind"] == "test"
    time.sleep(1.5)  # the orphans of the last kill notice within a second
    assert not list(done.glob(".*.tmp"))
