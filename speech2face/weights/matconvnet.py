"""VGG-Face as MatConvNet stores it: MATLAB 5 files.

Two layouts are in circulation: variables `layers` and `meta` at the top (vgg-face.mat
of vlfeat.org), or both inside a struct `net` (vgg_face.mat of the authors); in either,
a layer carries `weights` = {filters, biases}, or in older files `filters` and `biases`.

The reader is our own because `scipy.io.loadmat` allocates whatever size an array
declares, and crashes the process on some damaged files. It reads the types that
networks consist of (numbers, text, cells, structs) and skips all others. Format:
"MAT-File Format", The MathWorks.
"""

import math
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import bounded_reader
from speech2face.weights.bounded_reader import BoundedReader
from speech2face.weights.vgg_face_layout import (
    SourceLayer,
    SourceNetwork,
    has_original_names,
)

_MI_MATRIX, _MI_COMPRESSED = 14, 15
_MX_CELL, _MX_STRUCT, _MX_CHAR = 1, 2, 4
_MX_NUMERIC = range(6, 16)
_COMPLEX = 0x800  # flag of an array
_DTYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16"}

# VGG-Face has a few thousand cells and structs.
_MAX_ARRAYS = 10**5
_MAX_ELEMENTS = 3 * 10**5  # an array has five
_MAX_DIMENSIONS = 32
_MAX_FIELDS = 1000  # of a struct
_MAX_TEXT_BYTES = 2**20  # of one text; the longest of VGG-Face is a line
_MAX_DEPTH = 16


def read_matlab(path: PathLike) -> SourceNetwork:
    """Returns the network of a MATLAB 5 file of MatConvNet.

    Raises:
      UserError: the file is corrupt or holds no MatConvNet network.
    """
    try:
        variables = read_variables(path)
    except UserError:
        raise
    except (struct.error, zlib.error, ValueError) as error:
        raise UserError(f"{path} is truncated or corrupt ({error})") from None
    if isinstance(variables.get("net"), dict):
        variables = variables["net"]
    layers = variables.get("layers")
    if not isinstance(layers, list):
        raise UserError(
            f"{path} is a MATLAB file without a MatConvNet network: expected variables "
            "'layers' or 'net'"
        )
    weighted = [item for layer in layers for item in _layer(layer, path)]
    return SourceNetwork(
        source_format="MatConvNet",
        layers=weighted,
        kernel_layout="hwio",
        channel_order="rgb" if has_original_names(weighted) else "",
        class_names=_class_names(variables),
    )


def _layer(fields: Any, path: PathLike) -> list[SourceLayer]:
    """Returns the layer with its weights; nothing for a layer without weights."""
    fields = fields if isinstance(fields, dict) else {}
    arrays = fields.get("weights", [])
    if "filters" in fields and "biases" in fields:
        arrays = [fields["filters"], fields["biases"]]
    if isinstance(arrays, np.ndarray) and not arrays.size:
        arrays = []  # an empty cell array that was saved as an empty matrix
    if isinstance(arrays, list) and not arrays:
        return []  # a layer without weights, such as relu
    name = fields.get("name")
    name = name if isinstance(name, str) else ""
    if (
        not isinstance(arrays, list)
        or len(arrays) != 2
        or not all(isinstance(array, np.ndarray) for array in arrays)
    ):
        raise UserError(f"{path}: layer {name!r} has not one filter bank and one bias")
    return [SourceLayer(name, arrays[0], arrays[1])]


def _class_names(variables: dict[str, Any]) -> tuple[str, ...]:
    meta = variables.get("meta")
    holder = meta if isinstance(meta, dict) and "classes" in meta else variables
    classes = holder.get("classes")
    for key in ("description", "name"):
        names = classes.get(key) if isinstance(classes, dict) else None
        if isinstance(names, list) and all(isinstance(n, str) for n in names):
            return tuple(names)
    return ()


def read_variables(path: PathLike) -> dict[str, Any]:
    """Returns the variables of a MATLAB 5 file by name.

    Numbers become arrays with MATLAB's shape, text str, cell arrays lists in MATLAB's
    order, structs dicts (lists of dicts where they are arrays), anything else None.

    Raises:
      UserError: the file is truncated or corrupt.
      struct.error: likewise.
      zlib.error: likewise.
      ValueError: likewise, where text cannot be decoded or numpy refuses a shape.
    """
    with bounded_reader.open_reader(path) as file:
        order = {b"IM": "<", b"MI": ">"}.get(bytes(file.take(128)[126:]))
        if order is None:
            raise UserError(f"{path} is corrupt: its header is damaged")
        reader = _MatlabReader(path, order)
        return dict(reader.variables(file))


class _MatlabReader:
    """Reads MATLAB's arrays; every size is checked against the bytes that are left."""

    def __init__(self, path: PathLike, order: str):
        self._path = path
        self._order = order
        self._n_arrays = 0
        self._n_elements = 0
        self._left_bytes = bounded_reader.expansion_limit(path)  # of all variables

    def variables(self, file: BoundedReader) -> Iterator[tuple[str, Any]]:
        """Yields (name, value) of each variable."""
        while file.remaining:
            kind, data = self._element(file)
            if kind == _MI_COMPRESSED:
                kind, data = self._element(self._inflated(data))
            if kind == _MI_MATRIX:
                yield self._array(data, depth=0)

    def _inflated(self, packed: BoundedReader) -> BoundedReader:
        inflater = zlib.decompressobj()
        # max(1, ...): a limit of 0 is none.
        limit_bytes = max(1, self._left_bytes)
        data = inflater.decompress(packed.take(packed.remaining), limit_bytes)
        self._left_bytes -= len(data)
        if not inflater.eof and self._left_bytes <= 0:
            raise self._corrupt("it expands to many times its size")
        return BoundedReader(memoryview(data), self._path)

    def _element(self, reader: BoundedReader) -> tuple[int, BoundedReader]:
        """Returns the next data element's type and a reader of its bytes."""
        self._n_elements += 1
        if self._n_elements > _MAX_ELEMENTS:
            raise self._corrupt("more elements than any network has")
        word = self._unpack("I", reader)
        kind, n_bytes = word & 0xFFFF, word >> 16
        if n_bytes:  # a small element: tag and up to 4 bytes of data in 8
            data = BoundedReader(reader.take(4), self._path)
            return kind, BoundedReader(data.take(n_bytes), self._path)
        n_bytes = self._unpack("I", reader)
        data = BoundedReader(reader.take(n_bytes), self._path)
        if kind != _MI_COMPRESSED:
            reader.take(min(-n_bytes % 8, reader.remaining))  # padding to 8 bytes
        return kind, data

    def _unpack(self, form: str, reader: BoundedReader) -> int:
        form = self._order + form
        return struct.unpack(form, reader.take(struct.calcsize(form)))[0]

    def _array(self, reader: BoundedReader, depth: int) -> tuple[str, Any]:
        self._n_arrays += 1
        if depth > _MAX_DEPTH or self._n_arrays > _MAX_ARRAYS:
            raise self._corrupt("more or deeper arrays than any network has")
        if not reader.remaining:
            return "", np.empty((0, 0))
        flags = self._unpack("I", self._element(reader)[1])
        numbers = self._numbers(*self._element(reader))
        if len(numbers) > _MAX_DIMENSIONS:
            raise self._corrupt(f"an array of {len(numbers)} dimensions")
        dims = numbers.tolist()
        name = self._text(*self._element(reader))
        if any(not isinstance(n, int) or n < 0 for n in dims):
            raise self._corrupt(f"an array of dimensions {dims[:8]}")
        kind = flags & 0xFF
        if kind == _MX_CELL:
            return name, self._items(reader, math.prod(dims), depth)
        if kind == _MX_STRUCT:
            return name, self._structs(reader, math.prod(dims), depth)
        if kind == _MX_CHAR:
            return name, self._text(*self._element(reader))
        if kind not in _MX_NUMERIC or flags & _COMPLEX:
            return name, None
        numbers = self._numbers(*self._element(reader))
        if numbers.size != math.prod(dims):
            raise self._corrupt(f"{dims} numbers declared, {numbers.size} there")
        return name, numbers.reshape(dims, order="F")

    def _items(self, reader: BoundedReader, n_items: int, depth: int) -> list[Any]:
        items = []
        for _ in range(n_items):  # ends early, with an error, where the data do
            kind, data = self._element(reader)
            if kind != _MI_MATRIX:
                raise self._corrupt(f"a cell of type {kind}")
            items.append(self._array(data, depth + 1)[1])
        return items

    def _structs(self, reader: BoundedReader, n_items: int, depth: int) -> Any:
        name_bytes = self._unpack("i", self._element(reader)[1])
        packed = self._element(reader)[1]
        if not 0 < name_bytes <= 256:
            raise self._corrupt(f"field names of {name_bytes} bytes")
        if packed.remaining > _MAX_FIELDS * name_bytes:
            raise self._corrupt(f"a struct of over {_MAX_FIELDS} fields")
        names = []
        while packed.remaining:
            name = bytes(packed.take(name_bytes))
            names.append(name.partition(b"\0")[0].decode("latin-1"))
        if not names:
            return {}
        structs = []
        for _ in range(n_items):
            values = self._items(reader, len(names), depth)
            structs.append(dict(zip(names, values)))
        return structs[0] if len(structs) == 1 else structs

    def _numbers(self, kind: int, data: BoundedReader) -> np.ndarray:
        if kind not in _DTYPES:
            raise self._corrupt(f"numbers of type {kind}")
        dtype = np.dtype(self._order + _DTYPES[kind])
        return data.array(dtype, data.remaining // dtype.itemsize)

    def _text(self, kind: int, data: BoundedReader) -> str:
        if kind not in _ENCODINGS:
            raise self._corrupt(f"text of type {kind}")
        if data.remaining > _MAX_TEXT_BYTES:
            raise self._corrupt(f"a text of {data.remaining} bytes")
        encoding = _ENCODINGS[kind]
        if encoding == "utf-16":
            encoding += "-le" if self._order == "<" else "-be"
        return bytes(data.take(data.remaining)).decode(encoding)

    def _corrupt(self, what: str) -> UserError:
        return UserError(f"{self._path} is truncated or corrupt: {what}")
