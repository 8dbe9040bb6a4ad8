"""TFRecord data sets: the schema of both kinds of record, and shards.

A data set is a folder:

    dataset.json                     what it holds and how it was made (`dataset_info`)
    <split>-00000-of-000NN.tfrecord  tf.train.Example records, uncompressed

A voice record pairs the audio of one clip with the face feature of its speaker
(Sec. 3, "Training"); spectrograms are computed in the graph, since the waveform has a
sixth of their bytes. A face record pairs a face feature with the landmarks and the
texture that the face decoder learns (Cole et al. 2017). Both hold *raw* recognizer
features: `speech2face.data.normalizer` is the one place that scales them
(docs/decisions/feature-normalizer.md).
"""

import dataclasses
import io
import json
import pathlib
from collections.abc import Iterable, Iterator
from typing import Any, Literal

import numpy as np
import soundfile
import tensorflow as tf

from speech2face import files, images
from speech2face.audio import decoding
from speech2face.data import dataset_info, shard_framing
from speech2face.data.dataset_info import ShardInfo
from speech2face.data.shard_cache import SHARDS
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import parse_json
from speech2face.paper import N_LANDMARKS, SAMPLE_RATE_HZ

PCM_SCALE = 32768.0  # int16 samples are waveform [-1, 1) times this

# Builders read at most `MAX_SECS` of sound; resampling may round that up.
MAX_SAMPLES = round((decoding.MAX_SECS + 1) * SAMPLE_RATE_HZ)

_NUMBERS = ("face_feature", "landmarks")  # the other values are bytes

AudioEncoding = Literal["pcm", "flac"]


@dataclasses.dataclass(frozen=True)
class VoiceExample:
    """One clip.

    Attributes:
      clip_id: unique name.
      speaker_id: who speaks.
      waveform: [n] float32 in [-1, 1] at 16 kHz, not tiled.
      face_feature: [d] float32, raw.
      face_jpeg: the 224 x 224 crop of the true face.
      labels: name -> value.
    """

    clip_id: str
    speaker_id: str
    waveform: np.ndarray
    face_feature: np.ndarray
    face_jpeg: bytes
    labels: dict[str, str]


@dataclasses.dataclass(frozen=True)
class FaceExample:
    """One face.

    Attributes:
      clip_id: unique name.
      speaker_id: whose face it is.
      face_feature: [d] float32, raw, of the photograph.
      landmarks: [n, 2] float32 (x, y) px of the normalized face: dlib's 68, then the
        points of its outline, if the data set has them.
      texture: [224, 224, 3] uint8, the normalized face warped to the mean landmarks.
      normalized: [224, 224, 3] uint8, the normalized face.
      face_jpeg: the 224 x 224 crop of the photograph.
      labels: name -> value.
    """

    clip_id: str
    speaker_id: str
    face_feature: np.ndarray
    landmarks: np.ndarray
    texture: np.ndarray
    normalized: np.ndarray
    face_jpeg: bytes
    labels: dict[str, str]


def shard_name(split: str, index: int, n_shards: int) -> str:
    """Returns the file name '<split>-00000-of-000NN.tfrecord'.

    Args:
      split: name of the split.
      index: index of the shard, from 0.
      n_shards: number of shards in the split.
    """
    return f"{split}-{index:05d}-of-{n_shards:05d}.tfrecord"


def write_shard(path: PathLike, records: Iterable[bytes]) -> ShardInfo:
    """Writes serialized records to one shard, which appears only when it is whole.

    Raises:
      OSError: the disk is full or read-only.
    """
    path = files.as_path(path)
    n_examples = 0
    with files.atomic_path(path, is_ours=True) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as out:
                for record in records:
                    out.write(record)
                    n_examples += 1
        except tf.errors.OpError as error:
            raise OSError(f"cannot write {path}: {error.message}") from None
        sha256, n_bytes = files.sha256(temporary), temporary.stat().st_size
    return ShardInfo(path.name, n_examples, sha256, n_bytes)


def write_shards(
    data_dir: PathLike, split: str, records: list[bytes], n_shards: int
) -> list[ShardInfo]:
    """Writes records, in order, to shards of nearly equal size.

    Args:
      data_dir: folder of the data set.
      split: name of the split.
      records: serialized.
      n_shards: number of files.

    Returns:
      One description for each shard.
    """
    # Shards of one size mix best: `input_pipeline` interleaves them.
    bounds = np.linspace(0, len(records), n_shards + 1).astype(int)
    return [
        write_shard(
            files.as_path(data_dir) / shard_name(split, index, n_shards),
            records[bounds[index] : bounds[index + 1]],
        )
        for index in range(n_shards)
    ]


def encode_voice_example(
    example: VoiceExample, audio_encoding: AudioEncoding = "pcm"
) -> bytes:
    """Serializes a voice record; samples are rounded to 16 bits."""
    # Clipped, not wrapped: 1.0 would become -32768.
    samples = np.clip(np.round(example.waveform * PCM_SCALE), -32768, 32767)
    return _serialize(
        clip_id=example.clip_id.encode(),
        speaker_id=example.speaker_id.encode(),
        audio=_encode_audio(samples.astype("<i2"), audio_encoding),
        audio_encoding=audio_encoding.encode(),
        face_feature=np.asarray(example.face_feature, np.float32),
        face_jpeg=example.face_jpeg,
        labels=json.dumps(example.labels, sort_keys=True).encode(),
    )


def decode_voice_example(record: bytes) -> VoiceExample:
    """Inverts `encode_voice_example`; raises UserError on another schema."""
    values = _deserialize(record, "audio", "audio_encoding", "face_jpeg")
    encoding = values["audio_encoding"]
    if encoding == b"pcm":
        waveform = _decode_pcm(values["audio"])
    elif encoding == b"flac":
        waveform = _decode_flac(values["audio"])
    else:
        raise UserError(f"unknown audio encoding {encoding!r:.50} in a record")
    return VoiceExample(
        waveform=waveform, face_jpeg=values["face_jpeg"], **_common_fields(values)
    )


def encode_face_example(example: FaceExample) -> bytes:
    """Serializes a face record; images are stored without loss."""
    return _serialize(
        clip_id=example.clip_id.encode(),
        speaker_id=example.speaker_id.encode(),
        face_feature=np.asarray(example.face_feature, np.float32),
        landmarks=np.asarray(example.landmarks, np.float32).ravel(),
        texture_png=images.encode_png(example.texture),
        normalized_png=images.encode_png(example.normalized),
        face_jpeg=example.face_jpeg,
        labels=json.dumps(example.labels, sort_keys=True).encode(),
    )


def decode_face_example(record: bytes) -> FaceExample:
    """Inverts `encode_face_example`; raises UserError on another schema."""
    values = _deserialize(record, "landmarks", "texture_png", "normalized_png")
    return FaceExample(
        landmarks=_landmarks(values["landmarks"]),
        texture=images.decode_image(values["texture_png"]),
        normalized=images.decode_image(values["normalized_png"]),
        face_jpeg=values["face_jpeg"],
        **_common_fields(values),
    )


def iterate_records(data_dir: PathLike, split: str) -> Iterator[bytes]:
    """Yields the serialized records of a split in the order of its shards.

    Raises:
      UserError: a shard is truncated or corrupt; the message names it and the record.
    """
    for shard in dataset_info.read(data_dir, check_sizes=False).shards(split):
        yield from iterate_shard(files.as_path(data_dir) / shard.name, shard.n_examples)


def iterate_shard(path: pathlib.Path, n_examples: int) -> Iterator[bytes]:
    """Yields the serialized records of one shard; raises as `iterate_records`."""
    n_read = 0
    shard_framing.check(name := SHARDS.local_name(str(path)))
    try:
        for record in tf.data.TFRecordDataset(name):
            yield record.numpy()
            n_read += 1
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError):
        raise shard_framing.corrupt(path, n_read) from None
    if n_read != n_examples:
        raise UserError(
            f"{path}: ends after record {n_read} of {n_examples}; copy it again",
            reason="corrupt_shard",
        )


def iterate_voice_examples(data_dir: PathLike, split: str) -> Iterator[VoiceExample]:
    """Yields the examples of a split of a voice data set; see `iterate_records`."""
    return map(decode_voice_example, iterate_records(data_dir, split))


def iterate_face_examples(data_dir: PathLike, split: str) -> Iterator[FaceExample]:
    """Yields the examples of a split of a face data set; see `iterate_records`."""
    return map(decode_face_example, iterate_records(data_dir, split))


def _encode_audio(samples: np.ndarray, audio_encoding: str) -> bytes:
    if audio_encoding == "pcm":
        return samples.tobytes()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _decode_pcm(content: bytes) -> np.ndarray:
    if len(content) % 2 or len(content) > 2 * MAX_SAMPLES:
        raise UserError(f"a record has {len(content)} bytes of sound, not 16-bit PCM")
    return np.frombuffer(content, "<i2").astype(np.float32) / PCM_SCALE


def _decode_flac(content: bytes) -> np.ndarray:
    try:
        with soundfile.SoundFile(io.BytesIO(content)) as sound:
            # A few bytes can claim, and hold, years of silence.
            found = sound.format, sound.subtype, sound.samplerate, sound.channels
            if found != ("FLAC", "PCM_16", SAMPLE_RATE_HZ, 1) or not (
                0 < sound.frames <= MAX_SAMPLES
            ):
                raise UserError(
                    "a record has unreadable FLAC audio: it is not 16-bit, "
                    f"{SAMPLE_RATE_HZ} Hz, one channel of at most {MAX_SAMPLES} samples"
                )
            return sound.read(dtype="float32")
    except soundfile.LibsndfileError as error:
        raise UserError(f"a record has unreadable FLAC audio: {error}") from None


def _landmarks(values: np.ndarray) -> np.ndarray:
    if values.size < 2 * N_LANDMARKS or values.size % 2:
        raise UserError(
            f"a record has {values.size} landmark coordinates, expected "
            f"{2 * N_LANDMARKS} or, with an outline, more"
        )
    return values.reshape(-1, 2)


def _serialize(**values: bytes | np.ndarray) -> bytes:
    def feature(value: bytes | np.ndarray) -> tf.train.Feature:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    features = tf.train.Features(
        feature={name: feature(value) for name, value in values.items()}
    )
    # Deterministic: the fields of a protocol buffer's map have no order of their own.
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def _deserialize(record: bytes, *required: str) -> dict[str, Any]:
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # protobuf's DecodeError has no stable public path
        raise UserError(f"a record is not a tf.train.Example: {error}") from None
    values: dict[str, Any] = {}
    for name, feature in features.items():
        if name in _NUMBERS:
            values[name] = np.array(feature.float_list.value, np.float32)
        elif len(feature.bytes_list.value) == 1:
            values[name] = feature.bytes_list.value[0]
    missing = {"clip_id", "speaker_id", "face_feature", *required} - set(values)
    if missing:
        raise UserError(f"a record lacks {', '.join(sorted(missing))}")
    return values


def _common_fields(values: dict[str, Any]) -> dict[str, Any]:
    try:
        names = {name: values[name].decode() for name in ("clip_id", "speaker_id")}
    except UnicodeDecodeError:
        raise UserError("the clip_id or speaker_id of a record is not UTF-8") from None
    return {
        **names,
        "face_feature": values["face_feature"],
        "labels": parse_json(values.get("labels", b"{}"), "labels of a record"),
    }
