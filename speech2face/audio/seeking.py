"""Goes to a moment of a media file, for sound and for pictures.

A seek of FFmpeg is a request: in MPEG streams, which have no index, it may land on the
next key frame, and where a file has no clock of its own FFmpeg guesses the time of what
it finds. So the first decoded frame shows where the seek landed, an earlier point is
tried until that is not past the target, and files without a clock are read from the
start: docs/decisions/seeking.md.
"""

import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any

import av

from speech2face.audio.containers import Media

# Containers whose packets carry their times, or have a size that is proportional to
# their time: what FFmpeg says of the time after a seek is true.
# fmt: off
_CLOCKED = frozenset((
    "mov", "matroska", "asf", "flv", "mpeg", "mpegts", "mxf", "gxf", "nut",
    "wtv", "ogg", "flac", "avi", "dv", "ivf", "rm", "nsv",
))
# fmt: on
_PCM_FILES = frozenset(("wav", "w64", "aiff", "au", "caf", "sox", "nistsphere"))
# Not in the paper: docs/decisions/seeking.md.
_FIRST_BACK_OFF_SECS = 1.0
_LANDING_SECS = 1.0  # after it, damage is damage
_MPEG_CLOCK_SECS = 2**33 / 90_000  # a day
_EPSILON_SECS = 6e-4  # Matroska and FLV round times to milliseconds

# (packets, whether they follow a seek) -> frames
Decode = Callable[[Iterator[Any], bool], Iterator[Any]]


def frames_from(
    media: Media, stream: Any, from_secs: float, decode: Decode
) -> Iterator[tuple[Any, float]]:
    """Yields decoded frames from a moment on, and some before it.

    Args:
      media: the open file.
      stream: the sound or the pictures to decode.
      from_secs: from the beginning of the file; the first frame begins at or before it,
        or is the first of the stream.
      decode: yields the frames of packets.

    Yields:
      (frame, its time in seconds from the beginning of the file). If a seek
      lands between two packets, the frames of the file's beginning follow the others.
    """
    if from_secs > 0 and _has_clock(media, stream):
        back_secs = 0.0
        while back_secs < from_secs:
            frames = _after_seek(media, stream, from_secs - back_secs, decode)
            first = next(frames, None)
            if first and first[1] <= from_secs + _EPSILON_SECS:
                landed = itertools.chain([first], frames)
                is_whole = yield from _unless_stray(landed, from_secs)
                if is_whole:
                    return
                break  # FFmpeg took other bytes for packets
            frames.close()  # before the file goes elsewhere, or is closed
            back_secs = 2 * back_secs or _FIRST_BACK_OFF_SECS
        stream = media.rewind(stream)
    yield from _timed(media, stream, decode, 0.0)


def _unless_stray(
    frames: Iterator[tuple[Any, float]], from_secs: float
) -> Generator[tuple[Any, float], None, bool]:
    """Yields frames; returns False if they end as damaged where a seek has landed.

    Args:
      frames: frames with their times.
      from_secs: see `frames_from`.
    """
    at_secs = from_secs
    try:
        for frame, at_secs in frames:
            yield frame, at_secs
    except av.InvalidDataError:
        if at_secs > from_secs + _LANDING_SECS:
            raise
        return False
    return True


def _has_clock(media: Media, stream: Any) -> bool:
    """Returns whether times after a seek can be trusted."""
    names = set(media.container.format.name.split(","))
    codec = stream.codec_context.name
    return bool(names & _CLOCKED or (names & _PCM_FILES and codec.startswith("pcm_")))


def _after_seek(
    media: Media, stream: Any, to_secs: float, decode: Decode
) -> Generator[tuple[Any, float], None, None]:
    """Yields timed frames from where a seek lands; nothing if it fails."""
    secs = media.start_secs + to_secs
    try:
        if stream.type == "video":
            media.seek(int(secs / stream.time_base), stream)
        else:  # by the index of the pictures: Matroska has no other
            media.seek(int(secs * av.time_base))
    except av.FFmpegError:  # no index, say
        return
    yield from _timed(media, stream, decode, None)


def _timed(
    media: Media, stream: Any, decode: Decode, at_secs: float | None
) -> Iterator[tuple[Any, float]]:
    """Yields frames with their times.

    Args:
      media: the open file, at the packets to read.
      stream: what to decode.
      decode: see `frames_from`.
      at_secs: time of the first frame if it has none of its own; None is unknown, and
        frames are dropped until one has a time.
    """
    has_clock = _has_clock(media, stream)
    after_seek = at_secs is None
    for frame in decode(media.packets(stream), after_seek):
        # Where there is no clock, the length of what came before is the time.
        if has_clock and frame.time is not None:
            at_secs = _unwrapped(frame.time - media.start_secs, media)
        if at_secs is None:
            continue
        yield frame, at_secs
        at_secs += _secs_of(frame, stream)


def _unwrapped(secs: float, media: Media) -> float:
    """Returns a time before the start of an MPEG clock, which wraps, as negative."""
    is_mpeg = media.container.format.name in ("mpegts", "mpeg")
    return secs - _MPEG_CLOCK_SECS if is_mpeg and 2 * secs > _MPEG_CLOCK_SECS else secs


def _secs_of(frame: Any, stream: Any) -> float:
    """Returns how long a frame lasts, in seconds; 0 if unknown."""
    if isinstance(frame, av.AudioFrame):
        return frame.samples / frame.sample_rate if frame.sample_rate > 0 else 0.0
    return float(1 / stream.guessed_rate) if stream.guessed_rate else 0.0
