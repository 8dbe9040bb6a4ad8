"""Videos on the net, by yt-dlp: what there is, byte ranges of it, or why it is not.

yt-dlp knows the sites; FFmpeg's libraries, inside PyAV, know the containers. Between
them stands a file object that turns reads into range requests, sent by yt-dlp with its
cookies, proxy and headers. So only the index and the packets of a segment travel, and
no ffmpeg binary is needed. What cannot be had in ranges (a server without them, a
playlist of fragments) is downloaded whole.
"""

import contextlib
import dataclasses
import os
import re
import tempfile
import threading
import time
from typing import Any, BinaryIO, Callable, Dict, Iterator, List, Optional, Union

from data_prep.range_reader import BLOCK_BYTES, RangeReader

_RECEIVE_BYTES = 1 << 16
_SOCKET_TIMEOUT_SECS = 20.0


class Unavailable(Exception):
    """A video, or a part of it, that was not had.

    `state` is one of `download_status.STATES`; `is_final` says whether asking again is
    pointless, `is_throttled` that the site asks for patience.
    """

    def __init__(
        self, state: str, reason: str, is_final: bool, is_throttled: bool = False
    ):
        super().__init__(reason)
        self.state = state
        self.reason = reason
        self.is_final = is_final
        self.is_throttled = is_throttled


@dataclasses.dataclass(frozen=True)
class SourceConfig:
    """How to ask: see the flags of data_prep.download_avspeech."""

    url_template: str
    max_height_px: int
    cookies: str = ""
    proxy: str = ""
    max_bytes_per_sec: float = 0.0
    max_secs_per_segment: float = 300.0


class Bandwidth:
    """Shares a number of bytes a second between threads; 0 is no limit."""

    def __init__(self, bytes_per_sec: float):
        self._bytes_per_sec = bytes_per_sec
        self._lock = threading.Lock()
        self._free_at = 0.0

    def spend(self, n_bytes: int) -> None:
        """Waits until `n_bytes` may have been received."""
        if not self._bytes_per_sec:
            return
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now) + n_bytes / self._bytes_per_sec
            wait_secs = self._free_at - now
        time.sleep(wait_secs)


class VideoSource:
    """yt-dlp for one thread: `find` a video, then `open` its tracks for a segment."""

    def __init__(self, config: SourceConfig, bandwidth: Bandwidth):
        import yt_dlp

        self._config = config
        self._bandwidth = bandwidth
        self._ydl = yt_dlp.YoutubeDL(_ydl_options(config))
        self._deadline = 0.0
        self.fetched_bytes = 0

    def find(self, youtube_id: str) -> Dict[str, Any]:
        """Asks the site about a video.

        Returns:
          yt-dlp's description of it.

        Raises:
          Unavailable: with the reason.
        """
        self._start_clock()
        url = self._config.url_template.replace("{id}", youtube_id)
        try:
            info = self._ydl.extract_info(url, download=False)
        except Exception as error:  # yt-dlp's extractors raise anything
            raise unavailable(error) from None
        if not info or info.get("_type") == "playlist":
            raise Unavailable("failed", f"{url} is no video", is_final=True)
        return info

    @contextlib.contextmanager
    def open(self, info: Dict[str, Any]) -> Iterator[List[Union[str, BinaryIO]]]:
        """Gives the files of a video: one, or the picture's and the sound's.

        Each is a path or a file object that fetches what is read. Errors of the net
        come out of the reads as `Unavailable`.
        """
        self._start_clock()
        with tempfile.TemporaryDirectory(prefix="download_avspeech") as folder:
            formats = info.get("requested_formats") or [info]
            try:
                yield [self._open_format(info, each, folder) for each in formats]
            except Unavailable:
                raise
            except (OSError, ValueError):  # of the cutter and of the disk
                raise
            except Exception as error:
                raise unavailable(error, of_media=True) from None

    def close(self) -> None:
        """Closes connections."""
        self._ydl.close()

    def take_fetched_bytes(self) -> int:
        """Bytes of media received since the last call."""
        n_bytes, self.fetched_bytes = self.fetched_bytes, 0
        return n_bytes

    def _open_format(self, info, media, folder: str) -> Union[str, BinaryIO]:
        if media.get("protocol") not in ("http", "https"):
            return self._download_fragments(info, media, folder)
        response = self._request(media, 0, BLOCK_BYTES)
        match = re.fullmatch(
            r"bytes 0-\d+/(\d+)", response.headers.get("Content-Range", "")
        )
        if response.status == 206 and match:
            n_bytes = int(match[1])
            first = self._receive(response, min(BLOCK_BYTES, n_bytes))
            return RangeReader(self._fetch_of(media), n_bytes, first)
        path = os.path.join(folder, str(media.get("format_id", "media")))
        with response, open(path, "wb") as file:
            for piece in self._pieces(response):
                file.write(piece)
        declared = response.headers.get("Content-Length")
        if declared and os.path.getsize(path) != int(declared):
            raise Unavailable("failed", "the connection was cut", is_final=False)
        return path

    def _fetch_of(self, media) -> Callable[[int, int], bytes]:
        def fetch(first: int, n_bytes: int) -> bytes:
            response = self._request(media, first, n_bytes)
            if response.status != 206:
                raise Unavailable("failed", "the server gave no range", is_final=False)
            return self._receive(response, n_bytes)

        return fetch

    def _request(self, media, first: int, n_bytes: int):
        from yt_dlp.networking.common import Request

        headers = dict(media.get("http_headers") or {})
        headers["Range"] = f"bytes={first}-{first + n_bytes - 1}"
        headers["Accept-Encoding"] = "identity"
        try:
            return self._ydl.urlopen(Request(media["url"], headers=headers))
        except Exception as error:
            raise unavailable(error, of_media=True) from None

    def _receive(self, response, n_bytes: int) -> bytes:
        with response:
            content = b"".join(self._pieces(response))
        if len(content) != n_bytes:
            raise Unavailable("failed", "the connection was cut", is_final=False)
        return content

    def _pieces(self, response) -> Iterator[bytes]:
        # What has arrived, where that can be had: a drip must not outlast the clock.
        receive = getattr(response.fp, "read1", response.read)
        try:
            while piece := receive(_RECEIVE_BYTES):
                self.fetched_bytes += len(piece)
                self._bandwidth.spend(len(piece))
                self._check_clock()
                yield piece
        except Unavailable:
            raise
        except Exception as error:
            raise unavailable(error, of_media=True) from None

    def _download_fragments(self, info, media, folder: str) -> str:
        import yt_dlp

        name = re.sub(r"\W", "_", str(media.get("format_id", "media")))
        options = {
            **_ydl_options(self._config),
            "format": media["format_id"],
            "outtmpl": os.path.join(folder, name),
            "progress_hooks": [lambda progress: self._check_clock()],
        }
        with yt_dlp.YoutubeDL(options) as ydl:
            ydl.process_ie_result({**info, "requested_formats": None}, download=True)
        path = os.path.join(folder, name)
        self.fetched_bytes += os.path.getsize(path)
        return path

    def _start_clock(self) -> None:
        self._deadline = time.monotonic() + self._config.max_secs_per_segment

    def _check_clock(self) -> None:
        if time.monotonic() > self._deadline:
            secs = self._config.max_secs_per_segment
            reason = f"took more than {secs:g} s"
            raise Unavailable("failed", reason, is_final=False)


# Words of yt-dlp's and the sites' messages -> state, in this order.
_THROTTLED = re.compile(
    r"not a bot|rate.?limit|too many requests|try again later", re.I
)
_STATES = (
    ("private", re.compile(r"\bprivate\b", re.I)),
    (
        "blocked",
        re.compile(
            r"\bcountry\b|geo.?restrict|confirm your age|age.?restrict|members.?only"
            r"|join this channel|requires payment|blocked it|log ?in|sign in",
            re.I,
        ),
    ),
    (
        "gone",
        re.compile(
            r"unavailable|no longer|been removed|been terminated|does not exist"
            r"|not exist|deleted|not available",
            re.I,
        ),
    ),
)
_STATE_OF_STATUS = {404: "gone", 410: "gone", 451: "blocked", 401: "blocked"}


def unavailable(error: Exception, of_media: bool = False) -> Unavailable:
    """Sorts an error of yt-dlp or of the connection by what may be done about it.

    Args:
      error: what was raised.
      of_media: by a request for the media themselves, whose addresses expire: a
        refusal then is no final answer.
    """
    status = _http_status(error)
    if status is not None:
        reason = f"HTTP {status}"
        if status == 403 and not of_media:
            return Unavailable("blocked", reason, is_final=True)
        if status in _STATE_OF_STATUS and not of_media:
            return Unavailable(_STATE_OF_STATUS[status], reason, is_final=True)
        return Unavailable("failed", reason, False, is_throttled=status in (429, 503))
    message = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(error)).split())
    message = message.removeprefix("ERROR: ").split("; please report")[0][:200]
    if _THROTTLED.search(message):
        return Unavailable("failed", message, is_final=False, is_throttled=True)
    if _is_of_the_net(error):
        return Unavailable("failed", message, is_final=False)
    for state, words in _STATES:
        if words.search(message):
            return Unavailable(state, message, is_final=True)
    return Unavailable("failed", message or type(error).__name__, is_final=False)


def _causes(error: Optional[BaseException]) -> Iterator[BaseException]:
    """The error and what it was raised for, through yt-dlp's wrappers."""
    seen = set()
    while isinstance(error, BaseException) and id(error) not in seen:
        seen.add(id(error))
        yield error
        wrapped = getattr(error, "exc_info", None)
        inner = wrapped[1] if wrapped else None
        cause = getattr(error, "cause", None)
        error = next(
            (
                e
                for e in (cause, inner)
                if isinstance(e, BaseException) and e is not error
            ),
            error.__cause__,
        )


def _http_status(error: Exception) -> Optional[int]:
    from yt_dlp.networking.exceptions import HTTPError

    return next((e.status for e in _causes(error) if isinstance(e, HTTPError)), None)


def _is_of_the_net(error: Exception) -> bool:
    from yt_dlp.networking.exceptions import TransportError

    return any(isinstance(e, (TransportError, OSError)) for e in _causes(error))


def _ydl_options(config: SourceConfig) -> Dict[str, Any]:
    low = f"[height<=?{config.max_height_px}]"
    direct = "[protocol~='^https?$']"
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
        "fixup": "never",
        "logger": _Silent(),
        "cachedir": False,
        "socket_timeout": min(_SOCKET_TIMEOUT_SECS, config.max_secs_per_segment),
        "extractor_retries": 0,  # ours are polite
        "retries": 0,
        "fragment_retries": 3,
        "cookiefile": config.cookies or None,
        "proxy": config.proxy or None,
        "ratelimit": config.max_bytes_per_sec or None,
    }


class _Silent:
    def debug(self, message: str) -> None:
        pass

    warning = error = debug
