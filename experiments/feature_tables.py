"""Tables 2 and 3 from predictions: distances of features, retrieval of faces."""

import dataclasses
from typing import Dict, List, Tuple

import numpy as np
import scipy.stats

from experiments import plots, published
from experiments.common import Result, Row, interval
from experiments.material import Material
from speech2face import evaluation, metrics, search
from speech2face.evaluation import Predictions
from speech2face.normalizer import FeatureNormalizer

PAPER_NORM = 0.2316  # of v_f, explains both rows of Table 2 (BUILD_NOTES 11)
HUB_K = 10

_DISTANCES = {"cos_deg": "cos (deg)", "l2": "L2", "l1": "L1"}
_METRICS = {"l2": "L2", "l1": "L1", "cos": "cos"}


@dataclasses.dataclass(frozen=True)
class Similarity:
    """Distances between n voice features and faces in one space and scale.

    Attributes:
      own: by distance name, [n], to the true face.
      other: by distance name, [n], to the face of a random other clip.
    """

    own: Dict[str, np.ndarray]
    other: Dict[str, np.ndarray]


def compute_table_2(
    predictions: Predictions, normalizer: FeatureNormalizer, seed: int = 0
) -> Dict[str, Similarity]:
    """Measures feature similarity in two spaces.

    Returns:
      "paper's scale": normalised features scaled so that faces have the mean norm of
      0.2316; 'raw': as the recognizer gives them.
    """
    true, predicted = predictions.face_features, predictions.voice_features
    scale = PAPER_NORM / np.linalg.norm(true, axis=1).mean()
    spaces = {
        "paper's scale": (true * scale, predicted * scale),
        "raw": (normalizer.denormalize(true), normalizer.denormalize(predicted)),
    }
    voice = np.random.default_rng(seed).permutation(len(true))
    other = np.roll(voice, 1)  # never a voice's own clip
    return {
        name: Similarity(
            metrics.feature_distances(faces, voices),
            metrics.feature_distances(faces[other], voices[voice]),
        )
        for name, (faces, voices) in spaces.items()
    }


def run_table_2(material: Material) -> Result:
    """Measures Table 2 with 3 and 6 seconds of audio."""
    rows: List[Row] = []
    for secs in published.TABLE_2:
        predictions = material.predictions(secs)
        spaces = compute_table_2(predictions, material.model.decoder.normalizer)
        rows += render_table_2(secs, spaces, predictions.speaker_ids)
    dim = material.model.decoder.recognizer.feature_dim
    return Result(
        name="table2_feature_similarity",
        title="Table 2. Feature similarity",
        shows="Distance between the feature predicted from speech and that of the true "
        "face; smaller is better, and 6 s of audio should be closer than 3 s.",
        rows=rows,
        notes=[
            "chance is the distance to the face of another clip, for the same voices",
            f"the features have {dim} dimensions (the paper's 4,096): only at the same "
            "recognizer and dimension are L1 and angle comparable with the paper's",
            f"paper's scale: faces have a mean norm of {PAPER_NORM}; raw: the "
            "recognizer's own features, not centred",
        ],
        provenance=material.provenance(),
    )


def render_table_2(
    secs: float, spaces: Dict[str, Similarity], speaker_ids: List[str]
) -> List[Row]:
    """Returns the rows of one duration."""
    rows = []
    for space, similarity in spaces.items():
        is_papers = space == "paper's scale"
        for name, values in similarity.own.items():
            paper = published.TABLE_2[secs][name] if is_papers else (None, None)
            rows.append(
                Row(
                    {
                        "audio": f"{secs} s",
                        "distance": _DISTANCES[name],
                        "features": space,
                    },
                    ours=float(values.mean()),
                    sd=float(values.std()),
                    ci95=interval(values, speaker_ids),
                    n=len(values),
                    paper=paper[0],
                    paper_sd=paper[1],
                    chance=float(similarity.other[name].mean()),
                )
            )
    return rows


@dataclasses.dataclass(frozen=True)
class Hubness:
    """How evenly faces are retrieved: some are near to every voice.

    Attributes:
      skewness: of how often each face is among the first 10; 0 is even, above 1 hubs.
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
      ranks: by metric, [q], of each voice's own face.
      hubness: by metric.
    """

    n: int
    ranks: Dict[str, np.ndarray]
    hubness: Dict[str, Hubness]


def compute_table_3(predictions: Predictions) -> Retrieval:
    """Ranks the true faces, and counts what the voices retrieve."""
    gallery, own = evaluation.gallery(predictions.face_features)
    voices = predictions.voice_features
    return Retrieval(
        n=len(gallery),
        ranks={m: search.ranks(voices, gallery, own, m) for m in _METRICS},
        hubness={m: hubness(voices, gallery, m) for m in _METRICS},
    )


def hubness(queries: np.ndarray, gallery: np.ndarray, metric: str) -> Hubness:
    """Counts how often each face [n, d] is among the first 10 of the queries [q, d]."""
    nearest, _ = search.nearest(queries, gallery, HUB_K, metric)
    counts = np.bincount(nearest.ravel(), minlength=len(gallery))
    skewness = float(scipy.stats.skew(counts)) if np.ptp(counts) else 0.0
    return Hubness(
        skewness=skewness,
        never=float(np.mean(counts == 0)),
        most=float(counts.max() / len(queries)),
    )


def run_table_3(material: Material) -> Result:
    """Measures Table 3 with 3 and 6 seconds of audio, and draws the CMC curves."""
    measured, rows = {}, []
    for secs in (3, 6):
        predictions = material.predictions(secs)
        measured[secs] = compute_table_3(predictions)
        rows += render_table_3(secs, measured[secs], predictions.speaker_ids)
    n = measured[6].n
    return Result(
        name="table3_retrieval",
        title="Table 3. S2F to face retrieval",
        shows="How often the true face is among the nearest K of a gallery of faces, "
        "queried with the feature predicted from speech.",
        rows=rows,
        picture=draw_cmc(measured),
        notes=[
            "recall in percent. 'of gallery': the nearest K percent of it, which is "
            "what the paper's random row (1, 2, 5, 10 %) says its K is; 'strict': the "
            "nearest K faces",
            f"the gallery has {n:,} distinct faces; the paper's has "
            f"{published.TABLE_3_N:,}",
            f"hubness, over each voice's first {HUB_K}: skewness of how often a face "
            "is retrieved (0 is even), faces never retrieved, and the largest share "
            "of voices that retrieve one face",
        ],
        provenance=material.provenance(),
    )


def render_table_3(
    secs: float, measured: Retrieval, speaker_ids: List[str]
) -> List[Row]:
    """Returns the rows of one duration: recalls, median ranks, hubness."""
    rows = []
    for metric, rank in measured.ranks.items():
        for protocol, k, cut, paper in _cuts(secs, metric, measured.n):
            hits = 100.0 * (rank <= cut)
            keys = {"audio": f"{secs} s", "metric": _METRICS[metric]}
            rows.append(
                Row(
                    {**keys, "measure": f"R@{k}, {protocol}"},
                    ours=float(hits.mean()),
                    ci95=interval(hits, speaker_ids),
                    n=len(rank),
                    paper=paper,
                    chance=100.0 * cut / measured.n,
                )
            )
        rows.append(
            Row(
                {**keys, "measure": "median rank"},
                ours=float(np.median(rank)),
                ci95=interval(rank, speaker_ids, np.median),
                n=len(rank),
                chance=(measured.n + 1) / 2,
            )
        )
        for name, value in dataclasses.asdict(measured.hubness[metric]).items():
            share = 1.0 if name == "skewness" else 100.0
            unit = "" if name == "skewness" else ", %"
            rows.append(
                Row({**keys, "measure": f"hubness: {name}{unit}"}, ours=value * share)
            )
    return rows


def draw_cmc(measured: Dict[float, Retrieval]) -> bytes:
    """Draws the share of voices whose face is within each share of the gallery."""
    figure = plots.figure(10, 4)
    left, right = figure.subplots(1, 2)
    for secs, color in zip(measured, (plots.PAPER, plots.OURS)):
        n, rank = measured[secs].n, measured[secs].ranks["cos"]
        percent = 100.0 * np.arange(1, n + 1) / n
        found = 100.0 * np.searchsorted(np.sort(rank), np.arange(1, n + 1), "right")
        left.plot(percent, found / len(rank), color=color, label=f"{secs} s, cos")
        paper = published.TABLE_3[(secs, "cos")]
        label = f"paper, {secs} s"
        right.plot(published.TABLE_3_KS, paper, "o--", color=color, label=label)
        ours = [
            100.0 * np.mean(rank <= metrics.percent_rank(k, n))
            for k in published.TABLE_3_KS
        ]
        right.plot(
            published.TABLE_3_KS, ours, "s-", color=color, label=f"ours, {secs} s"
        )
    left.plot([0, 100], [0, 100], ":", color=plots.CHANCE, label="chance")
    right.plot([0, 10], [0, 10], ":", color=plots.CHANCE, label="chance")
    left.set(title="Cumulative match", xlabel="nearest % of the gallery")
    right.set(title="Table 3, K percent of the gallery", xlabel="K")
    for axis in (left, right):
        axis.set_ylabel("true face found, %")
        axis.legend(fontsize=8)
    return plots.to_png(figure)


def _cuts(secs: float, metric: str, n: int) -> List[Tuple]:
    """(protocol, K, last rank that counts, paper's recall) of each recall."""
    paper = dict(zip(published.TABLE_3_KS, published.TABLE_3[(secs, metric)]))
    ks = published.TABLE_3_KS
    percent = [("% of gallery", k, metrics.percent_rank(k, n), paper[k]) for k in ks]
    return percent + [("strict", k, min(k, n), None) for k in ks]
