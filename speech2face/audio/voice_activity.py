"""Removes pauses, so that silence does not average into the voice.

WebRTC's voice activity detector decides for every 30 ms whether somebody speaks. Up to
0.3 s before and after speech are kept, too: words begin and end softly, and short
pauses belong to speaking. Not in the paper, and off by default:
docs/decisions/voice-activity.md.
"""

import collections
from collections.abc import Iterable, Iterator

import numpy as np
import webrtcvad

from speech2face import paper
from speech2face.errors import UserError

FRAME_SAMPLES = 480  # 30 ms, the longest frame that the detector takes
MARGIN_FRAMES = 10  # 0.3 s
AGGRESSIVENESS = 2  # of 0 to 3: 3 removes quiet consonants, 0 keeps fans and hum
MIN_SECS = 0.5  # of speech; a shorter sound is a click or a cough
_FULL_SCALE = 32768.0  # of the 16-bit samples that the detector takes


class Trimmer:
    """Removes pauses from a recording that comes in blocks of any size."""

    def __init__(self):
        """Starts a recording."""
        self._detector = webrtcvad.Vad(AGGRESSIVENESS)
        self._incomplete_frame = np.zeros(0, np.float32)
        # The newest frames without speech: kept if the next one has speech.
        self._before: collections.deque[np.ndarray] = collections.deque(
            maxlen=MARGIN_FRAMES
        )
        self._n_after = 0  # frames still to be kept after the last speech

    def push(self, block: np.ndarray) -> np.ndarray:
        """Adds a block [n] float32; returns the speech found so far, [m] float32."""
        samples = np.concatenate([self._incomplete_frame, block])
        n_whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._incomplete_frame = samples[n_whole:]
        kept = [np.zeros(0, np.float32)]
        for frame in samples[:n_whole].reshape(-1, FRAME_SAMPLES):
            kept.extend(self._keep(frame))
        return np.concatenate(kept)

    def _keep(self, frame: np.ndarray) -> Iterator[np.ndarray]:
        """Yields the frames that are kept now that `frame` is known."""
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
            pcm.astype("<i2").tobytes(), paper.SAMPLE_RATE_HZ
        )


def trim(blocks: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Yields the speech in the blocks [n] float32 at 16 kHz of one recording.

    An incomplete last frame (less than 30 ms) is dropped.
    """
    trimmer = Trimmer()
    for block in blocks:
        yield trimmer.push(block)


def check(n_samples: int, name: str) -> None:
    """Raises a UserError that names `name` if less than 0.5 s of speech remains."""
    if n_samples < MIN_SECS * paper.SAMPLE_RATE_HZ:
        raise UserError(
            f"{name} has {n_samples / paper.SAMPLE_RATE_HZ:.2f} s of speech; "
            f"at least {MIN_SECS} s is needed",
            reason="no_speech",
        )
