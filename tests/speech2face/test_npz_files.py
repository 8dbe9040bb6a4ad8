"""Files of arrays that somebody else made: one line, whatever they hold."""

import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from speech2face.errors import UserError
from speech2face.npz_files import read_npz
from tests.helpers.damaged_media import damage
from tests.helpers.paths import REPOSITORY

HEADER = "{{'descr': '{}', 'fortran_order': False, 'shape': {}}}"
GOOD = HEADER.format("<f4", "(2,)")


def array_file(header, content=bytes(8)):
    text = header.encode() + b"\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + content


def zip_of(method=zipfile.ZIP_STORED, **contents):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in contents.items():
            archive.writestr(name + ".npy", content)
    return buffer.getvalue()


def changed(content, offset, value):
    """Sets two bytes of the entry in the archive's index."""
    at = content.find(b"PK\1\2") + offset
    return content[:at] + struct.pack("<H", value) + content[at + 2 :]


def zeros(n_megabytes):
    content = array_file(
        HEADER.format("<f4", f"({n_megabytes * 250_000},)"), bytes(n_megabytes << 20)
    )
    return content[: len(content) - n_megabytes * ((1 << 20) - 1_000_000)]


CASES = {
    "nothing": b"",
    "text": b"hello",
    "an array that is no archive": array_file(GOOD),
    "an archive that is cut off": zip_of(a=array_file(GOOD))[:-30],
    "no arrays": zip_of(a=b"hello"),
    "terabytes": zip_of(a=array_file(HEADER.format("<f4", "(1000000000000,)"))),
    "overflow": zip_of(a=array_file(HEADER.format("<f4", f"({2**40}, {2**40})"))),
    "negative": zip_of(a=array_file(HEADER.format("<f4", "(-2,)"))),
    "true": zip_of(a=array_file(HEADER.format("<f4", "(True, 2)"))),
    "long text": zip_of(a=array_file(HEADER.format("<U1000000000", "(2,)"))),
    "characters that are none": zip_of(
        a=array_file(HEADER.format("<U1", "(2,)"), b"\xff" * 8)
    ),
    "objects": zip_of(a=array_file(HEADER.format("|O", "(1,)"))),
    "fields": zip_of(a=array_file("{'descr': [('a', '<f4')], 'shape': (2,)}")),
    "nested": zip_of(a=array_file("(" * 5000 + ")" * 4000)),
    "an open bracket": zip_of(a=array_file(GOOD[:-1])),
    "a header too long": zip_of(a=array_file(GOOD + " " * 20_000)),
    "another version": zip_of(a=b"\x93NUMPY\x07\0" + bytes(100)),
    "encrypted": changed(zip_of(a=array_file(GOOD)), 8, 1),
    "an unknown method": changed(zip_of(a=array_file(GOOD)), 10, 99),
    "lzma": zip_of(zipfile.ZIP_LZMA, a=array_file(GOOD)),
    "a bomb": zip_of(zipfile.ZIP_DEFLATED, a=zeros(40)),
    "bombs": zip_of(zipfile.ZIP_DEFLATED, a=zeros(9), b=zeros(9), c=zeros(9)),
}


@pytest.mark.parametrize("case", CASES)
def test_whatever_a_file_holds_is_one_line(tmp_path, case):
    path = tmp_path / "a.npz"
    path.write_bytes(CASES[case])
    tracemalloc.start()
    try:
        with pytest.raises(UserError, match="damaged: ") as error:
            read_npz(path)
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()
    assert str(path) in str(error.value) and "\n" not in str(error.value)
    assert len(str(error.value)) < len(str(path)) + 150


def test_the_same_name_twice(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", array_file(GOOD))
        archive.writestr("a", array_file(GOOD))
    with pytest.raises(UserError, match="'a' is there twice"):
        read_npz(tmp_path / "a.npz")


def test_what_numpy_writes_is_read(tmp_path):
    arrays = {
        "half": np.arange(6, dtype=np.float16).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big": np.arange(3, dtype=">i4"),
        "text": np.array(["ä", "", "…"]),
        "scalar": np.array(True),
        "empty": np.zeros([0, 4], np.float32),
    }
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "a.npz", **arrays)
        found = read_npz(tmp_path / "a.npz")
        assert list(found) == list(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(found[name], array)
            assert found[name].dtype == array.dtype


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_damage_is_one_line_or_read(tmp_path, save):
    random = np.random.default_rng(0)
    save(tmp_path / "a.npz", a=random.normal(size=99), b=np.array(["x"] * 9))
    content = (tmp_path / "a.npz").read_bytes()
    for _ in range(150):
        (tmp_path / "b.npz").write_bytes(damage(content, random))
        try:
            read_npz(tmp_path / "b.npz")
        except UserError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize(
    "layout, message",
    [
        ({"c": ("f", ())}, "it lacks c"),
        ({"a": ("f", ("n",))}, r"a is float64 \[2, 3\], expected \['n'\]"),
        ({"a": ("i", ("n", 3))}, "a is float64"),
        ({"a": ("f", ("n", "m")), "b": ("f", ("m",))}, r"\[2\], expected \[3\]"),
    ],
)
def test_an_array_of_another_shape_is_named(tmp_path, layout, message):
    np.savez(tmp_path / "a.npz", a=np.zeros([2, 3]), b=np.zeros(2))
    with pytest.raises(UserError, match=message):
        read_npz(tmp_path / "a.npz", layout)


def test_nothing_else_reads_npz_files():
    for package in ("speech2face", "data_prep", "experiments"):
        for path in (REPOSITORY / package).rglob("*.py"):
            if path.parent.name != "benchmarks":  # which read what they wrote
                assert "np.load(" not in path.read_text(), path
