"""Supplementary: a loss on decoded pictures instead of features.

    python -m experiments.supp_pixel_loss --data_dir=data/avspeech \\
        --output_dir=results --run_dirs=runs/paper,runs/pixel_loss

The second run is of configs/ablation_pixel_loss.flags. The paper says that regressing
from speech to pixels does not work. Here the target is the face decoder's picture of
the true face (records hold no frontal photograph), so that only the space of the loss
differs. The table has the measures of the ablations.
"""

import dataclasses
import pathlib

import numpy as np

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import ClipsAndSecs, Inputs, Runs
from experiments.lib.material import Material
from experiments.lib.results import NotApplicable, Result, Row
from experiments.lib.runs import measure_run
from speech2face import paper
from speech2face.artifacts.run_folder import read_config
from speech2face.config import VoiceTrainingConfig
from speech2face.metrics import similarity
from speech2face.options import required, run_command

NAME = "supp_pixel_loss"
PIXELS, FEATURES = "image loss", "feature losses"
N_SHOWN = 6  # voices, the same for every run


@dataclasses.dataclass(frozen=True)
class SameClips(ClipsAndSecs):
    """The clips that all runs are measured on."""

    data_dir: str = required("Voice data set.", exists="folder")


def compute_spread(features: np.ndarray) -> Row:
    """The mean angle between the voice features [n, d] of neighboring clips."""
    # One pair for each clip: all pairs of 5,000 would take twelve million angles.
    next_clips = np.roll(features, 1, axis=0)
    angles = similarity.feature_distances(next_clips, features)["cos_deg"]
    measure = "angle between two voices (deg)"
    return Row({"measure": measure}, ours=float(angles.mean()), n=len(features))


def run(runs: Runs, inputs: Inputs, clip_secs: float = paper.CLIP_SECS) -> Result:
    """Compares runs with feature losses and runs with an image loss on the same voices.

    Args:
      runs: the run folders.
      inputs: the data set; its run_dir is not used.
      clip_secs: how much of each clip the models hear.

    Raises:
      NotApplicable: no run has the image loss, or all have it.
    """
    losses = [_loss_of(run_dir) for run_dir in runs.run_dirs]
    if len(set(losses)) < 2:
        raise NotApplicable(
            "give --run_dirs with a run of configs/ablation_pixel_loss.flags and one "
            "without the image loss"
        )
    rows: list[Row] = []
    columns: list[tuple[str, list[np.ndarray]]] = []
    for run_dir, loss in zip(runs.run_dirs, losses):
        material = Material(dataclasses.replace(inputs, run_dir=run_dir))
        rows += _rows_of(material, loss, clip_secs)
        columns += _columns_of(material, loss, clip_secs, with_true=not columns)
    titles, faces = zip(*columns)
    return Result(
        name=NAME,
        title="Supplementary. A loss in image space",
        shows="Faces of the same voices by runs that differ in the loss: Eq. 1 on "
        "features, or the difference of the decoded pictures. Sec. 3 says that a "
        "straightforward approach of regressing from speech to pixels does not work.",
        rows=rows,
        picture=plots.face_sheet(list(zip(*faces)), titles),
        notes=[
            "the image loss is the mean absolute difference of the decoder's pictures "
            "of v_s and of v_f; its gradient passes through the frozen decoder",
            "a small angle between two voices is a model that draws one face",
        ],
        provenance={"data": f"{inputs.data_dir}, {inputs.split}"},
    )


def _loss_of(run_dir: str) -> str:
    config = read_config(run_dir, VoiceTrainingConfig)
    return PIXELS if config.loss.pixel_weight else FEATURES


def _rows_of(material: Material, loss: str, clip_secs: float) -> list[Row]:
    keys = {"run": pathlib.Path(material.inputs.run_dir).name, "loss": loss}
    spread = compute_spread(material.predictions(clip_secs).voice_features)
    return [
        dataclasses.replace(row, keys={**keys, **row.keys})
        for row in [*measure_run(material, clip_secs), spread]
    ]


def _columns_of(
    material: Material, loss: str, clip_secs: float, with_true: bool
) -> list[tuple[str, list[np.ndarray]]]:
    """The columns of one run, title and faces; with the true faces for the first."""
    predictions, indices = material.predictions(clip_secs), material.shown(N_SHOWN)
    s2f = material.faces(predictions.voice_features[indices]).images
    columns = [(f"S2F, {loss}", list(s2f))]
    if with_true:
        f2f = material.faces(predictions.face_features[indices]).images
        columns[:0] = [
            ("true face", material.photographs(indices)),
            ("F2F", list(f2f)),
        ]
    return columns


EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run, takes=(Runs, Inputs))


def main(runs: Runs, clips: SameClips) -> None:
    """Measures the runs, prints and writes."""
    results.finish(run(runs, clips.inputs(), clips.clip_secs), clips.output_dir)


if __name__ == "__main__":
    run_command(main, Runs, SameClips)
