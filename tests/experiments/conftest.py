"""Fixtures of the experiments' tests."""

import pytest


@pytest.fixture(scope="session")
def run_dir(tmp_path_factory):
    """A run folder with batch normalization and a log."""
    from tests.helpers.tiny_runs import write_run  # loads TensorFlow

    return write_run(tmp_path_factory.mktemp("runs") / "bn")
