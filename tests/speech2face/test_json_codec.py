"""Dataclasses survive JSON; what is not theirs is refused and named."""

import ast
import dataclasses
import json
import math
from typing import Any, Literal

import pytest

from speech2face import config as config_lib
from speech2face.config import DecoderTrainingConfig, VoiceTrainingConfig
from speech2face.errors import UserError
from speech2face.json_codec import from_dict, from_json, parse_json, read_json, to_json
from tests.helpers.commands import modules

TRAININGS = (VoiceTrainingConfig, DecoderTrainingConfig)


@dataclasses.dataclass(frozen=True)
class Point:
    x: float
    label: str | None = None


@dataclasses.dataclass(frozen=True)
class Everything:
    flag: bool
    count: int
    share: float
    name: str
    kind: Literal["voice", "face"]
    anything: Any
    sizes: tuple[int, ...]
    pairs: tuple[tuple[str, float], ...]
    points: list[Point]
    by_name: dict[str, list[Point]]
    maybe: Point | None = None


EVERYTHING = Everything(
    flag=True,
    count=3,
    share=0.5,
    name="a",
    kind="face",
    anything={"x": [1, None]},
    sizes=(1, 2),
    pairs=(("a", 1.5), ("b", 2.5)),
    points=[Point(1.0), Point(2.0, "two")],
    by_name={"train": [Point(3.0)]},
    maybe=Point(4.0),
)


@pytest.mark.parametrize("training", TRAININGS)
def test_configurations_survive_json(training):
    config = training()
    text = to_json(config)
    assert from_json(training, text) == config
    changed = dataclasses.replace(config, loop=config_lib.LoopConfig(batch_size=3))
    assert from_json(training, to_json(changed)) == changed


def test_json_keeps_tuples():
    text = to_json(DecoderTrainingConfig())
    loaded = from_json(DecoderTrainingConfig, text)
    assert loaded.face_decoder.texture_channels == (256, 128, 64, 32, 32)


@pytest.mark.parametrize("maybe", [None, Point(4.0)])
def test_every_type_survives_json(maybe):
    instance = dataclasses.replace(EVERYTHING, maybe=maybe)
    assert from_json(Everything, to_json(instance)) == instance
    assert from_json(Everything, to_json(instance).encode()) == instance


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "^VoiceTrainingConfig is not JSON"),
        (b"\xff\xfe\x00", "^VoiceTrainingConfig is not JSON"),
        ("[" * 100_000, "^VoiceTrainingConfig is not JSON"),
        ("[]", r"^VoiceTrainingConfig is \[\]; expected an object"),
        ('{"loop": {"bach_size": 3}}', "LoopConfig has no field bach_size"),
        ('{"loop": 3}', "^VoiceTrainingConfig: loop is 3; expected an object"),
        (
            '{"loop": {"batch_size": "3"}}',
            "^VoiceTrainingConfig: loop.batch_size is '3'; expected an integer",
        ),
        (
            '{"voice_encoder": {"speaker_hidden_units": [1, 2.5]}}',
            "voice_encoder.speaker_hidden_units.1 is 2.5; expected an integer",
        ),
    ],
)
def test_json_of_something_else_is_refused(text, message):
    with pytest.raises(UserError, match=message):
        from_json(VoiceTrainingConfig, text)


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("flag", 1, "flag is 1; expected true or false"),
        ("count", True, "count is True; expected an integer"),
        ("count", 3.0, r"count is 3\.0; expected an integer"),
        ("share", False, "share is False; expected a number"),
        ("share", "0.5", "share is '0.5'; expected a number"),
        ("name", None, "name is None; expected a string"),
        ("kind", "text", "kind is 'text'; expected one of voice, face"),
        ("kind", [], r"kind is \[\]; expected one of voice, face"),
        ("sizes", "12", "sizes is '12'; expected an array"),
        ("pairs", [["a"]], r"pairs.0 is \['a'\]; expected an array of 2"),
        ("points", {}, "points is {}; expected an array"),
        ("points", [{"x": None}], "points.0.x is None; expected a number"),
        ("points", [{}], "Point lacks x"),
        ("by_name", [], r"by_name is \[\]; expected an object"),
        ("by_name", {"a": [3]}, "by_name.a.0 is 3; expected an object"),
        ("maybe", 3, "maybe is 3; expected an object"),
    ],
)
def test_a_value_of_another_type_is_named(field, value, expected):
    values = {**json.loads(to_json(EVERYTHING)), field: value}
    with pytest.raises(UserError, match=f"^a/b.json: {expected}"):
        from_dict(Everything, values, "a/b.json")


def test_a_whole_number_is_a_float():
    assert from_json(Point, '{"x": 3}') == Point(3.0)


def test_missing_fields_take_their_defaults():
    config = from_json(VoiceTrainingConfig, '{"loop": {"batch_size": 3}}')
    assert config.loop.batch_size == 3
    assert config.loop.epochs == 3.0


def test_a_missing_field_without_a_default_is_named():
    with pytest.raises(UserError, match=r"^file: Point lacks x$") as caught:
        from_json(Point, "{}", "file")
    assert caught.value.reason == "missing_field"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("hello", "is not JSON"),
        ("", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        ("[" * 10_000, "is not JSON"),
        ('{"x":' * 10_000 + "1" + "}" * 10_000, "is not JSON"),
        ("[" * 10_000 + "]" * 10_000, "is not JSON"),
        ('{"x": 1, "x": 2}', "the key 'x' is there twice"),
        (f'{{"x": 1{"0" * 400}}}', "x is 1000.*; expected a number"),
        (f'{{"x": 1{"0" * 5000}}}', "is not JSON"),
        ('{"x": 1} {"x": 1}', "is not JSON"),
        ("[1.0]", "expected an object"),
        (f'{{"x": 1, "{"y" * 10**6}": 1}}', "Point has no field yyy"),
    ],
)
def test_whatever_a_file_holds_is_one_short_line(tmp_path, text, expected):
    path = tmp_path / "config.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"config.json.*{expected}") as caught:
        read_json(path, Point)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_integers_have_64_bits():
    with pytest.raises(UserError, match="count is 9223372036854775808; expected an"):
        from_dict(Everything, {**json.loads(to_json(EVERYTHING)), "count": 2**63})


def test_a_file_too_large_for_options_is_not_read(tmp_path):
    path = tmp_path / "config.json"
    with path.open("wb") as file:
        file.truncate(2**33)  # sparse: takes no space on the disk
    with pytest.raises(UserError, match="has 8,589,934,592 bytes, too many"):
        read_json(path)


def test_nothing_else_parses_json():
    parsers = {"loads", "load", "JSONDecoder"}
    for path, tree in modules():
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in parsers:
                is_json = ast.unparse(node.value) == "json"
                assert not is_json or path.name == "json_codec.py", path


def test_nan_is_a_number_where_it_is_allowed():
    assert math.isnan(parse_json("[NaN]", "file")[0])
    assert parse_json("[-Infinity]", "file") == [-math.inf]
    for text in ("[NaN]", "[-Infinity]"):
        with pytest.raises(UserError, match="file is not JSON"):
            parse_json(text, "file", allow_nan=False)
