"""Checkpoints that are damaged: the one before is used."""

import keras
import pytest

from speech2face.artifacts.checkpoints import Checkpointer


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
