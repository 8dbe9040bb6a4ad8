"""A worker process of a local job: Beam's own, without its chatter or its orphans."""

import logging
import os
import sys
import threading
import time

PARENT_VARIABLE = "SPEECH2FACE_PARENT_PID"


def main() -> None:
    """Serves Beam until the job is over or its process is gone."""
    logging.disable(logging.WARNING)
    parent = os.environ.get(PARENT_VARIABLE)
    if parent:
        threading.Thread(target=_exit_with, args=[int(parent)], daemon=True).start()
    from apache_beam.runners.worker import sdk_worker_main

    sdk_worker_main.main(sys.argv)


def _exit_with(parent: int) -> None:
    while True:
        time.sleep(1.0)
        try:
            os.kill(parent, 0)
        except ProcessLookupError:
            os._exit(1)


if __name__ == "__main__":
    main()
