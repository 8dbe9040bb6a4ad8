"""Reads the decision pages, their index, the fidelity tables, and who cites them."""

import pathlib
import re
from collections.abc import Iterator
from typing import NamedTuple

from tests.helpers.paths import REPOSITORY

FOLDER = REPOSITORY / "docs" / "decisions"
INDEX = REPOSITORY / "BUILD_NOTES.md"
FIDELITY = REPOSITORY / "docs" / "fidelity.md"
PACKAGES = ("speech2face", "data_prep", "experiments")

CITATION = re.compile(r"docs/decisions/([\w-]+)\.md")
_FOLDERS = (*PACKAGES, "tools", "tests", "configs", "docs", ".ci", ".github")
_SUFFIXES = {".py", ".md", ".flags", ".toml", ".yml", ".yaml", ".txt", ".cff", ""}
_FIDELITY_HEAD = "| the paper | file | flag | test | decision |"


class FidelityRow(NamedTuple):
    """The cells of a row of docs/fidelity.md."""

    paper: str
    files: str
    flags: str
    tests: str
    decisions: str


def decisions() -> dict[str, str]:
    """Returns the text of each page in docs/decisions by its slug."""
    return {path.stem: path.read_text() for path in sorted(FOLDER.glob("*.md"))}


def index_entries() -> list[tuple[str, str, str]]:
    """Returns (text of the link, slug of its target, sentence) of each list item."""
    pattern = r"^- \[([^\]]+)\]\(docs/decisions/([^)]+)\.md\): (.+)$"
    return re.findall(pattern, INDEX.read_text(), flags=re.MULTILINE)


def fidelity_rows() -> list[FidelityRow]:
    """Returns the rows of all tables of docs/fidelity.md."""
    lines = [line for line in FIDELITY.read_text().splitlines() if line[:2] == "| "]
    rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in lines]
    heads = [line for line in lines if line == _FIDELITY_HEAD]
    assert heads, f"{FIDELITY} has no table {_FIDELITY_HEAD}"
    cells = [tuple(cell.strip() for cell in row) for row in rows]
    return [FidelityRow(*row) for row in cells if row[0] != "the paper"]


def in_backticks(text: str) -> list[str]:
    """Returns the `names` in a text."""
    return re.findall(r"`([^`]+)`", text)


def named_tests(text: str) -> list[str]:
    """Returns each `test_module.test_name` of a text."""
    return [name for name in in_backticks(text) if name.startswith("test_")]


def assert_test_exists(name: str) -> None:
    """Fails unless `test_module.test_name` is a test somewhere below tests/."""
    module, _, function = name.partition(".")
    paths = list((REPOSITORY / "tests").rglob(f"{module}.py"))
    assert len(paths) == 1, f"{name}: {len(paths)} modules of that name"
    pattern = rf"^ *def {re.escape(function)}\("
    assert re.search(pattern, paths[0].read_text(), re.MULTILINE), name


def text_files() -> Iterator[pathlib.Path]:
    """Yields the repository's own text files, without anything built or downloaded."""
    for path in sorted(REPOSITORY.glob("*")):
        if path.is_file() and path.suffix in _SUFFIXES:
            yield path
    for folder in _FOLDERS:
        for path in sorted((REPOSITORY / folder).rglob("*")):
            if path.is_file() and path.suffix in _SUFFIXES:
                yield path


def cited_in_code() -> set[str]:
    """Returns the slugs that a Python file of the three packages cites."""
    slugs: set[str] = set()
    for package in PACKAGES:
        for path in (REPOSITORY / package).rglob("*.py"):
            slugs.update(CITATION.findall(path.read_text(encoding="utf-8")))
    return slugs
