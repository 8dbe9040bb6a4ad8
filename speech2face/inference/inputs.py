"""What users give to a model: files and arrays, checked before TensorFlow sees them.

TensorFlow would find a wrong shape as well, but while it traces a graph: other threads
that wait for that graph would then wait forever.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from speech2face.audio import channels, loudness, resampling, voice_activity
from speech2face.audio.recordings import Recording, SoundFile
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.paper import SAMPLE_RATE_HZ

Voice = PathLike | np.ndarray  # a file, or samples [n] or [n, channels]


def prepare(
    voice: Any, sample_rate_hz: float, trim_silence: bool, name: str
) -> np.ndarray | Recording:
    """Returns a checked recording at 16 kHz.

    Args:
      voice: a file, or an array [n] or [n, channels].
      sample_rate_hz: of an array.
      trim_silence: remove pauses.
      name: what errors call an array.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it is neither a file nor such an array, or cannot be a voice.
    """
    if isinstance(voice, (str, os.PathLike)):
        return SoundFile(voice, trim_silence)
    samples = np.asarray(voice)
    if samples.ndim == 0 or samples.dtype.kind not in "fiu":
        raise UserError(
            f"{name} is {voice!r:.40}, neither the path of a file nor an array of "
            "samples; a list must hold one path or array per recording",
            reason="not_an_array",
        )
    _check_integers(samples, name)
    waveform = channels.one_channel(samples)
    if sample_rate_hz != SAMPLE_RATE_HZ:
        waveform = resampling.resample(waveform, sample_rate_hz, SAMPLE_RATE_HZ)
    loudness.check_waveform(waveform, name)
    if trim_silence:
        waveform = np.concatenate(list(voice_activity.trim([waveform])))
        voice_activity.check(len(waveform), name)
    return waveform


def _check_integers(samples: np.ndarray, name: str) -> None:
    """Refuses 16-bit samples in a wider type, which are silence on its scale."""
    if samples.dtype.kind == "i" and samples.dtype.itemsize > 2 and samples.size:
        largest = max(int(samples.max()), -int(samples.min()))
        if 0 < largest <= 1 << 15:
            raise UserError(
                f"{name} has {samples.dtype} samples of at most {largest:,}, which "
                "look like 16-bit ones: give waveform.astype(np.int16)",
                reason="not_scaled",
            )


def checked(values: Any, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """Returns an array of numbers with a shape.

    Args:
      values: anything.
      name: what the error calls it.
      shape: None is any length but 0.

    Raises:
      UserError: it has another shape or type.
    """
    array = np.asarray(values)
    fits = array.ndim == len(shape) and all(
        n == expected if expected else n for n, expected in zip(array.shape, shape)
    )
    if not fits or array.dtype.kind not in "fiu":
        wanted = ", ".join(str(n or symbol) for n, symbol in zip(shape, "bn"))
        if len(shape) == 1:
            wanted = "n"
        raise UserError(
            f"{name}: {array.dtype} {list(array.shape)}; expected numbers [{wanted}]"
            + (": give x[None] for one" if array.ndim == len(shape) - 1 else ""),
            reason="bad_shape",
        )
    return array
