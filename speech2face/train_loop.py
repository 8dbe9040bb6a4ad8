"""The training loop: restore -> batches -> step -> summaries / save / validate."""

import contextlib
import math
import os
import signal
import threading
from typing import Callable, Dict, Optional, Tuple

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from speech2face.checkpoints import Checkpointer
from speech2face.config import LoopConfig
from speech2face.summaries import Summaries
from speech2face.trainer import Trainer

# step -> named numbers, and a picture [h, w, 3] uint8
ValidateFn = Callable[[], Tuple[Dict[str, float], Optional[np.ndarray]]]


def run(
    trainer: Trainer,
    batches_from: Callable[[int], tf.data.Dataset],
    n_steps: int,
    loop: LoopConfig,
    run_dir: os.PathLike,
    validate: Optional[ValidateFn] = None,
) -> int:
    """Trains up to iteration `n_steps`, from the newest checkpoint if there is one.

    A run that is stopped at any moment and started again ends with the same weights
    as one that was not. SIGTERM and SIGINT finish the iteration, save, and return.

    Args:
      trainer: model, optimizer and step.
      batches_from: the batches from a given iteration on.
      n_steps: the iteration to end at.
      loop: intervals.
      run_dir: the run folder, see `speech2face.checkpoints`.
      validate: measures the model; called every `loop.validate_every` iterations and
        at the end.

    Returns:
      The iteration reached: `n_steps` unless stopped by a signal.

    Raises:
      ValueError: the loss is not finite; the last good checkpoint is kept.
    """
    checkpointer = Checkpointer(
        run_dir, trainer.model, trainer.optimizer, loop.keep_checkpoints
    )
    step = checkpointer.restore_latest()
    if step:
        logging.info("resuming at iteration %d of %d", step, n_steps)
    if step >= n_steps:
        return step
    averages = _Averages()
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(_StopSignals())
        summaries = stack.enter_context(Summaries(run_dir, step))
        progress = stack.enter_context(tqdm(total=n_steps, initial=step, unit="it"))
        for batch in batches_from(step):
            averages.add(trainer.train_step(batch))
            step += 1
            progress.update()
            is_last = step >= n_steps or stop.requested
            if is_last or step % loop.summarize_every == 0:
                means = averages.take(step)
                progress.set_postfix_str(f"loss {means['total']:.4g}")
                summaries.scalars("train", step, means)
            if validate and _is_validation_due(step, n_steps, loop):
                numbers, faces = validate()
                summaries.scalars("validation", step, numbers)
                if faces is not None:
                    summaries.faces("validation", step, faces)
            if is_last or step % loop.save_every == 0:
                averages.check_finite(step)
                checkpointer.save(step)  # last: what is saved has been logged
            if is_last:
                break
    if step < n_steps:
        logging.warning("stopped and saved at iteration %d of %d", step, n_steps)
    return step


def _is_validation_due(step: int, n_steps: int, loop: LoopConfig) -> bool:
    if not loop.validate_every:
        return False
    return step == n_steps or step % loop.validate_every == 0


class _Averages:
    """Means of the step's numbers since the last summary, kept on the device."""

    def __init__(self):
        self._sums: Dict[str, tf.Tensor] = {}
        self._n = 0

    def add(self, terms: Dict[str, tf.Tensor]) -> None:
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._n += 1

    def take(self, step: int) -> Dict[str, float]:
        self.check_finite(step)
        means = {name: float(value) / self._n for name, value in self._sums.items()}
        self._sums, self._n = {}, 0
        return means

    def check_finite(self, step: int) -> None:
        if self._n and not math.isfinite(float(self._sums["total"])):
            raise ValueError(
                f"the loss is not finite within the {self._n} iterations up to {step}; "
                "the last checkpoint is good: start again with a lower "
                "--learning_rate or --precision=float32 in another --run_dir"
            )


class _StopSignals:
    """Turns SIGTERM and SIGINT into a request to stop after the iteration."""

    def __enter__(self) -> "_StopSignals":
        self.requested = False
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, *_) -> None:
        self.requested = True
