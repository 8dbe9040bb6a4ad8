"""Processes that start at once: forks of one that has imported TensorFlow.

They are what `python -m module flag ...` starts, without the seconds of the imports.
Not for a test of the start itself: the seed of Python's hashes and everything that
TensorFlow reads from the environment at its import are those of the first process.
"""

import itertools
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

from tests.helpers.paths import REPOSITORY


class ForkServer:
    """The process that the others are forks of; it ends with this one."""

    def __init__(self):
        """Starts it. The first fork waits until TensorFlow is imported."""
        self._folder = tempfile.TemporaryDirectory(prefix="forked")
        self._names = map(str, itertools.count())
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.fork_server", "--apart"],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            text=True,
        )

    def start(self, *words: str, cwd=REPOSITORY, **environment: str) -> "Forked":
        """Starts `python -m module flag ...`.

        Args:
          *words: module and flags.
          cwd: folder in which it runs.
          **environment: variables beside those of this process.
        """
        folder = pathlib.Path(self._folder.name, next(self._names))
        folder.mkdir()
        for name in ("stdout", "stderr"):  # may be read before the process opens them
            (folder / name).touch()
        paths = {n: str(folder / n) for n in ("pid", "status", "stdout", "stderr")}
        environment = {**os.environ, **environment}
        job = {"words": words, "env": environment, "cwd": str(cwd), **paths}
        self._process.stdin.write(json.dumps(job) + "\n")
        self._process.stdin.flush()
        return Forked(folder)

    def close(self) -> None:
        """Ends the server; processes that still run go on."""
        self._process.stdin.close()
        self._process.wait(60)
        self._folder.cleanup()


class Forked:
    """A process, used as `subprocess.Popen` is.

    Attributes:
      pid: its number.
    """

    def __init__(self, folder: pathlib.Path):
        """Waits until it is there; `folder` is where the server says how it goes."""
        self._folder = folder
        self.pid = self._number("pid", 120.0)

    @property
    def stdout(self) -> str:
        """Its standard output so far."""
        return (self._folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        """Its standard error so far."""
        return (self._folder / "stderr").read_text()

    def poll(self) -> int | None:
        """Returns its exit status, -n after signal n; None while it runs."""
        path = self._folder / "status"
        return int(path.read_text()) if path.exists() else None

    def wait(self, timeout_secs: float = 300.0) -> int:
        """Returns its exit status, once it has ended."""
        return self._number("status", timeout_secs)

    def send_signal(self, number: int) -> None:
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Sends SIGKILL, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def _number(self, name: str, timeout_secs: float) -> int:
        path, end = self._folder / name, time.monotonic() + timeout_secs
        while not path.exists():
            assert time.monotonic() < end, f"no {name} after {timeout_secs} s"
            time.sleep(0.01)
        return int(path.read_text())
