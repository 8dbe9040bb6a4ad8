"""Files of Torch7, Caffe, MATLAB and Keras that lie about their sizes."""

import struct
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face.errors import UserError
from speech2face.weights import caffe, matconvnet, torch7, vgg_face_import
from tests.helpers import torch_writers
from tests.helpers import vgg_face_writers as writers
from tests.helpers.caffe_writers import caffe_messages
from tests.helpers.vgg_face_imports import assert_refused

LAYOUTS = writers.LAYOUTS


def test_torch7_storage_of_a_gigantic_declared_size(files, tmp_path):
    data = files["torch7"].read_bytes()
    at = data.index(b"torch.FloatStorage") + len("torch.FloatStorage")
    path = tmp_path / "huge.t7"
    for size in (2**60, 2**63 - 1, -1):
        path.write_bytes(data[:at] + struct.pack("<q", size) + data[at + 8 :])
        assert_refused(path, "truncated or corrupt", tmp_path)


def test_torch7_tensor_larger_than_its_storage(files, tmp_path):
    data = files["torch7"].read_bytes()
    at = data.index(b"torch.FloatTensor") + len("torch.FloatTensor") + 4
    path = tmp_path / "huge.t7"
    for shape, strides in [((2**40,) * 4, (0,) * 4), ((4, 3, 3, 3), (27, 9, -3, 1))]:
        edited = struct.pack("<8q", *shape, *strides)
        path.write_bytes(data[:at] + edited + data[at + 64 :])
        assert_refused(path, "its storage holds|negative", tmp_path)


def test_torch7_nested_without_end(tmp_path):
    level = struct.pack("<iiiid", 3, 1, 1, 1, 0.5)  # a table with one key, then a table
    levels = [level[:4] + struct.pack("<i", i) + level[8:] for i in range(1, 5000)]
    (tmp_path / "deep.t7").write_bytes(b"".join(levels))
    assert_refused(tmp_path / "deep.t7", "deeper", tmp_path)


def test_torch7_of_shared_modules_does_not_explode(tmp_path):
    """Eight levels, each ten times the one below: 10^8 layers in a small file."""

    indices = {}

    class Writer(torch_writers.Torch7Writer):
        def value(self, value):
            if isinstance(value, tuple) and id(value) in indices:
                return self.pack("ii", 4, indices[id(value)])
            if isinstance(value, tuple):
                indices[id(value)] = self._n_objects + 1
            return super().value(value)

    ones = np.ones(1, "f4")
    node = ("nn.Linear", {"weight": ones.reshape(1, 1), "bias": ones})
    for _ in range(8):
        node = ("nn.Sequential", {"modules": {i: node for i in range(1, 11)}})
    with (tmp_path / "shared.t7").open("wb") as file:
        Writer(file).value(node)
    assert_refused(tmp_path / "shared.t7", "over 1000 layers", tmp_path)


def test_torch7_lua_functions_are_skipped(tmp_path):
    class Writer(torch_writers.Torch7Writer):
        def value(self, value):
            if value != "function":
                return super().value(value)
            self._begin(8)
            self.string("\x1bLJ bytecode")
            super().value({"up": 1})

    with (tmp_path / "f.t7").open("wb") as file:
        Writer(file).value({"a": "function", "b": 2.5})
    with torch7.bounded_reader.open_reader(str(tmp_path / "f.t7")) as reader:
        table = torch7._T7Reader(reader, "f.t7").read_object()
    assert table == {"a": None, "b": 2.5}


def test_caffe_lengths_of_a_gigantic_declared_size(files, tmp_path):
    data = files["caffe"].read_bytes()
    at = data.index(b"conv1_1") - 2  # LayerParameter.name: key, length
    huge = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    path = tmp_path / "huge.caffemodel"
    path.write_bytes(data[:at] + huge + data[at + 2 :])
    assert_refused(path, ".", tmp_path)
    path.write_bytes(b"\x0a\x01x\xa2\x06\x03\x0a\x01c" + huge)
    assert_refused(path, "truncated or corrupt", tmp_path)


def test_caffe_shape_larger_than_its_data(tmp_path):
    net = caffe_messages()(name="x")
    for name in ("conv1_1", "conv1_2"):
        layer = net.layer.add(name=name)
        for _ in range(2):
            layer.blobs.add(data=[1.0]).shape.dim.extend([2**31, 2**31, 2**31])
    (tmp_path / "huge").write_bytes(net.SerializeToString())
    assert_refused(tmp_path / "huge", "holds 1 values", tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"\xa2\x06\x00" * 200_000, "over 100000 fields"),  # layers of 0 bytes
        (b"\xa2\x06\x07\x0a\x01c\x3a\x00\x3a\x00" * 2000, "over 1000 layers"),
        (b"\xa2\x06\xc0\x9b\x0c" + b"\x1a\x00" * 100_000 + b"\x0a\x00" * 64, "fields"),
    ],
)
def test_caffe_of_very_many_small_messages(content, match, tmp_path):
    path = tmp_path / "many.caffemodel"
    path.write_bytes(content)
    with pytest.raises(UserError, match=match):
        caffe.read_caffe(path)


def test_caffe_number_where_a_name_belongs(tmp_path):
    # bytes(2**40) would be a terabyte of zeros
    number = b"\x08\x80\x80\x80\x80\x80\x40"
    layer = b"\x0a\x01c" + number + b"\x3a\x00"
    first = number + b"\x3a\x00"
    data = b"".join(b"\xa2\x06" + bytes([len(m)]) + m for m in (layer, first))
    (tmp_path / "n").write_bytes(data)
    assert_refused(tmp_path / "n", ".", tmp_path)


def _matlab_array(kind, dims, body, name=b"layers\0\0"):
    def element(mi_type, data):
        data_padded = data + bytes(-len(data) % 8)
        return struct.pack("<II", mi_type, len(data)) + data_padded

    array = element(6, struct.pack("<II", kind, 0))
    array += element(5, struct.pack(f"<{len(dims)}i", *dims))
    array += struct.pack("<II", 1, 6) + name + body
    return struct.pack("<II", 14, len(array)) + array


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("kind", "dims", "body"),
    [
        (1, (1, 2**30), b""),  # a cell array of a billion cells
        (2, (2**15, 2**15), struct.pack("<IIII", 4 << 16 | 5, 8, 1, 0)),  # structs
        (6, (2**31 - 1, 2**31 - 1), struct.pack("<II", 9, 8) + bytes(8)),  # doubles
        (4, (1, 2**31 - 1), struct.pack("<II", 16, 8) + bytes(8)),  # text
        (5, (1, 1), b""),  # a sparse matrix
        (17, (1, 1), b""),  # an opaque object
        (6, (1, -8), struct.pack("<II", 9, 8) + bytes(8)),
    ],
)
def test_matlab_arrays_of_a_gigantic_declared_size(
    kind, dims, body, compress, tmp_path
):
    data = _matlab_array(kind, dims, body)
    if compress:
        packed = zlib.compress(data)
        data = struct.pack("<II", 15, len(packed)) + packed
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\x01IM"
    (tmp_path / "huge.mat").write_bytes(header + data)
    assert_refused(tmp_path / "huge.mat", ".", tmp_path)


def _plain(value):
    """Brings what scipy.io.loadmat(simplify_cells=True) returns to our types."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not k.startswith("__")}
    if isinstance(value, np.ndarray) and value.dtype == object:
        return [_plain(item) for item in value.ravel()]
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return [str(item) for item in value] if value.size else ""
    return value


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name.startswith("mat")])
def test_matlab_variables_equal_scipys(name, files):
    def compare(ours, theirs):
        if isinstance(theirs, dict):
            assert ours.keys() == theirs.keys()
            for key in theirs:
                compare(ours[key], theirs[key])
        elif isinstance(ours, list):
            assert len(ours) == len(theirs)
            for one, other in zip(ours, theirs):
                compare(one, other)
        elif isinstance(ours, str):
            assert ours == theirs
        else:
            np.testing.assert_array_equal(np.squeeze(ours), theirs)

    theirs = scipy.io.loadmat(files[name], simplify_cells=True)
    ours = matconvnet.read_variables(str(files[name]))
    compare(ours, _plain(theirs))


@pytest.mark.parametrize(
    "weights", [3.0, "text", {"a": 1}, np.zeros((1, 1), object), None]
)
def test_matlab_layer_with_odd_weights(weights, tmp_path):
    layer = {"name": "conv1_1", "type": "conv"}
    if weights is not None:
        layer["weights"] = weights
    cells = np.empty((1, 1), object)
    cells[0, 0] = layer
    scipy.io.savemat(tmp_path / "odd.mat", {"layers": cells})
    assert_refused(tmp_path / "odd.mat", "one filter bank|0 layers", tmp_path)


def test_matlab_text_and_byte_order(tmp_path):
    from_scipy = {"a": "Zo\u00eb", "b": np.arange(6, dtype=">i2").reshape(2, 3)}
    scipy.io.savemat(tmp_path / "t.mat", from_scipy)
    read = matconvnet.read_variables(str(tmp_path / "t.mat"))
    assert read["a"] == "Zo\u00eb"
    np.testing.assert_array_equal(read["b"], np.arange(6).reshape(2, 3))
    array = _matlab_array(6, (1, 2), struct.pack("<IIdd", 9, 16, 1.5, -2.0))
    swapped = b"".join(
        array[i : i + 4][::-1]
        for i in range(0, 48, 4)  # tags, flags, dimensions
    )
    body = b"layers\0\0" + struct.pack(">IIdd", 9, 16, 1.5, -2.0)
    header = b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI"
    (tmp_path / "big.mat").write_bytes(header + swapped + body)
    read = matconvnet.read_variables(str(tmp_path / "big.mat"))
    np.testing.assert_array_equal(read["layers"], [[1.5, -2.0]])


def _keras_file(path, make_kernel):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [b"conv1_1"]
        group = file.create_group("conv1_1")
        group.attrs["weight_names"] = [b"kernel:0", b"bias:0"]
        group["bias:0"] = np.zeros(4, "f4")
        make_kernel(group)


def test_keras_datasets_that_are_not_in_the_file(tmp_path):
    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["kernel"] = np.ones((3, 3, 3, 4), "f4")
    (tmp_path / "raw").write_bytes(bytes(432))
    layout = h5py.VirtualLayout((3, 3, 3, 4), "f4")
    layout[...] = h5py.VirtualSource(str(secret), "kernel", (3, 3, 3, 4), "f4")
    shape = (3, 3, 3, 4)
    external = [(str(tmp_path / "raw"), 0, 432)]
    makers = {
        "external link": lambda g: g.__setitem__(
            "kernel:0", h5py.ExternalLink(str(secret), "kernel")
        ),
        "soft link": lambda g: g.__setitem__("kernel:0", h5py.SoftLink("/a")),
        "external storage": lambda g: g.create_dataset(
            "kernel:0", shape, "f4", external=external
        ),
        "virtual": lambda g: g.create_virtual_dataset("kernel:0", layout),
        "never written": lambda g: g.create_dataset("kernel:0", (2**20, 2**20), "f4"),
        "never written, chunked": lambda g: g.create_dataset(
            "kernel:0", (2**20, 2**20), "f4", chunks=(16, 16)
        ),
        "a group": lambda g: g.create_group("kernel:0"),
    }
    for name, make in makers.items():
        path = tmp_path / f"{name}.h5"
        _keras_file(path, make)
        assert_refused(path, "corrupt|not VGG-Face", tmp_path)


def test_hdf5_file_of_something_else(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    assert_refused(tmp_path / "other.h5", "layer_names", tmp_path)


_OWN_READERS = ["mat_old", "caffe", "caffe_legacy", "torch7", "pytorch"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_user_error_or_read(data, files):
    name = data.draw(st.sampled_from([*_OWN_READERS, "pytorch_legacy"]))
    content = bytearray(files[name].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # most structure lies at the beginning
        last = data.draw(st.sampled_from([200, 2000, len(content) - 1]))
        content[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    path = files[name].with_suffix(".damaged")
    path.write_bytes(content)
    try:
        vgg_face_import.read_source(str(path))
    except UserError as error:
        assert "\n" not in str(error)
