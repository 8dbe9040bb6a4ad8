"""Options of yt-dlp with which videos are requested."""

import dataclasses
import os
from typing import Any

_SOCKET_TIMEOUT_SECS = 20.0  # yt-dlp's own default


@dataclasses.dataclass(frozen=True)
class SourceConfig:
    """Settings of a request: see the flags of data_prep.download_avspeech."""

    url_template: str
    max_height_px: int
    cookies: str = ""
    proxy: str = ""
    max_bytes_per_sec: float = 0.0
    max_secs_per_segment: float = 300.0
    temporary_dir: str = ""  # '' is the system's


def new_ydl(options: dict[str, Any]) -> Any:
    """Starts yt-dlp in this process."""
    import yt_dlp

    return yt_dlp.YoutubeDL({**options, "logger": _Silent()})


def ydl_options(config: SourceConfig) -> dict[str, Any]:
    """Returns options of yt-dlp, as JSON has them."""
    low = f"[height<=?{config.max_height_px}]"
    direct = "[protocol~='^https?$']"
    # Direct downloads first: they can be read in ranges, playlists cannot.
    formats = [
        f"bv*{low}{direct}+ba{direct}",
        f"b{low}{direct}",
        f"bv*{low}+ba",
        f"b{low}",
        "b",
    ]
    return {
        "format": "/".join(formats),
        "quiet": True,
        "no_warnings": True,
        "noprogress": True,
        "noplaylist": True,
        "fixup": "never",  # would run an ffmpeg binary
        # No ffmpeg binary: it would keep to no limit of ours.
        "ffmpeg_location": os.path.join(os.sep, "nowhere", "ffmpeg"),  # noqa: PTH118
        "hls_prefer_native": True,
        "cachedir": False,
        "socket_timeout": min(_SOCKET_TIMEOUT_SECS, config.max_secs_per_segment),
        # The job retries, with a backoff that all threads respect.
        "extractor_retries": 0,
        "retries": 0,
        "fragment_retries": 3,
        "cookiefile": config.cookies or None,
        "proxy": config.proxy or None,
        "ratelimit": config.max_bytes_per_sec or None,  # of fragments
    }


class _Silent:
    """A logger that yt-dlp writes to; errors are raised as well, so nothing is lost."""

    def debug(self, message: str) -> None:
        pass

    warning = error = debug
