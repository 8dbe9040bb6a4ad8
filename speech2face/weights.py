"""Network weights as one .npz file, keyed by variable path."""

import os
import zipfile
from typing import Iterable

import keras
import numpy as np


def save(
    path: "os.PathLike[str]", variables: Iterable[keras.Variable], half: bool = False
) -> None:
    """Writes the values of `variables`.

    Args:
      path: the .npz file.
      variables: of one model; their paths must differ.
      half: as float16, which halves the file.
    """
    values = {}
    for variable in variables:
        if variable.path in values:
            raise AssertionError(f"two variables are called {variable.path}")
        value = np.asarray(variable.value, np.float32)
        values[variable.path] = value.astype(np.float16) if half else value
    np.savez(path, **values)


def load(path: "os.PathLike[str]", variables: Iterable[keras.Variable]) -> None:
    """Reads into `variables` what `save` wrote; each must be there, and no other.

    Raises:
      ValueError: the file is damaged or belongs to another network.
    """
    variables = list(variables)
    try:
        with np.load(path, allow_pickle=False) as file:
            values = {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} is damaged: {error}") from None
    expected = {variable.path: tuple(variable.shape) for variable in variables}
    found = {name: value.shape for name, value in values.items()}
    if found != expected:
        names = sorted(
            n for n in {**found, **expected} if found.get(n) != expected.get(n)
        )
        raise ValueError(
            f"{path} is of another network: {len(names)} weights differ, the first is "
            f"{names[0]} {found.get(names[0])}, expected {expected.get(names[0])}"
        )
    for variable in variables:
        variable.assign(values[variable.path].astype(np.float32))
