"""No command, file or caller can give a number that makes no sense."""

import ast
import dataclasses
import functools
import importlib
import math
import typing

import numpy as np
import pytest
from absl import flags

from speech2face.bounds import Bounds
from speech2face.config import LoopConfig, OptimizerConfig, VoiceTrainingConfig
from speech2face.errors import UserError
from speech2face.json_codec import from_json
from speech2face.options import Options
from tests.helpers.commands import modules, parse
from tests.helpers.paths import REPOSITORY

# Of a type that fits no number of this project, whatever it counts or measures.
ABSURD = ("nan", "inf", "-inf", "1e99", "-1e99", "9" * 30, "-" + "9" * 30, "9" * 5000)
# Each of these was once accepted, or ended in a traceback or a hang.
REPORTED = (
    "--batch_size=0",
    "--batch_size=-8",
    "--learning_rate=nan",
    "--learning_rate=-1",
    "--width=0",
    "--width=-1",
    "--save_every=0",
    "--save_every=-1",
    "--beta1=2",
    "--decay_rate=0",
    "--lambda1=-1",
    "--exaggeration=nan",
    "--exaggeration=inf",
    "--exaggeration=1e99",
    "--n_workers=-1",
    "--max_disk_gb=nan",
    "--max_bytes_per_sec=-1",
    "--n_shards=-999999999",
    "--keep_checkpoints=-1",
    "--keep_checkpoints=0",
    "--steps_per_call=0",
    "--steps_per_call=-1",
    "--epochs=0",
    "--epochs=inf",
    "--port=99999",
    "--clip_secs=0",
    "--validate_every=-1",
    "--histograms_every=-1",
    "--shuffle_buffer=0",
    "--head_dropout=1",
    "--validation_examples=0",
    "--top_k=0",
    "--max_secs=nan",
    "--n_morphs=-1",
    "--n_shown=0",
    "--sample_seed=-1",
)


def declaring_classes(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and any(map(is_declaration, node.body)):
            yield node.name


def is_declaration(statement):
    is_call = isinstance(getattr(statement, "value", None), ast.Call)
    return is_call and ast.unparse(statement.value.func) in ("option", "required")


@functools.cache
def option_types():
    """Every dataclass of options in the repository."""
    types = []
    for path, tree in modules():
        for name in declaring_classes(tree):
            relative = path.relative_to(REPOSITORY).with_suffix("")
            module = importlib.import_module(".".join(relative.parts))
            types.append(getattr(module, name))
    return types


def number_kind(field):
    """int or float, of a number or a list of them; else None."""
    is_list = typing.get_origin(field.type) is tuple
    kind = typing.get_args(field.type)[0] if is_list else field.type
    return kind if kind in (int, float) else None


def numeric_options():
    for options_type in option_types():
        for field in dataclasses.fields(options_type):
            if number_kind(field):
                yield options_type, field


def parse_one(options_type, argument):
    """Parses one flag; what the options require besides is given too."""
    required = [
        f"--{field.name}=x"
        for field in dataclasses.fields(options_type)
        if field.default is dataclasses.MISSING
    ]
    return parse(options_type, *required, argument)


def test_every_configuration_checks_its_numbers():
    types = option_types()
    assert len(types) > 40
    assert [t.__name__ for t in types if not issubclass(t, Options)] == []


def test_every_number_has_two_bounds_and_its_default_lies_inside():
    n_options = 0
    for options_type, field in numeric_options():
        name = f"{options_type.__name__}.{field.name}"
        bounds = field.metadata["bounds"]
        assert bounds, f"{name} has no bounds"
        assert max(bounds.minimum, bounds.above) > -math.inf, f"{name} has no minimum"
        assert min(bounds.maximum, bounds.below) < math.inf, f"{name} has no maximum"
        default = field.default
        for number in default if isinstance(default, tuple) else (default,):
            assert bounds.contain(number), name
        n_options += 1
    assert n_options > 120


def test_absurd_values_of_every_numeric_flag_are_one_line():
    for options_type, field in numeric_options():
        for value in ABSURD:
            with pytest.raises((flags.Error, UserError)) as caught:
                parse_one(options_type, f"--{field.name}={value}")
            message = str(caught.value)
            assert f"--{field.name}=" in message and "\n" not in message


def test_0_and_minus_1_are_refused_or_in_range():
    for options_type, field in numeric_options():
        for value in (0, -1):
            argument = f"--{field.name}={value}"
            bounds = field.metadata["bounds"]
            if bounds.contain(value):
                parse_one(options_type, argument)
            else:
                with pytest.raises(UserError, match=f"^{argument}.*: expected a"):
                    parse_one(options_type, argument)


def test_reported_values_are_refused():
    types = {}
    for options_type, field in numeric_options():
        types.setdefault(field.name, []).append(options_type)
    for argument in REPORTED:
        for options_type in types[argument[2:].partition("=")[0]]:
            with pytest.raises(UserError, match=": expected a"):
                parse_one(options_type, argument)


@pytest.mark.parametrize(
    ("section", "option", "value"),
    [
        ("loop", "batch_size", "0"),
        ("optimizer", "learning_rate", "NaN"),
        ("optimizer", "learning_rate", "1e999"),
        ("voice_encoder", "speaker_hidden_units", "[64, 0]"),
    ],
)
def test_the_file_of_a_run_is_checked_too(section, option, value):
    text = f'{{"{section}": {{"{option}": {value}}}}}'
    with pytest.raises(UserError, match=f"^run/config.json: .*{option}"):
        from_json(VoiceTrainingConfig, text, "run/config.json")


def test_callers_in_python_are_checked_too():
    with pytest.raises(UserError, match=r"--batch_size=0: expected an integer from 1"):
        LoopConfig(batch_size=0)
    with pytest.raises(UserError, match=r"--beta1=1.0: expected a number from 0 and"):
        dataclasses.replace(OptimizerConfig(), beta1=1.0)
    with pytest.raises(UserError, match=r"--batch_size=8.0"):
        LoopConfig(batch_size=8.0)
    with pytest.raises(UserError, match="--batch_size=True"):
        LoopConfig(batch_size=True)
    assert LoopConfig(batch_size=np.int64(4)).batch_size == 4


@pytest.mark.parametrize(
    ("bounds", "text", "inside", "outside"),
    [
        (Bounds(1, 9), "from 1 to 9", (1, 9), (0.99, 10)),
        (Bounds(above=0, maximum=9), "more than 0 and at most 9", (1e-9, 9), (0, 10)),
        (Bounds(0, below=1), "from 0 and less than 1", (0, 0.99), (-0.1, 1)),
        (Bounds(above=0, below=1), "more than 0 and less than 1", (0.5,), (0, 1)),
        (Bounds(-1, 1e300), "from -1 to 1e+300", (-1, 0), (-2, math.inf, math.nan)),
    ],
)
def test_bounds(bounds, text, inside, outside):
    assert str(bounds) == text
    assert all(map(bounds.contain, inside)) and not any(map(bounds.contain, outside))
