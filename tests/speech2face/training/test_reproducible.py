"""One seed decides everything, and run.json says what else did."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest
from tensorflow.python.framework import config as tensorflow_config

from speech2face.artifacts import environment, run_folder
from tests.helpers.tiny_models import assert_bit_identical, log_of, tiny_config, train

MEASURED = "examples_per_sec"


@pytest.fixture
def any_operations_again():
    yield
    tensorflow_config.disable_op_determinism()


@pytest.mark.rehearsal
def test_two_runs_of_one_seed_are_the_same_run(
    folders,
    tmp_path,
    any_operations_again,
):
    config = tiny_config(epochs=0.75, deterministic_ops=True, validate_every=0)
    for name in ("one", "two"):
        train(folders, tmp_path / name, config)
    assert tensorflow_config.is_op_determinism_enabled()
    assert_bit_identical(tmp_path / "one", tmp_path / "two")
    logs = [log_of(tmp_path / name, "train") for name in ("one", "two")]
    for entry in [*logs[0], *logs[1]]:
        del entry[MEASURED]
    assert logs[0] == logs[1] and len(logs[0]) == 2


def test_run_json_has_every_start(tmp_path):
    for epochs in (0.4, 0.7):
        run_folder.prepare_run(
            tmp_path / "run", tiny_config(epochs=epochs), "voices", {"data_set": "7f"}
        )
    run = json.loads((tmp_path / "run/run.json").read_text())
    assert len(run["starts"]) == 2
    start = run["starts"][1]
    assert start["command"] == sys.argv
    assert start["versions"]["keras"] == importlib.metadata.version("keras")
    assert start["hardware"]["cores"] == len(os.sched_getaffinity(0))
    assert start["hardware"]["devices"]
    assert run["must_match"] == {"data_set": "7f"}


def git(folder, *arguments):
    command = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    done = subprocess.run([*command, *arguments], check=True, capture_output=True)
    return done.stdout.decode().strip()


def test_the_commit_of_a_checkout(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    assert environment.git_commit(package) is None
    (package / "code.py").write_text("x = 1\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert environment.git_commit(package) == commit
    (package / "notes.txt").write_text("not tracked")
    assert environment.git_commit(package) == commit
    (package / "code.py").write_text("x = 2\n")
    assert environment.git_commit(package) == commit + "-modified"
    installed = tmp_path / "environment/site-packages/package"
    installed.mkdir(parents=True)  # inside the repository, but none of its files
    assert environment.git_commit(installed) is None


def test_memory_is_less_than_the_machine_has():
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 0 < environment.available_memory_bytes() < total
