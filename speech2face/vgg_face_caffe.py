"""VGG-Face as Caffe stores it: a NetParameter message in protobuf wire format.

Read without Caffe and without its schema: of `caffe.proto` only the fields below are
needed. Old files keep their layers in `layers` (V1LayerParameter), newer ones in
`layer` (LayerParameter); blobs have `shape`, or the legacy `num, channels, height,
width`. Wire format: developers.google.com/protocol-buffers/docs/encoding.
"""

import math
from typing import Dict, Iterator, List, Tuple, Union

import numpy as np

from speech2face.bounded_reader import BoundedReader, open_reader
from speech2face.vgg_face_layout import SourceLayer, SourceNetwork

# Field numbers of caffe.proto: how to find a layer's name and blobs in NetParameter.
_NET_V1_LAYERS, _NET_LAYER = 2, 100
_NAME_AND_BLOBS = {_NET_V1_LAYERS: (4, 6), _NET_LAYER: (1, 7)}
_BLOB_LEGACY_SHAPE = (1, 2, 3, 4)
_BLOB_DATA, _BLOB_SHAPE, _BLOB_DOUBLE_DATA = 5, 7, 8
_SHAPE_DIM = 1

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5

Value = Union[int, memoryview]


def looks_like_caffe(path: str) -> bool:
    """Returns whether a file reads as NetParameter with at least one named layer."""
    try:
        with open_reader(path) as reader:
            for number, value in _fields(reader, path):
                if number in _NAME_AND_BLOBS and isinstance(value, memoryview):
                    name_field, _ = _NAME_AND_BLOBS[number]
                    layer = _fields(BoundedReader(value, path), path)
                    return any(field == name_field for field, _ in layer)
    except ValueError:
        pass
    return False


def read_caffe(path: str) -> SourceNetwork:
    """Returns the network of a .caffemodel file.

    Raises ValueError where the file is truncated or corrupt.
    """
    layers = []
    with open_reader(path) as reader:
        for number, value in _fields(reader, path):
            if number in _NAME_AND_BLOBS:
                layers += _layer(_message(value, path), number, path)
    return SourceNetwork("Caffe", layers, kernel_layout="oihw", channel_order="bgr")


def _layer(fields: Dict[int, List[Value]], number: int, path: str) -> List[SourceLayer]:
    name_field, blobs_field = _NAME_AND_BLOBS[number]
    blobs = fields.get(blobs_field, [])
    if not blobs:
        return []
    name_bytes = fields.get(name_field, [memoryview(b"")])[0]
    if not isinstance(name_bytes, memoryview):
        raise ValueError(f"{path} is corrupt: a layer's name is a number")
    name = bytes(name_bytes).decode("utf-8", "replace")
    if len(blobs) != 2:
        raise ValueError(
            f"{path} (Caffe) is not VGG-Face: layer {name!r} has {len(blobs)} blobs, "
            "expected filters and biases"
        )
    kernel, bias = (_blob(_message(blob, path), name, path) for blob in blobs)
    return [SourceLayer(name, kernel, bias)]


def _blob(fields: Dict[int, List[Value]], name: str, path: str) -> np.ndarray:
    if _BLOB_SHAPE in fields:
        shape = _dimensions(_message(fields[_BLOB_SHAPE][0], path), path)
    else:
        shape = [fields.get(number, [0])[0] for number in _BLOB_LEGACY_SHAPE]
        if not all(isinstance(n, int) for n in shape):
            raise ValueError(f"{path} is corrupt: layer {name!r} has no shape")
    field, dtype = _BLOB_DATA, "<f4"
    if field not in fields:
        field, dtype = _BLOB_DOUBLE_DATA, "<f8"
    pieces = fields.get(field, [])
    if not all(isinstance(piece, memoryview) for piece in pieces):
        raise ValueError(f"{path}: layer {name!r} stores its numbers one by one")
    if any(len(piece) % np.dtype(dtype).itemsize for piece in pieces):
        raise ValueError(f"{path} is corrupt: layer {name!r} ends inside a number")
    arrays = [np.frombuffer(piece, dtype) for piece in pieces if len(piece)]
    data = arrays[0] if len(arrays) == 1 else np.concatenate([np.empty(0), *arrays])
    if math.prod(shape) != data.size:
        raise ValueError(
            f"{path}: layer {name!r} declares shape {shape[:8]} but holds "
            f"{data.size} values"
        )
    return data.reshape(shape)


def _dimensions(fields: Dict[int, List[Value]], path: str) -> List[int]:
    shape: List[int] = []
    for value in fields.get(_SHAPE_DIM, []):
        if isinstance(value, int):
            shape.append(value)
            continue
        packed = BoundedReader(value, path)
        while packed.remaining and len(shape) <= 8:
            shape.append(_varint(packed, path))
    if len(shape) > 8:
        raise ValueError(f"{path} is corrupt: a blob of {len(shape)} dimensions")
    return shape


def _message(value: Value, path: str) -> Dict[int, List[Value]]:
    """Returns the values of an embedded message by field number."""
    if not isinstance(value, memoryview):
        raise ValueError(f"{path} is corrupt: a number where a message is expected")
    fields: Dict[int, List[Value]] = {}
    for number, item in _fields(BoundedReader(value, path), path):
        fields.setdefault(number, []).append(item)
    return fields


def _fields(reader: BoundedReader, path: str) -> Iterator[Tuple[int, Value]]:
    """Yields (field number, value): an int for varints, else the value's bytes."""
    while reader.remaining:
        key = _varint(reader, path)
        number, wire_type = key >> 3, key & 7
        if wire_type == _VARINT:
            yield number, _varint(reader, path)
        elif wire_type == _BYTES:
            yield number, reader.take(_varint(reader, path))
        elif wire_type == _FIXED64:
            yield number, int.from_bytes(reader.take(8), "little")
        elif wire_type == _FIXED32:
            yield number, int.from_bytes(reader.take(4), "little")
        else:
            raise ValueError(
                f"{path} is truncated or corrupt: unknown wire type {wire_type} at "
                f"offset {reader.position}"
            )


def _varint(reader: BoundedReader, path: str) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = reader.take(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    raise ValueError(f"{path} is corrupt: a number longer than 10 bytes")
