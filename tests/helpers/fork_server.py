"""Runs commands, each in a fork of one process that has imported TensorFlow.

    python fork_server.py < lines

Every line is a JSON list `[module, flag, ...]`, run as `python -m module flag ...`
would be, but without the seconds that each import takes. Stops at the first that fails.

    python -m tests.helpers.fork_server --apart < lines

Every line is a JSON object that describes a process, see `tests.helpers.forked`. They
run beside each other, and the next line does not wait for the one before.
"""

import json
import os
import pathlib
import runpy
import signal
import sys
import tempfile
import traceback

import keras  # noqa: F401 what every command would import
import tensorflow  # noqa: F401 not yet initialized: a fork is safe


def run(words):
    """Runs one command in this process; returns its exit status."""
    module, *sys.argv[1:] = words
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        if isinstance(stop.code, str):
            print(stop.code, file=sys.stderr)
            return 1
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def become(job):
    """Turns this fork into the process that `job` describes."""
    opened = (os.devnull, job["stdout"], job["stderr"])
    for number, path in enumerate(opened):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        os.dup2(file, number)
        os.close(file)
    os.environ.clear()
    os.environ.update(job["env"])
    tempfile.tempdir = None  # an import may have asked for it
    os.chdir(job["cwd"])
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    sys.exit(run(job["words"]))  # ends as a command does: it waits for its threads


def supervise(job):
    """Starts the process, and writes its number and later how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = os.fork()
    if not child:
        become(job)
    write(job["pid"], child)
    write(job["status"], os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    os._exit(0)


def write(path, number):
    """Whoever sees the file sees all of it."""
    unfinished = pathlib.Path(path + ".tmp")
    unfinished.write_text(str(number))
    unfinished.rename(path)


def serve_apart():
    """Until there are no more lines."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the supervisors
    for line in sys.stdin:
        if not os.fork():
            supervise(json.loads(line))


def serve_in_turn():
    """Until there are no more lines, or a command fails."""
    for line in sys.stdin:
        print("$", *json.loads(line), flush=True)
        child = os.fork()
        if not child:
            status = run(json.loads(line))
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status:
            sys.exit(f"ended with {status}: {line}")


if __name__ == "__main__":
    serve_apart() if sys.argv[1:] == ["--apart"] else serve_in_turn()
