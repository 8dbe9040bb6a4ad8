"""VGG-Face as Caffe stores it: a NetParameter message in protobuf wire format.

Read without Caffe and without its schema (`protobuf_wire` says why): of `caffe.proto`
only the fields below are needed. Old files keep their layers in `layers`
(V1LayerParameter), newer ones in `layer` (LayerParameter); blobs have `shape`, or the
legacy `num, channels, height, width`.
"""

import math
from typing import cast

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights.bounded_reader import open_reader
from speech2face.weights.protobuf_wire import Value, WireReader
from speech2face.weights.vgg_face_layout import (
    SourceLayer,
    SourceNetwork,
    has_original_names,
)

# Field numbers of caffe.proto: how to find a layer's name and blobs in NetParameter.
_NET_V1_LAYERS, _NET_LAYER = 2, 100
_NAME_AND_BLOBS = {_NET_V1_LAYERS: (4, 6), _NET_LAYER: (1, 7)}
_BLOB_LEGACY_SHAPE = (1, 2, 3, 4)
_BLOB_DATA, _BLOB_SHAPE, _BLOB_DOUBLE_DATA = 5, 7, 8
_SHAPE_DIM = 1
_MAX_LAYERS = 1000  # VGG-Face has 16 with weights


def looks_like_caffe(path: PathLike) -> bool:
    """Returns whether a file reads as NetParameter with at least one named layer."""
    try:
        with open_reader(path) as reader:
            wire = WireReader(path)
            for number, value in wire.fields(reader.take(reader.remaining)):
                if number in _NAME_AND_BLOBS and isinstance(value, memoryview):
                    name_field, _ = _NAME_AND_BLOBS[number]
                    return any(field == name_field for field, _ in wire.fields(value))
    except UserError:  # not protobuf: some other kind of file
        pass
    return False


def read_caffe(path: PathLike) -> SourceNetwork:
    """Returns the network of a .caffemodel file.

    Raises:
      UserError: the file is truncated or corrupt.
    """
    layers: list[SourceLayer] = []
    with open_reader(path) as reader:
        wire = WireReader(path)
        for number, value in wire.fields(reader.take(reader.remaining)):
            if number in _NAME_AND_BLOBS:
                layers += _layer(wire, value, number, path)
            if len(layers) > _MAX_LAYERS:
                raise UserError(f"{path} is not VGG-Face: over {_MAX_LAYERS} layers")
    order = "bgr" if has_original_names(layers) else ""
    return SourceNetwork("Caffe", layers, "oihw", order)


def _layer(
    wire: WireReader, value: Value, number: int, path: PathLike
) -> list[SourceLayer]:
    """Returns the layer with its weights; nothing for a layer without weights."""
    fields = wire.message(value)
    name_field, blobs_field = _NAME_AND_BLOBS[number]
    blobs = fields.get(blobs_field, [])
    if not blobs:
        return []
    name_bytes = fields.get(name_field, [memoryview(b"")])[0]
    if not isinstance(name_bytes, memoryview):
        raise UserError(f"{path} is corrupt: a layer's name is a number")
    name = bytes(name_bytes).decode("utf-8", "replace")
    if len(blobs) != 2:
        raise UserError(
            f"{path} (Caffe) is not VGG-Face: layer {name!r} has {len(blobs)} blobs, "
            "expected filters and biases"
        )
    kernel, bias = (_blob(wire, blob, name, path) for blob in blobs)
    return [SourceLayer(name, kernel, bias)]


def _blob(wire: WireReader, value: Value, name: str, path: PathLike) -> np.ndarray:
    fields = wire.message(value)
    if _BLOB_SHAPE in fields:
        dimensions = wire.message(fields[_BLOB_SHAPE][0]).get(_SHAPE_DIM, [])
        shape = wire.integers(dimensions)
    else:
        sides = [fields.get(number, [0])[0] for number in _BLOB_LEGACY_SHAPE]
        if not all(isinstance(n, int) for n in sides):
            raise UserError(f"{path} is corrupt: layer {name!r} has no shape")
        shape = cast(list[int], sides)
    field, dtype = _BLOB_DATA, "<f4"
    if field not in fields:
        field, dtype = _BLOB_DOUBLE_DATA, "<f8"
    chunks = []
    for part in fields.get(field, []):
        if not isinstance(part, memoryview):
            raise UserError(f"{path}: layer {name!r} stores its numbers one by one")
        if len(part) % np.dtype(dtype).itemsize:
            raise UserError(f"{path} is corrupt: layer {name!r} ends inside a number")
        if len(part):
            chunks.append(np.frombuffer(part, dtype))
    # A packed field may come in several chunks. Caffe writes one, which needs no copy.
    empty = np.empty(0, dtype)
    data = chunks[0] if len(chunks) == 1 else np.concatenate([empty, *chunks])
    if math.prod(shape) != data.size:
        raise UserError(
            f"{path}: layer {name!r} declares shape {shape[:8]} but holds "
            f"{data.size} values"
        )
    return data.reshape(shape) if data.size else data  # numpy refuses [0, 2**63]
