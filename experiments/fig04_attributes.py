"""Fig. 4: gender, age and ethnicity of S2F against those of the original face.

    python -m experiments.fig04_attributes --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results --provider=labels

The paper shows row-normalized confusion matrices by Face++, of S2F and, in the
supplementary, of F2F, and how AVSpeech is distributed. Here each is beside ours: three
providers (`experiments.lib.attributes`); counts; balanced agreement and Cohen's kappa
beside the agreement; chance; and the distribution of the measured clips. Ethnicity is
used only in aggregate, and only in the terms of the data set or the service.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.lib import plots, published, results
from experiments.lib.attributes import NAMES
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, Provider
from experiments.lib.material import Material
from experiments.lib.readings import (
    Readings,
    class_order,
    provider_note,
    read_attributes,
)
from experiments.lib.results import (
    NotApplicable,
    Number,
    Result,
    Row,
    interval,
    interval_of_sums,
)
from speech2face.metrics import statistics
from speech2face.options import run_command

NAME = "fig04_attributes"
SIDES = ("s2f", "f2f")
PAPERS_F2F = "paper's F2F"


class Agreement(NamedTuple):
    """Agreement of one side with the original faces in one attribute.

    Attributes:
      attribute: 'gender', 'age' or 'ethnicity'.
      side: 's2f' or 'f2f'.
      measures: what `compute_agreement` returns.
      clips: [k] indices of the clips in which both sides have a class.
      true: [k] classes of the original faces.
      predicted: [k] classes of the other side.
    """

    attribute: str
    side: str
    measures: dict[str, Any]
    clips: np.ndarray
    true: np.ndarray
    predicted: np.ndarray


def compute_agreement(
    true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> dict[str, Any]:
    """Measures the agreement of two labelings.

    Args:
      true: [n] classes; the rows of the matrix.
      predicted: [n] classes; the columns.
      classes: all classes, in the order of rows and columns.

    Returns:
      What `statistics.confusion` returns, with 'balanced_accuracy' (the mean recall of
      the classes that occur), Cohen's 'kappa' (None where it is not defined), and
      'majority', the accuracy of always naming the commonest true class.
    """
    counts = np.unique(np.asarray(true), return_counts=True)[1]
    table = _tables(np.asarray(true), np.asarray(predicted)).sum(axis=0)
    kappa = _kappa(table)
    return {
        **statistics.confusion(list(true), list(predicted), list(classes)),
        "balanced_accuracy": _balanced_accuracy(table),
        "kappa": None if np.isnan(kappa) else kappa,
        "majority": float(counts.max() / counts.sum()),
    }


def compute_agreements(readings: Readings) -> list[Agreement]:
    """Measures S2F, then F2F, in every attribute that clips have on both sides."""
    agreements = []
    for attribute in NAMES:
        for side in SIDES:
            clips, true, predicted = readings.pairs(attribute, side)
            if len(clips):
                classes = class_order(attribute, [*true, *predicted])
                measures = compute_agreement(true.tolist(), predicted.tolist(), classes)
                agreements.append(
                    Agreement(attribute, side, measures, clips, true, predicted)
                )
    return agreements


def run(material: Material, provider: Provider) -> Result:
    """Compares the attributes of the original face with those of S2F and F2F."""
    readings = read_attributes(material, provider)
    agreements = compute_agreements(readings)
    if not agreements:
        raise NotApplicable(
            f"--provider={provider.provider} finds no attribute of these faces"
        )
    speakers = material.predictions().speaker_ids
    return Result(
        name=NAME,
        title="Fig. 4. Facial attributes",
        shows="Do the original face and its reconstruction from speech (S2F) have the "
        "same gender, decade of age, ethnicity? Rows of the matrices: the original; "
        "each row adds up to 1.",
        rows=render_rows(agreements, speakers)
        + render_label_rows(readings, speakers)
        + render_shares(readings),
        picture=_draw(agreements),
        notes=[
            provider_note(provider),
            "chance: for agreement, always naming the commonest class",
            f"the paper: {published.FIG_4_N:,} faces, by Face++ and in its terms; its "
            "agreement is computed from its matrices and its counts of each class. It "
            "has an agreement of 7 classes of age: of 80 and more it gives none",
            "age: the paper's youngest class is printed '<10'; it holds all under 20",
        ],
        provenance=material.provenance(),
    )


def render_rows(
    agreements: Sequence[Agreement], speaker_ids: Sequence[str]
) -> list[Row]:
    """Makes three rows for each attribute of S2F, with F2F as the ceiling."""
    by_key = {(one.attribute, one.side): one for one in agreements}
    rows = []
    for attribute in NAMES:
        s2f, f2f = by_key.get((attribute, "s2f")), by_key.get((attribute, "f2f"))
        if s2f and f2f:
            rows += _rows_of(s2f, f2f, [speaker_ids[i] for i in s2f.clips])
            rows += _class_rows(s2f, f2f)
    return rows


def render_label_rows(readings: Readings, speaker_ids: Sequence[str]) -> list[Row]:
    """Makes two rows for each attribute of which the data set has labels.

    A classifier misreads some photographs. The agreement with the original then counts
    a right picture as wrong; the agreement with the label does not.
    """
    rows = []
    for attribute in ("gender", "age"):  # of ethnicity, each source has its own terms
        clips, true, seen = readings.pairs(attribute, "s2f", "labels")
        _, of_f2f, f2f = readings.pairs(attribute, "f2f", "labels")
        known, of_original, original = readings.pairs(attribute, "original", "labels")
        for side, indices, hits in (
            ("S2F", clips, true == seen),
            ("the original", known, of_original == original),
        ):
            if len(hits):
                rows.append(
                    Row(
                        {
                            "attribute": attribute,
                            "measure": f"agreement of {side} with the label",
                        },
                        ours=float(np.mean(hits)),
                        ci95=interval(
                            hits.astype(float), [speaker_ids[i] for i in indices]
                        ),
                        n=len(hits),
                        ceiling=float(np.mean(of_f2f == f2f)) if len(f2f) else None,
                    )
                )
    return rows


def render_shares(readings: Readings) -> list[Row]:
    """Makes the rows of Fig. 4(b): the share of each class among original faces."""
    rows = []
    for attribute in NAMES:
        classes = [face.class_of(attribute) for face in readings.original]
        known = [c for c in classes if c is not None]
        paper = published.FIG_4_COUNTS[attribute]
        for value in class_order(attribute, known):
            share = None
            if value in paper:
                share = 100.0 * (paper[value] / published.FIG_4_N)
            rows.append(
                Row(
                    {"attribute": attribute, "measure": f"share of '{value}', %"},
                    ours=100.0 * known.count(value) / len(known),
                    n=known.count(value),
                    paper=share,
                )
            )
    return rows


def _rows_of(s2f: Agreement, f2f: Agreement, speaker_ids: Sequence[str]) -> list[Row]:
    tables = _tables(s2f.true, s2f.predicted)
    hits = (s2f.true == s2f.predicted).astype(float)
    accuracy = Row(
        {"attribute": s2f.attribute, "measure": "agreement"},
        ours=s2f.measures["accuracy"],
        ci95=interval(hits, speaker_ids),
        n=len(hits),
        paper=published.fig_4_agreement(s2f.attribute, "s2f"),
        chance=s2f.measures["majority"],
        ceiling=f2f.measures["accuracy"],
        others=_papers_f2f(published.fig_4_agreement(s2f.attribute, "f2f")),
    )
    balanced = Row(
        {"attribute": s2f.attribute, "measure": "balanced agreement"},
        ours=s2f.measures["balanced_accuracy"],
        ci95=interval_of_sums(tables, speaker_ids, _balanced_accuracy),
        n=len(hits),
        paper=np.mean(
            list(published.fig_4_diagonal(s2f.attribute, "s2f").values())
        ).item(),
        chance=1 / len(np.unique(s2f.true)),
        ceiling=f2f.measures["balanced_accuracy"],
        others=_papers_f2f(
            np.mean(
                list(published.fig_4_diagonal(s2f.attribute, "f2f").values())
            ).item()
        ),
    )
    kappa = Row(
        {"attribute": s2f.attribute, "measure": "Cohen's kappa"},
        ours=s2f.measures["kappa"],
        ci95=_kappa_interval(s2f, tables, speaker_ids),
        n=len(hits),
        chance=0.0,
        ceiling=f2f.measures["kappa"],
    )
    return [accuracy, balanced, kappa]


def _class_rows(s2f: Agreement, f2f: Agreement) -> list[Row]:
    """The diagonals of the matrices: how often each class stays what it is."""
    papers, papers_f2f = (
        published.fig_4_diagonal(s2f.attribute, side) for side in SIDES
    )
    ceilings = dict(zip(f2f.measures["classes"], _diagonal(f2f)))
    rows = []
    for name, rate in zip(s2f.measures["classes"], _diagonal(s2f)):
        n = int(np.sum(s2f.true == name))
        if n:
            rows.append(
                Row(
                    {"attribute": s2f.attribute, "measure": f"agreement, '{name}'"},
                    ours=rate,
                    n=n,
                    paper=papers.get(name),
                    ceiling=ceilings.get(name),
                    others=_papers_f2f(papers_f2f.get(name)),
                )
            )
    return rows


def _diagonal(agreement: Agreement) -> list[float]:
    return np.diag(agreement.measures["row_rate"]).tolist()


def _papers_f2f(number: Number) -> dict[str, Number]:
    return {PAPERS_F2F: number}


def _tables(true: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Returns [n, k, k]: for each clip, 1 at its true class (row) and predicted one."""
    classes, codes = np.unique(np.concatenate([true, predicted]), return_inverse=True)
    one_hot = np.eye(len(classes))[codes.reshape(2, -1)]
    return one_hot[0][:, :, None] * one_hot[1][:, None]


def _kappa_interval(
    agreement: Agreement, tables: np.ndarray, speaker_ids: Sequence[str]
) -> tuple[float, float] | None:
    """The interval of kappa; None if a resample has one class alone, hence no kappa."""
    if agreement.measures["kappa"] is None:
        return None
    ends = interval_of_sums(tables, speaker_ids, _kappa)
    return ends if ends and np.isfinite(ends).all() else None


def _balanced_accuracy(table: np.ndarray) -> float:
    """The mean recall of the true classes that occur, from counts [k, k]."""
    of_class = table.sum(axis=1)
    occurs = of_class > 0
    return float(np.mean(np.diag(table)[occurs] / of_class[occurs]))


def _kappa(table: np.ndarray) -> float:
    """Cohen's kappa of counts [k, k]; NaN if both sides have one class."""
    shares = table / table.sum()
    by_chance = float(shares.sum(axis=1) @ shares.sum(axis=0))
    # Chance agrees always, but for rounding: kappa would be 0 / 0.
    if by_chance > 1 - 1e-12:
        return float("nan")
    return (float(np.trace(shares)) - by_chance) / (1 - by_chance)


def _draw(agreements: Sequence[Agreement]) -> bytes:
    """One column for each attribute: S2F, ours above the paper's, then F2F."""
    n_columns = len(agreements) // len(SIDES)
    # Inches: a column for each attribute, a line for each of four matrices.
    figure = plots.figure(4.2 * max(n_columns, 1), 16)
    axes = figure.subplots(2 * len(SIDES), n_columns, squeeze=False)
    for place, agreement in enumerate(agreements):
        column, line = divmod(place, len(SIDES))
        attribute, side = agreement.attribute, agreement.side
        ours, papers = axes[2 * line : 2 * line + 2, column]
        measures = agreement.measures
        plots.draw_confusion(
            ours,
            np.array(measures["row_rate"]),
            measures["classes"],
            measures["counts"],
        )
        plots.draw_confusion(
            papers,
            published.fig_4_matrix(attribute, side),
            published.FIG_4_CLASSES[attribute],
        )
        for axis, whose in ((ours, "ours"), (papers, "the paper")):
            axis.set_title(f"{attribute}, {side.upper()}: {whose}")
            axis.set(xlabel=side.upper(), ylabel="original")
    return plots.to_png(figure)


EXPERIMENT = Experiment(NAME, Section.FACIAL_FEATURES, run, takes=(Material, Provider))


def main(inputs: Inputs, provider: Provider) -> None:
    """Measures, prints and writes."""
    results.finish(run(Material(inputs), provider), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, Provider)
