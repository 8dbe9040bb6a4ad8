"""VGG-Face as PyTorch stores it (.pth), read without PyTorch.

A pickle of an ordered dict of tensors beside their raw storages: since 1.6 inside an
uncompressed zip archive, before that as a stream of pickles followed by the storages.

Nothing is ever unpickled: `pickletools` decodes the opcodes, and `_evaluate` carries
out the few that a dict of tensors needs. Any other opcode or global is refused, so a
file cannot make this program import or call anything.
"""

import io
import pickletools
import zipfile
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Tuple

import numpy as np

from speech2face import bounded_reader
from speech2face.bounded_reader import BoundedReader
from speech2face.vgg_face_layout import SourceLayer, SourceNetwork

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001
_MAX_PICKLE_BYTES = 2**22  # the dict of VGG-Face, without its numbers, has 5 kB
_MAX_ZIP_ENTRIES = 5000
_MAX_TENSORS = 2000
_MAX_NUMBERS = 2**28  # VGG-Face has 145 million
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


class _Global(NamedTuple):
    name: str


class _Storage(NamedTuple):
    """A storage by its key: its numbers lie elsewhere in the file."""

    dtype: str
    key: str
    n_items: int


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    shape: Tuple[int, ...]
    strides: Tuple[int, ...]


def read_pytorch(path: str) -> SourceNetwork:
    """Returns the network of a PyTorch state dict, in either format.

    Raises ValueError where the file is truncated or corrupt, or holds anything but
    tensors by name.
    """
    with open(path, "rb") as file:
        is_zip = file.read(2) == b"PK"
    tensors, storages = _read_zip(path) if is_zip else _read_legacy(path)
    return SourceNetwork(
        "PyTorch",
        _state_dict_layers(tensors, storages, path),
        kernel_layout="oihw",
        channel_order="rgb",
    )


def read_legacy_entry(path: str, entry: str) -> Dict[str, np.ndarray]:
    """Returns the tensors of one state dict of a training checkpoint by name.

    Args:
      path: a file of the format before PyTorch 1.6.
      entry: key of the state dict among the checkpoint's entries, e.g. "model_state".

    Raises ValueError as `read_pytorch`, or where there is no such entry.
    """
    tensors, storages = _read_legacy(path, entry)
    return {key: _array(tensors[key], storages, f"{path}: {key}") for key in tensors}


def _array(tensor: _Tensor, storages: Dict[str, np.ndarray], what: str) -> np.ndarray:
    storage = storages[tensor.storage.key]
    return bounded_reader.strided_view(
        storage, tensor.offset, tensor.shape, tensor.strides, what
    )


def _state_dict_layers(
    tensors: Dict[str, _Tensor], storages: Dict[str, np.ndarray], path: str
) -> List[SourceLayer]:
    arrays: Dict[str, Dict[str, np.ndarray]] = {}
    for key, tensor in tensors.items():
        layer, _, kind = key.rpartition(".")
        array = _array(tensor, storages, f"{path}: {key}")
        arrays.setdefault(layer, {})[kind] = array
    for layer, kinds in arrays.items():
        if set(kinds) != {"weight", "bias"}:
            raise ValueError(
                f"{path} (PyTorch) is not VGG-Face: layer {layer!r} has "
                f"{sorted(kinds)}, expected weight and bias"
            )
    return [SourceLayer(n, k["weight"], k["bias"]) for n, k in arrays.items()]


def _tensors(state: Any, path: str) -> Dict[str, _Tensor]:
    """Returns the tensors of an evaluated state dict, checked in number and size."""
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state:
        raise ValueError(f"{path} (PyTorch) holds no dict of tensors")
    for key, value in state.items():
        if not isinstance(value, _Tensor):
            raise ValueError(f"{path} (PyTorch): entry {key!r} is not a tensor")
    n_numbers = sum(tensor.storage.n_items for tensor in state.values())
    if len(state) > _MAX_TENSORS or n_numbers > _MAX_NUMBERS:
        raise ValueError(
            f"{path} (PyTorch) is not VGG-Face: it declares {len(state)} tensors of "
            f"{n_numbers} numbers"
        )
    return state


def _read_zip(path: str) -> Tuple[Dict[str, _Tensor], Dict[str, np.ndarray]]:
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive, path)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError) as error:
        raise ValueError(f"{path} is truncated or corrupt ({error})") from None


def _read_archive(
    archive: zipfile.ZipFile, path: str
) -> Tuple[Dict[str, _Tensor], Dict[str, np.ndarray]]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    if len(entries) > _MAX_ZIP_ENTRIES or len(pickles) != 1:
        raise ValueError(f"{path} is a zip archive, but not a PyTorch file")
    for name, entry in entries.items():
        _check_zip_entry(name, entry, path)
    root = pickles[0][: -len("data.pkl")]

    def read(name: str, limit: int) -> bytes:
        if name not in entries:
            raise ValueError(f"{path} is corrupt: it has no entry {name!r}")
        if entries[name].file_size > limit:
            raise ValueError(f"{path} is corrupt: {name!r} is larger than it can be")
        return archive.read(entries[name])

    if root + "byteorder" in entries and read(root + "byteorder", 16) != b"little":
        raise ValueError(f"{path} was written on a big-endian machine")
    stream = io.BytesIO(read(pickles[0], _MAX_PICKLE_BYTES))
    tensors = _tensors(_evaluate(stream, path), path)
    storages = {}
    for key, storage in _storages_by_key(tensors).items():
        n_bytes = storage.n_items * np.dtype(storage.dtype).itemsize
        data = memoryview(read(f"{root}data/{key}", n_bytes))
        storages[key] = BoundedReader(data, path).array(storage.dtype, storage.n_items)
    return tensors, storages


def _check_zip_entry(name: str, entry: zipfile.ZipInfo, path: str) -> None:
    # Nothing is extracted; such names show that the archive is not what it says.
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name:
        raise ValueError(f"{path} is not a PyTorch file: unsafe entry name {name!r}")
    if entry.flag_bits & 1:
        raise ValueError(f"{path} is not a PyTorch file: encrypted entry {name!r}")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise ValueError(f"{path} is not a PyTorch file: compressed entry {name!r}")


def _read_legacy(
    path: str, entry: str = ""
) -> Tuple[Dict[str, _Tensor], Dict[str, np.ndarray]]:
    with bounded_reader.open_reader(path) as reader:
        head = bytes(reader.take(min(reader.remaining, _MAX_PICKLE_BYTES)))
        stream = io.BytesIO(head)
        if _evaluate(stream, path) != LEGACY_MAGIC:
            raise ValueError(f"{path} is a Python pickle, but not a PyTorch file")
        protocol, system = _evaluate(stream, path), _evaluate(stream, path)
        if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
            raise ValueError(f"{path} is corrupt: unknown PyTorch protocol")
        if system.get("little_endian") is False:
            raise ValueError(f"{path} was written on a big-endian machine")
        state = _evaluate(stream, path)
        tensors = _tensors(_expect_entry(state, entry, path) if entry else state, path)
        keys = _evaluate(stream, path)
        declared = {t.storage.key: t.storage for t in _tensors_within(state)}
        if not isinstance(keys, list) or set(keys) != set(declared):
            raise ValueError(f"{path} is corrupt: its storages are not its tensors'")
        reader.position = stream.tell()
        storages = {}
        for key in keys:
            if reader.unpack("q")[0] != declared[key].n_items:
                raise ValueError(f"{path} is corrupt: storage {key!r} has another size")
            storages[key] = reader.array(declared[key].dtype, declared[key].n_items)
    return tensors, storages


def _expect_entry(state: Any, entry: str, path: str) -> Any:
    if not isinstance(state, dict) or entry not in state:
        raise ValueError(f"{path} (PyTorch) has no entry {entry!r}")
    return state[entry]


def _tensors_within(value: Any) -> Iterator[_Tensor]:
    """Yields every tensor of nested dicts, lists and tuples."""
    if isinstance(value, _Tensor):
        yield value
    elif isinstance(value, (dict, list, tuple)):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _tensors_within(item)


def _storages_by_key(tensors: Dict[str, _Tensor]) -> Dict[str, _Storage]:
    return {tensor.storage.key: tensor.storage for tensor in tensors.values()}


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
_PUSH_NEW: Dict[str, Callable[[], Any]] = {
    "NONE": lambda: None,
    "NEWTRUE": lambda: True,
    "NEWFALSE": lambda: False,
    "EMPTY_DICT": dict,
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "MARK": lambda: _MARK,
}
_TUPLE_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def _evaluate(stream: io.BytesIO, path: str) -> Any:
    """Returns what one pickle of `stream` describes, without unpickling it.

    Knows dicts, lists, tuples, numbers, strings, storages and tensors, and nothing
    else. ValueError for everything that a dict of tensors does not need.
    """
    stack: List[Any] = []
    memo: Dict[int, Any] = {}
    try:
        for opcode, argument, _ in pickletools.genops(stream):
            if opcode.name == "STOP":
                return stack.pop()
            _step(opcode.name, argument, stack, memo)
    except _Refused as error:
        raise ValueError(
            f"{path} is not a file of weights alone and was not opened: {error}"
        ) from None
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} is truncated or corrupt ({error})") from None
    raise ValueError(f"{path} is truncated: a pickle without an end")


class _Refused(Exception):
    """The pickle asks for something that weights do not need."""


def _step(name: str, argument: Any, stack: List[Any], memo: Dict[int, Any]) -> None:
    if name in _PUSH_ARGUMENT:
        stack.append(argument)
    elif name in _PUSH_NEW:
        stack.append(_PUSH_NEW[name]())
    elif name in _TUPLE_SIZES:
        stack.append(tuple(_pop(stack, _TUPLE_SIZES[name])))
    elif name == "TUPLE":
        stack.append(tuple(_pop_to_mark(stack)))
    elif name in ("BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name in ("BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    elif name in ("SETITEM", "SETITEMS"):
        pairs = _pop(stack, 2) if name == "SETITEM" else _pop_to_mark(stack)
        _set_items(stack[-1], pairs)
    elif name in ("APPEND", "APPENDS"):
        items = _pop(stack, 1) if name == "APPEND" else _pop_to_mark(stack)
        _expect(stack[-1], list).extend(items)
    elif name == "GLOBAL":
        if argument not in _GLOBALS:
            raise _Refused(f"it refers to {argument.replace(' ', '.')!r}")
        stack.append(_Global(argument))
    elif name == "BINPERSID":
        stack.append(_storage(stack.pop()))
    elif name == "REDUCE":
        function, arguments = _pop(stack, 2)
        stack.append(_call(function, arguments))
    elif name == "BUILD":
        # State of an OrderedDict (`_metadata` of a state dict): not needed.
        stack.pop()
        _expect(stack[-1], dict)
    elif name != "PROTO":
        raise _Refused(f"it uses the pickle opcode {name}")


def _pop(stack: List[Any], n_items: int) -> List[Any]:
    if len(stack) < n_items:
        raise IndexError("a value is missing")
    items = stack[-n_items:]
    del stack[-n_items:]
    return items


def _pop_to_mark(stack: List[Any]) -> List[Any]:
    items: List[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]


def _expect(value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"expected a {kind.__name__}, got a {type(value).__name__}")
    return value


def _set_items(target: Any, pairs: List[Any]) -> None:
    for key, value in zip(pairs[::2], pairs[1::2]):
        if not isinstance(key, (str, int)):
            raise TypeError(f"a key of a dict is a {type(key).__name__}")
        _expect(target, dict)[key] = value


def _storage(identity: Any) -> _Storage:
    tag, kind, key, _, n_items, *view = _expect(identity, tuple)
    dtype = _STORAGE_DTYPES[_expect(kind, _Global).name.partition(" ")[2]]
    if (
        tag != "storage"
        or _expect(n_items, int) < 0
        or any(v is not None for v in view)
    ):
        raise ValueError("an unknown persistent id")
    return _Storage(dtype, _expect(key, str), n_items)


def _call(function: Any, arguments: Any) -> Any:
    name = _expect(function, _Global).name
    if name == _ORDERED_DICT and len(_expect(arguments, tuple)) <= 1:
        # Python 2 wrote OrderedDict([[key, value], ...]).
        pairs = arguments[0] if arguments else []
        return {_expect(key, str): value for key, value in _expect(pairs, list)}
    if name in _REBUILD_TENSOR:
        storage, offset, shape, strides = arguments[:4]
        numbers = (offset, *shape, *strides)
        if all(isinstance(number, int) for number in numbers):
            return _Tensor(_expect(storage, _Storage), offset, shape, strides)
    raise _Refused(f"it calls {name.replace(' ', '.')!r} with unusual arguments")
