"""Fig. 10: one speaker in two languages.

    python -m experiments.fig10_language --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper shows a speaker whose face changes with the language and one whose does not.
Here: all speakers whose clips differ in the label `language` (or --compared_label),
the angle between their features, and that between clips of the same language.
"""

import collections
import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.lib import plots, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, n_shown_option
from experiments.lib.material import Material
from experiments.lib.results import NotApplicable, Result
from experiments.lib.rows import face_sheet_notes, mean_angle_row
from speech2face.metrics import similarity
from speech2face.options import Options, option, run_command

NAME = "fig10_language"

Pair = tuple[int, int]  # two clips of one speaker
Labels = Sequence[dict[str, str]]  # of each clip


@dataclasses.dataclass(frozen=True)
class LanguageOptions(Options):
    """Label that differs between the clips of a speaker."""

    compared_label: str = option("language", "Label whose values are compared.")
    n_shown: int = n_shown_option(6, "speakers")


def compute_pairs_of_two_values(
    speaker_ids: Sequence[str], labels: Labels, label: str
) -> list[Pair]:
    """Finds two clips in different languages for each speaker who has them.

    Args:
      speaker_ids: speaker of each of the n clips.
      labels: labels of each of the n clips.
      label: 'language', or the label to compare instead.

    Returns:
      Indices of the clips; within a pair, in the alphabetical order of the values.

    Raises:
      NotApplicable: no clip has the label, or no speaker has two values of it.
    """
    first_clip: dict[str, dict[str, int]] = collections.defaultdict(dict)
    for index, (speaker, of_clip) in enumerate(zip(speaker_ids, labels)):
        if label in of_clip:
            first_clip[speaker].setdefault(of_clip[label], index)
    if not first_clip:
        raise NotApplicable(f"the clips have no label {label!r}")
    pairs = []
    for clips in first_clip.values():
        if len(clips) > 1:
            # One pair a speaker, so that no speaker counts more than another.
            one, two, *_ = sorted(clips)
            pairs.append((clips[one], clips[two]))
    if not pairs:
        raise NotApplicable(f"no speaker has clips of two values of {label!r}")
    return pairs


def compute_pairs_of_one_value(
    speaker_ids: Sequence[str], labels: Labels, label: str
) -> list[Pair]:
    """Finds two clips in the same language for each speaker and language.

    Args:
      speaker_ids: speaker of each of the n clips.
      labels: labels of each of the n clips.
      label: 'language', or the label to compare instead.
    """
    groups: dict[tuple[str, str], list[int]] = collections.defaultdict(list)
    for index, (speaker, of_clip) in enumerate(zip(speaker_ids, labels)):
        if label in of_clip:
            groups[speaker, of_clip[label]].append(index)
    return [(clips[0], clips[1]) for clips in groups.values() if len(clips) > 1]


def compute_angles(features: np.ndarray, pairs: Sequence[Pair]) -> np.ndarray:
    """Angles [n_pairs] in degrees between the features [n, d] of two clips each."""
    one, two = np.transpose(pairs)
    return similarity.feature_distances(features[one], features[two])["cos_deg"]


def run(material: Material, label: str = "language", n_shown: int = 6) -> Result:
    """Compares S2F of one speaker in two languages.

    Args:
      material: model and clips.
      label: whose values are compared.
      n_shown: how many random speakers to show.
    """
    predictions = material.predictions()
    features, speakers = predictions.voice_features, predictions.speaker_ids
    pairs = compute_pairs_of_two_values(speakers, predictions.labels, label)
    angles = compute_angles(features, pairs)
    rows = [
        mean_angle_row(
            f"one speaker, two values of {label}",
            angles,
            [speakers[one] for one, _ in pairs],
        )
    ]
    # The control: how far apart two clips of one speaker are in the same language.
    controls = compute_pairs_of_one_value(speakers, predictions.labels, label)
    if controls:
        rows.append(
            mean_angle_row(
                f"one speaker, one value of {label}",
                compute_angles(features, controls),
                [speakers[one] for one, _ in controls],
            )
        )
    order = np.random.default_rng(material.inputs.sample_seed).permutation(len(pairs))
    sheet, captions = [], []
    for place in order[:n_shown]:
        one, two = pairs[place]
        faces = material.faces(features[[one, two]]).images
        sheet.append([material.photographs([one])[0], *faces])
        values = [predictions.labels[index][label] for index in (one, two)]
        captions.append([f"{angles[place]:.0f} deg apart", *values])
    return Result(
        name=NAME,
        title=f"Fig. 10. The effect of {label}",
        shows="The same speaker in two languages. The paper shows one whose face "
        "changes with the language and one whose does not.",
        rows=rows,
        picture=plots.face_sheet(sheet, ["true face", "S2F", "S2F"], captions),
        notes=["angle between predicted features", *face_sheet_notes()],
        provenance=material.provenance(),
    )


EXPERIMENT = Experiment(NAME, Section.ABLATIONS, run)


def main(inputs: Inputs, options: LanguageOptions) -> None:
    """Measures, prints and writes."""
    result = run(Material(inputs), options.compared_label, options.n_shown)
    results.finish(result, inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, LanguageOptions)
