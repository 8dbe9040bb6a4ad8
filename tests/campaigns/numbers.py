"""Absurd values for every numeric flag of every command, in the command itself."""

import dataclasses
import json
import math
import os
import pathlib
import runpy
import signal
import sys
import time
import typing

from absl import flags

from speech2face import options
from speech2face.errors import UserError
from speech2face.options import Options, flat_fields
from tests.campaigns.cases import Report
from tests.helpers.commands import commands, parse

VALUES = (
    *(
        "0",
        "-1",
        "nan",
        "inf",
        "-inf",
        "1e99",
        "-999999999",
        "999999999999",
        "9" * 5000,
    ),
    *("NaN", "+Infinity", "1e400", "-0.0", "0.5", "1.5", "1e-400", "2147483648"),
    *("", " ", "abc", "1,5", "1;2", "0x10", "1_000", "--", "None", "true", "1e", "٣"),
    *("1 2", "\n", "$(id)", "%s%n", "1" + "0" * 400, "-", "∞", "½"),
)
MAX_SECS = 2.0
_KILL_SECS = 20  # a command that hangs


@dataclasses.dataclass(frozen=True)
class Case:
    """One value for one flag of one command."""

    module: str
    flag: str
    value: str
    required: tuple[str, ...]  # what the command needs besides

    def __str__(self) -> str:
        return f"{self.module} --{self.flag}={self.value[:40]!r}"


def run(folder: pathlib.Path, only: str = "", every: int = 1) -> Report:
    """Tries all commands whose name contains `only`; each `every`-th value of them."""
    report, n_valid = Report("numeric flags"), 0
    for module in commands():
        if only in module:
            cases = _in_child(lambda m=module: _try_command(m, folder, every))
            for case, failure, is_valid in cases:
                report.add(case, failure)
                n_valid += is_valid
    report.notes = f"{n_valid} of the values are valid by the bounds of their flag"
    return report


def _in_child(function):
    """Calls a function in a fork, so that what it imports and defines is its own."""
    read_end, write_end = os.pipe()
    process = os.fork()
    if not process:
        status = 1
        try:
            os.close(read_end)
            _remove_own_flags()
            with os.fdopen(write_end, "w") as pipe:
                json.dump(function(), pipe)
            status = 0
        finally:
            os._exit(status)
    os.close(write_end)
    with os.fdopen(read_end) as pipe:
        text = pipe.read()
    os.waitpid(process, 0)
    return json.loads(text)


def _remove_own_flags() -> None:
    """Lets the commands define their flags; `seed` is the campaigns' too."""
    for flag in flags.FLAGS.get_flags_for_module(sys.argv[0]):
        delattr(flags.FLAGS, flag.name)


def _try_command(module, folder, every):
    config_types = _config_types(module)
    fields = [(t, f) for t in config_types for f in flat_fields(t) if _is_number(f)]
    required = sum(map(_required, config_types), ())
    found = []
    for number, (config_type, field) in enumerate(fields):
        for value in VALUES[number % every :: every]:
            case = Case(module, field.name, value, required)
            accepted = _accepted(config_type, field, value)
            if accepted is None:
                found.append((str(case), _try(case, folder), False))
            else:
                found.append((str(case), _check_valid(field, accepted), True))
    return found


def _config_types(module) -> tuple[type[Options], ...]:
    """Imports a command; returns what it would define its flags from."""
    taken: list[type[Options]] = []
    run_command = options.run_command
    options.run_command = lambda main, *types: taken.extend(types)
    try:
        sys.argv = [module]
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    finally:
        options.run_command = run_command
    return tuple(taken)


def _is_number(field) -> bool:
    is_list = typing.get_origin(field.type) is tuple
    kind = typing.get_args(field.type)[0] if is_list else field.type
    return kind in (int, float)


def _required(config_type) -> tuple[str, ...]:
    return tuple(
        f"--{field.name}=x"
        for field in flat_fields(config_type)
        if field.default is dataclasses.MISSING
        and field.default_factory is dataclasses.MISSING
    )


def _accepted(config_type, field, value):
    """The numbers that the command would take the text for; None if it refuses it."""
    arguments = [*_required(config_type), f"--{field.name}={value}"]
    try:
        config = parse(config_type, *arguments)
    except (flags.Error, UserError):
        return None
    (number,) = _find(config, field.name)
    return number if isinstance(number, tuple) else (number,)


def _find(config, name):
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            yield from _find(value, name)
        elif field.name == name:
            yield value


def _check_valid(field, numbers) -> str:
    bounds = field.metadata["bounds"]
    for number in numbers:
        inside = bounds.minimum <= number <= bounds.maximum
        inside = inside and bounds.above < number < bounds.below
        if not (math.isfinite(number) and inside):
            return f"accepted, although it is not {bounds}"
    return ""


def _try(case: Case, folder: pathlib.Path) -> str:
    """Runs the command with the value in a fork; returns what is wrong."""
    here, output = folder / "here", folder / "output.txt"
    here.mkdir(exist_ok=True)
    start = time.monotonic()
    process = os.fork()
    if not process:
        _become(case, here, output)
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    secs = time.monotonic() - start
    text = output.read_text(errors="replace")
    if status != 1:
        return f"ended with {status}: {text[-1000:]}"
    if not text.startswith("error: ") or text.count("\n") != 1:
        return f"not one line: {text[-1000:]}"
    if f"--{case.flag}" not in text:
        return f"does not name the flag: {text[-1000:]}"
    if secs > MAX_SECS:
        return f"took {secs:.1f} s"
    if list(here.iterdir()):
        return f"has written {[path.name for path in here.iterdir()]}"
    return ""


def _become(case: Case, here: pathlib.Path, output: pathlib.Path) -> typing.NoReturn:
    """Turns this process into the command; all that it prints goes to a file."""
    status = 3
    try:
        file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdout = os.fdopen(1, "w", closefd=False)  # pytest's are others
        sys.stderr = os.fdopen(2, "w", closefd=False)
        os.chdir(here)
        signal.alarm(_KILL_SECS)
        sys.argv = [case.module, *case.required, f"--{case.flag}={case.value}"]
        runpy.run_module(case.module, run_name="__main__", alter_sys=True)
        status = 0
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else 3
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
