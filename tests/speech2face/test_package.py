"""The package as a user imports it: names, version, and types."""

import importlib.metadata
import json
import re
import runpy
import subprocess
import sys

import pytest

import speech2face
from tests.helpers.paths import REPOSITORY

USER_SCRIPT = """
import pathlib
from typing import List

import numpy as np
from PIL import Image

from speech2face import (
    Result,
    Speech2Face,
    StreamingSpeech2Face,
    __version__,
    load_waveform,
)

version: str = __version__
model = Speech2Face.load("bundle")
model = Speech2Face.load(pathlib.Path("bundle"))
model = Speech2Face.load()
waveform: np.ndarray = load_waveform("voice.wav", end_secs=6.0)
waveform = load_waveform(pathlib.Path("voice.wav"))
one: Result = model(waveform, 16_000)
several: List[Result] = model([waveform, waveform], exaggeration=0.5)
image: Image.Image = one.image
image.save("face.png")
model.save("bundle")
live = StreamingSpeech2Face(model, sample_rate_hz=48_000)
live.push(waveform)
last: Result = live.finish()
"""


def test_the_package_names_what_it_offers():
    for name in speech2face.__all__:
        assert getattr(speech2face, name) is not None
        assert name in dir(speech2face)
    with pytest.raises(AttributeError, match="no attribute 'Speech2Fase'"):
        speech2face.Speech2Fase  # noqa: B018 the access is the test


def test_importing_the_package_imports_nothing_heavy():
    script = (
        "import sys, speech2face\n"
        "print(*[n for n in ('tensorflow', 'keras', 'numpy') if n in sys.modules])"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_one_version():
    version = speech2face.__version__
    citation = (REPOSITORY / "CITATION.cff").read_text()
    assert re.search(r"^version: (.+)$", citation, re.MULTILINE)[1] == version
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split()[-1] == version
    try:
        installed = importlib.metadata.version("speech2face")
    except importlib.metadata.PackageNotFoundError:
        return  # run from a checkout
    assert installed == version


@pytest.mark.slow
def test_a_users_script_type_checks(tmp_path):
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USER_SCRIPT)
    result = type_check(tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.slow
def test_a_users_mistake_does_not_type_check(tmp_path):
    pytest.importorskip("mypy")
    script = "from speech2face import Speech2Face\n\nSpeech2Face.load(3)\n"
    (tmp_path / "user.py").write_text(script)
    result = type_check(tmp_path)
    assert result.returncode == 1
    assert 'incompatible type "int"' in result.stdout


def type_check(folder):
    # Of the package, only what its users see: errors inside it are `make lint`'s.
    command = [sys.executable, "-m", "mypy", "--ignore-missing-imports"]
    command += ["--follow-imports=silent", f"--cache-dir={folder}/cache", "user.py"]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False
    )


def test_a_python_that_it_is_not_for_is_named_at_once(monkeypatch):
    """Else pip resolves, or even compiles, for minutes before it looks at that."""
    (row,) = re.findall(
        r"python: (\[.*\])", (REPOSITORY / ".github/workflows/ci.yml").read_text()
    )
    tried = [tuple(map(int, name.split("."))) for name in json.loads(row)]
    first, last = tried[0], tried[-1]
    assert (
        "Python {}.{} to {}.{}\n".format(*first, *last)
        in (REPOSITORY / "README.md").read_text()
    )
    for wrong in ((3, first[1] - 1), (3, last[1] + 1)):
        monkeypatch.setattr(sys, "version_info", (*wrong, 0))
        said = "speech2face needs Python {}.{} to {}.{}, and this is {}.{};"
        with pytest.raises(SystemExit, match=said.format(*first, *last, *wrong)):
            runpy.run_path(str(REPOSITORY / "setup.py"))
