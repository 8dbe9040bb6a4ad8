"""Decodes any audio or video file to a waveform: float32 in [-1, 1], one channel.

Waveforms are at 16 kHz (Sec. 3) unless a caller asks for another rate. PyAV (FFmpeg)
decodes every format: docs/decisions/audio-decoding.md. Sound is decoded in blocks whose
sum is limited, so that no file takes unbounded time or memory:
docs/decisions/untrusted-media.md.
"""

import itertools
import math
import os
from collections.abc import Iterator
from typing import Any

import av
import numpy as np

from speech2face.audio import containers, seeking, segments
from speech2face.audio.channels import MAX_CHANNELS, Mixer
from speech2face.audio.containers import Media, Source
from speech2face.audio.loudness import check_waveform
from speech2face.audio.resampling import Resampler, check_rate
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.paper import SAMPLE_RATE_HZ

# Not in the paper: docs/decisions/untrusted-media.md.
MAX_SECS = 3_600.0  # in memory: 230 MB at 16 kHz
MAX_BLOCKS_SECS = 86_400.0  # in blocks, whose memory does not grow
MAX_SEGMENT_VALUES = 1 << 27  # of `decode_segment`: 512 MB, for all channels
# Of all channels, whatever is kept of them: a day of stereo at 48 kHz.
_MAX_DECODED_VALUES = 1 << 33
_KEPT_VALUES = 1 << 24  # 64 MB; a longer sound is decoded twice to choose its channel

_MAX_STRAY_PACKETS = 8  # after a seek; less than the margin
_SEEK_MARGIN_SECS = 1.0  # of sound that is decoded and not kept

Block = tuple[np.ndarray, int]  # samples float32, and their rate in Hz


def load_waveform(
    path: PathLike,
    *,
    start_secs: float = 0.0,
    end_secs: float | None = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
    channel: int | None = None,
    max_secs: float = MAX_SECS,
) -> np.ndarray:
    """Reads the sound of an audio or video file as one channel.

    Args:
      path: an audio or video file, in a container of `containers.CONTAINERS` and any
        codec that FFmpeg decodes.
      start_secs: where to begin; 0 is where the file begins, picture included.
      end_secs: where to stop; None, or anything past it, is the end of the sound.
      sample_rate_hz: rate of the result, whatever the rate of the file; 4 to 768 kHz.
      channel: which channel, from 0; None is the mean of all, or the loudest where the
        mean has much less power (docs/decisions/one-channel.md).
      max_secs: a longer sound is refused. `recordings.SoundFile` reads longer ones.

    Returns:
      [n_samples] float32 in [-1, 1].

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is unreadable, has no audio track, has no sound between these
        times, is too long, or `check_waveform` rejects the sound.
    """
    name = os.fspath(path)
    check_rate(sample_rate_hz)
    blocks = _one_channel(path, name, start_secs, end_secs, channel, max_secs)
    parts = list(_resampled(blocks, sample_rate_hz))
    if not any(map(len, parts)):  # blocks before the segment are cut to nothing
        end = "the end" if end_secs is None else f"{end_secs:g} s"
        raise UserError(
            f"{name} has no sound between {start_secs:g} s and {end}",
            reason="beyond_the_end",
        )
    waveform = np.concatenate(parts)
    check_waveform(waveform, name, sample_rate_hz)
    return np.clip(waveform, -1.0, 1.0, out=waveform)


def decode_segment(
    source: Source,
    name: str,
    start_secs: float = 0.0,
    end_secs: float | None = None,
) -> tuple[np.ndarray, int]:
    """Decodes a segment of the audio track as it is, cut to the sample.

    Args:
      source: a path, or a file object that can seek.
      name: what errors call it.
      start_secs: see `load_waveform`.
      end_secs: see `load_waveform`.

    Returns:
      Samples [channels, n] float32 and their rate in Hz; n is 0 if the sound ends
      before the segment.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is unreadable, has no audio track, or the segment is larger
        than 512 MB.
    """
    blocks, n_values, rate_hz = [], 0, SAMPLE_RATE_HZ
    for block, rate_hz in _decode(source, name, start_secs, end_secs):  # noqa: B007
        n_values += block.size
        if n_values > MAX_SEGMENT_VALUES:
            raise UserError(
                f"{name} has more sound than fits in {MAX_SEGMENT_VALUES * 4 >> 20} MB "
                "between these times",
                reason="too_long",
            )
        blocks.append(block)
    if not blocks:
        return np.zeros([1, 0], np.float32), rate_hz
    return np.concatenate(blocks).T, rate_hz


def read_blocks(
    path: PathLike,
    *,
    channel: int | None = None,
    max_secs: float = MAX_BLOCKS_SECS,
) -> Iterator[np.ndarray]:
    """Yields the waveform of a file in blocks, neither checked nor clipped.

    Memory does not grow with the recording.

    Args:
      path: see `load_waveform`.
      channel: see `load_waveform`.
      max_secs: a longer sound is refused.

    Yields:
      [n] float32 at 16 kHz, n of any size. Lossy decoders overshoot [-1, 1].

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is unreadable, has no sound or is too long.
    """
    name = os.fspath(path)
    is_empty = True
    blocks = _one_channel(path, name, 0.0, None, channel, max_secs)
    for block in _resampled(blocks, SAMPLE_RATE_HZ):
        is_empty = False
        yield block
    if is_empty:
        raise UserError(f"{name} has no sound", reason="no_sound")


def _resampled(blocks: Iterator[Block], to_hz: float) -> Iterator[np.ndarray]:
    """Yields the blocks of one channel at another rate; nothing if there are none."""
    resampler = None
    for block, rate_hz in blocks:
        resampler = resampler or Resampler(rate_hz, to_hz)
        yield resampler.push(block)
    if resampler:
        yield resampler.flush()


def _one_channel(
    source: Source,
    name: str,
    start_secs: float,
    end_secs: float | None,
    channel: int | None,
    max_secs: float,
) -> Iterator[Block]:
    """Yields ([n] float32, rate in Hz) of a segment.

    The choice of the channel depends on the whole segment. A long one is decoded once
    for the choice and again for the sound.
    """

    def decode() -> Iterator[Block]:
        blocks = _decode(source, name, start_secs, end_secs)
        return _limited(blocks, name, max_secs)

    mixer, kept, n_values = Mixer(channel), [], 0
    blocks = decode()
    for block, rate_hz in blocks:
        mixer.measure(block)
        kept.append((block, rate_hz))
        n_values += block.size
        if mixer.is_settled or n_values > _KEPT_VALUES:
            break
    if kept and not mixer.is_settled and n_values > _KEPT_VALUES:
        kept.clear()
        for block, _ in blocks:  # the rest
            mixer.measure(block)
        blocks = decode()
    for block, rate_hz in itertools.chain(kept, blocks):
        yield mixer.mix(block), rate_hz


def _limited(blocks: Iterator[Block], name: str, max_secs: float) -> Iterator[Block]:
    """Yields the blocks until there are more than `max_secs` of them."""
    secs = 0.0
    for block, rate_hz in blocks:
        secs += len(block) / rate_hz
        if not secs <= max_secs + 1e-6:  # secs is a rounded sum
            raise UserError(
                f"{name} has more than {max_secs:g} s of sound, the limit here; give "
                "the segment that is needed, or cut the file",
                reason="too_long",
            )
        yield block, rate_hz


def _decode(
    source: Source, name: str, start_secs: float, end_secs: float | None
) -> Iterator[Block]:
    """Yields ([n, channels] float32, rate in Hz) of the audio track.

    The rate is that of the decoded sound: HE-AAC doubles what the file declares.
    """
    segments.check(name, start_secs, end_secs)
    if end_secs is not None and math.isinf(end_secs):
        end_secs = None
    with containers.open_media(source, name) as media:
        stream = _audio_stream(media, name)
        yield from _blocks(media, stream, name, start_secs, end_secs)


def _audio_stream(media: Media, name: str) -> Any:
    """Returns the track that players play."""
    streams = media.container.streams.audio
    if not streams:
        raise UserError(f"{name} has no audio track", reason="no_audio_track")
    stream = containers.default_of(streams)
    containers.require_decoder(stream, name)
    return stream


def _blocks(
    media: Media, stream: Any, name: str, start_secs: float, end_secs: float | None
) -> Iterator[Block]:
    """Yields the blocks of a segment: ([n, channels] float32, rate in Hz)."""
    # Converts the sample format and keeps rate and channels. "flt", not the planar
    # "fltp": PyAV reads past the end of the planes of more than 8 channels.
    to_float = av.AudioResampler(format="flt")
    n_values = 0
    # Codecs need some packets before their output is exact.
    from_secs = max(0.0, start_secs - _SEEK_MARGIN_SECS)
    for frame, frame_secs in seeking.frames_from(media, stream, from_secs, _frames):
        n_values += frame.samples * _check_frame(frame, n_values, name)
        if frame_secs + frame.samples / frame.sample_rate <= start_secs:
            continue  # not converted: where a seek lands, it may be of another format
        at_secs = frame_secs
        for block in _convert(to_float, frame, name):
            if end_secs is not None and at_secs >= end_secs:
                return
            samples = block.to_ndarray().reshape(-1, block.layout.nb_channels)
            rate_hz = block.sample_rate
            yield _cut(samples, rate_hz, at_secs, start_secs, end_secs), rate_hz
            at_secs += block.samples / rate_hz


def _check_frame(frame: Any, n_values: int, name: str) -> int:
    """Returns the number of channels; UserError outside the limits."""
    check_rate(frame.sample_rate, f"the sample rate of {name}")
    n_channels = frame.layout.nb_channels
    if n_channels > MAX_CHANNELS:
        raise UserError(
            f"{name} has {n_channels} channels; at most {MAX_CHANNELS} can be read",
            reason="too_many_channels",
        )
    if n_values > _MAX_DECODED_VALUES:
        raise UserError(
            f"{name} has more than {_MAX_DECODED_VALUES / 1e9:.1f} billion samples in "
            "all channels, the limit here; cut the file",
            reason="too_long",
        )
    return n_channels


def _convert(to_float: Any, frame: Any, name: str) -> list[Any]:
    try:
        return to_float.resample(frame)
    except ValueError:  # the frame does not fit the first one
        raise UserError(
            f"{name} is unreadable as audio or video: its sound changes channels, "
            "rate or format midway",
            reason="unreadable",
        ) from None


def _frames(packets: Iterator[Any], after_seek: bool) -> Iterator[Any]:
    """Yields decoded frames; skips damaged packets before the first and after the last.

    A seek can land inside a packet (MPEG program streams), and what looks like a packet
    there may not be one. A recording that was interrupted ends with half a packet.
    Between frames, a packet that cannot be decoded is damage:
    docs/decisions/damaged-media.md.

    Args:
      packets: packets of the sound track.
      after_seek: whether they begin where a seek has landed.
    """
    started, damage = False, None
    for n_packets, packet in enumerate(packets):
        try:
            frames = packet.decode()
        except av.error.InvalidDataError as error:
            if started and not (after_seek and n_packets < _MAX_STRAY_PACKETS):
                if after_seek:
                    raise
                damage = error
            continue
        # An empty packet, at the end, asks for the frames that the decoder still has.
        if damage and frames and packet.size:
            raise damage
        started = started or bool(frames)
        yield from frames


def _cut(
    samples: np.ndarray,
    rate_hz: int,
    at_secs: float,
    start_secs: float,
    end_secs: float | None,
) -> np.ndarray:
    """Cuts samples [n, channels], which begin at `at_secs`, to the segment."""
    first = max(0, round((start_secs - at_secs) * rate_hz))
    if end_secs is None:
        return samples[first:]
    return samples[first : max(0, round((end_secs - at_secs) * rate_hz))]
