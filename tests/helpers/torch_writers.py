"""Writes files as Torch7 and PyTorch do, without either."""

import collections
import io
import pathlib
import pickle
import struct
import sys
import types
import zipfile

import numpy as np

from speech2face.weights.vgg_face_size import PAPER_SIZE


class _LongStorage(list):
    """Saved as torch.LongStorage."""


class Torch7Writer:
    """torch.save of Torch7, binary mode."""

    def __init__(self, file):
        self._file = file
        self._n_objects = 0

    def pack(self, form, *values):
        self._file.write(struct.pack("<" + form, *values))

    def string(self, text):
        self.pack("i", len(text))
        self._file.write(text.encode())

    def value(self, value):
        if value is None:
            self.pack("i", 0)
        elif isinstance(value, bool):
            self.pack("ii", 5, int(value))
        elif isinstance(value, (int, float)):
            self.pack("id", 1, value)
        elif isinstance(value, str):
            self.pack("i", 2)
            self.string(value)
        elif isinstance(value, dict):
            self._begin(3)
            self.pack("i", len(value))
            for key, item in value.items():
                self.value(key)
                self.value(item)
        elif isinstance(value, np.ndarray):
            self._tensor(value)
        elif isinstance(value, _LongStorage):
            self._begin_class("torch.LongStorage")
            self.pack(f"q{len(value)}q", len(value), *value)
        else:
            class_name, fields = value
            self._begin_class(class_name)
            self.value(fields)

    def _begin(self, kind):
        self._n_objects += 1
        self.pack("ii", kind, self._n_objects)

    def _begin_class(self, name):
        self._begin(4)
        self.string("V 1")
        self.string(name)

    def _tensor(self, array):
        self._begin_class("torch.FloatTensor")
        if array.size == 0:
            self.pack("i", 0)
            self.pack("q", 1)
            self.pack("i", 0)
            return
        strides = [s // array.itemsize for s in array.strides]
        self.pack("i", array.ndim)
        self.pack(f"{array.ndim}q", *array.shape)
        self.pack(f"{array.ndim}q", *strides)
        self.pack("q", 1)
        self._begin_class("torch.FloatStorage")
        self.pack("q", array.size)
        self._file.write(array.astype("<f4").tobytes())


def _torch7_layer(name, kernel, bias, matrices):
    geometry = {f"{key}{axis}": 1 for key in ("d", "pad") for axis in "WH"}
    geometry.update(kW=3, kH=3)
    empty = np.empty(0, "f4")
    fields = {"weight": kernel, "bias": bias, "gradWeight": empty, "gradBias": empty}
    fields.update(_type="torch.FloatTensor", train=False)
    if name.startswith("fc"):
        return "nn.Linear", fields
    fields.update(geometry, nInputPlane=kernel.shape[1], nOutputPlane=kernel.shape[0])
    if matrices:
        fields["weight"] = kernel.reshape(len(kernel), -1)
        return "nn.SpatialConvolutionMM", fields
    return "nn.SpatialConvolution", fields


def write_torch7(path, layers, matrices=True):
    """VGG_FACE.t7: SpatialConvolutionMM (filters as matrices) or SpatialConvolution."""
    pool = {"kW": 2, "kH": 2, "dW": 2, "dH": 2, "padW": 0, "padH": 0}
    pool.update(ceil_mode=False, indices=np.empty(0, "f4"))
    relu = ("nn.ReLU", {"inplace": True, "threshold": 0, "val": 0})
    ends = [f"conv{block}_{len(c)}" for block, c in enumerate(PAPER_SIZE.blocks, 1)]
    modules = []
    for name, kernel, bias in layers:
        modules += [_torch7_layer(name, kernel, bias, matrices), relu]
        if name in ends:
            modules.append(("nn.SpatialMaxPooling", pool))
        if name == "conv5_3":
            modules.append(("nn.View", {"numElements": -1, "size": _LongStorage([-1])}))
        if name in ("fc6", "fc7"):
            modules.append(("nn.Dropout", {"p": 0.5, "train": False}))
    modules[-1] = ("nn.SoftMax", {"output": np.empty(0, "f4")})
    table = {i + 1: module for i, module in enumerate(modules)}
    with pathlib.Path(path).open("wb") as file:
        net = ("nn.Sequential", {"modules": table, "train": False})
        Torch7Writer(file).value(net)


class FloatStorage:
    pass


class _Reduced:
    """Pickles as a call of `function` with `arguments`."""

    def __init__(self, function, arguments):
        self._reduced = (function, arguments)

    def __reduce__(self):
        return self._reduced


class _StorageReference:
    def __init__(self, key, n_items):
        self.identity = (key, n_items)


def _rebuild_tensor_v2(*arguments):
    raise AssertionError("never called: only its name is pickled")


def pytorch_pickle(named, storage_type, legacy):
    """Pickles a state dict as torch.save does; returns bytes and keyed arrays."""
    arrays, state = {}, collections.OrderedDict()
    for name, array in named.items():
        key = str(94000 + len(arrays)) if legacy else str(len(arrays))
        arrays[key] = array
        strides = tuple(s // array.itemsize for s in array.strides)
        hooks = collections.OrderedDict()
        state[name] = _Reduced(
            _rebuild_tensor_v2,
            (_StorageReference(key, array.size), 0, array.shape, strides, False, hooks),
        )
    state._metadata = collections.OrderedDict([("", {"version": 1})])

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, _StorageReference):
                return None
            key, n_items = value.identity
            identity = ("storage", storage_type, key, "cpu", n_items)
            return (*identity, None) if legacy else identity

    stream = io.BytesIO()
    Pickler(stream, protocol=2).dump(state)
    return stream.getvalue(), arrays


def with_torch_names(function):
    """Runs `function` while the names that torch pickles refer to exist."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    torch._utils, utils._rebuild_tensor_v2 = utils, _rebuild_tensor_v2
    torch.FloatStorage = FloatStorage
    saved = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    own = {f: (f.__module__, f.__qualname__) for f in (FloatStorage,)}
    FloatStorage.__module__, FloatStorage.__qualname__ = "torch", "FloatStorage"
    _rebuild_tensor_v2.__module__ = "torch._utils"
    sys.modules.update({"torch": torch, "torch._utils": utils})
    try:
        return function()
    finally:
        for name, module in saved.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module
        for item, (module, qualname) in own.items():
            item.__module__, item.__qualname__ = module, qualname
        _rebuild_tensor_v2.__module__ = __name__


def write_pytorch(path, layers, legacy=False):
    """vgg_face_dag.pth: today's zip archive, or the stream of pickles before 1.6."""
    write_state_dict(path, named_arrays(layers), legacy)


def named_arrays(layers):
    """The arrays of a network by their names in a state dict."""
    named = {}
    for name, kernel, bias in layers:
        named[f"{name}.weight"], named[f"{name}.bias"] = kernel, bias
    return named


def write_state_dict(path, named, legacy=False):
    """Any state dict: arrays by name, as torch.save writes them."""
    data, arrays = with_torch_names(lambda: pytorch_pickle(named, FloatStorage, legacy))
    if legacy:
        write_pytorch_legacy(path, data, arrays)
    else:
        write_pytorch_zip(path, data, arrays)


def write_pytorch_zip(path, data, arrays):
    """The container of torch.save since 1.6."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("vgg_face_dag/data.pkl", data)
        archive.writestr("vgg_face_dag/byteorder", "little")
        for key, array in arrays.items():
            archive.writestr(f"vgg_face_dag/data/{key}", array.astype("<f4").tobytes())
        archive.writestr("vgg_face_dag/version", "3\n")


def write_pytorch_legacy(path, data, arrays):
    """The container of torch.save before 1.6."""
    sizes = {"short": 2, "int": 4, "long": 4}
    system = {"protocol_version": 1001, "little_endian": True, "type_sizes": sizes}
    with pathlib.Path(path).open("wb") as file:
        pickle.dump(0x1950A86A20F9469CFC6C, file, protocol=2)
        pickle.dump(1001, file, protocol=2)
        pickle.dump(system, file, protocol=2)
        file.write(data)
        pickle.dump(sorted(arrays), file, protocol=2)
        for key in sorted(arrays):
            file.write(struct.pack("<q", arrays[key].size))
            file.write(arrays[key].astype("<f4").tobytes())
