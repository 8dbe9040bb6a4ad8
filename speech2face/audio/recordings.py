"""Recordings of any length, read in blocks, as often as needed.

A recording on disk is never in memory as a whole: it is decoded once to learn its
length and loudness, and again each time its blocks are read.
"""

import os
from collections.abc import Iterator
from typing import Protocol

import numpy as np

from speech2face.audio import decoding, voice_activity
from speech2face.audio.loudness import Loudness
from speech2face.files import PathLike

_BLOCK_SAMPLES = 1 << 20  # 66 s: small beside an hour, large beside NumPy's overhead


class Recording(Protocol):
    """One channel at 16 kHz whose length and power are known."""

    @property
    def n_samples(self) -> int:
        """Length."""

    @property
    def mean_square(self) -> float:
        """Power: the mean of the squared samples."""

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields the samples from the beginning, [n] float32 each."""


class Samples:
    """A recording in memory.

    Attributes:
      n_samples: length.
      mean_square: power.
      waveform: [n_samples] float32.
    """

    def __init__(self, waveform: np.ndarray):
        """Measures a waveform [n] float32 at 16 kHz."""
        self.waveform = waveform
        self.n_samples = len(waveform)
        loudness = Loudness()
        loudness.add(waveform)
        self.mean_square = loudness.mean_square

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields views of the waveform."""
        for start in range(0, self.n_samples, _BLOCK_SAMPLES):
            yield self.waveform[start : start + _BLOCK_SAMPLES]


class SoundFile:
    """A recording in any audio or video file, never in memory as a whole.

    Attributes:
      n_samples: length, after trimming.
      mean_square: power, after trimming.
    """

    def __init__(
        self,
        path: PathLike,
        trim_silence: bool = False,
        *,
        channel: int | None = None,
        max_secs: float = decoding.MAX_BLOCKS_SECS,
    ):
        """Decodes the file once.

        Args:
          path: see `decoding.load_waveform`.
          trim_silence: remove pauses (`voice_activity`).
          channel: see `decoding.load_waveform`.
          max_secs: a longer recording is refused.

        Raises:
          FileNotFoundError: there is no such file.
          UserError: the file is unreadable, `loudness.check_waveform` rejects its
            sound, or it has no speech and `trim_silence` is set.
        """
        self._path = os.fspath(path)
        self._trim_silence = trim_silence
        self._channel = channel
        self._max_secs = max_secs
        untrimmed, loudness = Loudness(), Loudness()
        # Counted first: clipped, infinity and a wrong scale would look like loud sound.
        blocks = _clipped(_counted(self._decoded(), untrimmed))
        for block in voice_activity.trim(blocks) if trim_silence else blocks:
            loudness.add(block)
        untrimmed.check(self._path)
        if trim_silence:
            voice_activity.check(loudness.n_samples, self._path)
        self.n_samples = loudness.n_samples
        self.mean_square = loudness.mean_square

    def blocks(self) -> Iterator[np.ndarray]:
        """Decodes the file again."""
        blocks = _clipped(self._decoded())
        return voice_activity.trim(blocks) if self._trim_silence else blocks

    def _decoded(self) -> Iterator[np.ndarray]:
        return decoding.read_blocks(
            self._path, channel=self._channel, max_secs=self._max_secs
        )


def _counted(blocks: Iterator[np.ndarray], loudness: Loudness) -> Iterator[np.ndarray]:
    for block in blocks:
        loudness.add(block)
        yield block


def _clipped(blocks: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    for block in blocks:
        yield np.clip(block, -1.0, 1.0)
