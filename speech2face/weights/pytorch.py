"""Files of PyTorch (.pth, .pt), read without PyTorch.

A file is a pickle of an ordered dict of tensors beside their raw storages: since 1.6
inside an uncompressed zip archive, before that as a stream of pickles followed by the
storages. Nothing is ever unpickled: `tensor_pickle` says how.

`read_pytorch` reads VGG-Face; `read_state_dict` reads any state dict.
"""

import io
import pathlib
import struct
import zipfile
from collections.abc import Iterator
from typing import Any

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import bounded_reader
from speech2face.weights.bounded_reader import BoundedReader
from speech2face.weights.tensor_pickle import Tensor, evaluate
from speech2face.weights.vgg_face_layout import (
    SourceLayer,
    SourceNetwork,
    has_original_names,
)

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL = 1001  # of torch.save before 1.6
_MAX_PICKLE_BYTES = 2**22  # the dict of VGG-Face, without its numbers, has 5 kB
_MAX_ZIP_ENTRIES = 5000  # VGG-Face has 35
_MAX_TENSORS = 2000
_MAX_NUMBERS = 2**28  # VGG-Face has 145 million
# What zipfile raises for damaged archives, by where the damage is.
_ZIP_ERRORS = (
    zipfile.BadZipFile,
    NotImplementedError,
    EOFError,
    OSError,
    ValueError,
    struct.error,
)

Tensors = dict[str, Tensor]  # by name
Storages = dict[str, np.ndarray]  # flat, by key


def read_pytorch(path: PathLike) -> SourceNetwork:
    """Returns the network of a PyTorch state dict, in either format.

    Raises:
      UserError: the file is truncated or corrupt, or holds anything but tensors by
        name.
    """
    tensors, storages = _read(path)
    layers = _state_dict_layers(tensors, storages, path)
    # vgg_face_dag keeps the authors' names; PyVGGFace and others have their own.
    order = "rgb" if has_original_names(layers) else ""
    return SourceNetwork("PyTorch", layers, "oihw", order)


def read_state_dict(path: PathLike) -> dict[str, np.ndarray]:
    """Returns the tensors of any PyTorch state dict by name, in either format.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: as `read_pytorch`.
    """
    tensors, storages = _read(path)
    return {key: _array(tensors[key], storages, f"{path}: {key}") for key in tensors}


def _array(tensor: Tensor, storages: Storages, what: str) -> np.ndarray:
    storage = storages[tensor.storage.key]
    return bounded_reader.strided_view(
        storage, tensor.offset, tensor.shape, tensor.strides, what
    )


def _state_dict_layers(
    tensors: Tensors, storages: Storages, path: PathLike
) -> list[SourceLayer]:
    arrays: dict[str, dict[str, np.ndarray]] = {}
    for key, tensor in tensors.items():
        layer, _, kind = key.rpartition(".")
        array = _array(tensor, storages, f"{path}: {key}")
        arrays.setdefault(layer, {})[kind] = array
    for layer, kinds in arrays.items():
        if set(kinds) != {"weight", "bias"}:
            raise UserError(
                f"{path} (PyTorch) is not VGG-Face: layer {layer!r} has "
                f"{sorted(kinds)}, expected weight and bias"
            )
    return [SourceLayer(n, k["weight"], k["bias"]) for n, k in arrays.items()]


def _tensors(state: Any, path: PathLike) -> Tensors:
    """Returns the tensors of an evaluated state dict, checked in number and size."""
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not state:
        raise UserError(f"{path} (PyTorch) holds no dict of tensors")
    for key, value in state.items():
        if not isinstance(key, str) or not isinstance(value, Tensor):
            raise UserError(f"{path} (PyTorch): entry {key!r} is not a tensor")
    n_numbers = sum(tensor.storage.n_items for tensor in state.values())
    if len(state) > _MAX_TENSORS or n_numbers > _MAX_NUMBERS:
        raise UserError(
            f"{path} (PyTorch) is not VGG-Face: it declares {len(state)} tensors of "
            f"{n_numbers} numbers"
        )
    return state


def _read(path: PathLike) -> tuple[Tensors, Storages]:
    with pathlib.Path(path).open("rb") as file:
        is_zip = file.read(2) == b"PK"
    return _read_zip(path) if is_zip else _read_legacy(path)


def _read_zip(path: PathLike) -> tuple[Tensors, Storages]:
    try:
        with zipfile.ZipFile(path) as archive:
            return _read_archive(archive, path)
    except UserError:
        raise
    except _ZIP_ERRORS as error:
        raise UserError(f"{path} is truncated or corrupt ({error})") from None


def _read_archive(archive: zipfile.ZipFile, path: PathLike) -> tuple[Tensors, Storages]:
    entries = {entry.filename: entry for entry in archive.infolist()}
    pickles = [name for name in entries if name.endswith("/data.pkl")]
    if len(entries) > _MAX_ZIP_ENTRIES or len(pickles) != 1:
        raise UserError(f"{path} is a zip archive, but not a PyTorch file")
    for name, entry in entries.items():
        _check_zip_entry(name, entry, path)
    root = pickles[0][: -len("data.pkl")]

    def read(name: str, limit: int) -> bytes:
        if name not in entries:
            raise UserError(f"{path} is corrupt: it has no entry {name!r}")
        if entries[name].file_size > limit:
            raise UserError(f"{path} is corrupt: {name!r} is larger than it can be")
        return archive.read(entries[name])

    if root + "byteorder" in entries and read(root + "byteorder", 16) != b"little":
        raise UserError(f"{path} was written on a big-endian machine")
    stream = io.BytesIO(read(pickles[0], _MAX_PICKLE_BYTES))
    tensors = _tensors(evaluate(stream, path), path)
    by_key = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    storages = {}
    for key, storage in by_key.items():
        n_bytes = storage.n_items * np.dtype(storage.dtype).itemsize
        data = memoryview(read(f"{root}data/{key}", n_bytes))
        storages[key] = BoundedReader(data, path).array(storage.dtype, storage.n_items)
    return tensors, storages


def _check_zip_entry(name: str, entry: zipfile.ZipInfo, path: PathLike) -> None:
    # Nothing is extracted; such names show that the archive is not what it says.
    parts = name.replace("\\", "/").split("/")
    if name.startswith(("/", "\\")) or ".." in parts or ":" in name:
        raise UserError(f"{path} is not a PyTorch file: unsafe entry name {name!r}")
    if entry.flag_bits & 1:
        raise UserError(f"{path} is not a PyTorch file: encrypted entry {name!r}")
    if entry.compress_type != zipfile.ZIP_STORED:
        raise UserError(f"{path} is not a PyTorch file: compressed entry {name!r}")


def _read_legacy(path: PathLike) -> tuple[Tensors, Storages]:
    with bounded_reader.open_reader(path) as reader:
        head = bytes(reader.take(min(reader.remaining, _MAX_PICKLE_BYTES)))
        stream = io.BytesIO(head)
        if evaluate(stream, path) != LEGACY_MAGIC:
            raise UserError(f"{path} is a Python pickle, but not a PyTorch file")
        protocol, system = evaluate(stream, path), evaluate(stream, path)
        if protocol != _LEGACY_PROTOCOL or not isinstance(system, dict):
            raise UserError(f"{path} is corrupt: unknown PyTorch protocol")
        if system.get("little_endian") is False:
            raise UserError(f"{path} was written on a big-endian machine")
        state = evaluate(stream, path)
        tensors = _tensors(state, path)
        keys = evaluate(stream, path)
        declared = {t.storage.key: t.storage for t in _tensors_within(state)}
        is_list = isinstance(keys, list) and all(isinstance(key, str) for key in keys)
        if not is_list or set(keys) != set(declared):
            raise UserError(f"{path} is corrupt: its storages are not its tensors'")
        reader.position = stream.tell()
        storages = {}
        for key in keys:
            if reader.unpack("q")[0] != declared[key].n_items:
                raise UserError(f"{path} is corrupt: storage {key!r} has another size")
            storages[key] = reader.array(declared[key].dtype, declared[key].n_items)
    return tensors, storages


def _tensors_within(value: Any) -> Iterator[Tensor]:
    """Yields every tensor of nested dicts, lists and tuples.

    Without recursion, and each container once: in a hostile file they may contain
    themselves, or one another many times over.
    """
    remaining, seen = [value], set()
    while remaining:
        item = remaining.pop()
        if isinstance(item, Tensor):
            yield item
        elif isinstance(item, (dict, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            remaining.extend(item.values() if isinstance(item, dict) else item)
