"""docs/decisions: four parts each, tests that exist, an index, and citations."""

import re

import pytest

from tests.helpers.decisions import (
    CITATION,
    assert_test_exists,
    cited_in_code,
    decisions,
    index_entries,
    named_tests,
    text_files,
)
from tests.helpers.paths import REPOSITORY

PARTS = ("Paper", "We", "Why", "Test")


def heads_of_blocks(page):
    """How each block before the first `## section` begins."""
    body = re.split(r"^## ", page, flags=re.MULTILINE)[0]
    return [block.split("\n")[0] for block in body.strip().split("\n\n")]


@pytest.mark.parametrize("slug", decisions())
def test_a_page_has_a_title_and_its_four_parts(slug):
    title, *heads = heads_of_blocks(decisions()[slug])
    assert re.fullmatch(r"# \S.*", title)
    if heads[0].startswith("Confidence: "):
        heads = heads[1:]
    assert len(heads) == len(PARTS)
    for head, part in zip(heads, PARTS):
        assert re.match(rf"\*\*{part}\.\*\*( \S|$)", head), head


@pytest.mark.parametrize("slug", decisions())
def test_a_page_names_tests_that_exist(slug):
    tests = re.split(r"^## ", decisions()[slug], flags=re.MULTILINE)[0]
    names = named_tests(tests.split("**Test.**")[1])
    assert names
    for name in names:
        assert_test_exists(name)


def test_the_index_lists_every_page_once():
    slugs = [slug for _, slug, _ in index_entries()]
    assert sorted(slugs) == sorted(decisions())
    for text, slug, sentence in index_entries():
        assert text == slug and sentence.endswith("."), slug
    assert len(slugs) > 50


def test_every_citation_is_of_a_page_that_exists():
    pages = decisions()
    cited = {
        (str(path.relative_to(REPOSITORY)), slug)
        for path in text_files()
        for slug in CITATION.findall(path.read_text(encoding="utf-8"))
    }
    assert len(cited) >= len(pages)  # the index alone cites every page
    assert not [where for where in cited if where[1] not in pages]


def test_every_decision_is_cited_by_the_code_that_it_is_about():
    assert not set(decisions()) - cited_in_code()


def test_nothing_cites_a_decision_by_number():
    by_number = re.compile(r"BUILD_NOTES\W{1,3}\d")
    texts = {path: path.read_text(encoding="utf-8") for path in text_files()}
    assert not [str(path) for path, text in texts.items() if by_number.search(text)]
