"""Flag files, lists of files, numbers as flags, typos: what absl does not do itself."""

import difflib
import os
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from absl import flags

from speech2face.errors import UserError

PACKAGE_DIR = pathlib.Path(__file__).parent


def parse(words: Sequence[str]) -> list[str]:
    """Parses a command line with absl, and returns what is left of it.

    Args:
      words: the command line, the command's name first.

    Raises:
      UserError: the command has no such flag. absl would suggest its own flags, too.
      flags.Error: a value is wrong.
      FileNotFoundError: there is no such flag file.
    """
    try:
        return flags.FLAGS(list(with_flag_files(words)))
    except flags.UnrecognizedFlagError as error:
        ours = flags.FLAGS.flags_by_module_dict().get(sys.argv[0], [])
        close = difflib.get_close_matches(error.flagname, [flag.name for flag in ours])
        hint = f"did you mean --{' or --'.join(close)}?" if close else "see --help"
        raise UserError(f"there is no flag --{error.flagname}; {hint}") from None


def with_flag_files(words: Sequence[str], outer: tuple[str, ...] = ()) -> Iterator[str]:
    """Yields the words of a command line with flag files replaced by their lines.

    absl does the same, but would look for `configs/paper.flags` in the user's folder
    alone, also for the flag files that another one includes.

    Args:
      words: words of a command line, or lines of a flag file.
      outer: flag files that are being read: one that includes itself is left as it is.

    Raises:
      FileNotFoundError: there is no such flag file.
    """
    rest = iter(words)
    for word in rest:
        if word.strip() in ("--flagfile", "-flagfile"):  # its value is the next word
            name = next(rest, "")
        elif match := re.fullmatch(r"--?flagfile=(.*)", word.strip()):
            name = match[1]
        else:
            yield word
            continue
        path = _flag_file(name)
        if path is None:
            raise FileNotFoundError(f"--flagfile={name}: no such file")
        if path in outer:
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
        # Not Path.exists(), which raises for a list that is longer than any path.
        if has_comma and os.path.exists(argument):  # noqa: PTH110
            return [argument]
        return super().parse(argument)


class NumberParser(flags.ArgumentParser):
    """An integer or a floating-point number, refused in words of our own."""

    def __init__(self, kind: type):
        """Takes int or float."""
        super().__init__()
        self._kind = kind
        self.syntactic_help = "an integer" if kind is int else "a number"

    def parse(self, argument: Any) -> Any:
        """Returns the number."""
        try:
            return self._kind(argument)
        except ValueError:
            raise ValueError(f"expected {self.syntactic_help}") from None

    def flag_type(self) -> str:
        """Returns the name of the type, for absl."""
        return self._kind.__name__
