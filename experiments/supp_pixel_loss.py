"""Supplementary: a loss on decoded pictures instead of features.

    python -m experiments.supp_pixel_loss --data_dir=data/avspeech \\
        --output_dir=results --run_dirs=runs/paper,runs/pixel_loss

The second run is of configs/ablation_pixel_loss.flags. The paper says that regressing
from speech to pixels does not work. Here the target is the face decoder's picture of
the true face (records hold no frontal photograph), so that only the space of the loss
differs; with the pictures go the measures of the ablations.
"""

import dataclasses

from experiments.options import Runs
from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class PixelLossOptions:
    """What the runs are measured on."""

    data_dir: str = required("Voice data set.")
    split: str = option("test", "Split to measure.")
    n_examples: int = option(5000, "Random clips of a larger split; 0 for all.")
    clip_secs: float = option(6.0, "Seconds of each clip that the models hear.")
    output_dir: str = option("results", "Folder for the table and the picture.")


def main(runs: Runs, options: PixelLossOptions) -> None:
    """Measures both runs, prints and writes."""
    from experiments import common, run_comparison
    from experiments.options import Inputs

    inputs = Inputs(
        data_dir=options.data_dir,
        split=options.split,
        n_examples=options.n_examples,
        output_dir=options.output_dir,
    )
    result = run_comparison.run_pixel_loss(runs.run_dirs, inputs, options.clip_secs)
    common.finish(result, options.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Runs, PixelLossOptions)
