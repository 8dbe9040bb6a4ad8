"""Kaldi's log-mel filter bank in a graph: what CAM++ hears.

As `compute-fbank-feats` computes it with 80 bands and no dither (Povey et al., "The
Kaldi Speech Recognition Toolkit", ASRU 2011): frames of 25 ms every 10 ms, none padded;
in each frame the mean is removed, then pre-emphasis, Povey's window, a transform of 512
samples, triangular filters between 20 Hz and 8 kHz, natural logarithm. Samples are
16-bit integers there, so waveforms in [-1, 1] are multiplied by 32,768.
"""

import functools
from typing import Any

import numpy as np
from keras import ops

from speech2face import paper
from speech2face.audio import fourier

N_MELS = 80
FRAME_SAMPLES = paper.WINDOW_SAMPLES  # 25 ms, as in the paper
HOP_SAMPLES = paper.HOP_SAMPLES  # 10 ms
_FFT_SAMPLES = 512
_LOWEST_HZ = 20.0
_FULL_SCALE = 32_768.0  # of 16-bit samples
_PRE_EMPHASIS = 0.97
_POVEY_POWER = 0.85  # Povey's window is Hann's to this power
# Under the logarithm: the spacing of float32 at 1. Digital silence has this power.
_MIN_POWER = float(np.finfo(np.float32).eps)


def log_mel(waveform: Any, portable: bool = False) -> Any:
    """Returns the log-mel power of all whole frames.

    Args:
      waveform: [batch, n_samples] float32 in [-1, 1] at 16 kHz, at least one frame.
      portable: see `fourier.transform`.

    Returns:
      [batch, 1 + (n_samples - 400) // 160, 80] float32.
    """
    real, imaginary = fourier.transform(
        waveform * _FULL_SCALE, frame_map(), HOP_SAMPLES, _FFT_SAMPLES, portable
    )
    power = ops.square(real) + ops.square(imaginary)
    return ops.log(ops.maximum(ops.matmul(power, mel_filters()), _MIN_POWER))


@functools.cache
def frame_map() -> np.ndarray:
    """Returns what happens to a frame before its transform, as a matrix.

    [400, 400] float32: frame @ matrix removes the mean, emphasizes and windows.
    """
    identity = np.eye(FRAME_SAMPLES)
    centered = identity - 1 / FRAME_SAMPLES
    # x[i] - 0.97 x[i - 1]; before the first sample stands the first sample itself.
    before = np.roll(identity, 1, axis=1)
    before[:, 0] = identity[:, 0]
    turns = np.arange(FRAME_SAMPLES) / (FRAME_SAMPLES - 1)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * turns)) ** _POVEY_POWER
    shaped = centered @ (identity - _PRE_EMPHASIS * before) * window
    return shaped.astype(np.float32)


@functools.cache
def mel_filters() -> np.ndarray:
    """Returns the triangular filters, [257, 80] float32, triangles in mel."""
    n_bins = _FFT_SAMPLES // 2 + 1
    mel = _mel(np.arange(n_bins) * paper.SAMPLE_RATE_HZ / _FFT_SAMPLES)
    edges = np.linspace(_mel(_LOWEST_HZ), _mel(paper.SAMPLE_RATE_HZ / 2), N_MELS + 2)
    left, center, right = edges[:-2], edges[1:-1], edges[2:]
    rising = (mel[:, None] - left) / (center - left)
    falling = (right - mel[:, None]) / (right - center)
    filters = np.maximum(0, np.minimum(rising, falling))
    filters[-1] = 0  # Kaldi's filters end before the bin at half the sample rate
    return filters.astype(np.float32)


def _mel(hz: Any) -> Any:
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)
