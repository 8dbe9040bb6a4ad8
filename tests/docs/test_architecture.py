"""docs/architecture.md: its folders, files and functions are those of the code."""

import ast
import re

import pytest

from tests.helpers.decisions import PACKAGES
from tests.helpers.paths import REPOSITORY

PAGE = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
STEP = re.compile(r"^ *\| +([\w/]+\.py)(?:: ((?:[\w.]+\(\)(?:, )?)+))?", re.MULTILINE)


def section(title):
    return re.split(rf"^## {title}\n", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]


def names_in(path):
    """Functions, classes, and `Class.method`s that a file defines."""
    tree = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
    names = set()
    for node in tree.body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            methods = [n for n in node.body if isinstance(n, ast.FunctionDef)]
            names.update(f"{node.name}.{method.name}" for method in methods)
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tree_has_a_row_for_every_folder_and_file(package):
    (table,) = re.findall(
        rf"^### {package}\n(.*?)(?=^##)", section("The tree"), re.MULTILINE | re.DOTALL
    )
    cells = [line.split("|")[1] for line in table.splitlines() if line[:2] == "| "]
    listed = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    folder = REPOSITORY / package
    in_tree = {path for name in listed for path in folder.glob(name)}
    for name in listed:
        assert list(folder.glob(name)), name
    rooms = {path.parent for path in folder.glob("*/**/__init__.py")}
    modules = set(folder.glob("*.py")) - {folder / "__init__.py"}
    assert not (rooms | modules) - in_tree


def test_the_import_rule_is_drawn_as_import_linter_checks_it():
    (drawing,) = re.findall(r"```text\n(.*?)```", section("The import rule"), re.DOTALL)
    drawn = [line for line in drawing.splitlines() if line.strip() != "^"]
    project = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    packages, rooms = (
        re.findall(r'"([^"]+)"', lines)[::-1]
        for lines in re.findall(
            r"^layers = \[(.*?)\]", project, re.DOTALL | re.MULTILINE
        )
    )
    *drawn_rooms, commands = drawn[: len(rooms)]
    assert [names(line) for line in drawn_rooms] == [names(line) for line in rooms[:-1]]
    assert commands == "the commands of speech2face"
    assert packages == ["speech2face", *drawn[len(rooms) :]]


def names(layer):
    """Returns the members of a layer, and whether they may import each other."""
    return set(re.findall(r"\w+", layer)), "|" not in layer


def test_every_file_that_the_page_names_exists():
    named = re.findall(r"[`\s]((?:[\w.]+/)+[\w.]*|[\w]+\.py)(?=[`:\s,])", PAGE)
    assert len(named) > 60
    for name in named:
        assert exists(name), name


def exists(name):
    """Whether `name` is a path from the root, a package, or a folder of speech2face."""
    roots = [REPOSITORY, *(REPOSITORY / package for package in PACKAGES)]
    rooms = [path.parent for path in (REPOSITORY / "speech2face").glob("*/__init__.py")]
    return any((root / name).exists() for root in (*roots, *rooms))


@pytest.mark.parametrize("path, functions", STEP.findall(PAGE))
def test_a_step_of_a_flow_names_a_function_of_its_file(path, functions):
    assert (REPOSITORY / path).is_file()
    for name in re.findall(r"([\w.]+)\(\)", functions):
        assert name in names_in(path), f"{path}: {name}"


def test_every_flow_is_drawn():
    assert len(STEP.findall(PAGE)) > 25


@pytest.mark.parametrize("package", [*PACKAGES, "tools", "tests"])
def test_files_have_350_lines_and_functions_fewer_than_60(package):
    too_long = []
    for path in sorted((REPOSITORY / package).rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if len(text.splitlines()) > 350:
            too_long.append(str(path))
        for node in ast.walk(ast.parse(text)):
            is_function = isinstance(node, ast.FunctionDef)
            if is_function and node.end_lineno - node.lineno >= 59:
                too_long.append(f"{path}:{node.lineno} {node.name}")
    assert not too_long


def test_no_test_module_imports_another():
    """Not even in a child process; what tests share is in tests/helpers."""
    imported = re.compile(r"^\s*(?:from|import) tests\..*\btest_\w+", re.MULTILINE)
    for path in (REPOSITORY / "tests").rglob("*.py"):
        assert not imported.search(path.read_text(encoding="utf-8")), path
    assert imported.search("from tests.data_prep.jobs import test_killed_jobs")
    assert imported.search("import tests.docs.test_book")
    assert imported.search("from tests.docs.test_book import BOOK")
