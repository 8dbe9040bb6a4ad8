"""Shards that are cut off or corrupt: what a training does about their lost records.

A shard that has fewer readable records than `dataset.json` says is damaged; TensorFlow
reads it up to the first corrupt record. Either that is an error, or a record of another
shard of the same group replaces each lost one. Then neither the number of iterations
nor the position of any other example changes, and the run can still be resumed exactly:
docs/decisions/damaged-shards.md.
"""

import os

import numpy as np
import tensorflow as tf
from absl import logging

from speech2face.data import shard_framing
from speech2face.data.shard_cache import SHARDS
from speech2face.errors import UserError
from speech2face.files import as_path


class Damage:
    """Counts the records that damaged shards have lost; stops or continues.

    Attributes:
      n_replaced: path of a shard -> number of its records that were replaced.
    """

    def __init__(self, skip: bool = False):
        """Starts with no damage.

        Args:
          skip: replace and count lost records instead of raising an error.
        """
        self.skip = skip
        self.n_replaced: dict[str, int] = {}

    def count_lost_record(self, path: tf.Tensor) -> None:
        """Counts one lost record of a shard; the pipeline calls it."""
        shard = path.numpy().decode()
        self.n_replaced[shard] = self.n_replaced.get(shard, 0) + 1
        if not self.skip:
            raise UserError(f"{shard} is corrupt or cut off", reason="corrupt_shard")
        if self.n_replaced[shard] == 1:
            logging.warning(
                "%s is corrupt or cut off: replacing its lost records", shard
            )

    def summary(self) -> str:
        """Returns one line for the log."""
        counts = [f"{path} {n}" for path, n in sorted(self.n_replaced.items())]
        return (
            f"skipped {sum(self.n_replaced.values())} damaged records and took others: "
            + ", ".join(counts)
        )


def records_or_replacements(
    paths: tf.Tensor, n_examples: tf.Tensor, damage: Damage
) -> tf.data.Dataset:
    """Returns exactly `n_examples` records for one shard.

    There are three cases:
      - the shard is whole: its own records, and nothing else is opened;
      - the shard is damaged: its records up to the damage, then replacements;
      - the shard is missing, or has a record of impossible length (`shard_framing`):
        replacements only.

    Args:
      paths: [n] strings, the shard and then the others of its group, whose records
        replace lost ones in this order.
      n_examples: scalar int64, the number of records that the shard should have.
      damage: counts the replacements.

    Returns:
      A data set of serialized records, string scalars.
    """

    def count(record: tf.Tensor) -> tf.Tensor:
        tf.py_function(damage.count_lost_record, [paths[0]], [])
        return record

    openable = tf.numpy_function(_empty_file_if_unusable, [paths], tf.string)
    openable = tf.ensure_shape(openable, [None])
    records_of_shard = tf.data.TFRecordDataset(openable[0]).ignore_errors()
    # Rolled by one: the other shards first, the readable part of this one last.
    next_paths = tf.roll(openable, -1, 0)
    replacements = tf.data.TFRecordDataset(next_paths).ignore_errors().repeat()
    return records_of_shard.concatenate(replacements.map(count)).take(n_examples)


def _empty_file_if_unusable(paths: np.ndarray) -> np.ndarray:
    # TFRecordDataset retries a missing file indefinitely; an empty one has no records.
    return np.array([_usable_file(os.fsdecode(path)) for path in paths], object)


def _usable_file(name: str) -> str:
    """Returns the name of a shard on this machine, or of an empty file."""
    if not as_path(name).is_file():
        return os.devnull
    name = SHARDS.local_name(name)
    return name if shard_framing.impossible_record(name) is None else os.devnull
