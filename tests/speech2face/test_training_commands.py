"""The training commands look at their folders before TensorFlow is imported."""

import subprocess
import sys

import pytest

from tests.helpers.records import write_voice_dataset

# Runs a command, then says whether it has imported TensorFlow.
SCRIPT = """
import runpy, sys
try:
    runpy.run_module(sys.argv.pop(1), run_name="__main__", alter_sys=True)
finally:
    print("tensorflow" in sys.modules)
"""


@pytest.fixture(scope="module")
def voices(tmp_path_factory):
    folder = tmp_path_factory.mktemp("commands") / "voices"
    write_voice_dataset(folder, n=4, n_shards=1)
    return folder


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A run whose data set is elsewhere now."""
    folder = tmp_path_factory.mktemp("commands") / "run"
    folder.mkdir()
    (folder / "run.json").write_text('{"data_dir": "/moved", "must_match": {}}')
    return folder


@pytest.mark.parametrize(
    "command, arguments, message",
    [
        (
            "speech2face.train",
            ["--data_dir={folder}", "--decoder_dir={folder}", "--run_dir={folder}/run"],
            "is not a data set",
        ),
        (
            "speech2face.train",
            ["--data_dir={voices}", "--decoder_dir={folder}", "--run_dir={folder}/run"],
            "is not a face decoder",
        ),
        (
            "speech2face.train",
            ["--data_dir={voices}", "--decoder_dir=nowhere", "--run_dir={folder}/run"],
            "--decoder_dir=nowhere: no such file or folder",
        ),
        (
            "speech2face.train_face_decoder",
            ["--data_dir={voices}", "--run_dir={folder}/run"],
            "holds voice records, expected face",
        ),
        (
            "speech2face.calibrate_loss",
            ["--run_dir={folder}"],
            "is not a run folder",
        ),
        (
            "speech2face.calibrate_loss",
            ["--run_dir={moved}"],
            "was last trained on /moved, where no data set is now; give its new place",
        ),
    ],
)
def test_a_wrong_folder_is_reported_at_once(
    command, arguments, message, voices, moved, tmp_path
):
    places = {"folder": tmp_path, "voices": voices, "moved": moved}
    arguments = [one.format(**places) for one in arguments]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, command, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ") and message in line
    assert done.stdout == "False\n"
    assert list(tmp_path.iterdir()) == []
