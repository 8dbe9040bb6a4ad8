"""Errors that nobody has put into words: a library's, on media new to it, or a bug's.

A clip that raises one is rejected, as a damaged one is: at the first stray error of a
library, a job of millions of clips would end otherwise. It has a reason of its own, and
the traceback goes to the log: docs/decisions/damaged-media.md.
"""

import pathlib
import traceback
from collections.abc import Mapping

from absl import logging

from speech2face.errors import UserError

REASON = "unexpected_error"
_logged: set[str] = set()  # kinds of errors


def is_unexpected(error: Exception) -> bool:
    """Returns whether an error may be a bug's, although it rejects a clip."""
    is_broad = isinstance(error, (ValueError, RuntimeError))
    return is_broad and not isinstance(error, UserError)


def kind_of(error: Exception) -> str:
    """Returns the type and the place, such as 'ValueError in face.py, line 12'."""
    name = type(error).__name__
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return name
    return (
        f"{name} in {pathlib.Path(frames[-1].filename).name}, line {frames[-1].lineno}"
    )


def traceback_of(error: Exception) -> str:
    """Returns the traceback as Python prints it."""
    return "".join(traceback.format_exception(error))


def log_once(tracebacks: Mapping[str, str]) -> None:
    """Logs the tracebacks of kinds that this process has not logged yet.

    Args:
      tracebacks: one of each kind of error, by `kind_of`.
    """
    for kind, text in tracebacks.items():
        if kind not in _logged:
            _logged.add(kind)
            logging.error("rejected as %s: %s\n%s", REASON, kind, text.rstrip())
