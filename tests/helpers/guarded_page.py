"""A page that runs behind its guard, with small limits: the tests attack it."""

import contextlib

import pytest

from speech2face import app
from speech2face.web.limits import Limits
from tests.helpers.web import EXAMPLES, free_port

LIMITS = Limits(
    max_mb=1,
    max_secs=4.0,
    max_events=3,
    max_uploads=40,
    max_requests=5,
    pause_secs=1.0,
    send_secs=2.0,
)
HOST = "faces.example.org"  # beside the computer's own names
VOICE = (EXAMPLES / "man_24.ogg").read_bytes()
A, B = "a" * 22, "b" * 22  # cookies of two visitors


@contextlib.contextmanager
def running():
    """Serves the page in this process; yields its address and Gradio's Blocks."""
    from speech2face.web import page as page_lib
    from speech2face.web import server, serving

    build, built = page_lib.build, []

    def build_and_keep(*args):
        built.append(build(*args))
        return built[-1]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
            patch.setenv(name, "")  # put back at the end
        patch.setattr(serving, "HEADER_SECS", 1.0)
        patch.setattr(page_lib, "build", build_and_keep)
        examples = app.examples_in(EXAMPLES)
        with server.running(
            "", examples, LIMITS, "127.0.0.1", free_port(), [HOST]
        ) as url:
            yield url, built[-1]
