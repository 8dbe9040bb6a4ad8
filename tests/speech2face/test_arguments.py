"""Commands look at their arguments before they import TensorFlow."""

import subprocess
import sys

import pytest

from tests.helpers.paths import REPOSITORY

SCRIPT = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
finally:
    print(*[name for name in ("tensorflow", "keras") if name in sys.modules])
"""
# In a folder with a file `a.wav`, an empty folder `empty`, and `text/config.json`,
# which is not the config of a model.
MISTAKES = [
    (
        "evaluate --data_dir=gone --output_dir=out",
        "--data_dir=gone: no such file or folder",
    ),
    ("evaluate --data_dir=empty --output_dir=out", "empty is not a data set"),
    (
        "evaluate --data_dir=empty --output_dir=out --clip_secs=0",
        "--clip_secs=0.0: expected",
    ),
    ("evaluate --data_dir=empty --output_dir=out --n_examples=-1", "--n_examples=-1"),
    ("evaluate --output_dir=out", "--data_dir is required; see --help"),
    (
        "reconstruct --audio=a.wav,gone.wav --output_dir=out",
        "--audio=gone.wav: no such file or folder",
    ),
    ("reconstruct --audio=empty --output_dir=out", "--audio=empty is a folder"),
    ("reconstruct --audio= --output_dir=out", "give --audio, or two recordings"),
    (
        "reconstruct --between=a.wav --output_dir=out",
        "--between=a.wav: expected two recordings",
    ),
    (
        "reconstruct --audio=a.wav --model_dir=empty --output_dir=out",
        "empty is not a run folder or a bundle (no config.json)",
    ),
    (
        "reconstruct --audio=a.wav --model_dir=text --output_dir=out",
        "text/config.json is not JSON",
    ),
    ("retrieve --gallery=empty --output_dir=out", "give either --audio or --face"),
    (
        "retrieve --gallery=a.wav --audio=a.wav --output_dir=out",
        "--gallery=a.wav is a file; expected a folder",
    ),
    (
        "retrieve --gallery=empty --audio=a.wav --top_k=0 --output_dir=out",
        "--top_k=0: expected an integer from 1 to",
    ),
    (
        "retrieve --gallery=empty --face=gone.jpg --output_dir=out",
        "--face=gone.jpg: no such file or folder",
    ),
    (
        "reconstruct --audio=a.wav --output_dir=link",
        "--output_dir=link is a link to a folder that does not exist",
    ),
]


@pytest.mark.parametrize(("command", "message"), MISTAKES)
def test_a_wrong_argument_is_one_line_without_tensorflow(command, message, tmp_path):
    (tmp_path / "a.wav").write_text("a")
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text/config.json").write_text("hello")
    (tmp_path / "link").symlink_to("nowhere")
    name, *arguments = command.split()
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"speech2face.{name}", *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout.strip() == ""  # the heavy packages that were imported
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert message in result.stderr
    assert not (tmp_path / "out").exists()
