"""The spectrogram that the voice encoder sees.

Sec. 3, "Implementation details": audio at 16 kHz, one channel, up to 6 seconds from
the beginning of the clip, repeated if shorter; an STFT with a Hann window of 25 ms, a
hop of 10 ms and 512 FFT bands; power-law compression sgn(S)|S|^0.3 of the real and the
imaginary part independently.

Only one framing gives the paper's 598 x 257 for 6 seconds (docs/decisions/framing.md):
frame k is the 400 samples from 160 k on, nothing is padded at either end (a centered
STFT gives 601 frames), the window is the periodic Hann of 400 samples, and 112 zeros
after a frame make it 512 long. The phase therefore refers to its first sample.

`spectrogram` uses `keras.ops` only, so it runs in any graph and in exported models.
"""

from typing import Any

import keras
import numpy as np
from keras import ops

from speech2face.audio import fourier
from speech2face.errors import UserError
from speech2face.paper import (
    COMPRESSION,
    FFT_SAMPLES,
    HOP_SAMPLES,
    SAMPLE_RATE_HZ,
    WINDOW_SAMPLES,
)


def fit_length(waveform: np.ndarray, n_samples: int) -> np.ndarray:
    """Repeats a waveform [n] until it is long enough, then takes its beginning.

    Sec. 3: "If the video clip is shorter than 6 seconds, we repeat the audio such that
    it becomes at least 6-seconds long." Of a long one training takes the beginning:
    docs/decisions/short-and-long-clips.md

    Returns:
      [n_samples], of the dtype of `waveform`.

    Raises:
      UserError: `waveform` is empty.
    """
    if not len(waveform):
        raise UserError("cannot repeat a waveform without samples")
    return np.tile(waveform, -(-n_samples // len(waveform)))[:n_samples]


def n_frames(n_samples: int) -> int:
    """Returns the frames of a spectrogram: 598 for 6 s of samples, 298 for 3 s."""
    return max(0, 1 + (n_samples - WINDOW_SAMPLES) // HOP_SAMPLES)


def spectrogram(waveform: Any, portable: bool = False) -> Any:
    """Computes the compressed complex spectrogram (Sec. 3).

    Args:
      waveform: [batch, n_samples] float32 in [-1, 1] at 16 kHz; at least 400 samples.
      portable: see `fourier.transform`.

    Returns:
      [batch, n_frames(n_samples), 257, 2] float32: the real and the imaginary part.
    """
    return compress(complex_spectrogram(waveform, portable))


def complex_spectrogram(waveform: Any, portable: bool = False) -> Any:
    """Computes the spectrogram before compression; see `spectrogram`."""
    real, imaginary = fourier.transform(
        waveform, _hann_window(), HOP_SAMPLES, FFT_SAMPLES, portable
    )
    return ops.stack([real, imaginary], axis=-1)  # [b, t, f] twice -> [b, t, f, 2]


def compress(values: Any) -> Any:
    """Applies power-law compression sgn(x) |x|^0.3 to each element (Sec. 3).

    The slope is infinite at 0: rounding errors of 1e-6 become 0.016. See
    docs/decisions/power-law-compression.md.
    """
    return ops.sign(values) * ops.power(ops.abs(values), COMPRESSION)


@keras.saving.register_keras_serializable("speech2face")
class Spectrogram(keras.layers.Layer):
    """`spectrogram` as a layer, in float32 whatever the network's dtype policy.

    Half precision has too few digits for the compression: see `compress`.

    Args:
      min_samples: fewest samples that the following network can use.

    Attributes:
      portable: see `fourier.transform`.
    """

    def __init__(
        self, min_samples: int = WINDOW_SAMPLES, name: str = "spectrogram", **kwargs
    ):
        super().__init__(name=name, **{**kwargs, "dtype": "float32"})
        self.min_samples = min_samples
        self.portable = False

    def call(self, waveform: Any) -> Any:
        """Returns `spectrogram(waveform)`; raises UserError if it is too short."""
        n_samples = waveform.shape[1]
        if n_samples is not None and n_samples < self.min_samples:
            raise UserError(
                f"{n_samples} samples are too short a waveform; the network needs "
                f"{self.min_samples} ({self.min_samples / SAMPLE_RATE_HZ} s): repeat "
                "it (speech2face.audio.spectrogram.fit_length)"
            )
        return spectrogram(waveform, self.portable)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments of the constructor, for Keras."""
        return {**super().get_config(), "min_samples": self.min_samples}


def _hann_window() -> np.ndarray:
    """Returns the periodic Hann window, [400] float32; numpy.hanning is symmetric."""
    turn = np.arange(WINDOW_SAMPLES) / WINDOW_SAMPLES
    return (0.5 - 0.5 * np.cos(2 * np.pi * turn)).astype(np.float32)
