"""Fig. 8: runs are read and named, and their losses are drawn."""

import dataclasses

import pytest

from experiments import fig08_convergence
from experiments.lib import results, runs
from experiments.lib.inputs import Runs
from speech2face import images
from tests.helpers.tiny_material import shared_material


def test_losses_of_a_log_by_hand(run_dir):
    run = runs.read_run(run_dir)
    assert run.label == "w/ BN, 2.7 sec. audio"
    assert fig08_convergence.compute_losses(run) == {
        "iterations": 6,
        "last training loss": 2.0,
        "last validation loss": 4.5,
        "least validation loss": 4.0,
    }


@pytest.mark.slow
def test_the_figure_has_curves_and_thumbnails(run_dir, tmp_path):
    inputs = dataclasses.replace(
        shared_material().inputs, output_dir=str(tmp_path), run_dir=""
    )
    result = fig08_convergence.run(Runs((run_dir, run_dir)), inputs)
    assert {row.keys["run"] for row in result.rows} == {"w/ BN, 2.7 sec. audio (bn)"}
    with_faces = images.decode_image(result.picture)
    no_faces = dataclasses.replace(inputs, data_dir="")
    alone = fig08_convergence.run(Runs((run_dir,)), no_faces)
    assert with_faces.shape[0] > images.decode_image(alone.picture).shape[0]


def test_a_bundle_has_no_curves():
    with pytest.raises(results.NotApplicable, match="no training log"):
        runs.read_run(shared_material().inputs.run_dir)
    with pytest.raises(results.NotApplicable, match="give --run_dirs"):
        fig08_convergence.run(Runs(), shared_material().inputs)
