"""The commands of the repository, their sources, and their flags."""

import ast

from absl import flags

from speech2face.options import define_flags, read_flags
from tests.helpers.paths import REPOSITORY

PACKAGES = ("speech2face", "data_prep", "experiments")


def parse(config_type, *arguments):
    flag_values = flags.FlagValues()
    define_flags(config_type, flag_values)
    flag_values(["program", *arguments])
    return read_flags(config_type, flag_values)


def modules():
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def commands():
    paths = [p for name in PACKAGES for p in sorted((REPOSITORY / name).rglob("*.py"))]
    for path in paths:
        if "\n    run_command(" in path.read_text(encoding="utf-8"):
            relative = path.relative_to(REPOSITORY).with_suffix("")
            yield ".".join(relative.parts)
