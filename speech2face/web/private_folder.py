"""A temporary folder that only this user can open, deleted even after a kill."""

import contextlib
import os
import pathlib
import shutil
import tempfile
import time
from collections.abc import Iterator

from speech2face import files

try:
    import fcntl
except ImportError:  # Windows, where another user cannot open the folder either
    fcntl = None  # type: ignore[assignment]

PREFIX = "speech2face_app_"
_YOUNG_SECS = 5.0  # a process that has just begun may not have locked its folder yet


@contextlib.contextmanager
def private_folder() -> Iterator[str]:
    """Makes a folder (mode 0700) and deletes it at the end.

    Folders of earlier processes that were killed are deleted first. A process keeps its
    folder locked, and the system unlocks it however the process ends.
    """
    sweep_abandoned()
    with tempfile.TemporaryDirectory(prefix=f"{PREFIX}{os.getpid()}_") as folder:
        with _locked(folder):
            yield folder


def sweep_abandoned() -> None:
    """Deletes folders of this user that no process holds."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):  # another process sweeps, too
            if _is_abandoned(folder):
                shutil.rmtree(folder)


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    # The folder itself, not a file in it as in `speech2face.locks`: an abandoned folder
    # is deleted whole. A number of a process alone would not do: containers that share
    # /tmp count their own.
    if fcntl is None:
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _is_abandoned(folder: pathlib.Path) -> bool:
    if fcntl is None:
        return False
    # A link is not followed: it may lead to a folder that is not ours.
    file = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        state = os.fstat(file)
        if state.st_uid != os.getuid():
            return False
        is_young = time.time() - state.st_mtime < _YOUNG_SECS
        if is_young and _is_running(folder.name):
            return False
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    finally:
        os.close(file)


def _is_running(folder_name: str) -> bool:
    process = folder_name[len(PREFIX) :].split("_", maxsplit=1)[0]
    return process.isdigit() and files.is_running(int(process))
