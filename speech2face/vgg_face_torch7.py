"""VGG-Face as Torch7 stores it (.t7), read without Torch.

A tree of typed objects in little-endian binary (torch7: File.lua, generic/Tensor.c). A
network is an `nn.Sequential`; its layers are tables with `weight` and `bias` tensors.
Classes stay inert names and Lua functions are skipped: nothing in a file is run.
"""

from typing import Any, Dict, List, NamedTuple

import numpy as np

from speech2face import bounded_reader
from speech2face.bounded_reader import BoundedReader
from speech2face.vgg_face_layout import SourceLayer, SourceNetwork

_NIL, _NUMBER, _STRING, _TABLE, _TORCH, _BOOLEAN = range(6)
_FUNCTIONS = (6, 7, 8)
_MAX_DEPTH = 64
_MAX_OBJECTS = 10**5
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


def read_torch7(path: str) -> SourceNetwork:
    """Returns the network of a Torch7 file.

    Raises ValueError where the file is truncated or corrupt, or is not an
    `nn.Sequential` of convolutions and linear layers.
    """
    with bounded_reader.open_reader(path) as reader:
        root = _T7Reader(reader, path).read_object()
    layers: List[SourceLayer] = []
    _collect_t7_layers(root, layers, path, depth=0)
    return SourceNetwork("Torch7", layers, kernel_layout="oihw", channel_order="bgr")


def _collect_t7_layers(node: Any, layers: list, path: str, depth: int) -> None:
    if depth > 8 or not isinstance(node, T7Object):
        raise ValueError(f"{path} (Torch7) is not VGG-Face: no nn.Sequential inside")
    fields = node.fields if isinstance(node.fields, dict) else {}
    if node.class_name in _LAYERS:
        kernel, bias = fields.get("weight"), fields.get("bias")
        if not isinstance(kernel, np.ndarray) or not isinstance(bias, np.ndarray):
            raise ValueError(f"{path}: a {node.class_name} has no weight or no bias")
        layers.append(SourceLayer("", kernel, bias))
    elif isinstance(fields.get("modules"), dict):
        modules = fields["modules"]
        for index in range(1, len(modules) + 1):
            _collect_t7_layers(modules.get(index), layers, path, depth + 1)
    elif depth == 0:
        raise ValueError(
            f"{path} (Torch7) is not VGG-Face: it holds a {node.class_name}, expected "
            "an nn.Sequential"
        )


class _T7Reader:
    """Reads Torch7's serialised objects; classes stay inert names and fields."""

    def __init__(self, reader: BoundedReader, path: str):
        self._reader = reader
        self._path = path
        self._objects: Dict[int, Any] = {}
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
        if kind == _NIL:
            return None
        if kind == _NUMBER:
            value = self._reader.unpack("d")[0]
            return int(value) if value.is_integer() else value
        if kind == _BOOLEAN:
            return self._int() == 1
        if kind == _STRING:
            return self._string()
        if kind not in (_TABLE, _TORCH, *_FUNCTIONS):
            raise self._corrupt(f"unknown object type {kind}")
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
        table: Dict[Any, Any] = {}
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
        if not 0 <= n_dims <= 8:
            raise self._corrupt(f"a tensor of {n_dims} dimensions")
        shape = self._reader.unpack("q" * n_dims)
        strides = self._reader.unpack("q" * n_dims)
        offset = self._reader.unpack("q")[0] - 1
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

    def _corrupt(self, what: str) -> ValueError:
        return ValueError(f"{self._path} (Torch7) is truncated or corrupt: {what}")
