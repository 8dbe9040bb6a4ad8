"""Reading untrusted binary files: every length is checked before it is believed.

See docs/decisions/untrusted-weight-files.md.
"""

import contextlib
import math
import mmap
import pathlib
import struct
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike

# Weights hardly compress: more than this is a file that was made to fill memory (zlib
# could promise 1032 times its size). The slack is for small files.
_MAX_EXPANSION = 16
_EXPANSION_SLACK_BYTES = 2**24
_MAX_DIMENSIONS = 8  # of a tensor; a convolution's kernel has 4


class BoundedReader:
    """A cursor over bytes that never reads past their end and copies nothing.

    Arrays and byte ranges are views of the underlying buffer, so a declared size of
    any magnitude costs nothing until it has proven to fit.
    """

    def __init__(self, data: memoryview, path: PathLike):
        """Starts at the first byte of `data`; errors name `path`."""
        self._data = data
        self._path = path
        self.position = 0

    @property
    def remaining(self) -> int:
        """Number of bytes after the cursor."""
        return len(self._data) - self.position

    def take(self, n_bytes: int) -> memoryview:
        """Returns the next bytes; UserError if fewer are left."""
        if not 0 <= n_bytes <= self.remaining:
            raise UserError(
                f"{self._path} is truncated or corrupt: {n_bytes} bytes declared at "
                f"offset {self.position}, {self.remaining} left"
            )
        start = self.position
        self.position += n_bytes
        return self._data[start : self.position]

    def unpack(self, form: str) -> tuple[Any, ...]:
        """Returns the next little-endian values, `form` in the notation of `struct`."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def array(self, dtype: str | np.dtype, n_items: int) -> np.ndarray:
        """Returns the next `n_items` of `dtype` as a read-only view."""
        data = self.take(n_items * np.dtype(dtype).itemsize)
        return np.frombuffer(data, dtype)


@contextlib.contextmanager
def open_reader(path: PathLike) -> Iterator[BoundedReader]:
    """Yields a reader over a file's bytes, mapped into memory.

    Raises:
      UserError: the file is empty.
    """
    with pathlib.Path(path).open("rb") as file:
        if not file.read(1):
            raise UserError(f"{path} is empty")
        # Never closed by hand: arrays that view the map keep it alive.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        yield BoundedReader(memoryview(mapped), path)


def expansion_limit(path: PathLike) -> int:
    """Returns how many bytes all compressed parts of a file together may expand to."""
    n_bytes = pathlib.Path(path).stat().st_size
    return _EXPANSION_SLACK_BYTES + _MAX_EXPANSION * n_bytes


def strided_view(
    storage: np.ndarray,
    offset: int,
    shape: Sequence[int],
    strides: Sequence[int],
    what: str,
) -> np.ndarray:
    """Returns a tensor laid over a flat storage, as Torch stores tensors.

    Args:
      storage: [n], flat.
      offset: index of the tensor's first element.
      shape: the tensor's shape.
      strides: elements (not bytes) from one index to the next in each dimension.
      what: names the tensor in errors.

    Raises:
      UserError: the tensor does not lie inside the storage, or has elements that
        share memory (a small file that declares a giant tensor).
    """
    if len(shape) != len(strides) or len(shape) > _MAX_DIMENSIONS or offset < 0:
        raise UserError(
            f"{what} has an impossible shape {list(shape)[:_MAX_DIMENSIONS]}"
        )
    if any(n < 0 for n in shape) or any(n < 0 for n in strides):
        raise UserError(f"{what} has a negative size or stride")
    if 0 in shape:
        return np.empty(0, storage.dtype)
    n_items = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides))
    if n_items > storage.size or last >= storage.size:
        raise UserError(
            f"{what} declares {n_items} values, its storage holds {storage.size}"
        )
    byte_strides = [s * storage.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(
        storage[offset:], shape, byte_strides, writeable=False
    )
