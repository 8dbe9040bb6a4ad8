"""Checks that a recording can be a voice: length, peak and power.

A constant offset, which cheap microphones add, is not sound: length, peak and power are
those of the samples without their mean. docs/decisions/what-is-a-voice.md.
"""

import math

import numpy as np

from speech2face.errors import UserError
from speech2face.paper import SAMPLE_RATE_HZ

# Not in the paper: docs/decisions/what-is-a-voice.md.
MIN_SECS = 0.1  # a shorter sound holds no vowel
SILENCE_PEAK = 1e-3  # -60 dBFS: below it, there is only the noise of a converter
LOUDEST_PEAK = 4.0  # +12 dBFS: lossy decoders overshoot 1; more is a wrong scale
_BLOCK_SAMPLES = 1 << 20  # the squares of an hour in float64 would take half a gigabyte


class Loudness:
    """Length, peak and power of a recording that comes in blocks.

    Attributes:
      n_samples: length so far.
    """

    def __init__(self):
        """Starts a recording."""
        self.n_samples = 0
        self._lowest = math.inf
        self._highest = -math.inf
        self._sum = 0.0
        self._sum_of_squares = 0.0

    def add(self, block: np.ndarray) -> None:
        """Adds samples [n] float32."""
        for first in range(0, len(block), _BLOCK_SAMPLES):
            part = np.asarray(block[first : first + _BLOCK_SAMPLES], np.float64)
            self.n_samples += len(part)
            # np.minimum, not min: it keeps a NaN, which `check` then reports.
            self._lowest = float(np.minimum(self._lowest, part.min()))
            self._highest = float(np.maximum(self._highest, part.max()))
            with np.errstate(all="ignore"):  # infinities: `check` reports them
                self._sum += float(part.sum())
                self._sum_of_squares += float(np.square(part).sum())

    @property
    def mean_square(self) -> float:
        """Power so far: the mean of the squared samples, a constant offset included."""
        return self._sum_of_squares / max(self.n_samples, 1)

    @property
    def peak(self) -> float:
        """Largest distance from the mean so far; NaN after a NaN or an infinity."""
        if not self.n_samples:
            return 0.0
        mean = self._sum / self.n_samples
        return float(np.maximum(self._highest - mean, mean - self._lowest))

    def check(self, name: str, sample_rate_hz: float = SAMPLE_RATE_HZ) -> None:
        """Checks that this can be a voice.

        Args:
          name: what the error calls it.
          sample_rate_hz: rate of the samples.

        Raises:
          UserError: it is not finite, shorter than 0.1 s, silent (its peak is below
            -60 dBFS) or not scaled to [-1, 1]; `reason` says which.
        """
        if not np.isfinite(self.peak):
            raise UserError(
                f"{name} has samples that are NaN or infinite", reason="nan_samples"
            )
        secs = self.n_samples / sample_rate_hz
        if secs < MIN_SECS:
            raise UserError(
                f"{name} has {secs:.3f} s of sound; at least {MIN_SECS} s is needed",
                reason="too_short",
            )
        if self.peak < SILENCE_PEAK:
            raise UserError(f"{name} is silent (peak below -60 dBFS)", reason="silent")
        largest = max(self._highest, -self._lowest)
        if largest > LOUDEST_PEAK:
            raise UserError(
                f"{name} has samples up to {largest:.4g}; floating-point sound must be "
                "in [-1, 1]: divide it by its full scale",
                reason="not_scaled",
            )


def check_waveform(
    waveform: np.ndarray, name: str, sample_rate_hz: float = SAMPLE_RATE_HZ
) -> None:
    """Checks that a waveform can be a voice: see `Loudness.check`.

    Args:
      waveform: [n] float32.
      name: what the error calls it.
      sample_rate_hz: rate of the samples.

    Raises:
      UserError: it cannot; `reason` says why.
    """
    loudness = Loudness()
    loudness.add(waveform)
    loudness.check(name, sample_rate_hz)
