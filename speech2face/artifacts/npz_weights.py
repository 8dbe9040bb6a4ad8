"""Network weights as one .npz file, keyed by variable path."""

from collections.abc import Iterable
from typing import BinaryIO

import keras
import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.npz_files import read_npz


def save(
    path: PathLike | BinaryIO,
    variables: Iterable[keras.Variable],
    half: bool = False,
) -> None:
    """Writes the values of `variables`.

    Args:
      path: the .npz file, or a file that is open for writing.
      variables: variables of one model; their paths must differ.
      half: store float16, which halves the file.
    """
    values = {}
    for variable in variables:
        if variable.path in values:
            raise AssertionError(f"two variables are called {variable.path}")
        value = np.asarray(variable.value, np.float32)
        values[variable.path] = value.astype(np.float16) if half else value
    np.savez(path, **values)


def load(path: PathLike, variables: Iterable[keras.Variable]) -> None:
    """Reads into `variables` what `save` wrote.

    The file must have exactly these variables.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is damaged or belongs to another network.
    """
    variables = list(variables)
    values = read_npz(path)
    expected = {variable.path: tuple(variable.shape) for variable in variables}
    found = {name: value.shape for name, value in values.items()}
    if found != expected:
        names = sorted(
            n for n in {**found, **expected} if found.get(n) != expected.get(n)
        )
        raise UserError(
            f"{path} belongs to another network: {len(names)} weights differ, the "
            f"first is {names[0]} {found.get(names[0])}, expected "
            f"{expected.get(names[0])}",
            reason="another_network",
        )
    for variable in variables:
        variable.assign(values[variable.path].astype(np.float32))
