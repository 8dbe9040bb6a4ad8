"""A web page: speak, and see the face that the model makes of the voice.

    python -m speech2face.app

Serves http://127.0.0.1:7860 to this computer alone, without the internet. Recordings
stay in memory; nothing is stored.
"""

import dataclasses
import threading

from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class AppOptions:
    """What to serve, to whom."""

    model_dir: str = option(
        "", "Bundle or run folder; by default the compact model that ships."
    )
    host: str = option(
        "127.0.0.1",
        "Address to serve at; 0.0.0.0 lets the network in (browsers then give the "
        "microphone only to pages behind HTTPS).",
    )
    port: int = option(7860, "Port to serve at.")
    max_mb: int = option(50, "Largest file that is taken, in MB.")
    max_secs: float = option(60.0, "Seconds of a recording that are used.")
    examples_dir: str = option(
        "", "Folder of example recordings; by default four generated voices."
    )


def main(options: AppOptions) -> None:
    """Serves until interrupted."""
    if options.max_mb < 1 or options.max_secs < 1:
        raise ValueError("--max_mb and --max_secs must be at least 1")
    from speech2face.web import server

    server.end_on_signals()
    with server.running(options) as address:
        print(f"open {address} (Ctrl-C ends it)", flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    flag_config.run(main, AppOptions)
