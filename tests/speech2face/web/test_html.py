"""The template module: escaping, missing values, the frame of a page."""

import sys
from html.parser import HTMLParser

import jinja2
import pytest

from speech2face.web import html


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The name of a package with templates, as experiments is one."""
    templates = tmp_path / "package_with_pages" / "templates"
    templates.mkdir(parents=True)
    (templates.parent / "__init__.py").touch()
    (templates / "part.html").write_text("<p>{{ text }}</p>")
    (templates / "whole.html").write_text(
        '{% extends "page.html" %}{% block body %}{{ part }}{% endblock %}'
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield "package_with_pages"
    sys.modules.pop("package_with_pages", None)


def test_text_is_escaped_once(package):
    part = html.render("part.html", package=package, text="<b> & 'c'")
    assert part == "<p>&lt;b&gt; &amp; &#39;c&#39;</p>"
    page = html.render("whole.html", package=package, title="<i>", part=part)
    assert part in page and "<title>&lt;i&gt;</title>" in page


def test_a_page_is_a_whole_document(package):
    page = html.render("whole.html", package=package, title="t", part="text")
    tags, parser = [], HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.feed(page)
    assert tags == ["html", "meta", "meta", "title", "style", "body"]
    assert page.startswith("<!doctype html>")


def test_a_missing_value_is_an_error(package):
    with pytest.raises(jinja2.UndefinedError, match="text"):
        html.render("part.html", package=package)
