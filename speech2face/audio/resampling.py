"""Resamples waveforms with soxr: whole ones, and recordings block by block."""

from typing import Any

import numpy as np
import soxr

from speech2face.errors import UserError
from speech2face.paper import SAMPLE_RATE_HZ

# Not in the paper: docs/decisions/untrusted-media.md.
MIN_RATE_HZ = 4_000  # less holds no vowels
MAX_RATE_HZ = 768_000  # the highest that studio converters have


def check_rate(rate_hz: Any, name: str = "sample_rate_hz") -> None:
    """Raises a UserError that names `name` unless this is a rate for sound, in Hz."""
    is_number = isinstance(rate_hz, (int, float, np.number))
    if not is_number or not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:  # so is NaN
        raise UserError(
            f"{name} is {rate_hz!r:.40}; it must be a number from {MIN_RATE_HZ} to "
            f"{MAX_RATE_HZ}, in Hz (not kHz)",
            reason="bad_sample_rate",
        )


class Resampler:
    """Resamples a recording block by block.

    The concatenated output equals `resample` of the whole recording.
    """

    def __init__(self, from_hz: float, to_hz: float = SAMPLE_RATE_HZ):
        """Starts a recording whose blocks have the rate `from_hz`.

        Raises:
          UserError: `check_rate` rejects a rate.
        """
        check_rate(from_hz)
        check_rate(to_hz)
        self._is_needed = from_hz != to_hz
        self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")

    def push(self, block: np.ndarray) -> np.ndarray:
        """Resamples one block and returns the output available so far.

        Args:
          block: [n] samples at the rate of the recording.

        Returns:
          [m] float32 at the new rate. soxr looks ahead, so m may be 0.
        """
        block = np.asarray(block, np.float32)
        return self._stream.resample_chunk(block) if self._is_needed else block

    def flush(self) -> np.ndarray:
        """Ends the recording and returns the rest of the output, [m] float32."""
        rest = np.zeros(0, np.float32)
        return self._stream.resample_chunk(rest, last=True) if self._is_needed else rest


def resample(waveform: np.ndarray, from_hz: float, to_hz: float) -> np.ndarray:
    """Resamples a waveform (soxr, high quality).

    Args:
      waveform: [n] samples at `from_hz`.
      from_hz: rate of `waveform`.
      to_hz: rate of the result.

    Returns:
      [round(n * to_hz / from_hz)] float32.

    Raises:
      UserError: `check_rate` rejects a rate.
    """
    check_rate(from_hz)
    check_rate(to_hz)
    return soxr.resample(np.asarray(waveform, np.float32), from_hz, to_hz)
