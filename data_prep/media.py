"""Sound, or one video frame, from any file: PyAV.

Times are seconds from the beginning of the file, rotation (phone videos) is applied,
pictures come as RGB. Everything that can be wrong with a file raises
ValueError or FileNotFoundError with one line.
"""

from typing import BinaryIO, Iterator, Optional, Tuple, Union

import numpy as np

from speech2face.image_files import MAX_FRAME_PX, limit_size, require_file

# A time this little beyond the last frame's end still means that frame: containers
# round durations, and the sound often outlasts the pictures by a frame or two.
END_TOLERANCE_SECS = 0.25


def read_audio(path: str, start_secs: float = 0.0, end_secs: Optional[float] = None):
    """[n] float32 in [-1, 1], 16 kHz mono: `speech2face.audio.load_waveform`."""
    from speech2face import audio

    require_file(path)
    return audio.load_waveform(path, start_secs=start_secs, end_secs=end_secs)


def read_frame(path: str, at_secs: float, max_px: int = MAX_FRAME_PX) -> np.ndarray:
    """The video frame on screen at `at_secs`.

    Seeks to the key frame before it and decodes only from there.

    Args:
      path: any container with a video track.
      at_secs: time from the beginning of the file, >= 0.
      max_px: longer side limit; larger frames are scaled down.

    Returns:
      [height, width, 3] uint8 RGB, upright.

    Raises:
      FileNotFoundError, ValueError: missing, empty or unreadable file, no video track,
        or a time beyond the end.
    """
    import av

    require_file(path)
    if not at_secs >= 0:  # also catches NaN
        raise ValueError(f"{path}: frame time {at_secs} s is not >= 0")
    try:
        with av.open(path, metadata_errors="replace") as container:
            stream = _video_stream(container, path)
            frame = _frame_at(container, stream, at_secs)
            if frame is None:
                raise ValueError(f"{path} has no picture at {at_secs:.3f} s")
            return _upright_rgb(frame, max_px)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not readable as video ({error.strerror})") from error


def frames_between(
    source: Union[str, BinaryIO], name: str, start_secs: float, end_secs: float
) -> Iterator[Tuple[np.ndarray, float]]:
    """The frames on screen between two times.

    Args:
      source: a path, or a file object that can seek.
      name: what errors call it.
      start_secs, end_secs: times from the beginning of the file.

    Yields:
      [height, width, 3] uint8 RGB, upright, and the time at which the frame appears:
      the first one at or before `start_secs`, the others before `end_secs`.

    Raises:
      ValueError: unreadable, or no video track.
    """
    import av

    if hasattr(source, "seek"):
        source.seek(0)
    try:
        with av.open(source, metadata_errors="replace") as container:
            stream = _video_stream(container, name)
            waiting = None
            for frame, frame_secs in _timed_frames(container, stream, start_secs):
                if waiting and frame_secs > start_secs + 1e-6:
                    yield _upright_rgb(waiting[0]), waiting[1]
                waiting = frame, frame_secs
                if frame_secs >= end_secs - 1e-6:
                    return
            if waiting and start_secs <= waiting[1] + END_TOLERANCE_SECS:
                yield _upright_rgb(waiting[0]), waiting[1]
    except av.FFmpegError as error:
        raise ValueError(f"{name}: not readable as video ({error.strerror})") from error


def has_video(path: str) -> bool:
    """Whether the file has a video track (cover art of a music file does not count)."""
    import av

    require_file(path)
    try:
        with av.open(path, metadata_errors="replace") as container:
            return any(not _is_cover_art(stream) for stream in container.streams.video)
    except av.FFmpegError as error:
        raise ValueError(f"{path}: not readable ({error.strerror})") from error


def _video_stream(container, path: str):
    streams = [s for s in container.streams.video if not _is_cover_art(s)]
    if not streams:
        raise ValueError(f"{path}: no video track")
    streams[0].thread_type = "AUTO"
    return streams[0]


def _is_cover_art(stream) -> bool:
    import av

    return bool(stream.disposition & av.stream.Disposition.attached_pic)


def _frame_at(container, stream, at_secs: float):
    """The last frame that starts at or before `at_secs`, or None beyond the end."""
    current, current_secs, period_secs = None, 0.0, 0.0
    for frame, frame_secs in _timed_frames(container, stream, at_secs):
        if current is not None and frame_secs > at_secs + 1e-6:
            return current
        period_secs = max(frame_secs - current_secs, 0.0) if current else 0.0
        current, current_secs = frame, frame_secs
    if current is None:
        return None
    end_secs = current_secs + max(period_secs, END_TOLERANCE_SECS)
    return current if at_secs <= end_secs else None


def _timed_frames(container, stream, from_secs: float):
    """Frames and their times, from a key frame at or before `from_secs` on."""
    import av

    first_secs = (container.start_time or 0) / av.time_base  # as speech2face.audio
    if from_secs > 0:
        try:
            container.seek(
                int((first_secs + from_secs) / stream.time_base), stream=stream
            )
        except av.FFmpegError:
            container.seek(0)
    for frame in _frames(container, stream):
        yield frame, 0.0 if frame.time is None else frame.time - first_secs


def _frames(container, stream):
    """Decoded frames; a damaged packet is skipped, as players do."""
    import av

    for packet in container.demux(stream):
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            continue


def _upright_rgb(frame, max_px: int = MAX_FRAME_PX) -> np.ndarray:
    from PIL import Image

    image = limit_size(Image.fromarray(frame.to_ndarray(format="rgb24")), max_px)
    # PyAV: degrees counter-clockwise that the stored picture has to be turned.
    turns = round(frame.rotation / 90) % 4
    return np.ascontiguousarray(np.rot90(np.asarray(image), turns))
