"""Fig. 8 and the ablations: training runs side by side.

A run folder has its config and its log (`speech2face.summaries`); what is compared
beyond the log is measured anew, on one data set for all runs.
"""

import dataclasses
import pathlib
from typing import Dict, List, Sequence, Tuple

import numpy as np

from experiments import plots, published
from experiments.common import NotApplicable, Result, Row, interval
from experiments.material import Material
from experiments.options import Inputs
from speech2face import checkpoints, config_fields, evaluation, metrics, search
from speech2face.config import VoiceTrainingConfig
from speech2face.summaries import read_log

N_THUMBNAILS = 6

Series = List[Tuple[int, float]]


@dataclasses.dataclass(frozen=True)
class Run:
    """One training run.

    Attributes:
      run_dir: its folder.
      config: its config.
      train, validation: (iteration, total loss), in order.
    """

    run_dir: pathlib.Path
    config: VoiceTrainingConfig
    train: Series
    validation: Series

    @property
    def label(self) -> str:
        """As in the paper's legend."""
        with_or_without = "w/" if self.config.voice_encoder.batch_norm else "w/o"
        return f"{with_or_without} BN, {self.config.audio.clip_secs:g} sec. audio"


def read_run(run_dir: str) -> Run:
    """Reads a run folder.

    Raises:
      FileNotFoundError: it is none.
      NotApplicable: it has no log (a bundle has none).
    """
    config = checkpoints.read_config(run_dir, VoiceTrainingConfig)
    log = read_log(run_dir)
    if not log:
        raise NotApplicable(f"{run_dir} has no training log")
    series = {
        kind: [(e["step"], e["total"]) for e in log if e["kind"] == kind]
        for kind in ("train", "validation")
    }
    return Run(pathlib.Path(run_dir), config, **series)


# Fig. 8


def compute_fig08(runs: Sequence[Run]) -> List[Dict[str, float]]:
    """For each run: iterations, last training and validation loss, the least one."""
    return [
        {
            "iterations": max(step for step, _ in [*run.train, *run.validation]),
            "last training loss": run.train[-1][1] if run.train else None,
            "last validation loss": run.validation[-1][1] if run.validation else None,
            "least validation loss": min(
                (loss for _, loss in run.validation), default=None
            ),
        }
        for run in runs
    ]


def run_fig08(run_dirs: Sequence[str], inputs: Inputs) -> Result:
    """Training curves of runs, and what each makes of the same voices.

    Args:
      run_dirs: run folders.
      inputs: data set for the thumbnails; its run_dir is not used.
    """
    runs = [read_run(run_dir) for run_dir in run_dirs]
    if not runs:
        raise NotApplicable("no run folders; give --run_dirs")
    rows = []
    for name, values in zip(_names(runs), compute_fig08(runs)):
        for measure, value in values.items():
            rows.append(Row({"run": name, "measure": measure}, ours=value))
    return Result(
        name="fig08_convergence",
        title="Fig. 8. Training convergence",
        shows="Training (dashed) and validation loss (solid), with and without batch "
        "normalisation, of 3 and 6 seconds of audio, and faces that the runs make of "
        "the same voices. The paper: without BN the faces converge to an average one.",
        rows=rows,
        picture=_draw_curves(runs, _thumbnails(runs, inputs)),
        notes=[
            f"the paper's axes show iterations {published.FIG_8_ITERATIONS[0]:,} to "
            f"{published.FIG_8_ITERATIONS[1]:,} and losses {published.FIG_8_LOSS[0]} "
            f"to {published.FIG_8_LOSS[1]}, which fit --loss_reduction=mean "
            "(BUILD_NOTES 12)",
            "losses compare only between runs of one data set and one set of weights",
        ],
        provenance={"thumbnails": inputs.data_dir or "none"},
    )


def _thumbnails(runs: Sequence[Run], inputs: Inputs) -> List[List[np.ndarray]]:
    if not inputs.data_dir:
        return []
    rows = []
    for run in runs:
        inputs_of_run = dataclasses.replace(
            inputs, run_dir=str(run.run_dir), n_examples=N_THUMBNAILS
        )
        material = Material(inputs_of_run)
        features = material.predictions(run.config.audio.clip_secs).voice_features
        rows.append(list(material.faces(features).images))
    return rows


def _draw_curves(runs: Sequence[Run], thumbnails: List[List[np.ndarray]]) -> bytes:
    height = 4 + 1.2 * len(thumbnails)
    figure = plots.figure(9, height)
    top, *rest = (
        figure.subfigures(
            1 + len(thumbnails), 1, height_ratios=[4] + [1.2] * len(thumbnails)
        )
        if thumbnails
        else [figure]
    )
    axis = top.subplots()
    names = _names(runs)
    for index, run in enumerate(runs):
        color = f"C{index}"
        if run.train:
            axis.plot(*zip(*run.train), "--.", color=color, alpha=0.6, markersize=3)
        axis.plot(
            *(zip(*run.validation) if run.validation else ([], [])),
            "-o",
            markersize=3,
            color=color,
            label=names[index],
        )
    axis.set(xlabel="Iterations", ylabel="Loss")
    axis.legend(fontsize=8)
    for part, name, images in zip(rest, names, thumbnails):
        part.suptitle(name, fontsize=8)
        for place, image in zip(
            part.subplots(1, len(images), squeeze=False)[0], images
        ):
            place.imshow(image)
            place.set_axis_off()
    return plots.to_png(figure)


def _names(runs: Sequence[Run]) -> List[str]:
    """Labels, with the folder where two runs have the same."""
    labels = [run.label for run in runs]
    return [
        f"{label} ({run.run_dir.name})" if labels.count(label) > 1 else label
        for label, run in zip(labels, runs)
    ]


# Ablations


def describe(config: VoiceTrainingConfig) -> str:
    """How a config departs from the paper's, without what only says how long."""
    paper = VoiceTrainingConfig()
    config = dataclasses.replace(config, loop=paper.loop)
    return config_fields.diff(paper, config) or "the paper's config"


def compute_ablation(material: Material, clip_secs: float) -> List[Row]:
    """The numbers of one run: angle, recall within 10 % of the gallery, median rank."""
    predictions = material.predictions(clip_secs)
    speakers = predictions.speaker_ids
    gallery, own = evaluation.gallery(predictions.face_features)
    angle = metrics.feature_distances(
        predictions.face_features, predictions.voice_features
    )["cos_deg"]
    rank = search.ranks(predictions.voice_features, gallery, own, "cos")
    cut = metrics.percent_rank(10, len(gallery))
    hits = 100.0 * (rank <= cut)
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
            chance=100.0 * cut / len(gallery),
        ),
        Row(
            {"measure": "median rank"},
            ours=float(np.median(rank)),
            n=len(rank),
            ci95=interval(rank, speakers, np.median),
            chance=(len(gallery) + 1) / 2,
        ),
    ]


def run_ablations(
    run_dirs: Sequence[str], inputs: Inputs, clip_secs: float = 6.0
) -> Result:
    """One line for each run and measure.

    Args:
      run_dirs: run folders.
      inputs: the data set; without one each run is measured on that of its training,
        which has its own features where the recognizer is what differs.
      clip_secs: how much of each clip the models hear.
    """
    if not run_dirs:
        raise NotApplicable("no run folders; give --run_dirs")
    rows = []
    for run_dir in run_dirs:
        data_dir = inputs.data_dir or checkpoints.data_dir_of(run_dir)
        material = Material(
            dataclasses.replace(inputs, run_dir=run_dir, data_dir=data_dir)
        )
        recognizer = material.model.decoder.recognizer
        changed = describe(material.model.config)
        for row in compute_ablation(material, clip_secs):
            keys = {
                "run": pathlib.Path(run_dir).name,
                "departs in": changed,
                "features": f"{recognizer.name} {recognizer.checksum[:8]}",
                **row.keys,
            }
            rows.append(dataclasses.replace(row, keys=keys))
    return Result(
        name="ablations",
        title="Ablations",
        shows="Runs that differ in one choice, measured alike. The paper compares "
        "durations and batch normalisation (Sec. 4.2), and says that the further loss "
        "terms stabilise training (Sec. 3).",
        rows=rows,
        picture=_draw_ablations(rows),
        notes=[
            "each run: configs/ablation_*.flags; features behind the ReLU of fc7: "
            "records, decoder and run with configs/records_post_relu.flags",
            "angles compare only between runs of the same features",
        ],
        provenance={"data": f"{inputs.data_dir or 'of each training'}, {inputs.split}"},
    )


def _draw_ablations(rows: Sequence[Row]) -> bytes:
    shown = [row for row in rows if row.keys["measure"] == "R@10 %, cos"]
    figure = plots.figure(8, 1.2 + 0.45 * len(shown))
    axis = figure.subplots()
    for place, row in enumerate(shown):
        axis.plot(row.ours, -place, "o", color=plots.OURS)
        if row.ci95:
            axis.plot(row.ci95, [-place] * 2, color=plots.OURS)
    axis.axvline(shown[0].chance, color=plots.CHANCE, linestyle=":", label="chance")
    axis.set_yticks(
        [-place for place in range(len(shown))], [row.keys["run"] for row in shown]
    )
    axis.set_xlabel("true face within the nearest 10 % of the gallery, %")
    axis.legend()
    return plots.to_png(figure)


# Supplementary: the image-space loss


def run_pixel_loss(
    run_dirs: Sequence[str], inputs: Inputs, clip_secs: float = 6.0, n: int = 6
) -> Result:
    """The same voices by a run with feature losses and by one with an image loss.

    Raises:
      NotApplicable: no run of `run_dirs` has the image loss, or none has not.
    """
    has_pixels = [
        bool(checkpoints.read_config(run_dir, VoiceTrainingConfig).loss.pixel_weight)
        for run_dir in run_dirs
    ]
    if len(set(has_pixels)) < 2:
        raise NotApplicable(
            "give --run_dirs with a run of configs/ablation_pixel_loss.flags and one "
            "without the image loss"
        )
    rows, sheet, titles = [], [], []
    for run_dir, is_pixel in zip(run_dirs, has_pixels):
        material = Material(dataclasses.replace(inputs, run_dir=run_dir))
        name = "image loss" if is_pixel else "feature losses"
        for row in compute_ablation(material, clip_secs):
            keys = {"run": pathlib.Path(run_dir).name, "loss": name, **row.keys}
            rows.append(dataclasses.replace(row, keys=keys))
        predictions = material.predictions(clip_secs)
        features = predictions.voice_features
        spread = metrics.feature_distances(np.roll(features, 1, axis=0), features)
        rows.append(
            Row(
                {
                    "run": pathlib.Path(run_dir).name,
                    "loss": name,
                    "measure": "angle between two voices (deg)",
                },
                ours=float(spread["cos_deg"].mean()),
                n=len(features),
            )
        )
        indices = material.shown(n)
        if not sheet:
            true = material.faces(predictions.face_features[indices]).images
            sheet, titles = [material.photographs(indices), true], ["true face", "F2F"]
        sheet.append(material.faces(features[indices]).images)
        titles.append(f"S2F, {name}")
    return Result(
        name="supp_pixel_loss",
        title="Supplementary. A loss in image space",
        shows="Faces of the same voices by runs that differ in the loss: Eq. 1 on "
        "features, or the difference of the decoded pictures. Sec. 3 says that a "
        "straightforward approach of regressing from speech to pixels does not work.",
        rows=rows,
        picture=plots.face_sheet(list(zip(*sheet)), titles),
        notes=[
            "the image loss is the mean absolute difference of the decoder's pictures "
            "of v_s and of v_f; its gradient passes through the frozen decoder",
            "a small angle between two voices is a model that draws one face",
        ],
        provenance={"data": f"{inputs.data_dir}, {inputs.split}"},
    )
