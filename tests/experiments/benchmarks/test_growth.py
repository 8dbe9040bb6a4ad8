"""How cost grows, and each convolution alone: the benchmarks on small inputs."""

import math
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from experiments.benchmarks import growth, layers
from experiments.benchmarks.growth import Point


def points_of(exponent, n=6):
    return [Point(10.0**k, 2.0 * 10 ** (exponent * k), 1.0) for k in range(n)]


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.5])
def test_the_exponent_of_a_power_is_found(exponent):
    points = points_of(exponent)
    assert growth.exponent(points) == pytest.approx(exponent)
    # What small sizes cost does not count.
    points[0] = points[0]._replace(secs=1e9)
    assert growth.exponent(points) == pytest.approx(exponent)
    assert math.isnan(growth.exponent(points[:1]))


def test_a_figure_is_small(tmp_path):
    path = tmp_path / "growth.png"
    path.write_bytes(growth.draw(growth.CURVES["planning"], points_of(1.0)))
    assert Image.open(path).size == (480, 360)
    assert path.stat().st_size < 60_000


@pytest.mark.slow
def test_lists_are_planned_and_resumed_in_processes_of_their_own(tmp_path):
    command = [sys.executable, "-m", "experiments.benchmarks.growth"]
    flags = ["--curves=planning,resuming,hosts", "--largest=1000"]
    flags.append(f"--output_dir={tmp_path}")
    done = subprocess.run(
        [*command, *flags], check=True, capture_output=True, text=True
    )
    rows = [line.split(" | ") for line in done.stdout.splitlines()]
    assert rows[2][:2] == ["| Planning a job", "1,000"]
    assert float(rows[2][2]) > 0 and float(rows[2][3]) > 0.03
    assert rows[-1][0] == "| All hosts together"
    assert "Planning a job:\nmeasuring 1,000 ...\n  1,000: " in done.stderr
    assert len(list(tmp_path.glob("growth_*.png"))) == 3


def test_an_unknown_curve_is_refused():
    command = [sys.executable, "-m", "experiments.benchmarks.growth", "--curves=x"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and re.match(r"error: --curves=x: choose", done.stderr)


def test_the_convolutions_are_those_of_table_1():
    """Of three products each, a clip takes 535 GFLOP less the first FCs' 0.8."""
    convolutions = layers.table_1(1.0, 1)
    assert len(convolutions) == 9
    assert convolutions[0].inputs == (1, 598, 257, 2)
    assert convolutions[-1].outputs[2:] == (57, 512)
    n_operations = 3 * sum(layer.n_operations for layer in convolutions)
    assert n_operations == pytest.approx(535e9, rel=5e-3)


def test_a_convolution_is_timed_in_each_way():
    layer = layers.Layer("small", (2, 20, 20, 4), (4, 4, 4, 3), 2)
    assert layer.outputs == (2, 9, 9, 3)
    assert layer.n_operations == 2 * 2 * 81 * 16 * 12
    secs = layers.measure(layer, "float32", 2)
    assert set(secs) == {"forward", "input", "kernel", "ours"}
    assert all(np.isfinite(value) for value in secs.values())
    assert "ours" not in layers.measure(layer, "bfloat16", 1)
