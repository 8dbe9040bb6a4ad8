"""The short-time Fourier transform of every network here, in two ways.

`keras.ops.rfft` is fast and exact, but ONNX and TFLite runtimes have it for some sizes
only, or not at all. The same numbers come from one convolution whose kernels are the
windowed cosines and sines: a handful of operations more per sample, in any runtime.
"""

from typing import Any, Tuple

import numpy as np
from keras import ops


def transform(
    waveform: Any,
    window: np.ndarray,
    hop_samples: int,
    fft_samples: int,
    portable: bool = False,
) -> Tuple[Any, Any]:
    """Transforms overlapping frames; the phase refers to a frame's first sample.

    Args:
      waveform: [batch, n_samples] float32; at least `len(window)` samples.
      window: [frame_samples] float32; frame k begins at sample k * hop_samples.
      hop_samples: from one frame to the next.
      fft_samples: length of the transform, at least `len(window)`: frames are followed
        by zeros.
      portable: by convolution, for runtimes without `rfft`.

    Returns:
      The real and the imaginary part, each [batch, frames, fft_samples // 2 + 1]
      float32; nothing is padded at either end.
    """
    if portable:
        return _by_convolution(waveform, window, hop_samples, fft_samples)
    frames = ops.extract_sequences(waveform, len(window), hop_samples)
    return ops.rfft(frames * window, fft_length=fft_samples)


def _by_convolution(waveform, window, hop_samples, fft_samples):
    turns = np.outer(np.arange(len(window)), np.arange(fft_samples // 2 + 1))
    wave = np.exp(-2j * np.pi * turns / fft_samples) * window[:, None]
    kernel = np.concatenate([wave.real, wave.imag], axis=1).astype("float32")
    spectrum = ops.conv(
        ops.expand_dims(waveform, -1),
        kernel[:, None],
        strides=hop_samples,
        padding="valid",
    )
    n_bands = fft_samples // 2 + 1
    return spectrum[..., :n_bands], spectrum[..., n_bands:]
