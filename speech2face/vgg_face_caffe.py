"""VGG-Face as Caffe stores it: a NetParameter message in protobuf wire format.

Read without Caffe and without its schema: of `caffe.proto` only the fields below are
needed. Old files keep their layers in `layers` (V1LayerParameter), newer ones in
`layer` (LayerParameter); blobs have `shape`, or the legacy `num, channels, height,
width`.
"""

import math
from typing import Dict, List

import numpy as np

from speech2face import protobuf_wire
from speech2face.bounded_reader import BoundedReader, open_reader
from speech2face.protobuf_wire import Value
from speech2face.vgg_face_layout import SourceLayer, SourceNetwork

# Field numbers of caffe.proto: how to find a layer's name and blobs in NetParameter.
_NET_V1_LAYERS, _NET_LAYER = 2, 100
_NAME_AND_BLOBS = {_NET_V1_LAYERS: (4, 6), _NET_LAYER: (1, 7)}
_BLOB_LEGACY_SHAPE = (1, 2, 3, 4)
_BLOB_DATA, _BLOB_SHAPE, _BLOB_DOUBLE_DATA = 5, 7, 8
_SHAPE_DIM = 1


def looks_like_caffe(path: str) -> bool:
    """Returns whether a file reads as NetParameter with at least one named layer."""
    try:
        with open_reader(path) as reader:
            for number, value in protobuf_wire.fields(reader, path):
                if number in _NAME_AND_BLOBS and isinstance(value, memoryview):
                    name_field, _ = _NAME_AND_BLOBS[number]
                    layer = protobuf_wire.fields(BoundedReader(value, path), path)
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
        for number, value in protobuf_wire.fields(reader, path):
            if number in _NAME_AND_BLOBS:
                layers += _layer(protobuf_wire.message(value, path), number, path)
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
    kernel, bias = (
        _blob(protobuf_wire.message(blob, path), name, path) for blob in blobs
    )
    return [SourceLayer(name, kernel, bias)]


def _blob(fields: Dict[int, List[Value]], name: str, path: str) -> np.ndarray:
    if _BLOB_SHAPE in fields:
        shape = _dimensions(fields[_BLOB_SHAPE][0], path)
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


def _dimensions(shape: Value, path: str) -> List[int]:
    values = protobuf_wire.message(shape, path).get(_SHAPE_DIM, [])
    return protobuf_wire.integers(values, path)
