"""Fig. 3: true face, F2F and S2F side by side.

    python -m experiments.fig03_qualitative --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper highlights successful results. Here the clips are a seeded draw, one of each
speaker, or those that --clip_ids names.
"""

import dataclasses
from collections.abc import Sequence

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, n_shown_option
from experiments.lib.material import Material
from experiments.lib.results import Result
from experiments.lib.rows import face_sheet_notes
from speech2face.errors import UserError
from speech2face.options import Options, option, run_command

NAME = "fig03_qualitative"
_TITLES = ["true face", "F2F: from the face", "S2F: from the voice"]


@dataclasses.dataclass(frozen=True)
class QualitativeOptions(Options):
    """Clips to show."""

    n_shown: int = n_shown_option(12)
    clip_ids: tuple[str, ...] = option((), "Show these clips instead.")


def run(material: Material, n_shown: int = 12, clip_ids: Sequence[str] = ()) -> Result:
    """Draws the true face, F2F and S2F of random clips, or of those named.

    Args:
      material: model and clips.
      n_shown: how many random clips.
      clip_ids: clips to show instead.

    Raises:
      UserError: a named clip is not among the measured ones.
    """
    predictions = material.predictions()
    if clip_ids:
        indices = _indices_of(clip_ids, predictions.clip_ids)
    else:
        # One clip a speaker, drawn by seed, so that nobody picks the good ones.
        indices = material.shown(n_shown)
    triplets = list(
        zip(
            material.photographs(indices),
            material.faces(predictions.face_features[indices]).images,
            material.faces(predictions.voice_features[indices]).images,
        )
    )
    # Two clips in each line, as in the paper.
    lines = [
        [face for triplet in triplets[i : i + 2] for face in triplet]
        for i in range(0, len(triplets), 2)
    ]
    return Result(
        name=NAME,
        title="Fig. 3. Qualitative results",
        shows="The true face, what the face decoder makes of its feature (F2F: the "
        "best that S2F could be), and what the model makes of the voice (S2F). The "
        "paper highlights successful results; these are random.",
        picture=plots.face_sheet(lines, _TITLES * min(2, len(triplets))),
        notes=face_sheet_notes(drawn=not clip_ids),
        provenance=material.provenance(),
    )


def _indices_of(clip_ids: Sequence[str], measured_ids: Sequence[str]) -> list[int]:
    position = {clip_id: index for index, clip_id in enumerate(measured_ids)}
    missing = [clip_id for clip_id in clip_ids if clip_id not in position]
    if missing:
        raise UserError(f"no clip {', '.join(missing)} among those measured")
    return [position[clip_id] for clip_id in clip_ids]


EXPERIMENT = Experiment(NAME, Section.RESULTS, run)


def main(inputs: Inputs, options: QualitativeOptions) -> None:
    """Draws the sheet and writes it."""
    result = run(Material(inputs), options.n_shown, options.clip_ids)
    results.finish(result, inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, QualitativeOptions)
