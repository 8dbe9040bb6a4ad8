"""Recordings of any length, read in blocks, as often as need be.

A recording that is on disk need never be in memory as a whole: it is decoded once to
learn its length and loudness, and again by whoever reads its blocks.
"""

import os
from typing import Iterator, Protocol

import numpy as np

from speech2face import audio, voice_activity

_BLOCK_SAMPLES = 1 << 20  # of an array: a view, so any size will do


class Recording(Protocol):
    """One channel at 16 kHz.

    Attributes:
      n_samples: its length.
      mean_square: its power.
    """

    n_samples: int
    mean_square: float

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields it from the beginning, [n] float32 each."""


class Loudness:
    """What is known of a recording that comes in blocks.

    Attributes:
      n_samples: so far.
      peak: the largest magnitude so far; NaN once there was one.
    """

    def __init__(self):
        """Begins a recording."""
        self.n_samples = 0
        self.peak = 0.0
        self._sum_of_squares = 0.0

    def add(self, block: np.ndarray) -> None:
        """Takes in samples [n] float32."""
        self.n_samples += len(block)
        self.peak = np.maximum(self.peak, audio.peak_of(block))  # keeps a NaN
        self._sum_of_squares += np.square(block, dtype=np.float64).sum()

    @property
    def mean_square(self) -> float:
        """The power so far."""
        return self._sum_of_squares / max(self.n_samples, 1)

    def check(self, name: str) -> None:
        """Raises a ValueError naming `name` unless this can be a voice."""
        audio.check_peak(self.peak, self.n_samples, name)


class Samples:
    """A recording in memory.

    Attributes:
      n_samples, mean_square: see `Recording`.
      waveform: [n_samples] float32.
    """

    def __init__(self, waveform: np.ndarray):
        """Takes [n] float32 at 16 kHz."""
        self.waveform = waveform
        self.n_samples = len(waveform)
        # By blocks: the squares of an hour in float64 are half a gigabyte.
        loudness = Loudness()
        for block in self.blocks():
            loudness.add(block)
        self.mean_square = loudness.mean_square

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields views of the waveform."""
        for start in range(0, self.n_samples, _BLOCK_SAMPLES):
            yield self.waveform[start : start + _BLOCK_SAMPLES]


class SoundFile:
    """A recording in any audio or video file, never in memory as a whole.

    Attributes:
      n_samples, mean_square: see `Recording`; of what is left after trimming.
    """

    def __init__(self, path: "os.PathLike[str]", trim_silence: bool = False):
        """Decodes the file once.

        Args:
          path: as `audio.load_waveform` takes.
          trim_silence: leave out what is no speech (`voice_activity`).

        Raises:
          FileNotFoundError, ValueError: as `audio.load_waveform`; or trimmed, there
            is no speech.
        """
        self._path = str(path)
        self._trim_silence = trim_silence
        untrimmed, loudness = Loudness(), Loudness()
        blocks = _counted(audio.read_blocks(self._path), untrimmed)
        for block in voice_activity.trim(blocks) if trim_silence else blocks:
            loudness.add(block)
        untrimmed.check(self._path)
        if trim_silence:
            voice_activity.check(loudness.n_samples, self._path)
        self.n_samples = loudness.n_samples
        self.mean_square = loudness.mean_square

    def blocks(self) -> Iterator[np.ndarray]:
        """Decodes the file again."""
        blocks = audio.read_blocks(self._path)
        return voice_activity.trim(blocks) if self._trim_silence else blocks


def _counted(blocks: Iterator[np.ndarray], loudness: Loudness) -> Iterator[np.ndarray]:
    for block in blocks:
        loudness.add(block)
        yield block
