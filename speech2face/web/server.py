"""Serves the page: loads the model, puts the guard in front, and cleans up."""

import contextlib
import http.client
import os
import pathlib
import signal
from collections.abc import Iterable, Iterator
from typing import Any

from speech2face import paper
from speech2face.config import InferencePrecision
from speech2face.files import PathLike
from speech2face.inference.model import Speech2Face
from speech2face.web.limits import Limits
from speech2face.web.private_folder import private_folder

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Set before gradio is imported, because it reports its use on import.
_PRIVATE = {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_DISABLE_TELEMETRY": "1"}


@contextlib.contextmanager
def running(
    model_dir: PathLike,
    examples: dict[str, pathlib.Path],
    limits: Limits,
    host: str,
    port: int,
    public_hosts: Iterable[str] = (),
    image_size: int = paper.FACE_PX,
    precision: InferencePrecision = "float32",
) -> Iterator[str]:
    """Serves the page and gives its address; recordings are never on the disk.

    Args:
      model_dir: bundle or run folder; '' for the model that ships.
      examples: label -> example recording.
      limits: what a recording may be.
      host: address to listen at.
      port: port to listen at.
      public_hosts: names under which a proxy serves the page.
      image_size: side of the faces in px.
      precision: arithmetic of the voice encoder.

    Raises:
      FileNotFoundError: there is no model in `model_dir`.
      UserError: the model is damaged.
      OSError: the port is busy.
    """
    # Gradio wants a folder. Nothing is written there, but were a later version to write
    # something, nobody else could read it.
    with private_folder() as folder:
        os.environ.update(_PRIVATE, GRADIO_TEMP_DIR=folder)
        from speech2face.web import page as page_lib
        from speech2face.web import serving
        from speech2face.web.forgetting import forgetting
        from speech2face.web.handlers import Handlers
        from speech2face.web.uploads import Uploads

        model = Speech2Face.load(model_dir or None, image_size, precision)
        uploads = Uploads(limits)
        Handlers(model, limits, examples, uploads).warm_up()
        page = page_lib.build(model, limits, examples, uploads)
        app = page_lib.guarded(page, limits, uploads, host, port, public_hosts)
        with forgetting(page, uploads), serving.served(app, host, port):
            try:
                _open(host, port)
                yield f"http://{_shown(host)}:{port}/"
            finally:
                page_lib.close(page)


def exit_on_signals() -> None:
    """Makes Ctrl-C and SIGTERM end the process with its temporary folder deleted."""

    def exit_process(*_: Any) -> None:
        for number in _SIGNALS:  # a second signal must not interrupt the cleanup
            signal.signal(number, signal.SIG_IGN)
        raise SystemExit(0)

    for number in _SIGNALS:
        signal.signal(number, exit_process)


def _shown(host: str) -> str:
    """The host in the address that is printed; 0.0.0.0 is not one to open."""
    host = host.strip("[]")
    if host in ("0.0.0.0", "::"):
        return "localhost"
    return f"[{host}]" if ":" in host else host


def _open(host: str, port: int) -> None:
    """Opens the page once: Gradio reads its templates for the first visitor."""
    host = host.strip("[]")
    # Not every system connects to the address that means all of its own.
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    connection = http.client.HTTPConnection(host, port, timeout=60)
    # A page that cannot be opened from here may still be opened from elsewhere.
    with contextlib.suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/", headers={"Host": "localhost"})
        connection.getresponse().read()
    connection.close()
