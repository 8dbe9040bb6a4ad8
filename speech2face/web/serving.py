"""The HTTP server of the page: in a thread of its own, impatient with slow clients."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

HEADER_SECS = 10.0  # until the first line and headers of a request must have arrived
MAX_CONNECTIONS = 1000  # beyond that, the server answers 503
_CLOSE_SECS = 5  # that open answers get at the end
_START_SECS = 30.0


class ImpatientProtocol(H11Protocol):
    """Closes connections that do not send a request.

    uvicorn waits forever for the headers of a request; its bodies are timed in
    `receiving`.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """A client has connected."""
        super().connection_made(transport)
        self._watch()

    def data_received(self, data: bytes) -> None:
        """A part of a request has arrived."""
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._stop_watching()
        super().connection_lost(exc)

    def _watch(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_watching()  # the headers are complete
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_SECS, self._give_up)

    def _stop_watching(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self.cycle is None or self.cycle.response_complete:
            self.transport.close()


@contextlib.contextmanager
def served(app: Any, host: str, port: int) -> Iterator[None]:
    """Serves an ASGI application in the background.

    Args:
      app: the application.
      host: address to listen at.
      port: port to listen at.

    Raises:
      OSError: the server does not start.
    """
    config = uvicorn.Config(
        app,
        host=host.strip("[]"),
        port=port,
        http=ImpatientProtocol,
        ws="none",
        log_level="warning",
        server_header=False,
        limit_concurrency=MAX_CONNECTIONS,
        timeout_graceful_shutdown=_CLOSE_SECS,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=_run, args=[server], daemon=True)
    thread.start()
    try:
        end = time.monotonic() + _START_SECS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > end:
                raise OSError(f"cannot serve at {host}:{port}")
            time.sleep(0.01)
        yield
    finally:
        server.should_exit = True
        thread.join(2 * _CLOSE_SECS)


def _run(server: uvicorn.Server) -> None:
    with contextlib.suppress(SystemExit):  # uvicorn's way to say that the port is busy
        server.run()
