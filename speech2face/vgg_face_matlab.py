"""VGG-Face as MatConvNet stores it: MATLAB 5 files.

Two layouts are in circulation: variables `layers` and `meta` at the top (vgg-face.mat
of vlfeat.org), or both inside a struct `net` (vgg_face.mat of the authors); in either,
a layer carries `weights` = {filters, biases}, or in older files `filters` and `biases`.

SciPy reads the file. It allocates whatever size an array declares, so `check_sizes`
walks the file first, with a few lines of memory, and refuses sizes that the bytes
behind them do not bear out. Format: "MAT-File Format", The MathWorks.
"""

import math
import struct
import zlib
from typing import List, Tuple

import numpy as np

from speech2face.vgg_face_layout import SourceLayer, SourceNetwork

_MI_MATRIX, _MI_COMPRESSED, _MI_UTF8 = 14, 15, 16
_MX_CELL, _MX_STRUCT, _MX_CHAR, _MX_FUNCTION = 1, 2, 4, 16
_MX_NUMERIC = range(6, 16)
_COMPLEX = 0x800
_ITEM_BYTES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_ITEM_BYTES.update({_MI_UTF8: 1, 17: 2, 18: 4})

# VGG-Face has 145 million numbers, and a few thousand cells and structs.
_MAX_DEPTH = 16
_MAX_ARRAYS = 10**5
_MAX_NUMBERS = 2**28


def read_matlab(path: str) -> SourceNetwork:
    """Returns the network of a MATLAB 5 file of MatConvNet.

    Raises ValueError where the file is corrupt or holds no MatConvNet network.
    """
    import scipy.io  # slow to import, and only this format needs it

    check_sizes(path)
    wanted = ["net", "layers", "meta", "classes"]
    try:
        variables = scipy.io.loadmat(path, variable_names=wanted)
    except Exception as error:  # SciPy raises whatever the bytes led it into
        raise ValueError(f"{path} is truncated or corrupt ({error})") from None
    if "net" in variables:
        variables = _fields(variables["net"])
    layers = variables.get("layers")
    if layers is None or layers.dtype != object:
        raise ValueError(
            f"{path} is a MATLAB file without a MatConvNet network: expected variables "
            "'layers' or 'net'"
        )
    return SourceNetwork(
        source_format="MatConvNet",
        layers=[layer for item in layers.flat for layer in _layer(_fields(item), path)],
        kernel_layout="hwio",
        channel_order="rgb",
        class_names=_class_names(variables),
    )


def _fields(array) -> dict:
    """Returns the fields of a 1 x 1 struct, {} for anything else."""
    if not isinstance(array, np.ndarray) or array.size != 1:
        return {}
    item = array.flat[0]
    if array.dtype.names:
        return {name: item[name] for name in array.dtype.names}
    return _fields(item) if array.dtype == object else {}


def _layer(fields: dict, path: str) -> List[SourceLayer]:
    name = _text(fields.get("name"))
    if "weights" in fields:
        arrays = list(fields["weights"].flat)
        if not arrays:
            return []  # a layer without weights, such as relu
    elif "filters" in fields and "biases" in fields:
        arrays = [fields["filters"], fields["biases"]]
    else:
        return []
    numeric = all(isinstance(a, np.ndarray) and a.dtype.kind in "fiu" for a in arrays)
    if len(arrays) != 2 or not numeric:
        raise ValueError(f"{path}: layer {name!r} has not one filter bank and one bias")
    return [SourceLayer(name, arrays[0], arrays[1])]


def _text(array) -> str:
    if isinstance(array, np.ndarray) and array.size == 1 and array.dtype.kind == "U":
        return str(array.flat[0])
    return ""


def _class_names(variables: dict) -> Tuple[str, ...]:
    meta = _fields(variables.get("meta"))
    classes = _fields(meta.get("classes", variables.get("classes")))
    for key in ("description", "name"):
        entries = classes.get(key)
        if isinstance(entries, np.ndarray) and entries.dtype == object:
            return tuple(_text(entry) for entry in entries.flat)
    return ()


def check_sizes(path: str) -> None:
    """Raises ValueError where an array declares more than its bytes can hold."""
    try:
        with open(path, "rb") as file:
            header = file.read(128)
            order = {b"IM": "<", b"MI": ">"}.get(header[126:128])
            if order is None:
                raise ValueError("its header is damaged")
            _Walker(order).walk_file(file)
    except (ValueError, struct.error, zlib.error) as error:
        raise ValueError(f"{path} is truncated or corrupt: {error}") from None


class _Walker:
    """Walks the arrays of a file, reads their headers and skips their numbers."""

    def __init__(self, order: str):
        self._order = order
        self._n_arrays = 0
        self._n_numbers = 0

    def walk_file(self, file) -> None:
        while tag := file.read(8):
            kind, n_bytes = struct.unpack(self._order + "II", tag)
            element = _Stream(file, n_bytes)
            stream = element
            if kind == _MI_COMPRESSED:
                inflated = _Inflated(element)
                kind, n_bytes = struct.unpack(self._order + "II", inflated.read(8))
                stream = _Stream(inflated, n_bytes)
            if kind == _MI_MATRIX:
                self._walk_array(stream, depth=0)
            element.skip(element.remaining)

    def _walk_array(self, stream: "_Stream", depth: int) -> None:
        self._n_arrays += 1
        if depth > _MAX_DEPTH or self._n_arrays > _MAX_ARRAYS:
            raise ValueError("more or deeper arrays than any network has")
        if stream.remaining == 0:
            return  # an empty array
        flags = struct.unpack_from(self._order + "I", self._data(stream, 8))[0]
        dims = np.frombuffer(self._data(stream, 128), self._order + "i4").tolist()
        self._data(stream, 256)  # the array's name
        kind, n_items = flags & 0xFF, math.prod(dims)
        if any(n < 0 for n in dims):
            raise ValueError("an array has a negative dimension")
        if kind in (_MX_CHAR, *_MX_NUMERIC):
            self._walk_numbers(stream, n_items, n_parts=2 if flags & _COMPLEX else 1)
        elif kind in (_MX_CELL, _MX_STRUCT, _MX_FUNCTION):
            if n_items > _MAX_ARRAYS:
                raise ValueError(f"an array declares {n_items} cells")
            n_fields = self._n_fields(stream) if kind == _MX_STRUCT else 1
            for _ in range(n_items * n_fields if kind != _MX_FUNCTION else 1):
                _, n_bytes, n_padded = self._tag(stream)
                self._walk_array(_Stream(stream, n_bytes), depth + 1)
                stream.skip(n_padded - n_bytes)
        else:
            raise ValueError(f"it holds an object of MATLAB class {kind}")
        stream.skip(stream.remaining)

    def _walk_numbers(self, stream: "_Stream", n_items: int, n_parts: int) -> None:
        for _ in range(n_parts):
            kind, n_bytes, n_padded = self._tag(stream)
            if kind not in _ITEM_BYTES:
                raise ValueError(f"numbers of unknown type {kind}")
            # A char array may be stored in UTF-8, fewer or more bytes than characters.
            if kind != _MI_UTF8 and n_items * _ITEM_BYTES[kind] != n_bytes:
                raise ValueError(f"{n_items} numbers declared in {n_bytes} bytes")
            self._n_numbers += max(n_items, n_bytes if kind == _MI_UTF8 else 0)
            if self._n_numbers > _MAX_NUMBERS:
                raise ValueError("more numbers than any network of this kind has")
            stream.skip(n_padded)

    def _n_fields(self, stream: "_Stream") -> int:
        name_bytes = struct.unpack(self._order + "i", self._data(stream, 4))[0]
        names = self._data(stream, 2**16)
        if not 0 < name_bytes <= 256:
            raise ValueError(f"field names of {name_bytes} bytes")
        return len(names) // name_bytes

    def _data(self, stream: "_Stream", limit: int) -> bytes:
        _, n_bytes, n_padded = self._tag(stream)
        if n_bytes > limit:
            raise ValueError(f"{n_bytes} bytes where at most {limit} make sense")
        return stream.read(n_padded)[:n_bytes]

    def _tag(self, stream: "_Stream") -> Tuple[int, int, int]:
        """Returns data type, number of bytes, and bytes to the next tag."""
        word = struct.unpack(self._order + "I", stream.read(4))[0]
        if not word >> 16:
            n_bytes = struct.unpack(self._order + "I", stream.read(4))[0]
            return word, n_bytes, n_bytes + -n_bytes % 8
        if word >> 16 > 4:
            raise ValueError("a small element declares more than 4 bytes")
        return word & 0xFFFF, word >> 16, 4  # data of up to 4 bytes, in place


class _Stream:
    """The next `n_bytes` of another stream; ValueError where they are not there."""

    def __init__(self, source, n_bytes: int):
        self._source = source
        self.remaining = n_bytes

    def read(self, n_bytes: int) -> bytes:
        if n_bytes > self.remaining:
            raise ValueError(f"{n_bytes} bytes declared, {self.remaining} there")
        data = self._source.read(n_bytes)
        if len(data) != n_bytes:
            raise ValueError("it ends inside an array")
        self.remaining -= n_bytes
        return data

    def skip(self, n_bytes: int) -> None:
        while n_bytes > 0:
            n_bytes -= len(self.read(min(n_bytes, 2**20)))


class _Inflated:
    """The decompressed bytes of a stream."""

    def __init__(self, packed: _Stream):
        self._packed = packed
        self._inflater = zlib.decompressobj()

    def read(self, n_bytes: int) -> bytes:
        data = bytearray()
        while len(data) < n_bytes and not self._inflater.eof:
            piece = self._inflater.unconsumed_tail
            if not piece:
                piece = self._packed.read(min(2**16, self._packed.remaining))
                if not piece:
                    break
            data += self._inflater.decompress(piece, n_bytes - len(data))
        return bytes(data)
