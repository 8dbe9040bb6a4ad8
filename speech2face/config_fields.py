"""Fields of configurations, and their way into JSON and back.

A configuration is a frozen dataclass of `option`s, `required` ones, and `section`s,
which are configurations themselves.
"""

import dataclasses
import json
import typing
from typing import Any, Optional, Type, TypeVar

ConfigType = TypeVar("ConfigType")


def option(default: Any, help_text: str) -> Any:
    """Declares a config field: its default and the help text of its flag."""
    return dataclasses.field(default=default, metadata={"help": help_text})


def required(help_text: str) -> Any:
    """Declares a config field that its command must be given."""
    return dataclasses.field(metadata={"help": help_text})


def section(config_type: Type[ConfigType]) -> ConfigType:
    """Declares a nested config with that config's own defaults."""
    return dataclasses.field(default_factory=config_type)


def to_json(config: Any) -> str:
    """Returns `config` as indented JSON, nested as the dataclasses are."""
    return json.dumps(dataclasses.asdict(config), indent=2) + "\n"


def from_json(config_type: Type[ConfigType], text: str) -> ConfigType:
    """Returns the `config_type` that `to_json` wrote.

    Raises:
      ValueError: the text is no JSON object, or has a field that `config_type` lacks
        (it was written by another version).
    """
    try:
        values = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not a {config_type.__name__}: {error}") from None
    return from_dict(config_type, values)


def from_dict(config_type: Type[ConfigType], values: dict) -> ConfigType:
    """Returns the `config_type` with these field values, nested as in `to_json`."""
    if not isinstance(values, dict):
        raise ValueError(f"{config_type.__name__} must be an object, not {values!r}")
    fields = {field.name: field for field in dataclasses.fields(config_type)}
    unknown = sorted(set(values) - set(fields))
    if unknown:
        raise ValueError(
            f"{config_type.__name__} has no field {', '.join(unknown)}: it was "
            "written by another version of speech2face"
        )
    return config_type(
        **{name: _from_value(fields[name].type, v) for name, v in values.items()}
    )


def flat_fields(config_type: type) -> "list[dataclasses.Field]":
    """Returns the option fields of `config_type` and of its sections, in order."""
    result = []
    for field in dataclasses.fields(config_type):
        if dataclasses.is_dataclass(field.type):
            result.extend(flat_fields(field.type))
        else:
            result.append(field)
    return result


def diff(old: Any, new: Any) -> "Optional[str]":
    """Names the options in which two configs of one type differ, or returns None."""
    changes = []
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(before):
            nested = diff(before, after)
            changes.extend([nested] if nested else [])
        elif before != after:
            changes.append(f"{field.name} {before!r} -> {after!r}")
    return ", ".join(changes) or None


def _from_value(field_type: Any, value: Any) -> Any:
    if dataclasses.is_dataclass(field_type):
        return from_dict(field_type, value)
    if typing.get_origin(field_type) is tuple:
        return tuple(value)
    return value
