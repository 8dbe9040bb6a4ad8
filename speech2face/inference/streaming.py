"""Streaming inference: blocks from a microphone in, the face so far out.

    live = StreamingSpeech2Face(model, sample_rate_hz=48_000)
    for block in microphone:
        live.push(block)
        result = live.result()      # converges while the person speaks
    result = live.finish()          # equals model(whole_recording, 48_000)

Neither the work for a block nor the memory depends on the length of the recording
before it.
"""

from collections.abc import Iterator

import numpy as np

from speech2face import paper
from speech2face.audio import channels, resampling, voice_activity
from speech2face.audio.loudness import Loudness
from speech2face.errors import UserError
from speech2face.inference import inputs
from speech2face.inference.model import Result, Speech2Face
from speech2face.inference.pieces import Cutter, Piece
from speech2face.inference.piecewise_encoder import PiecewiseEncoder

# Reasons of a `UserError` while a recording has just begun.
_MORE_MAY_HELP = ("too_short", "silent", "no_speech")
# A microphone's noise is above 16-bit samples on a 32-bit scale (-90 dBFS) by then.
_SCALE_SHOWS_SECS = 1.0


class StreamingSpeech2Face:
    """`Speech2Face` for a recording that comes in blocks of any size."""

    def __init__(
        self,
        model: Speech2Face,
        sample_rate_hz: int = paper.SAMPLE_RATE_HZ,
        trim_silence: bool = False,
    ):
        """Starts a recording.

        Args:
          model: what makes the face.
          sample_rate_hz: rate of the blocks, 4 to 768 kHz.
          trim_silence: remove pauses (`audio.voice_activity`).

        Raises:
          UserError: the rate is out of this range.
        """
        self._model = model
        self._mixer = channels.Mixer()
        self._resampler = resampling.Resampler(sample_rate_hz)
        self._trimmer = voice_activity.Trimmer() if trim_silence else None
        self._received = Loudness()  # before trimming
        self._wide_peak, self._dtype = 0, np.dtype(np.float32)
        self._mean = _RunningMean(model.piecewise_encoder)
        # Only a recording that is shorter than a training clip is read again, to be
        # tiled.
        self._kept = _KeptSamples(model.clip_samples)
        self._finished = False

    @property
    def secs(self) -> float:
        """Duration of the recording so far, without trimmed pauses."""
        return self._kept.n_samples / paper.SAMPLE_RATE_HZ

    def push(self, block: np.ndarray) -> None:
        """Adds a block.

        Args:
          block: [n] or [n, channels] float in [-1, 1], or integers, which are divided
            by their full scale; n may be 0.

        Raises:
          UserError: the block has NaN or infinite samples.
          ValueError: `finish` was called before.
        """
        if self._finished:
            raise ValueError("the recording is finished; start another one")
        samples = channels.check_samples(block)
        if not np.isfinite(samples).all():
            raise UserError(
                "the block has samples that are NaN or infinite", reason="nan_samples"
            )
        self._look_at_scale(np.asarray(block))
        self._add(self._resampler.push(self._mixer.push(samples)))

    def result(self, exaggeration: float = 0.0) -> Result | None:
        """Returns the face of the recording so far.

        Args:
          exaggeration: see `Speech2Face.faces`.

        Returns:
          None while the recording is too short or too quiet for a face: see
          `Loudness.check` and `voice_activity.check`.

        Raises:
          UserError: more sound will not help, such as for samples that are not in
            [-1, 1], or a second of 16-bit samples in a wider type.
        """
        try:
            self._check()
        except UserError as error:
            if error.reason not in _MORE_MAY_HELP:
                raise
            return None
        return self._model.faces(self._feature(), exaggeration)[0]

    def finish(self, exaggeration: float = 0.0) -> Result:
        """Ends the recording and returns its face.

        Args:
          exaggeration: see `Speech2Face.faces`.

        Raises:
          UserError: see `Speech2Face.__call__`.
        """
        if not self._finished:
            self._add(self._resampler.flush())
        self._finished = True
        self._check()
        return self._model.faces(self._feature(), exaggeration)[0]

    def _look_at_scale(self, block: np.ndarray) -> None:
        if peak := inputs.peak_of_wide(block):
            self._wide_peak = max(self._wide_peak, peak)
            self._dtype = block.dtype

    def _add(self, samples: np.ndarray) -> None:
        self._received.add(samples)
        kept = self._trimmer.push(samples) if self._trimmer else samples
        self._kept.add(kept)
        self._mean.add(kept)

    def _check(self) -> None:
        try:
            self._received.check("the recording")
        except UserError as error:
            shows = self._finished or self._received.n_samples >= round(
                _SCALE_SHOWS_SECS * paper.SAMPLE_RATE_HZ
            )
            is_16_bit = 0 < self._wide_peak <= inputs.PEAK_OF_16_BITS
            if error.reason == "silent" and shows and is_16_bit:
                raise inputs.not_scaled(self._dtype, "the recording") from None
            raise
        if self._trimmer:
            voice_activity.check(self._kept.n_samples, "the recording")

    def _feature(self) -> np.ndarray:
        """Returns v_s [1, d] of the recording so far."""
        if self._kept.n_samples < self._model.clip_samples:
            return self._model.voice_features([self._kept])  # tiles it
        mean = self._mean.value(self._kept.n_samples)
        return self._model.piecewise_encoder.head(mean[None])


class _RunningMean:
    """The encoder's mean over time, of the recording so far."""

    def __init__(self, encoder: PiecewiseEncoder):
        self._encoder = encoder
        self._mean = encoder.time_mean
        self._cutter = Cutter(self._mean)
        self._sum = np.zeros([])

    def add(self, block: np.ndarray) -> None:
        """Adds a block."""
        self._cutter.push(block)
        self._sum_pieces(self._mean.live_outputs)

    def value(self, n_samples: int) -> np.ndarray:
        """Returns the mean as if the recording ended here, after `n_samples`."""
        self._sum_pieces(1)
        total = self._sum
        for piece in self._cutter.last_pieces(n_samples):
            total = total + self._sum_of(piece)
        return total / self._mean.n_outputs(n_samples)

    def _sum_pieces(self, min_outputs: int) -> None:
        for piece in self._cutter.pieces(min_outputs):
            self._sum = self._sum + self._sum_of(piece)

    def _sum_of(self, piece: Piece) -> np.ndarray:
        # float64: an hour has thousands of terms.
        return self._encoder.sums([piece])[0].astype(np.float64)


class _KeptSamples(Loudness):
    """The first `max_samples` samples of a recording, as a `Recording`."""

    def __init__(self, max_samples: int):
        super().__init__()
        self._max_samples = max_samples
        self._blocks: list[np.ndarray] = []

    def add(self, block: np.ndarray) -> None:
        """Adds samples [n] float32."""
        if self.n_samples < self._max_samples:
            self._blocks.append(np.array(block, np.float32))
        super().add(block)

    def blocks(self) -> Iterator[np.ndarray]:
        """Yields the samples from the beginning."""
        yield from self._blocks
