"""The table of the supplementary sheet of face decoders, row by row."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.lib import picture_sets
from experiments.lib.attributes import Attributes
from experiments.lib.picture_sets import Retrieval, SetReading
from experiments.lib.results import Row, interval

S2F_FEATURES = "our S2F, features"  # not drawn, hence not read back

# A set and the mean that its features are centered on: of the training faces, or of
# the set itself, since the mean of another maker's pictures is another one.
SetAndCenter = tuple[str, str]
TRAINING, OWN = "training", "own"

_MEASURES = {
    "cosine": "cosine to the true face",
    "recall_1": f"recall@1 of {picture_sets.GALLERY}",
    "recall_10": f"recall@10 of {picture_sets.GALLERY}",
    "rank_percent": "median rank, %",
}


def retrieval_rows(
    measured: dict[SetAndCenter, Retrieval], speakers: Sequence[str]
) -> list[Row]:
    """Rows of the distance between the pictures of each set and the true faces."""
    return [
        row
        for (label, center), retrieval in measured.items()
        for row in _rows_of(retrieval, speakers, label, center)
    ]


def _rows_of(
    retrieval: Retrieval,
    speakers: Sequence[str],
    label: str,
    center: str,
    group: np.ndarray | None = None,
    group_name: str = "",
) -> list[Row]:
    """One row for each measure, of all clips or of those with the indices `group`."""
    group = np.arange(len(retrieval.cosine)) if group is None else group
    speakers_of_group = [speakers[i] for i in group]
    rows = []
    for field, measure in _MEASURES.items():
        values = getattr(retrieval, field)[group]
        statistic = np.median if field == "rank_percent" else np.mean
        row = _row(label, center, measure + group_name, float(statistic(values)))
        ci95 = interval(values, speakers_of_group, statistic)
        rows.append(dataclasses.replace(row, ci95=ci95, n=len(values)))
    return rows


def variance_rows(readings: dict[str, SetReading]) -> list[Row]:
    """Rows of the variance within each set of faces: 0 if all faces are the same."""
    reference = readings[picture_sets.F2F].variance
    measure = "variance about the mean face, of our F2F's"
    return [
        _row(label, "-", measure, reading.variance / reference)
        for label, reading in readings.items()
    ]


def attribute_rows(
    true: Sequence[Attributes],
    readings: dict[str, SetReading],
    voices: Retrieval,
    speakers: Sequence[str],
) -> list[Row]:
    """Compares by gender and age, as an offline classifier reads the photographs.

    The rows say whether it sees the same gender in the pictures, and how near the voice
    features come to the faces of each gender and of each decade of age.

    Args:
      true: the attributes of the n photographs.
      readings: what was read of each set of pictures, by label.
      voices: what was read of the faces drawn from voice features.
      speakers: n ids, for the intervals.
    """
    rows = []
    for label, reading in readings.items():
        rows += _gender_rows(label, true, reading.attributes, speakers)
    for name in ("gender", "age"):
        classes = np.array([face.class_of(name) or "" for face in true])
        for value in sorted(set(classes) - {""}):
            group, group_name = np.flatnonzero(classes == value), f", {name} {value}"
            rows += _rows_of(
                voices, speakers, S2F_FEATURES, TRAINING, group, group_name
            )
    return rows


def _gender_rows(
    label: str,
    true: Sequence[Attributes],
    seen: Sequence[Attributes],
    speakers: Sequence[str],
) -> list[Row]:
    """Rows of the agreement in gender with the photographs, overall and by gender."""
    pairs = [
        (face.gender, picture.gender, speaker)
        for face, picture, speaker in zip(true, seen, speakers)
        if face.gender is not None and picture.gender is not None
    ]
    rows = []
    for gender in ("", *sorted({true_gender for true_gender, _, _ in pairs})):
        group = [pair for pair in pairs if gender in ("", pair[0])]
        if group:
            same = np.array([one == other for one, other, _ in group], float)
            of_gender = f", {gender}" if gender else ""
            row = _row(
                label, "-", f"gender as in the photograph{of_gender}", same.mean()
            )
            ci95 = interval(same, [speaker for _, _, speaker in group])
            rows.append(dataclasses.replace(row, ci95=ci95, n=len(same)))
    return rows


def _row(label: str, center: str, measure: str, value: float) -> Row:
    keys = {"pictures": label, "centred on the mean of": center, "measure": measure}
    return Row(keys, ours=float(value))
