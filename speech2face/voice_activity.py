"""Leaves out what is no speech, so that silence does not average into the voice.

WebRTC's voice activity detector says of every 30 ms whether somebody speaks. Up to
0.3 s before and behind speech are kept, too: its beginnings and ends are soft, and
short pauses belong to speaking. Beyond the paper, and off unless asked for.
"""

import collections
from typing import Deque, Iterable, Iterator

import numpy as np
import webrtcvad

from speech2face import audio

FRAME_SAMPLES = 480  # 30 ms, the longest that the detector takes
MARGIN_FRAMES = 10  # 0.3 s
AGGRESSIVENESS = 2  # of 0 to 3: how ready it is to call something noise
MIN_SECS = 0.5  # of speech; less is a click or a cough
_FULL_SCALE = 32768.0


class Trimmer:
    """Trims a recording that comes in blocks of any size."""

    def __init__(self):
        """Begins a recording."""
        self._detector = webrtcvad.Vad(AGGRESSIVENESS)
        self._unheard = np.zeros(0, np.float32)  # less than one frame
        self._before: Deque[np.ndarray] = collections.deque(maxlen=MARGIN_FRAMES)
        self._n_after = 0  # frames that are kept behind the last speech

    def push(self, block: np.ndarray) -> np.ndarray:
        """Returns what is kept, now that another block [n] float32 is known."""
        samples = np.concatenate([self._unheard, block])
        n_whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._unheard = samples[n_whole:]
        kept = [np.zeros(0, np.float32)]
        for frame in samples[:n_whole].reshape(-1, FRAME_SAMPLES):
            kept.extend(self._kept(frame))
        return np.concatenate(kept)

    def _kept(self, frame: np.ndarray) -> Iterator[np.ndarray]:
        if self._is_speech(frame):
            yield from self._before
            self._before.clear()
            self._n_after = MARGIN_FRAMES
            yield frame
        elif self._n_after:
            self._n_after -= 1
            yield frame
        else:
            self._before.append(frame)

    def _is_speech(self, frame: np.ndarray) -> bool:
        pcm = np.clip(frame * _FULL_SCALE, -_FULL_SCALE, _FULL_SCALE - 1)
        return self._detector.is_speech(
            pcm.astype("<i2").tobytes(), audio.SAMPLE_RATE_HZ
        )


def trim(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the speech in the blocks [n] float32 at 16 kHz of one recording.

    A last frame of less than 30 ms is left out.
    """
    trimmer = Trimmer()
    for block in blocks:
        yield trimmer.push(block)


def check(n_samples: int, name: str) -> None:
    """Raises a ValueError naming `name` unless enough was left by trimming."""
    if n_samples < MIN_SECS * audio.SAMPLE_RATE_HZ:
        raise ValueError(
            f"{name} has {n_samples / audio.SAMPLE_RATE_HZ:.2f} s of speech; "
            f"{MIN_SECS} s is the least"
        )
