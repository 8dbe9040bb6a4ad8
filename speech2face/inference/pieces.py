"""Cuts recordings of any length into overlapping pieces for a mean over time.

Every voice encoder averages over time: Table 1 the outputs of its last convolution, the
speaker embedder the vectors of its windows. What follows sees only the mean. So the
outputs can be computed piece by piece and summed, with the result of the whole
recording; memory is that of one piece. See docs/decisions/long-recordings.md.

    samples    |----------------------------------------------------------> time
    output 0   [receptive field]
    output 1     ->|[receptive field]            -> is one stride
    output 2           [receptive field]
    output 3               [receptive field]
    output 4                   [receptive field]

    piece 0    [=======================]         the samples of outputs 0 to 2
    piece 1                [=======================]      of outputs 3 to 5

Consecutive pieces overlap by the receptive field less one stride. Where convolutions
pad ('same'), the first outputs of a piece would see zeros instead of the samples before
it. A piece that does not begin the recording therefore starts some outputs earlier, and
those warm-up outputs are not counted.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class TimeMean:
    """One mean over time in an encoder, and which samples its terms depend on.

    Output k sees `receptive_field_samples` from sample k * `stride_samples` on, counted
    from `lead_silence_samples` before the recording.

    Attributes:
      outputs: waveforms [b, n] -> outputs [b, k, ...].
      n_outputs: samples of a recording -> outputs that it has. Those that need samples
        after its end see the padding of the convolutions, which is `padded`.
      stride_samples: distance from one output to the next.
      receptive_field_samples: samples that one output sees.
      piece_outputs: outputs that a full piece contributes.
      n_warm_up: first outputs of a piece that are wrong because of padding, unless the
        piece begins the recording.
      padded: whether the convolutions pad.
      ends_with_sound: outputs are those of windows that follow one another, and the
        last one ends with the recording (`models.speaker_embedding`). It counts by the
        share of its samples that no other has, so `n_outputs` is not an integer.
      live_outputs: outputs of a piece of live sound: few, so that nobody waits, and
        enough that little is computed twice.
    """

    outputs: Callable[[Any], Any]
    n_outputs: Callable[[int], float]
    stride_samples: int
    receptive_field_samples: int
    piece_outputs: int
    n_warm_up: int = 0
    padded: bool = False
    ends_with_sound: bool = False
    live_outputs: int = 1

    @property
    def piece_samples(self) -> int:
        """Length of a full piece."""
        return self.samples_of(self.n_warm_up + self.piece_outputs)

    def samples_of(self, n_outputs: int) -> int:
        """Returns the samples that `n_outputs` consecutive outputs see together."""
        return (n_outputs - 1) * self.stride_samples + self.receptive_field_samples


@dataclasses.dataclass(frozen=True)
class Piece:
    """Samples, and which of their outputs count.

    Attributes:
      samples: [n] float32.
      first: the first output that counts; those before it are warm-up.
      end: one more than the last output that counts.
      weight: how much its outputs count.
    """

    samples: np.ndarray
    first: int
    end: int
    weight: float = 1.0


class Cutter:
    """Cuts a recording that comes in blocks of any size into pieces.

    It buffers the samples that later pieces need, and no others.
    """

    def __init__(self, mean: TimeMean):
        """Starts a recording."""
        self._mean = mean
        self._blocks = [np.zeros(0, np.float32)]
        self._n_buffered = 0
        self._first_buffered_output = 0  # the one that begins with the buffer
        self._n_cut_outputs = 0  # outputs of the pieces so far

    def push(self, block: np.ndarray) -> None:
        """Adds samples [n]."""
        self._blocks.append(block)
        self._n_buffered += len(block)

    def pieces(self, min_outputs: int) -> Iterator[Piece]:
        """Cuts off and yields the pieces whose samples have all arrived.

        Later samples do not change their outputs.

        Args:
          min_outputs: fewest outputs of a piece; with `TimeMean.piece_outputs` only
            full pieces are cut, with 1 everything that is complete.
        """
        while (n_complete := self._n_complete_outputs()) >= min_outputs:
            first = self._n_cut_outputs - self._first_needed_output()
            end = first + min(n_complete, self._mean.piece_outputs)
            samples = self._from_first_needed()[: self._mean.samples_of(end)]
            yield Piece(samples, first, end)
            self._n_cut_outputs += end - first
            self._drop_used_samples()

    def last_pieces(self, n_samples: int) -> Iterator[Piece]:
        """Yields the remaining pieces of a recording that ends here.

        These pieces are not cut off: the recording may continue with another block.

        Args:
          n_samples: length of the recording.
        """
        if self._mean.ends_with_sound:
            yield from self._last_windows(n_samples)
            return
        n_remaining = int(self._mean.n_outputs(n_samples)) - self._n_cut_outputs
        if n_remaining > 0:
            first = self._n_cut_outputs - self._first_needed_output()
            end = first + n_remaining
            samples = self._from_first_needed()
            if not self._mean.padded:  # a padded mean pads the true end by itself
                samples = samples[: self._mean.samples_of(end)]
            yield Piece(samples, first, end)

    def _last_windows(self, n_samples: int) -> Iterator[Piece]:
        window = self._mean.stride_samples
        n_whole = n_samples // window - self._n_cut_outputs
        samples = self._from_first_needed()
        if n_whole > 0:
            yield Piece(samples[: n_whole * window], 0, n_whole)
        n_left = n_samples % window
        if n_left:
            last = np.resize(self._buffer()[-window:], window)  # repeated if shorter
            yield Piece(last, 0, 1, weight=n_left / window)

    def _n_complete_outputs(self) -> int:
        """Outputs whose samples are all in the buffer and that are not cut off yet."""
        n_spare_samples = self._n_buffered - self._mean.receptive_field_samples
        n_buffered_outputs = n_spare_samples // self._mean.stride_samples + 1
        return self._first_buffered_output + n_buffered_outputs - self._n_cut_outputs

    def _buffer(self) -> np.ndarray:
        self._blocks = [np.concatenate(self._blocks)]
        return self._blocks[0]

    def _first_needed_output(self) -> int:
        return max(0, self._n_cut_outputs - self._mean.n_warm_up)

    def _from_first_needed(self) -> np.ndarray:
        n_outputs = self._first_needed_output() - self._first_buffered_output
        return self._buffer()[n_outputs * self._mean.stride_samples :]

    def _drop_used_samples(self) -> None:
        # A window that ends with the recording reaches into the one before it.
        n_before = 1 if self._mean.ends_with_sound else 0
        first_kept = max(0, self._first_needed_output() - n_before)
        n_samples = (first_kept - self._first_buffered_output) * (
            self._mean.stride_samples
        )
        # A copy: a view would keep the whole old buffer in memory.
        self._blocks = [self._buffer()[n_samples:].copy()]
        self._n_buffered -= n_samples
        self._first_buffered_output = first_kept


def cut_or_pad(samples: np.ndarray, n_samples: int) -> np.ndarray:
    """Returns the first `n_samples` of samples [n], followed by silence if too few."""
    n_missing = max(0, n_samples - len(samples))
    return np.pad(samples[:n_samples], (0, n_missing))
