"""The check on a card: what it calls equal, and its networks under TensorFlow."""

import subprocess
import sys

import numpy as np
import pytest

from tests.helpers.paths import REPOSITORY
from tools import gpu_check


def test_outputs_are_equal_to_a_thousandth_of_the_largest_value(capsys):
    expected = {"a": np.array([4.0, -1.0]), "b": np.array([0.5])}
    near = {"a": np.array([4.0, -1.003]), "b": np.array([0.5])}
    assert gpu_check.compare(expected, near)
    assert "| a | 7.5e-04 | 2.5 |" in capsys.readouterr().out
    far = {"a": np.array([4.0, -1.005]), "b": np.array([0.5])}
    assert not gpu_check.compare(expected, far)
    assert not gpu_check.compare(expected, {**near, "c": np.array([1.0])})
    assert not gpu_check.compare(expected, {**near, "b": np.array([np.nan])})


@pytest.mark.rehearsal
def test_the_reference_is_the_same_every_time_and_of_living_networks(tmp_path):
    command = [sys.executable, "tools/gpu_check.py", "--width=0.0625", "--frames=298"]
    for name in ("one.npz", "two.npz"):
        file = tmp_path / name
        subprocess.run(
            [*command, f"--write_reference={file}"], cwd=REPOSITORY, check=True
        )
    with np.load(tmp_path / "one.npz") as one, np.load(tmp_path / "two.npz") as two:
        assert set(one) == set(two) and {"Table 1", "warp image"} < set(one)
        for name in set(one) - {"width", "frames"}:
            scale = np.abs(one[name]).max()
            np.testing.assert_allclose(one[name] / scale, two[name] / scale, atol=1e-5)
            # The two examples differ, far above the tolerance.
            assert np.abs(one[name][0] - one[name][1]).max() > 10e-3 * scale, name
