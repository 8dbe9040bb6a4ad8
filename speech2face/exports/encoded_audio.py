"""The bytes of an audio file -> a waveform at 16 kHz, in a TensorFlow graph.

tensorflow-io decodes all but WAV, and resamples; `audio_headers` tells it what the file
holds. See docs/decisions/encoded-audio-export.md.
"""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from speech2face import paper
from speech2face.errors import UserError
from speech2face.exports import audio_headers

# tensorflow-io's resampler delays the sound by this many samples of the lower rate.
_FILTER_SAMPLES = 32

# Samples [n, channels] float32 in [-1, 1], and their rate [] int32.
_Decoded = tuple[tf.Tensor, tf.Tensor]


def tensorflow_io() -> Any:
    """Returns the module `tensorflow_io.audio`.

    Raises:
      UserError: tensorflow-io is missing, or does not fit this TensorFlow.
    """
    try:
        import tensorflow_io
        from tensorflow_io.python.ops import core_ops

        # Loads the shared library, which is made for one version of TensorFlow.
        _ = core_ops.io_audio_decode_wav
        return tensorflow_io.audio
    except (ImportError, NotImplementedError) as error:
        raise UserError(
            "savedmodel_io needs tensorflow-io 0.37.1, which needs TensorFlow 2.16: "
            f"remove it from --formats, or install both ({error})"
        ) from None


def decode(contents: tf.Tensor) -> tf.Tensor:
    """Decodes an audio file of any of four kinds.

    Args:
      contents: [] string: a whole file; WAV (8 to 32 bits or float), FLAC (8, 16 or 24
        bits), MP3 or Ogg Vorbis.

    Returns:
      [n] float32 at 16 kHz, the mean of the channels. In the graph, a file of another
      kind is an InvalidArgumentError.
    """
    samples, rate_hz = tf.case(
        [
            (audio_headers.starts_with(contents, b"RIFF"), lambda: _wav(contents)),
            (audio_headers.starts_with(contents, b"fLaC"), lambda: _flac(contents)),
            (audio_headers.starts_with(contents, b"OggS"), lambda: _vorbis(contents)),
        ],
        default=lambda: _mp3(contents),
        exclusive=True,
    )
    mono = tf.reduce_mean(tf.ensure_shape(samples, [None, None]), axis=1)
    return tf.cond(
        tf.equal(rate_hz, paper.SAMPLE_RATE_HZ),
        lambda: mono,
        lambda: _resampled(mono, rate_hz),
    )


def _wav(contents: tf.Tensor) -> _Decoded:
    rate_hz, bits, is_float, n_channels = audio_headers.wav_format(contents)
    # Not tensorflow-io's: it ends with an error where the number of bytes is odd, and
    # reads 32-bit integers as if they were floats.
    data = audio_headers.wav_data(contents, n_channels * (bits // 8))

    def raw(dtype: tf.DType) -> Callable[[], tf.Tensor]:
        return lambda: _to_float(tf.io.decode_raw(data, dtype))

    samples = _first_true(
        [
            (is_float & (bits == 32), raw(tf.float32)),
            (is_float & (bits == 64), raw(tf.float64)),
            (~is_float & (bits == 8), raw(tf.uint8)),
            (~is_float & (bits == 16), raw(tf.int16)),
            (~is_float & (bits == 24), lambda: _to_float(_integers_24(data))),
            (~is_float & (bits == 32), raw(tf.int32)),
        ],
        "WAV files of this sample type are not supported",
    )
    return tf.reshape(samples, tf.stack([-1, n_channels])), rate_hz


def _integers_24(data: tf.Tensor) -> tf.Tensor:
    """Reads integers of 3 bytes into the upper bytes of int32."""
    low, middle, high = tf.unstack(
        tf.cast(tf.reshape(tf.io.decode_raw(data, tf.uint8), [-1, 3]), tf.int32), axis=1
    )
    return low * 2**8 + middle * 2**16 + tf.bitwise.left_shift(high, 24)


def _flac(contents: tf.Tensor) -> _Decoded:
    rate_hz, bits, _, _ = audio_headers.flac_format(contents)
    decode_flac = tensorflow_io().decode_flac
    samples = _first_true(
        [
            (bits == 8, _integers(decode_flac, contents, tf.uint8)),
            (bits == 16, _integers(decode_flac, contents, tf.int16)),
            (bits == 24, _integers(decode_flac, contents, tf.int32)),
        ],
        "FLAC files of this sample type are not supported",
    )
    return samples, rate_hz


def _vorbis(contents: tf.Tensor) -> _Decoded:
    check = tf.debugging.Assert(
        audio_headers.is_vorbis(contents),
        ["Ogg files without Vorbis are not supported"],
    )
    with tf.control_dependencies([check]):
        samples = tensorflow_io().decode_vorbis(contents)
    return samples, audio_headers.vorbis_rate_hz(contents)


def _mp3(contents: tf.Tensor) -> _Decoded:
    rates_hz = audio_headers.mp3_rates_hz(contents)
    check = tf.debugging.Assert(
        tf.size(rates_hz) > 0, ["not a WAV, FLAC, MP3 or Ogg Vorbis file"]
    )
    with tf.control_dependencies([check]):
        return tensorflow_io().decode_mp3(contents), rates_hz[0]


def _first_true(cases: list, message: str) -> tf.Tensor:
    """The samples of the case that holds; InvalidArgumentError if there is none."""

    def unsupported() -> tf.Tensor:
        with tf.control_dependencies([tf.debugging.Assert(False, [message])]):
            return tf.zeros([0, 1])

    return tf.case(cases, default=unsupported, exclusive=True)


def _integers(
    decode_integers: Callable, contents: tf.Tensor, dtype: tf.DType
) -> Callable[[], tf.Tensor]:
    """Decodes integers of a type, once it is called."""
    return lambda: _to_float(decode_integers(contents, dtype=dtype))


def _to_float(samples: tf.Tensor) -> tf.Tensor:
    """Integers of any width -> [-1, 1); floats as they are."""
    if samples.dtype.is_floating:
        return tf.cast(samples, tf.float32)
    if samples.dtype == tf.uint8:  # 128 is silence
        return (tf.cast(samples, tf.float32) - 128.0) / 128.0
    return tf.cast(samples, tf.float32) / -float(samples.dtype.min)


def _resampled(waveform: tf.Tensor, rate_hz: tf.Tensor) -> tf.Tensor:
    """[n] at `rate_hz` -> [m] at 16 kHz, with the resampler's delay removed."""
    target_hz = tf.constant(paper.SAMPLE_RATE_HZ, tf.int64)
    rate_hz = tf.cast(rate_hz, tf.int64)
    higher_hz = tf.maximum(rate_hz, target_hz)
    delay_in = _FILTER_SAMPLES * higher_hz // target_hz  # in samples of the input
    delay_out = _FILTER_SAMPLES * higher_hz // rate_hz  # in samples of the result
    # Zeros at the end push the last samples out of the filter.
    padded = tf.pad(waveform, [[0, delay_in + 1]])[:, tf.newaxis]
    n_samples = tf.size(waveform, tf.int64) * target_hz // rate_hz
    resampled = tensorflow_io().resample(padded, rate_hz, target_hz)[:, 0]
    delayed = tf.ensure_shape(resampled, [None])
    return delayed[delay_out : delay_out + n_samples]
