"""Fig. 12: cartoons of the faces from voices.

    python -m experiments.fig12_cartoon --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper feeds its faces to a phone's keyboard app, which draws a personal emoji. That
app is closed. Here OpenCV draws the cartoon (flat colors, dark lines) of S2F, of F2F
and of the true face.
"""

import dataclasses

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, n_shown_option
from experiments.lib.material import Material
from experiments.lib.results import Result
from experiments.lib.rows import face_sheet_notes
from speech2face.options import Options, run_command
from speech2face.web.cartoon import cartoonize

NAME = "fig12_cartoon"
_TITLES = ["true face", "cartoon", "F2F cartoon", "S2F", "S2F cartoon"]


@dataclasses.dataclass(frozen=True)
class CartoonOptions(Options):
    """Number of clips to show."""

    n_shown: int = n_shown_option(6)


def run(material: Material, n_shown: int = 6) -> Result:
    """Draws the true face, S2F, and the cartoons of both and of F2F."""
    predictions = material.predictions()
    indices = material.shown(n_shown)
    photographs = material.photographs(indices)
    f2f = material.faces(predictions.face_features[indices]).images
    s2f = material.faces(predictions.voice_features[indices]).images
    # F2F as a cartoon beside that of the true face: what the decoder alone changes.
    sheet = [
        [true, cartoonize(true), cartoonize(from_face), voice, cartoonize(voice)]
        for true, from_face, voice in zip(photographs, f2f, s2f)
    ]
    return Result(
        name=NAME,
        title="Fig. 12. Speech to cartoon",
        shows="The true face, its cartoon, the cartoon of F2F, S2F, and the cartoon of "
        "S2F.",
        picture=plots.face_sheet(sheet, _TITLES),
        notes=[
            "the paper uses a closed app of a phone that draws a personal emoji from a "
            "picture; ours is a stylization of the picture itself",
            *face_sheet_notes(drawn=False),
        ],
        provenance=material.provenance(),
    )


EXPERIMENT = Experiment(NAME, Section.CARTOON, run)


def main(inputs: Inputs, options: CartoonOptions) -> None:
    """Draws and writes."""
    results.finish(run(Material(inputs), options.n_shown), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, CartoonOptions)
