"""Reads arrays of an untrusted HDF5 file: only those that the file itself holds.

HDF5 can name other files (links, external and virtual storage) and can declare
terabytes that a few bytes of compressed or unwritten chunks expand to. h5py has an
exception of another kind for each place where a file is damaged.
See docs/decisions/untrusted-weight-files.md.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import h5py
import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import bounded_reader

_ERRORS = (
    OSError,
    KeyError,
    IndexError,
    RuntimeError,  # RecursionError, too
    TypeError,
    AttributeError,
    ValueError,
)
# Keras writes plain arrays; people compress them with gzip. HDF5 2.0, inside h5py 3.16,
# writes past its memory in other filters and in odd types: docs/security.md.
_FILTERS = {"gzip", "shuffle", "fletcher32"}
_FLOATS = {np.dtype(order + size) for order in "<>" for size in ("f2", "f4", "f8")}
_MAX_TEXT_BYTES = 2**22  # of one list; the names of VGG-Face's 2622 classes have 40 kB
_TEXTS_AT_ONCE = 64


@contextlib.contextmanager
def errors_of(path: PathLike, advice: str = "") -> Iterator[None]:
    """Turns whatever h5py raises for a damaged file into one line.

    Args:
      path: path of the file.
      advice: what to do.

    Raises:
      UserError: of the block, or the block raised an error of a damaged file.
    """
    try:
        yield
    except UserError:
        raise
    except _ERRORS as error:
        raise UserError(f"{path} is truncated or corrupt ({error}){advice}") from None


class ArrayReader:
    """Reads the arrays of one file, within one limit for all of them."""

    def __init__(self, path: PathLike):
        """Starts with nothing read; errors name `path`."""
        self._path = path
        self._left_bytes = bounded_reader.expansion_limit(path)

    def member(self, group: h5py.Group, name: str) -> Any:
        """Returns a member of `group`; UserError unless it lies in this file.

        Soft and external links could name any file of this computer.
        """
        for part in name.strip("/").split("/"):
            if not isinstance(group.get(part, getlink=True), h5py.HardLink):
                raise self._corrupt(f"{name!r} is not stored in the file")
            group = group[part]
        return group

    def declare(self, dataset: Any) -> int:
        """Counts an array of real numbers against the limit; returns its length.

        Raises:
          UserError: it is not such an array, the file does not hold it all, or the
            file would expand to more than it may.
        """
        is_numeric = isinstance(dataset, h5py.Dataset) and dataset.dtype.kind == "f"
        if not is_numeric or dataset.is_virtual or dataset.external:
            raise self._corrupt(f"{dataset.name!r} is not an array of real numbers")
        if dataset.dtype not in _FLOATS or set(_filters(dataset)) - _FILTERS:
            raise self._corrupt(
                f"{dataset.name!r} is stored as {dataset.dtype} through "
                f"{', '.join(_filters(dataset)) or 'no filter'}, which is not read here"
            )
        n_items = int(np.prod(dataset.shape, dtype=object))
        n_bytes = n_items * dataset.dtype.itemsize
        if dataset.chunks is None and dataset.id.get_storage_size() != n_bytes:
            raise self._corrupt(f"{dataset.name!r} declares {dataset.shape}")
        self._left_bytes -= n_bytes
        if self._left_bytes < 0:
            raise self._corrupt("it expands to many times its size")
        return n_items

    def texts(self, dataset: Any, max_items: int) -> list[str]:
        """Returns a list of strings.

        Raises:
          UserError: it is not such a list, or is longer than it may be.
        """
        is_text = isinstance(dataset, h5py.Dataset) and (
            h5py.check_string_dtype(dataset.dtype) is not None
        )
        if not is_text or dataset.is_virtual or dataset.external:
            raise self._corrupt(f"{dataset.name!r} is not a list of names")
        if len(dataset.shape) != 1 or dataset.shape[0] > max_items:
            raise self._corrupt(f"{dataset.name!r} has {dataset.shape} names")
        texts: list[str] = []
        n_bytes = 0
        # In parts: every item may be the same long string, stored once.
        for start in range(0, dataset.shape[0], _TEXTS_AT_ONCE):
            texts += dataset.asstr()[start : start + _TEXTS_AT_ONCE].tolist()
            n_bytes += sum(map(len, texts[start:]))
            if n_bytes > _MAX_TEXT_BYTES:
                raise self._corrupt(f"{dataset.name!r} has names without an end")
        return texts

    def _corrupt(self, what: str) -> UserError:
        return UserError(f"{self._path} is corrupt: {what}")


def _filters(dataset: Any) -> list[str]:
    """Names of the filters that an array goes through when it is read."""
    names = {
        h5py.h5z.FILTER_DEFLATE: "gzip",
        h5py.h5z.FILTER_SHUFFLE: "shuffle",
        h5py.h5z.FILTER_FLETCHER32: "fletcher32",
    }
    properties = dataset.id.get_create_plist()
    numbers = [properties.get_filter(i)[0] for i in range(properties.get_nfilters())]
    return [names.get(number, f"filter {number}") for number in numbers]
