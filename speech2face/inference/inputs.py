"""Checks files, arrays and settings of users before TensorFlow sees them.

TensorFlow would find a wrong shape as well, but while it traces a graph: other threads
that wait for that graph would then wait forever.
"""

import os
from collections.abc import Sequence
from typing import Any, get_args

import numpy as np

from speech2face.audio import channels, loudness, resampling, voice_activity
from speech2face.audio.recordings import Recording, Samples, SoundFile
from speech2face.config import EXAGGERATION, IMAGE_SIZE, InferencePrecision
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.paper import SAMPLE_RATE_HZ

PEAK_OF_16_BITS = 1 << 15
Voice = PathLike | np.ndarray  # a file, or samples [n] or [n, channels]


def check_image_size(size_px: int) -> None:
    """Raises UserError if faces cannot have this side."""
    IMAGE_SIZE.check(f"image_size={size_px!r}", size_px, int)


def check_exaggeration(exaggeration: float) -> None:
    """Raises UserError if faces cannot be exaggerated by this."""
    EXAGGERATION.check(f"exaggeration={exaggeration!r}", exaggeration)


def check_precision(precision: str) -> None:
    """Raises UserError if the voice encoder cannot compute in this precision."""
    known = get_args(InferencePrecision)
    if not isinstance(precision, str) or precision not in known:
        raise UserError(
            f"precision={precision!r}: expected one of {', '.join(known)}",
            reason="bad_precision",
        )


def prepare(
    voice: Any, sample_rate_hz: float, trim_silence: bool, name: str
) -> np.ndarray | Recording:
    """Returns a checked recording at 16 kHz.

    Args:
      voice: a file, or an array [n] or [n, channels].
      sample_rate_hz: sample rate, if the recording is an array.
      trim_silence: remove pauses.
      name: what errors call an array.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: it is neither a file nor such an array, or cannot be a voice.
    """
    if isinstance(voice, (str, os.PathLike)):
        return SoundFile(voice, trim_silence)
    samples = _as_array(voice)
    is_array = isinstance(voice, np.ndarray) and voice.ndim  # of which type, see below
    if not is_array and (samples.ndim == 0 or samples.dtype.kind not in "fiu"):
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
    if 0 < peak_of_wide(samples) <= PEAK_OF_16_BITS:
        raise not_scaled(samples.dtype, name)


def peak_of_wide(samples: np.ndarray) -> int:
    """Returns the largest magnitude of signed integers of more than 16 bits, else 0."""
    if samples.dtype.kind != "i" or samples.dtype.itemsize <= 2 or not samples.size:
        return 0
    return max(int(samples.max()), -int(samples.min()))


def not_scaled(dtype: np.dtype, name: str) -> UserError:
    """Returns the error for 16-bit samples in a wider type.

    Args:
      dtype: type of the samples.
      name: what the error calls them.
    """
    return UserError(
        f"{name} has {dtype} samples of at most {PEAK_OF_16_BITS:,}, which look like "
        "16-bit ones: give waveform.astype(np.int16)",
        reason="not_scaled",
    )


def recordings(values: Any) -> list[Recording]:
    """Returns what `Speech2Face.voice_features` was given, as recordings.

    Args:
      values: several arrays [n] float at 16 kHz, or `Recording`s.

    Raises:
      UserError: it is something else, or empty.
    """
    is_several = isinstance(values, (list, tuple)) or np.ndim(_as_array(values)) > 1
    if not is_several or not len(values):
        raise UserError(
            f"{values!r:.40} is not a list of recordings; expected [waveform, ...], or "
            "[SoundFile(path), ...]",
            reason="bad_shape",
        )
    return [
        one
        if hasattr(one, "blocks")
        else Samples(waveforms(one, f"recording {index}", [None]))
        for index, one in enumerate(values)
    ]


def waveforms(values: Any, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """Returns samples at 16 kHz as float32.

    Args:
      values: anything.
      name: see `checked`.
      shape: see `checked`.

    Raises:
      UserError: it has another shape, is of integers, or is not finite.
    """
    samples = checked(values, name, shape)
    if samples.dtype.kind != "f":
        raise UserError(
            f"{name} has {samples.dtype} samples; expected floats in [-1, 1]: "
            "model(waveform) scales integers",
            reason="not_scaled",
        )
    return finite_float32(samples, name, "nan_samples")


def finite_float32(values: np.ndarray, name: str, reason: str) -> np.ndarray:
    """Returns an array as float32.

    Args:
      values: numbers.
      name: what the error calls them.
      reason: reason of the error.

    Raises:
      UserError: a value is NaN or infinite, or too large for the type.
    """
    with np.errstate(over="ignore"):
        result = values.astype(np.float32, copy=False)
    if not np.isfinite(result).all():
        raise UserError(f"{name} has values that are NaN or infinite", reason=reason)
    return result


def _as_array(values: Any) -> np.ndarray:
    try:
        return np.asarray(values)
    except ValueError:  # lists of different lengths
        return np.asarray(values, object)


def checked(values: Any, name: str, shape: Sequence[int | None]) -> np.ndarray:
    """Returns an array of numbers with a shape.

    Args:
      values: anything.
      name: what the error calls it.
      shape: None is any length but 0.

    Raises:
      UserError: it has another shape or type.
    """
    array = _as_array(values)
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
