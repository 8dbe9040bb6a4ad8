"""Pickles of PyTorch tensors, read without unpickling anything.

`pickletools` decodes the opcodes, and `evaluate` carries out the few that a dict of
tensors needs. Any other opcode or global is refused, so a file cannot make this program
import or call anything (docs/decisions/untrusted-weight-files.md).
"""

import io
import pickletools
from collections.abc import Callable
from typing import Any, NamedTuple

from speech2face.errors import UserError
from speech2face.files import PathLike

_STORAGE_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
}
_ORDERED_DICT = "collections OrderedDict"
_REBUILD_TENSOR = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
_GLOBALS = {
    _ORDERED_DICT,
    *_REBUILD_TENSOR,
    *(f"torch {name}" for name in _STORAGE_DTYPES),
}
_MARK = object()
_PUSH_ARGUMENT = {
    "BININT",
    "BININT1",
    "BININT2",
    "LONG1",
    "BINUNICODE",
    "SHORT_BINUNICODE",
    "BINSTRING",
    "SHORT_BINSTRING",
    "BINFLOAT",
}
_PUSH_NEW: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}


class Storage(NamedTuple):
    """A storage by its key: its numbers lie elsewhere in the file."""

    dtype: str
    key: str
    n_items: int


class Tensor(NamedTuple):
    """A tensor laid over a storage; offset and strides count elements, not bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Global(NamedTuple):
    """A name that the pickle refers to; it is never looked up."""

    name: str


def evaluate(stream: io.BytesIO, path: PathLike) -> Any:
    """Returns what one pickle describes, without unpickling it.

    Knows dicts, lists, tuples, numbers, strings, storages and tensors.

    Args:
      stream: a stream at the start of the pickle; left after its end.
      path: names the file in errors.

    Raises:
      UserError: the pickle is truncated, corrupt, or needs anything else.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return machine.stack.pop()
            machine.step(opcode.name, argument)
    except _RefusedError as error:
        raise UserError(
            f"{path} is not a file of weights alone and was not opened: {error}"
        ) from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is truncated or corrupt ({error})") from None
    raise UserError(f"{path} is truncated: a pickle without an end")


class _RefusedError(Exception):
    """The pickle asks for something that weights do not need."""


class _Machine:
    """The pickle machine: a stack and a memo. Opcodes are named as in pickletools."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        # A dict, not a list: an index of 2**31 must not allocate anything.
        self._memo: dict[int, Any] = {}
        self._steps: dict[str, Callable[[Any], None]] = {
            "PROTO": lambda version: None,
            "TUPLE": lambda _: self.stack.append(tuple(self._pop_to_mark())),
            "TUPLE1": lambda _: self.stack.append(tuple(self._pop(1))),
            "TUPLE2": lambda _: self.stack.append(tuple(self._pop(2))),
            "TUPLE3": lambda _: self.stack.append(tuple(self._pop(3))),
            "BINPUT": self._put,
            "LONG_BINPUT": self._put,
            "BINGET": self._get,
            "LONG_BINGET": self._get,
            "SETITEM": lambda _: self._set_items(self._pop(2)),
            "SETITEMS": lambda _: self._set_items(self._pop_to_mark()),
            "APPEND": lambda _: self._extend(self._pop(1)),
            "APPENDS": lambda _: self._extend(self._pop_to_mark()),
            "GLOBAL": self._global,
            "BINPERSID": lambda _: self.stack.append(_storage(self.stack.pop())),
            "REDUCE": lambda _: self.stack.append(_call(*self._pop(2))),
            "BUILD": self._build,
        }

    def step(self, name: str, argument: Any) -> None:
        """Carries out one opcode."""
        if name in _PUSH_ARGUMENT:
            self.stack.append(argument)
        elif name in _PUSH_NEW:
            self.stack.append(_PUSH_NEW[name]())
        elif name in self._steps:
            self._steps[name](argument)
        else:
            raise _RefusedError(f"it uses the pickle opcode {name}")

    def _put(self, index: int) -> None:
        self._memo[index] = self.stack[-1]

    def _get(self, index: int) -> None:
        self.stack.append(self._memo[index])

    def _set_items(self, pairs: list[Any]) -> None:
        target = _expect(self.stack[-1], dict)
        for key, value in zip(pairs[::2], pairs[1::2]):
            if not isinstance(key, (str, int)):
                raise TypeError(f"a key of a dict is a {type(key).__name__}")
            target[key] = value

    def _extend(self, items: list[Any]) -> None:
        _expect(self.stack[-1], list).extend(items)

    def _global(self, name: str) -> None:
        if name not in _GLOBALS:
            raise _RefusedError(f"it refers to {name.replace(' ', '.')!r}")
        self.stack.append(_Global(name))

    def _build(self, _: Any) -> None:
        # State of an OrderedDict (`_metadata` of a state dict): not needed.
        self.stack.pop()
        _expect(self.stack[-1], dict)

    def _pop(self, n_items: int) -> list[Any]:
        if len(self.stack) < n_items:
            raise IndexError("a value is missing")
        items = self.stack[-n_items:]
        del self.stack[-n_items:]
        return items

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while (item := self.stack.pop()) is not _MARK:
            items.append(item)
        return items[::-1]


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, got a {type(value).__name__}")
    return value


def _storage(identity: Any) -> Storage:
    """Returns the storage of a persistent id ('storage', type, key, device, n)."""
    tag, kind, key, _, n_items, *view = _expect(identity, tuple)
    dtype = _STORAGE_DTYPES[_expect(kind, _Global).name.partition(" ")[2]]
    is_view = any(part is not None for part in view)
    if tag != "storage" or _expect(n_items, int) < 0 or is_view:
        raise ValueError("an unknown persistent id")
    return Storage(dtype, _expect(key, str), n_items)


def _call(function: Any, arguments: Any) -> Any:
    """Does what the two known functions would do; calls neither."""
    name = _expect(function, _Global).name
    if name == _ORDERED_DICT and len(_expect(arguments, tuple)) <= 1:
        # Python 2 wrote OrderedDict([[key, value], ...]).
        pairs = arguments[0] if arguments else []
        return {_expect(key, str): value for key, value in _expect(pairs, list)}
    if name in _REBUILD_TENSOR:
        storage, offset, shape, strides = arguments[:4]
        numbers = (offset, *_expect(shape, tuple), *_expect(strides, tuple))
        if all(isinstance(number, int) for number in numbers):
            return Tensor(_expect(storage, Storage), offset, shape, strides)
    raise _RefusedError(f"it calls {name.replace(' ', '.')!r} with unusual arguments")
