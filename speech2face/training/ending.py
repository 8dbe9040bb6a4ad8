"""The last line that a training command prints, and its exit status."""

import signal
from typing import Any

from speech2face.config import LoopConfig
from speech2face.data import dataset_info, input_pipeline
from speech2face.files import PathLike
from speech2face.training import summaries

STOPPED = 128 + signal.SIGTERM  # exit status that schedulers read as "start it again"
_LEFT_OUT = ("kind", "step", "learning_rate", "examples_per_sec")


class Ending:
    """Reports the end of a command that trains: finished, stopped, or done before."""

    def __init__(self, run_dir: PathLike, data_dir: PathLike, loop: LoopConfig):
        """Reads the log of the run before the command trains.

        Args:
          run_dir: run folder; it need not exist.
          data_dir: data set.
          loop: batch size and epochs, which decide the length of the training.
        """
        self._run_dir = run_dir
        info = dataset_info.read(data_dir, check_sizes=False)  # they were checked
        self._n_steps = input_pipeline.n_iterations(info, loop)
        self._log = summaries.read_log(run_dir)

    def report(self, step: int, next_command: str) -> int:
        """Prints one line on what has been reached; returns the exit status.

        Args:
          step: iteration that the training has reached.
          next_command: what to do with a finished run, in words.
        """
        if step < self._n_steps:
            print(
                f"stopped at iteration {step:,} of {self._n_steps:,} and saved; rerun "
                f"the same command to resume{self._figures()}"
            )
            return STOPPED
        # Not by the newest checkpoint's number: it may be damaged.
        is_old = summaries.read_log(self._run_dir) == self._log
        state = "was finished already" if is_old else "is finished"
        print(
            f"{self._run_dir} {state} at iteration {step:,}{self._figures()}. "
            f"Next: {next_command}, or raise --epochs to train on"
        )
        return 0

    def _figures(self) -> str:
        """Returns the newest numbers of the log."""
        newest: dict[str, dict[str, Any]] = {}
        for entry in summaries.read_log(self._run_dir):
            newest[entry["kind"]] = entry
        parts = []
        for kind, entry in sorted(newest.items()):
            names = [
                name
                for name in entry
                if name not in _LEFT_OUT and not name.startswith("gradient/")
            ]
            numbers = ", ".join(f"{name} {entry[name]:.4g}" for name in names)
            parts.append(f"; {kind}: {numbers}")
        return "".join(parts)
