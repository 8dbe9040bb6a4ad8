"""Fixtures and options shared by all tests."""

import os
import pathlib

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The same kernels here and in the commands that are started: runs are compared exactly.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent


def pytest_addoption(parser):
    """How long the tests that could go on for ever do: short in the suite."""
    parser.addoption(
        "--fuzz_cases", type=int, default=40, help="Damaged files for each reader."
    )
    parser.addoption(
        "--n_kills", type=int, default=2, help="SIGKILLs of a job that is resumed."
    )


@pytest.fixture(scope="session")
def real_data_dir() -> pathlib.Path:
    """The folder of real clips beside the repository; skips where it is absent."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real clips at {path}")
    return path
