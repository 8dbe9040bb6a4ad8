"""The commands and Python examples that the documents print."""

import re
import shlex
from typing import Iterator, List

from conftest import REPOSITORY

DOCUMENTS = ("README.md", "MODEL_CARD.md", *sorted(
    str(path.relative_to(REPOSITORY)) for path in (REPOSITORY / "docs").glob("*.md")
))  # fmt: skip
_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(document: str, *languages: str) -> List[str]:
    """Returns the fenced blocks of these languages, in order."""
    text = (REPOSITORY / document).read_text(encoding="utf-8")
    return [body for language, body in _BLOCK.findall(text) if language in languages]


def commands(document: str) -> Iterator[List[str]]:
    """Yields `[module, flag, ...]` of every `python -m` in the shell blocks."""
    for block in blocks(document, "sh", "bash"):
        for words in _shell_lines(block.replace("\\\n", " ")):
            if "-m" in words:
                yield words[words.index("-m") + 1 :]


def _shell_lines(block: str) -> Iterator[List[str]]:
    """Yields the words of each line; a quotation may go on over several lines."""
    unfinished = ""
    for line in block.splitlines():
        try:
            yield shlex.split(unfinished + line, comments=True)
            unfinished = ""
        except ValueError:  # no closing quotation yet
            unfinished += line + "\n"
    assert not unfinished, f"a quotation without an end: {unfinished}"


def inline_commands(document: str) -> Iterator[List[str]]:
    """Yields those that stand in the text or in a table, between back-ticks."""
    text = _BLOCK.sub("", (REPOSITORY / document).read_text(encoding="utf-8"))
    for code in re.findall(r"`(python -m [^`]+)`", text):
        yield shlex.split(code)[2:]
