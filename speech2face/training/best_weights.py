"""Keeps the weights that drew the best pictures of the validation faces.

A decoder of a few hundred faces overfits: its pictures of other faces are best after a
part of the training and then become worse. docs/decisions/best-validation.md
"""

import dataclasses

import numpy as np

from speech2face import files
from speech2face.artifacts import npz_weights
from speech2face.files import PathLike
from speech2face.json_codec import read_json, to_json
from speech2face.training.loop import ValidateFn
from speech2face.training.trainer import Trainer
from speech2face.training.validation import PICTURE

WEIGHTS_FILE, RESULT_FILE = "best.npz", "best.json"  # of a run folder


@dataclasses.dataclass(frozen=True)
class BestResult:
    """The best validation so far: its iteration, and the error of its pictures."""

    step: int
    picture: float


class BestWeights:
    """The weights of the validation with the smallest error so far, in files."""

    def __init__(self, trainer: Trainer, run_dir: PathLike):
        """Takes the network in training and its run folder; touches no file."""
        self._trainer = trainer
        self._weights = files.as_path(run_dir) / WEIGHTS_FILE
        self._result = files.as_path(run_dir) / RESULT_FILE

    def after(self, validate: ValidateFn) -> ValidateFn:
        """Returns `validate`, which then saves the weights if they are the best."""

        def validate_and_keep() -> tuple[dict[str, float], np.ndarray | None]:
            numbers, picture = validate()
            step = int(self._trainer.optimizer.iterations)
            best = self._read()
            # A resumed run comes again to the iterations after its checkpoint.
            if best is None or best.step >= step or numbers[PICTURE] < best.picture:
                self._save(BestResult(step, numbers[PICTURE]))
            return numbers, picture

        return validate_and_keep

    def restore(self) -> None:
        """Gives the network in training the best weights.

        Raises:
          UserError: their file is damaged.
        """
        best = self._read()
        if best is None:  # a run that was at its end before it knew this option
            return
        npz_weights.load(self._weights, self._trainer.model.variables)
        print(
            f"keeping iteration {best.step:,}, of picture error {best.picture:.4f}",
            flush=True,
        )

    def _read(self) -> BestResult | None:
        return read_json(self._result, BestResult) if self._result.is_file() else None

    def _save(self, result: BestResult) -> None:
        with files.atomic_path(self._weights, is_ours=True) as temporary:
            # A file object: numpy would add a suffix to the temporary name.
            with temporary.open("wb") as file:
                npz_weights.save(file, self._trainer.model.variables)
        # Second: without it, or with an older one, the weights are made again.
        files.write_atomically(self._result, to_json(result).encode(), is_ours=True)
