"""Table 3: how often is the true face among the nearest K of a gallery?

    python -m experiments.table3_retrieval --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The paper reports recall at K = 1, 2, 5, 10 by L2, L1 and cosine, for 3 and 6 seconds of
audio, among 5,000 faces. Here both readings of K (a rank, a percentage of the gallery)
have their chance and a bootstrap interval over speakers. The table adds the median
rank, the whole CMC curve, and a measure of hubs. A face that several clips share is in
the gallery once.
"""

import dataclasses
from collections.abc import Sequence
from typing import (
    TYPE_CHECKING,
    Any,
    NamedTuple,
)

import numpy as np

from experiments.lib import plots, published, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs
from experiments.lib.material import Material
from experiments.lib.results import Result, Row, interval
from speech2face.metrics import neighbors
from speech2face.metrics.recall import percent_rank
from speech2face.options import run_command

if TYPE_CHECKING:
    from speech2face.inference.evaluation import Predictions

NAME = "table3_retrieval"
HUB_K = 10  # usual for hubness (Radovanovic et al., JMLR 2010)
_METRIC_TITLES = {"l2": "L2", "l1": "L1", "cos": "cos"}


@dataclasses.dataclass(frozen=True)
class Hubness:
    """Evenness of retrieval; a hub is a face that is near to every voice.

    Attributes:
      skewness: skewness of how often each face is among the first 10; 0 is even, above
        1 hubs.
      never: share of faces that are among nobody's first 10.
      most: the largest share of voices that have one face among their first 10.
    """

    skewness: float
    never: float
    most: float


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """Retrieval at one duration.

    Attributes:
      n: distinct faces in the gallery.
      ranks: metric -> [q] ranks of the true face of each voice.
      hubness: metric -> hubness.
    """

    n: int
    ranks: dict[str, np.ndarray]
    hubness: dict[str, Hubness]


class Cut(NamedTuple):
    """One reading of K.

    Attributes:
      title: what is measured.
      last_rank: the last rank that counts.
      paper: the paper's recall in percent, or None.
    """

    title: str
    last_rank: int
    paper: float | None


def compute_retrieval(predictions: "Predictions") -> Retrieval:
    """Ranks the true faces, and counts what the voices retrieve."""
    from speech2face.inference.evaluation import gallery

    # Clips that share a photograph have one face in the gallery, not copies of it.
    faces, true_index = gallery(predictions.face_features)
    voices = predictions.voice_features
    ranks, hubness = {}, {}
    for metric in _METRIC_TITLES:
        ranks[metric], nearest = neighbors.ranks_and_nearest(
            voices, faces, true_index, HUB_K, metric
        )
        hubness[metric] = compute_hubness(nearest, len(faces))
    return Retrieval(len(faces), ranks, hubness)


def compute_hubness(nearest: np.ndarray, n_faces: int) -> Hubness:
    """Counts how often each face is among the first 10.

    Args:
      nearest: [q, 10] indices of the faces nearest to each voice.
      n_faces: how many faces there are.
    """
    import scipy.stats

    counts = np.bincount(nearest.ravel(), minlength=n_faces)
    # Where every face is retrieved as often, the skewness is 0 / 0; it means "even".
    skewness = float(scipy.stats.skew(counts)) if np.ptp(counts) else 0.0
    return Hubness(
        skewness=skewness,
        never=float(np.mean(counts == 0)),
        most=float(counts.max() / len(nearest)),
    )


def run(material: Material) -> Result:
    """Measures the table with 3 and 6 seconds of audio, and draws the CMC curves."""
    measured: dict[int, Retrieval] = {}
    rows: list[Row] = []
    # The paper's two durations, by one model.
    for secs in (3, 6):
        predictions = material.predictions(secs)
        measured[secs] = compute_retrieval(predictions)
        rows += render_rows(secs, measured[secs], predictions.speaker_ids)
    return Result(
        name=NAME,
        title="Table 3. S2F to face retrieval",
        shows="How often the true face is among the nearest K of a gallery of faces, "
        "queried with the feature predicted from speech.",
        rows=rows,
        picture=draw_curves(measured),
        notes=[
            "recall in percent. 'of gallery': the nearest K percent of it, which is "
            "what the paper's random row (1, 2, 5, 10 %) says its K is; 'strict': the "
            "nearest K faces",
            f"the gallery has {measured[6].n:,} distinct faces; the paper's has "
            f"{published.TABLE_3_N:,}",
            f"the paper's median rank, {published.MEDIAN_RANK} of "
            f"{published.TABLE_3_N:,}, is that of the {published.MEDIAN_RANK_N} "
            "retrievals on the authors' supplementary page ('Actual rank'); with "
            "another gallery only the percentage compares",
            f"hubness, over each voice's first {HUB_K}: skewness of how often a face "
            "is retrieved (0 is even), faces never retrieved, and the largest share "
            "of voices that retrieve one face",
        ],
        provenance=material.provenance(),
    )


def render_rows(
    secs: int, measured: Retrieval, speaker_ids: Sequence[str]
) -> list[Row]:
    """Makes the rows of one duration: recalls, median ranks, hubness.

    Args:
      secs: 3 or 6, seconds of audio.
      measured: what `compute_retrieval` returned.
      speaker_ids: speaker of each of the q voices.
    """
    rows = []
    for metric, ranks in measured.ranks.items():
        keys = {"audio": f"{secs} s", "metric": _METRIC_TITLES[metric]}
        for cut in _cuts(secs, metric, measured.n):
            hits = 100.0 * (ranks <= cut.last_rank)  # percent, so that the mean is too
            row = Row(
                {**keys, "measure": cut.title},
                ours=float(hits.mean()),
                ci95=interval(hits, speaker_ids),
                n=len(ranks),
                paper=cut.paper,
                chance=100.0 * cut.last_rank / measured.n,
            )
            rows.append(row)
        rows += _median_rows(keys, ranks, measured.n, speaker_ids, (secs, metric))
        hubs = measured.hubness[metric]
        rows += [
            Row({**keys, "measure": "hubness: skewness"}, ours=hubs.skewness),
            Row({**keys, "measure": "hubness: never, %"}, ours=100.0 * hubs.never),
            Row({**keys, "measure": "hubness: most, %"}, ours=100.0 * hubs.most),
        ]
    return rows


def _median_rows(
    keys: dict[str, str],
    ranks: np.ndarray,
    n_faces: int,
    speaker_ids: Sequence[str],
    column: tuple[int, str],
) -> list[Row]:
    """The median rank in faces, and in percent of the gallery, which compares."""
    median = float(np.median(ranks))
    ends = interval(ranks, speaker_ids, np.median)
    paper = published.MEDIAN_RANK if column == published.MEDIAN_RANK_COLUMN else None
    rows = []
    for unit, title in ((1.0, "median rank"), (100 / n_faces, "median rank, %")):
        # The paper's rank is among its 5,000 faces, ours among n.
        papers_unit = 1.0 if unit == 1.0 else 100 / published.TABLE_3_N
        row = Row(
            {**keys, "measure": title},
            ours=unit * median,
            ci95=ends and (unit * ends[0], unit * ends[1]),
            n=len(ranks),
            paper=paper and paper * papers_unit,
            # The median of a rank that is uniform over 1 to n.
            chance=unit * (n_faces + 1) / 2,
        )
        rows.append(row)
    return rows


def _cuts(secs: int, metric: str, n: int) -> list[Cut]:
    """Both readings of every K: percent of n faces, which the paper's is, and a rank.

    See docs/decisions/retrieval-recall.md.
    """
    ks = published.TABLE_3_KS
    papers = published.TABLE_3[(secs, metric)]
    percent = [
        Cut(f"R@{k}, % of gallery", percent_rank(k, n), paper)
        for k, paper in zip(ks, papers)
    ]
    return percent + [Cut(f"R@{k}, strict", min(k, n), None) for k in ks]


def draw_curves(measured: dict[int, Retrieval]) -> bytes:
    """Draws the CMC curves by cosine, and our recall beside the paper's."""
    figure = plots.figure(10, 4)
    left, right = figure.subplots(1, 2)
    for secs, color in zip(measured, (plots.PAPER, plots.OURS)):
        _draw_match(left, secs, measured[secs], color)
        _draw_recall(right, secs, measured[secs], color)
    # Chance finds the true face in k percent of the gallery k times in a hundred.
    left.plot([0, 100], [0, 100], ":", color=plots.CHANCE, label="chance")
    right.plot([0, 10], [0, 10], ":", color=plots.CHANCE, label="chance")
    left.set(title="Cumulative match", xlabel="nearest % of the gallery")
    right.set(title="Table 3, K percent of the gallery", xlabel="K")
    for axis in (left, right):
        axis.set_ylabel("true face found, %")
        axis.legend(fontsize=8)
    return plots.to_png(figure)


def _draw_match(axis: Any, secs: int, measured: Retrieval, color: str) -> None:
    """The share of voices whose face is within each share of the gallery."""
    ranks, places = np.sort(measured.ranks["cos"]), np.arange(1, measured.n + 1)
    # How many of the sorted ranks are at or below each place.
    matched = 100.0 * np.searchsorted(ranks, places, "right") / len(ranks)
    percent = 100.0 * places / measured.n
    axis.plot(percent, matched, color=color, label=f"{secs} s, cos")


def _draw_recall(axis: Any, secs: int, measured: Retrieval, color: str) -> None:
    ks, ranks = published.TABLE_3_KS, measured.ranks["cos"]
    paper = published.TABLE_3[(secs, "cos")]
    ours = [100.0 * np.mean(ranks <= percent_rank(k, measured.n)) for k in ks]
    axis.plot(ks, paper, "o--", color=color, label=f"paper, {secs} s")
    axis.plot(ks, ours, "s-", color=color, label=f"ours, {secs} s")


EXPERIMENT = Experiment(NAME, Section.FACIAL_FEATURES, run)


def main(inputs: Inputs) -> None:
    """Measures, prints and writes."""
    results.finish(run(Material(inputs)), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs)
