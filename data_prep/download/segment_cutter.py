"""Cuts a segment out of a video, exact to the sample and the frame.

The sound is cut between two samples and stored without loss. The picture is decoded
from the key frame before the segment and encoded again from the frame on screen at its
start: copying packets instead, as a stream copy does, would begin at that key frame.
"""

import contextlib
import fractions
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import av
import numpy as np
from PIL import Image

from data_prep.clips import media
from speech2face import files
from speech2face.audio import channels, decoding
from speech2face.errors import UserError
from speech2face.files import PathLike

Source = str | BinaryIO
TIME_BASE = fractions.Fraction(1, 90_000)  # MPEG's clock: exact for all frame rates
_CRF = "22"  # x264's constant rate factor: hardly visible beside the source
_SAMPLES_PER_FRAME = 4096  # FLAC's default block
# The sound may end this much before the segment: lists round their times.
MAX_MISSING_SECS = 0.5


def cut(
    sources: Sequence[Source],
    start_secs: float,
    end_secs: float,
    path: PathLike,
    max_height_px: int,
) -> int:
    """Writes a segment as MP4: H.264, and FLAC at the source's rate.

    Args:
      sources: one file, or one with the picture and one with the sound.
      start_secs: where the segment begins, from the beginning of the file.
      end_secs: where it ends.
      path: file to write; it appears whole or not at all.
      max_height_px: taller pictures are scaled down.

    Returns:
      Bytes written.

    Raises:
      UserError: no such segment, no sound or no picture in it, unreadable, or nothing
        that H.264 and FLAC can store.
    """
    picture, sound = sources[0], sources[-1]
    samples, rate_hz = decoding.decode_segment(sound, "the video", start_secs, end_secs)
    secs = samples.shape[1] / rate_hz
    if secs < end_secs - start_secs - MAX_MISSING_SECS:
        raise UserError(
            f"the sound ends {max(0.0, secs):.2f} s into the segment of "
            f"{end_secs - start_secs:.2f} s",
            reason="beyond_the_end",
        )
    if len(samples) > 2:  # surround: records have one channel anyway
        samples = channels.one_channel(samples.T)[None]
    frames = media.frames_between(picture, "the video", start_secs, end_secs)
    with files.atomic_path(path, is_ours=True) as temporary, _encoding():
        with av.open(str(temporary), "w", format="mp4") as out:
            # The sound's stream exists before the first packet is written.
            sound_stream = _add_sound_stream(out, rate_hz, len(samples))
            _write_picture(out, frames, start_secs, max_height_px)
            for frame in _sound_frames(samples, rate_hz):
                out.mux(sound_stream.encode(frame))
            out.mux(sound_stream.encode())
    return pathlib.Path(path).stat().st_size


@contextlib.contextmanager
def _encoding() -> Iterator[None]:
    """Puts into words what FFmpeg cannot encode; errors of the disk stay."""
    try:
        yield
    except OSError:
        raise
    except av.FFmpegError as error:
        raise UserError(
            f"the segment cannot be stored as H.264 with FLAC: {error.strerror}",
            reason="not_encodable",
        ) from None


def _write_picture(
    out: Any,
    frames: Iterator[tuple[np.ndarray, float]],
    start_secs: float,
    max_height_px: int,
) -> None:
    stream = None
    for full_image, frame_secs in frames:
        image = _even(_limit_height(full_image, max_height_px))
        if not image.size:
            raise UserError(
                "the video's pictures are less than 2 px wide or high",
                reason="too_small",
            )
        if stream is None:  # the size is known with the first picture
            stream = _add_picture_stream(out, image)
        rgb = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame = rgb.reformat(format=stream.pix_fmt, threads=1)
        frame.pts = round(max(0.0, frame_secs - start_secs) / TIME_BASE)
        frame.time_base = TIME_BASE
        out.mux(stream.encode(frame))
    if stream is None:
        raise UserError(
            f"the video has no picture at {start_secs:.3f} s", reason="beyond_the_end"
        )
    out.mux(stream.encode())


def _add_sound_stream(out: Any, rate_hz: int, n_channels: int) -> Any:
    stream = out.add_stream("flac", rate=rate_hz, layout=_layout(n_channels))
    stream.codec_context.format = "s16"
    return stream


def _add_picture_stream(out: Any, image: np.ndarray) -> Any:
    # Frames keep their own times (TIME_BASE); PyAV only demands some rate.
    stream = out.add_stream("libx264", rate=30)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = stream.time_base = TIME_BASE
    # The job runs several cutters at a time, so each has one thread.
    stream.codec_context.thread_count = 1
    # Without B-frames the first picture is at time 0. With AVX-512, x264's macroblock
    # tree reads memory that nobody wrote, so that the bytes were left to chance.
    stream.options = {"crf": _CRF, "preset": "veryfast", "bf": "0", "mbtree": "0"}
    return stream


def _sound_frames(samples: np.ndarray, rate_hz: int) -> Iterator[Any]:
    # 32768 is the full scale of 16 bits: what was 16-bit comes out unchanged.
    pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    for first in range(0, pcm.shape[1], _SAMPLES_PER_FRAME):
        block = np.ascontiguousarray(
            pcm[:, first : first + _SAMPLES_PER_FRAME].T
        ).reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, "s16", _layout(len(pcm)))
        frame.sample_rate, frame.pts = rate_hz, first
        frame.time_base = fractions.Fraction(1, rate_hz)
        yield frame


def _layout(n_channels: int) -> str:
    return {1: "mono", 2: "stereo"}[n_channels]


def _limit_height(image: np.ndarray, max_height_px: int) -> np.ndarray:
    height, width = image.shape[:2]
    if height <= max_height_px:
        return image
    size = max(1, round(width * max_height_px / height)), max_height_px
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _even(image: np.ndarray) -> np.ndarray:
    """Drops an odd last row or column, which 4:2:0 chroma cannot store."""
    height, width = (side - side % 2 for side in image.shape[:2])
    return image[:height, :width]
