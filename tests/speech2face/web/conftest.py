"""The page that the tests of the guard attack: one for the tests of a file."""

import pytest

from tests.helpers import guarded_page
from tests.helpers.web_client import Client


@pytest.fixture(scope="module")
def running():
    """Address of the page, and Gradio's Blocks behind it."""
    pytest.importorskip("gradio")
    with guarded_page.running() as address_and_blocks:
        yield address_and_blocks


@pytest.fixture(scope="module")
def url(running):
    return running[0]


@pytest.fixture(scope="module")
def blocks(running):
    return running[1]


@pytest.fixture(scope="module")
def events(url):
    """Number of each event of the page by its name."""
    return Client(url).functions()
