"""Remote videos, through yt-dlp: their description, and byte ranges of their media.

yt-dlp knows the sites, and describes a video in a process of its own; FFmpeg's
libraries, inside PyAV, know the containers. Between them stands a file object that
turns reads into range requests, which yt-dlp sends with its cookies, proxy and headers.
So only the index and the packets of a segment travel, and no ffmpeg binary is started.
Media that a server does not give in ranges (or gives as a playlist of fragments) are
downloaded whole. Live streams are refused: they have no end. No body is read further
than what was asked for (docs/decisions/bounded-downloads.md).
"""

import contextlib
import pathlib
import queue
import re
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, cast

from data_prep.download.limits import RateLimit
from data_prep.download.range_reader import BLOCK_BYTES, RangeReader
from data_prep.download.yt_dlp_errors import UnavailableError, as_unavailable
from data_prep.download.yt_dlp_options import SourceConfig, new_ydl, ydl_options
from data_prep.download.yt_dlp_process import YtDlpProcess

_RECEIVE_BYTES = 1 << 16  # small enough to notice the deadline on a slow line

MAX_MEDIA_BYTES = 8_000_000_000  # of media that come whole: four hours of 720p
_MAX_PLAYLIST_BYTES = 20_000_000  # a day of fragments of a second
# Fetched by yt-dlp itself; for others it starts ffmpeg, rtmpdump or mplayer.
_FRAGMENT_PROTOCOLS = ("m3u8", "m3u8_native", "http_dash_segments")
_LIVE = ("is_live", "is_upcoming", "post_live")
# Beginnings of files that FFmpeg would take for a list of other files or addresses.
_LISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD", b"v=0", b"[playlist]")

VideoInfo = dict[str, Any]  # yt-dlp's description of a video or of one of its formats


class VideoSource:
    """yt-dlp for one thread: `find` a video, then `open` its tracks for a segment."""

    def __init__(self, config: SourceConfig, rate_limit: RateLimit):
        """Starts yt-dlp; `rate_limit` is shared with the other threads' sources."""
        self._config = config
        self._rate_limit = rate_limit
        options = ydl_options(config)
        self._ydl = new_ydl(options)
        self._describer = YtDlpProcess(options)
        self._downloader = YtDlpProcess(options)
        self._deadline = 0.0
        self.fetched_bytes = 0

    def find(self, youtube_id: str) -> VideoInfo:
        """Asks the site about a video.

        Returns:
          yt-dlp's description of it.

        Raises:
          UnavailableError: with the reason.
        """
        self._start_clock()
        url = self._config.url_template.replace("{id}", youtube_id)
        try:
            info = self._describer.describe(url, self._config.max_secs_per_segment)
        except subprocess.TimeoutExpired:
            raise self._too_late() from None
        self._take_cookies(info or {})
        if not info or info.get("_type") == "playlist":
            raise UnavailableError("failed", f"{url} is not a video", is_final=True)
        if info.get("is_live") or info.get("live_status") in _LIVE:
            raise _live_stream()
        return info

    @contextlib.contextmanager
    def open(self, info: VideoInfo) -> Iterator[list[str | BinaryIO]]:
        """Gives the files of a video: one, or one of the picture and one of the sound.

        Each is a path, or a file object that fetches the ranges that are read. Errors
        of the connection come out of the reads as `UnavailableError`.
        """
        self._start_clock()
        formats = info.get("requested_formats") or [info]
        parent = self._config.temporary_dir or None
        if parent:
            pathlib.Path(parent).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory("", "download_avspeech", parent) as name:
            folder = pathlib.Path(name)
            # The cutter raises OSError (disk) and ValueError (media), not yt-dlp.
            with as_unavailable(of_media=True, except_for=(OSError, ValueError)):
                yield [
                    # Not by the site's names, which may be of any length.
                    self._open_format(info, each, folder / f"track{number}")
                    for number, each in enumerate(formats)
                ]

    def stop(self) -> None:
        """Ends what runs in another thread."""
        self._describer.stop()
        self._downloader.stop()

    def close(self) -> None:
        """Closes connections, and ends the process that describes videos."""
        self.stop()
        self._ydl.close()

    def take_fetched_bytes(self) -> int:
        """Returns the bytes of media received since the last call."""
        n_bytes, self.fetched_bytes = self.fetched_bytes, 0
        return n_bytes

    def _open_format(
        self, info: VideoInfo, media: VideoInfo, path: pathlib.Path
    ) -> str | BinaryIO:
        if media.get("protocol") not in ("http", "https"):
            return self._download_fragments(info, media, path)
        response = self._request(media, 0, BLOCK_BYTES)
        match = re.fullmatch(
            r"bytes 0-\d+/(\d{1,18})", response.headers.get("Content-Range", "")
        )
        if response.status == 206 and match:
            n_bytes = int(match[1])
            first_block = self._receive(response, min(BLOCK_BYTES, n_bytes))
            _refuse_lists(first_block)
            reader = RangeReader(self._fetcher(media), n_bytes, first_block)
            return cast(BinaryIO, reader)  # which io.RawIOBase is not, for mypy
        return self._download_whole(response, path)

    def _download_whole(self, response: Any, path: pathlib.Path) -> str:
        """Saves the body of a server that ignores ranges."""
        declared = response.headers.get("Content-Length", "")
        is_number = bool(re.fullmatch(r"\d{1,18}", declared))
        n_bytes = int(declared) if is_number else None
        if n_bytes and n_bytes > MAX_MEDIA_BYTES:
            response.close()
            raise _too_large()
        with response, path.open("wb") as file:
            for piece in self._pieces(response, n_bytes or MAX_MEDIA_BYTES):
                file.write(piece)
        if n_bytes is not None and path.stat().st_size != n_bytes:
            raise _cut_off()
        with path.open("rb") as file:
            _refuse_lists(file.read(BLOCK_BYTES))
        return str(path)

    def _fetcher(self, media: VideoInfo) -> Callable[[int, int], bytes]:
        def fetch(first: int, n_bytes: int) -> bytes:
            response = self._request(media, first, n_bytes)
            if response.status != 206:
                raise UnavailableError(
                    "failed", "the server gave no range", is_final=False
                )
            return self._receive(response, n_bytes)

        return fetch

    def _request(self, media: VideoInfo, first: int | None, n_bytes: int) -> Any:
        """Asks for a range of bytes; for the whole body if `first` is None."""
        from yt_dlp.networking.common import Request

        headers = dict(media.get("http_headers") or {})
        if first is not None:
            headers["Range"] = f"bytes={first}-{first + n_bytes - 1}"
        headers["Accept-Encoding"] = "identity"  # ranges of a gzip stream are useless
        return self._answer_to(Request(media["url"], headers=headers))

    def _answer_to(self, request: Any) -> Any:
        """Sends a request; the headers of the answer must arrive in time.

        A server can send them byte by byte, and no timeout of a socket ends that. The
        thread that waits for them is then left behind.
        """
        ydl, answers = self._ydl, queue.SimpleQueue[Any]()

        def ask() -> None:
            try:
                answers.put(ydl.urlopen(request))
            except BaseException as error:
                answers.put(error)

        threading.Thread(target=ask, daemon=True).start()
        try:
            answer = answers.get(timeout=max(0.0, self._deadline - time.monotonic()))
        except queue.Empty:
            self._ydl = new_ydl(ydl_options(self._config))  # the other one is in use
            raise self._too_late() from None
        with as_unavailable(of_media=True):
            if isinstance(answer, BaseException):
                raise answer
        return answer

    def _receive(self, response: Any, n_bytes: int) -> bytes:
        with response:
            content = b"".join(self._pieces(response, n_bytes))
        if len(content) != n_bytes:
            raise _cut_off()
        return content

    def _pieces(self, response: Any, max_bytes: int) -> Iterator[bytes]:
        """Yields what is received; raises UnavailableError at more than `max_bytes`."""
        n_left = max_bytes
        # read1 returns what has arrived; read would wait past the deadline on a server
        # that sends a few bytes at a time.
        receive = getattr(response.fp, "read1", response.read)
        while True:
            with as_unavailable(of_media=True):
                piece = receive(_RECEIVE_BYTES)
            if not piece:
                return
            self.fetched_bytes += len(piece)
            self._rate_limit.spend(len(piece))
            self._check_clock()
            n_left -= len(piece)
            if n_left < 0:
                raise _too_large()
            yield piece

    def _download_fragments(
        self, info: VideoInfo, media: VideoInfo, path: pathlib.Path
    ) -> str:
        protocol = str(media.get("protocol"))
        if protocol not in _FRAGMENT_PROTOCOLS:
            reason = f"streams of the protocol {protocol:.40} are not fetched"
            raise UnavailableError("failed", reason, is_final=True)
        if protocol.startswith("m3u8"):
            self._check_ends(media)
        options = {**ydl_options(self._config), "format": media["format_id"]}
        # Without this key, "format" decides; yt-dlp's DASH does not take None for it.
        whole = {k: v for k, v in info.items() if k != "requested_formats"}
        self._downloader = YtDlpProcess(options)
        secs = self._deadline - time.monotonic()
        try:
            self._downloader.download(whole, path, MAX_MEDIA_BYTES, secs)
        except subprocess.TimeoutExpired:
            raise self._too_late() from None
        self.fetched_bytes += path.stat().st_size
        with path.open("rb") as file:
            _refuse_lists(file.read(BLOCK_BYTES))
        return str(path)

    def _take_cookies(self, info: VideoInfo) -> None:
        """Takes the cookies that the site has set while it was asked."""
        for media in [info, *(info.get("formats") or ())]:
            if media.get("cookies"):
                with as_unavailable():
                    self._ydl._load_cookies(media["cookies"], autoscope=False)

    def _check_ends(self, media: VideoInfo) -> None:
        """Raises UnavailableError unless an HLS playlist says that it is complete."""
        response = self._request(media, None, 0)
        with response:
            text = b"".join(self._pieces(response, _MAX_PLAYLIST_BYTES))
        if b"#EXT-X-ENDLIST" not in text and b"#EXT-X-STREAM-INF" not in text:
            raise _live_stream()

    def _start_clock(self) -> None:
        self._deadline = time.monotonic() + self._config.max_secs_per_segment

    def _check_clock(self) -> None:
        if time.monotonic() > self._deadline:
            raise self._too_late()

    def _too_late(self) -> UnavailableError:
        secs = self._config.max_secs_per_segment
        return UnavailableError("failed", f"took more than {secs:g} s", is_final=False)


def _cut_off() -> UnavailableError:
    return UnavailableError("failed", "the connection was cut", is_final=False)


def _too_large() -> UnavailableError:
    reason = "the server sent more than was asked for"
    return UnavailableError("failed", reason, is_final=False)


def _live_stream() -> UnavailableError:
    reason = "a live stream: a segment is only fetched of a video that has ended"
    return UnavailableError("failed", reason, is_final=False)


def _refuse_lists(beginning: bytes) -> None:
    """Raises UnavailableError if a server sent a list of media instead of media."""
    if beginning.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(_LISTS):
        reason = "the server sent a playlist instead of media"
        raise UnavailableError("failed", reason, is_final=True)
