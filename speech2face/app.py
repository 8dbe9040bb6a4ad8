"""A web page: speak, and see the face that the model expects of the voice.

    python -m speech2face.app

Serves http://127.0.0.1:7860 to this computer only and needs no internet. Recordings
stay in memory; nothing is stored. docs/security.md says how to serve others.
"""

import dataclasses
import importlib.util
import pathlib
import re
import socket
import threading

from speech2face import media_files
from speech2face.artifacts.run_folder import check_model_folder
from speech2face.config import (
    IMAGE_SIZE_HELP,
    INFERENCE_PRECISION_HELP,
    ImageSize,
    InferencePrecision,
)
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.messages import slow_bfloat16
from speech2face.options import Options, option, run_command
from speech2face.system import has_fast_bfloat16
from speech2face.web.limits import Limits

EXAMPLES_DIR = pathlib.Path(__file__).parent / "examples"
MAX_PORT = 65_535  # ports are 16-bit numbers


@dataclasses.dataclass(frozen=True)
class AppOptions(Options):
    """Model to serve, address, and limits."""

    model_dir: str = option(
        "",
        "Bundle or run folder; by default the compact model that ships.",
        exists="folder",
    )
    image_size: ImageSize = option("224", IMAGE_SIZE_HELP)
    precision: InferencePrecision = option("float32", INFERENCE_PRECISION_HELP)
    host: str = option(
        "127.0.0.1",
        "Address to serve at; 0.0.0.0 serves the whole network (browsers then allow "
        "the microphone only on pages served over HTTPS).",
    )
    port: int = option(7860, "Port to serve at.", minimum=1, maximum=65_535)
    public_hosts: str = option(
        "",
        "Names, separated by commas, under which a proxy serves the page. Requests for "
        "names other than these, localhost and --host are refused.",
    )
    max_mb: int = option(
        50,
        "Largest accepted file in MB. Uploads are in memory, 20 of this size at most.",
        minimum=1,
        maximum=2_000,
    )
    max_secs: float = option(
        60.0, "Seconds of each recording that are used.", minimum=1, maximum=86_400
    )
    examples_dir: str = option(
        "",
        "Folder of example recordings; by default four generated voices.",
        exists="folder",
    )


def main(options: AppOptions) -> None:
    """Serves until interrupted."""
    _check_gradio()
    check_address(options.host, options.port)
    public_hosts = host_names(options.public_hosts)
    check_model_folder(options.model_dir)
    examples = examples_in(options.examples_dir or EXAMPLES_DIR)

    from speech2face.web import server

    if options.precision == "bfloat16" and not has_fast_bfloat16():
        print(slow_bfloat16("precision"))
    server.exit_on_signals()
    with server.running(
        options.model_dir,
        examples,
        Limits(options.max_mb, options.max_secs),
        options.host,
        options.port,
        public_hosts,
        image_size=int(options.image_size),
        precision=options.precision,
    ) as address:
        print(f"open {address} (Ctrl-C ends it)", flush=True)
        threading.Event().wait()  # forever: signals end the process


def check_address(host: str, port: int) -> None:
    """Checks that a server can listen at an address.

    Gradio reports a busy port too, but only after the model has been loaded.

    Raises:
      UserError: the port is not a port number.
      OSError: the port is busy, or the host is not an address of this computer.
    """
    if not 1 <= port <= MAX_PORT:
        raise UserError(f"--port={port}: expected a port from 1 to {MAX_PORT}")
    try:
        family, kind, *_, address = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind) as listener:
            # As servers do: a port that was in use a moment ago is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
    except OSError as error:
        raise OSError(
            f"cannot serve at {host}:{port}: {error.strerror}; choose another --port "
            "or --host"
        ) from None


def host_names(listed: str) -> list[str]:
    """Returns the names in a list separated by commas.

    Raises:
      UserError: one of them is not the name of a host.
    """
    names = [name.strip().strip("[]") for name in listed.split(",") if name.strip()]
    for name in names:
        if not re.fullmatch(r"[A-Za-z0-9._:-]+", name) or re.search(r":\d+$", name):
            raise UserError(
                f"--public_hosts: {name!r} is not the name of a host; expected names "
                "without scheme, port or path, such as faces.example.org"
            )
    return names


def examples_in(folder: PathLike) -> dict[str, pathlib.Path]:
    """Returns label -> path of the recordings in a folder.

    Raises:
      FileNotFoundError: the folder does not exist.
      UserError: the folder has no recordings.
    """
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder of examples {folder}")
    endings = (*media_files.SOUND_SUFFIXES, *media_files.VIDEO_SUFFIXES)
    paths = [
        path
        for path in sorted(folder.iterdir())
        if path.is_file()
        and not path.name.startswith(".")  # macOS: ._man_24.ogg, which is no sound
        and media_files.has_suffix(path.name, endings)
    ]
    if not paths:
        raise UserError(f"the folder of examples {folder} has no recordings")
    return {path.stem.replace("_", " ").capitalize(): path for path in paths}


def _check_gradio() -> None:
    if importlib.util.find_spec("gradio") is None:
        raise UserError(
            "the web page needs gradio: install the extra `app` with pip install "
            "-c constraints.txt -e '.[app]'"
        )


if __name__ == "__main__":
    run_command(main, AppOptions)
