"""The training loop: restore -> batches -> steps -> summaries / save / validate."""

import contextlib
import os
import signal
import sys
import threading
import time
from typing import Callable, Dict, Iterable, List, NamedTuple, Optional, Tuple

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from speech2face import distribution
from speech2face.checkpoints import Checkpointer
from speech2face.config import LoopConfig
from speech2face.summaries import TRAIN, VALIDATION, Summaries
from speech2face.trainer import Terms, Trainer

# step -> named numbers, and a picture [h, w, 3] uint8
ValidateFn = Callable[[], Tuple[Dict[str, float], Optional[np.ndarray]]]


class LossNotFinite(ValueError):
    """The loss of an iteration is infinite or NaN.

    Attributes:
      step: the iteration.
      terms: its terms.
    """

    def __init__(self, step: int, terms: Dict[str, float]):
        """Names the iteration."""
        self.step = step
        self.terms = terms
        super().__init__(
            f"the loss of iteration {step} is not finite; the last checkpoint is "
            "good: start again with --precision=float32, or with a lower "
            "--learning_rate in another --run_dir"
        )


def run(
    trainer: Trainer,
    batches_from: Callable[[int], Iterable],
    n_steps: int,
    loop: LoopConfig,
    run_dir: os.PathLike,
    validate: Optional[ValidateFn] = None,
) -> int:
    """Trains up to iteration `n_steps`, from the newest checkpoint if there is one.

    A run that is stopped at any moment and started again ends with the same weights
    as one that was not. SIGTERM and SIGINT finish the call, save, and return; of
    several processes, all do once one of them gets it. Only the chief writes.

    Args:
      trainer: model, optimizer and step.
      batches_from: the batches from a given iteration on, distributed.
      n_steps: the iteration to end at.
      loop: intervals, and how many steps a call into TensorFlow takes.
      run_dir: the run folder, see `speech2face.checkpoints`.
      validate: measures the model; called every `loop.validate_every` iterations and
        at the end.

    Returns:
      The iteration reached: `n_steps` unless stopped by a signal.

    Raises:
      LossNotFinite: the last good checkpoint is kept.
    """
    checkpointer, step = _resume(trainer, loop, run_dir)
    if step >= n_steps:
        return step
    recent = _Recent(loop.batch_size)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(_StopSignals())
        log = None
        if distribution.is_chief():
            log = stack.enter_context(_Log(run_dir, trainer, step, n_steps))
        batches = iter(batches_from(step))
        while step < n_steps and not stop.agreed:
            n = _steps_of_call(step, n_steps, loop)
            terms, n_stops = trainer.train_steps(
                batches, tf.constant(n), tf.constant(float(stop.requested))
            )
            step += n
            recent.add(step, terms)
            stop.agree(n_stops)
            due = _due(step, n_steps, stop.agreed, loop)
            if due.save or due.summary:
                recent.check_finite()
            means = recent.take_means() if due.summary else {}
            if due.save:
                recent.start_anew()  # as a run that is resumed here does
            if not log:
                continue
            log.training(due, step, means)
            if validate and due.validation:
                log.validation(step, *validate())
            if due.save:
                checkpointer.save(step)  # last: what is saved has been logged
    if step < n_steps:
        logging.warning("stopped and saved at iteration %d of %d", step, n_steps)
    return step


def _resume(
    trainer: Trainer, loop: LoopConfig, run_dir: os.PathLike
) -> Tuple[Checkpointer, int]:
    """Restores the newest checkpoint, if there is one; returns its iteration, or 0."""
    checkpointer = Checkpointer(
        *(run_dir, trainer.model, trainer.optimizer),
        *(loop.keep_checkpoints, loop.keep_every_hours),
    )
    step = checkpointer.restore_latest()
    if step:
        logging.info("resuming at iteration %d", step)
    return checkpointer, step


def _steps_of_call(step: int, n_steps: int, loop: LoopConfig) -> int:
    """How many steps to take at once, so that nothing that is due is passed."""
    intervals = (
        *(loop.save_every, loop.summarize_every),
        *(loop.validate_every, loop.histograms_every),
    )
    to_next = [every - step % every for every in intervals if every]
    return min(loop.steps_per_call, n_steps - step, *to_next)


class _Due(NamedTuple):
    """What is due after a call."""

    save: bool
    summary: bool
    histograms: bool
    validation: bool


def _due(step: int, n_steps: int, is_stopped: bool, loop: LoopConfig) -> _Due:
    def every(interval: int) -> bool:
        return interval > 0 and step % interval == 0

    is_end = step >= n_steps
    return _Due(
        save=is_end or is_stopped or every(loop.save_every),
        summary=is_end or is_stopped or every(loop.summarize_every),
        histograms=every(loop.histograms_every),
        validation=(is_end and loop.validate_every > 0) or every(loop.validate_every),
    )


class _Log(contextlib.ExitStack):
    """What the chief says of a run: summaries and a line of progress."""

    def __init__(self, run_dir: os.PathLike, trainer: Trainer, step: int, n_steps: int):
        """Goes on at iteration `step` of `n_steps`."""
        super().__init__()
        self._trainer = trainer
        self._summaries = self.enter_context(Summaries(run_dir, step))
        self._progress = self.enter_context(
            tqdm(
                total=n_steps,
                initial=step,
                unit="it",
                mininterval=0.1 if sys.stderr.isatty() else 60.0,  # a line a minute
            )
        )

    def training(self, due: _Due, step: int, means: Dict[str, float]) -> None:
        """Writes the numbers and histograms of the training that are due."""
        self._progress.update(step - self._progress.n)
        if due.summary:
            self._progress.set_postfix_str(f"loss {means['total']:.4g}")
            rate = float(self._trainer.optimizer.learning_rate)
            self._summaries.scalars(TRAIN, step, {**means, "learning_rate": rate})
        if due.histograms:
            weights = self._trainer.model.trainable_variables
            values = {weight.path: weight.numpy() for weight in weights}
            self._summaries.histograms(TRAIN, step, values)

    def validation(
        self, step: int, numbers: Dict[str, float], faces: Optional[np.ndarray]
    ) -> None:
        """Writes what a validation measured."""
        self._summaries.scalars(VALIDATION, step, numbers)
        if faces is not None:
            self._summaries.faces(VALIDATION, step, faces)


class _Recent:
    """The terms of the steps since the last summary or save, kept on the device."""

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self._step = 0  # of the last terms
        self.start_anew()

    def start_anew(self) -> None:
        """Forgets all terms."""
        self._calls: List[Terms] = []
        self._start = time.monotonic()

    def add(self, step: int, terms: Terms) -> None:
        """Takes the terms [n] of the n steps up to `step`."""
        self._step = step
        self._calls.append(terms)

    def take_means(self) -> Dict[str, float]:
        """Returns the mean of each term, and examples per second; starts anew."""
        means = {name: float(np.mean(self._values(name))) for name in self._calls[0]}
        secs = time.monotonic() - self._start  # with what was validated and saved
        n_steps = len(self._values("total"))
        means["examples_per_sec"] = n_steps * self._batch_size / secs
        self.start_anew()
        return means

    def check_finite(self) -> None:
        """Raises LossNotFinite for the first step whose loss is not."""
        totals = self._values("total")
        bad = np.flatnonzero(~np.isfinite(totals))
        if bad.size:
            terms = {name: float(self._values(name)[bad[0]]) for name in self._calls[0]}
            raise LossNotFinite(self._step - len(totals) + 1 + int(bad[0]), terms)

    def _values(self, name: str) -> np.ndarray:
        return np.concatenate([terms[name] for terms in self._calls])


class _StopSignals:
    """Turns SIGTERM and SIGINT into a request to stop after the call.

    Attributes:
      requested: by a signal to this process.
      agreed: all processes stop now.
    """

    def __enter__(self) -> "_StopSignals":
        self.requested = self.agreed = False
        self._previous = {}
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def agree(self, n_stops: tf.Tensor) -> None:
        """Decides, as all other processes do, what `n_stops` wishes come to."""
        if distribution.n_workers() == 1:
            self.agreed = self.requested  # without waiting for the device
        else:
            self.agreed = float(n_stops) > 0

    def _request(self, *_) -> None:
        self.requested = True
