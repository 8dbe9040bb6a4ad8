"""Locks of folders: between processes, threads and machines, and after kills."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from speech2face import locks
from speech2face.errors import UserError
from tests.helpers.paths import REPOSITORY

HOLD = """
import sys, time
from speech2face import locks
with locks.locked(sys.argv[1]):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "run")],
        cwd=REPOSITORY, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def take(folder):
    with locks.locked(folder):
        assert (folder / locks.LOCK_FILE).is_file()
    assert not (folder / locks.LOCK_FILE).exists()


def test_the_second_process_is_told_who_works_there(holder, tmp_path):
    with pytest.raises(UserError) as error:
        take(tmp_path / "run")
    assert f"process {holder.pid} on " in str(error.value)
    assert error.value.reason == "in_use"
    # A killed holder stops nobody, although its file is still there.
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    assert (tmp_path / "run" / locks.LOCK_FILE).is_file()
    take(tmp_path / "run")


@pytest.mark.slow
def test_of_many_that_start_at_once_one_gets_the_lock(tmp_path):
    """Over the lock file of a dead process, which all of them find."""
    (tmp_path / "run").mkdir()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    content = {"host": locks._me()["host"], "process": dead.pid}
    (tmp_path / "run" / locks.LOCK_FILE).write_text(json.dumps(content))
    script = HOLD.replace("time.sleep(60)", "sys.stdin.read()")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "run")],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(5)
    ]
    end = time.monotonic() + 60
    while sum(process.poll() is None for process in processes) > 1:
        assert time.monotonic() < end
        time.sleep(0.01)
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert sorted(outputs) == [b"", b"", b"", b"", b"held\n"]


def test_threads_of_one_process(tmp_path):
    entered, leave = threading.Event(), threading.Event()

    def hold():
        with locks.locked(tmp_path / "run"):
            entered.set()
            leave.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(30)
    (tmp_path / "link").symlink_to(tmp_path / "run")
    for path in ("run", "link"):
        with pytest.raises(UserError, match=f"process {os.getpid()} on"):
            take(tmp_path / path)
    leave.set()
    thread.join()
    take(tmp_path / "run")


def test_a_lock_of_another_machine_holds_while_it_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "SILENT_SECS", 1.0)
    path = tmp_path / locks.LOCK_FILE
    path.write_text(json.dumps({"host": "elsewhere", "process": 7}))
    stop = threading.Event()

    def beat():
        while not stop.wait(0.1):
            os.utime(path)

    thread = threading.Thread(target=beat)
    thread.start()
    with pytest.raises(UserError, match="process 7 on elsewhere"):
        take(tmp_path)
    stop.set()
    thread.join()
    take(tmp_path)  # silent: its process is dead


def test_the_holder_beats(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "HEARTBEAT_SECS", 0.1)
    with locks.locked(tmp_path):
        first = (tmp_path / locks.LOCK_FILE).stat().st_mtime_ns
        time.sleep(0.5)
        assert (tmp_path / locks.LOCK_FILE).stat().st_mtime_ns > first


def test_a_drive_without_system_locks(holder, tmp_path, monkeypatch):
    """Then the process that the file names decides, if it is of this machine."""

    def unsupported(*_):
        raise OSError(locks.errno.ENOLCK, "No locks available")

    monkeypatch.setattr(locks.fcntl, "lockf", unsupported)
    with pytest.raises(UserError, match=f"process {holder.pid} on"):
        take(tmp_path / "run")
    holder.kill()
    holder.wait()
    take(tmp_path / "run")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"process": "x"}', "\0" * 5000])
def test_a_lock_file_that_a_kill_cut_off(tmp_path, content):
    (tmp_path / locks.LOCK_FILE).write_text(content)
    take(tmp_path)


def test_folders_that_were_made_for_nothing_are_removed(tmp_path):
    with pytest.raises(UserError, match="stop"), locks.locked(tmp_path / "a" / "b"):
        raise UserError("stop")
    assert list(tmp_path.iterdir()) == []
