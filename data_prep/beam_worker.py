"""Worker processes of a local job: Beam's own, watched from both sides.

Beam waits for ever for a local worker that was killed (out of memory) or crashed (a
decoder on damaged media), and its workers outlive a main process that was killed. Here
each worker keeps a file named by its process id that says which clip it is at; it exits
when the main process is gone; and `watch` ends a job one of whose workers is gone, or
has been at one clip for too long.
"""

import contextlib
import logging
import os
import pathlib
import signal
import sys
import threading
import time
from typing import Callable, Iterator, List, NamedTuple

PARENT_VARIABLE = "SPEECH2FACE_PARENT_PID"
FOLDER_VARIABLE = "SPEECH2FACE_WORKER_DIR"
_POLL_SECS = 0.2


class WorkerEnd(NamedTuple):
    """At which clip a worker ended ('': at none), and how: 'crash' or 'timeout'."""

    clip_id: str
    how: str


def main() -> None:
    """Serves Beam until the job is over or its process is gone."""
    logging.disable(logging.WARNING)
    note("")
    parent = int(os.environ[PARENT_VARIABLE])
    threading.Thread(target=_exit_with, args=[parent], daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
    _own_file().unlink()


def note(clip_id: str) -> None:
    """Says, in a worker process, which clip it is at; elsewhere does nothing."""
    if FOLDER_VARIABLE in os.environ:
        _own_file().write_text(clip_id, encoding="utf-8")


def watch(
    job: Callable[[], None], folder: pathlib.Path, max_secs_per_clip: float
) -> List[WorkerEnd]:
    """Runs `job` in a thread until it ends or one of its workers does.

    Args:
      job: starts worker processes and waits for them.
      folder: where they keep their files.
      max_secs_per_clip: a worker that is at a clip for longer is ended.

    Returns:
      How workers ended; empty if none did before the job was done.

    Raises:
      Whatever `job` raises. The workers are stopped first.
    """
    errors: List[BaseException] = []

    def run() -> None:
        try:
            job()
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_POLL_SECS)
            ends = list(_ends(folder, max_secs_per_clip))
            if ends and thread.is_alive():
                return ends
    finally:
        _stop_all(folder)
    if errors:
        raise errors[0]
    return []


def _ends(folder: pathlib.Path, max_secs_per_clip: float) -> Iterator[WorkerEnd]:
    for file in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # it ended in good order
            clip_id = file.read_text(encoding="utf-8")
            age_secs = time.time() - file.stat().st_mtime
            if not _is_alive(file):
                yield WorkerEnd(clip_id, "crash")
            elif clip_id and age_secs > max_secs_per_clip:
                yield WorkerEnd(clip_id, "timeout")


def _own_file() -> pathlib.Path:
    return pathlib.Path(os.environ[FOLDER_VARIABLE]) / str(os.getpid())


def _is_alive(file: pathlib.Path) -> bool:
    """Whether the worker of this file runs, or ended in good order meanwhile."""
    try:
        os.kill(int(file.name), 0)
        return True
    except ProcessLookupError:
        return not file.exists()


def _stop_all(folder: pathlib.Path) -> None:
    for file in list(folder.iterdir()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.name), signal.SIGKILL)
        file.unlink(missing_ok=True)


def _exit_with(parent: int) -> None:
    while True:
        time.sleep(1.0)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(1)


if __name__ == "__main__":
    main()
