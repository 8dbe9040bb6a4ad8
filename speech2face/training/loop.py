"""The loop over iterations: restore, then steps with summaries, saves and validations.

`trainer.Trainer` computes a step. `job.run_loop` provides the batches.
"""

import contextlib
import functools
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from absl import logging
from tqdm import tqdm

from speech2face.artifacts.checkpoints import Checkpointer
from speech2face.config import LoopConfig
from speech2face.data.record_stream import BatchShare
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.training import distribution
from speech2face.training.summaries import TRAIN, VALIDATION, Summaries
from speech2face.training.trainer import Terms, Trainer

# (iterations already done, share of this process) -> the batches that follow
BatchesFn = Callable[[int, BatchShare], tf.data.Dataset]
# () -> named numbers, and a picture [h, w, 3] uint8
ValidateFn = Callable[[], tuple[dict[str, float], np.ndarray | None]]

STOPPING = "\nfinishing this iteration, then saving\n"
# Not in the paper. Halfway, as ratios go, between calibrated terms (a factor of 4) and
# those with the lambdas of another feature scale (190): docs/decisions/loss-weights.md.
MAX_IMBALANCE = 30


class LossNotFiniteError(UserError):
    """The loss of an iteration is infinite or NaN.

    Attributes:
      step: the iteration.
      terms: its terms.
    """

    def __init__(self, step: int, terms: dict[str, float]):
        """Names the iteration."""
        self.step = step
        self.terms = terms
        super().__init__(
            f"the loss of iteration {step} is not finite; the last checkpoint is "
            "good: start again with --precision=float32, or with a lower "
            "--learning_rate in another --run_dir",
            reason="loss_not_finite",
        )


def run(
    trainer: Trainer,
    batches_from: BatchesFn,
    n_steps: int,
    loop: LoopConfig,
    run_dir: PathLike,
    validate: ValidateFn | None = None,
) -> int:
    """Trains up to iteration `n_steps`, from the newest checkpoint if there is one.

    A run that is stopped at any moment and started again ends with the same weights as
    a run without a stop. After SIGTERM or SIGINT the loop finishes its call into
    TensorFlow, saves, and returns. If one of several processes gets the signal, all of
    them stop. Only the chief writes.

    Args:
      trainer: model, optimizer and step.
      batches_from: makes the batches from a given iteration on, for one process.
      n_steps: the iteration to end at.
      loop: intervals, and how many steps a call into TensorFlow takes.
      run_dir: the run folder, see `speech2face.artifacts.run_folder`.
      validate: measures the model, every `loop.validate_every` iterations and at the
        end.

    Returns:
      The iteration reached: `n_steps` unless stopped by a signal.

    Raises:
      LossNotFiniteError: a loss is NaN or infinite. No later weights have been saved.
    """
    checkpointer, step = _resume(trainer, loop, run_dir)
    if step >= n_steps:
        return step
    recent = _Recent(loop.batch_size)
    with contextlib.ExitStack() as stack:
        stop = stack.enter_context(_StopSignals())
        log = None
        if distribution.is_chief():
            log = stack.enter_context(_opened_log(run_dir, trainer, step, n_steps))
        batches = iter(distribution.distribute(functools.partial(batches_from, step)))
        while step < n_steps and not stop.agreed:
            n = _steps_of_call(step, n_steps, loop)
            terms, n_stops = trainer.train_steps(
                batches, tf.constant(n), tf.constant(float(stop.requested))
            )
            step += n
            recent.add(step, terms)
            stop.agree(n_stops)
            due = _due(step, n_steps, stop.agreed, loop)
            means = recent.settle(due)  # before a save: no NaN gets into a checkpoint
            if log:
                log.training(due, step, means)
                if validate and due.validation:
                    log.validation(step, *validate())
                if due.save:
                    checkpointer.save(step, log.summaries.sync)  # last of all
    if step < n_steps:
        logging.warning("stopped and saved at iteration %d of %d", step, n_steps)
    return step


def _resume(
    trainer: Trainer, loop: LoopConfig, run_dir: PathLike
) -> tuple[Checkpointer, int]:
    """Restores the newest checkpoint, if there is one; returns its iteration, or 0."""
    checkpointer = Checkpointer(
        run_dir,
        trainer.model,
        trainer.optimizer,
        keep=loop.keep_checkpoints,
        keep_every_hours=loop.keep_every_hours,
    )
    step = checkpointer.restore_latest()
    if step:
        print(f"resuming at iteration {step:,}", flush=True)
    return checkpointer, step


def _steps_of_call(step: int, n_steps: int, loop: LoopConfig) -> int:
    """Returns how many steps to take at once without passing a step with work due."""
    intervals = [loop.save_every, loop.summarize_every]
    intervals += [loop.validate_every, loop.histograms_every]
    n_to_next = [every - step % every for every in intervals if every]
    return min(loop.steps_per_call, n_steps - step, *n_to_next)


class _Due(NamedTuple):
    """Work that is due after a call."""

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


@contextlib.contextmanager
def _opened_log(
    run_dir: PathLike, trainer: Trainer, step: int, n_steps: int
) -> "Iterator[_Log]":
    """Continues the log of a run after iteration `step` of `n_steps`."""
    # In a log file every update is a line: one a minute is enough.
    min_secs = 0.1 if sys.stderr.isatty() else 60.0
    with (
        Summaries(run_dir, step) as summaries,
        tqdm(total=n_steps, initial=step, unit="it", mininterval=min_secs) as bar,
    ):
        yield _Log(trainer, step, summaries, bar)


class _Log:
    """Summaries and the line of progress, written by the chief."""

    def __init__(self, trainer: Trainer, step: int, summaries: Summaries, bar: tqdm):
        self._trainer = trainer
        self._is_early = step < trainer.calibration_step
        self.summaries = summaries
        self._progress = bar

    def training(self, due: _Due, step: int, means: dict[str, float]) -> None:
        """Writes the numbers and histograms of the training if they are due."""
        self._progress.update(step - self._progress.n)
        if due.summary:
            self._progress.set_postfix_str(f"loss {means['total']:.4g}")
            rate = float(self._trainer.optimizer.learning_rate)
            self.summaries.scalars(TRAIN, step, {**means, "learning_rate": rate})
            if self._is_early and step >= self._trainer.calibration_step:
                self._is_early = False
                for weights in self._trainer.term_weights:
                    warn_of_imbalance(step, means, weights)
        if due.histograms:
            weights = self._trainer.model.trainable_variables
            values = {weight.path: weight.numpy() for weight in weights}
            self.summaries.histograms(TRAIN, step, values)

    def validation(
        self, step: int, numbers: dict[str, float], faces: np.ndarray | None
    ) -> None:
        """Writes the results of a validation."""
        self.summaries.scalars(VALIDATION, step, numbers)
        if faces is not None:
            self.summaries.faces(VALIDATION, step, faces)


def warn_of_imbalance(
    step: int, means: dict[str, float], weights: dict[str, float]
) -> None:
    """Warns if the weighted gradient of one term is 30 times that of another.

    Args:
      step: iteration.
      means: means that a summary logs; `gradient/<term>` without weights.
      weights: term -> its weight in the loss; terms of weight 0 are left out.
    """
    norms = {
        term: weight * means[f"gradient/{term}"]
        for term, weight in weights.items()
        if weight and f"gradient/{term}" in means
    }
    if norms and max(norms.values()) > MAX_IMBALANCE * min(norms.values()):
        text = ", ".join(f"{term} {norm:.3g}" for term, norm in norms.items())
        logging.warning(
            "iteration %d: the weighted gradients of the terms differ by more than %d "
            "times (%s), so the smallest is hardly learned; "
            "python -m speech2face.calibrate_loss prints weights that even them out",
            step,
            MAX_IMBALANCE,
            text,
        )


class _Recent:
    """The terms of the steps since the last summary or save.

    They stay on the device until a mean is due: reading them would wait for the step.
    """

    def __init__(self, batch_size: int):
        self._batch_size = batch_size
        self._step = 0  # iteration of the last terms
        self.start_anew()

    def start_anew(self) -> None:
        """Forgets all terms."""
        self._calls: list[Terms] = []
        self._start = time.monotonic()

    def add(self, step: int, terms: Terms) -> None:
        """Takes the terms [n] of the n steps up to `step`."""
        self._step = step
        self._calls.append(terms)

    def settle(self, due: _Due) -> dict[str, float]:
        """Checks the losses before they are saved; returns the means that are due."""
        if due.save or due.summary:
            self.check_finite()
        means = self.take_means() if due.summary else {}
        if due.save:
            self.start_anew()  # so that a run resumed here logs the same means
        return means

    def take_means(self) -> dict[str, float]:
        """Returns the mean of each term, and examples per second; starts anew."""
        means = {name: float(np.mean(self._values(name))) for name in self._calls[0]}
        secs = time.monotonic() - self._start  # includes validations and saves
        n_steps = len(self._values("total"))
        means["examples_per_sec"] = n_steps * self._batch_size / secs
        self.start_anew()
        return means

    def check_finite(self) -> None:
        """Raises LossNotFiniteError for the first step with such a loss."""
        totals = self._values("total")
        bad = np.flatnonzero(~np.isfinite(totals))
        if bad.size:
            terms = {name: float(self._values(name)[bad[0]]) for name in self._calls[0]}
            raise LossNotFiniteError(self._step - len(totals) + 1 + int(bad[0]), terms)

    def _values(self, name: str) -> np.ndarray:
        return np.concatenate([terms[name] for terms in self._calls])


class _StopSignals:
    """Turns SIGTERM and SIGINT into a request to stop after the call, and says so.

    Attributes:
      requested: this process has received a signal.
      agreed: all processes stop after this call.
    """

    def __enter__(self) -> "_StopSignals":
        self.requested = self.agreed = False
        self._previous: dict[int, Any] = {}
        # Python allows signal handlers in the main thread only.
        if threading.current_thread() is threading.main_thread():
            self._tell_at_once()
            for number in (signal.SIGTERM, signal.SIGINT):
                self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        if self._previous:
            signal.set_wakeup_fd(self._previous_wakeup)
            os.close(self._wakeup)  # the thread reads its end
            self._teller.join()

    def _tell_at_once(self) -> None:
        """Starts a thread that answers a signal while TensorFlow computes.

        Python calls handlers only between two calls, which may be a minute apart.
        """
        received, self._wakeup = os.pipe()
        os.set_blocking(self._wakeup, False)
        self._previous_wakeup = signal.set_wakeup_fd(self._wakeup)

        def tell() -> None:
            is_told = False
            with os.fdopen(received, "rb", buffering=0) as signals:
                while number := signals.read(1):
                    if number[0] in (signal.SIGTERM, signal.SIGINT) and not is_told:
                        os.write(2, STOPPING.encode())
                        is_told = True

        self._teller = threading.Thread(target=tell, daemon=True)
        self._teller.start()

    def agree(self, n_stops: tf.Tensor) -> None:
        """Decides as all other processes do, of which `n_stops` wish to stop."""
        if distribution.n_workers() == 1:
            self.agreed = self.requested  # does not wait for the device
        else:
            self.agreed = float(n_stops) > 0

    def _request(self, *_: Any) -> None:
        self.requested = True
