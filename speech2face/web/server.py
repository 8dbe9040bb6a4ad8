"""The page, served with a temporary folder of its own."""

import contextlib
import logging
import os
import pathlib
import signal
import tempfile
import threading
import time
from typing import TYPE_CHECKING, Iterator

import numpy as np

from speech2face.audio import SAMPLE_RATE_HZ
from speech2face.inference import Speech2Face
from speech2face.web.voices import Limits

if TYPE_CHECKING:
    from speech2face.app import AppOptions

# Uploads that nobody waits for any more: broken off, refused, or after the end, as the
# last second of a recording that was stopped while it came.
SWEEP_EVERY_SECS, STALE_SECS = 10, 100

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Before gradio is imported: it would report its use.
_PRIVATE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


@contextlib.contextmanager
def running(options: "AppOptions") -> Iterator[str]:
    """Serves the page and gives its address; at the end nothing is left on the disk.

    Raises:
      FileNotFoundError, ValueError: no such model or examples, or no gradio.
      OSError: the port is taken.
    """
    with tempfile.TemporaryDirectory(prefix="speech2face_app_") as folder:
        os.environ.update(_PRIVATE, GRADIO_TEMP_DIR=folder)
        logging.getLogger("httpx").setLevel(logging.WARNING)  # gradio greets itself
        page_module = _import_page()
        limits = Limits(options.max_mb, options.max_secs)
        examples_dir = pathlib.Path(options.examples_dir or page_module.EXAMPLES_DIR)
        examples = page_module.examples_in(examples_dir)
        model = Speech2Face.load(options.model_dir)
        _warm_up(model)
        page = page_module.build(model, limits, examples)
        ended = threading.Event()
        threading.Thread(target=_keep_swept, args=(folder, ended), daemon=True).start()
        try:
            yield page_module.serve(page, limits, options.host, options.port)
        finally:
            ended.set()
            page.close(verbose=False)


def end_on_signals() -> None:
    """Lets Ctrl-C and SIGTERM end the process in good order, whatever it is at."""

    def end(*_) -> None:
        for number in _SIGNALS:  # a second one must not cut the tidying short
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    for number in _SIGNALS:
        signal.signal(number, end)


def sweep(folder: str, stale_secs: float) -> None:
    """Deletes the files of a folder that were not written to for so long."""
    for path in pathlib.Path(folder).rglob("*"):
        with contextlib.suppress(OSError):  # deleted by whoever used it
            if path.is_file() and time.time() - path.stat().st_mtime > stale_secs:
                path.unlink()


def _keep_swept(folder: str, ended: threading.Event) -> None:
    while not ended.wait(SWEEP_EVERY_SECS):
        sweep(folder, STALE_SECS)


def _import_page():
    try:
        from speech2face.web import page
    except ModuleNotFoundError as error:
        raise ValueError(
            f"the web page needs {error.name}: install the extra `app` with pip "
            "install -c constraints.txt -e '.[app]'"
        ) from None
    return page


def _warm_up(model: Speech2Face) -> None:
    """Builds the graphs, so that the first voice does not wait for them."""
    noise = np.random.default_rng(0).normal(0, 0.1, 3 * SAMPLE_RATE_HZ)
    model(noise.astype(np.float32))
