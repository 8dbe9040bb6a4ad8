"""Writes VGG-Face as Caffe does, without it."""

import pathlib

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# The part of caffe.proto that a .caffemodel of VGG-Face uses.
_KINDS = {"string": 9, "int32": 5, "int64": 3, "float": 2, "bool": 8}
_MESSAGES = {
    "BlobShape": [("dim", 1, "int64", "repeated", "packed")],
    "BlobProto": [
        ("num", 1, "int32"),
        ("channels", 2, "int32"),
        ("height", 3, "int32"),
        ("width", 4, "int32"),
        ("data", 5, "float", "repeated", "packed"),
        ("diff", 6, "float", "repeated", "packed"),
        ("shape", 7, "BlobShape"),
    ],
    "V1LayerParameter": [
        ("bottom", 2, "string", "repeated"),
        ("top", 3, "string", "repeated"),
        ("name", 4, "string"),
        ("type", 5, "int32"),
        ("blobs", 6, "BlobProto", "repeated"),
        ("blobs_lr", 7, "float", "repeated"),
    ],
    "LayerParameter": [
        ("name", 1, "string"),
        ("type", 2, "string"),
        ("bottom", 3, "string", "repeated"),
        ("top", 4, "string", "repeated"),
        ("blobs", 7, "BlobProto", "repeated"),
        ("phase", 10, "int32"),
    ],
    "NetParameter": [
        ("name", 1, "string"),
        ("layers", 2, "V1LayerParameter", "repeated"),
        ("input", 3, "string", "repeated"),
        ("input_dim", 4, "int32", "repeated"),
        ("force_backward", 5, "bool"),
        ("layer", 100, "LayerParameter", "repeated"),
    ],
}


def caffe_messages():
    """Returns the class of NetParameter, which holds the others."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe_part.proto", package="caffe")
    for name, fields in _MESSAGES.items():
        message_type = file.message_type.add(name=name)
        for field, number, kind, *options in fields:
            added = message_type.field.add(
                name=field, number=number, label=3 if "repeated" in options else 1
            )
            if kind in _KINDS:
                added.type = _KINDS[kind]
                added.options.packed = "packed" in options
            else:
                added.type, added.type_name = 11, f".caffe.{kind}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName("caffe.NetParameter")
    )


def write_caffe(path, layers, legacy=False):
    """VGG_FACE.caffemodel: `layer` and `shape`, or the legacy `layers` and dims."""
    net = caffe_messages()(name="VGG_FACE_16_layers")
    net.input.append("data")
    net.input_dim.extend([1, 3, 224, 224])
    for name, kernel, bias in layers:
        is_fc = name.startswith("fc")
        target = net.layers if legacy else net.layer
        layer = target.add(name=name, bottom=["x"], top=[name])
        if legacy:
            layer.type = 14 if is_fc else 4
            layer.blobs_lr.extend([1, 2])
        else:
            layer.type = "InnerProduct" if is_fc else "Convolution"
        for array in (kernel, bias):
            blob = layer.blobs.add()
            blob.data.extend(array.ravel())
            if legacy:
                dims = (1,) * (4 - array.ndim) + array.shape
                blob.num, blob.channels, blob.height, blob.width = dims
            else:
                blob.shape.dim.extend(array.shape)
        relu = target.add(name=f"relu{name}", bottom=[name], top=[name])
        relu.type = 18 if legacy else "ReLU"
    pathlib.Path(path).write_bytes(net.SerializeToString())
