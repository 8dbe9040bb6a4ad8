"""Fig. 6: S2F from 3 and from 6 seconds of the same clips.

    python -m experiments.fig06_duration --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows that 6 seconds capture the face better, with one model. Here the table
adds the angle to the true feature, and the gain of each clip with its interval.
"""

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, n_shown_option
from experiments.lib.material import Material
from experiments.lib.results import Result
from experiments.lib.rows import face_sheet_notes, mean_angle_row
from speech2face.metrics import similarity
from speech2face.options import Options, run_command

if TYPE_CHECKING:
    from speech2face.inference.evaluation import Predictions

NAME = "fig06_duration"
SHORT_SECS, LONG_SECS = 3, 6  # the paper's


@dataclasses.dataclass(frozen=True)
class DurationOptions(Options):
    """Number of clips to show."""

    n_shown: int = n_shown_option(8)


def compute_angles(predictions: "Mapping[int, Predictions]") -> dict[int, np.ndarray]:
    """Angles [n] in degrees to the true feature, by seconds of audio."""
    return {
        secs: similarity.feature_distances(p.face_features, p.voice_features)["cos_deg"]
        for secs, p in predictions.items()
    }


def run(material: Material, n_shown: int = 8) -> Result:
    """Compares S2F from the first 3 and 6 seconds of the same clips."""
    # The first seconds of each clip, which is repeated if it is shorter:
    # docs/decisions/short-and-long-clips.md.
    predictions = {s: material.predictions(s) for s in (SHORT_SECS, LONG_SECS)}
    angles = compute_angles(predictions)
    speakers = predictions[LONG_SECS].speaker_ids
    rows = [mean_angle_row(f"{s} s", angle, speakers) for s, angle in angles.items()]
    gain = angles[SHORT_SECS] - angles[LONG_SECS]
    rows.append(mean_angle_row("3 s minus 6 s, same clip", gain, speakers))
    indices = material.shown(n_shown)
    sheet, captions = [material.photographs(indices)], [[""] * len(indices)]
    for secs, of_duration in predictions.items():
        faces = material.faces(of_duration.voice_features[indices])
        sheet.append(list(faces.images))
        captions.append([f"{secs} s: {angles[secs][i]:.0f} deg" for i in indices])
    return Result(
        name=NAME,
        title="Fig. 6. The effect of the duration of the audio",
        shows="True faces (top), S2F from 3 seconds (middle) and from 6 (bottom), by "
        "the same model. The paper finds more of the person with 6 seconds.",
        rows=rows,
        picture=plots.face_sheet(sheet, captions=captions),
        notes=[
            "angle to the true feature, in degrees; smaller is nearer",
            *face_sheet_notes(),
        ],
        provenance=material.provenance(),
    )


EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run)


def main(inputs: Inputs, options: DurationOptions) -> None:
    """Measures, prints and writes."""
    results.finish(run(Material(inputs), options.n_shown), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, DurationOptions)
