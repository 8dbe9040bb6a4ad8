"""Runs commands, each in a fork of one process that has imported TensorFlow.

    python fork_server.py < lines

Every line is a JSON list `[module, flag, ...]`, run as `python -m module flag ...`
would be, but without the seconds that each import takes. Stops at the first that fails.
"""

import json
import os
import runpy
import sys
import traceback

import keras  # noqa: F401 what every command would import
import tensorflow  # noqa: F401 not yet initialised: a fork is safe


def run(words):
    """Runs one command in this process; returns its exit status."""
    module, *sys.argv[1:] = words
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as stop:
        return stop.code or 0
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


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
