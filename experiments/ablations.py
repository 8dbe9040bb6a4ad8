"""Runs that differ in one choice, measured alike.

    python -m experiments.ablations --output_dir=results \\
        --run_dirs=runs/paper,runs/same_padding,runs/no_distillation

Each run is trained with one of configs/ablation_*.flags: padding, batch normalization,
duration, each loss term, the L1 between features alone, the reduction of the losses,
the learning rate's decay; or on records of configs/records_post_relu.flags, features
after fc7's ReLU. Each line names the options in which a run departs from the paper's
config.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import ClipsAndSecs, Inputs, Runs
from experiments.lib.material import Material
from experiments.lib.results import NotApplicable, Result, Row
from experiments.lib.runs import measure_run
from speech2face import paper
from speech2face.artifacts.run_folder import data_dir_of
from speech2face.config import VoiceTrainingConfig
from speech2face.options import diff, run_command

NAME = "ablations"
# Of the measures, the one that compares between galleries and features.
_DRAWN_MEASURE = "R@10 %, cos"


def describe(config: VoiceTrainingConfig) -> str:
    """Names how a config departs from the paper's, apart from its duration."""
    papers = VoiceTrainingConfig()
    # Batch, duration and precision depend on the machine, not on the choice.
    config = dataclasses.replace(config, loop=papers.loop)
    return diff(papers, config) or "the paper's config"


def run(runs: Runs, inputs: Inputs, clip_secs: float = paper.CLIP_SECS) -> Result:
    """Measures every run.

    Args:
      runs: the run folders.
      inputs: the data set; without one each run is measured on that of its training,
        which has its own features where the recognizer is what differs.
      clip_secs: how much of each clip the models hear.
    """
    if not runs.run_dirs:
        raise NotApplicable("no run folders; give --run_dirs")
    rows = [
        row for run_dir in runs.run_dirs for row in _rows_of(run_dir, inputs, clip_secs)
    ]
    return Result(
        name=NAME,
        title="Ablations",
        shows="Runs that differ in one choice, measured alike. The paper compares "
        "durations and batch normalization (Sec. 4.2), and says that the further loss "
        "terms stabilize training (Sec. 3).",
        rows=rows,
        picture=_draw(rows),
        notes=[
            "each run: configs/ablation_*.flags; features after the ReLU of fc7: "
            "records, decoder and run with configs/records_post_relu.flags",
            "angles compare only between runs of the same features",
        ],
        provenance={"data": f"{inputs.data_dir or 'of each training'}, {inputs.split}"},
    )


def _rows_of(run_dir: str, inputs: Inputs, clip_secs: float) -> list[Row]:
    data_dir = inputs.data_dir or data_dir_of(run_dir)
    material = Material(dataclasses.replace(inputs, run_dir=run_dir, data_dir=data_dir))
    recognizer = material.model.decoder.recognizer
    keys = {
        "run": pathlib.Path(run_dir).name,
        "departs in": describe(material.model.config),
        # Angles compare only within one recognizer, and the checksum tells two apart.
        "features": f"{recognizer.name} {recognizer.checksum[:8]}",
    }
    return [
        dataclasses.replace(row, keys={**keys, **row.keys})
        for row in measure_run(material, clip_secs)
    ]


def _draw(rows: Sequence[Row]) -> bytes:
    drawn = [row for row in rows if row.keys["measure"] == _DRAWN_MEASURE]
    figure = plots.figure(8, 1.2 + 0.45 * len(drawn))
    axis: Any = figure.subplots()
    for place, row in enumerate(drawn):
        axis.plot(row.ours, -place, "o", color=plots.OURS)  # the first run on top
        if row.ci95:
            axis.plot(row.ci95, [-place] * 2, color=plots.OURS)
    # Chance is the same for every run of one gallery: the first run's stands for all.
    axis.axvline(drawn[0].chance, color=plots.CHANCE, linestyle=":", label="chance")
    places = [-place for place in range(len(drawn))]
    axis.set_yticks(places, [row.keys["run"] for row in drawn])
    axis.set_xlabel("true face within the nearest 10 % of the gallery, %")
    axis.legend()
    return plots.to_png(figure)


EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run, takes=(Runs, Inputs))


def main(runs: Runs, clips: ClipsAndSecs) -> None:
    """Measures every run, prints and writes."""
    results.finish(run(runs, clips.inputs(), clips.clip_secs), clips.output_dir)


if __name__ == "__main__":
    run_command(main, Runs, ClipsAndSecs)
