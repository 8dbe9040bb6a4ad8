"""The order of training records: a function of (seed, epoch, readers) alone.

The shards of an epoch are permuted and read in groups; the records of a group are
interleaved and shuffled. The sizes of the groups follow from `dataset.json`, so a
resumed run skips whole groups without reading them: docs/decisions/exact-resume.md.

A batch has `LoopConfig.n_readers` equal parts. Each reader fills one part of every
batch, and reads its own range of the records of every group. A process reads what its
share of the batch needs: docs/decisions/multi-worker-input.md.

    position    0  1  2  3  4  5  6  7 | 8  9 ...     batches of 8 examples
    part       [  0 ][  1 ][  2 ][  3 ]|[  0 ] ...     4 readers
    share      [     0    ][     1    ]|[     0 ...    2 processes: each reads two parts
    share      [0][1][2][3][4][5][6][7]|[0][1] ...     8 processes: two read the same
                                                       part, and each keeps its half
"""

import dataclasses
import math
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow as tf

from speech2face.config import LoopConfig
from speech2face.data.damaged_shards import Damage, records_or_replacements
from speech2face.data.dataset_info import DatasetInfo
from speech2face.errors import UserError

# Of each reader. More shards mix better; a resumed run reads up to one group again.
SHARDS_PER_GROUP = 16


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


def records_of_share(
    data_dir: pathlib.Path,
    info: DatasetInfo,
    loop: LoopConfig,
    first_step: int,
    share: BatchShare,
    damage: Damage,
) -> tf.data.Dataset:
    """Returns the examples of one process from iteration `first_step` on.

    Args:
      data_dir: the data set's folder.
      info: its `dataset.json`.
      loop: batch size, number of epochs, readers, seed, shuffle buffer.
      first_step: number of batches that an earlier run has consumed.
      share: what this process takes of every batch.
      damage: what to do about damaged shards.

    Returns:
      Pairs of the position in the stream of all processes, int64, and the record.

    Raises:
      UserError: the readers do not divide a batch evenly.
    """
    batch_size = loop.batch_size
    if batch_size % loop.n_readers:
        raise UserError(
            f"--batch_size={batch_size} cannot be divided among "
            f"--n_readers={loop.n_readers}; give a multiple"
        )
    part_size, share_size = batch_size // loop.n_readers, batch_size // share.n_shares
    start = share.index * share_size
    readers = range(start // part_size, -(-(start + share_size) // part_size))
    parts = [
        _records_of_reader(data_dir, info, loop, first_step * part_size, reader, damage)
        for reader in readers
    ]
    first, width = readers[0] * part_size, len(readers) * part_size  # within a batch
    # The parts of an iteration in turn, then those of the next.
    turns = tf.data.Dataset.range(width).map(lambda slot: slot // part_size).repeat()
    stream = (
        tf.data.Dataset.choose_from_datasets(parts, turns)
        if len(parts) > 1
        else parts[0]
    )
    enumerated = stream.enumerate(start=first_step * width)
    if width < batch_size:
        enumerated = enumerated.map(
            lambda i, record: (_position(i, first, width, batch_size), record)
        )
    if share_size == width:
        return enumerated
    return enumerated.filter(
        lambda position, _: position % batch_size // share_size == share.index
    )


def _position(i: tf.Tensor, first: int, width: int, batch_size: int) -> tf.Tensor:
    """Returns the position, in the stream of all processes, of a process's record i.

    The process reads `width` consecutive positions of every batch, from `first` on.
    """
    batch, place = i // width, i % width
    return batch * batch_size + first + place


@dataclasses.dataclass(frozen=True)
class _Range:
    """Records that a reader takes of one shard: `n`, after the first `n_before`."""

    path: str
    shard_size: int
    n_before: int
    n: int


@dataclasses.dataclass(frozen=True)
class _Group:
    """Records that are shuffled together.

    Attributes:
      ranges: ranges of records in its shards, in the order in which they are read.
      seed: seed of the shuffling.
    """

    ranges: list[_Range]
    seed: int

    @property
    def n_examples(self) -> int:
        return sum(one.n for one in self.ranges)

    def part(self, start: int, n: int, seed: int) -> "_Group":
        """Returns `n` of the records after the first `start`."""
        ranges = []
        for one in self.ranges:
            first, last = max(start, 0), min(start + n, one.n)
            if first < last:
                ranges.append(
                    _Range(one.path, one.shard_size, one.n_before + first, last - first)
                )
            start -= one.n
        return _Group(ranges, seed)


def _records_of_reader(
    data_dir: pathlib.Path,
    info: DatasetInfo,
    loop: LoopConfig,
    n_to_skip: int,
    reader: int,
    damage: Damage,
) -> tf.data.Dataset:
    parts: list[_Group] = []
    for part in _parts_of_reader(data_dir, info, loop, reader):
        # The groups that an earlier run has finished are not even opened.
        if not parts and n_to_skip >= part.n_examples:
            n_to_skip -= part.n_examples
        elif part.ranges:
            parts.append(part)
    buffer = -(-loop.shuffle_buffer // loop.n_readers)
    streams = [_records_of_group(part, buffer, damage) for part in parts]
    streams[0] = streams[0].skip(n_to_skip)
    whole = streams[0]
    for stream in streams[1:]:
        whole = whole.concatenate(stream)
    return whole


def _parts_of_reader(
    data_dir: pathlib.Path, info: DatasetInfo, loop: LoopConfig, reader: int
) -> Iterator[_Group]:
    """Yields what a reader takes of every group of the training.

    A group fills consecutive positions of the stream of all readers, and a reader takes
    as many of its records as there are positions of its own among them. Thus a record
    comes once in an epoch, and in the same epoch with any number of readers.
    """
    n_readers = loop.n_readers
    part_size = loop.batch_size // n_readers

    def n_of_earlier_readers(position: int, reader: int) -> int:
        """Positions before `position` whose reader is before `reader`."""
        n_batches, rest = divmod(position, loop.batch_size)
        size = reader * part_size
        return n_batches * size + min(rest, size)

    start = 0
    for epoch in range(math.ceil(loop.epochs)):
        for group in _groups(data_dir, info, loop, epoch):
            end = start + group.n_examples
            first, last = (
                n_of_earlier_readers(end, r) - n_of_earlier_readers(start, r)
                for r in (reader, reader + 1)
            )
            start = end
            if n_readers == 1:
                yield group
            else:
                random = np.random.default_rng([group.seed, reader])
                yield group.part(first, last - first, int(random.integers(2**31)))


def _records_of_group(
    group: _Group, shuffle_buffer: int, damage: Damage
) -> tf.data.Dataset:
    paths = [one.path for one in group.ranges]
    # Row i begins with shard i; the others follow in the order of replacement.
    rotated_paths = [paths[index:] + paths[:index] for index in range(len(paths))]
    numbers = np.array(
        [(one.shard_size, one.n_before, one.n) for one in group.ranges], np.int64
    )
    return (
        tf.data.Dataset.from_tensor_slices((rotated_paths, numbers))
        .interleave(
            lambda paths, numbers: (
                records_or_replacements(paths, numbers[0], damage)
                .skip(numbers[1])
                .take(numbers[2])
            ),
            cycle_length=SHARDS_PER_GROUP,
            num_parallel_calls=tf.data.AUTOTUNE,
            deterministic=True,
        )
        .shuffle(shuffle_buffer, seed=group.seed, reshuffle_each_iteration=False)
        .apply(tf.data.experimental.assert_cardinality(group.n_examples))
    )


def _groups(
    data_dir: pathlib.Path, info: DatasetInfo, loop: LoopConfig, epoch: int
) -> list[_Group]:
    random = np.random.default_rng([loop.seed, epoch])
    shards = info.shards("train")
    shards = [shards[index] for index in random.permutation(len(shards))]
    n_shards = SHARDS_PER_GROUP * loop.n_readers
    groups = []
    for start in range(0, len(shards), n_shards):
        ranges = [
            _Range(str(data_dir / shard.name), shard.n_examples, 0, shard.n_examples)
            for shard in shards[start : start + n_shards]
        ]
        groups.append(_Group(ranges, int(random.integers(2**31))))
    return groups
