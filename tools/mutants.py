"""Small mutations of a module's source, one place each.

A mutation changes one operator, comparison, number, condition or truth value. What
options refuse, and whether a dataclass is frozen, is no result and left alone.
"""

import ast
import copy
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Arguments of `speech2face.options.option` and of dataclasses.
_NO_RESULT = {"minimum", "maximum", "above", "below", "changeable", "frozen"}
_SWAPS = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.MatMult: ast.Mult,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}


@dataclasses.dataclass(frozen=True)
class Mutant:
    """One changed place.

    Attributes:
      path: path of the module, from the repository's root.
      place: position of the changed node in `ast.walk`; -1 changes nothing.
      line: first line of the changed expression.
      before: the expression.
      after: what it becomes.
    """

    path: str
    place: int = -1
    line: int = 0
    before: str = ""
    after: str = ""


def mutations(path: str) -> Iterator[Mutant]:
    """Yields every mutant of a module; a node has one mutant at most."""
    nodes: list[Any] = list(ast.walk(_parse(path)))
    skipped = {id(part) for node in nodes for part in _skipped(node)}
    for place, node in enumerate(nodes):
        changed = None if id(node) in skipped else _change(node)
        if changed is not None:
            before, after = ast.unparse(_shown(node)), ast.unparse(_shown(changed))
            yield Mutant(path, place, node.lineno, before, after)


def source_of(mutant: Mutant) -> str:
    """Returns the whole mutated module."""
    tree = _parse(mutant.path)
    if mutant.place >= 0:
        node = list(ast.walk(tree))[mutant.place]
        changed: Any = _change(node)
        for field in changed._fields:
            setattr(node, field, getattr(changed, field))
    return ast.unparse(ast.fix_missing_locations(tree))


def _parse(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _skipped(node: ast.AST) -> Iterator[ast.AST]:
    """Yields parts of a node that are not mutated."""
    if isinstance(node, ast.keyword) and node.arg in _NO_RESULT:
        yield from ast.walk(node.value)


def _shown(node: ast.AST) -> ast.AST:
    return node.test if isinstance(node, ast.If) else node  # not its whole body


def _change(node: ast.AST) -> ast.AST | None:
    """Returns a changed node of the type of `node`, or None if it has no mutation."""
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp):
        if type(node.op) in _SWAPS:
            return _with(node, op=_SWAPS[type(node.op)]())
    elif isinstance(node, ast.Compare):
        if type(node.ops[0]) in _SWAPS:
            return _with(node, ops=[_SWAPS[type(node.ops[0])](), *node.ops[1:]])
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, int | float):  # bool is an int
            return _with(node, value=_other(node.value))
    elif isinstance(node, ast.If | ast.IfExp) and not _is_equation(node.test):
        return _with(node, test=ast.UnaryOp(ast.Not(), node.test))
    return None


def _other(value: float) -> float:
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int) else value * 1.5 or 1.0


def _is_equation(test: ast.AST) -> bool:
    """Says whether the mutant of a comparison is its opposite already."""
    opposites = ast.Eq | ast.NotEq | ast.Is | ast.IsNot
    return isinstance(test, ast.Compare) and isinstance(test.ops[0], opposites)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed
