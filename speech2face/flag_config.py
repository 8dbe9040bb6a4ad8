"""Command-line flags made from config dataclasses, and the shell of every command.

A command-line module declares the dataclasses it reads, and nothing twice:

    def main(paths: TrainPaths, config: VoiceTrainingConfig) -> None:
        ...

    if __name__ == "__main__":
        flag_config.run(main, TrainPaths, VoiceTrainingConfig)

`--flagfile=configs/paper.flags` works as for any absl program. Nothing here imports
TensorFlow, so that `--help` answers at once.
"""

import dataclasses
import os
import sys
import typing
from typing import Any, Callable, Type, TypeVar

from absl import app, flags

from speech2face import config_fields

ConfigType = TypeVar("ConfigType")

_SCALARS = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define(config_type: type, flag_values: flags.FlagValues = flags.FLAGS) -> None:
    """Defines one flag for each option of `config_type` and of its sections.

    A field without a default is a required flag.
    """
    for field in config_fields.flat_fields(config_type):
        _define_option(field, flag_values)


def read(
    config_type: Type[ConfigType], flag_values: flags.FlagValues = flags.FLAGS
) -> ConfigType:
    """Returns the `config_type` that the parsed flags describe."""
    values = {}
    for field in dataclasses.fields(config_type):
        if dataclasses.is_dataclass(field.type):
            values[field.name] = read(field.type, flag_values)
        else:
            value = flag_values[field.name].value
            values[field.name] = _convert(field.type, value)
    return config_type(**values)


def run(main: Callable[..., Any], *config_types: type) -> None:
    """Runs `main`, with one instance of each config type from the command line.

    What a user can get wrong (ValueError, OSError) ends in one line on standard
    error and exit status 1; a bug keeps its traceback.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for config_type in config_types:
        define(config_type)
    app.run(lambda argv: _run_quietly(main, config_types, argv))


def _run_quietly(main: Callable[..., Any], config_types: tuple, argv: list) -> Any:
    if len(argv) > 1:
        print(f"error: unexpected argument {argv[1]!r}; see --help", file=sys.stderr)
        sys.exit(1)
    try:
        return main(*(read(config_type) for config_type in config_types))
    except (ValueError, OSError) as error:
        print(f"error: {_one_line(error)}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _define_option(field, flag_values: flags.FlagValues) -> None:
    required = field.default is dataclasses.MISSING
    keywords = dict(
        name=field.name,
        default=None if required else field.default,
        help=field.metadata["help"],
        flag_values=flag_values,
        required=required,
        module_name=sys.argv[0],  # all are key flags: --help lists them
    )
    origin = typing.get_origin(field.type)
    if origin is typing.Literal:
        choices = list(typing.get_args(field.type))
        flags.DEFINE_enum(enum_values=choices, **keywords)
    elif origin is tuple:
        if not required:
            keywords["default"] = [str(value) for value in field.default]
        flags.DEFINE_list(**keywords)
    else:
        _SCALARS[field.type](**keywords)


def _convert(field_type: Any, value: Any) -> Any:
    if typing.get_origin(field_type) is not tuple:
        return value
    item_type = typing.get_args(field_type)[0]
    try:
        return tuple(item_type(item) for item in value)
    except ValueError:
        raise ValueError(
            f"expected a comma-separated list of {item_type.__name__}, got {value}"
        ) from None
