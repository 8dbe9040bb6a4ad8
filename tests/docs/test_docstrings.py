"""Docstrings: a public function with three or more arguments explains each of them."""

import ast

import pytest

from tests.helpers.decisions import PACKAGES
from tests.helpers.paths import REPOSITORY

FILES = [
    path for name in PACKAGES for path in sorted((REPOSITORY / name).rglob("*.py"))
]


def public_functions(node, class_doc=""):
    """Pairs of a function and its docstring; `__init__` with that of its class."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.ClassDef) and not child.name.startswith("_"):
            yield from public_functions(child, ast.get_docstring(child) or "")
        elif isinstance(child, ast.FunctionDef) and is_public(child):
            text = ast.get_docstring(child) or ""
            yield child, text + (class_doc if child.name == "__init__" else "")


def is_public(function):
    decorators = {ast.unparse(decorator) for decorator in function.decorator_list}
    if "overload" in decorators:
        return False  # a repeated signature
    return function.name in ("__init__", "__call__") or function.name[0] != "_"


def n_arguments(function):
    arguments = function.args
    names = [
        argument.arg
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)
    ]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def is_explained(text):
    return any(name in text for name in ("Args:\n", "Attributes:\n"))


@pytest.mark.parametrize("package", PACKAGES)
def test_three_arguments_have_an_args_section(package):
    missing, n_checked = [], 0
    for path in FILES:
        if path.relative_to(REPOSITORY).parts[0] != package:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for function, text in public_functions(tree):
            if n_arguments(function) >= 3:
                n_checked += 1
                if not is_explained(text):
                    missing.append(f"{path}:{function.lineno} {function.name}")
    assert not missing
    assert n_checked > 30  # the walk found them


@pytest.mark.parametrize(
    "text, explained",
    [
        ("Adds.\n\nArgs:\n  a: first.\n", True),
        ("Keeps two.\n\nAttributes:\n  a: first.\n", True),
        ("Plans `train`; the arguments are the same.", False),
        ("Adds.", False),
    ],
)
def test_what_counts_as_explained(text, explained):
    assert is_explained(text) is explained
