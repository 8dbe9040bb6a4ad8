"""Opens media files: the one place where FFmpeg meets input from strangers.

FFmpeg would open whatever it recognizes: a playlist, a list of files to join or a
session description names other files and addresses, which it then reads. Here it gets
one open file and nothing else: it knows no name, cannot open a second file or a
connection, and uses only the readers of real containers. Every read has a time limit.
docs/decisions/untrusted-media.md.
"""

import contextlib
import errno
import io
import os
import time
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO, NoReturn

import av

from speech2face import archives
from speech2face.audio.codecs import DECODERS
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path

# FFmpeg's names of the containers that are read: each holds its own sound and pictures.
# mov is MP4, M4A and 3GP, too; matroska is WebM; mpeg and mpegts are from broadcasts;
# aac, h264, hevc, loas and mpegvideo are bare streams.
# Not in the paper: docs/decisions/untrusted-media.md.
# fmt: off
CONTAINERS = (
    "mov", "matroska", "avi", "asf", "flv", "mpeg", "mpegts", "mxf", "gxf", "nut",
    "wtv", "dv", "rm", "nsv", "ivf", "h264", "hevc", "mpegvideo",
    "wav", "w64", "aiff", "au", "caf", "flac", "mp3", "aac", "loas", "ogg", "amr",
    "ac3", "eac3", "dts", "truehd", "ape", "wv", "tta", "tak", "mpc", "mpc8", "oma",
    "voc", "sox", "shn", "nistsphere",
)
# fmt: on

# For one packet of a file on a disk: a busy network disk needs seconds.
READ_SECS = 60.0
REMOTE_READ_SECS = 600.0  # file objects fetch from servers and have limits of their own
MAX_FRAME_PIXELS = 8192 * 4352  # 8K; a decoder keeps several frames: 50 MB each
MAX_FRAME_SAMPLES = 1 << 22  # in a packet: the longest known codec packs 2**20
_CODEC_LIMITS = {
    "codec_whitelist": ",".join(DECODERS),
    "max_pixels": str(MAX_FRAME_PIXELS),
    "max_samples": str(MAX_FRAME_SAMPLES),
}
_BUFFER_BYTES = 1 << 17  # fewer calls from FFmpeg into Python than its own 32 kB

Source = PathLike | BinaryIO


class Media:
    """An open media file.

    Attributes:
      container: PyAV's container; read from it only through `packets` and `seek`.
      start_secs: the file's own time at its beginning. Files cut from a broadcast count
        from the broadcast's beginning.
    """

    def __init__(self, reader: "_Reader", name: str, limit_secs: float):
        """Opens the container that `reader` reads."""
        self._reader, self._name, self._limit_secs = reader, name, limit_secs
        self.container = self._open()
        self.start_secs = (self.container.start_time or 0) / av.time_base

    def _open(self) -> Any:
        self._reader.seek(0)
        self._reader.start_clock()
        container = _container(self._reader, self._name, self._limit_secs)
        self._reader.check()
        return container

    def packets(self, stream: Any) -> Iterator[Any]:
        """Yields the packets of a stream; each must arrive within the time limit."""
        # A decoder has limits of its own: packets need not be as the header says.
        stream.codec_context.options = _CODEC_LIMITS
        packets = self.container.demux(stream)
        while True:
            self._reader.start_clock()
            packet = next(packets, None)
            self._reader.check()
            if packet is None:
                return
            yield packet

    def seek(self, offset: int, stream: Any | None = None) -> None:
        """Asks FFmpeg for a key frame at or before `offset`, in the stream's units.

        It may land later: `seeking.frames_from` checks where.
        """
        self._reader.start_clock()
        self.container.seek(offset, stream=stream)

    def rewind(self, stream: Any) -> Any:
        """Opens the file anew, at its beginning; returns the same stream there.

        A seek to the beginning fails where there is no index.
        """
        # Read before the container is closed: then PyAV's stream points to nothing.
        index, threads = stream.index, stream.codec_context.thread_count
        self.container.close()
        self.container = self._open()
        reopened = self.container.streams[index]
        reopened.codec_context.thread_count = threads
        return reopened


def default_of(streams: Sequence[Any]) -> Any:
    """Returns the stream that players play: the first that is marked as default."""
    default = av.stream.Disposition.default
    return next((s for s in streams if s.disposition & default), streams[0])


def require_decoder(stream: Any, name: str) -> None:
    """Raises UserError unless FFmpeg can decode a stream within the limits."""
    if stream.codec_context is None:
        raise UserError(
            f"{name} is unreadable as audio or video: its {stream.type} has an unknown "
            "codec",
            reason="unreadable",
        )
    codec = stream.codec_context.codec.name
    if codec not in DECODERS:
        raise UserError(
            f"{name} is unreadable as audio or video: its {stream.type} has the codec "
            f"{codec}, which is not decoded here; convert it to H.264 with AAC",
            reason="unreadable",
        )
    # FFmpeg gives no size where it is beyond the limit, or nothing could be decoded.
    if (
        stream.type == "video"
        and not 0 < stream.width * stream.height <= MAX_FRAME_PIXELS
    ):
        raise UserError(
            f"{name} has pictures that are damaged or larger than "
            f"{MAX_FRAME_PIXELS / 1e6:.1f} megapixels",
            reason="too_large",
        )


@contextlib.contextmanager
def open_media(
    source: Source, name: str, read_secs: float | None = None
) -> Iterator[Media]:
    """Opens a media file for reading.

    Args:
      source: a path, whatever its name looks like, or a file object that can seek.
      name: what errors call it.
      read_secs: limit for opening, and for each packet; by default 60 s for a path and
        10 minutes for a file object.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: not a plain file, not a container that is read here, damaged (also in
        the body of the `with`), or too slow.
    """
    with _opened(source, name) as file:
        is_path = file is not source
        limit_secs = read_secs or (READ_SECS if is_path else REMOTE_READ_SECS)
        reader = _Reader(file, name, limit_secs)
        try:
            media = Media(reader, name, limit_secs)
            try:
                yield media
            finally:
                media.container.close()
        except av.error.ExitError:  # PyAV's own clock
            raise reader.too_slow() from None
        except av.error.FFmpegError as error:
            reader.check()
            words = error.strerror or type(error).__name__
            raise UserError(
                f"{name} is unreadable as audio or video: {words}", reason="unreadable"
            ) from None


def _container(reader: "_Reader", name: str, limit_secs: float) -> Any:
    try:
        return _open_with_ffmpeg(reader, limit_secs)
    except av.error.ArgumentError:  # FFmpeg's word for what is not on the list
        reader.check()
        raise UserError(
            f"{name} is unreadable as audio or video: playlists, lists of files, "
            "streams and pictures are not recordings",
            reason="unreadable",
        ) from None


def _open_with_ffmpeg(reader: "_Reader", limit_secs: float) -> Any:
    return av.open(
        reader,
        metadata_errors="replace",
        buffer_size=_BUFFER_BYTES,
        timeout=limit_secs,  # interrupts FFmpeg's own loops; the reader, its reads
        options={
            "format_whitelist": ",".join(CONTAINERS),
            "protocol_whitelist": "",
            **_CODEC_LIMITS,
        },
        io_open=_refuse,
    )


@contextlib.contextmanager
def _opened(source: Source, name: str) -> Iterator[Any]:
    """Gives a file object at its beginning; closes it only if it opened it."""
    if not isinstance(source, (str, os.PathLike)):
        source.seek(0)  # a caller may have read the beginning
        yield source
        return
    path = as_path(source)
    is_file = archives.is_file(source)
    if not is_file and not path.exists():
        raise FileNotFoundError(f"no such file: {name}")
    if not is_file:  # opening a named pipe would wait for its writer
        raise UserError(f"{name} is not a file", reason="not_a_file")
    with archives.open_binary(source) as file:
        yield file


def _refuse(url: str, flags: int, options: Any) -> NoReturn:
    """Refuses what a file wants opened besides itself."""
    raise PermissionError(f"a media file may not open another one: {url!r:.80}")


class _Reader(io.RawIOBase):
    """A file as FFmpeg sees it: bytes without a name.

    An error of the file, or the end of the time, ends it for FFmpeg, which might
    otherwise try again or take no notice; `check` raises it after FFmpeg's call.
    """

    def __init__(self, file: Any, name: str, limit_secs: float):
        super().__init__()
        self._file = file
        self._source_name = name
        self._limit_secs = limit_secs
        self._error: Exception | None = None
        self.start_clock()

    def start_clock(self) -> None:
        """Begins an operation, which may take `limit_secs`."""
        self._deadline = time.monotonic() + self._limit_secs

    def check(self) -> None:
        """Raises what went wrong in the reads of FFmpeg's last call."""
        if self._error:
            raise self._error

    def too_slow(self) -> UserError:
        """Returns the error of a read that took longer than the limit."""
        return UserError(
            f"{self._source_name} was not read within {self._limit_secs:g} s",
            reason="too_slow",
        )

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        try:
            return self._file.seek(offset, whence)
        except (ValueError, OverflowError):
            return -1  # damaged files lead anywhere, before the beginning, too
        except OSError as error:
            if error.errno != errno.EINVAL:  # the same, of a file on a disk
                self._error = error
            return -1
        except Exception as error:
            self._error = error
            return -1

    def read(self, n_bytes: int = -1) -> bytes:
        if not self._error and time.monotonic() > self._deadline:
            self._error = self.too_slow()
        if self._error:
            return b""
        try:
            # FFmpeg's buffer has n_bytes, and PyAV would write past its end.
            return self._file.read(n_bytes)[:n_bytes]
        except Exception as error:  # of a server, a disk: whatever the file object has
            self._error = error
            return b""
