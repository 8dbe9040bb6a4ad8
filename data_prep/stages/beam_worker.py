"""Worker processes of a local job: Beam's own, watched from both sides.

Beam waits forever for a local worker that was killed (out of memory) or crashed (a
decoder on damaged media), and its workers outlive a main process that was killed. So
each worker has a file, named by its process id, that contains the id of its current
clip. A worker exits when the main process is gone. `watch` ends the job when a worker
is gone, or has spent too long on one clip.
"""

import contextlib
import logging
import os
import pathlib
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from speech2face import system

PARENT_VARIABLE = "SPEECH2FACE_PARENT_PID"
FOLDER_VARIABLE = "SPEECH2FACE_WORKER_DIR"
_POLL_SECS = 0.2


class WorkerEnd(NamedTuple):
    """The end of a worker.

    Attributes:
      clip_id: its clip at that time; '' if it had none.
      how: 'crash' or 'timeout'.
    """

    clip_id: str
    how: str


def main() -> None:
    """Serves Beam until the job is over or the main process is gone."""
    logging.disable(logging.WARNING)
    # Workers are spread over the cards; their process ids follow each other, nearly.
    card = system.cards_of_worker(os.getpid(), len(system.nvidia_cards()))
    if card is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = card
    set_current_clip("")
    parent = int(os.environ[PARENT_VARIABLE])
    threading.Thread(target=_exit_after, args=[parent], daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)
    _file_of_this_worker().unlink()


def set_current_clip(clip_id: str) -> None:
    """Writes the clip into this worker's file; outside a worker, does nothing."""
    if FOLDER_VARIABLE in os.environ:
        _file_of_this_worker().write_text(clip_id, encoding="utf-8")


def watch(
    job: Callable[[], None], folder: pathlib.Path, max_secs_per_clip: float
) -> list[WorkerEnd]:
    """Runs `job` in a thread until it ends or one of its workers does.

    Args:
      job: starts worker processes and waits for them.
      folder: where the workers have their files.
      max_secs_per_clip: a worker that spends longer than this on one clip is killed.

    Returns:
      The ends of workers; empty if the job finished.

    Raises:
      Exception: what `job` raises, after the workers are stopped.
    """
    errors: list[BaseException] = []

    def run() -> None:
        try:
            job()
        except BaseException as error:  # handed to the caller below
            errors.append(error)

    # A daemon: Beam would keep this process alive after the death of a worker.
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
        with contextlib.suppress(FileNotFoundError):  # the worker ended normally
            clip_id = file.read_text(encoding="utf-8")
            age_secs = time.time() - file.stat().st_mtime
            if not _is_alive(file):
                yield WorkerEnd(clip_id, "crash")
            elif clip_id and age_secs > max_secs_per_clip:
                yield WorkerEnd(clip_id, "timeout")


def _file_of_this_worker() -> pathlib.Path:
    return pathlib.Path(os.environ[FOLDER_VARIABLE]) / str(os.getpid())


def _is_alive(file: pathlib.Path) -> bool:
    """Returns whether the worker of this file runs, or ended normally meanwhile."""
    try:
        os.kill(int(file.name), 0)  # signal 0 only checks that the process exists
        return True
    except ProcessLookupError:
        return not file.exists()


def _stop_all(folder: pathlib.Path) -> None:
    for file in list(folder.iterdir()):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(file.name), signal.SIGKILL)
        file.unlink(missing_ok=True)


def _exit_after(parent: int) -> None:
    """Exits when the process `parent` is gone."""
    while True:
        time.sleep(1.0)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(1)


if __name__ == "__main__":
    main()
