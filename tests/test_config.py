"""Every default is the paper's; one flag per option; every option has a reader."""

import ast
import dataclasses
import pathlib
import subprocess
import sys

import pytest
from absl import flags

from data_prep.options import JobOptions
from speech2face import config as config_lib
from speech2face import config_fields, flag_config
from speech2face.config import (
    DecoderTrainingConfig,
    PretrainingConfig,
    VoiceTrainingConfig,
)

REPOSITORY = pathlib.Path(__file__).resolve().parent.parent
PACKAGES = ("speech2face", "data_prep", "experiments")
HEAVY = ("tensorflow", "keras", "numpy", "dlib", "av", "librosa", "apache_beam")

# Sec. 3 and its "Implementation details", Table 1, Eq. 1; the rest are the decisions
# of BUILD_NOTES.
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
        "head_dropout": 0.0,
    },
    "loss": {
        "loss_reduction": "sum",
        "decoder_weight": 1.0,
        "lambda1": 0.025,
        "lambda2": 200.0,
        "temperature": 2.0,
        "contrastive_weight": 0.0,
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
    "loop": {"batch_size": 8, "epochs": 3.0, "precision": "float32"},
}
DECODER_DEFAULTS = {
    "face_decoder": {
        "decoder_units": 1000,
        "texture_channels": (256, 128, 64, 32, 32),
        "warp_order": 1,
    },
    "normalizer": {"center_features": False, "feature_norm": 0.2316},
    "decoder_loss": {
        "texture_weight": 1.0,
        "landmark_weight": 1.0,
        "identity_weight": 10.0,
    },
}
TRAININGS = (VoiceTrainingConfig, DecoderTrainingConfig, PretrainingConfig)


def parse(config_type, *arguments):
    flag_values = flags.FlagValues()
    flag_config.define(config_type, flag_values)
    flag_values(["program", *arguments])
    return flag_config.read(config_type, flag_values)


def modules():
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def commands():
    paths = [p for name in PACKAGES for p in sorted((REPOSITORY / name).rglob("*.py"))]
    for path in paths:
        if "\n    flag_config.run(" in path.read_text(encoding="utf-8"):
            relative = path.relative_to(REPOSITORY).with_suffix("")
            yield ".".join(relative.parts)


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
    for section, options in expected.items():
        for name, value in options.items():
            assert getattr(getattr(config, section), name) == value, name


def test_637_500_iterations_of_the_papers_training_set():
    loop = VoiceTrainingConfig().loop
    assert loop.epochs * 1_700_000 / loop.batch_size == 637_500


@pytest.mark.parametrize("training", TRAININGS)
def test_options_are_frozen_explained_and_named_once(training):
    fields = config_fields.flat_fields(training)
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


# JSON


@pytest.mark.parametrize("training", TRAININGS)
def test_json_round_trip(training):
    config = training()
    text = config_fields.to_json(config)
    assert config_fields.from_json(training, text) == config
    changed = dataclasses.replace(config, loop=config_lib.LoopConfig(batch_size=3))
    assert config_fields.from_json(training, config_fields.to_json(changed)) == changed


def test_json_keeps_tuples():
    config = DecoderTrainingConfig()
    text = config_fields.to_json(config)
    loaded = config_fields.from_json(DecoderTrainingConfig, text)
    assert loaded.face_decoder.texture_channels == (256, 128, 64, 32, 32)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not a VoiceTrainingConfig"),
        ("[]", "must be an object"),
        ('{"loop": {"bach_size": 3}}', "LoopConfig has no field bach_size"),
        ('{"loop": 3}', "LoopConfig must be an object"),
    ],
)
def test_json_of_something_else_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        config_fields.from_json(VoiceTrainingConfig, text)


def test_missing_json_fields_take_their_defaults():
    config = config_fields.from_json(VoiceTrainingConfig, '{"loop": {"batch_size": 3}}')
    assert config.loop.batch_size == 3
    assert config.loop.epochs == 3.0


def test_diff_names_what_changed():
    old = VoiceTrainingConfig()
    new = dataclasses.replace(
        old,
        loop=dataclasses.replace(old.loop, batch_size=16),
        loss=dataclasses.replace(old.loss, lambda2=1.0),
    )
    assert config_fields.diff(old, new) == "lambda2 200.0 -> 1.0, batch_size 8 -> 16"
    assert config_fields.diff(old, old) is None


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
    for field in config_fields.flat_fields(training):
        if field.type in (int, float):
            value = field.type(field.default + 1)
            config = parse(training, f"--{field.name}={value}")
            expected = f"{field.name} {field.default!r} -> {value!r}"
            assert config_fields.diff(training(), config) == expected


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

COMMAND = '''
import dataclasses
from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class Options:
    """Options."""

    outcome: str = option("good", "What should happen.")


def main(options: Options) -> None:
    if options.outcome == "user":
        raise ValueError("a.wav is\\nsilent")
    if options.outcome == "missing":
        open("/no/such/file")
    if options.outcome == "bug":
        raise KeyError("bug")
    print("done")


if __name__ == "__main__":
    flag_config.run(main, Options)
'''


def run_command(tmp_path, *arguments):
    path = tmp_path / "command.py"
    path.write_text(COMMAND)
    return subprocess.run(
        [sys.executable, str(path), *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(REPOSITORY)},
    )


def test_a_command_that_works(tmp_path):
    result = run_command(tmp_path)
    assert (result.returncode, result.stdout) == (0, "done\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--outcome=user"], "error: a.wav is silent\n"),
        (
            ["--outcome=missing"],
            "error: [Errno 2] No such file or directory: '/no/such/file'\n",
        ),
        (["good"], "error: unexpected argument 'good'; see --help\n"),
    ],
)
def test_what_a_user_can_get_wrong_is_one_line(tmp_path, arguments, message):
    result = run_command(tmp_path, *arguments)
    assert (result.returncode, result.stderr) == (1, message)


def test_a_bug_keeps_its_traceback(tmp_path):
    result = run_command(tmp_path, "--outcome=bug")
    assert result.returncode == 1
    assert "Traceback" in result.stderr and "KeyError: 'bug'" in result.stderr


@pytest.mark.parametrize("module", commands())
def test_help_is_complete_and_imports_nothing_heavy(module):
    script = (
        "import runpy, sys\n"
        f"sys.argv = [{module!r}, '--help']\n"
        "try:\n"
        f"    runpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        "except SystemExit:\n"
        "    pass\n"
        f"print('imported', *[name for name in {HEAVY!r} if name in sys.modules])\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=REPOSITORY
    )
    assert result.returncode == 0, result.stderr
    text, _, imported = result.stdout.rpartition("imported")
    assert imported.strip() == ""
    path = REPOSITORY / (module.replace(".", "/") + ".py")
    for _, name in declared_options(ast.parse(path.read_text(encoding="utf-8"))):
        assert f"-{name}:" in text or f"-[no]{name}:" in text
