"""Shared by the tests of the web page."""

import base64
import io
import os
import pathlib
import re
import socket

import numpy as np
from PIL import Image

from tests.helpers.paths import REPOSITORY

EXAMPLES = REPOSITORY / "speech2face" / "examples"


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def pictures_in(page):
    """The pictures inside HTML, as arrays."""
    found = re.findall(r"data:image/png;base64,([^\"]+)", page)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(f)))) for f in found]


def temporary_files():
    """Returns the files that the page of this process has on the disk."""
    folder = pathlib.Path(os.environ["GRADIO_TEMP_DIR"])
    return [path for path in folder.rglob("*") if path.is_file()]
