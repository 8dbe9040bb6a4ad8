"""Marks fixtures that take seconds: who needs one is slow, see `make test-fast`."""

import itertools
from collections.abc import Callable


def takes_seconds(fixture: Callable) -> Callable:
    """Marks a fixture whose tests will be `slow`; stands below pytest's decorator."""
    fixture.takes_seconds = True
    return fixture


def needs_a_slow_fixture(item) -> bool:
    """Whether a test that pytest has collected needs one, perhaps through another."""
    found = getattr(item, "_fixtureinfo", None)
    if found is None:
        return False
    definitions = itertools.chain(*found.name2fixturedefs.values())
    return any(getattr(one.func, "takes_seconds", False) for one in definitions)
