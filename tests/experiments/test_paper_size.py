"""The experiments at the paper's size, 5,000 clips of 4096 dimensions, in 4 GB."""

import json
import pathlib
import subprocess
import sys

import pytest

from experiments import run_all
from tests.helpers.paths import REPOSITORY

# In a process of its own, so that the limit is not that of the other tests.
SCRIPT = """
import resource, sys
limit = 4 << 30
# Data, not addresses: TensorFlow reserves more addresses than it ever touches.
resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
from tests.helpers import paper_size
paper_size.run_all(sys.argv[1])
"""


@pytest.mark.rehearsal
@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts on Linux only")
def test_every_experiment_fits_into_4_gb(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    outcomes = json.loads(pathlib.Path(tmp_path, "outcomes.json").read_text())
    assert set(outcomes) == {one.name for one in run_all.EXPERIMENTS} | {"evaluate"}
    failed = {name: reason for name, reason in outcomes.items() if reason}
    assert not failed
