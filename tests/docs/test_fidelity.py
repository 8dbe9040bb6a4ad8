"""docs/fidelity.md: every row names files, flags, tests and decisions that exist."""

import dataclasses
import functools
import importlib
import re

import pytest

from tests.helpers.decisions import (
    CITATION,
    PACKAGES,
    assert_test_exists,
    decisions,
    fidelity_rows,
    in_backticks,
)
from tests.helpers.paths import REPOSITORY

NOT_YET = "not in this repository"
ITEMS = ("Table 2", "Table 3", *(f"Fig. {number}" for number in range(3, 13)))
SECTIONS = ("## Table 1", "## Eq. 1")


@functools.lru_cache
def declared_defaults():
    """Flag -> defaults; a name may be a flag of several commands."""
    defaults = {}
    for module in modules_with_options():
        for value in vars(module).values():
            if is_config(value) and value.__module__ == module.__name__:
                for field in dataclasses.fields(value):
                    if "help" in field.metadata:
                        defaults.setdefault(field.name, []).append(default_of(field))
    return defaults


def modules_with_options():
    """Yields the imported modules of the packages that declare an option."""
    for package in PACKAGES:
        for path in sorted((REPOSITORY / package).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if re.search(r"= (?:\w+\.)?(?:option|required)\(", text):
                name = path.relative_to(REPOSITORY).with_suffix("").parts
                yield importlib.import_module(".".join(name))


def is_config(value):
    return isinstance(value, type) and dataclasses.is_dataclass(value)


def default_of(field):
    """The default of an option; None if the flag is required."""
    return None if field.default is dataclasses.MISSING else field.default


@pytest.mark.parametrize("row", fidelity_rows(), ids=lambda row: row.paper[:40])
def test_a_row_names_what_exists(row):
    for path in in_backticks(row.files):
        assert (REPOSITORY / path).is_file(), path
    for flag in in_backticks(row.flags):
        assert_flag_has_default(flag)
    for name in in_backticks(row.tests):
        assert_test_exists(name)
    carried = in_backticks(row.files) and in_backticks(row.tests)
    assert carried or NOT_YET in row.files, "no file or no test carries this sentence"


@pytest.mark.parametrize("row", fidelity_rows(), ids=lambda row: row.paper[:40])
def test_a_row_links_decisions_that_exist(row):
    links = re.findall(r"\[([\w-]+)\]\(decisions/([\w-]+)\.md\)", row.decisions)
    cell = ", ".join(f"[{text}](decisions/{slug}.md)" for text, slug in links)
    assert row.decisions == (cell or "-")
    for text, slug in links:
        assert text == slug and slug in decisions(), slug


@pytest.mark.parametrize("row", fidelity_rows(), ids=lambda row: row.paper[:40])
def test_a_decision_is_cited_in_a_file_of_its_row(row):
    paths = [REPOSITORY / name for name in in_backticks(row.files)]
    texts = [path.read_text(encoding="utf-8") for path in paths]
    cited = {slug for text in texts for slug in CITATION.findall(text)}
    for slug in re.findall(r"\(decisions/([\w-]+)\.md\)", row.decisions):
        assert slug in cited, slug


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


def test_the_page_covers_the_paper():
    assert len(fidelity_rows()) > 50
    quoted = " ".join(row.paper for row in fidelity_rows())
    for item in ITEMS:
        assert item in quoted, item
    page = (REPOSITORY / "docs" / "fidelity.md").read_text().splitlines()
    for section in SECTIONS:
        assert section in page, section
