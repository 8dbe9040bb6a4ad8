"""The run folder: what a training leaves behind and resumes from.

    config.json      the training's config (VoiceTrainingConfig, DecoderTrainingConfig)
    run.json         data set checksum; of each start flags, versions, commit, hardware
    checkpoints/     weights, optimizer and iteration, written by TensorFlow
    summaries/       TensorBoard events, `log.jsonl`, and the newest sample faces
    decoder/         voice runs: the face decoder it was trained against

Restoring is strict: every variable must be in the checkpoint and every value in the
checkpoint must have its variable. A checkpoint that cannot be read (cut off by a full
disk, say) is reported, and the one before it is used. Checkpoints do not depend on the
number of devices nor on the arithmetic.
"""

import dataclasses
import json
import os
import pathlib
from typing import Any, Iterable, List, Optional

import keras
import tensorflow as tf
from absl import logging

from speech2face import environment, files
from speech2face.config_fields import diff, from_json, to_json

CONFIG_FILE = "config.json"
RUN_FILE = "run.json"
CHECKPOINT_DIR = "checkpoints"
SUMMARY_DIR = "summaries"

INITIAL_LOSS_SCALE = 2.0**15

# What may differ when a run goes on: it changes nothing of what has been computed.
_CHANGEABLE = {
    "epochs",
    "precision",
    "strategy",
    "accumulate_steps",
    "steps_per_call",
    "xla",
    "host_spectrogram",
    "skip_corrupt",
    "save_every",
    "keep_checkpoints",
    "keep_every_hours",
    "summarize_every",
    "validate_every",
    "validation_examples",
    "histograms_every",
    "projector_examples",
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
    if is_started(run_dir, config, provenance):
        content = json.loads((run_dir / RUN_FILE).read_text())
    else:
        run_dir.mkdir(parents=True, exist_ok=True)
        where = {"data_dir": str(pathlib.Path(data_dir).resolve())}
        content = {**where, "must_match": provenance}
    content["starts"] = [*content.get("starts", []), environment.describe()]
    text = json.dumps(content, indent=2) + "\n"
    files.write_atomically(run_dir / RUN_FILE, text.encode())
    files.write_atomically(run_dir / CONFIG_FILE, to_json(config).encode())


def is_started(run_dir: os.PathLike, config: Any, provenance: dict) -> bool:
    """Whether `run_dir` is this very run, to go on with; changes nothing.

    Raises:
      ValueError: the folder belongs to another run, or is none.
    """
    run_dir = pathlib.Path(run_dir)
    # config.json comes last: a folder that was left before that is begun again.
    if (run_dir / CONFIG_FILE).is_file():
        _check_same_run(run_dir, config, provenance)
        return True
    if _has_something_else(run_dir):
        raise ValueError(
            f"{run_dir} is not empty and no run folder; choose another --run_dir"
        )
    return False


def newest_step(run_dir: os.PathLike) -> int:
    """The iteration of a run's newest checkpoint, 0 if there is none."""
    path = tf.train.latest_checkpoint(str(pathlib.Path(run_dir) / CHECKPOINT_DIR))
    return int(path.rpartition("-")[2]) if path else 0


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
    return from_json(config_type, path.read_text())


class Checkpointer:
    """Saves and restores a model, its optimizer and the iteration of a run."""

    def __init__(
        self,
        run_dir: os.PathLike,
        model: keras.Model,
        optimizer: Optional[keras.optimizers.Optimizer] = None,
        keep: int = 3,
        keep_every_hours: float = 0.0,
    ):
        """Looks into `run_dir`; without an optimizer it only restores the model.

        Of the checkpoints before the `keep` newest, one in `keep_every_hours` stays,
        unless that is 0.
        """
        self._dir = pathlib.Path(run_dir) / CHECKPOINT_DIR
        self._keep = keep
        self._keep_every_secs = 3600 * keep_every_hours
        self._step = tf.Variable(0, dtype=tf.int64, trainable=False)
        parts = {"step": self._step, "model": _by_path(model.variables)}
        self._is_whole = optimizer is not None
        if optimizer is not None:
            inner = getattr(optimizer, "inner_optimizer", optimizer)
            parts["optimizer"] = _by_path(inner.variables)
        # Both now: of several processes, all must take part in making a variable.
        self._unscaled = _checkpoint(parts)  # of an earlier version
        if optimizer is not None:
            parts["loss_scale"] = _loss_scale(optimizer)
        self._checkpoint = _checkpoint(parts)

    def save(self, step: int) -> None:
        """Writes a checkpoint of iteration `step`.

        Raises:
          OSError: it cannot be written; the earlier ones are as they were.
        """
        self._step.assign(step)
        try:
            self._dir.mkdir(parents=True, exist_ok=True)
            _remove_half_written(self._dir)
            self._checkpoint.write(str(self._dir / f"ckpt-{step}"))
            self._remove_old()
        except (OSError, tf.errors.OpError) as error:
            _remove_half_written(self._dir)
            # TensorFlow names the operation and a temporary file around the reason.
            reason = str(error).split("; ")[-1].split(" [Op:")[0]
            raise OSError(
                f"cannot save to {self._dir}: {reason}; free some space and start "
                "again: the run resumes where it last saved"
            ) from None

    def restore_latest(self, required: bool = False) -> int:
        """Restores the newest readable checkpoint and returns its iteration, or 0.

        Raises:
          FileNotFoundError: `required` and there is none.
          ValueError: there are checkpoints and none can be read.
        """
        paths = list(reversed(list_checkpoints(self._dir.parent)))
        if not paths and required:
            raise FileNotFoundError(f"{self._dir.parent} has no checkpoint yet")
        for path in paths:
            try:
                self._restore(path)
                return int(self._step.numpy())
            except (tf.errors.OpError, IndexError, ValueError, AssertionError) as error:
                reason = str(error).splitlines()[0]
                logging.warning("cannot restore %s: %s", path, reason)
        if paths:
            raise ValueError(
                f"none of the {len(paths)} checkpoints in {self._dir.parent} can be "
                "restored; see the warnings above"
            )
        return 0

    def _restore(self, path: str) -> None:
        names = [name for name, _ in tf.train.list_variables(path)]
        is_scaled = any(name.startswith("loss_scale/") for name in names)
        checkpoint = self._checkpoint if is_scaled else self._unscaled
        status = checkpoint.restore(path)
        if self._is_whole:
            status.assert_consumed()
        else:
            status.assert_existing_objects_matched().expect_partial()

    def _remove_old(self) -> None:
        paths = list_checkpoints(self._dir.parent)
        newest = f'model_checkpoint_path: "{os.path.basename(paths[-1])}"\n'
        # For tf.train.latest_checkpoint and other tools; here, only files count.
        files.write_atomically(self._dir / "checkpoint", newest.encode())
        last_kept_secs = None
        for path in paths[: -self._keep]:
            saved_secs = os.path.getmtime(path + ".index")
            # Clocks jump: a checkpoint from the future is as far away as one of old.
            if self._keep_every_secs and (
                last_kept_secs is None
                or abs(saved_secs - last_kept_secs) >= self._keep_every_secs
            ):
                last_kept_secs = saved_secs
            else:
                os.remove(path + ".index")  # first: without it, there is no checkpoint
                for data in self._dir.glob(f"{os.path.basename(path)}.data-*"):
                    data.unlink()


def list_checkpoints(run_dir: os.PathLike) -> List[str]:
    """Returns the checkpoints of a run without their suffixes, oldest first."""
    found = (pathlib.Path(run_dir) / CHECKPOINT_DIR).glob("ckpt-*.index")
    steps = [int(path.stem[len("ckpt-") :]) for path in found]
    return [
        str(pathlib.Path(run_dir) / CHECKPOINT_DIR / f"ckpt-{step}")
        for step in sorted(steps)
    ]


def _checkpoint(parts: dict) -> tf.train.Checkpoint:
    checkpoint = tf.train.Checkpoint(**parts)
    checkpoint.save_counter  # noqa: B018 creates it: TensorFlow's own checkpoints have it
    return checkpoint


def _loss_scale(optimizer: keras.optimizers.Optimizer) -> dict:
    # Part of every checkpoint, so that a run may go on in another precision.
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        scale, count = optimizer.dynamic_scale.value, optimizer.step_counter.value
    else:
        scale, count = tf.Variable(INITIAL_LOSS_SCALE), tf.Variable(0, dtype=tf.int64)
    return {"scale": scale, "n_finite_steps": count}


def _remove_half_written(checkpoint_dir: pathlib.Path) -> None:
    for path in checkpoint_dir.glob("ckpt-*"):
        if path.name.endswith("_temp"):
            files.remove(path)
        elif ".data-" in path.name and not path.with_suffix(".index").is_file():
            path.unlink()


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
    changes = diff(_without_changeable(saved), _without_changeable(config))
    if saved != config and not changes:
        logging.info("going on with other options: %s", diff(saved, config))
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
