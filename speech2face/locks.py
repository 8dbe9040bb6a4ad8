"""Locks of folders: one process at a time writes a run folder or a data folder.

The lock is the file `.lock` in the folder. It says who holds it, and the system's own
lock on it (POSIX, also over NFS) decides between processes. That lock ends with its
process, however it ends, so a killed job leaves nothing that stops the next one.

Some network drives do not tell the machines about each other's locks. So the holder
also touches the file every few seconds: a process of another machine takes the lock
over only when the file has not changed for a while. See docs/decisions/folder-locks.md.
"""

import contextlib
import errno
import itertools
import json
import os
import pathlib
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import parse_json

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

LOCK_FILE = ".lock"
HEARTBEAT_SECS = 10.0
# A holder on another machine counts as dead when it misses three heartbeats.
SILENT_SECS = 3.5 * HEARTBEAT_SECS
BUCKET_RACE_SECS = 1.0
_MAX_HOLDER_BYTES = 1000  # of a lock file: a host's name and two numbers
_UNSUPPORTED = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)

_held: set[str] = set()  # POSIX locks do not hold within a process: threads
_held_lock = threading.Lock()


@contextlib.contextmanager
def locked(folder: PathLike) -> Iterator[None]:
    """Holds the lock of a folder, which is created; on Windows, does nothing.

    Args:
      folder: folder of a run or of a data set.

    Raises:
      UserError: another process works in it; the message names host and process.
    """
    if files.is_in_bucket(folder):
        with _locked_bucket(files.as_path(folder)):
            yield
        return
    folder = pathlib.Path(folder)
    created = _create(folder)
    key = os.path.realpath(folder)
    with _held_lock:
        if key in _held:
            raise _in_use(folder, _me())
        _held.add(key)
    try:
        with _lock_file(folder):
            yield
    finally:
        _held.discard(key)
        for path in created:  # nothing was written
            with contextlib.suppress(OSError):
                path.rmdir()


@contextlib.contextmanager
def _locked_bucket(folder: pathlib.Path) -> Iterator[None]:
    """Holds a folder of an object store with an object that is written again and again.

    Stores have no locks: of two processes that begin within a second of one another,
    the one that wrote last holds it.
    """
    path = folder / LOCK_FILE
    holder = _bucket_holder(path)
    if holder and _is_alive_in_bucket(path, holder):
        raise _in_use(folder, holder)
    stop = threading.Event()
    me = {**_me(), "run": uuid.uuid4().hex, "beat": 0}
    heart = threading.Thread(target=_beat_in_bucket, args=(path, me, stop), daemon=True)
    path.write_bytes(json.dumps(me).encode())
    time.sleep(BUCKET_RACE_SECS)
    winner = _bucket_holder(path)
    if winner.get("run") != me["run"]:
        raise _in_use(folder, winner)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()
        path.unlink(missing_ok=True)


def _bucket_holder(path: pathlib.Path) -> dict[str, Any]:
    try:
        return _parse_holder(path.read_bytes()[:_MAX_HOLDER_BYTES])
    except FileNotFoundError:
        return {}


def _is_alive_in_bucket(path: pathlib.Path, holder: dict[str, Any]) -> bool:
    if holder.get("host") == _me()["host"]:
        return files.is_running(int(holder["process"]))
    end = time.monotonic() + SILENT_SECS
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENT_SECS / 10))
        if _bucket_holder(path) not in (holder, {}):
            return True
    return False


def _beat_in_bucket(
    path: pathlib.Path, me: dict[str, Any], stop: threading.Event
) -> None:
    for beat in itertools.count(1):
        if stop.wait(HEARTBEAT_SECS):
            return
        with contextlib.suppress(OSError):  # a store that is away for a moment
            if _bucket_holder(path).get("run", me["run"]) != me["run"]:
                return  # somebody took over: a beat would be in their name
            path.write_bytes(json.dumps({**me, "beat": beat}).encode())


def _create(folder: pathlib.Path) -> "list[pathlib.Path]":
    """Creates a folder; returns those that were created, the innermost first."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


@contextlib.contextmanager
def _lock_file(folder: pathlib.Path) -> Iterator[None]:
    if fcntl is None:
        yield
        return
    path = folder / LOCK_FILE
    descriptor = _acquire(folder, path)
    stop = threading.Event()
    heart = threading.Thread(target=_beat, args=(descriptor, stop), daemon=True)
    heart.start()
    try:
        yield
    finally:
        stop.set()
        heart.join()
        path.unlink(missing_ok=True)  # before the lock ends, so that it is still ours
        os.close(descriptor)


def _acquire(folder: pathlib.Path, path: pathlib.Path) -> int:
    """Returns the open lock file, locked and with our name in it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            is_certain = _lock(descriptor, folder)
            if not _is_at(path, descriptor):  # its holder has just removed it
                os.close(descriptor)
                continue
            _check_holder(descriptor, folder, is_certain)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(_me()).encode(), 0)
            return descriptor
        except BaseException:
            os.close(descriptor)
            raise


def _lock(descriptor: int, folder: pathlib.Path) -> bool:
    """Takes the system's lock; returns False where there are none."""
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EAGAIN):
            raise _in_use(folder, _holder(descriptor)) from None
        if error.errno in _UNSUPPORTED:
            return False
        raise
    return True


def _check_holder(descriptor: int, folder: pathlib.Path, is_certain: bool) -> None:
    """Raises UserError if the process that the lock file names is still alive.

    Args:
      descriptor: file descriptor of the lock file.
      folder: folder that the message names.
      is_certain: the system's lock was taken, so no process of this machine holds it.
    """
    holder = _holder(descriptor)
    if not holder:
        return
    if holder.get("host") == _me()["host"]:
        is_alive = not is_certain and files.is_running(int(holder.get("process", 0)))
    else:
        is_alive = _changes(descriptor)
    if is_alive:
        raise _in_use(folder, holder)


def _changes(descriptor: int) -> bool:
    """Waits for a heartbeat. It compares times of the drive alone: clocks differ."""
    before = os.fstat(descriptor).st_mtime_ns
    end = time.monotonic() + SILENT_SECS
    while time.monotonic() < end:
        time.sleep(min(1.0, SILENT_SECS / 10))
        if os.fstat(descriptor).st_mtime_ns != before:
            return True
    return False


def _beat(descriptor: int, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_SECS):
        with contextlib.suppress(OSError):  # a drive that is away for a moment
            os.utime(descriptor)


def _is_at(path: pathlib.Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _holder(descriptor: int) -> dict[str, Any]:
    return _parse_holder(os.pread(descriptor, _MAX_HOLDER_BYTES, 0))


def _parse_holder(text: bytes) -> dict[str, Any]:
    """Returns what a lock file says; {} if a kill came before it said anything."""
    try:
        content = parse_json(text, "a lock file")
        int(content["process"])
        return dict(content)
    except (ValueError, TypeError, KeyError):
        return {}


def _me() -> dict[str, Any]:
    return {"host": socket.gethostname(), "process": os.getpid()}


def _in_use(folder: pathlib.Path, holder: dict[str, Any] | None) -> UserError:
    who = "another process"
    if holder:
        who = f"process {holder['process']} on {holder.get('host', '?')}"
    return UserError(
        f"{folder} is in use: {who} works in it; wait for its end, stop it, or choose "
        "another folder",
        reason="in_use",
    )
