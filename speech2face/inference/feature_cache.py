"""A cache of features, keyed by the content of a file and by what measured it.

    <folder>/<measured by>/<first two digits>/<sha256 of the content>.npz

A moved or renamed file is found again; a changed file, or another recognizer or model,
is measured anew. The cache holds features and face boxes, never sound or pictures.
"""

import pathlib
import re
from collections.abc import Callable

import numpy as np

from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.npz_files import read_npz

_ENTRY = re.compile(r"(?P<folder>[0-9a-f]{2})[0-9a-f]{62}\.npz")
Values = dict[str, np.ndarray]


class FeatureCache:
    """A folder with one file of values for each content."""

    def __init__(self, folder: PathLike, measured_by: str):
        """Opens the cache; creates nothing before there are values to store.

        Args:
          folder: folder that may hold any number of caches.
          measured_by: names the network and its weights, for example by a checksum.
        """
        self._folder = pathlib.Path(folder) / measured_by

    def get(self, path: PathLike, measure: Callable[[str], Values]) -> Values:
        """Returns the values of a file, from the cache or else from `measure`.

        Args:
          path: the file.
          measure: path -> values, arrays by name. What it raises is not cached.

        Raises:
          OSError: the file cannot be read.
        """
        digest = files.sha256(path)
        entry = self._folder / digest[:2] / f"{digest}.npz"
        cached = _load(entry)
        if cached is not None:
            return cached
        values = measure(str(path))
        # An open file: given a path, np.savez would append '.npz' to its name.
        with files.atomic_path(entry, is_ours=True) as temporary:
            with temporary.open("wb") as file:
                np.savez(file, **values)
        return values


def is_entry(path: pathlib.Path) -> bool:
    """Returns whether a path is that of a file of a cache, by its names."""
    name = _ENTRY.fullmatch(path.name)
    return name is not None and path.parent.name == name["folder"]


def _load(entry: pathlib.Path) -> Values | None:
    """Returns the values, or None if there are none or the file is damaged."""
    try:
        return read_npz(entry)
    except (OSError, UserError):
        return None
