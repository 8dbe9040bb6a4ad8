"""Fig. 8: training curves with and without batch normalisation, of 3 s and 6 s.

    python -m experiments.fig08_convergence --output_dir=results \\
        --run_dirs=runs/no_bn_3s,runs/bn_3s,runs/bn_6s --data_dir=data/avspeech

The runs are those of configs/ablation_no_bn_3s.flags, ablation_3s.flags and
paper.flags. The paper shows loss curves and says that without BN the faces converge to
an average one. Here the thumbnails are the same random clips for every run.
"""

import dataclasses

from experiments.options import Runs
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class ConvergenceOptions:
    """Where the thumbnails come from, and where the figure goes."""

    data_dir: str = option("", "Voice data set of the thumbnails; '' for none.")
    split: str = option("test", "Split of the thumbnails.")
    output_dir: str = option("results", "Folder for the table and the picture.")


def main(runs: Runs, options: ConvergenceOptions) -> None:
    """Reads the logs, prints and writes."""
    from experiments import common, run_comparison
    from experiments.options import Inputs

    inputs = Inputs(
        data_dir=options.data_dir, split=options.split, output_dir=options.output_dir
    )
    common.finish(run_comparison.run_fig08(runs.run_dirs, inputs), options.output_dir)


if __name__ == "__main__":
    flag_config.run(main, Runs, ConvergenceOptions)
