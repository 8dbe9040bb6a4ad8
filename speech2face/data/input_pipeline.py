"""Shards to batches: the records of `record_stream`, parsed and batched."""

from collections.abc import Callable

import tensorflow as tf

from speech2face.audio import spectrogram
from speech2face.config import AudioConfig, AugmentConfig, LoopConfig
from speech2face.data import augment, parsing, records, shard_framing
from speech2face.data.damaged_shards import Damage
from speech2face.data.dataset_info import DatasetInfo
from speech2face.data.record_stream import WHOLE_BATCH, BatchShare, records_of_share
from speech2face.data.shard_cache import SHARDS
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path
from speech2face.paper import SAMPLE_RATE_HZ

# Random numbers of one example: the seeds of neighbors in the stream must not meet.
SEEDS_PER_EXAMPLE = 16

ParseFn = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


def n_iterations(info: DatasetInfo, loop: LoopConfig) -> int:
    """Returns the number of iterations in `loop.epochs` passes over the training split.

    Raises:
      UserError: the training split is smaller than a batch.
    """
    n_examples = info.n_examples("train")
    n_steps = int(loop.epochs * n_examples / loop.batch_size)
    if n_steps < 1:
        raise UserError(
            f"{loop.epochs} epochs of {n_examples} examples are less than one batch "
            f"of {loop.batch_size}: lower --batch_size or raise --epochs",
            reason="less_than_a_batch",
        )
    return n_steps


def training_batches(
    data_dir: PathLike,
    info: DatasetInfo,
    loop: LoopConfig,
    parse: ParseFn,
    first_step: int = 0,
    share: BatchShare = WHOLE_BATCH,
    damage: Damage | None = None,
) -> tf.data.Dataset:
    """Returns the batches of iterations `first_step`, `first_step` + 1, ... .

    The examples of an iteration depend on `loop.n_readers`, but not on the number of
    processes. A process parses those of its share only.

    Args:
      data_dir: the data set's folder.
      info: its `dataset.json`.
      loop: batch size, number of epochs, readers, seed, shuffle buffer.
      parse: maps (serialized record, position in the stream int64) to tensors.
      first_step: number of batches that an earlier run has consumed.
      share: what this process takes of every batch.
      damage: what to do about damaged shards; by default they are an error.

    Returns:
      Dicts of tensors [loop.batch_size / share.n_replicas, ...], one for each replica
      of this process and iteration. An incomplete last batch is dropped.
    """
    stream = records_of_share(
        as_path(data_dir), info, loop, first_step, share, damage or Damage()
    )
    return (
        stream.map(lambda position, record: parse(record, position), tf.data.AUTOTUNE)
        .batch(loop.batch_size // share.n_replicas, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluation_batches(
    data_dir: PathLike,
    info: DatasetInfo,
    split: str,
    batch_size: int,
    parse: ParseFn,
    skip_corrupt: bool = False,
) -> tf.data.Dataset:
    """Returns all records of a split once, in their order; the last batch is short.

    Args:
      data_dir: the data set's folder.
      info: its `dataset.json`.
      split: name of the split.
      batch_size: examples in a batch.
      parse: maps (serialized record, position 0) to tensors.
      skip_corrupt: skip the rest of a shard after a corrupt record.

    Raises:
      UserError: a shard has a record of impossible length, and `skip_corrupt` is not
        set.
    """
    names = [
        SHARDS.local_name(str(as_path(data_dir) / shard.name))
        for shard in info.shards(split)
    ]
    if skip_corrupt:
        names = [n for n in names if shard_framing.impossible_record(n) is None]
    for name in names:
        shard_framing.check(name)
    stream = tf.data.TFRecordDataset(names)
    return (
        (stream.ignore_errors(log_warning=True) if skip_corrupt else stream)
        .map(lambda record: parse(record, tf.constant(0, tf.int64)), tf.data.AUTOTUNE)
        .batch(batch_size)
        .prefetch(tf.data.AUTOTUNE)
    )


def voice_parser(
    info: DatasetInfo, sound: AudioConfig, augmentation: AugmentConfig, seed: int
) -> ParseFn:
    """Returns the parser of voice records.

    Args:
      info: `dataset.json` of the data set.
      sound: length of a clip.
      augmentation: random changes to the waveform.
      seed: seed of the run; with the position in the stream it determines the changes.

    Returns:
      A function to dicts of clip_id; waveform [n] float32 of `sound.clip_secs`, tiled
      or cut (Sec. 3); face_feature [d] float32, raw.

    Raises:
      UserError: the audio is FLAC and tensorflow-io is not installed.
    """
    n_samples = round(sound.clip_secs * SAMPLE_RATE_HZ)
    decode = _audio_decoder(info.config.get("audio_encoding", "pcm"))

    def parse(record: tf.Tensor, position: tf.Tensor) -> dict[str, tf.Tensor]:
        example = parsing.parse_voice_example(record, info.recognizer.feature_dim)
        waveform = decode(example.pop("audio"))
        example_seed = tf.stack(
            [tf.constant(seed, tf.int64), position * SEEDS_PER_EXAMPLE]
        )
        waveform = augment.augmented_window(
            waveform, n_samples, augmentation, example_seed
        )
        # Repeated, then cut: docs/decisions/short-and-long-clips.md.
        example["waveform"] = _fit_length(waveform, n_samples)
        return example

    return parse


def spectrogram_parser(parse: ParseFn) -> ParseFn:
    """Returns a parser of voice records whose examples hold spectrograms.

    Args:
      parse: a parser of `voice_parser`.

    Returns:
      The parser with `spectrogram` [frames, 257, 2] float32 instead of `waveform`.
    """

    def parse_spectrogram(
        record: tf.Tensor, position: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        example = parse(record, position)
        waveform = example.pop("waveform")
        example["spectrogram"] = spectrogram.spectrogram(waveform[None])[0]
        return example

    return parse_spectrogram


def face_parser(info: DatasetInfo) -> ParseFn:
    """Returns the parser of face records; see `parsing.parse_face_example`."""
    return lambda record, position: parsing.parse_face_example(
        record, info.recognizer.feature_dim, info.n_landmarks
    )


def _fit_length(waveform: tf.Tensor, n_samples: int) -> tf.Tensor:
    """`spectrogram.fit_length` in the graph, where the length is a tensor."""
    n_repeats = -(-n_samples // tf.shape(waveform)[0])
    return tf.ensure_shape(tf.tile(waveform, [n_repeats])[:n_samples], [n_samples])


def _audio_decoder(audio_encoding: str) -> Callable[[tf.Tensor], tf.Tensor]:
    if audio_encoding == "pcm":
        return lambda audio: (
            tf.cast(tf.io.decode_raw(audio, tf.int16), tf.float32) / records.PCM_SCALE
        )
    try:
        import tensorflow_io

        decode_flac = tensorflow_io.audio.decode_flac
        # tensorflow-io loads its library at the first call, not at import.
        with tf.Graph().as_default():
            decode_flac(tf.constant(b""), dtype=tf.int16)
    except (ImportError, NotImplementedError) as error:
        raise UserError(
            "this data set's audio is FLAC, which tensorflow-io decodes in the graph: "
            "install TensorFlow 2.16 with tensorflow-io 0.37.1, or rebuild the data "
            f"set with --audio_encoding=pcm ({error})",
            reason="no_flac_decoder",
        ) from None
    return lambda audio: (
        tf.cast(
            decode_flac(parsing.check_flac(audio), dtype=tf.int16)[:, 0], tf.float32
        )
        / records.PCM_SCALE
    )
