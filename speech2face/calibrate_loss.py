"""Measures how evenly the terms of Eq. 1 pull, and the lambdas that would even them.

    python -m speech2face.calibrate_loss --run_dir=runs/paper

The paper's rule (Sec. 3): at iteration 1000, the gradients of the three terms with
respect to v_s have a similar magnitude. Train that far, run this, and start again in a
new run folder with the flags it prints.
"""

import dataclasses

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class CalibrationOptions:
    """What to measure."""

    run_dir: str = required("Run folder of speech2face.train; its newest checkpoint.")
    data_dir: str = option(
        "", "Voice data set, whose training split is measured on; '' is the run's."
    )
    n_batches: int = option(8, "Batches of the run's own size to average over.")


def main(options: CalibrationOptions) -> None:
    """Prints the table and the flags."""
    from speech2face import checkpoints, loss_calibration

    result = loss_calibration.calibrate(
        options.run_dir,
        options.data_dir or checkpoints.data_dir_of(options.run_dir),
        options.n_batches,
    )
    print(result.table())


if __name__ == "__main__":
    flag_config.run(main, CalibrationOptions)
