"""Options: dataclass fields <-> command-line flags.

A configuration is a frozen dataclass of `option`s, `required` options, and `section`s,
which are configurations themselves. A command declares the configurations it reads, and
nothing twice:

    def main(paths: TrainPaths, config: VoiceTrainingConfig) -> None:
        ...

    if __name__ == "__main__":
        run_command(main, TrainPaths, VoiceTrainingConfig)

Every configuration inherits `Options`, so that it cannot be made with a number out of
its bounds: not from a flag, a flag file, the JSON of a run or a bundle, nor in Python.

`--flagfile=configs/paper.flags` works as for any absl program, and in any folder: the
package has the files of `configs`. Nothing here imports TensorFlow, so that `--help`
answers at once. `speech2face.json_codec` writes configurations to files.
"""

import dataclasses
import math
import os
import signal
import sys
import traceback
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal, NoReturn, TypeVar, cast

from absl import app, flags

from speech2face import buckets, flag_files, messages
from speech2face.bounds import Bounds
from speech2face.errors import UserError
from speech2face.files import as_path

_KERAS_HOME = flag_files.PACKAGE_DIR / "keras_home"

ConfigType = TypeVar("ConfigType")
PathKind = Literal["file", "folder", "path"] | None

_URLS = ("proxy",)  # options that hold addresses of other kinds
_SCALARS: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_bool,
    str: flags.DEFINE_string,
}


class Options:
    """Base of every configuration: refuses numbers that are out of their bounds.

    See docs/decisions/number-bounds.md.
    """

    def __post_init__(self) -> None:
        """Raises UserError for the first number out of the bounds of its option."""
        for field in dataclasses.fields(cast(Any, self)):
            bounds: Bounds | None = field.metadata.get("bounds")
            if bounds:
                value = getattr(self, field.name)
                bounds.check(_as_flag(field.name, value), value, _number_kind(field))


def _as_flag(name: str, value: Any) -> str:
    is_list = isinstance(value, tuple)
    return f"--{name}={','.join(map(str, value)) if is_list else value}"


def _number_kind(field: dataclasses.Field) -> type:
    is_list = typing.get_origin(field.type) is tuple
    return cast(type, typing.get_args(field.type)[0] if is_list else field.type)


def option(
    default: Any,
    help_text: str,
    *,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
    exists: PathKind = None,
    bucket: bool = False,
    changeable: bool = False,
) -> Any:
    """Declares a config field with a default.

    Args:
      default: value if the flag is not given.
      help_text: help text of the flag.
      minimum: least value of a number, or of each number of a list. Every number has a
        lower and an upper bound.
      maximum: greatest value.
      above: lower bound that is not a value itself.
      below: upper bound that is not a value itself.
      exists: what a path that is given must be: 'file', 'folder', or 'path' for either.
        `run_command` checks it before `main`, so a wrong path is reported at once.
      bucket: whether a path may be in an object store, `gs://...` or `s3://...`.
      changeable: whether a run may be resumed with another value of it, because it
        changes nothing of what has been computed so far.
    """
    bounds = Bounds(minimum, maximum, above, below)
    metadata = {
        "help": help_text,
        "bounds": bounds if bounds != Bounds() else None,
        "exists": exists,
        "bucket": bucket,
        "changeable": changeable,
    }
    return dataclasses.field(default=default, metadata=metadata)


def required(help_text: str, *, exists: PathKind = None, bucket: bool = False) -> Any:
    """Declares a config field that its command must be given.

    Args:
      help_text: help text of the flag.
      exists: see `option`.
      bucket: see `option`.
    """
    metadata = {"help": help_text, "exists": exists, "bucket": bucket}
    return dataclasses.field(metadata=metadata)


def check_paths(config: Any) -> None:
    """Raises FileNotFoundError or UserError unless the paths of `config` exist.

    An empty path means "not given" and is not checked.
    """
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):  # a section
            check_paths(value)
        elif isinstance(value, str):
            _check_path(field, value)
        elif field.metadata.get("exists"):
            hint = "; put a name that contains a comma in double quotes"
            for path in value:
                _check_path(field, path, hint if len(value) > 1 else "")


def _check_store(field: dataclasses.Field, value: Any) -> None:
    """Raises UserError for an object store where none can be, or an unknown one."""
    if not buckets.is_url(value) or field.name in _URLS:
        return
    if not field.metadata.get("bucket"):
        raise UserError(
            f"--{field.name}={value} cannot be in an object store; expected a path of "
            "this machine",
            reason="not_in_a_bucket",
        )
    buckets.check_scheme(value)


def _check_path(field: dataclasses.Field, path: str, hint: str = "") -> None:
    _check_store(field, path)
    name, kind = field.name, field.metadata.get("exists")
    is_output = not kind and name.endswith("_dir")
    if not path or not (kind or is_output):
        return
    found = as_path(path)
    if kind and not found.exists():
        raise FileNotFoundError(f"--{name}={path}: no such file or folder{hint}")
    if is_output and os.path.islink(path) and not found.exists():  # noqa: PTH114
        raise UserError(f"--{name}={path} is a link to a folder that does not exist")
    if (kind == "folder" or is_output) and found.exists() and not found.is_dir():
        raise UserError(f"--{name}={path} is a file; expected a folder")
    if kind == "file" and found.is_dir():
        raise UserError(f"--{name}={path} is a folder; expected a file")


def section(config_type: type[ConfigType]) -> ConfigType:
    """Declares a nested config with that config's own defaults."""
    return dataclasses.field(default_factory=config_type)


def flat_fields(config_type: Any) -> list[dataclasses.Field]:
    """Returns the option fields of `config_type` and of its sections, in order."""
    result: list[dataclasses.Field] = []
    for field in dataclasses.fields(config_type):
        if dataclasses.is_dataclass(field.type):
            result.extend(flat_fields(field.type))
        else:
            result.append(field)
    return result


def diff(old: Any, new: Any) -> str | None:
    """Returns the options in which two configs of one type differ, or None."""
    changes = []
    for field in dataclasses.fields(old):
        before, after = getattr(old, field.name), getattr(new, field.name)
        if dataclasses.is_dataclass(before):
            nested = diff(before, after)
            changes.extend([nested] if nested else [])
        elif before != after:
            changes.append(f"{field.name} {before!r} -> {after!r}")
    return ", ".join(changes) or None


def define_flags(
    config_type: type, flag_values: flags.FlagValues = flags.FLAGS
) -> None:
    """Defines one flag for each option of `config_type` and of its sections.

    A field without a default is a required flag.
    """
    for field in flat_fields(config_type):
        _define_option(field, flag_values)


def read_flags(
    config_type: type[ConfigType], flag_values: flags.FlagValues = flags.FLAGS
) -> ConfigType:
    """Returns the `config_type` that the parsed flags describe.

    Raises:
      UserError: a required option is not given, a list has an item of another type, or
        a number is out of its bounds.
    """
    values = {}
    for field in dataclasses.fields(cast(Any, config_type)):
        if dataclasses.is_dataclass(field.type):
            section_type = cast(type[Any], field.type)
            values[field.name] = read_flags(section_type, flag_values)
        else:
            values[field.name] = _read_option(field, flag_values[field.name].value)
    return config_type(**values)


def run_command(main: Callable[..., Any], *config_types: type) -> None:
    """Runs `main`, with one instance of each config type from the command line.

    Exit status: 0 or what `main` returns; 1 after one line on standard error for what a
    user can get wrong (a bad flag, `UserError`, `OSError`); 2 after the traceback of a
    bug; 130 after Ctrl-C.

    Args:
      main: called with one config of each type, in order.
      config_types: frozen dataclasses; each of their options becomes a flag.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no banner before our output
    messages.ignore_warnings_of_libraries()
    # Whatever the user's ~/.keras says; docs/decisions/keras-settings.md.
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ["KERAS_HOME"] = os.fspath(_KERAS_HOME)
    # For worker processes, too: else the first one takes all memory of all GPUs.
    os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
    for config_type in config_types:
        define_flags(config_type)
    messages.set_up()
    try:
        app.run(
            lambda configs: _run_main(main, configs),
            flags_parser=lambda argv: _parse(config_types, argv),
        )
    finally:
        error = messages.flush()
        if error:
            _exit_with(error)


def _parse(config_types: Sequence[type], argv: list[str]) -> list[Any]:
    """Returns the configs that the command line describes, with their paths checked."""
    try:
        unexpected = flag_files.parse(argv)[1:]
        messages.silence_libraries()
        if unexpected:
            raise UserError(f"unexpected argument {unexpected[0]!r}; see --help")
        configs: list[Any] = [read_flags(config_type) for config_type in config_types]
        for config in configs:
            check_paths(config)
    except (SystemExit, BrokenPipeError):  # of --help: absl exits with 1 after it
        sys.exit(0)
    except UnicodeDecodeError as error:  # absl reads any file that --flagfile names
        _exit_with(UserError(f"--flagfile is not a text file: {error}"))
    except (flags.Error, UserError, OSError) as error:
        _exit_with(error)
    return configs


def _run_main(main: Callable[..., Any], configs: Sequence[Any]) -> Any:
    try:
        if sys.flags.optimize > 1:
            raise UserError("TensorFlow needs docstrings, which python -OO removes")
        return main(*configs)
    except BrokenPipeError:
        sys.exit(128 + signal.SIGPIPE)  # as a program that leaves the signal alone
    except (UserError, OSError) as error:
        _exit_with(error)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception:  # a bug
        traceback.print_exc()
        sys.exit(2)  # Python's own status is 1, which means a user's mistake here


def _exit_with(error: Exception) -> NoReturn:
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename:
        text = f"{os.fsdecode(error.filename)}: {error.strerror}"  # no "[Errno 13]"
    message = " ".join(text.split()) or type(error).__name__
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


def _define_option(field: dataclasses.Field, flag_values: flags.FlagValues) -> None:
    # Not absl's `required`: its message does not say which option to give.
    keywords: dict[str, Any] = dict(
        name=field.name,
        default=None if _is_required(field) else field.default,
        help=field.metadata["help"],
        flag_values=flag_values,
        module_name=sys.argv[0],  # the main module's flags are those that --help lists
    )
    origin = typing.get_origin(field.type)
    if origin is typing.Literal:
        choices = list(typing.get_args(field.type))
        flags.DEFINE_enum(enum_values=choices, **keywords)
    elif origin is tuple:
        if not _is_required(field):
            keywords["default"] = [str(value) for value in keywords["default"]]
        serializer = flags.CsvListSerializer(",")
        flags.DEFINE(flag_files.ListParser(), serializer=serializer, **keywords)
    elif field.type in (int, float):
        parser = flag_files.NumberParser(cast(type, field.type))
        flags.DEFINE(parser, serializer=flags.ArgumentSerializer(), **keywords)
    else:
        _SCALARS[cast(type, field.type)](**keywords)


def _is_required(field: dataclasses.Field) -> bool:
    return field.default is dataclasses.MISSING


def _read_option(field: dataclasses.Field, value: Any) -> Any:
    if _is_required(field) and value in (None, "", []):
        raise UserError(f"--{field.name} is required; see --help")
    if typing.get_origin(field.type) is not tuple:
        return value
    item_type = typing.get_args(field.type)[0]
    try:
        return tuple(item_type(item) for item in value)
    except ValueError:
        raise UserError(
            f"--{field.name}={','.join(value)}: expected a comma-separated list of "
            f"{item_type.__name__}"
        ) from None
