"""Every default is the paper's; one flag per option; every option has a reader."""

import ast
import dataclasses
import subprocess
import sys

import pytest
from absl import flags

from data_prep.options import JobOptions
from speech2face import paper
from speech2face.config import (
    DecoderTrainingConfig,
    OptimizerConfig,
    VoiceTrainingConfig,
)
from speech2face.options import (
    diff,
    flat_fields,
)
from tests.helpers.commands import commands, modules, parse
from tests.helpers.paths import REPOSITORY

HEAVY = ("tensorflow", "keras", "apache_beam", "librosa", "matplotlib", "torch")

# Sec. 3 and its "Implementation details", Table 1, Eq. 1; the others are decisions of
# docs/decisions.
LOOP_DEFAULTS = {
    "batch_size": 8,
    "epochs": 3.0,
    "seed": 0,
    "precision": "float32",
    "strategy": "none",
    "accumulate_steps": 1,
    "shuffle_buffer": 4096,
    "n_readers": 1,
    "deterministic_ops": False,
}
VOICE_DEFAULTS = {
    "audio": {"clip_secs": 6.0},
    "voice_encoder": {
        "encoder": "table1",
        "width": 1.0,
        "padding": "valid",
        "batch_norm": True,
        "batch_norm_momentum": 0.99,
        "batch_norm_epsilon": 0.001,
        "global_batch_norm": False,
        "speaker_noise": 0.0,
        "speaker_hidden_units": (),
        "speaker_gain": 1.0,
        "head_dropout": 0.0,
    },
    "loss": {
        "loss_reduction": "mean",
        "decoder_weight": 1.0,
        "lambda1": 0.025,
        "lambda2": 200.0,
        "temperature": 2.0,
        "feature_l1_weight": 0.0,
        "pixel_weight": 0.0,
        "contrastive_weight": 0.0,
        "contrastive_temperature": 0.1,
    },
    "optimizer": {
        "learning_rate": 0.001,
        "decay_rate": 0.95,
        "decay_steps": 10_000,
        "staircase": True,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 0.0001,
        "weight_decay": 0.0,
    },
    "augment": {
        "random_window": False,
        "gain_db": 0.0,
        "noise_snr_db": 0.0,
        "speed": 0.0,
        "reverb_secs": 0.0,
        "band_limit_hz": 0.0,
        "telephone_codec": False,
    },
    "loop": LOOP_DEFAULTS,
}
DECODER_DEFAULTS = {
    "face_decoder": {
        "decoder_units": 1000,
        "landmark_units": (256, 256),
        "texture_channels": (256, 128, 64, 32, 32),
        "texture_components": 0,
        "mean_texture": False,
        "white_background": False,
        "warp_order": 1,
    },
    "normalizer": {"center_features": False, "feature_norm": 0.2316},
    "head": {"n_prototypes": 0, "prototype_sharpness": 100.0},
    "decoder_loss": {
        "texture_weight": 100.0,
        "landmark_weight": 0.4,
        "identity_weight": 1.0,
    },
    "face_augment": {
        "face_mixing": 0.0,
        "feature_noise": 0.0,
        "recognizer_jitter": 0.0,
    },
    "optimizer": {
        "learning_rate": 5e-4,
        "decay_rate": 0.5,
        "decay_steps": 500,
        "staircase": True,
        "beta1": 0.5,
        "beta2": 0.999,
        "epsilon": 1e-7,
        "keep_best": False,
        "weight_decay": 0.0,
    },
    "loop": LOOP_DEFAULTS,
}
TRAININGS = (VoiceTrainingConfig, DecoderTrainingConfig)


def declared_options(tree):
    """(class, field) of each field that `option` or `required` declares."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            for statement in node.body:
                if isinstance(statement, ast.AnnAssign) and isinstance(
                    statement.value, ast.Call
                ):
                    called = ast.unparse(statement.value.func).split(".")[-1]
                    if called in ("option", "required"):
                        yield node.name, statement.target.id


# Defaults


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (VoiceTrainingConfig(), VOICE_DEFAULTS),
        (DecoderTrainingConfig(), DECODER_DEFAULTS),
    ],
)
def test_defaults_are_the_papers(config, expected):
    """Of every option, but for those of `LoopConfig` that change no result."""
    assert set(expected) == {field.name for field in dataclasses.fields(config)}
    for section, options in expected.items():
        fixed = [
            field.name
            for field in dataclasses.fields(getattr(config, section))
            if not field.metadata["changeable"]
        ]
        assert set(fixed) <= set(options)
        for name, value in options.items():
            assert getattr(getattr(config, section), name) == value, name


def test_constants_and_defaults_are_those_that_sec_3_prints():
    assert paper.SAMPLE_RATE_HZ == 16e3 and paper.CLIP_SECS == 6
    assert paper.WINDOW_SAMPLES / 16e3 == 0.025  # a Hann window of "25 mm"
    assert paper.HOP_SAMPLES / 16e3 == 0.010
    assert (paper.FFT_SAMPLES, paper.N_BANDS) == (512, 257)
    assert paper.COMPRESSION == 0.3
    assert paper.N_TEST_CLIPS == 5_000
    assert (paper.FACE_PX, paper.N_LANDMARKS) == (224, 68)  # 68 are dlib's
    assert (paper.VGG_FACE_FEATURE_DIM, paper.VGG_FACE_IDENTITIES) == (4096, 2622)


def test_637_500_iterations_of_the_papers_training_set():
    loop = VoiceTrainingConfig().loop
    assert loop.epochs * 1_700_000 / loop.batch_size == 637_500


@pytest.mark.parametrize("training", TRAININGS)
def test_options_are_frozen_explained_and_named_once(training):
    fields = flat_fields(training)
    names = [field.name for field in fields]
    assert len(names) == len(set(names))
    for field in fields:
        text = field.metadata["help"]
        assert text[0].isupper() and text.endswith("."), field.name
    with pytest.raises(dataclasses.FrozenInstanceError):
        training().loop.batch_size = 1


def test_every_option_of_every_command_is_read_somewhere():
    declared, read = [], set()
    for path, tree in modules():
        declared += [(path.name, *option) for option in declared_options(tree)]
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                read.add(node.attr)
    assert len(declared) > 50
    unread = [option for option in declared if option[2] not in read]
    assert not unread


# Differences


def test_diff_names_what_changed():
    old = VoiceTrainingConfig()
    new = dataclasses.replace(
        old,
        loop=dataclasses.replace(old.loop, batch_size=16),
        loss=dataclasses.replace(old.loss, lambda2=1.0),
    )
    assert diff(old, new) == "lambda2 200.0 -> 1.0, batch_size 8 -> 16"
    assert diff(old, old) is None


# Flags


@pytest.mark.parametrize("training", TRAININGS)
def test_no_flags_is_the_default_config(training):
    assert parse(training) == training()


def test_flags_of_every_type_are_read_back():
    config = parse(
        VoiceTrainingConfig,
        "--batch_size=3",
        "--epochs=0.5",
        "--nobatch_norm",
        "--padding=same",
        "--precision=auto",
    )
    assert config.loop.batch_size == 3
    assert config.loop.epochs == 0.5
    assert config.loop.precision == "auto"
    assert config.voice_encoder.batch_norm is False
    assert config.voice_encoder.padding == "same"
    config = parse(DecoderTrainingConfig, "--texture_channels=64,32", "--warp_order=2")
    assert config.face_decoder.texture_channels == (64, 32)
    assert config.face_decoder.warp_order == 2


@pytest.mark.parametrize("training", TRAININGS)
def test_each_option_is_a_flag_that_changes_that_option_alone(training):
    for field in flat_fields(training):
        if field.type in (int, float):
            value = another_value(field)
            config = parse(training, f"--{field.name}={value}")
            expected = f"{field.name} {field.default!r} -> {value!r}"
            assert diff(training(), config) == expected


def another_value(field):
    bounds = field.metadata["bounds"]
    if field.type is int:
        return field.default + 1
    top = min(bounds.maximum, bounds.below)
    return (field.default + min(top, field.default + 1.0)) / 2  # between the two


def test_a_flag_file_sets_flags(tmp_path):
    path = tmp_path / "my.flags"
    path.write_text("# a comment\n--width=0.25\n--clip_secs=3\n")
    config = parse(VoiceTrainingConfig, f"--flagfile={path}", "--clip_secs=4")
    assert config.voice_encoder.width == 0.25
    assert config.audio.clip_secs == 4.0


@pytest.mark.parametrize("argument", ["--padding=full", "--epochs=many", "--no_such=1"])
def test_wrong_flags_are_refused(argument):
    with pytest.raises(flags.Error):
        parse(VoiceTrainingConfig, argument)


def test_a_list_of_the_wrong_type_is_named():
    with pytest.raises(ValueError, match="comma-separated list of int"):
        parse(DecoderTrainingConfig, "--texture_channels=64,many")


def test_each_flag_file_is_one_of_a_training_or_of_records():
    for path in sorted((REPOSITORY / "configs").glob("*.flags")):
        if not path.name.startswith("records_"):
            assert any(accepts(training, path) for training in TRAININGS), path.name


@pytest.mark.parametrize("name", ["paper", "paper_decoder"])
def test_the_papers_flag_files_write_out_their_optimizer(name):
    lines = (REPOSITORY / f"configs/{name}.flags").read_text().splitlines()
    flags = {line.strip("-").split("=")[0] for line in lines if line.startswith("--")}
    options = {field.name for field in dataclasses.fields(OptimizerConfig)}
    assert options - {"weight_decay"} <= flags  # the papers mention none


def test_records_of_the_ablation_behind_the_relu():
    path = REPOSITORY / "configs/records_post_relu.flags"
    options = parse(JobOptions, "--output_dir=data", f"--flagfile={path}")
    assert options.recognizer == "vgg_face_relu" != JobOptions("data").recognizer


def accepts(training, flag_file):
    try:
        parse(training, f"--flagfile={flag_file}")
    except flags.UnrecognizedFlagError:
        return False
    return True


# Commands


# Each command in a fork of a process that has imported what all of them share.
HELPS = f"""
import os, runpy, sys
import numpy, speech2face.options
folder, *modules = sys.argv[1:]
for module in modules:
    if not os.fork():
        file = os.open(os.path.join(folder, module), os.O_CREAT | os.O_WRONLY)
        os.dup2(file, 1), os.dup2(file, 2)
        sys.argv = [module, "--help"]
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            print("status", end.code)
        print("imported", *[name for name in {HEAVY!r} if name in sys.modules])
        sys.stdout.flush()
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def helps(tmp_path_factory):
    """A folder with what each command prints, its status, and what it imported."""
    folder = tmp_path_factory.mktemp("helps")
    command = [sys.executable, "-c", HELPS, str(folder), *commands()]
    subprocess.run(command, cwd=REPOSITORY, check=True)
    return folder


@pytest.mark.parametrize("module", commands())
def test_help_is_complete_and_imports_nothing_heavy(helps, module):
    text, _, end = (helps / module).read_text().rpartition("status")
    assert end == " 0\nimported\n", text + end
    path = REPOSITORY / (module.replace(".", "/") + ".py")
    for _, name in declared_options(ast.parse(path.read_text(encoding="utf-8"))):
        assert f"-{name}:" in text or f"-[no]{name}:" in text
