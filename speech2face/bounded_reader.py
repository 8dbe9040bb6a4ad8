"""Reading untrusted binary files: every length is checked before it is believed."""

import contextlib
import math
import mmap
import struct
from typing import Iterator, Sequence, Tuple

import numpy as np


class BoundedReader:
    """A cursor over bytes that never reads past their end and copies nothing.

    Arrays and byte ranges are views of the underlying buffer, so a declared size of
    any magnitude costs nothing until it has proven to fit.
    """

    def __init__(self, data: memoryview, path: str):
        self._data = data
        self._path = path
        self.position = 0

    @property
    def remaining(self) -> int:
        """Number of bytes behind the cursor."""
        return len(self._data) - self.position

    def take(self, n_bytes: int) -> memoryview:
        """Returns the next bytes; ValueError where there are not so many."""
        if not 0 <= n_bytes <= self.remaining:
            raise ValueError(
                f"{self._path} is truncated or corrupt: {n_bytes} bytes declared at "
                f"offset {self.position}, {self.remaining} left"
            )
        start = self.position
        self.position += n_bytes
        return self._data[start : self.position]

    def unpack(self, form: str) -> Tuple:
        """Returns little-endian values in the notation of `struct`."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def array(self, dtype: str, n_items: int) -> np.ndarray:
        """Returns the next `n_items` of `dtype` as a read-only view."""
        data = self.take(n_items * np.dtype(dtype).itemsize)
        return np.frombuffer(data, dtype)


@contextlib.contextmanager
def open_reader(path: str) -> Iterator[BoundedReader]:
    """Yields a reader over a file's bytes, mapped into memory."""
    with open(path, "rb") as file:
        # Never closed by hand: arrays that view the map keep it alive.
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        yield BoundedReader(memoryview(mapped), path)


def strided_view(
    storage: np.ndarray,
    offset: int,
    shape: Sequence[int],
    strides: Sequence[int],
    what: str,
) -> np.ndarray:
    """Returns a tensor laid over a flat storage, as Torch stores tensors.

    Args:
      storage: flat array.
      offset: index of the tensor's first element.
      shape: the tensor's shape.
      strides: elements (not bytes) from one index to the next in each dimension.
      what: names the tensor in errors.

    Raises:
      ValueError: the tensor does not lie inside the storage, or has elements that
        share memory (a small file that declares a giant tensor).
    """
    if len(shape) != len(strides) or len(shape) > 8 or offset < 0:
        raise ValueError(f"{what} has an impossible shape {list(shape)[:8]}")
    if any(n < 0 for n in shape) or any(n < 0 for n in strides):
        raise ValueError(f"{what} has a negative size or stride")
    if 0 in shape:
        return np.empty(0, storage.dtype)
    n_items = math.prod(shape)
    last = offset + sum((n - 1) * s for n, s in zip(shape, strides))
    if n_items > storage.size or last >= storage.size:
        raise ValueError(
            f"{what} declares {n_items} values, its storage holds {storage.size}"
        )
    byte_strides = [s * storage.itemsize for s in strides]
    return np.lib.stride_tricks.as_strided(
        storage[offset:], shape, byte_strides, writeable=False
    )
