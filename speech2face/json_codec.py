"""Writes dataclasses as JSON, and reads them with a check of every value.

Somebody may have edited the file, or another version may have written it. Each value
must have the type of its field:

    Any                     anything
    bool, str               exactly that
    int                     an integer of 64 bits; true and false are not integers
    float                   a number, with or without a fraction; also NaN, which
                            statistics of damaged data are (options have bounds)
    Literal[...]            one of the choices
    Optional[T]             null or T
    list[T], tuple[T, ...]  an array of T
    tuple[A, B]             an array of an A and a B
    dict[str, T]            an object of T
    a dataclass             an object; a missing field takes its default

Nothing else in the project parses JSON, so that whatever a file holds instead (a line
of garbage, ten thousand brackets, a key twice) is one line that names file and field.
"""

import dataclasses
import functools
import json
import sys
import types
import typing
from collections.abc import Callable, Iterable
from typing import (
    Any,
    Literal,
    TypeVar,
    Union,
)

from speech2face.errors import UserError
from speech2face.files import PathLike, as_path

DataclassType = TypeVar("DataclassType")

_MAX_BYTES = 2**28  # a dataset.json of 100,000 shards has a tenth of that
_MAX_SHOWN = 60  # characters of a name in an error
# Of integers, for which JSON has no limit: what NumPy, TensorFlow and a float can hold.
_LIMITS: dict[Any, float] = {int: 2**63 - 1, float: sys.float_info.max}
# What an error says was expected.
_SCALARS = {
    bool: "true or false",
    int: "an integer of 64 bits",
    float: "a number",
    str: "a string",
}


def to_json(instance: Any) -> str:
    """Returns a dataclass as indented JSON, nested as the dataclasses are."""
    return json.dumps(dataclasses.asdict(instance), indent=2) + "\n"


def from_json(
    dataclass_type: type[DataclassType], text: str | bytes, source: str = ""
) -> DataclassType:
    """Returns the `dataclass_type` that `to_json` wrote.

    Args:
      dataclass_type: what to read.
      text: JSON; as bytes, UTF-8.
      source: the file that errors name; by default the name of the dataclass.

    Raises:
      UserError: the text is not JSON, or `from_dict` refuses it.
    """
    source = source or dataclass_type.__name__
    return from_dict(dataclass_type, parse_json(text, source), source)


def from_dict(
    dataclass_type: type[DataclassType], values: Any, source: str = ""
) -> DataclassType:
    """Returns the `dataclass_type` with the values of a parsed JSON object.

    Args:
      dataclass_type: what to build.
      values: what `dataclasses.asdict` gives, after a round trip through JSON.
      source: the file that errors name; by default the name of the dataclass.

    Raises:
      UserError: a value is of another type, a field is unknown, or one without a
        default is missing. The message names the source and the field.
    """
    return _decode(dataclass_type, values, _Place(source or dataclass_type.__name__))


def decode(kind: Any, value: Any, source: str) -> Any:
    """Returns a parsed value as any of the types above.

    Args:
      kind: such as `dict[str, Any]` or `tuple[str, str]`.
      value: what `parse_json` returned.
      source: the file that errors name.

    Raises:
      UserError: the value is of another type.
    """
    return _decode(kind, value, _Place(source))


def read_json(path: PathLike, kind: Any = Any) -> Any:
    """Reads a file of JSON.

    Args:
      path: the file, which errors name.
      kind: what it must hold: any of the types above.

    Raises:
      OSError: the file is missing or unreadable.
      UserError: it is too large, is not JSON, or holds another type.
    """
    path = as_path(path)
    n_bytes = path.stat().st_size
    if n_bytes > _MAX_BYTES:
        raise UserError(f"{path} has {n_bytes:,} bytes, too many for a file of options")
    content = parse_json(path.read_bytes(), str(path))
    return decode(kind, content, str(path))


def parse_json(text: str | bytes, source: str, *, allow_nan: bool = True) -> Any:
    """Parses JSON.

    Args:
      text: bytes of UTF-8.
      source: what errors name, such as a file.
      allow_nan: whether NaN and Infinity are numbers, as in the files of Python.

    Raises:
      UserError: the text is not JSON. An object with one key twice is not: nobody can
        say which of the two counts.
    """
    constant = float if allow_nan else _refuse_constant
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=constant)
    except (ValueError, RecursionError) as error:  # ValueError: also of text not UTF-8
        raise UserError(f"{source} is not JSON: {error}", reason="not_json") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _object(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise ValueError(f"the key {name[:_MAX_SHOWN]!r} is there twice")
        values[name] = value
    return values


@dataclasses.dataclass(frozen=True)
class _Place:
    """Place of a value: the source, and the names of the fields around it."""

    source: str
    field: str = ""

    def inside(self, name: str) -> "_Place":
        name = name[:_MAX_SHOWN]
        return _Place(self.source, f"{self.field}.{name}" if self.field else name)

    def error(self, value: Any, expected: str) -> UserError:
        what = f"{self.source}: {self.field}" if self.field else self.source
        return UserError(
            f"{what} is {value!r:.60}; expected {expected}", reason="wrong_type"
        )


def _decode(kind: Any, value: Any, place: _Place) -> Any:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _decode_dataclass(kind, value, place)
    if kind in _SCALARS:
        return _decode_scalar(kind, value, place)
    return _DECODERS[typing.get_origin(kind)](typing.get_args(kind), value, place)


def _decode_dataclass(kind: Any, value: Any, place: _Place) -> Any:
    field_types = _field_types(kind)
    if not isinstance(value, dict):
        raise place.error(value, f"an object ({kind.__name__})")
    unknown = sorted(set(value) - set(field_types))
    if unknown:
        raise UserError(
            f"{place.source}: {kind.__name__} has no field "
            f"{', '.join(name[:_MAX_SHOWN] for name in unknown[:5])}; "
            "another version of speech2face wrote it",
            reason="unknown_field",
        )
    missing = sorted(_required_fields(kind) - set(value))
    if missing:
        raise UserError(
            f"{place.source}: {kind.__name__} lacks {', '.join(missing)}",
            reason="missing_field",
        )
    fields = {n: _decode(field_types[n], v, place.inside(n)) for n, v in value.items()}
    try:
        return kind(**fields)
    except UserError as error:  # a number out of its bounds
        raise UserError(f"{place.source}: {error}", reason=error.reason) from None


@functools.cache  # jobs read hundreds of thousands of small objects
def _field_types(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


@functools.cache
def _required_fields(kind: Any) -> "set[str]":
    return {
        field.name
        for field in dataclasses.fields(kind)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    }


def _decode_scalar(kind: Any, value: Any, place: _Place) -> Any:
    accepted = (int, float) if kind is float else kind
    # bool is a subclass of int, but `true` is not a count.
    if not isinstance(value, accepted) or (
        kind is not bool and isinstance(value, bool)
    ):
        raise place.error(value, _SCALARS[kind])
    if isinstance(value, int) and kind in _LIMITS and abs(value) > _LIMITS[kind]:
        raise place.error(value, _SCALARS[kind])
    return value


def _decode_literal(choices: tuple[Any, ...], value: Any, place: _Place) -> Any:
    if value not in choices:
        raise place.error(value, f"one of {', '.join(map(str, choices))}")
    return value


def _decode_optional(kinds: tuple[Any, ...], value: Any, place: _Place) -> Any:
    (kind,) = [kind for kind in kinds if kind is not type(None)]
    return None if value is None else _decode(kind, value, place)


def _decode_list(kinds: tuple[Any, ...], value: Any, place: _Place) -> list[Any]:
    if not isinstance(value, (list, tuple)):
        raise place.error(value, "an array")
    (kind,) = kinds
    return [_decode(kind, v, place.inside(str(i))) for i, v in enumerate(value)]


def _decode_tuple(kinds: tuple[Any, ...], value: Any, place: _Place) -> tuple[Any, ...]:
    if Ellipsis in kinds:
        return tuple(_decode_list(kinds[:1], value, place))
    if not isinstance(value, (list, tuple)) or len(value) != len(kinds):
        raise place.error(value, f"an array of {len(kinds)}")
    return tuple(
        _decode(kind, v, place.inside(str(i)))
        for i, (kind, v) in enumerate(zip(kinds, value))
    )


def _decode_dict(kinds: tuple[Any, ...], value: Any, place: _Place) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise place.error(value, "an object")
    return {name: _decode(kinds[1], v, place.inside(name)) for name, v in value.items()}


_DECODERS: dict[Any, Callable[[tuple[Any, ...], Any, _Place], Any]] = {
    Literal: _decode_literal,
    Union: _decode_optional,  # Optional[X]
    types.UnionType: _decode_optional,  # X | None
    dict: _decode_dict,
    list: _decode_list,
    tuple: _decode_tuple,
}
