"""Kills every job at random moments, and compares what it ends with.

Each job runs once undisturbed and then with `n_kills` SIGKILLs, each followed by the
same command again. The files must be those of the undisturbed run.
"""

import dataclasses
import json
import os
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import numpy as np

from experiments.benchmarks import scenes
from tests.campaigns.cases import Report
from tests.campaigns.killed_command import Request
from tests.helpers import video_server
from tests.helpers.damaged_media import write_clip
from tests.helpers.paths import REPOSITORY

Content = dict[str, object]  # what must be equal, by name
_TF = ["numpy", "keras", "tensorflow"]


@dataclasses.dataclass(frozen=True)
class Job:
    """A command to kill.

    Attributes:
      module: of the command.
      arguments: of the command.
      preload: what is imported before the forks.
      content: reads what must be equal in two output folders.
    """

    module: str
    arguments: list[str]
    preload: list[str]
    content: Callable[[pathlib.Path], Content]


def run(
    folder: pathlib.Path, seed: int, n_kills: int, only: str = ""
) -> Iterator[Report]:
    """Yields the report of each job."""
    with video_server.serve() as site:
        for name, prepare in JOBS.items():
            if only in name:
                (folder / name).mkdir()
                job = prepare(folder / name, site)
                yield kill(name, job, folder / name / "out", seed, n_kills)


def kill(name: str, job: Job, output: pathlib.Path, seed: int, n_kills: int) -> Report:
    """Kills one job `n_kills` times; each kill is a case."""
    report = Report(f"kills of {name}")
    request = Request(
        job.module, job.arguments, job.preload, str(output), n_kills, seed, 5.0
    )
    errors = output.parent / "errors.txt"
    with errors.open("w") as file:
        done = subprocess.run(
            [sys.executable, "-m", "tests.campaigns.killed_command"],
            input=json.dumps(dataclasses.asdict(request)) + "\n",
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
            cwd=REPOSITORY,
            env={
                **os.environ,
                "TF_ENABLE_ONEDNN_OPTS": "0",
                "TF_CPP_MIN_LOG_LEVEL": "3",
            },
            check=False,
        )
    runs = [json.loads(s) for s in done.stdout.splitlines() if s.startswith('{"run"')]
    failure = _compare(job, output, runs)
    if failure:
        failure += "\n" + errors.read_text(errors="replace")[-1500:]
    # Those that were made: a run that fails ends the job.
    n_made = max(1, sum(run["status"] == -signal.SIGKILL for run in runs))
    for number in range(n_made):
        report.add(number, failure if number == n_made - 1 else "")
    n_finished = len(list(output.parent.glob("out-[0-9]*")))
    report.notes = f"and {n_finished} that ended before their kill"
    return report


def _compare(job: Job, output: pathlib.Path, runs: list[dict]) -> str:
    if not runs or runs[-1]["status"] != 0:
        return f"the last run ended with {runs[-1:]}"
    expected = job.content(pathlib.Path(f"{output}-whole"))
    for folder in [output, *output.parent.glob("out-[0-9]*")]:
        found = job.content(folder)
        different = [n for n in expected.keys() | found if _differ(expected, found, n)]
        if different or not expected:
            pairs = [
                f"{name} ({_size(expected, name)}, {_size(found, name)})"
                for name in sorted(different)[:5]
            ]
            return f"{folder.name} differs in (sizes of both): {', '.join(pairs)}"
        left = [p for p in folder.rglob(".*") if p.name.endswith((".tmp", ".lock"))]
        if left:
            return f"{folder.name} holds {left[:5]}"
    return ""


def _differ(one: Content, two: Content, name: str) -> bool:
    return (
        name not in one or name not in two or not np.array_equal(one[name], two[name])
    )


def _size(content: Content, name: str) -> str:
    if name not in content:
        return "absent"
    value = content[name]
    return f"{len(value) if isinstance(value, (bytes, str)) else np.size(value)}"


# What each job ends with.


def files_but(*left_out: str) -> Callable[[pathlib.Path], Content]:
    """Returns a reader of all files but those with durations in them."""

    def read(folder: pathlib.Path) -> Content:
        paths = [p for p in folder.rglob("*") if p.is_file() and p.name not in left_out]
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(paths)}

    return read


def weights_and_log(folder: pathlib.Path) -> Content:
    """Reads the newest checkpoint, and the losses of every logged iteration."""
    from speech2face.training import summaries
    from tests.helpers.tiny_models import final_values

    logged = [
        (e["kind"], e["step"], e["total"])
        for e in summaries.read_log(folder)
        if "total" in e
    ]
    return {**final_values(folder), "log": np.array(sorted(set(logged)))}


def predictions(folder: pathlib.Path) -> Content:
    """Reads what `evaluate` writes, without its duration."""
    metrics = json.loads((folder / "metrics.json").read_text())
    del metrics["secs"]
    with np.load(folder / "predictions.npz") as arrays:
        content: Content = {name: arrays[name] for name in arrays.files}
    return {**content, "metrics": json.dumps(metrics)}


# How each job is started.


def _voice_training(folder: pathlib.Path, site) -> Job:
    from tests.helpers.records import write_voice_dataset
    from tests.helpers.tiny_models import make_decoder

    write_voice_dataset(folder / "voices", n=13, n_shards=3, splits=("train", "val"))
    make_decoder().save(folder / "decoder")
    arguments = [
        f"--data_dir={folder}/voices",
        f"--decoder_dir={folder}/decoder",
        "--run_dir={out}",
        *(
            "--clip_secs=2.7",
            "--width=0.015625",
            "--head_dropout=0.2",
            "--batch_size=4",
        ),
        *("--epochs=6", "--save_every=2", "--summarize_every=1", "--validate_every=5"),
    ]
    return Job("speech2face.train", arguments, _TF, weights_and_log)


def _decoder_training(folder: pathlib.Path, site) -> Job:
    from tests.helpers.face_datasets import write_noise_faces, write_small_vgg_face

    (folder / "faces").mkdir()
    write_small_vgg_face(str(folder / "vgg.h5"))
    write_noise_faces(folder / "faces", str(folder / "vgg.h5"))
    arguments = [
        f"--data_dir={folder}/faces",
        "--run_dir={out}",
        f"--vgg_face_weights={folder}/vgg.h5",
        *("--decoder_units=8", "--landmark_units=4", "--texture_channels=4,4,4,4,4"),
        *("--batch_size=3", "--epochs=8", "--save_every=2", "--summarize_every=1"),
        "--validate_every=0",
    ]
    return Job("speech2face.train_face_decoder", arguments, _TF, weights_and_log)


def _voice_records(folder: pathlib.Path, site) -> Job:
    rows = ["clip_id,media,speaker_id,start_secs"]
    for index in range(2):
        picture = scenes.draw(240, 320, 95, index).picture
        write_clip(folder / f"{index}.mp4", [picture], secs=4.0)
    rows += [f"c{i},{i % 2}.mp4,{i // 3},{i / 10}" for i in range(16)]
    rows += ["late,0.mp4,late,9", "none,none.mp4,none,0"]
    (folder / "clips.csv").write_text("\n".join(rows) + "\n")
    arguments = [f"--manifest={folder}/clips.csv", "--output_dir={out}"]
    return Job("data_prep.build_tfrecords", arguments + _BUILDER, _TF, _RECORDS)


def _face_records(folder: pathlib.Path, site) -> Job:
    from data_prep.sample import photographs
    from data_prep.sample.traits import draw_people

    (folder / "faces").mkdir()
    rows = ["clip_id,face,speaker_id"]
    for person in draw_people(4, 0):
        paths = photographs.write_photographs(person, 2, 0, folder).photographs
        rows += [f"{pathlib.Path(p).stem},{p},{person.speaker_id}" for p in paths]
    (folder / "faces.csv").write_text("\n".join(rows) + "\n")
    arguments = [f"--manifest={folder}/faces.csv", "--output_dir={out}"]
    arguments += ["--n_morphs=4", *_BUILDER]
    return Job("data_prep.build_decoder_tfrecords", arguments, _TF, _RECORDS)


def _downloads(folder: pathlib.Path, site) -> Job:
    for index in range(3):
        write_clip(
            folder / "clip.mp4", [scenes.draw(240, 320, 95, index).picture], secs=6
        )
        site.videos[f"video{index}"] = (folder / "clip.mp4").read_bytes()
    site.videos["whole"] = site.videos["video0"]
    site.behavior["whole"] = video_server.without_ranges
    rows = [
        f"{name},{t},{t + 2},0.5,0.5" for name in site.videos for t in (0, 1.2, 3.1)
    ]
    (folder / "list.csv").write_text("\n".join([*rows, "gone,1,2,0.5,0.5"]) + "\n")
    arguments = [
        f"--csv={folder}/list.csv",
        "--output_dir={out}",
        f"--url_template={site.url}{{id}}",
        *("--secs_between_videos=0", "--n_threads=2", "--n_retries=1"),
        "--backoff_secs=0.1",
    ]
    preload = ["numpy", "av", "yt_dlp"]
    content = files_but("status.sqlite", "status.sqlite-journal", ".speech2face")
    return Job("data_prep.download_avspeech", arguments, preload, content)


def _evaluation(folder: pathlib.Path, site) -> Job:
    from tests.helpers.records import write_voice_dataset
    from tests.helpers.tiny_models import make_model

    write_voice_dataset(folder / "voices", n=30, n_shards=3, splits=("test",))
    make_model().save(folder / "model")
    arguments = [
        f"--data_dir={folder}/voices",
        f"--run_dir={folder}/model",
        *("--output_dir={out}", "--clip_secs=2.7"),
    ]
    return Job("speech2face.evaluate", arguments, _TF, predictions)


def _export(folder: pathlib.Path, site) -> Job:
    from tests.helpers.tiny_models import make_model

    make_model().save(folder / "model")
    arguments = [f"--run_dir={folder}/model", "--output_dir={out}"]
    content = files_but("exports.json", "exports.md")  # they have times
    arguments.append("--formats=bundle,tflite")
    return Job("speech2face.export", arguments, _TF, content)


_BUILDER = ["--recognizer=dlib", "--n_shards=2", "--clips_per_chunk=2", "--n_workers=1"]
_RECORDS = files_but("report.json")
JOBS: dict[str, Callable[..., Job]] = {
    "voice training": _voice_training,
    "decoder training": _decoder_training,
    "voice records": _voice_records,
    "face records": _face_records,
    "downloads": _downloads,
    "evaluation": _evaluation,
    "export": _export,
}
