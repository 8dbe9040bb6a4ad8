"""Shards to batches: a stream whose order is a function of (seed, epoch) alone.

The shards of an epoch are permuted and read in groups; the records of a group are
interleaved and shuffled. Group boundaries are known from `dataset.json`, so a run
resumes at any batch by reading at most one group again, not the epoch so far.
"""

import dataclasses
import functools
import math
import os
import pathlib
from typing import Callable, Dict, List, NamedTuple, Optional

import numpy as np
import tensorflow as tf
from absl import logging

from speech2face import audio, augment, records
from speech2face.config import AudioConfig, AugmentConfig, LoopConfig
from speech2face.dataset_info import DatasetInfo

SHARDS_PER_GROUP = 16

ParseFn = Callable[[tf.Tensor, tf.Tensor], Dict[str, tf.Tensor]]


class Part(NamedTuple):
    """What one process takes of every batch.

    Attributes:
      index: which part, in the order of the examples.
      n_parts: into how many the batch is divided, one for each process.
      n_replicas: devices of all processes; each takes as many examples.
    """

    index: int = 0
    n_parts: int = 1
    n_replicas: int = 1


class Damage:
    """What is done about the records that a shard should have and has not.

    Where `dataset.json` promises more records than can be read, a shard is cut off or
    corrupt (TensorFlow reads up to the first corrupt record). Either that is an error,
    or each missing record is replaced by one of the next shards of its group, so that
    neither the number of iterations nor the place of any other example changes and the
    run can still be resumed exactly.

    Attributes:
      n_replaced: path of a shard -> its records that were replaced.
    """

    def __init__(self, skip: bool = False):
        """`skip`: replaces and counts instead of raising."""
        self.skip = skip
        self.n_replaced: Dict[str, int] = {}

    def miss(self, path: tf.Tensor) -> None:
        """Takes note of one missing record of a shard; called within the pipeline."""
        shard = path.numpy().decode()
        self.n_replaced[shard] = self.n_replaced.get(shard, 0) + 1
        if not self.skip:
            raise ValueError(f"{shard} is corrupt or cut off")
        if self.n_replaced[shard] == 1:
            logging.warning("%s is corrupt or cut off: skipping what is lost", shard)

    def summary(self) -> str:
        """Returns one line for a log."""
        counts = [f"{path} {n}" for path, n in sorted(self.n_replaced.items())]
        return (
            f"skipped {sum(self.n_replaced.values())} damaged records and took others: "
            + ", ".join(counts)
        )


def n_iterations(info: DatasetInfo, loop: LoopConfig) -> int:
    """Returns the iterations of `loop.epochs` passes over the training split."""
    n_examples = info.n_examples("train")
    n_steps = int(loop.epochs * n_examples / loop.batch_size)
    if n_steps < 1:
        raise ValueError(
            f"{loop.epochs} epochs of {n_examples} examples are less than one batch "
            f"of {loop.batch_size}: lower --batch_size or raise --epochs"
        )
    return n_steps


def training_batches(
    data_dir: records.PathLike,
    info: DatasetInfo,
    loop: LoopConfig,
    parse: ParseFn,
    first_step: int = 0,
    part: Part = Part(),  # noqa: B008 immutable
    damage: Optional["Damage"] = None,
) -> tf.data.Dataset:
    """Returns the batches of iterations `first_step`, `first_step` + 1, ... .

    Every process reads all records and parses those of its part, so the examples of an
    iteration do not depend on how many processes there are.

    Args:
      data_dir: the data set's folder.
      info: its `dataset.json`.
      loop: batch size, number of epochs, seed, shuffle buffer.
      parse: maps (serialized record, position in the stream int64) to tensors.
      first_step: batches that an earlier run has consumed.
      part: of this process.
      damage: what to do about damaged shards; by default they are an error.

    Returns:
      Dicts of tensors, [loop.batch_size / part.n_replicas, ...] each, one for each
      replica of this process and iteration; the last, incomplete batch of the last
      epoch is left out.
    """
    first_example = first_step * loop.batch_size
    stream = _shuffled_records(
        pathlib.Path(data_dir), info, loop, first_example, damage or Damage()
    )
    return (
        _of_part(stream.enumerate(start=first_example), loop.batch_size, part)
        .map(lambda position, record: parse(record, position), tf.data.AUTOTUNE)
        .batch(loop.batch_size // part.n_replicas, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


def evaluation_batches(
    data_dir: records.PathLike,
    info: DatasetInfo,
    split: str,
    batch_size: int,
    parse: ParseFn,
    skip_corrupt: bool = False,
) -> tf.data.Dataset:
    """Returns all records of a split once, in their order; the last batch is short.

    `skip_corrupt`: leaves out what of a shard lies behind a corrupt record.
    """
    names = [str(pathlib.Path(data_dir) / shard.name) for shard in info.shards(split)]
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

    Its result: clip_id; waveform [n] float32 of `sound.clip_secs`, tiled or cut (Sec.
    3); face_feature [d] float32, raw.
    """
    n_samples = round(sound.clip_secs * records.SAMPLE_RATE_HZ)
    decode = _audio_decoder(info.config.get("audio_encoding", "pcm"))

    def parse(record: tf.Tensor, position: tf.Tensor) -> Dict[str, tf.Tensor]:
        example = records.parse_voice_example(record, info.recognizer.feature_dim)
        waveform = decode(example.pop("audio"))
        example_seed = tf.stack([tf.constant(seed, tf.int64), position * 16])
        if augmentation.speed:
            waveform = augment.change_speed(waveform, augmentation.speed, example_seed)
        if augmentation.random_window:
            waveform = augment.random_window(waveform, n_samples, example_seed)
        waveform = fit_length(waveform, n_samples)
        example["waveform"] = augment.augment(waveform, augmentation, example_seed)
        return example

    return parse


def spectrogram_parser(parse: ParseFn) -> ParseFn:
    """Returns a parser of voice records like `parse`, `voice_parser`'s.

    Its examples hold `spectrogram` [frames, 257, 2] float32 in the place of `waveform`.
    """

    def parse_spectrogram(
        record: tf.Tensor, position: tf.Tensor
    ) -> Dict[str, tf.Tensor]:
        example = parse(record, position)
        example["spectrogram"] = audio.spectrogram(example.pop("waveform")[None])[0]
        return example

    return parse_spectrogram


def face_parser(info: DatasetInfo) -> ParseFn:
    """Returns the parser of face records, see `records.parse_face_example`."""
    return lambda record, position: records.parse_face_example(
        record, info.recognizer.feature_dim
    )


def fit_length(waveform: tf.Tensor, n_samples: int) -> tf.Tensor:
    """Tiles a waveform [n] to at least `n_samples` and takes the first (Sec. 3)."""
    n_repeats = -(-n_samples // tf.shape(waveform)[0])
    return tf.ensure_shape(tf.tile(waveform, [n_repeats])[:n_samples], [n_samples])


def _of_part(
    enumerated: tf.data.Dataset, batch_size: int, part: Part
) -> tf.data.Dataset:
    n_own = batch_size // part.n_parts
    if n_own == batch_size:
        return enumerated
    return enumerated.filter(
        lambda position, _: position % batch_size // n_own == part.index
    )


@dataclasses.dataclass(frozen=True)
class _Group:
    """Shards that are shuffled together: their paths, records, and shuffle seed."""

    paths: List[str]
    n_of_shards: List[int]
    seed: int

    @property
    def n_examples(self) -> int:
        return sum(self.n_of_shards)


def _shuffled_records(
    data_dir: pathlib.Path,
    info: DatasetInfo,
    loop: LoopConfig,
    first_example: int,
    damage: Damage,
) -> tf.data.Dataset:
    groups, n_skipped = [], first_example
    for epoch in range(math.ceil(loop.epochs)):
        for group in _groups(data_dir, info, loop.seed, epoch):
            if not groups and n_skipped >= group.n_examples:
                n_skipped -= group.n_examples
            else:
                groups.append(group)
    streams = [_group_records(group, loop.shuffle_buffer, damage) for group in groups]
    streams[0] = streams[0].skip(n_skipped)
    return functools.reduce(lambda one, two: one.concatenate(two), streams)


def _group_records(
    group: _Group, shuffle_buffer: int, damage: Damage
) -> tf.data.Dataset:
    n_shards = len(group.paths)
    others = [group.paths[index:] + group.paths[:index] for index in range(n_shards)]
    return (
        tf.data.Dataset.from_tensor_slices(
            (others, np.array(group.n_of_shards, np.int64))
        )
        .interleave(
            lambda paths, n: _shard_records(paths, n, damage),
            cycle_length=SHARDS_PER_GROUP,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .shuffle(shuffle_buffer, seed=group.seed, reshuffle_each_iteration=False)
        .apply(tf.data.experimental.assert_cardinality(group.n_examples))
    )


def _shard_records(
    paths: tf.Tensor, n_examples: tf.Tensor, damage: Damage
) -> tf.data.Dataset:
    """The `n_examples` records of a shard, `paths[0]`, or of others in its stead."""

    def instead(record: tf.Tensor) -> tf.Tensor:
        tf.py_function(damage.miss, [paths[0]], [])
        return record

    readable = tf.ensure_shape(tf.numpy_function(_or_empty, [paths], tf.string), [None])
    own = tf.data.TFRecordDataset(readable[0]).ignore_errors()
    others = tf.data.TFRecordDataset(tf.roll(readable, -1, 0)).ignore_errors().repeat()
    return own.concatenate(others.map(instead)).take(n_examples)


def _or_empty(paths: np.ndarray) -> np.ndarray:
    # TensorFlow would try to open a file that is not there for ever.
    found = [path if tf.io.gfile.exists(path) else os.devnull for path in paths]
    return np.array(found, object)


def _groups(
    data_dir: pathlib.Path, info: DatasetInfo, seed: int, epoch: int
) -> List[_Group]:
    random = np.random.default_rng([seed, epoch])
    shards = info.shards("train")
    shards = [shards[index] for index in random.permutation(len(shards))]
    groups = []
    for start in range(0, len(shards), SHARDS_PER_GROUP):
        members = shards[start : start + SHARDS_PER_GROUP]
        groups.append(
            _Group(
                paths=[str(data_dir / shard.name) for shard in members],
                n_of_shards=[shard.n_examples for shard in members],
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
        with tf.Graph().as_default():  # it is only loaded when it is called
            decode_flac(tf.constant(b""), dtype=tf.int16)
    except (ImportError, NotImplementedError) as error:
        raise ValueError(
            "this data set's audio is FLAC, which tensorflow-io decodes in the graph: "
            "install TensorFlow 2.16 with tensorflow-io 0.37.1, or build it again "
            f"with --audio_encoding=pcm ({error})"
        ) from None
    return lambda audio: (
        tf.cast(decode_flac(audio, dtype=tf.int16)[:, 0], tf.float32)
        / records.PCM_SCALE
    )
