"""Features of files, kept by what the files contain and what measured them.

    <folder>/<measured by>/<first two digits>/<sha256 of the content>.npz

A moved or renamed file is known again; a changed one, or another recognizer or model,
is measured anew. The files are features and face boxes, never sound or pictures.
"""

import os
import pathlib
import zipfile
from typing import Callable, Dict

import numpy as np

from speech2face import files

Values = Dict[str, np.ndarray]


class FeatureCache:
    """One folder of measured values, one file for each content."""

    def __init__(self, folder: "os.PathLike[str]", measured_by: str):
        """Opens the cache; nothing is created before there is something to keep.

        Args:
          folder: of any number of caches.
          measured_by: names the network and its weights, for example by a checksum.
        """
        self._folder = pathlib.Path(folder) / measured_by

    def get(self, path: "os.PathLike[str]", measure: Callable[[str], Values]) -> Values:
        """Returns what `measure` says of a file, from the cache where it is known.

        Raises:
          OSError: the file cannot be read.
          Exception: whatever `measure` raises; nothing is kept then.
        """
        digest = files.sha256(path)
        entry = self._folder / digest[:2] / f"{digest}.npz"
        known = _load(entry)
        if known is not None:
            return known
        values = measure(str(path))
        with files.atomic_path(entry) as temporary, open(temporary, "wb") as file:
            np.savez(file, **values)
        return values


def _load(entry: pathlib.Path):
    """The values, or None where there are none or the file is damaged."""
    try:
        with np.load(entry, allow_pickle=False) as stored:
            return dict(stored)
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return None
