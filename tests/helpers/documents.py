"""The commands and Python examples that the documents print."""

import pathlib
import re
import shlex
from collections.abc import Iterator

from tests.helpers.paths import REPOSITORY

DOCUMENTS = ("README.md", "MODEL_CARD.md", *sorted(
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "tutorials/*.md", "data/*.md")
    for path in (REPOSITORY / "docs").glob(pattern)
))  # fmt: skip
# Those whose commands are run one after the other, each on what those before it made.
EXECUTED = (
    "README.md",
    "docs/tutorials/your_voice.md",
    "docs/tutorials/your_data.md",
    "docs/tutorials/exporting.md",
    "docs/tutorials/results.md",
)
# Every page that links to others: those above, the decisions, and the house's own.
LINKING_DOCUMENTS = tuple(sorted(
    str(path.relative_to(REPOSITORY))
    for pattern in ("*.md", "docs/**/*.md")
    for path in REPOSITORY.glob(pattern)
))  # fmt: skip
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str, *languages: str) -> list[str]:
    """Returns the fenced blocks of these languages, in order."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return [body for language, body in _BLOCK.findall(text) if language in languages]


def commands(document: str) -> Iterator[list[str]]:
    """Yields `[module, flag, ...]` of every `python -m` in the shell blocks."""
    for block in blocks(document, "sh", "bash"):
        for words in _shell_lines(block.replace("\\\n", " ")):
            if "-m" in words:
                yield words[words.index("-m") + 1 :]


def broken_links(document: str) -> list[str]:
    """Returns the relative links of a page that lead to no file, or to no heading."""
    path = REPOSITORY / document
    text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
    links = re.findall(r"\]\(([^)\s]+)\)|src=\"([^\"]+)\"", text)
    targets = [link or source for link, source in links]
    return [
        target
        for target in targets
        if not target.startswith(("http://", "https://")) and not _leads(path, target)
    ]


def _leads(page: pathlib.Path, target: str) -> bool:
    """Whether `target`, such as `training.md#tpu`, exists beside `page`."""
    name, _, anchor = target.partition("#")
    file = page.parent / name if name else page
    return file.exists() and (not anchor or anchor in _anchors(file))


def _anchors(page: pathlib.Path) -> list[str]:
    """Returns the anchors of a page's headings, as GitHub makes them."""
    text = _BLOCK.sub("", page.read_text(encoding="utf-8"))
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings]


def _shell_lines(block: str) -> Iterator[list[str]]:
    """Yields the words of each line; a quotation may go on over several lines."""
    unfinished = ""
    for line in block.splitlines():
        try:
            yield shlex.split(unfinished + line, comments=True)
            unfinished = ""
        except ValueError:  # no closing quotation yet
            unfinished += line + "\n"
    assert not unfinished, f"a quotation without an end: {unfinished}"


def inline_commands(document: str) -> Iterator[list[str]]:
    """Yields those that stand in the text or in a table, between back-ticks."""
    text = _BLOCK.sub("", (REPOSITORY / document).read_text(encoding="utf-8"))
    for code in re.findall(r"`(python -m [^`]+)`", text):
        yield shlex.split(code)[2:]
