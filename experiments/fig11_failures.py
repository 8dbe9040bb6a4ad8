"""Fig. 11: faces of another gender, ethnicity or age than the speaker's.

    python -m experiments.fig11_failures --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results --provider=labels

The paper shows typical mismatches of each kind. Here each kind has its frequency. The
pictures are not chosen: they are ranked (age) or the first of the sample.
"""

from collections.abc import Sequence

import numpy as np

from experiments.lib import plots, results
from experiments.lib.attributes import Attributes
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, Provider
from experiments.lib.material import Material
from experiments.lib.readings import Readings, provider_note, read_attributes
from experiments.lib.results import NotApplicable, Result, Row
from speech2face.options import run_command

NAME = "fig11_failures"
N_FAILURES = 4  # speakers in the line of each kind


def compute_mismatches(readings: Readings) -> dict[str, list[int]]:
    """Finds the clips whose S2F is of another class than the original face.

    Returns:
      Indices of the clips, by kind of mismatch: of age, the largest differences first;
      of the other kinds, in the order of the clips.
    """
    mismatches: dict[str, list[int]] = {}
    for attribute in ("gender", "ethnicity"):
        clips, true, predicted = readings.pairs(attribute, "s2f")
        mismatches[f"{attribute} mismatch"] = clips[true != predicted].tolist()
    clips, true, predicted = readings.pairs("age", "s2f")
    years_older = np.array(
        [readings.s2f[i].age - readings.original[i].age for i in clips], float
    )
    is_wrong = true != predicted  # another decade
    # Stable: clips of equal differences keep their order.
    order = np.argsort(years_older, kind="stable")
    mismatches["age mismatch, old to young"] = [
        int(clips[k]) for k in order if is_wrong[k] and years_older[k] < 0
    ]
    mismatches["age mismatch, young to old"] = [
        int(clips[k]) for k in order[::-1] if is_wrong[k] and years_older[k] > 0
    ]
    return mismatches


def run(material: Material, provider: Provider) -> Result:
    """Shows mismatches of each kind, and how common each is."""
    readings = read_attributes(material, provider)
    predictions = material.predictions()
    rows, sheet, captions, headings = [], [], [], []
    for kind, clips in compute_mismatches(readings).items():
        attribute = kind.split()[0]
        n_known = len(readings.pairs(attribute, "s2f")[0])
        if n_known:
            share = 100.0 * len(clips) / n_known
            rows.append(Row({"failure": f"{kind}, %"}, ours=share, n=n_known))
        # A speaker with many clips would fill the line alone.
        shown = first_of_each_speaker(clips, predictions.speaker_ids)[:N_FAILURES]
        if shown:
            faces = material.faces(predictions.voice_features[shown]).images
            pairs = zip(material.photographs(shown), faces)
            sheet.append([image for pair in pairs for image in pair])
            captions.append(_captions(readings, shown, attribute))
            headings.append(f"{kind}: {len(clips):,} of {n_known:,} clips")
    if not sheet:
        raise NotApplicable("no mismatch, or no attribute to compare")
    return Result(
        name=NAME,
        title="Fig. 11. Failures",
        shows="True faces and S2F of another gender, ethnicity or age. The paper shows "
        "typical ones; these are the largest differences of age, and of the others the "
        "first of the sample.",
        rows=rows,
        picture=plots.face_sheet(sheet, captions=captions, headings=headings),
        notes=[provider_note(provider)],
        provenance=material.provenance(),
    )


def first_of_each_speaker(
    clips: Sequence[int], speaker_ids: Sequence[str]
) -> list[int]:
    """The first of `clips` of each speaker, in order."""
    first: dict[str, int] = {}
    for clip in clips:
        first.setdefault(speaker_ids[clip], clip)
    return list(first.values())


def _captions(readings: Readings, clips: Sequence[int], attribute: str) -> list[str]:
    """Attributes of the true face and of S2F, per clip."""
    return [
        f"{side}: {_describe(face, attribute)}"
        for i in clips
        for side, face in (("true", readings.original[i]), ("S2F", readings.s2f[i]))
    ]


def _describe(face: Attributes, attribute: str) -> str:
    if attribute == "age" and face.age is not None:
        return f"{face.age:.0f} years"
    return str(face.class_of(attribute))


EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run, takes=(Material, Provider))


def main(inputs: Inputs, provider: Provider) -> None:
    """Measures, prints and writes."""
    results.finish(run(Material(inputs), provider), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, Provider)
