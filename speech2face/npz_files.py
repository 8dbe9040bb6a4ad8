"""Reads .npz files of strangers: only plain arrays, and no more than the file holds.

An .npz is a zip archive of arrays. A few bytes of one can declare terabytes, megabytes
can expand to gigabytes, and NumPy and zipfile have an exception of another kind for
each place where a file is damaged. Here sizes are checked before anything is allocated,
and whatever is wrong is one line: docs/decisions/untrusted-weight-files.md.
"""

import math
import sys
import zipfile
from collections.abc import Mapping
from typing import Any, BinaryIO

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike, as_path

Arrays = dict[str, np.ndarray]  # by name
# name -> kinds (`dtype.kind`) and shape; a word in it is any length, the same for all.
Layout = Mapping[str, tuple[str, tuple[int | str, ...]]]

# `np.savez_compressed` hardly makes weights smaller; a zip of zeros expands 1000-fold.
_MAX_EXPANSION = 16
_SLACK_BYTES = 1 << 24  # for small files
_MAX_ARRAYS = 10_000
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # others expand without a bound
_KINDS = "biufU"  # no objects, which would be pickles
_MAX_SHOWN = 100  # characters of what NumPy says


def read_npz(path: PathLike, layout: Layout | None = None) -> Arrays:
    """Reads all arrays of a file.

    Args:
      path: path of the file.
      layout: arrays that it must have. It may have others.

    Raises:
      OSError: the file is missing or unreadable.
      UserError: it is damaged, expands to many times its size, or has another layout.
    """
    path = as_path(path)
    with path.open("rb") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                arrays = _read_all(archive, path.stat().st_size)
        except UserError as error:
            raise _damaged(path, str(error)) from None
        except Exception as error:  # zipfile's, zlib's, NumPy's parser's
            raise _damaged(path, f"{type(error).__name__}: {error}") from None
    check_layout(arrays, layout or {}, path)
    return arrays


def max_bytes(n_bytes: int) -> int:
    """Returns how many bytes of arrays a file of `n_bytes` may hold."""
    return _MAX_EXPANSION * n_bytes + _SLACK_BYTES


def check_layout(
    arrays: Arrays, layout: Layout, path: PathLike, **lengths: int
) -> None:
    """Checks that arrays are there, of their kinds and shapes.

    Args:
      arrays: what `read_npz` returned.
      layout: the arrays that must be there.
      path: that errors name.
      **lengths: lengths of those dimensions of the layout that are known.

    Raises:
      UserError: names the first array that is not.
    """
    missing = sorted(set(layout) - set(arrays))
    if missing:
        raise _damaged(path, f"it lacks {', '.join(missing)}")
    for name, (kinds, shape) in layout.items():
        array = arrays[name]
        if array.ndim == len(shape):
            for part, length in zip(shape, array.shape):
                if isinstance(part, str):
                    lengths.setdefault(part, length)
        expected = [lengths.get(str(part), part) for part in shape]
        if array.dtype.kind not in kinds or list(array.shape) != expected:
            found = f"{name} is {array.dtype} {list(array.shape)}"
            raise _damaged(path, f"{found}, expected {expected}")


def _damaged(path: PathLike, what: str) -> UserError:
    return UserError(
        f"{path} is damaged: {' '.join(what.split())[:_MAX_SHOWN]}", reason="bad_npz"
    )


def _read_all(archive: zipfile.ZipFile, n_bytes: int) -> Arrays:
    entries = archive.infolist()
    n_expanded = sum(entry.file_size for entry in entries)
    if len(entries) > _MAX_ARRAYS or n_expanded > max_bytes(n_bytes):
        raise UserError("it expands to many times its size")
    arrays = {}
    for entry in entries:
        if entry.compress_type not in _METHODS:
            raise UserError("it is compressed in a way that is not read here")
        name = entry.filename.removesuffix(".npy")
        if name in arrays:
            raise UserError(f"{name!r:.50} is there twice")
        with archive.open(entry) as file:
            arrays[name] = _read_array(file, entry.file_size, name)
    return arrays


def _read_array(file: Any, n_bytes: int, name: str) -> np.ndarray:
    """Reads one array.

    Args:
      file: a file at the beginning of the array's own file.
      n_bytes: that the file has.
      name: name that errors give.
    """
    shape, is_fortran, dtype = _read_header(file)
    n_values = math.prod(shape)
    if dtype.kind not in _KINDS or min(shape, default=0) < 0:
        raise UserError(f"{name!r:.50} is not an array of numbers or of text")
    if file.tell() + n_values * dtype.itemsize != n_bytes:
        raise UserError(f"{name!r:.50} does not have the size that it declares")
    content = bytearray(file.read(n_values * dtype.itemsize))
    if dtype.kind == "U":
        codes = np.frombuffer(content, dtype.str[0] + "u4")
        if codes.max(initial=0) > sys.maxunicode:
            raise UserError(f"{name!r:.50} is not text")
    return np.ndarray(shape, dtype, content, order="F" if is_fortran else "C")


def _read_header(file: BinaryIO) -> tuple[tuple[int, ...], bool, np.dtype]:
    # NumPy parses the header as Python, and refuses one of over 10,000 characters.
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        return np.lib.format.read_array_header_1_0(file)
    if version == (2, 0):
        return np.lib.format.read_array_header_2_0(file)
    raise UserError(f"an array has the format version {version}")
