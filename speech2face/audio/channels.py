"""Several channels -> one.

The paper: "only a single channel is used". Which one is not said. The mean of all
channels keeps every speaker, but two channels in opposite phase cancel, and a voice in
one of two loses 6 dB. Then the loudest channel is used: docs/decisions/one-channel.md.
"""

import numpy as np

from speech2face.errors import UserError

# Not in the paper: docs/decisions/one-channel.md.
MAX_CHANNELS = 64  # the most that a container of ours declares; more is a mistake
# The mean of two unrelated channels has 1/2 of the power of each (3 dB less); that of a
# voice and a silent channel has 1/4.
LOUDEST_CHANNEL_BELOW = 0.3
_BLOCK_SAMPLES = 1 << 16  # float64 of a long recording would take twice its memory


class Mixer:
    """Makes one channel of a recording that comes in blocks.

    The choice follows from the power of everything measured so far, so that silence at
    the beginning does not decide.
    """

    def __init__(self, channel: int | None = None):
        """Starts a recording.

        Args:
          channel: use this channel, counted from 0; None is the mean of all, or the
            loudest one where the mean has much less power.
        """
        self._channel = channel
        self._n_samples = 0
        self._sums = np.zeros(0)  # [channels]
        self._sums_of_products = np.zeros([0, 0])  # [channels, channels]

    @property
    def is_settled(self) -> bool:
        """Whether the choice no longer depends on blocks to come."""
        return self._channel is not None or len(self._sums) == 1

    def measure(self, block: np.ndarray) -> None:
        """Adds a block [n, channels] to what the choice follows from.

        Raises:
          UserError: it has another number of channels than the block before.
        """
        n_channels = block.shape[1]
        if not self._sums.size:
            self._sums = np.zeros(n_channels)
            self._sums_of_products = np.zeros([n_channels, n_channels])
        if len(self._sums) != n_channels:
            raise UserError(
                f"a block has {n_channels} channels; the one before it had "
                f"{len(self._sums)}",
                reason="bad_shape",
            )
        if self.is_settled:
            return
        self._n_samples += len(block)
        for first in range(0, len(block), _BLOCK_SAMPLES):
            part = block[first : first + _BLOCK_SAMPLES].astype(np.float64)
            with np.errstate(all="ignore"):  # infinities, which `Loudness` reports
                self._sums += part.sum(axis=0)
                self._sums_of_products += part.T @ part

    def mix(self, block: np.ndarray) -> np.ndarray:
        """Makes one channel [n] float32 of a block [n, channels], as measured so far.

        Raises:
          UserError: the block lacks the channel that was asked for.
        """
        n_channels = block.shape[1]
        if self._channel is not None:
            if not 0 <= self._channel < n_channels:
                raise UserError(
                    f"channel {self._channel} was asked for; there are {n_channels}, "
                    "counted from 0",
                    reason="no_such_channel",
                )
            return np.ascontiguousarray(block[:, self._channel], np.float32)
        loudest = self._loudest()
        if n_channels == 1 or loudest is None:
            return block.mean(axis=1, dtype=np.float32)
        return np.ascontiguousarray(block[:, loudest], np.float32)

    def push(self, block: np.ndarray) -> np.ndarray:
        """Measures a block [n] or [n, channels] and makes one channel of it."""
        samples = check_samples(block)
        self.measure(samples)
        return self.mix(samples)

    def _loudest(self) -> int | None:
        """Returns the channel to use instead of the mean, if any."""
        if not self._n_samples:
            return None
        with np.errstate(all="ignore"):
            means = self._sums / self._n_samples
            # Without the constant offsets, which are not sound.
            products = self._sums_of_products / self._n_samples - np.outer(means, means)
            power_of_mean = products.mean()  # E[(sum x_i / c)^2] = sum E[x_i x_j] / c^2
        powers = products.diagonal()
        loudest = int(powers.argmax())
        if power_of_mean < LOUDEST_CHANNEL_BELOW * powers[loudest]:  # false for NaN
            return loudest
        return None


def one_channel(samples: np.ndarray, channel: int | None = None) -> np.ndarray:
    """Makes one channel of a whole recording.

    Args:
      samples: [n] or [n, channels] float.
      channel: see `Mixer`.

    Returns:
      [n] float32.

    Raises:
      UserError: `samples` have another shape, or lack the channel.
    """
    return Mixer(channel).push(samples)


def check_samples(samples: np.ndarray) -> np.ndarray:
    """Brings samples of any type to one shape and scale.

    Args:
      samples: [n] or [n, channels], float, or integers of any size; these are divided
        by their full scale (int16: 32768).

    Returns:
      [n, channels] float32.

    Raises:
      UserError: another shape or type.
    """
    samples = np.asarray(samples)
    if samples.dtype.kind in "iu":
        bits = 8 * samples.dtype.itemsize
        full_scale = np.float32(2.0 ** (bits - 1))
        middle = full_scale if samples.dtype.kind == "u" else np.float32(0)
        samples = (samples.astype(np.float32) - middle) / full_scale
    elif samples.dtype.kind != "f":
        raise UserError(
            f"a waveform has the type {samples.dtype}; expected numbers",
            reason="not_an_array",
        )
    samples = samples.astype(np.float32, copy=False)
    if samples.ndim == 1:
        return samples[:, None]
    if samples.ndim != 2 or not 0 < samples.shape[1] <= MAX_CHANNELS:
        # torchaudio and librosa keep channels in rows.
        is_turned = samples.ndim == 2 and 0 < samples.shape[0] <= MAX_CHANNELS
        raise UserError(
            f"a waveform has shape {samples.shape}; expected [n] or [n, channels]"
            + (": give waveform.T" if is_turned else ""),
            reason="bad_shape",
        )
    return samples
