"""Voices that come to the web page: within limits, kept in memory, files deleted.

A voice is heard piece by piece, so that its face can be seen to settle, whether it
comes from a microphone or from a file.
"""

import contextlib
import dataclasses
import os
import pathlib
import shutil
from typing import Iterator, List, Optional, Tuple

import numpy as np

from speech2face import audio
from speech2face.inference import Result, Speech2Face
from speech2face.streaming import StreamingSpeech2Face

BYTES_PER_MB = 1 << 20
SHORT_SECS, LONG_SECS = 3.0, 6.0  # the two lengths of Fig. 6
MIN_SECS = 0.5  # less, repeated to a clip, is a noise and no voice

_HINTS = {
    "is silent": "Is the microphone muted, or another one chosen? Try once more.",
    "of sound;": "Speak for a few seconds; six are best.",
    "no sound": "Speak for a few seconds; six are best.",
    "no audio track": "Choose a video with sound.",
    "unreadable": "Choose an audio or video file that plays on your computer.",
}
_OTHER_HINT = "Try another recording."


@dataclasses.dataclass(frozen=True)
class Limits:
    """What the page takes.

    Attributes:
      max_mb: size of an uploaded file, in units of 2^20 bytes.
      max_secs: seconds of a recording that are used; what follows is not decoded.
    """

    max_mb: int
    max_secs: float

    @property
    def max_bytes(self) -> int:
        """`max_mb` in bytes."""
        return self.max_mb * BYTES_PER_MB


@dataclasses.dataclass(frozen=True)
class Voice:
    """A recording and what the model makes of it.

    Attributes:
      name: what the page calls it.
      waveform: [n] float32 at 16 kHz.
      feature: v_s [d] of all of it.
      short_feature, long_feature: v_s [d] of its first 3 and 6 seconds.
      is_cut: whether it reached the limit.
    """

    name: str
    waveform: np.ndarray
    feature: np.ndarray
    short_feature: np.ndarray
    long_feature: np.ndarray
    is_cut: bool

    @property
    def secs(self) -> float:
        """Its length."""
        return len(self.waveform) / audio.SAMPLE_RATE_HZ


class Listener:
    """Hears one voice, block by block."""

    def __init__(
        self, model: Speech2Face, name: str, sample_rate_hz: int, limits: Limits
    ):
        """Begins with nothing heard.

        Args:
          model: what makes the faces.
          name: what errors and the page call the voice.
          sample_rate_hz: of the blocks.
          limits: what comes beyond `max_secs` is not heard.
        """
        self._model = model
        self._name = name
        self._rate_hz = sample_rate_hz
        self._max_samples = round(limits.max_secs * sample_rate_hz)
        self._blocks: List[np.ndarray] = []
        self._n_samples = 0
        self._live = StreamingSpeech2Face(model, sample_rate_hz)

    @property
    def secs(self) -> float:
        """How much was heard."""
        return self._n_samples / self._rate_hz

    @property
    def is_full(self) -> bool:
        """Whether nothing more will be heard."""
        return self._n_samples >= self._max_samples

    def push(self, block: np.ndarray) -> None:
        """Hears [n] float32 in [-1, 1]."""
        block = block[: self._max_samples - self._n_samples]
        if len(block):
            self._blocks.append(block)
            self._n_samples += len(block)
            self._live.push(block)

    def face(self, exaggeration: float = 0.0) -> Optional[Result]:
        """Returns the face so far, or None where there is too little of a voice."""
        return self._live.result(exaggeration)

    def finish(self) -> Voice:
        """Returns the whole voice.

        Raises:
          ValueError: it is none that `audio.check_waveform` accepts, or shorter than
            `MIN_SECS`.
        """
        waveform = np.concatenate(self._blocks or [np.zeros(0, np.float32)])
        waveform = audio.resample(waveform, self._rate_hz, audio.SAMPLE_RATE_HZ)
        audio.check_waveform(waveform, self._name)
        if self.secs < MIN_SECS:
            raise ValueError(
                f"{self._name} has {self.secs:.2f} s of sound; {MIN_SECS} s is the "
                "least here"
            )
        first = [
            waveform[: round(secs * audio.SAMPLE_RATE_HZ)]
            for secs in (SHORT_SECS, LONG_SECS)
        ]
        short, long = self._model.voice_features(first)
        return Voice(
            name=self._name,
            waveform=waveform,
            feature=self._live.finish().feature,
            short_feature=short,
            long_feature=long,
            is_cut=self.is_full,
        )


@contextlib.contextmanager
def uploaded(path: str) -> Iterator[pathlib.Path]:
    """Gives an uploaded file and deletes it, with the folder made for it alone."""
    try:
        yield pathlib.Path(path)
    finally:
        shutil.rmtree(pathlib.Path(path).parent, ignore_errors=True)


def read_block(path: "os.PathLike[str]") -> Tuple[np.ndarray, int]:
    """Returns a piece of sound as it is, [n] float32, and its rate in Hz."""
    samples, rate_hz = audio.decode_segment(path, "the recording")
    return samples.mean(axis=0), rate_hz


def listen_to_file(
    model: Speech2Face, path: "os.PathLike[str]", limits: Limits, name: str = ""
) -> Iterator[Listener]:
    """Hears a recording piece by piece; yields the listener after each.

    Pieces of a second for the first six, in which a face settles, then of six: sooner
    at the end.

    Args:
      model: what makes the faces.
      path: an audio or video file.
      limits: of its size and of what is heard.
      name: what errors and the page call it; by default the file's name.

    Raises:
      ValueError: the file is too large, or unreadable as audio or video.
    """
    path = pathlib.Path(path)
    name = name or path.name
    n_bytes = path.stat().st_size
    if n_bytes > limits.max_bytes:
        raise ValueError(
            f"{name} is {n_bytes / BYTES_PER_MB:.0f} MB large; up to {limits.max_mb} "
            "MB can be used"
        )
    samples, rate_hz = audio.decode_segment(str(path), name, end_secs=limits.max_secs)
    waveform = samples.mean(axis=0)
    listener = Listener(model, name, rate_hz, limits)
    settled = round(LONG_SECS * rate_hz)
    starts = [*range(0, settled, rate_hz), *range(settled, len(waveform), settled)]
    for piece in np.split(waveform, [n for n in starts[1:] if n < len(waveform)]):
        listener.push(piece)
        yield listener


def hint(error: Exception) -> str:
    """Returns what a person can do about an error."""
    for sign, text in _HINTS.items():
        if sign in str(error):
            return text
    return _OTHER_HINT
