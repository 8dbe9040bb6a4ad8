"""Who may put one more event into the queue of the page."""

import pytest

from speech2face.errors import UserError
from speech2face.web import visitors
from speech2face.web.limits import Limits

LIMITS = Limits(
    max_mb=1, max_secs=4.0, max_events=4, max_events_per_address=6, max_queue=10
)


class Queue:
    """The queue of a page whose model is never ready."""

    def __init__(self):
        import gradio as gr  # takes seconds

        from speech2face.web import waiting

        with gr.Blocks() as page:
            gr.Button().click(lambda: None)
        self._fn = page.fns[0]
        self._events = page._queue.event_ids_to_events
        self._waiting = waiting.Waiting(page, LIMITS)

    def join(self, session, cookie=None, address="192.0.2.1"):
        """Whether one more event may wait."""
        try:
            self._waiting.check(session, cookie, address)
        except UserError as error:
            return error.reason
        from gradio import queueing

        event = queueing.Event(session, self._fn, None, None)
        self._events[event._id] = event
        return None


def test_one_address_cannot_fill_the_queue_with_sessions():
    queue = Queue()
    answers = [queue.join(f"session{k}") for k in range(50)]
    assert answers == [None] * 6 + ["too_many_events"] * 44
    assert queue.join("other", address="198.51.100.1") is None


def test_one_address_cannot_fill_the_queue_with_cookies():
    queue = Queue()
    answers = [queue.join(f"session{k}", f"cookie{k}") for k in range(50)]
    assert answers == [None] * 6 + ["too_many_events"] * 44


def test_sessions_that_were_refused_do_not_start_the_count_anew(monkeypatch):
    monkeypatch.setattr("speech2face.web.waiting._MAX_SESSIONS", 8)
    queue = Queue()
    answers = [queue.join(f"session{k}") for k in range(50)]
    assert answers.count(None) == 6


def test_two_addresses_fill_the_queue_and_then_nobody_is_taken():
    queue = Queue()
    for address in ("192.0.2.1", "192.0.2.2"):
        for k in range(6):
            queue.join(f"{address}-{k}", address=address)
    assert queue.join("other", address="192.0.2.3") == "busy"


@pytest.mark.parametrize(
    ("client", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:aaaa::1", "2001:db8:0:1::/64"),
        ("2001:db8:0:1:bbbb::2", "2001:db8:0:1::/64"),
        ("a name", "a name"),
    ],
)
def test_an_ipv6_network_is_one_address(client, address):
    assert visitors.address_of({"client": (client, 80)}) == address
