"""The page at the end of the demo."""

import html
import io
import json
import os
import pathlib
from typing import Dict, List

import numpy as np
import soundfile
from matplotlib.figure import Figure
from PIL import Image

from experiments import demo_job
from speech2face import files, records
from speech2face.evaluation import METRICS_FILE
from speech2face.inference import Speech2Face
from speech2face.reconstruction import LABEL
from speech2face.summaries import read_log

N_SHOWN = 8
ASSETS_DIR = "page"

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto;
       padding: 0 1rem; color: #222; }
table { border-collapse: collapse; } th, td { padding: .3rem .8rem; text-align: left; }
td img { width: 160px; aspect-ratio: 1; border-radius: 6px; display: block; }
tr { border-bottom: 1px solid #ddd; } td.number { text-align: right; }
audio { width: 220px; } img.wide { width: 100%; } .note { color: #595959; }
@media (max-width: 800px) {
  .faces, .faces tbody { display: block; }
  .faces tr { display: grid; grid-template-columns: repeat(3, 1fr); }
  .faces td, .faces th { padding: .3rem; }
  .faces td:first-child { grid-column: 1 / -1; }
  .faces th:first-child { display: none; }
  .faces img, .faces audio { width: 100%; }
}
"""


def write(output_dir: "os.PathLike[str]") -> pathlib.Path:
    """Writes `output_dir`/index.html and its pictures; returns its path.

    The voices are one clip of each of the first test speakers, none picked.
    """
    root = pathlib.Path(output_dir)
    assets = root / ASSETS_DIR
    assets.mkdir(parents=True, exist_ok=True)
    measured = json.loads((root / demo_job.EVALUATION / METRICS_FILE).read_text())
    curves = _loss_curves(root)
    files.write_atomically(assets / "loss.png", curves)
    sections = [
        "<h1>Speech2Face: the demo</h1>",
        "<p>Generated people speak; the model hears a voice it has never heard and "
        "shows the face it expects. Everything on this page was made on this machine "
        "by the commands of the README, from generated media.</p>",
        "<h2>Unseen voices</h2>",
        _face_table(root, assets),
        f'<p class="note">S2F is a {LABEL}. F2F is what the face decoder makes of the '
        "true face: the best that S2F could be.</p>",
        "<h2>How good is it?</h2>",
        _metric_table(measured),
        "<h2>Training</h2>",
        f'<img class="wide" alt="Loss curves" src="{ASSETS_DIR}/loss.png">',
    ]
    body = "\n".join(sections)
    page = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Speech2Face demo</title><style>{_STYLE}</style><body>{body}</body>"
        "</html>\n"
    )
    path = root / "index.html"
    files.write_atomically(path, page.encode())
    return path


def _face_table(root: pathlib.Path, assets: pathlib.Path) -> str:
    model = Speech2Face.load(root / demo_job.VOICE_RUN)
    examples = _one_clip_a_speaker(root / demo_job.VOICES)
    normalize = model.decoder.normalizer.normalize
    true = np.stack([normalize(example.face_feature) for example in examples])
    voice = model.voice_features([example.waveform for example in examples])
    rows = [
        "<tr><th>voice<th>true face<th>from the face (F2F)<th>from the voice (S2F)</tr>"
    ]
    for index, (example, f2f, s2f) in enumerate(
        zip(examples, model.faces(true), model.faces(voice))
    ):
        soundfile.write(
            assets / f"{index}.wav", example.waveform, records.SAMPLE_RATE_HZ
        )
        faces = {
            "true face": Image.fromarray(files.decode_image(example.face_jpeg)),
            "face from the face": f2f.image,
            "face from the voice": s2f.image,
        }
        speaker = f"speaker {index + 1}"
        cells = [
            f'<td><audio controls aria-label="Voice of {speaker}" '
            f'src="{ASSETS_DIR}/{index}.wav"></audio>'
        ]
        for column, (alt, image) in enumerate(faces.items()):
            name = f"{index}_{column}.png"
            image.save(assets / name)
            cells.append(f'<td><img alt="{speaker}: {alt}" src="{ASSETS_DIR}/{name}">')
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return f'<table class="faces">{"".join(rows)}</table>'


def _one_clip_a_speaker(data_dir: pathlib.Path) -> List[records.VoiceExample]:
    first: Dict[str, records.VoiceExample] = {}
    for example in records.iterate_voice_examples(data_dir, "test"):
        first.setdefault(example.speaker_id, example)
    return list(first.values())[:N_SHOWN]


def _metric_table(measured: dict) -> str:
    cos = measured["retrieval"]["cos"]
    angle = measured["feature_similarity"]["cos_deg"]["mean"]
    rows = [("angle between predicted and true feature", f"{angle:.1f}°", "90°")]
    for k in ("1", "5", "10"):
        rows.append(
            (
                f"true face among the first {k} of {measured['n']}",
                f"{cos['recall_strict'][k]:.0%}",
                f"{cos['chance']['recall_strict'][k]:.0%}",
            )
        )
    rows.append(
        (
            "median rank of the true face",
            f"{cos['median_rank']:.0f}",
            f"{(measured['n'] + 1) / 2:.0f}",
        )
    )
    cells = "".join(
        f'<tr><td>{html.escape(name)}<td class="number">{ours}'
        f'<td class="number">{chance}</tr>'
        for name, ours, chance in rows
    )
    return f"<table><tr><th><th>measured<th>chance</tr>{cells}</table>"


def _loss_curves(root: pathlib.Path) -> bytes:
    figure = Figure(figsize=(10, 3.5), layout="constrained")
    axes = figure.subplots(1, 2)
    runs = {"face decoder": demo_job.DECODER_RUN, "voice encoder": demo_job.VOICE_RUN}
    for axis, (title, folder) in zip(axes, runs.items()):
        entries = read_log(root / folder)
        for kind, style in (("train", "-"), ("validation", "o--")):
            points = [(e["step"], e["total"]) for e in entries if e["kind"] == kind]
            if points:
                axis.plot(*zip(*points), style, label=kind, markersize=3)
        axis.set(title=title, xlabel="iteration", ylabel="loss")
        axis.legend()
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return buffer.getvalue()
