"""Cuts a segment out of a video, exact to the sample and the frame.

The sound is cut between two samples and kept without loss; the picture is decoded from
the key frame before the segment, and encoded again from the frame on screen at its
start. Copying packets, as a stream copy does, would begin at that key frame.
"""

import fractions
import os
from typing import BinaryIO, Sequence, Union

import av
import numpy as np
from PIL import Image

from data_prep import media
from speech2face import audio, files

Source = Union[str, BinaryIO]
TIME_BASE = fractions.Fraction(1, 90_000)
_CRF = "20"  # x264's quality: hardly to be told from the source
# An end of the sound this much before the segment's is no error: lists round.
MAX_MISSING_SECS = 0.5


def cut(
    sources: Sequence[Source],
    start_secs: float,
    end_secs: float,
    path: "os.PathLike[str]",
    max_height_px: int,
) -> int:
    """Writes a segment as MP4: H.264, and FLAC at the source's rate.

    Args:
      sources: one file, or the picture's and the sound's.
      start_secs, end_secs: of the segment, from the beginning of the file.
      path: where to; it appears whole or not at all.
      max_height_px: larger pictures are scaled down.

    Returns:
      Bytes written.

    Raises:
      ValueError: no such segment, no sound or no picture in it, or unreadable.
    """
    picture, sound = sources[0], sources[-1]
    samples, rate_hz = audio.decode_segment(sound, "the video", start_secs, end_secs)
    secs = samples.shape[1] / rate_hz
    if secs < end_secs - start_secs - MAX_MISSING_SECS:
        raise ValueError(
            f"the sound ends {max(0.0, secs):.2f} s into the segment of "
            f"{end_secs - start_secs:.2f} s"
        )
    if len(samples) > 2:  # surround: records are of one channel anyway
        samples = samples.mean(axis=0, keepdims=True)
    with files.atomic_path(path) as temporary:
        with av.open(str(temporary), "w", format="mp4") as out:
            _write(out, picture, samples, rate_hz, start_secs, end_secs, max_height_px)
    return os.path.getsize(path)


def _write(out, picture, samples, rate_hz, start_secs, end_secs, max_height_px) -> None:
    sound_stream = out.add_stream("flac", rate=rate_hz, layout=_layout(len(samples)))
    sound_stream.codec_context.format = "s16"
    picture_stream = None
    frames = media.frames_between(picture, "the video", start_secs, end_secs)
    for image, at_secs in frames:
        image = _even(_limit_height(image, max_height_px))
        if picture_stream is None:
            picture_stream = _add_picture_stream(out, image)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = round(max(0.0, at_secs - start_secs) / TIME_BASE)
        frame.time_base = TIME_BASE
        out.mux(picture_stream.encode(frame))
    if picture_stream is None:
        raise ValueError(f"the video has no picture at {start_secs:.3f} s")
    out.mux(picture_stream.encode())
    for frame in _sound_frames(samples, rate_hz):
        out.mux(sound_stream.encode(frame))
    out.mux(sound_stream.encode())


def _add_picture_stream(out, image: np.ndarray):
    stream = out.add_stream("libx264", rate=30)
    stream.height, stream.width = image.shape[:2]
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = stream.time_base = TIME_BASE
    # One thread: many segments are cut at a time.
    stream.codec_context.thread_count = 1
    stream.options = {"crf": _CRF, "preset": "veryfast", "bf": "0"}
    return stream


def _sound_frames(samples: np.ndarray, rate_hz: int):
    pcm = np.clip(np.round(samples * 32768.0), -32768, 32767).astype(np.int16)
    for first in range(0, pcm.shape[1], 4096):
        block = np.ascontiguousarray(pcm[:, first : first + 4096].T).reshape(1, -1)
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
    """Without a last odd row or column, which 4:2:0 cannot hold."""
    height, width = (side - side % 2 for side in image.shape[:2])
    return image[:height, :width]
