"""Shards to batches: a stream whose order depends on (seed, epoch) alone.

The shards of an epoch are permuted and read in groups; the records of a group are
interleaved and shuffled. The sizes of the groups follow from `dataset.json`, so a
resumed run skips whole groups without reading them: docs/decisions/exact-resume.md.
"""

import dataclasses
import functools
import math
import pathlib
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from speech2face.audio import spectrogram
from speech2face.config import AudioConfig, AugmentConfig, LoopConfig
from speech2face.data import augment, parsing, records, shard_framing
from speech2face.data.damaged_shards import Damage, records_or_replacements
from speech2face.data.dataset_info import DatasetInfo
from speech2face.data.shard_cache import SHARDS
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path
from speech2face.paper import SAMPLE_RATE_HZ

# More shards mix better; a resumed run reads up to one group again.
SHARDS_PER_GROUP = 16
# Random numbers of one example: the seeds of neighbors in the stream must not meet.
SEEDS_PER_EXAMPLE = 16

ParseFn = Callable[[tf.Tensor, tf.Tensor], dict[str, tf.Tensor]]


@dataclasses.dataclass(frozen=True)
class BatchShare:
    """The examples of every batch that one process takes.

    Attributes:
      index: which share, in the order of the examples.
      n_shares: number of shares in a batch, one for each process.
      n_replicas: devices of all processes; each takes equally many examples.
    """

    index: int = 0
    n_shares: int = 1
    n_replicas: int = 1


WHOLE_BATCH = BatchShare()


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

    Every process reads all records and parses those of its share, so the examples of
    an iteration do not depend on the number of processes.

    Args:
      data_dir: the data set's folder.
      info: its `dataset.json`.
      loop: batch size, number of epochs, seed, shuffle buffer.
      parse: maps (serialized record, position in the stream int64) to tensors.
      first_step: number of batches that an earlier run has consumed.
      share: what this process takes of every batch.
      damage: what to do about damaged shards; by default they are an error.

    Returns:
      Dicts of tensors [loop.batch_size / share.n_replicas, ...], one for each replica
      of this process and iteration. An incomplete last batch is dropped.
    """
    first_example = first_step * loop.batch_size
    stream = _shuffled_records(
        as_path(data_dir), info, loop, first_example, damage or Damage()
    )
    return (
        _take_share(stream.enumerate(start=first_example), loop.batch_size, share)
        .map(lambda position, record: parse(record, position), tf.data.AUTOTUNE)
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
      seed: of the run; with the position in the stream it determines the changes.

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
        if augmentation.speed:
            waveform = augment.change_speed(waveform, augmentation.speed, example_seed)
        if augmentation.random_window:
            waveform = augment.random_window(waveform, n_samples, example_seed)
        waveform = _fit_length(waveform, n_samples)
        example["waveform"] = augment.augment(waveform, augmentation, example_seed)
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


def _take_share(
    enumerated: tf.data.Dataset, batch_size: int, share: BatchShare
) -> tf.data.Dataset:
    if share.n_shares == 1:
        return enumerated
    share_size = batch_size // share.n_shares
    return enumerated.filter(
        lambda position, _: position % batch_size // share_size == share.index
    )


@dataclasses.dataclass(frozen=True)
class _Group:
    """Shards that are shuffled together.

    Attributes:
      paths: of the shards.
      shard_sizes: number of records of each shard.
      seed: of the shuffling.
    """

    paths: list[str]
    shard_sizes: list[int]
    seed: int

    @property
    def n_examples(self) -> int:
        return sum(self.shard_sizes)


def _shuffled_records(
    data_dir: pathlib.Path,
    info: DatasetInfo,
    loop: LoopConfig,
    first_example: int,
    damage: Damage,
) -> tf.data.Dataset:
    groups: list[_Group] = []
    n_to_skip = first_example
    for epoch in range(math.ceil(loop.epochs)):
        for group in _groups(data_dir, info, loop.seed, epoch):
            # The groups that an earlier run has finished are not even opened.
            if not groups and n_to_skip >= group.n_examples:
                n_to_skip -= group.n_examples
            else:
                groups.append(group)
    streams = [_group_records(group, loop.shuffle_buffer, damage) for group in groups]
    streams[0] = streams[0].skip(n_to_skip)
    return functools.reduce(lambda one, two: one.concatenate(two), streams)


def _group_records(
    group: _Group, shuffle_buffer: int, damage: Damage
) -> tf.data.Dataset:
    # Row i begins with shard i; the others follow in the order of replacement.
    rotated_paths = [
        group.paths[index:] + group.paths[:index] for index in range(len(group.paths))
    ]
    return (
        tf.data.Dataset.from_tensor_slices(
            (rotated_paths, np.array(group.shard_sizes, np.int64))
        )
        .interleave(
            lambda paths, n: records_or_replacements(paths, n, damage),
            cycle_length=SHARDS_PER_GROUP,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .shuffle(shuffle_buffer, seed=group.seed, reshuffle_each_iteration=False)
        .apply(tf.data.experimental.assert_cardinality(group.n_examples))
    )


def _groups(
    data_dir: pathlib.Path, info: DatasetInfo, seed: int, epoch: int
) -> list[_Group]:
    random = np.random.default_rng([seed, epoch])
    shards = info.shards("train")
    shards = [shards[index] for index in random.permutation(len(shards))]
    groups = []
    for start in range(0, len(shards), SHARDS_PER_GROUP):
        members = shards[start : start + SHARDS_PER_GROUP]
        groups.append(
            _Group(
                paths=[str(data_dir / shard.name) for shard in members],
                shard_sizes=[shard.n_examples for shard in members],
                seed=int(random.integers(2**31)),
            )
        )
    return groups


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
