"""The run folder: what a training leaves behind and resumes from.

    config.json      the training's config (VoiceTrainingConfig, DecoderTrainingConfig)
    run.json         data set checksum, versions, hardware: what else decides a result
    checkpoints/     weights, optimizer and iteration, written by TensorFlow
    summaries/       TensorBoard events, `log.jsonl`, and the newest sample faces
    decoder/         voice runs: the face decoder it was trained against

Restoring is strict: every variable must be in the checkpoint and every value in the
checkpoint must have its variable. A checkpoint that cannot be read (cut off by a full
disk, say) is reported, and the one before it is used.
"""

import dataclasses
import json
import os
import pathlib
import platform
from typing import Any, Iterable, Optional

import keras
import tensorflow as tf
from absl import logging

from speech2face import config as config_lib
from speech2face import files

CONFIG_FILE = "config.json"
RUN_FILE = "run.json"
CHECKPOINT_DIR = "checkpoints"
SUMMARY_DIR = "summaries"

# What may differ when a run goes on: it changes nothing of what has been computed.
_CHANGEABLE = {
    "epochs",
    "save_every",
    "keep_checkpoints",
    "summarize_every",
    "validate_every",
    "validation_examples",
}


def prepare_run(
    run_dir: os.PathLike, config: Any, data_dir: os.PathLike, provenance: dict
) -> None:
    """Creates a run folder, or checks that an existing one is this very run.

    Args:
      run_dir: the folder.
      config: the training config; only `_CHANGEABLE` options may differ.
      data_dir: its data set, which later commands find in `run.json`.
      provenance: what else must be the same to go on, such as the data set checksum.

    Raises:
      ValueError: the folder belongs to another run.
    """
    run_dir = pathlib.Path(run_dir)
    # config.json comes last: a folder that was left before that is begun again.
    if (run_dir / CONFIG_FILE).is_file():
        _check_same_run(run_dir, config, provenance)
    elif _has_something_else(run_dir):
        raise ValueError(
            f"{run_dir} is not empty and no run folder; choose another --run_dir"
        )
    else:
        run_dir.mkdir(parents=True, exist_ok=True)
        where = {"data_dir": str(pathlib.Path(data_dir).resolve())}
        content = {**where, "must_match": provenance, **_environment()}
        text = json.dumps(content, indent=2) + "\n"
        files.write_atomically(run_dir / RUN_FILE, text.encode())
    files.write_atomically(run_dir / CONFIG_FILE, config_lib.to_json(config).encode())


def data_dir_of(run_dir: os.PathLike) -> str:
    """Returns the data set that a run was started with.

    Raises:
      FileNotFoundError: `run_dir` is no run folder.
    """
    path = pathlib.Path(run_dir) / RUN_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{run_dir} is no run folder: it has no {RUN_FILE}")
    return json.loads(path.read_text())["data_dir"]


def read_config(run_dir: os.PathLike, config_type: type) -> Any:
    """Returns the config of a run folder.

    Raises:
      FileNotFoundError: `run_dir` is no run folder.
      ValueError: its config is of another kind or version.
    """
    path = pathlib.Path(run_dir) / CONFIG_FILE
    if not path.is_file():
        raise FileNotFoundError(f"{run_dir} is no run folder: it has no {CONFIG_FILE}")
    return config_lib.from_json(config_type, path.read_text())


class Checkpointer:
    """Saves and restores a model, its optimizer and the iteration of a run."""

    def __init__(
        self,
        run_dir: os.PathLike,
        model: keras.Model,
        optimizer: Optional[keras.optimizers.Optimizer] = None,
        keep: int = 3,
    ):
        """Looks into `run_dir`; without an optimizer it only restores the model."""
        self._run_dir = pathlib.Path(run_dir)
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        parts = {"step": self._step, "model": _by_path(model.variables)}
        if optimizer is not None:
            parts["optimizer"] = _by_path(optimizer.variables)
        self._is_whole = optimizer is not None
        self._checkpoint = tf.train.Checkpoint(**parts)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(self._run_dir / CHECKPOINT_DIR), max_to_keep=keep
        )

    def save(self, step: int) -> None:
        """Writes a checkpoint of iteration `step`."""
        self._step.assign(step)
        try:
            self._manager.save(checkpoint_number=step)
        except tf.errors.OpError as error:
            raise OSError(
                f"cannot save to {self._run_dir / CHECKPOINT_DIR}: {error.message}; "
                "free some space and start again: the run resumes where it last saved"
            ) from None

    def restore_latest(self, required: bool = False) -> int:
        """Restores the newest readable checkpoint and returns its iteration, or 0.

        Raises:
          FileNotFoundError: `required` and there is none.
          ValueError: there are checkpoints and none can be read.
        """
        paths = list(reversed(self._manager.checkpoints))
        if not paths and required:
            raise FileNotFoundError(f"{self._run_dir} has no checkpoint yet")
        for path in paths:
            try:
                self._restore(path)
                return int(self._step)
            except (tf.errors.OpError, IndexError, ValueError, AssertionError) as error:
                reason = str(error).splitlines()[0]
                logging.warning("cannot restore %s: %s", path, reason)
        if paths:
            raise ValueError(
                f"none of the {len(paths)} checkpoints in {self._run_dir} can be "
                "restored; see the warnings above"
            )
        return 0

    def _restore(self, path: str) -> None:
        status = self._checkpoint.restore(path)
        if self._is_whole:
            status.assert_consumed()
        else:
            status.assert_existing_objects_matched().expect_partial()


def _by_path(variables: Iterable[keras.Variable]) -> dict:
    # Names, not positions: a checkpoint can be inspected, and a changed model is
    # noticed instead of being filled with another layer's values.
    named = {}
    for variable in variables:
        path = variable.path
        if path.startswith("seed_generator"):  # Keras numbers these by process
            path = f"seed_generator_of_{len(named)}"
        if path in named:
            raise AssertionError(f"two variables of one model are called {path}")
        named[path] = variable.value
    return named


def _has_something_else(folder: pathlib.Path) -> bool:
    names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    return any(name != RUN_FILE and not name.endswith(".tmp") for name in names)


def _check_same_run(run_dir: pathlib.Path, config: Any, provenance: dict) -> None:
    saved = read_config(run_dir, type(config))
    changes = config_lib.diff(_without_changeable(saved), _without_changeable(config))
    if changes:
        raise ValueError(
            f"{run_dir} is a run with other options ({changes}); give the same flags "
            "to resume it or another --run_dir"
        )
    saved_provenance = json.loads((run_dir / RUN_FILE).read_text())["must_match"]
    for name, value in provenance.items():
        if saved_provenance.get(name) != value:
            raise ValueError(
                f"{run_dir} was started with another {name.replace('_', ' ')}; give "
                "the same one to resume it or another --run_dir"
            )


def _without_changeable(config: Any) -> Any:
    loop = config.loop
    defaults = {name: getattr(type(loop)(), name) for name in _CHANGEABLE}
    return dataclasses.replace(config, loop=dataclasses.replace(loop, **defaults))


def _environment() -> dict:
    return {
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "python": platform.python_version(),
        "machine": platform.machine(),
        "devices": [device.name for device in tf.config.list_logical_devices()],
    }
