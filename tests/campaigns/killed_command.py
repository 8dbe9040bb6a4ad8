"""Runs one command again and again, and kills it: a process that is started by `kills`.

    python -m tests.campaigns.killed_command < request

TensorFlow is imported once; each run of the command is a fork of this process. The
request is a line of JSON with the fields of `Request`.
"""

import contextlib
import dataclasses
import importlib
import json
import os
import pathlib
import random
import runpy
import signal
import sys
import time
import traceback

_LONGEST_SECS = 240.0  # of a run without a kill


@dataclasses.dataclass(frozen=True)
class Request:
    """A command to kill.

    Attributes:
      module: of the command.
      arguments: of the command; {out} is its folder.
      preload: modules to import before the first fork.
      output_dir: folder that the command fills; those that were finished before they
        could be killed are moved beside it, as `output_dir`-1 and so on.
      n_kills: how often to kill.
      seed: draws the moments.
      secs: how long a run takes without a kill, about.
    """

    module: str
    arguments: list[str]
    preload: list[str]
    output_dir: str
    n_kills: int
    seed: int
    secs: float


def run(module: str, arguments: list[str]) -> int:
    """Runs a command in this process; returns its exit status."""
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def start(request: Request, output_dir: str) -> int:
    """Forks; returns the number of the process that runs the command."""
    process = os.fork()
    if not process:
        os.setsid()
        status = run(
            request.module, [a.replace("{out}", output_dir) for a in request.arguments]
        )
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return process


def wait(process: int, secs: float) -> int | None:
    """Returns the exit status of a process that ends in time."""
    end = time.monotonic() + secs
    while time.monotonic() < end:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.005)
    return None


def kill(process: int) -> None:
    """Kills the main process alone: whatever it has started must notice by itself."""
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)


def names(folder: str) -> set[tuple[str, int]]:
    """Returns the files in a folder, with sizes."""
    found = set()
    # Unlike `rglob`, `walk` goes on where a folder is gone meanwhile.
    for parent, _, files in os.walk(folder):
        for path in (pathlib.Path(parent, name) for name in files):
            with contextlib.suppress(OSError):  # the file is gone meanwhile
                found.add((str(path), path.stat().st_size))
    return found


def wait_for_moment(request: Request, process: int, draw: random.Random) -> int | None:
    """Waits for a random time, or for a file to be written; a status if it ended."""
    if draw.random() < 0.6:
        return wait(process, draw.uniform(0.0, request.secs))
    before, n_changes = names(request.output_dir), draw.randrange(1, 4)
    end = time.monotonic() + 3 * request.secs + 10
    while n_changes and time.monotonic() < end:
        status = wait(process, 0.01)
        if status is not None:
            return status
        now = names(request.output_dir)
        n_changes -= now != before
        before = now
    return wait(process, draw.choice([0.0, 0.0, draw.uniform(0.0, 0.05)]))


def main(request: Request) -> None:
    """Kills, resumes, and reports each run as a line of JSON."""
    for module in request.preload:
        importlib.import_module(module)
    draw = random.Random(request.seed)
    begin = time.monotonic()
    status = wait(start(request, f"{request.output_dir}-whole"), _LONGEST_SECS)
    request = dataclasses.replace(request, secs=time.monotonic() - begin)
    print(json.dumps({"run": "whole", "status": status}), flush=True)
    n_kills = n_finished = 0
    while True:
        process = start(request, request.output_dir)
        is_last = n_kills == request.n_kills
        if is_last:
            status = wait(process, _LONGEST_SECS)
        else:
            status = wait_for_moment(request, process, draw)
        if status is None:
            kill(process)
            n_kills += 1
            status = -signal.SIGKILL if not is_last else "still running"
        print(json.dumps({"run": n_kills, "status": status}), flush=True)
        if is_last or status not in (0, -signal.SIGKILL):
            return
        if status == 0:  # it was faster
            n_finished += 1
            finished = pathlib.Path(request.output_dir)
            finished.rename(f"{request.output_dir}-{n_finished}")


if __name__ == "__main__":
    main(Request(**json.loads(sys.stdin.readline())))
