"""Sound: from a recording in any file to the spectrogram that the voice encoder sees.

Sec. 3, "Implementation details": audio at 16 kHz, one channel, up to 6 seconds from
the beginning of the clip, repeated if shorter; an STFT with a Hann window of 25 ms, a
hop of 10 ms and 512 FFT bands; power-law compression sgn(S)|S|^0.3 of the real and the
imaginary part independently.

Only one framing gives the paper's 598 x 257 for 6 seconds: frame k is the 400 samples
from 160 k on, nothing is padded at either end (a centred STFT gives 601 frames), the
window is the periodic Hann of 400 samples, and each frame is zero-padded behind its
last sample to 512. The phase therefore refers to the first sample of the frame.

Waveforms are float32 in [-1, 1] at 16 kHz. `load_waveform` and its helpers are numpy;
`spectrogram` is `keras.ops` only, so it runs in any graph and in exported models.
"""

import os
from typing import Any, BinaryIO, Iterator, Optional, Tuple, Union

import av
import keras
import numpy as np
import soxr
from keras import ops

from speech2face import fourier

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES = 400  # 25 ms
HOP_SAMPLES = 160  # 10 ms
FFT_SAMPLES = 512
N_BANDS = FFT_SAMPLES // 2 + 1
COMPRESSION = 0.3

MIN_SECS = 0.1  # less cannot be anybody's voice
MAX_CHANNELS = 64  # more are samples: the axes are the other way round
SILENCE_PEAK = 1e-3  # -60 dBFS
LOUDEST_PEAK = 4.0  # +12 dBFS: decoders overshoot 1, but not by more
_SEEK_MARGIN_SECS = 1.0  # codecs need some packets before their output is exact


def load_waveform(
    path: str,
    *,
    start_secs: float = 0.0,
    end_secs: Optional[float] = None,
    sample_rate_hz: int = SAMPLE_RATE_HZ,
) -> np.ndarray:
    """Reads the sound of any audio or video file as one channel (the mean of all).

    Args:
      path: an audio or video file, in any container and codec that FFmpeg reads.
      start_secs: where to begin; 0 is where the file begins, picture included.
      end_secs: where to stop; None, or anything past it, is the end of the sound.
      sample_rate_hz: rate of the result, whatever the rate of the file.

    Returns:
      [n_samples] float32 in [-1, 1].

    Raises:
      FileNotFoundError: there is no such file.
      ValueError: it is unreadable, has no audio track or none between these times, or
        its sound is none that `check_waveform` accepts.
    """
    _check_segment(path, start_secs, end_secs)
    samples, rate_hz = decode_segment(path, path, start_secs, end_secs)
    if not samples.size:
        end = "the end" if end_secs is None else f"{end_secs:g} s"
        raise ValueError(f"{path} has no sound between {start_secs:g} s and {end}")
    waveform = resample(samples.mean(axis=0), rate_hz, sample_rate_hz)
    check_waveform(waveform, path, sample_rate_hz)
    return np.clip(waveform, -1.0, 1.0)


def decode_segment(
    source: Union[str, "os.PathLike[str]", BinaryIO],
    name: str,
    start_secs: float = 0.0,
    end_secs: Optional[float] = None,
) -> Tuple[np.ndarray, int]:
    """Decodes a segment of the first audio track, cut to the sample.

    Args:
      source: a path, or a file object that can seek.
      name: what errors call it.
      start_secs, end_secs: as for `load_waveform`.

    Returns:
      Samples [channels, n] float32, none if the sound is over before the segment, and
      their rate in Hz.

    Raises:
      ValueError: it is unreadable or has no audio track.
    """
    blocks = list(_decode(source, name, start_secs, end_secs))
    if not blocks:
        return np.zeros([1, 0], np.float32), SAMPLE_RATE_HZ
    return np.concatenate([block for block, _ in blocks], axis=1), blocks[-1][1]


def read_blocks(path: str) -> Iterator[np.ndarray]:
    """Yields the waveform of `load_waveform` in blocks as they are decoded, unchecked.

    Memory does not grow with the recording.

    Yields:
      [n] float32 in [-1, 1] at 16 kHz, n of any size.

    Raises:
      FileNotFoundError, ValueError: as `load_waveform`, but for what `check_waveform`
        sees.
    """
    _check_segment(path, 0.0, None)
    resampler = None
    for block, rate_hz in _decode(path, path, 0.0, None):
        resampler = resampler or Resampler(rate_hz)
        yield np.clip(resampler.push(block.mean(axis=0)), -1.0, 1.0)
    if resampler is None:
        raise ValueError(f"{path} has no sound")
    yield np.clip(resampler.flush(), -1.0, 1.0)


class Resampler:
    """`resample` to 16 kHz block by block; its blocks joined are that of the whole."""

    def __init__(self, from_hz: int):
        """Takes the rate of the blocks."""
        self._stream = soxr.ResampleStream(from_hz, SAMPLE_RATE_HZ, 1, dtype="float32")

    def push(self, block: np.ndarray) -> np.ndarray:
        """Returns what is known after another block [n]: [m] float32, m from 0 on."""
        return self._stream.resample_chunk(np.asarray(block, np.float32))

    def flush(self) -> np.ndarray:
        """Returns the end, [m] float32, once there are no more blocks."""
        return self._stream.resample_chunk(np.zeros(0, np.float32), last=True)


def one_channel(samples: np.ndarray) -> np.ndarray:
    """Returns [n] float32 of samples [n] or [n, channels]: the mean of the channels.

    Raises:
      ValueError: `samples` have another shape.
    """
    samples = np.asarray(samples, np.float32)
    if samples.ndim == 1:
        return samples
    if samples.ndim != 2 or not 0 < samples.shape[1] <= MAX_CHANNELS:
        raise ValueError(
            f"a waveform has shape {samples.shape}; expected [n] or [n, channels]"
        )
    return samples.mean(axis=1)


def resample(waveform: np.ndarray, from_hz: int, to_hz: int) -> np.ndarray:
    """Returns `waveform` [n] at another rate, as float32 (soxr, high quality)."""
    return soxr.resample(np.asarray(waveform, np.float32), from_hz, to_hz)


def check_waveform(
    waveform: np.ndarray, name: str, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> None:
    """Raises a ValueError naming `name` unless `waveform` [n] can be a voice.

    It must be finite, last 0.1 s, be louder than silence (a peak of -60 dBFS) and be
    scaled to [-1, 1].
    """
    check_peak(peak_of(waveform), len(waveform), name, sample_rate_hz)


def peak_of(waveform: np.ndarray) -> float:
    """Returns the largest magnitude in `waveform` [n]; NaN if there is one."""
    return float(np.abs(waveform).max(initial=0.0))


def check_peak(
    peak: float, n_samples: int, name: str, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> None:
    """Does what `check_waveform` does, of `n_samples` of which only `peak` is known."""
    if not np.isfinite(peak):
        raise ValueError(f"{name} has samples that are NaN or infinite")
    secs = n_samples / sample_rate_hz
    if secs < MIN_SECS:
        raise ValueError(f"{name} has {secs:.3f} s of sound; {MIN_SECS} s is the least")
    if peak < SILENCE_PEAK:
        raise ValueError(f"{name} is silent (peak below -60 dBFS)")
    if peak > LOUDEST_PEAK:
        raise ValueError(
            f"{name} has samples up to {peak:.4g}; floating-point sound must be in "
            "[-1, 1]: divide it by its full scale"
        )


def fit_length(waveform: np.ndarray, n_samples: int) -> np.ndarray:
    """Repeats `waveform` [n] until it is long enough, then takes its beginning.

    Sec. 3: "If the video clip is shorter than 6 seconds, we repeat the audio such that
    it becomes at least 6-seconds long."

    Returns:
      [n_samples], of the dtype of `waveform`.
    """
    if not len(waveform):
        raise ValueError("cannot repeat a waveform without samples")
    return np.tile(waveform, -(-n_samples // len(waveform)))[:n_samples]


def n_frames(n_samples: int) -> int:
    """Frames in the spectrogram of `n_samples`: 598 for 6 s, 298 for 3 s."""
    return max(0, 1 + (n_samples - WINDOW_SAMPLES) // HOP_SAMPLES)


def spectrogram(waveform: Any, portable: bool = False) -> Any:
    """Compressed complex spectrogram (Sec. 3).

    Args:
      waveform: [batch, n_samples] float32 in [-1, 1] at 16 kHz; at least 400 samples.
      portable: see `fourier.transform`.

    Returns:
      [batch, n_frames(n_samples), 257, 2] float32: the real and the imaginary part.
    """
    return compress(complex_spectrogram(waveform, portable))


def complex_spectrogram(waveform: Any, portable: bool = False) -> Any:
    """The spectrogram before compression; arguments and result as `spectrogram`."""
    real, imaginary = fourier.transform(
        waveform, _hann_window(), HOP_SAMPLES, FFT_SAMPLES, portable
    )
    return ops.stack([real, imaginary], axis=-1)  # [b, t, f] twice -> [b, t, f, 2]


def compress(values: Any) -> Any:
    """Power-law compression sgn(x) |x|^0.3, element by element (Sec. 3).

    Its slope is infinite at 0: rounding errors of 1e-6 become 0.016.
    """
    return ops.sign(values) * ops.power(ops.abs(values), COMPRESSION)


@keras.saving.register_keras_serializable("speech2face")
class Spectrogram(keras.layers.Layer):
    """`spectrogram` as a layer, in float32 whatever the policy of the network.

    Args:
      min_samples: fewest samples that the network behind it can use.

    Attributes:
      portable: see `speech2face.portable`.
    """

    def __init__(
        self, min_samples: int = WINDOW_SAMPLES, name: str = "spectrogram", **kwargs
    ):
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        self.min_samples = min_samples
        self.portable = False

    def call(self, waveform):
        """Returns `spectrogram(waveform)`; raises ValueError if that is too short."""
        n_samples = waveform.shape[1]
        if n_samples is not None and n_samples < self.min_samples:
            raise ValueError(
                f"{n_samples} samples are too short a waveform; the network needs "
                f"{self.min_samples} ({self.min_samples / SAMPLE_RATE_HZ} s): repeat "
                "it (audio.fit_length)"
            )
        return spectrogram(waveform, self.portable)

    def get_config(self):
        """Returns what the layer can be made from again."""
        return {**super().get_config(), "min_samples": self.min_samples}


def _hann_window() -> np.ndarray:
    """The periodic Hann window, [400] float32."""
    turn = np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    return (0.5 - 0.5 * np.cos(2 * np.pi * turn)).astype(np.float32)


def _check_segment(path: str, start_secs: float, end_secs: Optional[float]) -> None:
    if not os.path.exists(path):
        raise FileNotFoundError(f"no such file: {path}")
    if not os.path.isfile(path):
        raise ValueError(f"{path} is not a file")
    if start_secs < 0 or (end_secs is not None and end_secs <= start_secs):
        raise ValueError(
            f"{path}: a segment from {start_secs} s to {end_secs} s is empty; it must "
            "start at 0 or later and end after that"
        )


def _decode(
    source: Union[str, "os.PathLike[str]", BinaryIO],
    name: str,
    start_secs: float,
    end_secs: Optional[float],
) -> Iterator[Tuple[np.ndarray, int]]:
    """Yields ([channels, n] float32, rate in Hz) of the first audio track.

    The rate is that of the decoded sound: HE-AAC doubles what the file declares.
    """
    if hasattr(source, "seek"):
        source.seek(0)
    try:
        with av.open(source, metadata_errors="replace") as container:
            if not container.streams.audio:
                raise ValueError(f"{name} has no audio track")
            stream = container.streams.audio[0]
            yield from _blocks(container, stream, name, start_secs, end_secs)
    except av.error.FFmpegError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"{name} is unreadable as audio or video: {reason}") from None


def _blocks(
    container, stream, name: str, start_secs: float, end_secs: Optional[float]
) -> Iterator[Tuple[np.ndarray, int]]:
    """Yields [channels, n] blocks, and their rates, that together are the segment."""
    begin_secs = (container.start_time or 0) / av.time_base
    if start_secs > _SEEK_MARGIN_SECS:
        target_secs = begin_secs + start_secs - _SEEK_MARGIN_SECS
        container.seek(int(target_secs * av.time_base))
    # Keeps the rate and the channels. Packed: PyAV reads past the end of the planes of
    # more than 8 channels.
    to_float = av.AudioResampler(format="flt")
    at_secs = 0.0
    for frame in _frames(container, stream):
        try:
            blocks = to_float.resample(frame)
        except ValueError:
            raise ValueError(
                f"{name} is unreadable as audio or video: its sound changes channels, "
                "rate or format midway"
            ) from None
        for block in blocks:
            if block.pts is not None:  # else it follows the one before
                at_secs = block.time - begin_secs
            if end_secs is not None and at_secs >= end_secs:
                return
            samples = block.to_ndarray().reshape(-1, block.layout.nb_channels).T
            rate_hz = block.sample_rate
            yield _cut(samples, rate_hz, at_secs, start_secs, end_secs), rate_hz
            at_secs += block.samples / rate_hz


def _frames(container, stream):
    """Decoded frames; undecodable packets are only forgiven ahead of the first one.

    A seek can land inside a packet (MPEG program streams); further on, a packet that
    cannot be decoded is damage.
    """
    started = False
    for packet in container.demux(stream):
        try:
            for frame in packet.decode():
                started = True
                yield frame
        except av.error.InvalidDataError:
            if started:
                raise


def _cut(
    samples: np.ndarray,
    rate_hz: int,
    at_secs: float,
    start_secs: float,
    end_secs: Optional[float],
) -> np.ndarray:
    """The part of `samples` [channels, n], which begin at `at_secs`, in the segment."""
    first = max(0, round((start_secs - at_secs) * rate_hz))
    if end_secs is None:
        return samples[:, first:]
    return samples[:, first : max(0, round((end_secs - at_secs) * rate_hz))]
