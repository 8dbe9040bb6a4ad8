"""The demo's commands in order, and its page."""

import dataclasses
import html.parser
import importlib.util
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments import demo
from experiments.lib import demo_measures, demo_page
from experiments.lib.commands import run
from speech2face.data import dataset_info, records
from speech2face.errors import UserError
from speech2face.inference import evaluation
from speech2face.inference.model import Speech2Face
from speech2face.training import summaries
from tests.helpers import tiny_material
from tests.helpers.predictions import predictions
from tests.helpers.records import DIM, face_example
from tests.helpers.tiny_models import make_model

GENDERS = ("female", "male")
SPEAKERS = (("ann", "train"), ("bob", "test"), ("cleo", "val"), ("dan", "test"))


def write_people(folder):
    folder.mkdir(parents=True)
    rows = [f"{name}_0,{name}.mp4,{name},{split}" for name, split in SPEAKERS]
    (folder / "manifest.csv").write_text(
        "\n".join(["clip_id,media,speaker_id,split", *rows])
    )
    for name, _ in SPEAKERS:
        (folder / f"{name}.mp4").write_bytes(b"")


def test_the_commands_come_in_order_and_the_last_hears_the_unseen(tmp_path):
    folders = demo.Folders(tmp_path)
    commands = demo.commands(folders, is_short=True)
    first = next(commands)
    assert first[0] == "data_prep.sample_people"
    write_people(folders.people)  # as that command does
    rest = list(commands)
    assert [command[0] for command in rest] == [
        "data_prep.build_decoder_tfrecords",
        "data_prep.build_tfrecords",
        "speech2face.train_face_decoder",
        "speech2face.train",
        "speech2face.evaluate",
        "speech2face.reconstruct",
    ]
    (audio,) = (flag for flag in rest[-1] if flag.startswith("--audio="))
    paths = audio.partition("=")[2].split(",")
    assert [pathlib.Path(path).stem for path in paths] == ["bob", "dan"]
    for flag in (flag for command in rest for flag in command[1:]):
        if flag.startswith("--flagfile="):
            assert pathlib.Path(flag.partition("=")[2]).is_file()


def test_a_command_that_fails_ends_the_demo(capfd):
    with pytest.raises(UserError, match=r"^speech2face.train ended with status 1"):
        run(["speech2face.train", "--no_such_flag"])
    assert "$ python -m speech2face.train --no_such_flag" in capfd.readouterr().out


def test_a_demo_that_is_terminated_takes_its_command_along(tmp_path):
    (tmp_path / "waits.py").write_text(
        "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"
    )
    code = "from experiments.lib.commands import run; run(['waits'])"
    with subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path,
    ) as demo_process:  # fmt: skip
        lines = iter(demo_process.stdout.readline, "")
        command = next(int(line) for line in lines if line.strip().isdigit())
        demo_process.terminate()
        errors = demo_process.communicate(timeout=60)[1]
    assert f"waits ended with status {-signal.SIGTERM}; see above" in errors
    with pytest.raises(ProcessLookupError):
        os.kill(command, 0)


class PageParser(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.sources, self.cells, self.rows = [], [], 0

    def handle_starttag(self, tag, attributes):
        self.sources += [value for name, value in attributes if name == "src"]
        self.rows += tag == "tr"

    def handle_data(self, text):
        self.cells += [text.strip()] if text.strip() else []


def write_faces(folder):
    """Six faces of training people, of both genders and several ages."""
    examples = [
        dataclasses.replace(
            face_example(index),
            labels={
                "gender": ("female", "male")[index % 2],
                "age": str(20 + 9 * index),
            },
        )
        for index in range(6)
    ]
    serialized = list(map(records.encode_face_example, examples))
    info = dataset_info.DatasetInfo(
        kind="face",
        recognizer=dataset_info.RecognizerInfo("dlib", DIM, "0" * 64),
        config={},
        splits={"train": records.write_shards(folder, "train", serialized, 1)},
        feature_statistics=dataset_info.FeatureStatistics.measure(
            np.stack([e.face_feature for e in examples])
        ),
        mean_landmarks=examples[0].landmarks.tolist(),
    )
    dataset_info.write(folder, info)


@pytest.mark.slow
def test_the_page_shows_voices_faces_and_metrics(tmp_path):
    data_dir, run_dir = tmp_path / "voices", tmp_path / "run"
    tiny_material.write_dataset(data_dir, splits=("test",))
    write_faces(tmp_path / "faces")
    make_model().save(run_dir)
    log = [{"kind": "train", "step": step, "total": 9.0 - step} for step in (1, 2)]
    (run_dir / summaries.SUMMARY_DIR).mkdir()
    (run_dir / summaries.SUMMARY_DIR / summaries.LOG_FILE).write_text(
        "".join(json.dumps(e) + "\n" for e in log)
    )
    model = Speech2Face.load(run_dir)
    evaluation.evaluate(model, data_dir, "test", tmp_path / "evaluation")
    page = demo_page.write(
        tmp_path,
        data_dir=data_dir,
        faces_dir=tmp_path / "faces",
        decoder_run=run_dir,
        voice_run=run_dir,
        evaluation=tmp_path / "evaluation",
    )
    parser = PageParser()
    parser.feed(page.read_text())
    n_speakers = tiny_material.N_CLIPS // 2
    assert parser.sources[:4] == ["page/0.wav", *(f"page/0_{k}.png" for k in range(3))]
    assert len(parser.sources) == 4 * n_speakers + 1
    assert all((tmp_path / source).is_file() for source in parser.sources)
    # Speakers; gender and age; first and first three of four people, and the angle.
    assert parser.rows == (1 + n_speakers) + (1 + 2) + (1 + 3)
    text = " ".join(parser.cells)
    assert "the person is the first of 4" in text and "25%" in parser.cells
    told = [cell for cell in parser.cells if cell.startswith(("woman,", "man,"))]
    # Clips 0, 2, 4 and 6 are the first of their speakers; women and men take turns.
    assert told == ["woman, 20", "man, 32", "woman, 44", "man, 56"]
    # The true face of the first speaker is the photograph of the record.
    red, green, blue = Image.open(tmp_path / "page" / "0_0.png").getpixel((112, 112))
    assert abs(red - 40) < 4 and abs(green - 120) < 4 and abs(blue - 200) < 4


def test_another_picture_of_the_right_person_is_right():
    """Three people of two clips; by hand."""
    faces = [[1, 0], [0.9, 0.1], [0, 1], [-0.2, 1], [-1, 0], [-1, -0.2]]
    voices = [[0, 1], [1, 0.1], [0.1, 1], [-0.2, 1], [1, 1], [-1, 0]]
    ranks, n_people = demo_measures.person_ranks(predictions(faces, voices))
    # Clip 0 is nearest to the second person, then to itself; clip 4 is the farthest.
    assert ranks.tolist() == [2, 1, 1, 1, 3, 1] and n_people == 3
    same = predictions([[1, 0]] * 6, voices)
    assert demo_measures.person_ranks(same)[0].tolist() == [2] * 6  # the mean of 1 to 3


def test_metrics_beside_chance():
    faces = [[1, 0], [0.9, 0.1], [0, 1], [-0.2, 1], [-1, 0], [-1, -0.2]]
    found = demo_page.compute_metrics(predictions(faces, faces), 61.24)
    assert found[0] == ("the person is the first of 3", "100%", "100% to 100%", "33%")
    assert found[-1] == ("angle of predicted and true feature", "61°", "", "90°")


def test_a_trait_that_the_voice_has_is_read_and_another_is_not():
    random = np.random.default_rng(0)
    features = random.normal(size=(400, 6))
    ages = np.round(40 + 8 * features[:, 0]).astype(int)
    tones = np.digitize(features[:, 1], [-0.43, 0.43])
    labels = [
        {"age": str(age), "skin": ("light", "medium", "dark")[tone]}
        for age, tone in zip(ages, tones)
    ]
    voices = features[300:] * (1, 0, 1, 1, 1, 1) + random.normal(0, 0.2, (100, 6))
    unseen = dataclasses.replace(
        predictions(features[300:], voices), labels=labels[300:]
    )
    age, skin = demo_measures.read_traits(features[:300], labels[:300], unseen)
    assert (age.name, age.is_told, skin.name, skin.is_told) == ("age", 1, "skin", 0)
    assert age.voice > 0.9 and age.interval[0] > 0.85 and age.face > 0.98
    assert abs(skin.voice) < 0.25 and skin.face > 0.85


@pytest.mark.parametrize("is_short", [True, False])
def test_time_disk_and_memory_are_said_before_it_starts(
    is_short, tmp_path, monkeypatch, capsys
):
    def fail(command):
        raise UserError(f"{command[0]} is not run here")

    monkeypatch.setattr(demo, "run", fail)
    with pytest.raises(UserError, match="sample_people"):
        demo.main(demo.DemoOptions(str(tmp_path), is_short))
    said = capsys.readouterr().out
    assert said.startswith("7 steps take about ")
    for word in ("minutes", "GB of disk", "GB of memory", "[1 of 7] generate people"):
        assert word in said
    assert len(demo.STEPS) == 7


def test_what_comes_next_can_be_run_as_printed(tmp_path):
    lines = demo._what_next(demo.Folders(tmp_path)).splitlines()
    printed = [shlex.split(line)[2:] for line in lines if "python -m" in line]
    for module, *flags in printed:
        source = importlib.util.find_spec(module).origin
        assert pathlib.Path(source).is_file()
        for flag in flags:
            assert str(tmp_path) in flag
    assert len(printed) == 3
