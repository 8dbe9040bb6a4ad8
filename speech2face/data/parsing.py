"""Parses the records of `speech2face.data.records` in TensorFlow's graph.

A record that does not hold what `records` writes is an InvalidArgumentError. Sizes are
compared before anything is decoded: a few bytes can claim gigabytes.
"""

import struct

import tensorflow as tf

from speech2face.data import records
from speech2face.paper import FACE_PX, SAMPLE_RATE_HZ

# Signature and header up to the size (PNG, Sec. 5.2 and 11.2.2). TensorFlow's
# `decode_png` reads JPEG, GIF and BMP too.
_PNG_START = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", FACE_PX, FACE_PX)
_FLAC_START = b"fLaC"
# The 28 bits before the number of samples (RFC 9639, Sec. 8.2): rate, channels less
# one, bits of a sample less one.
_FLAC_FORMAT = SAMPLE_RATE_HZ << 8 | 0 << 5 | 15


def parse_voice_example(record: tf.Tensor, feature_dim: int) -> dict[str, tf.Tensor]:
    """Parses one serialized voice record in the graph; the audio stays encoded."""
    return tf.io.parse_single_example(
        record,
        {
            "clip_id": tf.io.FixedLenFeature([], tf.string),
            "audio": tf.io.FixedLenFeature([], tf.string),
            "face_feature": tf.io.FixedLenFeature([feature_dim], tf.float32),
        },
    )


def parse_speaker_id(record: tf.Tensor) -> tf.Tensor:
    """Returns the speaker_id of a record, [] string."""
    feature = {"speaker_id": tf.io.FixedLenFeature([], tf.string, "")}
    return tf.io.parse_single_example(record, feature)["speaker_id"]


def parse_face_example(
    record: tf.Tensor, feature_dim: int, n_landmarks: int
) -> dict[str, tf.Tensor]:
    """Parses one serialized face record in the graph.

    Args:
      record: scalar string.
      feature_dim: d.
      n_landmarks: n; a record with another number of them is an error.

    Returns:
      clip_id; face_feature [d]; landmarks [n, 2] pixels; texture
      [224, 224, 3] float32 in [0, 1].
    """
    example = tf.io.parse_single_example(
        record,
        {
            "clip_id": tf.io.FixedLenFeature([], tf.string),
            "face_feature": tf.io.FixedLenFeature([feature_dim], tf.float32),
            "landmarks": tf.io.FixedLenFeature([n_landmarks, 2], tf.float32),
            "texture_png": tf.io.FixedLenFeature([], tf.string),
        },
    )
    texture = _decode_texture(example.pop("texture_png"))
    example["texture"] = tf.cast(texture, tf.float32) / 255.0
    return example


def check_flac(content: tf.Tensor) -> tf.Tensor:
    """Returns the audio of a record, a scalar string, if its header is as written.

    tensorflow-io decodes as many samples as the header claims, and allocates them.
    """
    # 20 bits of rate, 3 of channels, 5 of bits, 36 of the number of samples
    packed = tf.io.decode_raw(
        tf.strings.substr(content, 18, 8), tf.int64, little_endian=False
    )
    n_samples = packed - (_FLAC_FORMAT << 36)
    is_right = tf.reduce_all((n_samples > 0) & (n_samples <= records.MAX_SAMPLES))
    return _start_checked(content, _FLAC_START, "FLAC audio", is_right)


def _decode_texture(content: tf.Tensor) -> tf.Tensor:
    content = _start_checked(content, _PNG_START, "texture", tf.constant(True))
    return tf.ensure_shape(tf.io.decode_png(content, channels=3), [FACE_PX, FACE_PX, 3])


def _start_checked(
    content: tf.Tensor, start: bytes, what: str, is_right: tf.Tensor
) -> tf.Tensor:
    is_right &= tf.equal(tf.strings.substr(content, 0, len(start)), start)
    check = tf.debugging.Assert(is_right, [f"the {what} of a record is damaged"])
    with tf.control_dependencies([check] if check is not None else []):
        return tf.identity(content)
