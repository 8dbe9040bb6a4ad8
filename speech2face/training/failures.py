"""Explains a failed training: saves the clips of a bad batch, names a bad record.

The order of the examples is a function of the seed, so the batch of any iteration can
be made again. Nothing needs to be kept while all is well
(docs/decisions/non-finite-loss.md).
"""

import numpy as np
import tensorflow as tf

from speech2face import files
from speech2face.data import records
from speech2face.data.damaged_shards import Damage
from speech2face.data.dataset_info import DatasetInfo
from speech2face.data.input_pipeline import ParseFn
from speech2face.data.shard_cache import SHARDS
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.training import validation
from speech2face.training.loop import LossNotFiniteError


def save_clips(
    error: LossNotFiniteError, batches: tf.data.Dataset, run_dir: PathLike
) -> UserError:
    """Saves the clips of the batch whose loss became NaN or infinite.

    Args:
      error: names the iteration.
      batches: dicts of tensors [batch, ...], from that iteration on.
      run_dir: run folder; the batch goes to its `not_finite`.

    Returns:
      The error to raise: it names the clips and the file.
    """
    batch = {name: value.numpy() for name, value in next(iter(batches)).items()}
    batch["clip_id"] = np.array([clip.decode() for clip in batch["clip_id"]])
    path = files.as_path(run_dir) / "not_finite" / f"iteration_{error.step}.npz"
    terms = {f"loss/{name}": value for name, value in error.terms.items()}
    with files.atomic_path(path, is_ours=True) as temporary:
        with temporary.open("wb") as file:
            np.savez(file, **batch, **terms)
    clips = ", ".join(batch["clip_id"])
    return UserError(
        f"{error}. Its clips: {clips}. Batch and losses: {path}", reason=error.reason
    )


def name_damaged_record(data_dir: PathLike, info: DatasetInfo, damage: Damage) -> None:
    """Reads the shards that may have stopped a training again, record by record.

    TensorFlow's error tells neither the file nor the record.

    Args:
      data_dir: the data set.
      info: its `dataset.json`.
      damage: the shards in which training records were missing.

    Raises:
      UserError: names the first damaged record.
    """
    if damage.skip:  # then no record has stopped it
        return
    folder = files.as_path(data_dir)
    suspects = [
        shard
        for shard in info.shards("train")
        if str(folder / shard.name) in damage.n_replaced
    ]
    # Validation reads its split without counting what is missing.
    suspects += info.splits.get(validation.SPLIT, [])
    for shard in suspects:
        for _ in records.iterate_shard(folder / shard.name, shard.n_examples):
            pass


def name_unreadable_record(
    data_dir: PathLike, info: DatasetInfo, parse: ParseFn
) -> None:
    """Parses the records of a training again, one by one.

    Args:
      data_dir: the data set.
      info: its `dataset.json`.
      parse: the parser that has failed.

    Raises:
      UserError: names the first record that is whole, and holds something else than
        records do.
    """
    shards = [*info.shards("train"), *info.splits.get(validation.SPLIT, [])]
    for path in (files.as_path(data_dir) / shard.name for shard in shards):
        stream = tf.data.TFRecordDataset(SHARDS.local_name(str(path)))
        n_parsed = 0
        try:
            for _ in stream.map(lambda record: parse(record, tf.constant(0, tf.int64))):
                n_parsed += 1
        except tf.errors.InvalidArgumentError:
            raise UserError(
                f"{path}: record {n_parsed} is damaged; build the data set again",
                reason="corrupt_shard",
            ) from None
