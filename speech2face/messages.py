"""Output of commands: plain lines, in any terminal, and through pipes that close."""

import io
import logging as python_logging
import os
import sys
import warnings

from absl import flags, logging


def set_up() -> None:
    """Prepares the output of a command."""
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files may not be Unicode
        sys.stdout.reconfigure(errors="backslashreplace")
    logging.get_absl_handler().setFormatter(_PlainFormatter())


def silence_libraries() -> None:
    """Silences the log lines of libraries, unless the user gave --verbosity.

    Call it as soon as the flags are parsed: then absl sets the flag itself.
    """
    if flags.FLAGS["verbosity"].using_default_value:
        # absl's handler prints what any library says, whatever level that library has
        # chosen for itself: TensorFlow tells how long it took to write a model.
        logging.get_absl_handler().setLevel(python_logging.WARNING)
        logging.get_absl_handler().addFilter(_is_for_users)
        python_logging.getLogger("matplotlib").setLevel(python_logging.ERROR)


def slow_bfloat16(flag: str) -> str:
    """Returns the note of a command whose flag asks for bfloat16 where it is slow."""
    return f"--{flag}=bfloat16: this hardware emulates it, so float32 may be faster"


def ignore_warnings_of_libraries() -> None:
    """Ignores `FutureWarning`s, also in processes that this one starts.

    They are addressed to users, who cannot change what libraries will drop one day.
    `python -W default` and PYTHONWARNINGS show them.
    """
    if not sys.warnoptions:
        warnings.simplefilter("ignore", FutureWarning)
        os.environ["PYTHONWARNINGS"] = "ignore::FutureWarning"


def flush() -> OSError | None:
    """Writes what was printed; returns what prevents it.

    A closed pipe, as of `| head`, is not an error.
    """
    try:
        if sys.stdout:  # None if the command was started without
            sys.stdout.flush()
    except OSError as error:
        # Python would try once more at its end, and print a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return None if isinstance(error, BrokenPipeError) else error
    return None


def counted(n: int, noun: str) -> str:
    """Returns a number with its noun: '1 face', '1,200 faces'."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"


def _is_for_users(record: python_logging.LogRecord) -> bool:
    """Drops what tensorflow-io's resampler makes TensorFlow say about its own speed."""
    return not record.getMessage().startswith("Using a while_loop for converting")


class _PlainFormatter(python_logging.Formatter):
    """`warning: text`, like our errors; information is the text alone."""

    def format(self, record: python_logging.LogRecord) -> str:
        """Returns the line."""
        text = super().format(record)
        is_plain = record.levelno <= python_logging.INFO
        return text if is_plain else f"{record.levelname.lower()}: {text}"
