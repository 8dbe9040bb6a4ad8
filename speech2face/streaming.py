"""While somebody speaks: blocks from a microphone in, the face so far out.

    live = StreamingSpeech2Face(model, sample_rate_hz=48_000)
    for block in microphone:
        live.push(block)
        result = live.result()      # settles as one speaks
    result = live.finish()          # the same as model(everything, 48_000)

The work of a block does not grow with what came before it. An embedder that brings the
recording to a level gives every window the level so far; if that has changed by the
end, `finish` computes the windows again. The sound for that waits in memory, beyond
four minutes in a temporary file without a name.
"""

import tempfile
from typing import List, Optional

import numpy as np

from speech2face import audio, voice_activity
from speech2face.inference import Result, Speech2Face
from speech2face.pieces import Cutter, Piece
from speech2face.recordings import Loudness

_MEMORY_BYTES = 1 << 24  # 4.4 minutes
_SAME_LEVEL = 1e-6  # relative difference of gains


class StreamingSpeech2Face:
    """`Speech2Face` on a recording that comes in blocks of any size."""

    def __init__(
        self,
        model: Speech2Face,
        sample_rate_hz: int = audio.SAMPLE_RATE_HZ,
        trim_silence: bool = False,
    ):
        """Begins a recording.

        Args:
          model: what draws the face.
          sample_rate_hz: rate of the blocks.
          trim_silence: leave out what is no speech (`speech2face.voice_activity`).
        """
        self._model = model
        resampled = sample_rate_hz != audio.SAMPLE_RATE_HZ
        self._resampler = audio.Resampler(sample_rate_hz) if resampled else None
        self._trimmer = voice_activity.Trimmer() if trim_silence else None
        self._heard = Loudness()
        parts = model.pieces.parts
        self._means = [_RunningMean(model, index) for index in range(len(parts))]
        needed_whole = any(part.gain for part in parts)
        self._kept = _KeptSound(None if needed_whole else model.clip_samples)
        self._finished = False

    @property
    def secs(self) -> float:
        """Length of what the face is made of, without what was trimmed."""
        return self._kept.n_samples / audio.SAMPLE_RATE_HZ

    def push(self, block: np.ndarray) -> None:
        """Adds sound, [n] or [n, channels] float in [-1, 1], n from 0 on.

        Raises:
          ValueError: it has NaN or infinite samples, or `finish` was called.
        """
        if self._finished:
            raise ValueError("the recording is finished; begin another one")
        samples = audio.one_channel(block)
        if not np.isfinite(samples).all():
            raise ValueError("the block has samples that are NaN or infinite")
        self._add(self._resampler.push(samples) if self._resampler else samples)

    def result(self, exaggeration: float = 0.0) -> Optional[Result]:
        """Returns the face of what was said so far.

        None while there is too little of it for a face: see `audio.check_waveform` and
        `voice_activity.check`.
        """
        try:
            self._check()
        except ValueError:
            return None
        return self._model.faces(self._feature(), exaggeration)[0]

    def finish(self, exaggeration: float = 0.0) -> Result:
        """Returns the face of the whole recording and ends it.

        Raises:
          ValueError: as `Speech2Face.__call__`.
        """
        if self._resampler and not self._finished:
            self._add(self._resampler.flush())
        self._finished = True
        self._check()
        if all(mean.has_level(self._kept.mean_square) for mean in self._means):
            feature = self._feature()
        else:
            feature = self._model.voice_features([self._kept])
        return self._model.faces(feature, exaggeration)[0]

    def _add(self, samples: np.ndarray) -> None:
        self._heard.add(samples)
        kept = self._trimmer.push(samples) if self._trimmer else samples
        self._kept.add(kept)
        for mean in self._means:
            mean.add(kept, self._kept.mean_square)

    def _check(self) -> None:
        self._heard.check("the recording")
        if self._trimmer:
            voice_activity.check(self._kept.n_samples, "the recording")

    def _feature(self) -> np.ndarray:
        """v_s [1, d] so far."""
        if self._kept.n_samples < self._model.clip_samples:
            return self._model.voice_features([self._kept])  # tiles it
        n, power = self._kept.n_samples, self._kept.mean_square
        means = [mean.value(n, power)[np.newaxis] for mean in self._means]
        return self._model.pieces.head(means)


class _RunningMean:
    """One of the encoder's means over time, of what has been said so far."""

    def __init__(self, model: Speech2Face, index: int):
        self._encoder = model.pieces
        self._index = index
        self._part = model.pieces.parts[index]
        self._cutter = Cutter(self._part)
        self._sum = 0.0
        self._gains: List[float] = []

    def add(self, block: np.ndarray, power: float) -> None:
        """Takes in a block; `power` is the mean square so far, with it."""
        self._cutter.push(block)
        self._compute(self._part.piece_outputs, power)

    def value(self, n_samples: int, power: float) -> np.ndarray:
        """Returns the mean if the recording ended here, after `n_samples`."""
        self._compute(1, power)
        rest = [self._sums(p, power) for p in self._cutter.rest(n_samples)]
        return (self._sum + sum(rest)) / self._part.n_outputs(n_samples)

    def has_level(self, power: float) -> bool:
        """Whether all that is summed so far has the level of that mean square."""
        gains = np.array(self._gains)
        return np.allclose(gains, self._part.level(power), rtol=_SAME_LEVEL, atol=0)

    def _compute(self, n_least: int, power: float) -> None:
        for piece in self._cutter.pieces(n_least):
            self._sum = self._sum + self._sums(piece, power)
            gain = self._part.level(power)
            self._gains = [min(gain, *self._gains, gain), max(gain, *self._gains, gain)]

    def _sums(self, piece: Piece, power: float) -> np.ndarray:
        gain = np.float32(self._part.level(power))
        piece = Piece(piece.samples * gain, piece.first, piece.last)
        return self._encoder.sums(self._index, [piece])[0].astype(np.float64)


class _KeptSound(Loudness):
    """What has been said so far, as a `Recording`, up to `n_needed` samples."""

    def __init__(self, n_needed: Optional[int]):
        super().__init__()
        self._n_needed = n_needed
        # Closed, and gone, when nobody refers to it any more.
        self._file = tempfile.SpooledTemporaryFile(_MEMORY_BYTES)  # noqa: SIM115

    def add(self, block: np.ndarray) -> None:
        """Takes in samples [n] float32."""
        if self._n_needed is None or self.n_samples < self._n_needed:
            self._file.seek(0, 2)
            self._file.write(block.astype(np.float32).tobytes())
        super().add(block)

    def blocks(self):
        """Yields it from the beginning."""
        self._file.seek(0)
        while content := self._file.read(_MEMORY_BYTES):
            yield np.frombuffer(content, np.float32)
