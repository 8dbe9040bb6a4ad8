"""Counts the events that wait, so that one visitor cannot keep out the others."""

from typing import NamedTuple

import gradio as gr

from speech2face.errors import UserError
from speech2face.web import texts
from speech2face.web.limits import Limits

_MAX_SESSIONS = 2000  # are remembered, and any more that wait
_MAX_UNREAD = 300  # sessions whose results wait to be read: up to 3 MB each


class _Sender(NamedTuple):
    visitor: str
    address: str


class Waiting:
    """The events of a page that wait for the model."""

    def __init__(self, page: gr.Blocks, limits: Limits):
        """Reads the queue of `page`."""
        self._queue = page._queue  # Gradio has no public way to see who waits
        self._queue.pending_messages_per_session.max_size = _MAX_UNREAD
        self._limits = limits
        # Of each session, which is a page open in a browser.
        self._senders: dict[str, _Sender] = {}

    def knows(self, session: str) -> bool:
        """Returns whether a session has results, or waits for some."""
        return session in self._queue.pending_messages_per_session

    def check(self, session: str, cookie: str | None, address: str) -> None:
        """Checks that one more event may wait.

        Args:
          session: that the event is of.
          cookie: cookie of the visitor; without one, each session is a visitor.
          address: that the event comes from. Cookies and sessions can be made up.

        Raises:
          UserError: the visitor or the address has too many, or the queue is full.
        """
        visitor = cookie or session
        waiting = [e.session_hash for e in self._queue.event_ids_to_events.values()]
        senders = [self._senders[name] for name in waiting if name in self._senders]
        n_own = sum(sender.visitor == visitor for sender in senders)
        if n_own >= self._limits.max_events:
            raise UserError(texts.TOO_MANY_EVENTS, reason="too_many_events")
        n_from_address = sum(sender.address == address for sender in senders)
        if n_from_address >= self._limits.max_events_per_address:
            raise UserError(texts.TOO_MANY_FROM_ADDRESS, reason="too_many_events")
        if len(waiting) >= self._limits.max_queue:
            raise UserError(texts.BUSY, reason="busy")
        # Only now: sessions that are refused must not push out those that wait.
        if len(self._senders) >= _MAX_SESSIONS:
            self._senders = {k: v for k, v in self._senders.items() if k in waiting}
        self._senders[session] = _Sender(visitor, address)
