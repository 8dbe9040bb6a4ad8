"""Reads the sound or the video frames of any media file, with PyAV.

Times are seconds from the beginning of the file. Pictures are RGB and as players show
them: turned, mirrored, with square pixels (docs/decisions/seeking.md). A missing file
raises FileNotFoundError; every other fault of a file raises UserError with one line and
a reason: docs/decisions/damaged-media.md. `audio.containers` opens every file:
docs/decisions/untrusted-media.md.
"""

import fractions
import os
import struct
from collections.abc import Iterator
from typing import Any

import av
import numpy as np
from PIL import Image

from speech2face.audio import containers, decoding, seeking
from speech2face.audio.containers import Media, Source
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.images import MAX_FRAME_PX, limit_size, require_file

# The last frame stays on screen this much longer: containers round durations, and the
# sound often outlasts the pictures by a frame or two.
END_TOLERANCE_SECS = 0.25
_TIME_EPSILON_SECS = 6e-4  # Matroska and FLV round times to milliseconds
_MAX_SECS = 1e9  # 30 years: FFmpeg's clock is a 64-bit integer
_LENGTH_TOLERANCE_SECS = 0.5  # tools cut at frames and packets
_MAX_PIXEL_RATIO = 8  # of a pixel's sides; more is damage
# Decoded to reach a moment without an index: hours of 1080p. A file of a few bytes a
# frame would take days. Not in the paper: docs/decisions/untrusted-media.md.
_MAX_DECODED_PIXELS = 1 << 39


def read_audio(
    path: PathLike,
    start_secs: float = 0.0,
    end_secs: float | None = None,
    channel: int | None = None,
) -> np.ndarray:
    """Reads the sound of a segment.

    Args:
      path: a file in any container.
      start_secs: where the segment begins.
      end_secs: where it ends; None, or anything beyond it, is the end of the sound.
      channel: see `decoding.load_waveform`.

    Returns:
      [n] float32 in [-1, 1], 16 kHz mono.

    Raises:
      FileNotFoundError, UserError: as `decoding.load_waveform`; also of an empty file.
    """
    require_file(path)
    return decoding.load_waveform(
        path, start_secs=start_secs, end_secs=end_secs, channel=channel
    )


def is_of_length(path: PathLike, secs: float) -> bool:
    """Returns whether a file lasts about this long, by its header.

    Raises:
      FileNotFoundError, UserError: missing, empty or unreadable file.
    """
    require_file(path)
    with containers.open_media(path, os.fspath(path)) as opened:
        length_secs = (opened.container.duration or 0) / 1e6  # FFmpeg's microseconds
    return abs(length_secs - secs) <= _LENGTH_TOLERANCE_SECS


def read_frame(
    path: PathLike, at_secs: float, max_px: int = MAX_FRAME_PX
) -> np.ndarray:
    """Reads the video frame that is on screen at `at_secs`.

    Seeks to the key frame before it and decodes from there.

    Args:
      path: any container with a video track.
      at_secs: time from the beginning of the file, >= 0.
      max_px: longer side limit; larger frames are scaled down.

    Returns:
      [height, width, 3] uint8 RGB, upright.

    Raises:
      FileNotFoundError, UserError: missing, empty or unreadable file, no video track,
        or a time beyond the end.
    """
    require_file(path)
    if not 0 <= at_secs < _MAX_SECS:  # also catches NaN
        raise UserError(
            f"{path}: frame time {at_secs} s is not >= 0", reason="bad_times"
        )
    name = os.fspath(path)
    with containers.open_media(path, name) as opened:
        stream = _video_stream(opened, name)
        # Before a seek, which may open the file anew.
        ratio = stream.sample_aspect_ratio
        frame = _frame_at(opened, stream, at_secs)
        if frame is None:
            raise UserError(
                f"{name} has no picture at {at_secs:.3f} s", reason="beyond_the_end"
            )
        return _upright_rgb(frame, ratio, max_px)


def frames_between(
    source: Source, name: str, start_secs: float, end_secs: float
) -> Iterator[tuple[np.ndarray, float]]:
    """Yields the frames that are on screen between two times.

    Args:
      source: a path, or a file object that can seek.
      name: name of the source, for errors.
      start_secs: first time, from the beginning of the file.
      end_secs: last time.

    Yields:
      [height, width, 3] uint8 RGB, upright, and the time at which the frame appears:
      the first one at or before `start_secs`, the others before `end_secs`.

    Raises:
      UserError: unreadable, or no video track.
    """
    with containers.open_media(source, name) as opened:
        stream = _video_stream(opened, name)
        # Before a seek, which may open the file anew.
        ratio = stream.sample_aspect_ratio
        # A frame is on screen until the next one, so each waits for its successor.
        waiting: tuple[Any, float] | None = None
        for frame, frame_secs in _timed_frames(opened, stream, start_secs):
            if waiting and frame_secs > start_secs + _TIME_EPSILON_SECS:
                yield _upright_rgb(waiting[0], ratio), waiting[1]
            waiting = frame, frame_secs
            if frame_secs >= end_secs - _TIME_EPSILON_SECS:
                return
        if waiting and start_secs <= waiting[1] + END_TOLERANCE_SECS:
            yield _upright_rgb(waiting[0], ratio), waiting[1]


def has_video(path: PathLike) -> bool:
    """Returns whether the file has a video track; cover art of music does not count.

    Raises:
      FileNotFoundError, UserError: missing, empty or unreadable file.
    """
    require_file(path)
    with containers.open_media(path, os.fspath(path)) as opened:
        return any(not _is_cover_art(s) for s in opened.container.streams.video)


def _video_stream(opened: Media, name: str) -> Any:
    streams = [s for s in opened.container.streams.video if not _is_cover_art(s)]
    if not streams:
        raise UserError(f"{name}: no video track", reason="no_video_track")
    stream = containers.default_of(streams)
    containers.require_decoder(stream, name)
    # Jobs run a process or a thread for each core. With one thread, the pixels do not
    # depend on the number of cores either.
    stream.codec_context.thread_count = 1
    return stream


def _is_cover_art(stream: Any) -> bool:
    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _frame_at(opened: Media, stream: Any, at_secs: float) -> Any:
    """Returns the last frame that starts at or before `at_secs`, or None if it is over.

    Args:
      opened: the file.
      stream: its video stream.
      at_secs: seconds from the beginning of the file.
    """
    current, current_secs, period_secs = None, 0.0, 0.0
    for frame, frame_secs in _timed_frames(opened, stream, at_secs):
        if current is not None and frame_secs > at_secs + _TIME_EPSILON_SECS:
            return current
        period_secs = max(frame_secs - current_secs, 0.0) if current else 0.0
        current, current_secs = frame, frame_secs
    if current is None:
        return None
    end_secs = current_secs + max(period_secs, END_TOLERANCE_SECS)
    return current if at_secs <= end_secs else None


def _timed_frames(
    opened: Media, stream: Any, from_secs: float
) -> Iterator[tuple[Any, float]]:
    """Yields frames and their times, from a key frame at or before `from_secs` on.

    Args:
      opened: the file.
      stream: its video stream.
      from_secs: seconds from the beginning of the file.
    """
    n_pixels = 0
    frames = seeking.frames_from(opened, stream, from_secs, _frames)
    for frame, frame_secs in frames:
        yield frame, frame_secs
        n_pixels += frame.width * frame.height
        if n_pixels > _MAX_DECODED_PIXELS:
            raise UserError(
                f"its pictures before {from_secs:g} s are too many to decode; give the "
                "video an index, with ffmpeg -c copy, say",
                reason="too_long",
            )


def _frames(packets: Iterator[Any], after_seek: bool) -> Iterator[Any]:
    """Yields decoded frames; skips a damaged packet, as players do."""
    del after_seek
    for packet in packets:
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def _upright_rgb(
    frame: Any, ratio: fractions.Fraction | None, max_px: int = MAX_FRAME_PX
) -> np.ndarray:
    """Returns a frame as players show it: square pixels, turned, mirrored.

    Args:
      frame: frame as it is stored.
      ratio: ratio of a pixel's width to its height; None or 0 if the file does not say.
      max_px: longer side limit.
    """
    pixels = frame.to_ndarray(format="rgb24", threads=1)  # as the decoder has
    image = limit_size(Image.fromarray(pixels), max_px)
    image = limit_size(_with_square_pixels(image, ratio), max_px)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    return _displayed(np.asarray(image), bytes(matrix) if matrix else b"")


def _with_square_pixels(
    image: Image.Image, ratio: fractions.Fraction | None
) -> Image.Image:
    """Enlarges the shorter side of the pixels, so that no detail is lost.

    Args:
      image: image as it is stored.
      ratio: ratio of a pixel's width to its height; None or 0 if the file does not say.
    """
    if not ratio or ratio == 1 or not 1 / _MAX_PIXEL_RATIO <= ratio <= _MAX_PIXEL_RATIO:
        return image
    width, height = image.size
    wide = (
        (round(width * ratio), height) if ratio > 1 else (width, round(height / ratio))
    )
    return image.resize(wide)


def _displayed(image: np.ndarray, matrix: bytes) -> np.ndarray:
    """Applies a display matrix, rounded to quarter turns and reflections.

    Args:
      image: [h, w, 3].
      matrix: nine int32, rows (a, b, u), (c, d, v), (x, y, w) of ISO 14496-12: a point
        is shown at (a x + c y, b x + d y). b"" is the identity.
    """
    if len(matrix) != 9 * 4:
        return np.ascontiguousarray(image)
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix)
    if abs(b) + abs(c) > abs(a) + abs(d):  # x is shown along y
        image, a, d = image.swapaxes(0, 1), c, b
    return np.ascontiguousarray(image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1])
