"""Runs the commands that a user would type, one after the other."""

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence

from speech2face.errors import UserError


def run(command: Sequence[str]) -> None:
    """Prints and runs `python -m` with these words, and prints how long it took.

    SIGTERM is passed on to the command, which stops and saves. Ctrl-C reaches it from
    the terminal. Call it from the main thread, which alone may handle signals.

    Raises:
      UserError: the command has failed or was stopped; it has said why itself.
    """
    print(f"\n$ python -m {shlex.join(command)}", flush=True)
    start = time.monotonic()
    with subprocess.Popen([sys.executable, "-m", *command]) as process:
        before = signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        try:
            status = process.wait()
        finally:
            signal.signal(signal.SIGTERM, before)
    if status:
        raise UserError(f"{command[0]} ended with status {status}; see above")
    print(f"  {time.monotonic() - start:.0f} s", flush=True)
