"""Fig. 7: the five faces nearest to a voice.

    python -m experiments.fig07_retrieval_examples --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows examples from 5,000 faces, the last one a miss. Here they are a seeded
draw. The true face is framed where it is among the five, and its rank is given. Another
picture of the same person has a frame of another color.
"""

import dataclasses

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, n_shown_option
from experiments.lib.material import Material
from experiments.lib.results import Result
from experiments.lib.retrieved_faces import compute_nearest_faces
from experiments.lib.rows import face_sheet_notes
from speech2face.options import Options, run_command

NAME = "fig07_retrieval_examples"
N_RETRIEVED = 5  # as in the paper
_FRAMES = {"the true face": (0, 150, 60), "same person": (30, 100, 220)}


@dataclasses.dataclass(frozen=True)
class RetrievalOptions(Options):
    """Number of clips to show."""

    n_shown: int = n_shown_option(6)


def run(material: Material, n_shown: int = 6) -> Result:
    """Draws S2F, the true face and the five nearest faces, the true one framed."""
    predictions = material.predictions()
    indices = material.shown(n_shown)
    retrieved = compute_nearest_faces(predictions, indices, N_RETRIEVED)
    s2f = material.faces(predictions.voice_features[indices]).images
    true_faces = material.photographs(indices)
    # One call for all: each call reads the records from their start.
    photographs = iter(material.photographs(retrieved.clips.ravel().tolist()))
    sheet, captions = [], []
    for voice, true_face, hits, same, rank in zip(
        s2f,
        true_faces,
        retrieved.is_true_face,
        retrieved.is_same_person,
        retrieved.true_rank,
    ):
        marks = [_mark(*pair) for pair in zip(hits, same)]
        # `marks` first: zip then takes no photograph of the next voice.
        shown = [
            plots.framed(photograph, _FRAMES[mark]) if mark else photograph
            for mark, photograph in zip(marks, photographs)
        ]
        sheet.append([voice, true_face, *shown])
        captions.append(["", f"rank {rank:.0f} of {retrieved.n_faces:,}", *marks])
    titles = [
        "S2F",
        "true face",
        *(str(k + 1) for k in range(retrieved.clips.shape[1])),
    ]
    return Result(
        name=NAME,
        title="Fig. 7. Retrieval examples",
        shows="The faces nearest to the feature predicted from speech, by cosine; the "
        "true face has a green frame where it is among them, another picture of the "
        "same person a blue one.",
        picture=plots.face_sheet(sheet, titles, captions),
        notes=face_sheet_notes(),
        provenance=material.provenance(),
    )


def _mark(is_true_face: bool, is_same_person: bool) -> str:
    """Returns the caption of a retrieved face: a key of `_FRAMES`, or ''."""
    if is_true_face:
        return "the true face"
    return "same person" if is_same_person else ""


EXPERIMENT = Experiment(NAME, Section.FACIAL_FEATURES, run)


def main(inputs: Inputs, options: RetrievalOptions) -> None:
    """Searches, draws and writes."""
    results.finish(run(Material(inputs), options.n_shown), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, RetrievalOptions)
