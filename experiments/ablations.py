"""Runs that differ in one choice, measured alike.

    python -m experiments.ablations --output_dir=results \\
        --run_dirs=runs/paper,runs/same_padding,runs/no_distillation

Each run is trained with one of configs/ablation_*.flags: padding, batch normalisation,
duration, each loss term, the reduction of the losses, the learning rate's decay; or on
records of configs/records_post_relu.flags, features behind fc7's ReLU. Each line says
in which options a run departs from the paper's config.
"""

import dataclasses

from experiments.options import Runs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class AblationOptions:
    """What the runs are measured on."""

    data_dir: str = option("", "Voice data set; by default each run's own.")
    split: str = option("test", "Split to measure.")
    n_examples: int = option(5000, "Random clips of a larger split; 0 for all.")
    clip_secs: float = option(6.0, "Seconds of each clip that the models hear.")
    output_dir: str = option("results", "Folder for the table and the picture.")


def main(runs: Runs, options: AblationOptions) -> None:
    """Measures every run, prints and writes."""
    from experiments import common, run_comparison
    from experiments.options import Inputs

    inputs = Inputs(
        data_dir=options.data_dir,
        split=options.split,
        n_examples=options.n_examples,
        output_dir=options.output_dir,
    )
    result = run_comparison.run_ablations(runs.run_dirs, inputs, options.clip_secs)
    common.finish(result, options.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Runs, AblationOptions)
