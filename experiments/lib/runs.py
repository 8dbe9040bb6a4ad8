"""Training runs side by side (Fig. 8, the ablations, the loss in image space).

A run folder has its config and its log (`training.summaries`). The other numbers that
are compared are measured on one data set for all runs.
"""

import dataclasses
import pathlib
from collections.abc import Sequence

import numpy as np

from experiments.lib.material import Material
from experiments.lib.results import NotApplicable, Row, interval
from speech2face.artifacts import run_folder
from speech2face.config import VoiceTrainingConfig
from speech2face.files import PathLike
from speech2face.metrics import neighbors, recall, similarity

Series = list[tuple[int, float]]  # (iteration, loss)


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
      run_dir: its folder.
      config: its config.
      train: (iteration, total training loss), in order.
      validation: (iteration, total validation loss), in order.
    """

    run_dir: pathlib.Path
    config: VoiceTrainingConfig
    train: Series
    validation: Series

    @property
    def label(self) -> str:
        """As in the legend of Fig. 8."""
        with_or_without = "w/" if self.config.voice_encoder.batch_norm else "w/o"
        return f"{with_or_without} BN, {self.config.audio.clip_secs:g} sec. audio"


def read_run(run_dir: PathLike) -> Run:
    """Reads a run folder.

    Raises:
      FileNotFoundError: `run_dir` is not a run folder.
      NotApplicable: it has no log (a bundle has none).
    """
    from speech2face.training.summaries import read_log

    config = run_folder.read_config(run_dir, VoiceTrainingConfig)
    log = read_log(run_dir)
    if not log:
        raise NotApplicable(f"{run_dir} has no training log")
    series = {
        kind: [
            (entry["step"], entry["total"]) for entry in log if entry["kind"] == kind
        ]
        for kind in ("train", "validation")
    }
    return Run(pathlib.Path(run_dir), config, **series)


def unique_labels(runs: Sequence[Run]) -> list[str]:
    """The labels of runs, with the folder's name where two runs have the same label."""
    labels = [run.label for run in runs]
    return [
        f"{label} ({run.run_dir.name})" if labels.count(label) > 1 else label
        for label, run in zip(labels, runs)
    ]


def measure_run(material: Material, clip_secs: float) -> list[Row]:
    """The numbers of one run: angle, recall within 10 % of the gallery, median rank."""
    from speech2face.inference.evaluation import gallery

    predictions = material.predictions(clip_secs)
    speakers = predictions.speaker_ids
    faces, true_index = gallery(predictions.face_features)
    angle = similarity.feature_distances(
        predictions.face_features, predictions.voice_features
    )["cos_deg"]
    rank = neighbors.ranks(predictions.voice_features, faces, true_index, "cos")
    # Of the recalls of Table 3, the one with the most hits: the least noisy to compare.
    last_rank = recall.percent_rank(10, len(faces))
    hits = 100.0 * (rank <= last_rank)
    return [
        Row(
            {"measure": "angle (deg)"},
            ours=float(angle.mean()),
            n=len(angle),
            ci95=interval(angle, speakers),
        ),
        Row(
            {"measure": "R@10 %, cos"},
            ours=float(hits.mean()),
            n=len(hits),
            ci95=interval(hits, speakers),
            chance=100.0 * last_rank / len(faces),
        ),
        Row(
            {"measure": "median rank"},
            ours=float(np.median(rank)),
            n=len(rank),
            ci95=interval(rank, speakers, np.median),
            chance=(len(faces) + 1) / 2,
        ),
    ]
