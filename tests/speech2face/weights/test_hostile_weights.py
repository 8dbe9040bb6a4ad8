"""Small weight files that claim much: one line, in little memory and time."""

import io
import json
import struct
import tracemalloc
import zlib

import h5py
import numpy as np
import pytest

from speech2face.errors import UserError
from speech2face.weights import (
    caffe,
    hdf5_arrays,
    matconvnet,
    tensor_pickle,
    vgg_face_file,
    vgg_face_import,
)
from tests.helpers import vgg_face_writers as writers

TINY = writers.TINY
MB = 2**20


def refused(function, path, match, max_mb=100):
    """Asserts that `function(path)` ends in one line and in bounded memory."""
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match=match) as caught:
            function(str(path))
        assert tracemalloc.get_traced_memory()[1] < max_mb * MB
    finally:
        tracemalloc.stop()
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)


# MATLAB


def mat_file(*elements):
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x0100) + b"IM"
    return head + b"".join(elements)


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def numbers(n_bytes, dims, body=b""):
    """The start of a double array whose data element declares `n_bytes`."""
    flags = element(6, struct.pack("<II", 6, 0))
    head = flags + element(5, struct.pack(f"<{len(dims)}i", *dims)) + element(1, b"x")
    data = struct.pack("<II", 9, n_bytes) + body
    return struct.pack("<II", 14, len(head) + 8 + n_bytes) + head + data


def test_deflated_variables_have_one_limit_for_the_whole_file(tmp_path):
    n_bytes = 40 * MB
    variable = zlib.compress(numbers(n_bytes, (n_bytes // 8, 1), bytes(n_bytes)))
    path = tmp_path / "bomb.mat"
    path.write_bytes(mat_file(*[struct.pack("<II", 15, len(variable)) + variable] * 8))
    assert path.stat().st_size < 0.5 * MB
    refused(matconvnet.read_matlab, path, "expands to many times its size")


def test_a_variable_that_expands_to_what_weights_may_is_read(tmp_path):
    values = np.random.default_rng(0).normal(size=10_000)
    packed = zlib.compress(numbers(values.nbytes, (10_000, 1), values.tobytes()))
    path = tmp_path / "good.mat"
    path.write_bytes(mat_file(struct.pack("<II", 15, len(packed)) + packed))
    np.testing.assert_array_equal(
        matconvnet.read_variables(str(path))["x"][:, 0], values
    )


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (
            element(14, element(6, bytes(8)) + element(5, bytes(4 * MB))),
            "1048576 dimensions",
        ),
        (
            element(
                14,
                element(6, struct.pack("<II", 2, 0))
                + element(5, struct.pack("<ii", 1, 1))
                + element(1, b"x")
                + element(5, struct.pack("<i", 1))
                + element(1, bytes(4 * MB)),
            ),
            "over 1000 fields",
        ),
        (
            element(
                14,
                element(6, struct.pack("<II", 4, 0))
                + element(5, struct.pack("<ii", 1, 1))
                + element(1, b"x")
                + element(4, bytes(4 * MB)),
            ),
            "a text of 4194304 bytes",
        ),
    ],
)
def test_matlab_of_very_many_small_things(content, match, tmp_path):
    path = tmp_path / "many.mat"
    path.write_bytes(mat_file(content))
    refused(matconvnet.read_matlab, path, match)


def test_matlab_elements_of_an_unknown_kind(tmp_path):
    path = tmp_path / "many.mat"
    path.write_bytes(mat_file(element(99, b"") * 310_000))
    with pytest.raises(UserError, match="more elements than any network has"):
        matconvnet.read_matlab(str(path))


# Caffe


@pytest.mark.slow
def test_fields_are_counted_over_the_whole_file(tmp_path):
    """Each message alone has few enough of them: 52 MB of such took over 100 s."""
    layer = b"\x08\x00" * 30_000
    message = b"\xa2\x06" + varint(len(layer)) + layer
    path = tmp_path / "varints.caffemodel"
    path.write_bytes(b"\xa2\x06\x03\x0a\x01c" + message * 10)
    refused(caffe.read_caffe, path, "over 100000 fields")
    refused(vgg_face_import.read_source, path, "over 100000 fields")


def varint(value):
    digits = []
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*digits, value])


# PyTorch


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02}]K\x01s.",  # {[]: 1}
        b"\x80\x02}(]K\x01u.",
        b"\x80\x02}}K\x01s.",  # {{}: 1}
        b"\x80\x02}]\x85K\x01s.",  # {([],): 1}
        b"\x80\x02ccollections\nOrderedDict\n]]]a]aa\x85R.",
        b"\x80\x02ccollections\nOrderedDict\n]]]K\x01\x86aa\x85R.",
    ],
)
def test_lists_as_keys(pickled):
    with pytest.raises(UserError, match="truncated or corrupt"):
        tensor_pickle.evaluate(io.BytesIO(pickled), "keys.pth")


# Keras' HDF5, and our own


def zeros(group, name, shape):
    """A dataset of zeros that takes a few bytes, whatever its shape."""
    return group.create_dataset(name, shape, "f4", chunks=True, compression="gzip")


def test_keras_arrays_that_expand(tmp_path):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [f"l{i}".encode() for i in range(4)]
        for i in range(4):
            group = file.create_group(f"l{i}")
            group.attrs["weight_names"] = [b"kernel", b"bias"]
            zeros(group, "kernel", (2**23, 1))
            zeros(group, "bias", (1,))
    assert path.stat().st_size < 0.1 * MB
    refused(vgg_face_import.read_source, path, "expands to many times its size")


@pytest.fixture
def imported(tmp_path):
    """An imported file of the tiny network, with names of its classes."""
    path = tmp_path / "vgg_face.h5"
    vgg_face_file.write(
        path,
        writers.random_weights(TINY),
        size=TINY,
        source_format="Torch7",
        class_names=writers.NAMES,
    )
    return path


def test_an_imported_file_that_expands(imported):
    size = json.dumps({"fc_units": 2**11, "n_classes": 2**13})
    with h5py.File(imported, "r+") as file:
        file.attrs["size"] = size
        del file["fc8"]
        zeros(file, "fc8/kernel", (2**11, 2**13))
        zeros(file, "fc8/bias", (2**13,))
        file["fc8"].attrs["sha256"] = ""
    assert imported.stat().st_size < MB
    refused(vgg_face_file.load_head, imported, "expands to many times its size")
    refused(vgg_face_file.read_weights, imported, "import the weights again")


@pytest.mark.parametrize(
    "size",
    [
        None,
        3,
        np.zeros(5),
        "hello",
        "[]",
        "[" * 10_000,
        '{"blocks":' * 5_000,
        '{"blocks": []}',
        '{"blocks": [[]]}',
        '{"blocks": [[0]]}',
        '{"blocks": [[64, "64"]]}',
        '{"blocks": [[1], [1], [1], [1], [1], [1], [1], [1], [1]]}',
        '{"fc_units": 1000000000}',
        '{"fc_units": 1048576, "n_classes": 1048576}',
        '{"n_classes": -1}',
        '{"n_classes": NaN}',
        '{"input_px": 0}',
        '{"input_px": 1e99}',
        '{"colors": 3}',
        '{"n_classes": 5, "n_classes": 5}',
    ],
)
def test_a_size_that_makes_no_sense(size, imported):
    with h5py.File(imported, "r+") as file:
        del file.attrs["size"]
        if size is not None:
            file.attrs["size"] = size
    for function in (vgg_face_file.read_info, vgg_face_file.load_head):
        refused(function, imported, ".")


@pytest.mark.parametrize(
    "attribute", ["source_format", "source_sha256", "channel_order", "checksum"]
)
def test_a_description_of_another_type(attribute, imported):
    with h5py.File(imported, "r+") as file:
        file.attrs[attribute] = 3
    refused(vgg_face_file.read_info, imported, f"{attribute} is not a text")
    with h5py.File(imported, "r+") as file:
        del file.attrs[attribute]
    refused(vgg_face_file.read_info, imported, f"{attribute} is not a text")


@pytest.mark.parametrize(
    ("names", "match"),
    [
        (lambda file: file.create_group("class_names"), "is not a list of names"),
        (lambda file: file.create_dataset("class_names", data=1.0), "not a list"),
        (lambda file: file.create_dataset("class_names", data=["a"] * 99), "99"),
        (lambda file: file.create_dataset("class_names", data="a"), "names"),
        (
            lambda file: file.create_dataset("class_names", data=["a" * 5 * MB]),
            "names without an end",
        ),
        (
            lambda file: file.__setitem__("class_names", h5py.SoftLink("/fc8/bias")),
            "is not stored in the file",
        ),
        (
            lambda file: file.__setitem__("class_names", h5py.SoftLink("/class_names")),
            "is not stored in the file",
        ),
        (
            lambda file: file.__setitem__("class_names", h5py.ExternalLink("x", "y")),
            "is not stored in the file|corrupt",
        ),
    ],
)
def test_class_names_of_another_kind(names, match, imported):
    with h5py.File(imported, "r+") as file:
        del file["class_names"]
        names(file)
    refused(vgg_face_file.read_info, imported, match)


def test_layers_that_are_not_in_the_file(imported):
    with h5py.File(imported, "r+") as file:
        file.move("fc8/kernel", "elsewhere")
        file["fc8/kernel"] = h5py.SoftLink("/elsewhere")
    refused(vgg_face_file.load_head, imported, "is not stored in the file")
    with h5py.File(imported, "r+") as file:
        del file["fc8"]
        file["fc8"] = np.zeros(3)
    refused(vgg_face_file.load_head, imported, "import the weights again")


@pytest.mark.parametrize("n_kept", [8, 100, 600, 2000])
def test_an_imported_file_that_is_cut_off(n_kept, imported):
    imported.write_bytes(imported.read_bytes()[:n_kept])
    refused(vgg_face_file.read_weights, imported, ".")
    with pytest.raises(UserError, match="choose another output"):
        vgg_face_file.check_may_overwrite(imported)


@pytest.mark.parametrize(
    ("dtype", "options", "reason"),
    [
        ("f4", {"scaleoffset": 2}, "filter 6"),
        ("f4", {"compression": "lzf"}, "filter 32000"),
        (np.dtype("longdouble"), {}, "no filter"),
        ("f4", {"compression": "gzip", "shuffle": True, "fletcher32": True}, None),
        (">f8", {}, None),
    ],
)
def test_hdf5_goes_through_few_filters(tmp_path, dtype, options, reason):
    """The others are where HDF5 2.0 writes past its memory (CVE-2025-2308, -2309)."""
    values = np.arange(64).reshape(8, 8)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("x", data=values.astype(dtype), **options)
    with h5py.File(tmp_path / "a.h5") as file:
        arrays = hdf5_arrays.ArrayReader(tmp_path / "a.h5")
        if reason is None:
            assert arrays.declare(file["x"]) == 64
        else:
            with pytest.raises(UserError, match=f"through {reason}, which is not"):
                arrays.declare(file["x"])


def test_whatever_h5py_raises_is_one_line():
    with (
        pytest.raises(UserError, match=r"^a.h5 is truncated or corrupt \(deep\); x$"),
        hdf5_arrays.errors_of("a.h5", "; x"),
    ):
        raise RecursionError("deep")
