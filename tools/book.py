"""Hooks of MkDocs: what `mkdocs.yml` needs beside the pages in docs/.

- The pages in the root of the repository (README, model card, changelog, ...) are pages
  of the book, too: README.md is its first page.
- `reference/commands.md` is made of the options of every command.
- A link to a file that is not a page (a source file, a notebook) becomes plain text.
"""

import ast
import dataclasses
import importlib.util
import os
import pathlib
import posixpath
import re
import runpy
import sys
import unittest.mock
from collections.abc import Iterator
from typing import Any

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
# Path in the book -> file in the repository.
ROOT_PAGES = {
    "index.md": "README.md",
    **{
        name: name
        for name in (
            "BUILD_NOTES.md",
            "CHANGELOG.md",
            "CONTRIBUTING.md",
            "MODEL_CARD.md",
        )
    },
}
COMMANDS_PAGE = "reference/commands.md"
COMMANDS = (
    "reconstruct",
    "retrieve",
    "app",
    "export",
    "evaluate",
    "train",
    "train_face_decoder",
    "calibrate_loss",
    "import_vgg_face",
)
DATA_COMMANDS = (
    "sample_people",
    "download_avspeech",
    "build_tfrecords",
    "build_decoder_tfrecords",
    "inspect_tfrecords",
)
EXPERIMENTS = ("demo", "run_all")
_FENCE = re.compile(r"^(```.*?^```)$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s]+)\)")
_SOURCE = re.compile(r'(src|href)="([^"]+)"')


def on_files(files: Any, config: Any) -> Any:
    """Adds the pages that are not in docs/."""
    from mkdocs.structure.files import File

    sys.path.insert(0, str(ROOT))
    for path, name in ROOT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=text))
    files.append(File.generated(config, COMMANDS_PAGE, content=commands_page()))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Makes the links of a page lead to pages of the book."""
    return with_links_of_book(markdown, page.file.src_uri)


def with_links_of_book(markdown: str, page: str) -> str:
    """Returns the text of a page whose links lead to pages and pictures of the book.

    Args:
      markdown: text as it is in the repository.
      page: its path in the book, such as 'tutorials/results.md'.
    """
    parts = _FENCE.split(markdown)
    for index in range(0, len(parts), 2):  # not in fenced blocks
        text = _LINK.sub(lambda link: _link(link, page), parts[index])
        parts[index] = _SOURCE.sub(
            lambda link: f'{link[1]}="{_target(link[2], page) or link[2]}"', text
        )
    return "".join(parts)


def _link(link: re.Match, page: str) -> str:
    target = _target(link[3], page)
    if target is None:  # not part of the book
        return link[2]
    return f"{link[1]}[{link[2]}]({target})"


def _target(target: str, page: str) -> str | None:
    """Returns where a link leads in the book, or None."""
    if target.startswith(("http://", "https://", "#", "mailto:")):
        return target
    name, _, anchor = target.partition("#")
    source = ROOT / ROOT_PAGES.get(page, f"docs/{page}")
    path = pathlib.Path(os.path.normpath(source.parent / name))
    in_book = {str(ROOT / file): page for page, file in ROOT_PAGES.items()}
    if str(path) in in_book:
        found = in_book[str(path)]
    elif path.is_relative_to(DOCS) and path.is_file():
        found = path.relative_to(DOCS).as_posix()
    else:
        return None if path.exists() else target  # MkDocs warns of what is missing
    relative = posixpath.relpath(found, posixpath.dirname(page) or ".")
    return f"{relative}#{anchor}" if anchor else relative


def commands_page() -> str:
    """Returns the reference of all commands, from their options."""
    parts = ["# Commands\n"]
    for package, names in (
        ("speech2face", COMMANDS),
        ("data_prep", DATA_COMMANDS),
        ("experiments", EXPERIMENTS),
    ):
        parts += [_command(f"{package}.{name}") for name in names]
    return "\n".join(parts)


def _command(module: str) -> str:
    summary, _, rest = _docstring(module).partition("\n")
    lines = [f"## `{module}`\n", summary, rest, "| flag | default | |", "|---|---|---|"]
    lines += list(_rows(module))
    return "\n".join(lines) + "\n"


def _docstring(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None and spec.origin is not None
    tree = ast.parse(pathlib.Path(spec.origin).read_text(encoding="utf-8"))
    return ast.get_docstring(tree) or ""


def _rows(module: str) -> Iterator[str]:
    """Yields the rows of the table of flags."""
    from speech2face import options

    taken: list[type] = []
    with unittest.mock.patch.object(
        options, "run_command", lambda _, *types: taken.extend(types)
    ):
        sys.modules.pop(module, None)  # or runpy warns of a copy
        runpy.run_module(module, run_name="__main__")
    for config_type in taken:
        yield from map(_row, options.flat_fields(config_type))


def _row(field: dataclasses.Field) -> str:
    is_required = field.default is dataclasses.MISSING
    values = field.default if isinstance(field.default, tuple) else (field.default,)
    default = "" if is_required else ",".join(map(str, values))
    cell = "required" if is_required else f"`{default}`" if default else ""
    text = field.metadata["help"].replace("|", "\\|")
    bounds = field.metadata.get("bounds")
    limits = f" Allowed: {bounds}." if bounds else ""
    return f"| `--{field.name}` | {cell} | {text}{limits} |"
