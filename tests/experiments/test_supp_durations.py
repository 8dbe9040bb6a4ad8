"""Trained on 3 or 6 s, tested on both: every cell is there, on the same clips."""

import dataclasses

import pytest

from experiments import supp_durations
from experiments.lib.inputs import Runs
from experiments.lib.results import NotApplicable
from tests.helpers.tiny_material import shared_material
from tests.helpers.tiny_models import tiny_config
from tests.helpers.tiny_runs import write_run


def trained_on(secs):
    config = tiny_config()
    return dataclasses.replace(
        config, audio=dataclasses.replace(config.audio, clip_secs=secs)
    )


@pytest.mark.slow
def test_every_run_is_tested_on_both(tmp_path):
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(tmp_path))
    long, short = (
        write_run(tmp_path / name, trained_on(secs))
        for name, secs in (("long", 6.0), ("short", 3.0))
    )
    with pytest.raises(NotApplicable, match=r"ablation_3s\.flags"):
        supp_durations.run(Runs((long, long)), inputs)
    result = supp_durations.run(Runs((long, short)), inputs)
    cells = [tuple(row.keys.values()) for row in result.rows]
    assert len(set(cells)) == 2 * 2 * 3
    assert cells[0] == ("short", "3 s", "3 s", "angle (deg)")
    found = {cell[1:]: row for cell, row in zip(cells, result.rows)}
    assert found["6 s", "3 s", "angle (deg)"].paper == 48.43
    assert found["6 s", "6 s", "R@10 %, cos"].paper == 45.82
    assert found["3 s", "6 s", "angle (deg)"].paper is None
    # One seed, hence the same weights, whatever the length of the training clips.
    assert (
        found["3 s", "6 s", "angle (deg)"].ours
        == found["6 s", "6 s", "angle (deg)"].ours
    )
