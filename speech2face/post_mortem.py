"""What is left of an iteration whose loss was not finite: the clips of its batch.

The order of the examples is a function of the seed, so nothing needs to be kept while
all is well: the batch of any iteration can be made again.
"""

import os
import pathlib

import numpy as np
import tensorflow as tf

from speech2face import files
from speech2face.train_loop import LossNotFinite


def explain(
    error: LossNotFinite, batches: tf.data.Dataset, run_dir: os.PathLike
) -> ValueError:
    """Writes the batch to `run_dir`/not_finite; returns an error that names its clips.

    Args:
      error: of `train_loop.run`.
      batches: of the whole training, from the iteration in question on.
      run_dir: the run folder.
    """
    batch = {name: value.numpy() for name, value in next(iter(batches)).items()}
    batch["clip_id"] = np.array([clip.decode() for clip in batch["clip_id"]])
    path = pathlib.Path(run_dir) / "not_finite" / f"iteration_{error.step}.npz"
    terms = {f"loss/{name}": value for name, value in error.terms.items()}
    with files.atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.savez(file, **batch, **terms)
    clips = ", ".join(batch["clip_id"])
    return ValueError(f"{error}. Its clips: {clips}. Batch and losses: {path}")
