"""BUILD_NOTES.md: numbered without gaps, four lines each, naming tests that exist."""

import ast
import functools
import re

import pytest
from conftest import REPOSITORY
from test_config import modules

FIDELITY = "## Fidelity, sentence by sentence"
NOT_YET = "not in this repository"


def notes():
    text = (REPOSITORY / "BUILD_NOTES.md").read_text()
    return re.split(r"^\*\*(\d+)\. ", text.split(FIDELITY)[0], flags=re.M)[1:]


def fidelity_rows():
    """The cells (paper, file, flag, test) of each row of the fidelity tables."""
    text = (REPOSITORY / "BUILD_NOTES.md").read_text().split(FIDELITY)[1]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    return [tuple(map(str.strip, row)) for row in rows if row[0] != " the paper "]


def named(cell):
    return re.findall(r"`([^`]+)`", cell)


@functools.lru_cache
def declared_defaults():
    """Flag -> defaults; a name may be a flag of several commands."""
    defaults = {}
    for _, tree in modules():
        for node in ast.walk(tree):
            if not (
                isinstance(node, ast.AnnAssign) and isinstance(node.value, ast.Call)
            ):
                continue
            call = ast.unparse(node.value.func).split(".")[-1]
            if call in ("option", "required"):
                value = ast.literal_eval(node.value.args[0])
                default = value if call == "option" else None
                defaults.setdefault(node.target.id, []).append(default)
    return defaults


def assert_tests_exist(names):
    """`module.test` or, in the module of the one before it, `test`."""
    module = None
    for name in names:
        in_module, _, name = name.rpartition(".")
        module = in_module or module
        source = (REPOSITORY / "tests" / f"{module}.py").read_text()
        assert f"def {name}(" in source, f"{module}.{name}"


def test_entries_are_numbered_and_have_their_four_lines():
    parts = notes()
    numbers = [int(number) for number in parts[::2]]
    assert numbers == list(range(1, len(numbers) + 1))
    for body in parts[1::2]:
        starts = [line.split(":")[0] for line in body.splitlines()[1:5]]
        assert starts == ["Paper", "We", "Why", "Test"], body


def test_every_named_test_exists():
    for body in notes()[1::2]:
        names = [
            name for name in named(body) if re.fullmatch(r"(\w+\.)?test_\w+", name)
        ]
        assert names, body
        assert_tests_exist(names)


def test_code_refers_to_entries_that_exist():
    last = max(map(int, notes()[::2]))
    for folder in ("speech2face", "data_prep", "experiments"):
        for path in (REPOSITORY / folder).rglob("*.py"):
            for number in re.findall(r"BUILD_NOTES (\d+)", path.read_text()):
                assert 1 <= int(number) <= last, path


@pytest.mark.parametrize("row", fidelity_rows(), ids=lambda row: row[0][:40])
def test_a_row_of_the_fidelity_page_names_what_exists(row):
    _, files, flags, tests = row
    for path in named(files):
        assert (REPOSITORY / path).is_file(), path
    for flag in named(flags):
        assert_flag_has_default(flag)
    assert_tests_exist(named(tests))
    assert NOT_YET in files or (named(files) and named(tests)), "nothing carries it"


def assert_flag_has_default(flag):
    """`--name=value`, `--name` and `--noname` of a switch: the default is that."""
    name, _, value = flag.removeprefix("--").partition("=")
    if name == "flagfile":
        assert (REPOSITORY / value).is_file(), flag
        return
    defaults = declared_defaults()
    if name not in defaults and name.startswith("no"):
        assert defaults[name.removeprefix("no")] == [False], flag
        return
    assert any(is_default(value, default) for default in defaults[name]), flag


def is_default(value, default):
    if isinstance(default, bool):
        return default and not value
    return not value or (default is not None and type(default)(value) == default)


def test_the_fidelity_page_covers_the_paper():
    assert len(fidelity_rows()) > 50
    paper = " ".join(row[0] for row in fidelity_rows())
    for item in ("Table 2", "Table 3", *(f"Fig. {n}" for n in range(3, 13))):
        assert item in paper, item
    assert all(len(row) == 4 for row in fidelity_rows())
