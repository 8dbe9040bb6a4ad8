"""Every VGG-Face file in circulation imports to one network, and nothing else does."""

import hashlib
import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib

import h5py
import numpy as np
import pytest
import scipy.io
import vgg_face_writers as writers
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from speech2face import (
    vgg_face_file,
    vgg_face_formats,
    vgg_face_matlab,
    vgg_face_pytorch,
    vgg_face_torch7,
)
from speech2face.models import vgg_face

TINY = writers.TINY
LAYOUTS = writers.LAYOUTS


def _import(path, output, **options):
    return vgg_face_formats.import_weights(str(path), str(output), size=TINY, **options)


def _refused(path, match, tmp_path):
    """Asserts that a file is refused in one line and that nothing is written."""
    output = tmp_path / "refused.h5"
    with pytest.raises(ValueError, match=match) as error:
        _import(path, output)
    assert "\n" not in str(error.value) and str(path) in str(error.value)
    assert not output.exists()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file of each layout, by the layout's name, under a name that says nothing."""
    folder = tmp_path_factory.mktemp("weights")
    paths = {}
    for name, layout in LAYOUTS.items():
        paths[name] = folder / f"{name}.download"
        layout.write(paths[name], layout.network())
    return paths


# --- The same network comes out ------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
def test_outputs_equal_the_network_run_in_its_own_layout(name, files, tmp_path):
    layout = LAYOUTS[name]
    output = tmp_path / "vgg_face.weights.h5"
    info = _import(files[name], output)
    assert info.source_format == layout.format
    assert info.channel_order == layout.order
    images = np.random.default_rng(1).uniform(0, 255, (2, 64, 64, 3)).astype("f4")
    outputs = vgg_face.load_vgg_face(str(output)).predict_on_batch(images)
    for image, *ours in zip(images, *(outputs[k] for k in ("fc6", "fc7", "fc8"))):
        expected = layout.run(layout.network(), image, layout.order)
        for key, value in zip(("fc6", "fc7", "fc8"), ours):
            scale = np.abs(expected[key]).max()
            assert np.abs(value - expected[key]).max() < 1e-4 * scale, key


def test_every_format_of_one_network_gives_one_checksum(tmp_path):
    checksums = set()
    for name, layout in LAYOUTS.items():
        layers = layout.network()
        if layout.order == "bgr":
            layers = writers.exchange_red_and_blue(layers)
        path = tmp_path / name
        layout.write(path, layers)
        checksums.add(_import(path, tmp_path / "out.h5").checksum)
    assert len(checksums) == 1


def test_channel_order_can_be_overruled(files, tmp_path):
    as_bgr = _import(files["keras_deepface"], tmp_path / "a.h5")
    as_rgb = _import(files["keras_deepface"], tmp_path / "b.h5", channel_order="rgb")
    a, _ = vgg_face_file.read_weights(str(tmp_path / "a.h5"))
    b, _ = vgg_face_file.read_weights(str(tmp_path / "b.h5"))
    np.testing.assert_array_equal(
        a["conv1_1"].kernel, b["conv1_1"].kernel[:, :, [2, 1, 0]]
    )
    assert (as_bgr.channel_order, as_rgb.channel_order) == ("bgr", "rgb")


@pytest.mark.parametrize("name", [name for name in LAYOUTS if name.startswith("mat")])
def test_class_names_of_matconvnet_files(name, files, tmp_path):
    info = _import(files[name], tmp_path / "out.h5")
    assert list(info.class_names) == writers.NAMES


def test_output_says_where_it_came_from(files, tmp_path):
    output = tmp_path / "out.h5"
    _import(files["torch7"], output, class_names=writers.NAMES)
    with h5py.File(output) as file:
        source = files["torch7"].read_bytes()
        assert file.attrs["source_sha256"] == hashlib.sha256(source).hexdigest()
        assert file.attrs["source_format"] == "Torch7"
        assert len(file.attrs["checksum"]) == 64
        assert [n.decode() for n in file["class_names"]] == writers.NAMES


def test_ordered_dict_as_python_2_pickled_it():
    # OrderedDict([["a", 1]]), protocol 2
    pickled = b"\x80\x02ccollections\nOrderedDict\n]](U\x01aK\x01ea\x85R."
    assert pickle.loads(pickled) == {"a": 1}
    assert vgg_face_pytorch._evaluate(io.BytesIO(pickled), "x") == {"a": 1}


# --- What is not VGG-Face ------------------------------------------------------------


@pytest.mark.parametrize("name", LAYOUTS)
@pytest.mark.parametrize("fraction", [0.05, 0.5, 0.9, 0.999])
def test_truncated_files(name, fraction, files, tmp_path):
    data = files[name].read_bytes()
    path = tmp_path / "truncated"
    path.write_bytes(data[: int(len(data) * fraction)])
    _refused(path, ".", tmp_path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_vgg16_of_imagenet(name, tmp_path):
    size = vgg_face_file.VggFaceSize(**{**TINY.__dict__, "n_classes": 1000})
    layout = LAYOUTS[name]
    layout.write(tmp_path / "vgg16", layout.network(size))
    _refused(tmp_path / "vgg16", "not VGG-Face.*ImageNet", tmp_path)


@pytest.mark.parametrize("name", LAYOUTS)
def test_network_without_its_head(name, tmp_path):
    layout = LAYOUTS[name]
    layout.write(tmp_path / "notop", layout.network()[:13])
    _refused(tmp_path / "notop", "13 layers.*notop", tmp_path)


def test_vggface2_resnet_of_keras(tmp_path):
    kernel, scale = np.zeros((7, 7, 3, 8)), np.zeros(8)
    batch_norm = [(f"bn/{i}", scale) for i in range(4)]
    groups = [
        ("conv1/7x7_s2", [("conv1/7x7_s2/kernel:0", kernel)]),
        ("conv1/7x7_s2/bn", batch_norm),
    ]
    writers._write_keras(tmp_path / "resnet.h5", groups)
    _refused(tmp_path / "resnet.h5", "not VGG-Face.*ResNet", tmp_path)


def test_vggface2_resnet_of_pytorch(tmp_path):
    layers = [("conv1_7x7_s2", np.zeros((8, 3, 7, 7), "f4"), np.zeros(8, "f4"))] * 54
    layers = [(f"{name}_{i}", *rest) for i, (name, *rest) in enumerate(layers)]
    writers.write_pytorch(tmp_path / "resnet.pth", layers)
    _refused(tmp_path / "resnet.pth", "54 layers.*ResNet", tmp_path)


def test_values_that_are_not_finite(tmp_path):
    layers = writers.oihw_network()
    layers[5][1].flat[3] = np.nan
    writers.write_torch7(tmp_path / "nan.t7", layers)
    _refused(tmp_path / "nan.t7", "conv3_2 holds values that are not finite", tmp_path)


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"\x1f\x8b\x08\0rest", "gzip archive"),
        (b"version https://git-lfs.github.com/spec/v1\n", "LFS pointer"),
        (b"MATLAB 7.3 MAT-file, Platform: GLNXA64" + bytes(200), "'-v7'"),
        (b"4\n1\n3\nV 1\n13\nnn.Sequential\n", "ASCII"),
        (b"\x93NUMPY\x01\0v\0{}", "not a VGG-Face weights file"),
        (bytes(4000), "not a VGG-Face weights file"),
        (pickle.dumps({"conv1_1": 1}, protocol=2), "not a PyTorch file"),
    ],
)
def test_other_files(content, match, tmp_path):
    (tmp_path / "file.t7").write_bytes(content)
    _refused(tmp_path / "file.t7", match, tmp_path)


def test_own_output_is_not_imported_twice(files, tmp_path):
    _import(files["caffe"], tmp_path / "once.h5")
    _refused(tmp_path / "once.h5", "already an imported", tmp_path)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file"):
        _import(tmp_path / "missing.t7", tmp_path / "out.h5")


def test_wrong_number_of_class_names(files, tmp_path):
    with pytest.raises(ValueError, match="2 class names for 9 classes"):
        _import(files["torch7"], tmp_path / "out.h5", class_names=["a", "b"])


# --- Malicious files -----------------------------------------------------------------


class _Touch:
    """Unpickling this creates a file."""

    def __init__(self, path):
        self._path = str(path)

    def __reduce__(self):
        return os.mkdir, (self._path,)


def _evil_pickles(marker):
    state = {"conv1_1.weight": _Touch(marker)}
    yield from (pickle.dumps(state, protocol=p) for p in (0, 1, 2, 4))
    yield b"\x80\x02c__builtin__\neval\nX\x01\0\0\x001\x85R."
    yield b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nctorch\nFloatStorage\n\x85R."
    yield b"\x80\x02ctorch.storage\n_load_from_bytes\nU\x01a\x85R."
    yield b"(S'a'\niposix\nsystem\n."  # opcode INST
    yield b"\x80\x02cposix\nsystem\nX\x01\0\0\0a\x85\x81."  # opcode NEWOBJ
    yield b"\x80\x02\x82\x01."  # opcode EXT1
    yield b"\x80\x02}r\xff\xff\xff\x7f."  # a memo index of 2**31 - 1
    yield b"\x80\x02\x8b\xff\xff\xff\x7fa."  # an integer of 2**31 - 1 bytes


@pytest.mark.parametrize("container", ["zip", "legacy", "bare"])
def test_pickles_with_code_are_refused_and_not_run(container, tmp_path):
    marker = tmp_path / "executed"
    for data in _evil_pickles(marker):
        path = tmp_path / "evil.pth"
        if container == "zip":
            writers.write_pytorch_zip(path, data, {})
        elif container == "legacy":
            writers.write_pytorch_legacy(path, data, {})
        else:
            path.write_bytes(data)
        _refused(path, ".", tmp_path)
        assert not marker.exists()
    pickle.loads(pickle.dumps(_Touch(marker)))  # the marker works
    assert marker.exists()


def _pickle_of(layers, edit):
    """A state dict's pickle with its shape or size integers edited."""
    data, arrays = writers._with_torch_names(
        lambda: writers._pytorch_pickle(layers, writers._FloatStorage, False)
    )
    return edit(data), arrays


def test_pytorch_storage_of_a_gigantic_declared_size(tmp_path):
    layers = writers.oihw_network()
    size = struct.pack("<BBB", ord("K"), layers[0][2].size, ord("t"))
    huge = b"\x8a\x08" + struct.pack("<q", 2**60) + b"t"
    data, arrays = _pickle_of(layers, lambda data: data.replace(size, huge, 1))
    assert b"\x8a\x08" in data
    writers.write_pytorch_zip(tmp_path / "huge.pth", data, arrays)
    _refused(tmp_path / "huge.pth", "declares 32 tensors", tmp_path)


def test_pytorch_tensor_that_repeats_one_number(tmp_path):
    layers = writers.oihw_network()
    _, kernel, bias = layers[0]
    repeated = np.lib.stride_tricks.as_strided(bias[:1], (2**20, 2**20), (0, 0))
    layers[0] = ("conv1_1", repeated, bias)
    data, arrays = _pickle_of(layers, lambda data: data)
    arrays["0"] = bias[:1]
    size = b"\x8a\x06" + struct.pack("<q", 2**40)[:6] + b"t"
    assert data.count(size) == 1
    data = data.replace(size, b"K\x01t")
    writers.write_pytorch_zip(tmp_path / "repeat.pth", data, arrays)
    _refused(tmp_path / "repeat.pth", "its storage holds 1", tmp_path)


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "a/../../b", "C:\\evil", "..\\evil"]
)
def test_zip_slip(name, files, tmp_path):
    path = tmp_path / "slip.pth"
    path.write_bytes(files["pytorch"].read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    before = sorted(tmp_path.rglob("*"))
    _refused(path, "unsafe entry name", tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_zip_bomb(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(10**7))
    _refused(path, "compressed entry", tmp_path)


def test_encrypted_zip_entry(files, tmp_path):
    data = bytearray(files["pytorch"].read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"/data/3"))
    data[entry + 8] |= 1
    (tmp_path / "encrypted.pth").write_bytes(data)
    _refused(tmp_path / "encrypted.pth", "encrypted entry", tmp_path)


def test_zip_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("vgg_face/VGG_FACE.t7", "x")
    _refused(tmp_path / "a.zip", "not a PyTorch file", tmp_path)


def test_torch7_storage_of_a_gigantic_declared_size(files, tmp_path):
    data = files["torch7"].read_bytes()
    at = data.index(b"torch.FloatStorage") + len("torch.FloatStorage")
    path = tmp_path / "huge.t7"
    for size in (2**60, 2**63 - 1, -1):
        path.write_bytes(data[:at] + struct.pack("<q", size) + data[at + 8 :])
        _refused(path, "truncated or corrupt", tmp_path)


def test_torch7_tensor_larger_than_its_storage(files, tmp_path):
    data = files["torch7"].read_bytes()
    at = data.index(b"torch.FloatTensor") + len("torch.FloatTensor") + 4
    path = tmp_path / "huge.t7"
    for shape, strides in [((2**40,) * 4, (0,) * 4), ((4, 3, 3, 3), (27, 9, -3, 1))]:
        edited = struct.pack("<8q", *shape, *strides)
        path.write_bytes(data[:at] + edited + data[at + 64 :])
        _refused(path, "its storage holds|negative", tmp_path)


def test_torch7_nested_without_end(tmp_path):
    level = struct.pack("<iiiid", 3, 1, 1, 1, 0.5)  # a table with one key, then a table
    levels = [level[:4] + struct.pack("<i", i) + level[8:] for i in range(1, 5000)]
    (tmp_path / "deep.t7").write_bytes(b"".join(levels))
    _refused(tmp_path / "deep.t7", "deeper", tmp_path)


def test_torch7_lua_functions_are_skipped(tmp_path):
    class Writer(writers.Torch7Writer):
        def value(self, value):
            if value != "function":
                return super().value(value)
            self._begin(8)
            self.string("\x1bLJ bytecode")
            super().value({"up": 1})

    with open(tmp_path / "f.t7", "wb") as file:
        Writer(file).value({"a": "function", "b": 2.5})
    with vgg_face_torch7.bounded_reader.open_reader(str(tmp_path / "f.t7")) as reader:
        table = vgg_face_torch7._T7Reader(reader, "f.t7").read_object()
    assert table == {"a": None, "b": 2.5}


def test_caffe_lengths_of_a_gigantic_declared_size(files, tmp_path):
    data = files["caffe"].read_bytes()
    at = data.index(b"conv1_1") - 2  # LayerParameter.name: key, length
    huge = b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f"
    path = tmp_path / "huge.caffemodel"
    path.write_bytes(data[:at] + huge + data[at + 2 :])
    _refused(path, ".", tmp_path)
    path.write_bytes(b"\x0a\x01x\xa2\x06\x03\x0a\x01c" + huge)
    _refused(path, "truncated or corrupt", tmp_path)


def test_caffe_shape_larger_than_its_data(tmp_path):
    net = writers.caffe_messages()(name="x")
    for name in ("conv1_1", "conv1_2"):
        layer = net.layer.add(name=name)
        for _ in range(2):
            layer.blobs.add(data=[1.0]).shape.dim.extend([2**31, 2**31, 2**31])
    (tmp_path / "huge").write_bytes(net.SerializeToString())
    _refused(tmp_path / "huge", "holds 1 values", tmp_path)


def test_caffe_number_where_a_name_belongs(tmp_path):
    # bytes(2**40) would be a terabyte of zeros
    number = b"\x08\x80\x80\x80\x80\x80\x40"
    layer = b"\x0a\x01c" + number + b"\x3a\x00"
    first = number + b"\x3a\x00"
    data = b"".join(b"\xa2\x06" + bytes([len(m)]) + m for m in (layer, first))
    (tmp_path / "n").write_bytes(data)
    _refused(tmp_path / "n", ".", tmp_path)


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
    _refused(tmp_path / "huge.mat", ".", tmp_path)


def _plain(value):
    """Brings what scipy.io.loadmat(simplify_cells=True) returns to our types."""
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if not k.startswith("__")}
    if isinstance(value, np.ndarray) and value.dtype == object or value is list:
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
    ours = vgg_face_matlab.read_variables(str(files[name]))
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
    _refused(tmp_path / "odd.mat", "one filter bank|0 layers", tmp_path)


def test_matlab_text_and_byte_order(tmp_path):
    from_scipy = {"a": "Zo\u00eb", "b": np.arange(6, dtype=">i2").reshape(2, 3)}
    scipy.io.savemat(tmp_path / "t.mat", from_scipy)
    read = vgg_face_matlab.read_variables(str(tmp_path / "t.mat"))
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
    read = vgg_face_matlab.read_variables(str(tmp_path / "big.mat"))
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
        _refused(path, "corrupt|not VGG-Face", tmp_path)


def test_hdf5_file_of_something_else(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = 1
    _refused(tmp_path / "other.h5", "layer_names", tmp_path)


_OWN_READERS = ["mat_old", "caffe", "caffe_legacy", "torch7", "pytorch"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_raise_value_error_or_read(data, files):
    name = data.draw(st.sampled_from([*_OWN_READERS, "pytorch_legacy"]))
    content = bytearray(files[name].read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        # most structure lies at the beginning
        last = data.draw(st.sampled_from([200, 2000, len(content) - 1]))
        content[data.draw(st.integers(0, last))] = data.draw(st.integers(0, 255))
    path = files[name].with_suffix(".damaged")
    path.write_bytes(content)
    try:
        vgg_face_formats.read_source(str(path))
    except ValueError as error:
        assert "\n" not in str(error)


# --- The command ---------------------------------------------------------------------

_AS_TINY = (
    "import runpy, sys, tests_size\n"
    "from speech2face import vgg_face_file\n"
    "vgg_face_file.PAPER_SIZE = tests_size.SIZE\n"
    "runpy.run_module('speech2face.import_vgg_face', run_name='__main__')\n"
)


def _command(tmp_path, *arguments):
    (tmp_path / "tests_size.py").write_text(
        "from speech2face.vgg_face_file import VggFaceSize\n"
        f"SIZE = VggFaceSize(**{TINY.__dict__!r})\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), "."])}
    return subprocess.run(
        [sys.executable, "-c", _AS_TINY, *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
    )


def test_command_imports_and_names_faces(files, tmp_path):
    faces = tmp_path / "faces"
    faces.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (80, 70, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(faces / "someone.png")
    output = tmp_path / "vgg_face.weights.h5"
    result = _command(
        tmp_path,
        f"--weights={files['mat_vlfeat']}",
        f"--output={output}",
        f"--check_images={faces}",
    )
    assert result.returncode == 0, result.stderr
    assert vgg_face_file.read_info(str(output)).checksum in result.stdout
    line = next(s for s in result.stdout.splitlines() if s.startswith("someone.png"))
    square = Image.fromarray(pixels).crop((0, 5, 70, 75)).resize((64, 64), 3)
    logits = writers.run_hwio(writers.hwio_network(), np.asarray(square), "rgb")["fc8"]
    best = [writers.NAMES[i] for i in np.argsort(-logits)[:5]]
    assert [entry.rsplit(" ", 1)[0] for entry in line[13:].split(", ")] == best
    assert "red and blue exchanged" in result.stdout


def test_command_ends_in_one_line_on_a_wrong_file(tmp_path):
    (tmp_path / "x.t7").write_bytes(b"nothing")
    result = _command(tmp_path, f"--weights={tmp_path / 'x.t7'}")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1


def test_command_takes_names_from_a_file(files, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(writers.NAMES) + "\n")
    output = tmp_path / "out.h5"
    result = _command(
        tmp_path,
        f"--weights={files['caffe']}",
        f"--output={output}",
        f"--class_names={tmp_path / 'names.txt'}",
    )
    assert result.returncode == 0, result.stderr
    assert list(vgg_face_file.read_info(str(output)).class_names) == writers.NAMES


def test_help_loads_no_network_library():
    code = (
        "import sys, runpy\n"
        "sys.argv[1:] = ['--help']\n"
        "try:\n"
        "    runpy.run_module('speech2face.import_vgg_face', run_name='__main__')\n"
        "except SystemExit:\n"
        "    pass\n"
        "assert not {'keras', 'tensorflow', 'scipy'} & set(sys.modules)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert result.returncode == 0, result.stderr
    assert "--check_images" in result.stdout
