"""The short-time Fourier transform of every network here, in two implementations.

`keras.ops.rfft` is fast and exact, but ONNX and TFLite runtimes have it for some sizes
only, or not at all. A convolution whose kernels are the windowed cosines and sines
gives the same numbers in any runtime, at more operations per sample.
"""

from typing import Any

import numpy as np
from keras import ops


def transform(
    waveform: Any,
    window: np.ndarray,
    hop_samples: int,
    fft_samples: int,
    portable: bool = False,
) -> tuple[Any, Any]:
    """Transforms overlapping frames; the phase refers to a frame's first sample.

    Args:
      waveform: [batch, n_samples] float32; at least `len(window)` samples.
      window: [frame_samples] float32, a factor for each sample of a frame, or
        [frame_samples, frame_samples], a matrix that a frame is multiplied with; frame
        k begins at sample k * hop_samples.
      hop_samples: distance from one frame to the next.
      fft_samples: length of the transform, at least `len(window)`: zeros follow a
        frame.
      portable: compute it by convolution, for runtimes without `rfft`.

    Returns:
      The real and the imaginary part, each [batch, frames, fft_samples // 2 + 1]
      float32; nothing is padded at either end.
    """
    if portable:
        return _transform_by_convolution(waveform, window, hop_samples, fft_samples)
    frames = ops.extract_sequences(waveform, len(window), hop_samples)
    shaped = ops.matmul(frames, window) if window.ndim == 2 else frames * window
    return ops.rfft(shaped, fft_length=fft_samples)


def _transform_by_convolution(
    waveform: Any, window: np.ndarray, hop_samples: int, fft_samples: int
) -> tuple[Any, Any]:
    turns = np.outer(np.arange(len(window)), np.arange(fft_samples // 2 + 1))
    # [frame_samples, bands]: the kernel of band f is window * exp(-2 pi i f n / N).
    wave = np.exp(-2j * np.pi * turns / fft_samples)
    wave = window @ wave if window.ndim == 2 else wave * window[:, None]
    kernel = np.concatenate([wave.real, wave.imag], axis=1).astype("float32")
    spectrum = ops.conv(  # [b, n, 1] -> [b, frames, 2 * bands]
        ops.expand_dims(waveform, -1),
        kernel[:, None],
        strides=hop_samples,
        padding="valid",
    )
    n_bands = fft_samples // 2 + 1
    return spectrum[..., :n_bands], spectrum[..., n_bands:]
