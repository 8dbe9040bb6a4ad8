"""Checkpoints of a run: weights, optimizer and iteration, written by TensorFlow.

Restoring is strict: every variable must be in the checkpoint, and every value in the
checkpoint must have its variable. A checkpoint that cannot be read (a full disk cut it
off, say) is reported, and the one before it is used. Checkpoints depend neither on the
number of devices nor on the precision: docs/decisions/checkpoint-contents.md.
"""

import contextlib
import pathlib
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf
from absl import logging

from speech2face import files
from speech2face.buckets import BucketPath
from speech2face.errors import UserError
from speech2face.files import PathLike

CHECKPOINT_DIR = "checkpoints"

# Names that TensorFlow gives. No leading 0: `ckpt-{step}` would be another file.
_STEP = r"ckpt-(0|[1-9]\d{0,17})"
_INDEX = re.compile(_STEP + r"\.index", re.ASCII)
_DATA = re.compile(_STEP + r"\.data-\d{5}-of-\d{5}", re.ASCII)
_TEMPORARY = re.compile(_STEP + r"(\.data-\d{5}-of-\d{5})?_temp", re.ASCII)

# What TensorFlow raises for damaged files and for missing variables. A damaged index
# may claim sizes that no machine has room for.
_DAMAGE = (
    tf.errors.OpError,
    IndexError,
    ValueError,
    AssertionError,
    MemoryError,
)

INITIAL_LOSS_SCALE = 2.0**15  # of Keras' LossScaleOptimizer


class Checkpointer:
    """Saves and restores a model, its optimizer and the iteration of a run."""

    def __init__(
        self,
        run_dir: PathLike,
        model: keras.Model,
        optimizer: keras.optimizers.Optimizer | None = None,
        keep: int = 3,
        keep_every_hours: float = 0.0,
    ):
        """Prepares the checkpoints of a run; touches no file.

        Args:
          run_dir: the run folder.
          model: saved and restored.
          optimizer: saved and restored; without it, only the model is restored.
          keep: number of newest checkpoints that stay.
          keep_every_hours: hours between the older checkpoints that stay; 0 keeps
            none of them.
        """
        self._dir = files.as_path(run_dir) / CHECKPOINT_DIR
        self._keep = keep
        self._keep_every_secs = 3600 * keep_every_hours
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        contents = {"step": self._step, "model": _by_path(model.variables)}
        self._is_whole = optimizer is not None
        if optimizer is not None:
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            contents["optimizer"] = _by_path(inner.variables)
            contents["loss_scale"] = _loss_scale(optimizer)
        self._checkpoint = tf.train.Checkpoint(**contents)
        # Reading it creates it: TensorFlow's own checkpoints have this variable.
        self._checkpoint.save_counter  # noqa: B018

    def save(self, step: int, first: Callable[[], None] = lambda: None) -> None:
        """Writes a checkpoint of iteration `step`.

        Args:
          step: the iteration.
          first: called before the checkpoint is written. It writes the log: a resumed
            run drops log entries that are later than its checkpoint, but cannot
            recover missing ones.

        Raises:
          OSError: it cannot be written; the earlier checkpoints are unchanged.
        """
        self._step.assign(step)
        first()
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            _remove_half_written(self._dir)
            self._write(f"ckpt-{step}")
            self._remove_old()
        except (OSError, tf.errors.OpError) as error:
            _remove_half_written(self._dir)
            # TensorFlow puts the operation and a temporary file around the reason.
            reason = str(error).split("; ")[-1].split(" [Op:")[0]
            raise OSError(
                f"cannot save to {self._dir}: {reason}; free some space and rerun the "
                "same command: the run resumes from its last checkpoint"
            ) from None

    def restore_latest(self, required: bool = False) -> int:
        """Restores the newest readable checkpoint and returns its iteration, or 0.

        Args:
          required: raise an error if there is no checkpoint.

        Raises:
          FileNotFoundError: `required`, and there is no checkpoint.
          UserError: there are checkpoints, and none can be read.
        """
        paths = list_checkpoints(self._dir.parent)
        if not paths and required:
            raise FileNotFoundError(f"{self._dir.parent} has no checkpoint yet")
        for path in reversed(paths):
            try:
                self._restore(path)
                return int(self._step.numpy())
            except _DAMAGE as error:
                reason = (str(error) or type(error).__name__).splitlines()[0]
                logging.warning("cannot restore %s: %s", path, reason)
        if paths:
            raise UserError(
                f"none of the {len(paths)} checkpoints in {self._dir.parent} can be "
                "restored; see the warnings above",
                reason="damaged_checkpoints",
            )
        return 0

    def _write(self, name: str) -> None:
        if not isinstance(self._dir, BucketPath):
            self._checkpoint.write(str(self._dir / name))
            return
        with tempfile.TemporaryDirectory(prefix="speech2face-") as folder:
            self._checkpoint.write(str(pathlib.Path(folder, name)))
            # The index last: without it, there is no checkpoint.
            for path in sorted(pathlib.Path(folder).iterdir()):
                (self._dir / path.name).upload(path)

    def _restore(self, path: str) -> None:
        with _files_here(path) as here:
            status = self._checkpoint.restore(here)
            if self._is_whole:
                status.assert_consumed()
            else:
                status.assert_existing_objects_matched().expect_partial()

    def _remove_old(self) -> None:
        paths = [files.as_path(path) for path in list_checkpoints(self._dir.parent)]
        # For tf.train.latest_checkpoint and other tools; this module lists the files.
        newest = f'model_checkpoint_path: "{paths[-1].name}"\n'
        list_file = self._dir / "checkpoint"
        files.write_atomically(list_file, newest.encode(), is_ours=True)
        last_kept_secs = None
        for path in paths[: -self._keep]:
            index = path.with_name(f"{path.name}.index")
            saved_secs = index.stat().st_mtime
            # abs: clocks are set back, and a file may seem to be from the future.
            if self._keep_every_secs and (
                last_kept_secs is None
                or abs(saved_secs - last_kept_secs) >= self._keep_every_secs
            ):
                last_kept_secs = saved_secs
            else:
                index.unlink()  # first: without its index it is not a checkpoint
                for data in self._dir.glob(f"{path.name}.data-*"):
                    data.unlink()


def list_checkpoints(run_dir: PathLike) -> list[str]:
    """Returns the checkpoints of a run without their suffixes, oldest first."""
    folder = files.as_path(run_dir) / CHECKPOINT_DIR
    # Other files, such as 'ckpt-9 (copy).index' or 'ckpt-best.index', are not ours.
    names = [_INDEX.fullmatch(path.name) for path in folder.glob("ckpt-*.index")]
    steps = [int(match[1]) for match in names if match]
    return [str(folder / f"ckpt-{step}") for step in sorted(steps)]


@contextlib.contextmanager
def _files_here(path: str) -> Iterator[str]:
    """Yields the name of a checkpoint on this machine: its own, or that of a copy."""
    prefix = files.as_path(path)
    if not isinstance(prefix, BucketPath):
        yield path
        return
    with tempfile.TemporaryDirectory(prefix="speech2face-") as folder:
        for one in prefix.parent.glob(f"{prefix.name}.*"):
            one.download(pathlib.Path(folder, one.name))
        yield str(pathlib.Path(folder, prefix.name))


def newest_step(run_dir: PathLike) -> int:
    """Returns the iteration of a run's newest checkpoint, or 0 without one."""
    paths = list_checkpoints(run_dir)
    return int(paths[-1].rpartition("-")[2]) if paths else 0


def _loss_scale(optimizer: keras.optimizers.Optimizer) -> dict[str, Any]:
    # Part of every checkpoint, so that a run can be resumed in another precision.
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale, count = optimizer.dynamic_scale.value, optimizer.step_counter.value
    else:
        scale, count = tf.Variable(INITIAL_LOSS_SCALE), tf.Variable(0, dtype=tf.int64)
    return {"scale": scale, "n_finite_steps": count}


def _remove_half_written(checkpoint_dir: pathlib.Path) -> None:
    for path in checkpoint_dir.glob("ckpt-*"):
        if _TEMPORARY.fullmatch(path.name):
            files.remove(path)
        elif _DATA.fullmatch(path.name) and not path.with_suffix(".index").is_file():
            path.unlink()


def _by_path(variables: Iterable[keras.Variable]) -> dict[str, Any]:
    # By name, not by position: a checkpoint can be inspected, and a changed model is
    # an error instead of a layer with another layer's values.
    named: dict[str, Any] = {}
    for variable in variables:
        path = variable.path
        if path.startswith("seed_generator"):  # Keras numbers these by process
            path = f"seed_generator_of_{len(named)}"
        if path in named:
            raise AssertionError(f"two variables of one model are called {path}")
        named[path] = variable.value
    return named
