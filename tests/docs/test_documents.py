"""What README and docs/ print works as printed, from an installed wheel; links lead."""

import itertools
import json
import os
import runpy
import shutil
import subprocess
import sys
import sysconfig
import venv

import keras
import numpy as np
import pytest
import soundfile
import tensorflow as tf
from absl import flags
from PIL import Image

from data_prep.sample import dataset as sample_dataset
from speech2face import options
from speech2face.options import define_flags
from tests.helpers.documents import (
    DOCUMENTS,
    EXECUTED,
    LINKING_DOCUMENTS,
    blocks,
    broken_links,
    commands,
    inline_commands,
)
from tests.helpers.paths import REPOSITORY

EXAMPLES = REPOSITORY / "speech2face" / "examples"

# Flags after those that README prints, so that its commands take seconds. The records
# of a folder of videos are built by as many worker processes as there are cores.
SMALLER = {
    "data_prep.sample_people": ["--n_people=6", "--n_silent_people=5"],
    "data_prep.build_decoder_tfrecords": ["--n_workers=1"],
    "data_prep.build_tfrecords --manifest=demo": ["--n_workers=1"],
    "speech2face.train_face_decoder": [
        "--epochs=1",
        "--texture_channels=8,8,8,8,8",
        "--texture_components=4",
    ],
    "speech2face.train": ["--epochs=1", "--width=0.03125"],
    "experiments.run_all": ["--n_examples=8"],
}
# Commands that need what is not here, and what runs them instead.
RUN_ELSEWHERE = {
    "data_prep.download_avspeech": "test_download_avspeech, from a local server",
    "data_prep.build_tfrecords --layout=avspeech": "test_layouts",
    "data_prep.build_tfrecords --layout=voxceleb": "test_layouts",
    "experiments.benchmarks.run": "test_benchmarks, in small",
    "speech2face.app": "test_app, in Chromium",
    "speech2face.export --run_dir=demo/runs/voice --output_dir=exported": "exports",
    "speech2face.import_vgg_face": "test_import_vgg_face",
}
# What the Python examples leave to the reader.
READERS_PART = """
import numpy as np
from speech2face.audio.decoding import load_waveform
everything = load_waveform("my_voice.wav", sample_rate_hz=48_000)
microphone = np.array_split(everything, 20)
"""


def declared_flags(module):
    """The flags of a command, defined as it defines them but apart from others'."""
    taken = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(options, "run_command", lambda main, *types: taken.extend(types))
        patch.delitem(sys.modules, module, raising=False)  # or runpy warns of a copy
        runpy.run_module(module, run_name="__main__")
    values = flags.FlagValues()
    for config_type in taken:
        define_flags(config_type, values)
    return values


def ours(printed):
    """Those of the commands that belong to this project."""
    packages = ("speech2face", "data_prep", "experiments")
    return [words for words in printed if words[0].split(".")[0] in packages]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_printed_command_takes_its_flags(document, monkeypatch):
    monkeypatch.chdir(REPOSITORY)  # for --flagfile=configs/...
    for words in ours(commands(document)):
        assert declared_flags(words[0])(words) == words[:1], words
    for module, *arguments in ours(inline_commands(document)):
        names = set(declared_flags(module))
        assert {word.split("=")[0].lstrip("-") for word in arguments} <= names, module


@pytest.mark.parametrize("document", LINKING_DOCUMENTS)
def test_every_link_leads_to_a_file_and_a_heading(document):
    assert not broken_links(document)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The python of an environment that has the wheel, and else what this one has."""
    folder = tmp_path_factory.mktemp("installed")
    source = folder / "source"  # pip writes its build folders beside setup.py
    shutil.copytree(
        REPOSITORY, source, ignore=shutil.ignore_patterns(".*", "build", "*.egg-info")
    )
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    (site,) = environment.glob("lib/python*/site-packages")
    # Only the folder: the .pth files in it, such as an editable install, do not count.
    (site / "shared.pth").write_text(sysconfig.get_path("purelib") + "\n")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"]
    target = [f"--target={site}", "--no-build-isolation", str(source)]
    subprocess.run([*pip, *target], check=True)
    return environment / "bin" / "python"


@pytest.fixture(scope="module")
def own_people(tmp_path_factory):
    """A few generated people: what a reader brings."""
    folder = tmp_path_factory.mktemp("own")
    sample_dataset.generate(sample_dataset.SampleConfig(3, 1, 1), folder)
    return folder


@pytest.fixture
def reader(tmp_path, installed, own_people):
    """The folder of somebody who has cloned, installed, and brought some media."""
    shutil.copytree(EXAMPLES, tmp_path / "speech2face" / "examples")
    waveform, rate_hz = soundfile.read(EXAMPLES / "woman_27.ogg")
    soundfile.write(tmp_path / "my_voice.wav", waveform, rate_hz)
    shutil.copytree(own_people / "media", tmp_path / "videos")
    shutil.copytree(own_people / "media", tmp_path / "recordings")
    shutil.copytree(own_people / "faces", tmp_path / "photographs")
    face = next((own_people / "faces").glob("*_0.png"))
    Image.open(face).save(tmp_path / "photo.jpg")
    return tmp_path


def is_start_of(name, words):
    """Whole words, but the last may go on: `--manifest=demo` and `/people.csv`."""
    return words[0] == name.split()[0] and " ".join(words).startswith(name)


def runs_elsewhere(words):
    return any(is_start_of(name, words) for name in RUN_ELSEWHERE)


def smaller(words):
    more = [flags for name, flags in SMALLER.items() if is_start_of(name, words)]
    return [*words, *itertools.chain(*more)]


@pytest.mark.rehearsal
@pytest.mark.slow
def test_the_readme_from_top_to_bottom(reader, installed):
    """Its commands, then those of the tutorials, each on what those before it made.

    From the wheel, without the repository: `configs` is in the package.
    """
    lines = [
        json.dumps(smaller(words))
        for document in EXECUTED
        for words in ours(commands(document))
        if not runs_elsewhere(words)
    ]
    result = subprocess.run(
        [installed, REPOSITORY / "tests" / "helpers" / "fork_server.py"],
        input="\n".join(lines),
        cwd=reader,
        env={
            **os.environ,
            "PYTHONPATH": "",
            "PYTHONSAFEPATH": "1",
            "TF_ENABLE_ONEDNN_OPTS": "1",  # as the training commands choose it
        },
        text=True,
        capture_output=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]


@pytest.mark.rehearsal
def test_the_python_examples(monkeypatch, reader):
    """Of README and of the first tutorial; test_exports runs those of exporting."""
    monkeypatch.chdir(reader)
    names = {}
    exec(READERS_PART, names)
    for document in ("README.md", "docs/tutorials/your_voice.md"):
        for block in blocks(document, "python"):
            exec(block, names)
    whole = names["model"](names["everything"], 48_000)
    assert names["results"][0].image.size == whole.image.size == (224, 224)
    np.testing.assert_allclose(names["result"].feature, whole.feature, atol=1e-3)


def test_the_recognizer_of_the_guide(tmp_path):
    """With a network whose feature is the mean color, which is known."""
    (block,) = blocks("docs/adding_a_recognizer.md", "python")
    names = {}
    exec(block, names)
    mean_color = keras.Sequential(
        [keras.Input([112, 112, 3]), keras.layers.GlobalAveragePooling2D()]
    )
    mean_color.save(tmp_path / "net.keras")
    recognizer = names["KerasRecognizer"](str(tmp_path / "net.keras"))
    colors = np.random.default_rng(0).integers(0, 256, [40, 1, 1, 3], np.uint8)
    crops = np.broadcast_to(colors, [40, 224, 224, 3])
    features = recognizer.features(crops)
    np.testing.assert_allclose(features, colors[:, 0, 0] / 127.5 - 1, atol=1e-3)
    assert (recognizer.feature_dim, features.dtype) == (3, np.float32)
    image = tf.Variable(crops[:1].astype(np.float32))
    with tf.GradientTape() as tape:
        red = recognizer.canonical_features(image)[0, 0]
    # All of red's gradient is in the middle that the network sees.
    np.testing.assert_allclose(
        tf.reduce_sum(tape.gradient(red, image)), 1 / 127.5, 1e-4
    )


@pytest.mark.parametrize("page", ["avspeech_copies", "hq_voxceleb", "voxceleb"])
def test_the_page_of_a_data_set_says_what_one_asks_first(page):
    text = (REPOSITORY / "docs" / "data" / f"{page}.md").read_text()
    for word in ("Where", "License", "Size", "What comes out"):
        assert f"**{word}.**" in text
    assert list(commands(f"docs/data/{page}.md"))
