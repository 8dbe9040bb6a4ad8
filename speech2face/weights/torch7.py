"""VGG-Face as Torch7 stores it (.t7), read without Torch.

A file is a tree of typed objects in little-endian binary (torch7: File.lua,
generic/Tensor.c). A network is an `nn.Sequential`; its layers are tables with `weight`
and `bias` tensors. Classes are kept as names only and Lua functions are skipped, so
nothing in a file is executed.
"""

from typing import Any, NamedTuple

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import bounded_reader
from speech2face.weights.bounded_reader import BoundedReader
from speech2face.weights.vgg_face_layout import SourceLayer, SourceNetwork

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = range(6)
_FUNCTIONS = (6, 7, 8)
# A network nests about 10 deep and has a few thousand objects.
_MAX_DEPTH = 64
_MAX_OBJECTS = 10**5
_MAX_DIMENSIONS = 8
_MAX_LAYERS = 1000  # one object may be in many places of the tree
_DTYPES = {
    "Byte": "<u1",
    "Char": "<i1",
    "Short": "<i2",
    "Int": "<i4",
    "Long": "<i8",
    "Float": "<f4",
    "Double": "<f8",
    "Cuda": "<f4",
    "CudaDouble": "<f8",
}
_CONVOLUTIONS = ("nn.SpatialConvolution", "nn.SpatialConvolutionMM")
_LAYERS = (*_CONVOLUTIONS, "cudnn.SpatialConvolution", "nn.Linear")


class T7Object(NamedTuple):
    """An object of a Lua class: its class name and its fields."""

    class_name: str
    fields: Any


def read_torch7(path: PathLike) -> SourceNetwork:
    """Returns the network of a Torch7 file.

    Raises:
      UserError: the file is truncated or corrupt, or is not an `nn.Sequential` of
        convolutions and linear layers.
    """
    with bounded_reader.open_reader(path) as reader:
        root = _T7Reader(reader, path).read_object()
    layers: list[SourceLayer] = []
    _collect_t7_layers(root, layers, path, depth=0)
    return SourceNetwork("Torch7", layers, kernel_layout="oihw", channel_order="bgr")


def _collect_t7_layers(
    node: Any, layers: list[SourceLayer], path: PathLike, depth: int
) -> None:
    """Appends the layers of nested nn.Sequentials in network order."""
    if depth > 8 or not isinstance(node, T7Object):
        raise UserError(f"{path} (Torch7) is not VGG-Face: no nn.Sequential inside")
    fields = node.fields if isinstance(node.fields, dict) else {}
    if node.class_name in _LAYERS:
        kernel, bias = fields.get("weight"), fields.get("bias")
        if not isinstance(kernel, np.ndarray) or not isinstance(bias, np.ndarray):
            raise UserError(f"{path}: a {node.class_name} has no weight or no bias")
        layers.append(SourceLayer("", kernel, bias))
        if len(layers) > _MAX_LAYERS:
            raise UserError(f"{path} is not VGG-Face: over {_MAX_LAYERS} layers")
    elif isinstance(fields.get("modules"), dict):
        modules = fields["modules"]
        for index in range(1, len(modules) + 1):
            _collect_t7_layers(modules.get(index), layers, path, depth + 1)
    elif depth == 0:
        raise UserError(
            f"{path} (Torch7) is not VGG-Face: it holds a {node.class_name}, expected "
            "an nn.Sequential"
        )


class _T7Reader:
    """Reads Torch7's serialized objects; a class is kept as its name and fields."""

    def __init__(self, reader: BoundedReader, path: PathLike):
        self._reader = reader
        self._path = path
        self._objects: dict[int, Any] = {}
        self._depth = 0
        self._n_objects = 0

    def read_object(self) -> Any:
        """Returns a number, str, bool, None, dict (table), array or T7Object."""
        self._depth += 1
        self._n_objects += 1
        if self._depth > _MAX_DEPTH or self._n_objects > _MAX_OBJECTS:
            raise self._corrupt("more or deeper objects than any network has")
        try:
            return self._read_object()
        finally:
            self._depth -= 1

    def _read_object(self) -> Any:
        kind = self._int()
        if kind in (_TABLE, _TORCH, *_FUNCTIONS):
            return self._indexed_object(kind)
        if kind == _NUMBER:
            value = self._reader.unpack("d")[0]
            return int(value) if value.is_integer() else value
        if kind == _BOOLEAN:
            return self._int() == 1
        if kind == _STRING:
            return self._string()
        if kind != _NIL:
            raise self._corrupt(f"unknown object type {kind}")
        return None

    def _indexed_object(self, kind: int) -> Any:
        """Reads an object that others may refer to by its index."""
        index = self._int()
        if index in self._objects:
            return self._objects[index]
        if kind == _TABLE:
            return self._table(index)
        if kind == _TORCH:
            return self._torch_object(index)
        self._string()  # byte code of a Lua function: skipped, never run
        self._objects[index] = None
        self.read_object()  # its upvalues
        return None

    def _table(self, index: int) -> dict:
        table: dict[Any, Any] = {}
        self._objects[index] = table
        for _ in range(self._int()):
            key, value = self.read_object(), self.read_object()
            if isinstance(key, (str, int, float)):
                table[key] = value
        return table

    def _torch_object(self, index: int) -> Any:
        class_name = self._string()
        if class_name.startswith("V "):  # the version of the format of this class
            class_name = self._string()
        library, _, name = class_name.partition(".")
        is_array = library == "torch" and name.endswith(("Tensor", "Storage"))
        if is_array and name.endswith("Tensor"):
            self._objects[index] = None
            self._objects[index] = self._tensor(name[: -len("Tensor")])
        elif is_array:
            self._objects[index] = self._storage(name[: -len("Storage")])
        else:
            self._objects[index] = None
            self._objects[index] = T7Object(class_name, self.read_object())
        return self._objects[index]

    def _tensor(self, type_name: str) -> np.ndarray:
        n_dims = self._int()
        if not 0 <= n_dims <= _MAX_DIMENSIONS:
            raise self._corrupt(f"a tensor of {n_dims} dimensions")
        shape = self._reader.unpack("q" * n_dims)
        strides = self._reader.unpack("q" * n_dims)
        offset = self._reader.unpack("q")[0] - 1  # Lua counts from 1
        storage = self.read_object()
        if storage is None or n_dims == 0:
            return np.empty(0, self._dtype(type_name))
        if not isinstance(storage, np.ndarray) or storage.ndim != 1:
            raise self._corrupt("a tensor without a storage")
        what = f"{self._path}: a tensor"
        return bounded_reader.strided_view(storage, offset, shape, strides, what)

    def _storage(self, type_name: str) -> np.ndarray:
        n_items = self._reader.unpack("q")[0]
        return self._reader.array(self._dtype(type_name), n_items)

    def _dtype(self, type_name: str) -> str:
        if type_name not in _DTYPES:
            raise self._corrupt(f"numbers of type {type_name!r}")
        return _DTYPES[type_name]

    def _int(self) -> int:
        return self._reader.unpack("i")[0]

    def _string(self) -> str:
        return bytes(self._reader.take(self._int())).decode("latin-1")

    def _corrupt(self, what: str) -> UserError:
        return UserError(f"{self._path} (Torch7) is truncated or corrupt: {what}")
