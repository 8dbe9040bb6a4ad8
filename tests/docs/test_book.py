"""The book of `make docs`, and the notebooks: pages, links, addresses, and a build."""

import importlib.util
import json
import os
import posixpath
import re
import subprocess
import sys

import pytest

from tests.helpers.paths import REPOSITORY
from tools import book

BOOK = (REPOSITORY / "mkdocs.yml").read_text(encoding="utf-8")
PAGES = {
    **{page: REPOSITORY / file for page, file in book.ROOT_PAGES.items()},
    **{
        path.relative_to(book.DOCS).as_posix(): path
        for path in sorted(book.DOCS.rglob("*.md"))
    },
}
PICTURES = {
    path.relative_to(book.DOCS).as_posix()
    for path in book.DOCS.rglob("*")
    if path.suffix in (".png", ".jpg", ".gif", ".svg")
}
NOTEBOOKS = sorted((REPOSITORY / "examples").glob("*.ipynb"))
LINK = re.compile(r"\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")


def in_nav():
    nav = BOOK.split("\nnav:\n")[1].split("\n\n")[0]
    return re.findall(r": ([\w/]+\.md)$", nav, re.MULTILINE)


def test_every_page_is_in_the_navigation_once():
    listed = in_nav()
    assert len(set(listed)) == len(listed)
    decisions = {page for page in PAGES if page.startswith("decisions/")}
    assert set(listed) == {*PAGES, book.COMMANDS_PAGE} - decisions


@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_link_leads_to_a_page_or_picture_of_the_book(page):
    text = book.with_links_of_book(PAGES[page].read_text(encoding="utf-8"), page)
    prose = "".join(re.split(r"^```.*?^```$", text, flags=re.MULTILINE | re.DOTALL))
    for link, source in LINK.findall(prose):
        target = (link or source).partition("#")[0]
        if not target or re.match(r"https?:", target):
            continue
        found = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
        assert found in {*PAGES, *PICTURES, book.COMMANDS_PAGE}, (page, target)


def test_the_page_of_commands_has_every_flag():
    page = book.commands_page()
    assert page.count("\n## `") + page.startswith("## `") == 16
    for line in (
        "| `--exaggeration` | `0.0` |",
        "| `--output_dir` | required |",
        "| `--clip_secs` | `6.0` |",
    ):
        assert line in page
    assert "Allowed: from -10 to 10" in page


def test_one_address_of_the_repository():
    """Whoever publishes it replaces OWNER everywhere (CONTRIBUTING.md)."""
    files = [REPOSITORY / "README.md", *NOTEBOOKS]
    for path in files:
        text = path.read_text(encoding="utf-8")
        owners = re.findall(r"github(?:\.com)?/(\w+)/speech2face\b", text)
        assert owners and set(owners) == {"OWNER"}, path


@pytest.mark.slow
def test_the_book_is_built_without_warnings_and_without_the_network(tmp_path):
    for name in ("mkdocs", "material", "mkdocstrings"):
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed: the extra `docs` has it")
    subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "-d", tmp_path / "book"],
        cwd=REPOSITORY,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        check=True,
    )
    pages = list((tmp_path / "book").rglob("*.html"))
    assert len(pages) > len(PAGES)
    for page in pages:
        loaded = re.findall(
            r"<(?:script|img|link|iframe)[^>]+(?:src|href)=\"?(https?:[^\" >]+)",
            re.sub(r"<link[^>]+canonical[^>]+>", "", page.read_text(encoding="utf-8")),
        )
        assert not loaded, (page.name, loaded)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_is_stored_without_outputs(path):
    for cell in json.loads(path.read_text())["cells"]:
        assert not cell.get("outputs") and not cell.get("execution_count")


@pytest.mark.rehearsal
@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, tmp_path):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if "parameters" in cell.metadata.get("tags", []):  # smaller than as printed
            cell.source += (
                "\nN_PEOPLE, N_SILENT, EPOCHS = 6, 2, 2"
                '\nDECODER_FLAGS = "--texture_channels=8,8,8,8,8"'
                '\nVOICE_FLAGS = "--width=0.03125"'
            )
    client = nbclient.NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(tmp_path)}}
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(REPOSITORY))
        patch.delenv("TF_ENABLE_ONEDNN_OPTS")  # training commands choose it
        folder = os.path.dirname(sys.executable)  # noqa: PTH120 `!python` is this one
        patch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
        try:
            client.execute()
        finally:  # a failed `!command` is first seen in a later cell: show it
            outputs = [
                out for cell in notebook.cells for out in cell.get("outputs", [])
            ]
            text = "".join(out.get("text", "") for out in outputs)
            print(text)
    assert "error:" not in text and "Traceback" not in text
    assert any("image/png" in out.get("data", {}) for out in outputs)
