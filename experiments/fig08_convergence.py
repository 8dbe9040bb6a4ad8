"""Fig. 8: training curves with and without batch normalization, of 3 s and 6 s.

    python -m experiments.fig08_convergence --output_dir=results \\
        --run_dirs=runs/no_bn_3s,runs/bn_3s,runs/bn_6s --data_dir=data/avspeech

The runs are those of configs/ablation_no_bn_3s.flags, ablation_3s.flags and
paper.flags. The paper shows loss curves and says that without BN the faces converge to
an average one. Here the thumbnails are the same random clips for every run.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from experiments.lib import plots, published, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, Runs
from experiments.lib.material import Material
from experiments.lib.results import NotApplicable, Number, Result, Row
from experiments.lib.runs import Run, read_run, unique_labels
from speech2face.artifacts.run_folder import CONFIG_FILE
from speech2face.options import Options, option, run_command

NAME = "fig08_convergence"
N_THUMBNAILS = 6  # voices, the same for every run
_CURVES_INCHES, _THUMBNAILS_INCHES = 4.0, 1.2  # heights in the picture


@dataclasses.dataclass(frozen=True)
class ConvergenceOptions(Options):
    """Data of the thumbnails, and the folder of the figure."""

    data_dir: str = option(
        "", "Voice data set of the thumbnails; '' for none.", exists="folder"
    )
    split: str = option("test", "Split of the thumbnails.")
    output_dir: str = option("results", "Folder for the table and the picture.")


def compute_losses(run: Run) -> dict[str, Number]:
    """Iterations, last training and validation loss, least validation loss."""
    validation = [loss for _, loss in run.validation]
    return {
        "iterations": max(step for step, _ in [*run.train, *run.validation]),
        "last training loss": run.train[-1][1] if run.train else None,
        "last validation loss": validation[-1] if validation else None,
        "least validation loss": min(validation, default=None),
    }


def run(runs: Runs, inputs: Inputs) -> Result:
    """Draws the training curves of runs, and the faces they make of the same voices.

    Args:
      runs: the run folders; if there are none, `inputs.run_dir`, if that has a log.
      inputs: data set of the thumbnails.
    """
    run_dirs = runs.run_dirs or _measured_run(inputs)
    if not run_dirs:
        raise NotApplicable("no run folders; give --run_dirs")
    logs = [read_run(run_dir) for run_dir in run_dirs]
    thumbnails = _thumbnails(logs, inputs) if inputs.data_dir else []
    return Result(
        name=NAME,
        title="Fig. 8. Training convergence",
        shows="Training (dashed) and validation loss (solid), with and without batch "
        "normalization, of 3 and 6 seconds of audio, and faces that the runs make of "
        "the same voices. The paper: without BN the faces converge to an average one.",
        rows=[
            Row({"run": label, "measure": measure}, ours=value)
            for label, log in zip(unique_labels(logs), logs)
            for measure, value in compute_losses(log).items()
        ],
        picture=_draw(logs, thumbnails),
        notes=[
            f"the paper's axes show iterations {published.FIG_8_ITERATIONS[0]:,} to "
            f"{published.FIG_8_ITERATIONS[1]:,} and losses {published.FIG_8_LOSS[0]} "
            f"to {published.FIG_8_LOSS[1]}, which fit --loss_reduction=mean "
            "(docs/decisions/eq1-reduction.md)",
            "losses compare only between runs of one data set and one set of weights",
        ],
        provenance={"thumbnails": inputs.data_dir or "none"},
    )


def _measured_run(inputs: Inputs) -> tuple[str, ...]:
    """The measured model itself, if it is a run folder with a log."""
    if not inputs.run_dir:
        return ()
    from speech2face.training.summaries import read_log

    has_config = (pathlib.Path(inputs.run_dir) / CONFIG_FILE).is_file()
    return (inputs.run_dir,) if has_config and read_log(inputs.run_dir) else ()


def _thumbnails(runs: Sequence[Run], inputs: Inputs) -> list[list[np.ndarray]]:
    """For each run, the faces that it makes of the same voices."""
    faces_of_runs = []
    for run in runs:
        material = Material(
            dataclasses.replace(
                inputs, run_dir=str(run.run_dir), n_examples=N_THUMBNAILS
            )
        )
        features = material.predictions(run.config.audio.clip_secs).voice_features
        faces_of_runs.append(list(material.faces(features).images))
    return faces_of_runs


def _draw(runs: Sequence[Run], thumbnails: list[list[np.ndarray]]) -> bytes:
    heights = [_CURVES_INCHES, *[_THUMBNAILS_INCHES] * len(thumbnails)]
    figure = plots.figure(9, sum(heights))
    curves, *lines = plots.stacked(figure, heights)
    labels = unique_labels(runs)
    _draw_curves(curves.subplots(), runs, labels)
    for line, label, faces in zip(lines, labels, thumbnails):
        line.suptitle(label, fontsize=8)
        for axis, face in zip(line.subplots(1, len(faces), squeeze=False)[0], faces):
            axis.imshow(face)
            axis.set_axis_off()
    return plots.to_png(figure)


def _draw_curves(axis: Any, runs: Sequence[Run], labels: Sequence[str]) -> None:
    for index, (run, label) in enumerate(zip(runs, labels)):
        color = f"C{index}"
        train = np.reshape(run.train, [-1, 2])
        validation = np.reshape(run.validation, [-1, 2])
        if len(train):
            axis.plot(*train.T, "--.", color=color, alpha=0.6, markersize=3)
        # With BN the first validations are those of its unfinished moving averages:
        # docs/decisions/batch-norm-settings.md.
        # A run without validation still gets its line in the legend.
        axis.plot(*validation.T, "-o", color=color, markersize=3, label=label)
    axis.set(xlabel="Iterations", ylabel="Loss")
    axis.legend(fontsize=8)


EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run, takes=(Runs, Inputs))


def main(runs: Runs, options: ConvergenceOptions) -> None:
    """Reads the logs, prints and writes."""
    inputs = Inputs(
        data_dir=options.data_dir, split=options.split, output_dir=options.output_dir
    )
    results.finish(run(runs, inputs), options.output_dir)


if __name__ == "__main__":
    run_command(main, Runs, ConvergenceOptions)
