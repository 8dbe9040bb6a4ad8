"""Ablations: runs are described by what departs, and measured alike."""

import dataclasses
import json
import pathlib
import shlex

import pytest
from absl import flags

from experiments import ablations
from experiments.lib.inputs import Runs
from speech2face.config import VoiceEncoderConfig, VoiceTrainingConfig
from speech2face.options import define_flags, read_flags
from tests.helpers.paths import REPOSITORY
from tests.helpers.tiny_material import shared_material
from tests.helpers.tiny_models import tiny_config
from tests.helpers.tiny_runs import write_run


def test_a_run_is_described_by_what_departs_from_the_paper():
    assert ablations.describe(VoiceTrainingConfig()) == "the paper's config"
    config = VoiceTrainingConfig(voice_encoder=VoiceEncoderConfig(padding="same"))
    assert ablations.describe(config) == "padding 'valid' -> 'same'"
    longer = dataclasses.replace(config, loop=tiny_config(epochs=9.0).loop)
    assert ablations.describe(longer) == "padding 'valid' -> 'same'"


@pytest.mark.slow
def test_every_run_is_measured_on_one_data_set(run_dir, tmp_path):
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(tmp_path))
    bundle = shared_material().inputs.run_dir
    result = ablations.run(Runs((run_dir, bundle)), inputs, clip_secs=2.7)
    assert [row.keys["run"] for row in result.rows] == ["bn"] * 3 + ["bundle"] * 3
    assert [row.ours for row in result.rows[:3]] == pytest.approx(
        [row.ours for row in result.rows[3:]]  # one seed, hence the same weights
    )
    assert "width 1.0 -> 0.015625" in result.rows[0].keys["departs in"]
    assert result.rows[2].chance == 4.5
    assert result.rows[0].keys["features"] == "dlib 00000000"


def test_without_a_data_set_each_run_is_measured_on_its_own(run_dir, tmp_path):
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(tmp_path))
    own = write_run(tmp_path / "own")
    where = json.dumps({"data_dir": inputs.data_dir, "must_match": {}})
    (pathlib.Path(own) / "run.json").write_text(where)
    expected = ablations.run(Runs((run_dir,)), inputs, clip_secs=2.7)
    nowhere = dataclasses.replace(inputs, data_dir="")
    result = ablations.run(Runs((own,)), nowhere, clip_secs=2.7)
    assert [row.ours for row in result.rows] == [row.ours for row in expected.rows]
    with pytest.raises(FileNotFoundError, match=r"no run\.json"):
        ablations.run(Runs((run_dir,)), nowhere, clip_secs=2.7)


ABLATIONS = sorted((REPOSITORY / "configs").glob("ablation_*.flags"))


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_departs_in_what_its_file_says(path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "", flag_values=values)
    define_flags(VoiceTrainingConfig, values)
    values(values.read_flags_from_files(["program", f"--flagfile={path}"]))
    config = read_flags(VoiceTrainingConfig, values)
    lines = shlex.split(pathlib.Path(path).read_text(), comments=True)
    own = [line for line in lines if not line.startswith("--flagfile")]
    changed = ablations.describe(config).split(", ")
    assert len(changed) == len(own) >= 1
    for line in own:
        name = line[2:].split("=")[0]
        assert any(change.split()[0] in (name, name[2:]) for change in changed)
