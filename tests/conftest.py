"""Fixtures and options shared by all tests."""

import gc
import os
import pathlib

import pytest

from tests.helpers.paths import REPOSITORY
from tests.helpers.slow import needs_a_slow_fixture

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# The same kernels here and in the commands that are started: runs are compared exactly.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread for each test process: threads of several would wait for each other.
    for name in ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(name, "1")
# Processes that tests start import this checkout, whatever their folder.
os.environ["PYTHONPATH"] = os.pathsep.join(
    filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH")])
)


# Imports fill the memory with objects that stay, and the collector would look through
# all of them again and again: a third of the time in which pytest finds the tests.
gc.disable()

# Each is the work of one process for minutes: these begin first. One computes and one
# waits; test_killed_jobs.py waits as well, and beside them a core would be idle.
LONGEST_FILES = ("test_app_in_chromium.py", "test_exports.py")


def pytest_addoption(parser):
    """How long the tests that could go on forever do: short in the suite."""
    parser.addoption(
        "--fuzz_cases", type=int, default=40, help="Damaged files for each reader."
    )
    parser.addoption(
        "--n_kills", type=int, default=2, help="SIGKILLs of a job that is resumed."
    )


def pytest_ignore_collect(collection_path, config):
    """`-m "serial and ..."` does not import the many files that have no such test."""
    wants_serial = config.option.markexpr.startswith("serial")
    if wants_serial and collection_path.name.startswith("test_"):
        return "mark.serial" not in collection_path.read_text("utf-8") or None
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Before `-m "not slow"` selects."""
    items.sort(key=lambda item: item.path.name not in LONGEST_FILES)
    for item in items:
        if needs_a_slow_fixture(item):
            item.add_marker("slow")


def pytest_collection_finish():
    """The tests run with the collector, which leaves out what is there already."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def fork_server():
    """Starts commands as forks of one process that has imported TensorFlow."""
    from tests.helpers.forked import ForkServer

    server = ForkServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def real_data_dir() -> pathlib.Path:
    """The folder of real clips beside the repository; skips where it is absent."""
    path = REPOSITORY.parent / "shared" / "data"
    if not path.is_dir():
        pytest.skip(f"no real clips at {path}")
    return path
