"""Recordings that come to the web page, decoded in memory.

`VoiceRecorder` takes a recording block by block, from a microphone or from a file, so
that the page can show how the face settles. Its result is a `Voice`.
"""

import dataclasses
import os
import pathlib
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np

from speech2face import paper
from speech2face.audio import channels, decoding, loudness, resampling, voice_activity
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.inference.model import Result, Speech2Face
from speech2face.inference.streaming import StreamingSpeech2Face
from speech2face.web.limits import BYTES_PER_MB, Limits

SHORT_SECS, LONG_SECS = 3.0, 6.0  # the two durations of Fig. 6
# A shorter sound would be repeated twelve times to fill a clip: a buzz, not a voice.
MIN_SECS = 0.5
# Of all channels, which are kept until the end decides between them: 134 MB, or a
# minute of 11 channels at 48 kHz.
MAX_KEPT_VALUES = 1 << 25

Source = PathLike | BinaryIO  # of a recording


@dataclasses.dataclass(frozen=True)
class Voice:
    """A finished recording and its features.

    Attributes:
      name: what the page calls it.
      waveform: [n] float32 at 16 kHz.
      feature: v_s [d] of the whole recording.
      short_feature: v_s [d] of its first 3 seconds of speech.
      long_feature: v_s [d] of its first 6 seconds of speech.
      speech_secs: duration of its speech, or of everything where none was found.
      is_cut: whether it was longer than the page accepts.
    """

    name: str
    waveform: np.ndarray
    feature: np.ndarray
    short_feature: np.ndarray
    long_feature: np.ndarray
    speech_secs: float
    is_cut: bool

    @property
    def secs(self) -> float:
        """Its duration."""
        return len(self.waveform) / paper.SAMPLE_RATE_HZ


class VoiceRecorder:
    """Records one voice block by block."""

    def __init__(
        self, model: Speech2Face, name: str, sample_rate_hz: int, limits: Limits
    ):
        """Starts an empty recording.

        Args:
          model: what makes the faces.
          name: what errors and the page call the voice.
          sample_rate_hz: sample rate of the blocks.
          limits: samples after `max_secs` are ignored.
        """
        self._model = model
        self._name = name
        self._rate_hz = sample_rate_hz
        self._max_samples = round(limits.max_secs * sample_rate_hz)
        self._blocks: list[np.ndarray] = []  # [n, channels]
        self._n_samples = 0
        self._mixer = channels.Mixer()
        self._live = StreamingSpeech2Face(model, sample_rate_hz)

    @property
    def secs(self) -> float:
        """Duration of the recording so far."""
        return self._n_samples / self._rate_hz

    @property
    def is_full(self) -> bool:
        """Whether further blocks are ignored."""
        return self._n_samples >= self._max_samples

    def push(self, block: np.ndarray, sample_rate_hz: int | None = None) -> None:
        """Adds a block.

        Args:
          block: [n] or [n, channels] float32 in [-1, 1].
          sample_rate_hz: sample rate of the block, which may differ from that of
            earlier blocks.

        Raises:
          UserError: the block has NaN or infinite samples, or another number of
            channels or sample rate than those before. Nothing is added then.
        """
        if sample_rate_hz not in (None, self._rate_hz):
            raise UserError(
                f"{self._name} changes its sample rate from {self._rate_hz} Hz to "
                f"{sample_rate_hz} Hz",
                reason="bad_sample_rate",
            )
        samples = channels.check_samples(block)
        most = MAX_KEPT_VALUES // samples.shape[1]
        self._max_samples = min(self._max_samples, most)
        samples = samples[: max(0, self._max_samples - self._n_samples)]
        if len(samples):
            self._live.push(samples)  # first, because it checks them
            self._mixer.measure(samples)
            self._blocks.append(samples)
            self._n_samples += len(samples)

    def face_so_far(self, exaggeration: float = 0.0) -> Result | None:
        """Returns the face so far, or None while there is too little of a voice."""
        return self._live.result(exaggeration)

    def finish(self) -> Voice:
        """Ends the recording.

        Raises:
          UserError: `loudness.check_waveform` rejects it, or it is shorter than
            `MIN_SECS`.
        """
        # The whole recording decides which channel is used, as it does for a file.
        blocks = [self._mixer.mix(block) for block in self._blocks]
        waveform = np.concatenate(blocks or [np.zeros(0, np.float32)])
        waveform = resampling.resample(waveform, self._rate_hz, paper.SAMPLE_RATE_HZ)
        loudness.check_waveform(waveform, self._name)
        if self.secs < MIN_SECS:
            raise UserError(
                f"{self._name} has {self.secs:.2f} s of sound; at least {MIN_SECS} s "
                "are needed",
                reason="too_short",
            )
        speech = _speech(waveform)
        beginnings = [
            speech[: round(secs * paper.SAMPLE_RATE_HZ)]
            for secs in (SHORT_SECS, LONG_SECS)
        ]
        short, long = self._model.voice_features(beginnings)
        return Voice(
            name=self._name,
            waveform=waveform,
            feature=self._feature(waveform),
            short_feature=short,
            long_feature=long,
            speech_secs=len(speech) / paper.SAMPLE_RATE_HZ,
            is_cut=self.is_full,
        )

    def _feature(self, waveform: np.ndarray) -> np.ndarray:
        if self._blocks[0].shape[1] == 1:
            return self._live.finish().feature
        # Its channel may not be the one that was used while the person spoke.
        return self._model.voice_features([waveform])[0]


def _speech(waveform: np.ndarray) -> np.ndarray:
    """Returns a waveform [n] at 16 kHz without its pauses, or whole if that is all.

    Somebody who presses the button and then thinks for three seconds has not spoken for
    three seconds.
    """
    speech = np.concatenate(list(voice_activity.trim([waveform])))
    return speech if len(speech) >= MIN_SECS * paper.SAMPLE_RATE_HZ else waveform


def read_block(source: Source, limits: Limits) -> tuple[np.ndarray, int]:
    """Returns a block from the microphone and its sample rate in Hz.

    Args:
      source: the block; whatever a client sends as one.
      limits: sound after `max_secs` is not decoded.

    Returns:
      [n, channels] float32, and the rate.

    Raises:
      UserError: it is unreadable.
    """
    samples, rate_hz = decoding.decode_segment(
        source, "Your recording", end_secs=limits.max_secs
    )
    return samples.T, rate_hz


def record_file(
    model: Speech2Face, source: Source, limits: Limits, name: str = ""
) -> Iterator[VoiceRecorder]:
    """Plays a file to a `VoiceRecorder`; yields the recorder after each block.

    Blocks of the first six seconds, in which the face settles, last 1 s. Later blocks
    last 6 s, so that a long file is finished sooner.

    Args:
      model: what makes the faces.
      source: an audio or video file.
      limits: largest size of the file, and how many seconds are used.
      name: what errors and the page call it; by default the file's name.

    Raises:
      UserError: the file is too large, or unreadable as audio or video.
    """
    if isinstance(source, (str, os.PathLike)):
        path = pathlib.Path(source)
        source, name, n_bytes = str(path), name or path.name, path.stat().st_size
    else:
        n_bytes = source.seek(0, os.SEEK_END)
    if n_bytes > limits.max_bytes:
        raise UserError(
            f"{name} is {n_bytes / BYTES_PER_MB:.0f} MB large; up to {limits.max_mb} "
            "MB can be used",
            reason="too_large",
        )
    samples, rate_hz = decoding.decode_segment(source, name, end_secs=limits.max_secs)
    waveform = channels.one_channel(samples.T)
    recorder = VoiceRecorder(model, name, rate_hz, limits)
    settled = round(LONG_SECS * rate_hz)
    starts = [*range(0, settled, rate_hz), *range(settled, len(waveform), settled)]
    for block in np.split(waveform, [n for n in starts[1:] if n < len(waveform)]):
        recorder.push(block)
        yield recorder
