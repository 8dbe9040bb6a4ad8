"""Checkpoints: which are kept, on a full disk, and damaged ones."""

import os
import subprocess

import keras
import numpy as np
import pytest

from speech2face.artifacts.checkpoints import Checkpointer, list_checkpoints


def footer(index, size):
    """The end of an index whose second block claims a size (varints of LevelDB)."""
    number = b""
    while size > 127:
        number += bytes([size & 127 | 128])
        size >>= 7
    handles = b"\0\x08" + b"\0" + number + bytes([size])
    return index[:-48] + handles.ljust(40, b"\0") + index[-8:]


@pytest.mark.parametrize("size", [2**40, 2**62, 2**64 - 6])
def test_an_index_that_claims_terabytes(tmp_path, size):
    model = keras.Sequential([keras.Input([3]), keras.layers.Dense(4)])
    checkpointer = Checkpointer(tmp_path, model)
    checkpointer.save(1)
    checkpointer.save(2)
    index = tmp_path / "checkpoints" / "ckpt-2.index"
    index.write_bytes(footer(index.read_bytes(), size))
    assert checkpointer.restore_latest() == 1


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of its own with room for two checkpoints."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("only root may make a small disk")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_one_clear_line_and_earlier_checkpoints_stay(small_disk):
    model = keras.Sequential([keras.Input([1000]), keras.layers.Dense(100)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    kernel = model.layers[0].kernel
    checkpointer = Checkpointer(small_disk, model, optimizer, keep=9)
    checkpointer.save(1)
    kernel.assign(np.ones(kernel.shape))
    checkpointer.save(2)
    before = sorted(path.name for path in (small_disk / "checkpoints").iterdir())
    with pytest.raises(OSError, match="No space left on device; free some space"):
        checkpointer.save(3)
    after = sorted(path.name for path in (small_disk / "checkpoints").iterdir())
    assert before == after
    kernel.assign(np.zeros(kernel.shape))
    assert checkpointer.restore_latest() == 2 and kernel.numpy().all()


def test_checkpoints_are_kept_by_count_and_by_age(tmp_path):
    model = keras.Sequential([keras.Input([2]), keras.layers.Dense(1)])
    optimizer = keras.optimizers.SGD()
    optimizer.build(model.trainable_variables)
    checkpointer = Checkpointer(
        tmp_path, model, optimizer, keep=2, keep_every_hours=1.0
    )
    hours = [0.0, 0.4, 0.9, 1.1, 1.5, 2.2, -50.0, -49.9, 3.0, 3.1]  # clocks jump
    for step, hour in enumerate(hours, start=1):
        checkpointer.save(step)
        saved = tmp_path / f"checkpoints/ckpt-{step}.index"
        os.utime(saved, (1e9 + 3600 * hour, 1e9 + 3600 * hour))
    steps = [int(p.split("-")[-1]) for p in list_checkpoints(tmp_path)]
    assert steps == [1, 4, 6, 7, 9, 10]
    assert checkpointer.restore_latest() == 10
    data = [path.name for path in (tmp_path / "checkpoints").glob("*.data-*")]
    assert len(data) == len(steps), "no data without its index"
