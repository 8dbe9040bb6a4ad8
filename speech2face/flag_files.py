"""Flag files, and flags that are lists of files: what absl does not do by itself."""

import os
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

PACKAGE_DIR = pathlib.Path(__file__).parent


def with_flag_files(words: Sequence[str], outer: tuple[str, ...] = ()) -> Iterator[str]:
    """Yields the words of a command line with flag files replaced by their lines.

    absl does the same, but would look for `configs/paper.flags` in the user's folder
    alone, also for the flag files that another one includes. What cannot be found is
    left to absl, which says so.

    Args:
      words: of a command line, or lines of a flag file.
      outer: flag files that are being read: one that includes itself is left as it is.
    """
    for word in words:
        name = re.fullmatch(r"--?flagfile=(.+)", word.strip())
        path = _flag_file(name[1]) if name else None
        if path is None or path in outer:
            yield word
            continue
        lines = pathlib.Path(path).read_text().splitlines()
        flags_of_file = [
            line.strip()
            for line in lines
            if line.strip() and not line.strip().startswith(("#", "//"))
        ]
        yield from with_flag_files(flags_of_file, (*outer, path))


def _flag_file(name: str) -> str | None:
    """Returns the path of a flag file: the user's, or else the one of this package.

    `configs` lies in an installed package, but beside it in a clone (`setup.py`).
    """
    path = pathlib.Path(name).expanduser()
    ours = (PACKAGE_DIR, PACKAGE_DIR.parent) if path.parts[:1] == ("configs",) else ()
    for candidate in (path, *(folder / path for folder in ours)):
        if candidate.is_file():
            return os.fspath(candidate)
    return None


class ListParser(flags.ListParser):
    """A list separated by commas; one existing file may have commas in its name."""

    def parse(self, argument: Any) -> list[str]:
        """Returns the items."""
        has_comma = isinstance(argument, str) and "," in argument
        if has_comma and pathlib.Path(argument).exists():
            return [argument]
        return super().parse(argument)
