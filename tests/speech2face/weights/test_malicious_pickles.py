"""Pickles and zip archives of PyTorch that would harm their reader."""

import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from speech2face.weights import (
    pytorch,
    tensor_pickle,
)
from tests.helpers import torch_writers
from tests.helpers import vgg_face_writers as writers
from tests.helpers.vgg_face_imports import assert_refused


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
            torch_writers.write_pytorch_zip(path, data, {})
        elif container == "legacy":
            torch_writers.write_pytorch_legacy(path, data, {})
        else:
            path.write_bytes(data)
        assert_refused(path, ".", tmp_path)
        assert not marker.exists()
    pickle.loads(pickle.dumps(_Touch(marker)))  # the marker works
    assert marker.exists()


def _pickle_of(layers, edit):
    """A state dict's pickle with its shape or size integers edited."""
    named = torch_writers.named_arrays(layers)
    data, arrays = torch_writers.with_torch_names(
        lambda: torch_writers.pytorch_pickle(named, torch_writers.FloatStorage, False)
    )
    return edit(data), arrays


def test_pytorch_storage_of_a_gigantic_declared_size(tmp_path):
    layers = writers.oihw_network()
    size = struct.pack("<BBB", ord("K"), layers[0][2].size, ord("t"))
    huge = b"\x8a\x08" + struct.pack("<q", 2**60) + b"t"
    data, arrays = _pickle_of(layers, lambda data: data.replace(size, huge, 1))
    assert b"\x8a\x08" in data
    torch_writers.write_pytorch_zip(tmp_path / "huge.pth", data, arrays)
    assert_refused(tmp_path / "huge.pth", "declares 32 tensors", tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"X\x0e\0\0\0conv1_1.weight", b"K\x07"),  # a number as a name
        (b"X\x05\0\0\x0094000", b"K\x07"),  # a number as a storage's key
    ],
)
def test_pytorch_numbers_where_names_belong(old, new, files, tmp_path):
    data = files["pytorch_legacy"].read_bytes()
    assert old in data
    path = tmp_path / "numbers.pth"
    path.write_bytes(data.replace(old, new))
    assert_refused(path, ".", tmp_path)


def test_pytorch_containers_within_themselves_and_one_another():
    storage = tensor_pickle.Storage("<f4", "0", 1)
    tensor = tensor_pickle.Tensor(storage, 0, (1,), (1,))
    cyclic = {}
    cyclic["self"] = cyclic
    shared = [tensor]
    for _ in range(2000):  # 10 ** 2000 paths, and deeper than Python's stack
        shared = [shared] * 10
    assert list(pytorch._tensors_within([cyclic, shared])) == [tensor]


def test_pytorch_tensor_that_repeats_one_number(tmp_path):
    layers = writers.oihw_network()
    _, _, bias = layers[0]
    repeated = np.lib.stride_tricks.as_strided(bias[:1], (2**20, 2**20), (0, 0))
    layers[0] = ("conv1_1", repeated, bias)
    data, arrays = _pickle_of(layers, lambda data: data)
    arrays["0"] = bias[:1]
    size = b"\x8a\x06" + struct.pack("<q", 2**40)[:6] + b"t"
    assert data.count(size) == 1
    data = data.replace(size, b"K\x01t")
    torch_writers.write_pytorch_zip(tmp_path / "repeat.pth", data, arrays)
    assert_refused(tmp_path / "repeat.pth", "its storage holds 1", tmp_path)


@pytest.mark.parametrize(
    "name", ["../../evil", "/etc/evil", "a/../../b", "C:\\evil", "..\\evil"]
)
def test_zip_slip(name, files, tmp_path):
    path = tmp_path / "slip.pth"
    path.write_bytes(files["pytorch"].read_bytes())
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    before = sorted(tmp_path.rglob("*"))
    assert_refused(path, "unsafe entry name", tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_zip_bomb(tmp_path):
    path = tmp_path / "bomb.pth"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", b"\x80\x02}.")
        archive.writestr("a/data/0", bytes(10**7))
    assert_refused(path, "compressed entry", tmp_path)


def test_encrypted_zip_entry(files, tmp_path):
    data = bytearray(files["pytorch"].read_bytes())
    entry = data.rindex(b"PK\x01\x02", 0, data.rindex(b"/data/3"))
    data[entry + 8] |= 1
    (tmp_path / "encrypted.pth").write_bytes(data)
    assert_refused(tmp_path / "encrypted.pth", "encrypted entry", tmp_path)


def test_zip_archive_of_something_else(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("vgg_face/VGG_FACE.t7", "x")
    assert_refused(tmp_path / "a.zip", "not a PyTorch file", tmp_path)
