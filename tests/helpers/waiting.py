"""Waits for what another process or thread does."""

import time


def wait_until(condition, secs=40):
    """Until the condition holds; fails where it does not within the seconds."""
    end = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
