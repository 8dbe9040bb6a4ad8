"""Supplementary: random results and retrievals, with the voices to play.

    python -m experiments.supp_random_results --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results

The authors' page has 500 random results (voice, true face, F2F, S2F) and 100 random
retrievals, each with the "actual rank" of the true face. This writes the same page,
supp_random_results.html, and a folder of its pictures and sounds. The page holds
voices and faces of the data set: treat it as you must treat these.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from experiments.lib import plots, published, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs
from experiments.lib.material import Material
from experiments.lib.random_results_page import write_page
from experiments.lib.results import Result, Row, interval
from experiments.lib.retrieved_faces import RetrievedFaces, compute_nearest_faces
from experiments.lib.rows import face_sheet_notes
from speech2face.metrics.recall import percent_rank
from speech2face.options import Options, option, run_command

NAME = "supp_random_results"
N_RETRIEVED = 10  # of each query, as on the authors' page
_N_PREVIEWED = 12  # two lines of six on the page of all experiments


@dataclasses.dataclass(frozen=True)
class RandomResultsOptions(Options):
    """Number of results on the page."""

    n_results: int = option(
        500, "Random results (the authors' page: 500).", minimum=1, maximum=100_000
    )
    n_retrievals: int = option(
        100, "Random retrievals (the authors' page: 100).", minimum=1, maximum=100_000
    )


def draw(n_clips: int, n: int, seed: int) -> list[int]:
    """Draws clips in random order.

    Args:
      n_clips: number of clips to draw from.
      n: how many; all if there are fewer.
      seed: seed of the draw.

    Returns:
      Their positions.
    """
    return np.random.default_rng(seed).permutation(n_clips)[:n].tolist()


def run(material: Material, n_results: int = 500, n_retrievals: int = 100) -> Result:
    """Writes the page, and sums the retrievals up.

    Args:
      material: model and clips.
      n_results: how many random results.
      n_retrievals: how many random retrievals.
    """
    predictions = material.predictions()
    n_clips, seed = len(predictions.clip_ids), material.inputs.sample_seed
    shown = draw(n_clips, n_results, seed)
    queries = draw(n_clips, n_retrievals, seed + 1)
    retrieved = compute_nearest_faces(predictions, queries, N_RETRIEVED)
    page = write_page(material, NAME, shown, queries, retrieved)
    previewed = shown[:_N_PREVIEWED]
    voices = predictions.voice_features[previewed]
    pairs = zip(material.photographs(previewed), material.faces(voices).images)
    images = [image for pair in pairs for image in pair]
    titles = ["true face", "S2F"] * (min(6, len(images)) // 2)
    return Result(
        name=NAME,
        title="Supplementary. Random results and retrievals",
        shows=f"{len(shown):,} random results and {len(queries):,} random retrievals, "
        "with the voices to play. Below are the first results; the table is of the "
        "retrievals on the page.",
        rows=render_rows(retrieved, [predictions.speaker_ids[i] for i in queries]),
        picture=plots.face_sheet(
            [images[i : i + 6] for i in range(0, len(images), 6)], titles
        ),
        page=page.name,
        notes=[
            f"the paper: the {published.MEDIAN_RANK_N} retrievals of the authors' "
            f"page, among {published.TABLE_3_N:,} faces; its ranks compare only with a "
            "gallery of that size, percentages with any",
            *face_sheet_notes(drawn=False),
            "clips: a seeded draw, nothing is picked",
        ],
        provenance=material.provenance(),
    )


def render_rows(retrieved: RetrievedFaces, speaker_ids: Sequence[str]) -> list[Row]:
    """Makes the table of the retrievals.

    Args:
      retrieved: the faces of q voices.
      speaker_ids: speaker of each of the q voices.
    """
    rank, n = retrieved.true_rank, retrieved.n_faces
    rows = [
        _row("median rank", rank, speaker_ids, published.MEDIAN_RANK, (n + 1) / 2),
        _row(
            "mean rank",
            rank,
            speaker_ids,
            published.RANDOM_RETRIEVALS_MEAN_RANK,
            (n + 1) / 2,
        ),
    ]
    for percent, papers in published.RANDOM_RETRIEVALS_WITHIN.items():
        # In percent, as Table 3: docs/decisions/retrieval-recall.md.
        last_rank = percent_rank(percent, n)
        hits = 100.0 * (rank <= last_rank)
        title = f"true face within the nearest {percent} % of the faces, %"
        rows.append(_row(title, hits, speaker_ids, papers, 100.0 * last_rank / n))
    return rows


def _row(
    title: str,
    values: np.ndarray,
    speaker_ids: Sequence[str],
    papers: float,
    chance: float,
) -> Row:
    statistic = np.median if title.startswith("median") else np.mean
    keys: dict[str, str] = {"measure": title}
    return Row(
        keys,
        ours=float(statistic(values)),
        ci95=interval(values, speaker_ids, statistic),
        n=len(values),
        paper=papers,
        chance=chance,
    )


EXPERIMENT = Experiment(NAME, Section.RESULTS, run)


def main(inputs: Inputs, options: RandomResultsOptions) -> None:
    """Measures, draws, writes the page."""
    result = run(Material(inputs), options.n_results, options.n_retrievals)
    results.finish(result, inputs.output_dir)
    print(f"open {inputs.output_dir}/{result.page}")


if __name__ == "__main__":
    run_command(main, Inputs, RandomResultsOptions)
