"""TFRecord data sets: the schema of both kinds of record, and shards.

A data set is a folder:

    dataset.json                     what it holds and how it was made (`dataset_info`)
    <split>-00000-of-000NN.tfrecord  tf.train.Example records, uncompressed

A voice record pairs the audio of one clip with the face feature of its speaker
(Sec. 3, "Training"); spectrograms are computed in the graph, since the waveform has a
sixth of their bytes. A face record pairs a face feature with the landmarks and the
texture that the face decoder learns (Cole et al. 2017). Both hold *raw* recognizer
features: `speech2face.normalizer` is the one place that scales them.
"""

import dataclasses
import io
import json
import pathlib
from typing import Any, Dict, Iterable, Iterator, List, Literal, Union

import numpy as np
import soundfile
import tensorflow as tf

from speech2face import dataset_info, files
from speech2face.dataset_info import PathLike, ShardInfo

SAMPLE_RATE_HZ = 16_000
N_LANDMARKS = 68
PCM_SCALE = 32768.0  # int16 samples are waveform [-1, 1) times this

AudioEncoding = Literal["pcm", "flac"]


@dataclasses.dataclass(frozen=True)
class VoiceExample:
    """One clip: waveform [n] float32 in [-1, 1] at 16 kHz, untiled; face_feature [d]
    float32, raw; face_jpeg, the 224 x 224 crop of the true face; labels, by name."""

    clip_id: str
    speaker_id: str
    waveform: np.ndarray
    face_feature: np.ndarray
    face_jpeg: bytes
    labels: Dict[str, str]


@dataclasses.dataclass(frozen=True)
class FaceExample:
    """One face: face_feature [d] float32, raw, of the photograph; landmarks [68, 2]
    float32 (x, y) pixels of the normalised face; texture [224, 224, 3] uint8, the
    normalised face warped to the mean landmarks; normalized [224, 224, 3] uint8;
    face_jpeg, the 224 x 224 crop of the photograph; labels, by name."""

    clip_id: str
    speaker_id: str
    face_feature: np.ndarray
    landmarks: np.ndarray
    texture: np.ndarray
    normalized: np.ndarray
    face_jpeg: bytes
    labels: Dict[str, str]


def shard_name(split: str, index: int, n_shards: int) -> str:
    """Returns '<split>-00000-of-000NN.tfrecord'."""
    return f"{split}-{index:05d}-of-{n_shards:05d}.tfrecord"


def write_shard(path: PathLike, records: Iterable[bytes]) -> ShardInfo:
    """Writes serialized records to one shard; it has its name only when it is whole.

    Raises:
      OSError: the disk is full, or may not be written.
    """
    path = pathlib.Path(path)
    n_examples = 0
    with files.atomic_path(path) as temporary:
        try:
            with tf.io.TFRecordWriter(str(temporary)) as out:
                for record in records:
                    out.write(record)
                    n_examples += 1
        except tf.errors.OpError as error:
            raise OSError(f"cannot write {path}: {error.message}") from None
    return ShardInfo(path.name, n_examples, files.sha256(path))


def write_shards(
    data_dir: PathLike, split: str, records: List[bytes], n_shards: int
) -> List[ShardInfo]:
    """Writes `records`, in order, to `n_shards` shards of nearly equal size."""
    bounds = np.linspace(0, len(records), n_shards + 1).astype(int)
    return [
        write_shard(
            pathlib.Path(data_dir) / shard_name(split, index, n_shards),
            records[bounds[index] : bounds[index + 1]],
        )
        for index in range(n_shards)
    ]


def encode_voice_example(
    example: VoiceExample, audio_encoding: AudioEncoding = "pcm"
) -> bytes:
    """Serializes a voice record; samples are rounded to 16 bits."""
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
    """Inverts `encode_voice_example`; raises ValueError on another schema."""
    values = _deserialize(record, "audio", "audio_encoding", "face_jpeg")
    encoding = values["audio_encoding"].decode()
    if encoding == "pcm":
        waveform = np.frombuffer(values["audio"], "<i2").astype(np.float32) / PCM_SCALE
    elif encoding == "flac":
        waveform, _ = soundfile.read(io.BytesIO(values["audio"]), dtype="float32")
    else:
        raise ValueError(f"unknown audio encoding {encoding!r} in a record")
    return VoiceExample(
        waveform=waveform, face_jpeg=values["face_jpeg"], **_common_fields(values)
    )


def encode_face_example(example: FaceExample) -> bytes:
    """Serializes a face record; images are stored without loss."""
    return _serialize(
        clip_id=example.clip_id.encode(),
        speaker_id=example.speaker_id.encode(),
        face_feature=np.asarray(example.face_feature, np.float32),
        landmarks=np.asarray(example.landmarks, np.float32).reshape(N_LANDMARKS * 2),
        texture_png=files.encode_png(example.texture),
        normalized_png=files.encode_png(example.normalized),
        face_jpeg=example.face_jpeg,
        labels=json.dumps(example.labels, sort_keys=True).encode(),
    )


def decode_face_example(record: bytes) -> FaceExample:
    """Inverts `encode_face_example`; raises ValueError on another schema."""
    values = _deserialize(record, "landmarks", "texture_png", "normalized_png")
    return FaceExample(
        landmarks=values["landmarks"].reshape(N_LANDMARKS, 2),
        texture=files.decode_image(values["texture_png"]),
        normalized=files.decode_image(values["normalized_png"]),
        face_jpeg=values["face_jpeg"],
        **_common_fields(values),
    )


def iterate_records(data_dir: PathLike, split: str) -> Iterator[bytes]:
    """Yields the serialized records of a split in the order of its shards.

    Raises:
      ValueError: a shard is truncated or corrupt; the message names it and the record.
    """
    for shard in dataset_info.read(data_dir).shards(split):
        yield from iterate_shard(pathlib.Path(data_dir) / shard.name, shard.n_examples)


def iterate_shard(path: pathlib.Path, n_examples: int) -> Iterator[bytes]:
    """Yields the serialized records of one shard; raises as `iterate_records`."""
    n_read = 0
    try:
        for record in tf.data.TFRecordDataset(str(path)):
            yield record.numpy()
            n_read += 1
    except (tf.errors.DataLossError, tf.errors.OutOfRangeError):
        raise ValueError(
            f"{path}: record {n_read} is corrupt or cut off; rebuild the data set or "
            "fetch the file again"
        ) from None
    if n_read != n_examples:
        raise ValueError(
            f"{path}: ends after record {n_read} of {n_examples}; fetch it again"
        )


def iterate_voice_examples(data_dir: PathLike, split: str) -> Iterator[VoiceExample]:
    """Yields the examples of a split of a voice data set; see `iterate_records`."""
    return map(decode_voice_example, iterate_records(data_dir, split))


def iterate_face_examples(data_dir: PathLike, split: str) -> Iterator[FaceExample]:
    """Yields the examples of a split of a face data set; see `iterate_records`."""
    return map(decode_face_example, iterate_records(data_dir, split))


def parse_voice_example(record: tf.Tensor, feature_dim: int) -> Dict[str, tf.Tensor]:
    """Parses one serialized voice record in the graph; the audio stays encoded."""
    return tf.io.parse_single_example(
        record,
        {
            "clip_id": tf.io.FixedLenFeature([], tf.string),
            "audio": tf.io.FixedLenFeature([], tf.string),
            "face_feature": tf.io.FixedLenFeature([feature_dim], tf.float32),
        },
    )


def parse_face_example(record: tf.Tensor, feature_dim: int) -> Dict[str, tf.Tensor]:
    """Parses one serialized face record in the graph.

    Returns:
      clip_id; face_feature [feature_dim]; landmarks [68, 2] pixels; texture
      [224, 224, 3] float32 in [0, 1].
    """
    example = tf.io.parse_single_example(
        record,
        {
            "clip_id": tf.io.FixedLenFeature([], tf.string),
            "face_feature": tf.io.FixedLenFeature([feature_dim], tf.float32),
            "landmarks": tf.io.FixedLenFeature([N_LANDMARKS, 2], tf.float32),
            "texture_png": tf.io.FixedLenFeature([], tf.string),
        },
    )
    texture = tf.io.decode_png(example.pop("texture_png"), channels=3)
    example["texture"] = tf.cast(texture, tf.float32) / 255.0
    return example


def _encode_audio(samples: np.ndarray, audio_encoding: str) -> bytes:
    if audio_encoding == "pcm":
        return samples.tobytes()
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, SAMPLE_RATE_HZ, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()


def _serialize(**values: Union[bytes, np.ndarray]) -> bytes:
    def feature(value):
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))

    features = tf.train.Features(
        feature={name: feature(value) for name, value in values.items()}
    )
    return tf.train.Example(features=features).SerializeToString(deterministic=True)


def _deserialize(record: bytes, *required: str) -> Dict[str, Any]:
    try:
        features = tf.train.Example.FromString(record).features.feature
    except Exception as error:  # protobuf's DecodeError has no stable public path
        raise ValueError(f"a record is no tf.train.Example: {error}") from None
    values = {}
    for name, feature in features.items():
        if feature.WhichOneof("kind") == "bytes_list":
            values[name] = feature.bytes_list.value[0]
        else:
            values[name] = np.array(feature.float_list.value, np.float32)
    missing = {"clip_id", "speaker_id", "face_feature", *required} - set(values)
    if missing:
        raise ValueError(f"a record lacks {', '.join(sorted(missing))}")
    return values


def _common_fields(values: Dict[str, Any]) -> Dict[str, Any]:
    return {
        "clip_id": values["clip_id"].decode(),
        "speaker_id": values["speaker_id"].decode(),
        "face_feature": values["face_feature"],
        "labels": json.loads(values.get("labels", b"{}")),
    }
