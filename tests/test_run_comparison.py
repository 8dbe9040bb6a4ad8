"""Fig. 8 and the ablations: runs are read, named and measured alike."""

import dataclasses
import json
import pathlib
import shlex

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from conftest import REPOSITORY
from test_inference import make_model
from test_records import DIM
from test_training import make_decoder, tiny_config
from tiny_material import shared_material

from experiments import common, run_comparison
from speech2face import config_fields, files, flag_config, voice_trainer
from speech2face.config import LossConfig, VoiceEncoderConfig, VoiceTrainingConfig

LOG = [
    ("train", 2, 5.0),
    ("validation", 2, 6.0),
    ("train", 4, 3.0),
    ("validation", 4, 4.0),
    ("train", 6, 2.0),
    ("validation", 6, 4.5),
]


def write_run(folder, config=None, log=LOG):
    """A bundle with a log is what a run folder is for the experiments."""
    make_model().save(folder)
    (folder / "config.json").write_text(config_fields.to_json(config or tiny_config()))
    (folder / "summaries").mkdir()
    lines = [json.dumps({"kind": k, "step": s, "total": t}) for k, s, t in log]
    (folder / "summaries/log.jsonl").write_text("\n".join(lines) + "\n")
    return str(folder)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    return write_run(tmp_path_factory.mktemp("runs") / "bn")


def test_losses_of_a_log_by_hand(run_dir):
    run = run_comparison.read_run(run_dir)
    assert run.label == "w/ BN, 2.7 sec. audio"
    assert run_comparison.compute_fig08([run]) == [
        {
            "iterations": 6,
            "last training loss": 2.0,
            "last validation loss": 4.5,
            "least validation loss": 4.0,
        }
    ]


def test_fig08_has_curves_and_thumbnails(run_dir, tmp_path):
    inputs = dataclasses.replace(
        shared_material().inputs, output_dir=str(tmp_path), run_dir=""
    )
    result = run_comparison.run_fig08([run_dir, run_dir], inputs)
    assert {row.keys["run"] for row in result.rows} == {"w/ BN, 2.7 sec. audio (bn)"}
    with_faces = files.decode_image(result.picture)
    no_faces = dataclasses.replace(inputs, data_dir="")
    alone = files.decode_image(run_comparison.run_fig08([run_dir], no_faces).picture)
    assert with_faces.shape[0] > alone.shape[0]


def test_a_bundle_has_no_curves():
    with pytest.raises(common.NotApplicable, match="no training log"):
        run_comparison.read_run(shared_material().inputs.run_dir)
    with pytest.raises(common.NotApplicable, match="give --run_dirs"):
        run_comparison.run_fig08([], shared_material().inputs)


def test_a_run_is_described_by_what_departs_from_the_paper():
    assert run_comparison.describe(VoiceTrainingConfig()) == "the paper's config"
    config = VoiceTrainingConfig(voice_encoder=VoiceEncoderConfig(padding="same"))
    assert run_comparison.describe(config) == "padding 'valid' -> 'same'"
    longer = dataclasses.replace(config, loop=tiny_config(epochs=9.0).loop)
    assert run_comparison.describe(longer) == "padding 'valid' -> 'same'"


def test_ablations_measure_every_run_on_one_data_set(run_dir, tmp_path):
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(tmp_path))
    bundle = shared_material().inputs.run_dir
    result = run_comparison.run_ablations([run_dir, bundle], inputs, clip_secs=2.7)
    assert [row.keys["run"] for row in result.rows] == ["bn"] * 3 + ["bundle"] * 3
    assert [row.ours for row in result.rows[:3]] == pytest.approx(
        [row.ours for row in result.rows[3:]]  # one seed, hence the same weights
    )
    assert "width 1.0 -> 0.015625" in result.rows[0].keys["departs in"]
    assert result.rows[2].chance == 4.5
    assert result.rows[0].keys["features"] == "dlib 00000000"


def test_ablations_without_a_data_set_take_each_runs_own(run_dir, tmp_path):
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(tmp_path))
    own = write_run(tmp_path / "own")
    where = json.dumps({"data_dir": inputs.data_dir})
    (pathlib.Path(own) / "run.json").write_text(where)
    expected = run_comparison.run_ablations([run_dir], inputs, clip_secs=2.7)
    nowhere = dataclasses.replace(inputs, data_dir="")
    result = run_comparison.run_ablations([own], nowhere, clip_secs=2.7)
    assert [row.ours for row in result.rows] == [row.ours for row in expected.rows]
    with pytest.raises(FileNotFoundError, match="no run.json"):
        run_comparison.run_ablations([run_dir], nowhere, clip_secs=2.7)


def test_pixel_loss_compares_a_run_with_and_one_without(run_dir, tmp_path):
    inputs = dataclasses.replace(shared_material().inputs, output_dir=str(tmp_path))
    with pytest.raises(common.NotApplicable, match="ablation_pixel_loss"):
        run_comparison.run_pixel_loss([run_dir, run_dir], inputs)
    config = dataclasses.replace(tiny_config(), loss=LossConfig(pixel_weight=1.0))
    pixel_run = write_run(tmp_path / "pixels", config)
    result = run_comparison.run_pixel_loss([run_dir, pixel_run], inputs, 2.7)
    losses = [row.keys["loss"] for row in result.rows]
    assert losses == ["feature losses"] * 4 + ["image loss"] * 4
    sheet = files.decode_image(result.picture)
    assert sheet.shape[1] == 4 * 164 + 4  # photograph, F2F, and a column for each run


def test_the_image_loss_is_of_the_decoded_pictures_and_reaches_the_voice():
    decoder = make_decoder()
    generator = np.random.default_rng(0)
    raw = generator.normal(size=(2, DIM)).astype(np.float32)
    voice = tf.Variable(generator.normal(size=(2, DIM)).astype(np.float32))
    config = LossConfig(decoder_weight=0.0, lambda1=0.0, lambda2=0.0, pixel_weight=3.0)
    with tf.GradientTape() as tape:
        terms = voice_trainer.Eq1(decoder)(config, raw, voice)
    true = decoder.model(decoder.normalizer.normalize(raw))["image"].numpy()
    own = decoder.model(voice.numpy())["image"].numpy()
    expected = np.abs(own - true).mean(axis=(1, 2, 3))
    np.testing.assert_allclose(terms["pixel"], expected, rtol=1e-5)
    np.testing.assert_allclose(terms["total"], 3 * expected, rtol=1e-5)
    assert np.abs(tape.gradient(terms["total"], voice)).max() > 0
    assert "pixel" not in voice_trainer.Eq1(decoder)(LossConfig(), raw, voice)


ABLATIONS = sorted((REPOSITORY / "configs").glob("ablation_*.flags"))


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_an_ablation_departs_in_what_its_file_says(path, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    values = flags.FlagValues()
    flags.DEFINE_string("flagfile", "", "", flag_values=values)
    flag_config.define(VoiceTrainingConfig, values)
    values(values.read_flags_from_files(["program", f"--flagfile={path}"]))
    config = flag_config.read(VoiceTrainingConfig, values)
    lines = shlex.split(pathlib.Path(path).read_text(), comments=True)
    own = [line for line in lines if not line.startswith("--flagfile")]
    changed = run_comparison.describe(config).split(", ")
    assert len(changed) == len(own) >= 1
    for line in own:
        name = line[2:].split("=")[0]
        assert any(change.split()[0] in (name, name[2:]) for change in changed)
