"""Forgets what visitors have sent and seen, once they do not use it any more.

Gradio keeps what it showed last in each session, recordings included, until other
sessions need the place.
"""

import contextlib
import datetime
import threading
from collections.abc import Iterator

import gradio as gr

from speech2face.web.uploads import Uploads

MEMORY_SECS = 1800  # half an hour, as the page says
_EVERY_SECS = 10.0


@contextlib.contextmanager
def forgetting(page: gr.Blocks, uploads: Uploads) -> Iterator[None]:
    """Forgets in the background."""
    ended = threading.Event()

    def forget_until_ended() -> None:
        while not ended.wait(_EVERY_SECS):
            forget(page, uploads)

    threading.Thread(target=forget_until_ended, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def forget(page: gr.Blocks, uploads: Uploads) -> None:
    """Forgets sessions that were closed or not used for `MEMORY_SECS`."""
    uploads.forget_old()
    holder, queue = page.state_holder, page._queue
    oldest = datetime.datetime.now() - datetime.timedelta(seconds=MEMORY_SECS)
    for session, state in list(holder.session_data.items()):
        if state.is_closed or holder.time_last_used.get(session, oldest) <= oldest:
            with holder.lock:
                holder.session_data.pop(session, None)
                holder.time_last_used.pop(session, None)
    busy = {event.session_hash for event in list(queue.event_ids_to_events.values())}
    for session in list(queue.pending_messages_per_session):  # results nobody has read
        if session not in holder.session_data and session not in busy:
            queue.pending_messages_per_session.pop(session, None)
