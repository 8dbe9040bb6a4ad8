"""The bytes of an audio file -> a waveform at 16 kHz, in a TensorFlow graph.

tensorflow-io decodes WAV, FLAC, MP3 and Ogg Vorbis, but asks for the sample type and
does not tell the rate: both are read from the headers here, in the graph as well.
"""

from typing import Any, Callable, Tuple

import tensorflow as tf

from speech2face import audio

_MP3_RATES_HZ = (  # by version (2.5, reserved, 2, 1), then by index
    *(11_025, 12_000, 8_000, 0),
    *(0, 0, 0, 0),
    *(22_050, 24_000, 16_000, 0),
    *(44_100, 48_000, 32_000, 0),
)
_MP3_SEARCHED_BYTES = 4096  # behind the tags, for the first frame
_FILTER_SAMPLES = 32  # tensorflow-io's resampler is late by as many, at the lower rate


def tensorflow_io() -> Any:
    """Returns `tensorflow_io.audio`; ValueError says what it needs."""
    try:
        import tensorflow_io
        from tensorflow_io.python.ops import core_ops

        _ = core_ops.io_audio_decode_wav  # loads what fits one TensorFlow only
        return tensorflow_io.audio
    except (ImportError, NotImplementedError) as error:
        raise ValueError(
            "savedmodel_io needs tensorflow-io 0.37.1, which needs TensorFlow 2.16: "
            f"leave it out of --formats, or install both ({error})"
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
            (_begins(contents, b"RIFF"), lambda: _wav(contents)),
            (_begins(contents, b"fLaC"), lambda: _flac(contents)),
            (_begins(contents, b"OggS"), lambda: _vorbis(contents)),
        ],
        default=lambda: _mp3(contents),
        exclusive=True,
    )
    mono = tf.reduce_mean(tf.ensure_shape(samples, [None, None]), axis=1)
    return tf.cond(
        tf.equal(rate_hz, audio.SAMPLE_RATE_HZ),
        lambda: mono,
        lambda: _resampled(mono, rate_hz),
    )


def _resampled(waveform: tf.Tensor, rate_hz: tf.Tensor) -> tf.Tensor:
    """[n] at `rate_hz` -> [m] at 16 kHz, not late."""
    io, target = tensorflow_io(), tf.constant(audio.SAMPLE_RATE_HZ, tf.int64)
    rate_hz = tf.cast(rate_hz, tf.int64)
    late_in = _FILTER_SAMPLES * tf.maximum(rate_hz, target) // target
    late_out = _FILTER_SAMPLES * tf.maximum(rate_hz, target) // rate_hz
    padded = tf.pad(waveform, [[0, late_in + 1]])[:, tf.newaxis]
    n_samples = tf.size(waveform, tf.int64) * target // rate_hz
    resampled = io.resample(padded, rate_hz, target)[:, 0]
    return tf.ensure_shape(resampled, [None])[late_out : late_out + n_samples]


def _wav(contents):
    at = tf.while_loop(
        lambda at: tf.not_equal(tf.strings.substr(contents, at, 4), b"fmt "),
        lambda at: (at + 8 + _padded(tf.maximum(_number(contents, at + 4, 4), 0)),),
        (tf.constant(12),),
    )[0]
    rate_hz, bits = _number(contents, at + 12, 4), _number(contents, at + 22, 2)
    kind = _number(contents, at + 8, 2)
    # WAVE_FORMAT_EXTENSIBLE: the kind begins what it extends by.
    kind = tf.cond(
        tf.equal(kind, 0xFFFE), lambda: _number(contents, at + 32, 2), lambda: kind
    )
    decode_wav = tensorflow_io().decode_wav

    def integers(dtype):
        return lambda: _scaled(decode_wav(contents, dtype=dtype))

    def whole_32_bits():  # which tensorflow-io takes for floats
        return _scaled(tf.bitcast(decode_wav(contents, dtype=tf.float32), tf.int32))

    is_float = tf.equal(kind, 3)
    samples = _choose(
        [
            (is_float & (bits == 32), lambda: decode_wav(contents, dtype=tf.float32)),
            (~is_float & (bits == 8), integers(tf.uint8)),
            (~is_float & (bits == 16), integers(tf.int16)),
            (~is_float & (bits == 24), integers(tf.int32)),
            (~is_float & (bits == 32), whole_32_bits),
        ],
        "WAV of this sample type",
    )
    return samples, rate_hz


def _flac(contents):
    # STREAMINFO: 20 bits of rate, 3 of channels, 5 of bits per sample less one.
    a, b, c, d = (_number(contents, at, 1) for at in (18, 19, 20, 21))
    rate_hz = a * 4096 + b * 16 + c // 16
    bits = c % 2 * 16 + d // 16 + 1
    decode_flac = tensorflow_io().decode_flac

    def integers(dtype):
        return lambda: _scaled(decode_flac(contents, dtype=dtype))

    samples = _choose(
        [
            (bits == 8, integers(tf.uint8)),
            (bits == 16, integers(tf.int16)),
            (bits == 24, integers(tf.int32)),
        ],
        "FLAC of this sample type",
    )
    return samples, rate_hz


def _vorbis(contents):
    is_vorbis = tf.equal(tf.strings.substr(contents, 29, 6), b"vorbis")
    with tf.control_dependencies([_supported(is_vorbis, "Ogg file, but of Vorbis,")]):
        samples = tensorflow_io().decode_vorbis(contents)
    return samples, _number(contents, 40, 4)


def _mp3(contents):
    def after_tags():  # an ID3v2 tag: its length in four times seven bits
        sizes = [_number(contents, 9 - i, 1) * 128**i for i in range(4)]
        return 10 + tf.add_n(sizes)

    begin = tf.cond(_begins(contents, b"ID3"), after_tags, lambda: 0)
    part = tf.strings.substr(contents, begin, _MP3_SEARCHED_BYTES)
    octets = tf.cast(tf.io.decode_raw(part, tf.uint8), tf.int32)
    first, second, third = octets[:-2], octets[1:-1], octets[2:]
    rates_hz = tf.gather(_MP3_RATES_HZ, second // 8 % 4 * 4 + third // 4 % 4)
    is_layer_3 = (second >= 0xE0) & (second // 2 % 4 == 1)
    frames = tf.where((first == 0xFF) & is_layer_3 & (rates_hz > 0))[:, 0]
    found = _supported(tf.size(frames) > 0, "file, but WAV, FLAC, MP3 and Ogg Vorbis,")
    with tf.control_dependencies([found]):
        return tensorflow_io().decode_mp3(contents), rates_hz[frames[0]]


def _choose(
    cases: "list[Tuple[tf.Tensor, Callable[[], tf.Tensor]]]", what: str
) -> tf.Tensor:
    def none():
        with tf.control_dependencies([_supported(False, what)]):
            return tf.zeros([0, 1])

    return tf.case(cases, default=none, exclusive=True)


def _supported(condition: Any, what: str) -> tf.Operation:
    return tf.debugging.Assert(condition, [f"no {what} can be decoded"])


def _scaled(samples: tf.Tensor) -> tf.Tensor:
    """Integers of any width -> [-1, 1)."""
    if samples.dtype == tf.uint8:
        return (tf.cast(samples, tf.float32) - 128.0) / 128.0
    return tf.cast(samples, tf.float32) / -float(samples.dtype.min)


def _begins(contents: tf.Tensor, magic: bytes) -> tf.Tensor:
    return tf.equal(tf.strings.substr(contents, 0, len(magic)), magic)


def _padded(n_bytes: tf.Tensor) -> tf.Tensor:
    """A chunk's length in its file: even."""
    return n_bytes + n_bytes % 2


def _number(contents: tf.Tensor, at: Any, n_bytes: int) -> tf.Tensor:
    """The little-endian number [] int32 at a place."""
    octets = tf.io.decode_raw(tf.strings.substr(contents, at, n_bytes), tf.uint8)
    octets = tf.cast(octets, tf.int32)
    return tf.reduce_sum(octets * [256**i for i in range(n_bytes)])
