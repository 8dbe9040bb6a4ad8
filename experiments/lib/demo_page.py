"""The page at the end of the demo: voices and faces, measurements, loss curves.

`templates/demo.html` lays it out; its sounds and pictures lie in the subfolder `page`.
"""

import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import soundfile
from PIL import Image

from experiments.lib import plots, results
from experiments.lib.demo_measures import TraitMeasure, person_ranks, read_traits
from speech2face import files, images
from speech2face.data.records import (
    VoiceExample,
    iterate_face_examples,
    iterate_voice_examples,
)
from speech2face.files import PathLike
from speech2face.images import LABEL
from speech2face.inference.evaluation import METRICS_FILE, Predictions
from speech2face.inference.model import Speech2Face
from speech2face.json_codec import read_json
from speech2face.paper import SAMPLE_RATE_HZ
from speech2face.training.summaries import read_log
from speech2face.web import html

N_SHOWN = 8
ASSETS_DIR = "page"


class Speaker(NamedTuple):
    """A row of the page.

    Attributes:
      told: traits that the voice depends on: 'woman, 34, large'.
      untold: traits that it does not depend on: 'dark skin'.
      sound: path of the voice, relative to the page.
      pictures: (alternative text, path) of true face, F2F and S2F.
    """

    told: str
    untold: str
    sound: str
    pictures: Sequence[tuple[str, str]]


class Metric(NamedTuple):
    """A row of a table of measurements, as text."""

    name: str
    measured: str
    interval: str
    compared: str  # chance, or the best that is possible


def write(
    output_dir: PathLike,
    *,
    data_dir: pathlib.Path,
    faces_dir: pathlib.Path,
    decoder_run: pathlib.Path,
    voice_run: pathlib.Path,
    evaluation: pathlib.Path,
) -> pathlib.Path:
    """Writes index.html, its sounds and its pictures.

    Args:
      output_dir: where to write.
      data_dir: voice data set; the page shows its first test speakers, women and men
        in turn, none picked.
      faces_dir: face data set; the traits of its training people teach what a feature
        says of a trait.
      decoder_run: run folder of the face decoder.
      voice_run: run folder of the voice encoder.
      evaluation: what `speech2face.evaluate` wrote.

    Returns:
      The path of index.html.
    """
    root = pathlib.Path(output_dir)
    assets = root / ASSETS_DIR
    assets.mkdir(parents=True, exist_ok=True)
    angle = read_json(evaluation / METRICS_FILE, dict[str, Any])["feature_similarity"]
    predictions = Predictions.load(evaluation)
    model = Speech2Face.load(voice_run)
    runs = {"face decoder": decoder_run, "voice encoder": voice_run}
    files.write_atomically(assets / "loss.png", _draw_losses(runs))
    page = html.render(
        "demo.html",
        package="experiments",
        title="Speech2Face demo",
        speakers=_write_speakers(model, data_dir, assets),
        traits=format_traits(_read_traits(model, faces_dir, predictions)),
        metrics=compute_metrics(predictions, angle["cos_deg"]["mean"]),
        n_people=len(set(predictions.speaker_ids)),
        n_clips=len(predictions.clip_ids),
        loss_curves=f"{ASSETS_DIR}/loss.png",
        label=LABEL,
    )
    path = root / "index.html"
    files.write_atomically(path, page.encode())
    return path


def compute_metrics(predictions: Predictions, angle_degrees: float) -> list[Metric]:
    """Computes how often the right person is found, beside chance.

    Args:
      predictions: predictions for unseen people.
      angle_degrees: mean angle of predicted and true features.
    """
    ranks, n_people = person_ranks(predictions)
    found = {k: (ranks <= k).astype(float) for k in (1, 3, 5) if k < n_people}
    rows = [
        Metric(
            f"the person is among the first {k} of {n_people}"
            if k > 1
            else f"the person is the first of {n_people}",
            f"{hits.mean():.0%}",
            _percent(results.interval(hits, predictions.speaker_ids)),
            f"{k / n_people:.0%}",
        )
        for k, hits in found.items()
    ]
    # Random directions in many dimensions are orthogonal.
    angle = Metric(
        "angle of predicted and true feature", f"{angle_degrees:.0f}°", "", "90°"
    )
    return [*rows, angle]


def format_traits(measures: Sequence[TraitMeasure]) -> list[Metric]:
    """The table of what voice and face tell of each trait."""
    return [
        Metric(
            one.name.replace("_", " ") + ("" if one.is_told else " (not in the voice)"),
            f"{one.voice:.2f}",
            "{:.2f} to {:.2f}".format(*one.interval) if one.interval else "",
            f"{one.face:.2f}",
        )
        for one in measures
    ]


def _percent(interval: tuple[float, float] | None) -> str:
    return "{:.0%} to {:.0%}".format(*interval) if interval else ""


def _read_traits(
    model: Speech2Face, faces_dir: pathlib.Path, predictions: Predictions
) -> list[TraitMeasure]:
    examples = list(iterate_face_examples(faces_dir, "train"))
    raw = np.stack([example.face_feature for example in examples])
    features = model.decoder.normalizer.normalize(raw)
    return read_traits(features, [example.labels for example in examples], predictions)


def _write_speakers(
    model: Speech2Face, data_dir: pathlib.Path, assets: pathlib.Path
) -> list[Speaker]:
    examples = _one_clip_a_speaker(data_dir)
    normalize = model.decoder.normalizer.normalize
    true = np.stack([normalize(example.face_feature) for example in examples])
    voice = model.voice_features([example.waveform for example in examples])
    shown = zip(examples, model.faces(true), model.faces(voice))
    return [
        _write_speaker(
            assets,
            index,
            example,
            {
                "true face": Image.fromarray(images.decode_image(example.face_jpeg)),
                "face from the face": f2f.image,
                "face from the voice": s2f.image,
            },
        )
        for index, (example, f2f, s2f) in enumerate(shown)
    ]


def _write_speaker(
    assets: pathlib.Path,
    index: int,
    example: VoiceExample,
    faces: Mapping[str, Image.Image],
) -> Speaker:
    soundfile.write(assets / f"{index}.wav", example.waveform, SAMPLE_RATE_HZ)
    told, untold = _describe(example.labels)
    name = f"speaker {index + 1} ({told})"
    pictures = []
    for column, (kind, face) in enumerate(faces.items()):
        file_name = f"{index}_{column}.png"
        face.save(assets / file_name)
        pictures.append((f"{name}: {kind}", f"{ASSETS_DIR}/{file_name}"))
    return Speaker(told, untold, f"{ASSETS_DIR}/{index}.wav", pictures)


def _describe(labels: Mapping[str, str]) -> tuple[str, str]:
    """The traits that a voice depends on, and those that it does not."""
    gender = {"female": "woman", "male": "man"}.get(labels.get("gender", ""), "person")
    parts = [gender]
    if "age" in labels:
        parts.append(labels["age"])
    if "body_size" in labels:
        parts.append(f"{labels['body_size']} build")
    return ", ".join(parts), f"{labels['skin']} skin" if "skin" in labels else ""


def _one_clip_a_speaker(data_dir: pathlib.Path) -> list[VoiceExample]:
    """The first clips, each of another speaker; women and men take turns."""
    first: dict[str, VoiceExample] = {}
    for example in iterate_voice_examples(data_dir, "test"):
        first.setdefault(example.speaker_id, example)
    by_gender: dict[str, list[VoiceExample]] = {}
    for example in first.values():
        by_gender.setdefault(example.labels.get("gender", ""), []).append(example)
    turns = itertools.zip_longest(*(by_gender[name] for name in sorted(by_gender)))
    return [example for turn in turns for example in turn if example][:N_SHOWN]


def _draw_losses(runs: Mapping[str, pathlib.Path]) -> bytes:
    figure = plots.figure(10, 3.5)
    axes = figure.subplots(1, len(runs))
    for axis, (title, run_dir) in zip(axes, runs.items()):
        entries = read_log(run_dir)
        for kind, style in (("train", "-"), ("validation", "o--")):
            points = [(e["step"], e["total"]) for e in entries if e["kind"] == kind]
            if points:
                label = {"train": "people it learns from", "validation": "other people"}
                axis.plot(*zip(*points), style, label=label[kind], markersize=3)
        axis.set(title=title, xlabel="iteration", ylabel="loss")
        axis.legend()
    return plots.to_png(figure)
