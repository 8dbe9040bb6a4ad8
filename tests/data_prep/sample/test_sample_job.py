"""The job that writes sample people: its folder, its messages, its processes."""

import dataclasses
import hashlib
import os
import subprocess
import sys
import time

import pytest

from data_prep.sample import dataset
from speech2face.errors import UserError
from tests.helpers.paths import REPOSITORY
from tests.helpers.sample_people import SIX_PEOPLE

pytest.importorskip("espeakng_loader")


def run_command(output_dir, *more, hash_seed="0"):
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "data_prep.sample_people",
            f"--output_dir={output_dir}",
            "--n_people=3",
            "--clips_per_person=1",
            "--n_silent_people=1",
            "--photographs_per_person=2",
            *more,
        ],
        check=False,
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


@pytest.mark.rehearsal
def test_another_process_with_another_hash_seed_writes_the_same_bytes(tmp_path):
    few = dataclasses.replace(SIX_PEOPLE, n_people=3, clips_per_person=1)
    assert dataset.generate(few, str(tmp_path / "first"), n_workers=2)
    done = run_command(tmp_path / "second", "--n_workers=1", hash_seed="7")
    assert done.returncode == 0, done.stderr
    assert digests(tmp_path / "second") == digests(tmp_path / "first")


def test_a_damaged_marker_is_reported(tmp_path):
    (tmp_path / "sample_people.json").write_text('{"n_people": 6,')
    with pytest.raises(UserError, match=r"sample_people.json is not JSON"):
        dataset.generate(SIX_PEOPLE, str(tmp_path))


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_lost_or_cut_file_is_named_at_the_next_start(tmp_path, monkeypatch, damage):
    def write_person(person, n_clips, config, folder):
        for name in ("media/a.mp4", "media/b.mp4"):
            (folder / name).write_bytes(b"12345")
        return {"person": {}, "faces": [{"clip_id": "f"}], "clips": [{"clip_id": "c"}]}

    # Rendering is not what is tested; neither are other processes.
    monkeypatch.setattr(dataset, "_write_person", write_person)
    threads = dataset.concurrent.futures.ThreadPoolExecutor
    monkeypatch.setattr(
        dataset.concurrent.futures,
        "ProcessPoolExecutor",
        lambda *_, **__: threads(1),
    )
    folder = tmp_path / "people"
    assert dataset.generate(SIX_PEOPLE, folder) and not dataset.generate(
        SIX_PEOPLE, folder
    )
    (folder / "notes.txt").write_text("mine")
    assert not dataset.generate(SIX_PEOPLE, folder)
    if damage == "missing":
        (folder / "media/b.mp4").unlink()
        how = "is missing"
    else:
        (folder / "media/b.mp4").write_bytes(b"123")
        how = "has 3 bytes"
    message = f"1 of its 5 files .* media/b.mp4, which {how} instead of 5; remove"
    with pytest.raises(UserError, match=message):
        dataset.generate(SIX_PEOPLE, folder)


def test_a_negative_number_of_workers_is_refused(tmp_path):
    with pytest.raises(UserError, match="n_workers is -1"):
        dataset.generate(SIX_PEOPLE, str(tmp_path / "people"), n_workers=-1)


def test_nothing_is_left_after_a_failure(tmp_path, monkeypatch):
    def fail(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(dataset, "_write", fail)
    with pytest.raises(OSError, match="No space"):
        dataset.generate(SIX_PEOPLE, str(tmp_path / "people"))
    assert not list(tmp_path.iterdir())


def test_missing_synthesizer_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(UserError, match=r"\.\[sample\]"):
        dataset.generate(SIX_PEOPLE, str(tmp_path / "people"))
    assert not list(tmp_path.iterdir())


def test_command_reports_user_errors_in_one_line(tmp_path):
    done = run_command(tmp_path / "people", "--n_people=2")
    assert done.returncode == 1
    assert (
        "--n_people=2: expected an integer from 3" in done.stderr
        and "Traceback" not in done.stderr
    )


@pytest.mark.slow
def test_workers_end_with_a_killed_parent(tmp_path):
    command = [sys.executable, "-m", "data_prep.sample_people", "--n_people=90"]
    with subprocess.Popen(
        [*command, f"--output_dir={tmp_path / 'people'}", "--n_workers=2"],
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        cwd=REPOSITORY,
    ) as parent:
        while not list(tmp_path.rglob("*.png")):  # the workers work
            assert parent.poll() is None
            time.sleep(0.1)
        parent.kill()
    end = time.monotonic() + 60
    while processes_of_session(parent.pid):
        assert time.monotonic() < end
        time.sleep(0.1)


def processes_of_session(session):
    """Numbers of the processes in a session, from POSIX's ps."""
    found = subprocess.run(
        ["ps", "-A", "-o", "pid=,sess=,stat="],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    rows = [line.split() for line in found.stdout.splitlines()]
    return [pid for pid, sess, stat in rows if sess == str(session) and stat[0] != "Z"]
