"""Headers of WAV, FLAC, Ogg Vorbis and MP3 files, read in a TensorFlow graph.

tensorflow-io's `decode_*` need the sample type of a FLAC file as an argument, and none
of them returns the sample rate. Its `AudioIOTensor` knows both, but it opens a
file by name, not bytes, and all calls of a graph share one reader: of 2000 calls by 8
threads, 2 returned the sound of another caller's file. A server must not do that.

Every function takes `contents`, a [] string tensor with a whole file. A file that is
too short is an InvalidArgumentError when the graph runs.
"""

from typing import Any, NamedTuple

import tensorflow as tf

# Sample rates in Hz by an MP3 frame's version (2.5, reserved, 2, 1) and rate index;
# 0: reserved (ISO 11172-3 and 13818-3, frame header).
_MP3_RATES_HZ = (
    (11_025, 12_000, 8_000, 0),
    (0, 0, 0, 0),
    (22_050, 24_000, 16_000, 0),
    (44_100, 48_000, 32_000, 0),
)
_MP3_SEARCHED_BYTES = 4096  # padding may separate the tag and the first frame

_WAVE_FORMAT_FLOAT = 3
_WAVE_FORMAT_EXTENSIBLE = 0xFFFE


class SampleFormat(NamedTuple):
    """Sample format of a file.

    Attributes:
      rate_hz: [] int32.
      bits: [] int32 per sample.
      is_float: [] bool; otherwise they are integers.
      n_channels: [] int32.
    """

    rate_hz: tf.Tensor
    bits: tf.Tensor
    is_float: tf.Tensor
    n_channels: tf.Tensor


def starts_with(contents: tf.Tensor, magic: bytes) -> tf.Tensor:
    """Returns whether a file begins with these bytes, [] bool."""
    return tf.equal(tf.strings.substr(contents, 0, len(magic)), magic)


def wav_format(contents: tf.Tensor) -> SampleFormat:
    """Reads the chunk `fmt ` of a RIFF file."""
    fields = _find_chunk(contents, b"fmt ") + 8
    kind = _little_endian(contents, fields, 2)
    # WAVE_FORMAT_EXTENSIBLE has its kind in the first bytes of its sub-format.
    kind = tf.cond(
        tf.equal(kind, _WAVE_FORMAT_EXTENSIBLE),
        lambda: _little_endian(contents, fields + 24, 2),
        lambda: kind,
    )
    return SampleFormat(
        rate_hz=_little_endian(contents, fields + 4, 4),
        bits=_little_endian(contents, fields + 14, 2),
        is_float=tf.equal(kind, _WAVE_FORMAT_FLOAT),
        n_channels=_little_endian(contents, fields + 2, 2),
    )


def wav_data(contents: tf.Tensor, frame_bytes: tf.Tensor) -> tf.Tensor:
    """Returns the samples of a RIFF file as they are stored, [] string.

    Args:
      contents: the file.
      frame_bytes: [] int32 of a sample of all channels; a last one that is not whole is
        left out.
    """
    chunk = _find_chunk(contents, b"data")
    n_left = tf.strings.length(contents) - chunk - 8
    # Programs that write into a pipe give a size of 0, or the largest one.
    declared = _little_endian(contents, chunk + 4, 4)
    n_bytes = tf.where(declared > 0, tf.minimum(declared, n_left), n_left)
    frame_bytes = tf.maximum(frame_bytes, 1)
    return tf.strings.substr(contents, chunk + 8, n_bytes // frame_bytes * frame_bytes)


def _find_chunk(contents: tf.Tensor, name: bytes) -> tf.Tensor:
    """Returns where a chunk of a RIFF file begins, [] int32."""
    # Chunks follow the 12 bytes RIFF, size, WAVE. Each has a name and a size of 4 bytes
    # each, then that many bytes, then a byte of padding if their number is odd.
    (chunk,) = tf.while_loop(
        lambda chunk: tf.not_equal(tf.strings.substr(contents, chunk, 4), name),
        lambda chunk: (_next_chunk(contents, chunk),),
        (tf.constant(12),),
    )
    return chunk


def flac_format(contents: tf.Tensor) -> SampleFormat:
    """Reads STREAMINFO, which begins every FLAC file (RFC 9639, 8.2)."""
    # From byte 18: 20 bits of rate, 3 of channels, 5 of bits per sample minus one.
    a, b, c, d = (_little_endian(contents, at, 1) for at in (18, 19, 20, 21))
    return SampleFormat(
        rate_hz=a * 4096 + b * 16 + c // 16,
        bits=c % 2 * 16 + d // 16 + 1,
        is_float=tf.constant(False),
        n_channels=c // 2 % 8 + 1,
    )


def is_vorbis(contents: tf.Tensor) -> tf.Tensor:
    """Returns whether an Ogg file holds Vorbis (and not Opus or FLAC), [] bool."""
    return tf.equal(tf.strings.substr(contents, 29, 6), b"vorbis")


def vorbis_rate_hz(contents: tf.Tensor) -> tf.Tensor:
    """Reads the identification header of a Vorbis file (Vorbis I, 4.2.2)."""
    return _little_endian(contents, 40, 4)


def mp3_rates_hz(contents: tf.Tensor) -> tf.Tensor:
    """Returns the rates of what looks like frame headers, [n] int32.

    The first one counts; n is 0 if this is not an MP3 file.
    """
    first_frame = tf.cond(
        starts_with(contents, b"ID3"), lambda: _id3_bytes(contents), lambda: 0
    )
    part = tf.strings.substr(contents, first_frame, _MP3_SEARCHED_BYTES)
    octets = tf.cast(tf.io.decode_raw(part, tf.uint8), tf.int32)
    # A header: 11 bits of ones, 2 of version, 2 of layer, 1; 4 of bit rate, 2 of rate.
    first, second, third = octets[:-2], octets[1:-1], octets[2:]
    is_layer_3 = (first == 0xFF) & (second >= 0xE0) & (second // 2 % 4 == 1)
    version, rate_index = second // 8 % 4, third // 4 % 4
    rates_hz = tf.gather_nd(_MP3_RATES_HZ, tf.stack([version, rate_index], axis=-1))
    return tf.boolean_mask(rates_hz, is_layer_3 & (rates_hz > 0))


def _id3_bytes(contents: tf.Tensor) -> tf.Tensor:
    """The length of an ID3v2 tag: its header, and a size of four times seven bits."""
    digits = [_little_endian(contents, 9 - i, 1) * 128**i for i in range(4)]
    return 10 + tf.add_n(digits)


def _next_chunk(contents: tf.Tensor, chunk: tf.Tensor) -> tf.Tensor:
    """The offset of the chunk of a RIFF file that follows the one at `chunk`."""
    n_bytes = tf.maximum(
        _little_endian(contents, chunk + 4, 4), 0
    )  # 2 GB overflow int32
    return chunk + 8 + n_bytes + n_bytes % 2


def _little_endian(contents: tf.Tensor, offset: Any, n_bytes: int) -> tf.Tensor:
    """The number [] int32 that is stored in the bytes from `offset` on."""
    octets = tf.io.decode_raw(tf.strings.substr(contents, offset, n_bytes), tf.uint8)
    octets = tf.cast(octets, tf.int32)
    return tf.reduce_sum(octets * [256**i for i in range(n_bytes)])
