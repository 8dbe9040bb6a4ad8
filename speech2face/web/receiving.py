"""Receives the body of a request: limited in size, and in the time it may take."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import python_multipart
from starlette.types import Receive

from speech2face.errors import UserError
from speech2face.web import texts
from speech2face.web.limits import Limits
from speech2face.web.uploads import Receiver

MAX_JSON_BYTES = 1 << 16  # an event has a few numbers and names
_MAX_FORM_BYTES = 1 << 16  # of an upload, around the file


class DisconnectedError(Exception):
    """The client closed the connection before its request was complete."""


async def receive_all(receive: Receive, limits: Limits, max_bytes: int) -> bytes:
    """Returns the body of a request.

    Args:
      receive: the ASGI function that returns the next part of the request.
      limits: how long it may take.
      max_bytes: size that is accepted.

    Raises:
      UserError: it is too large or too slow.
      DisconnectedError: it was not completed.
    """
    parts = [part async for part in _parts(receive, limits, max_bytes)]
    return b"".join(parts)


async def receive_file(
    receive: Receive, content_type: str, limits: Limits, receiver: Receiver
) -> str:
    """Receives the one file of a form; returns the key of the upload.

    Args:
      receive: the ASGI function that returns the next part of the request.
      content_type: content type of the request.
      limits: how large it may be, and how long it may take.
      receiver: where the file goes.

    Raises:
      UserError: the request is not a form with one file, too large or too slow.
      DisconnectedError: it was not completed.
    """
    kind, options = python_multipart.multipart.parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 0 < len(boundary) <= 100:
        raise _bad_form()
    form = _Form(receiver)
    try:
        parser = python_multipart.MultipartParser(boundary, form.callbacks())
        async for part in _parts(receive, limits, limits.max_bytes + _MAX_FORM_BYTES):
            parser.write(part)
        parser.finalize()
    except python_multipart.exceptions.FormParserError:
        raise _bad_form() from None
    if form.name is None or not form.is_complete:
        raise _bad_form()
    return receiver.keep(form.name)


async def discard(receive: Receive, limits: Limits) -> None:
    """Reads the rest of a request that is refused, within reason.

    A client that sends its whole request before it listens would otherwise see a broken
    connection instead of the answer.
    """
    with contextlib.suppress(UserError, DisconnectedError):
        async for _ in _parts(receive, limits, 2 * limits.max_bytes):
            pass


class _Form:
    """A form that is being read: only its file is kept."""

    def __init__(self, receiver: Receiver):
        self._receiver = receiver
        self._header = [b"", b""]
        self._is_file = False
        self.name: str | None = None
        self.is_complete = False

    def callbacks(self) -> Any:
        """Callbacks of the parser."""
        return {
            "on_part_begin": self._begin_part,
            "on_header_begin": self._begin_header,
            "on_header_field": lambda data, *cut: self._add(0, data[slice(*cut)]),
            "on_header_value": lambda data, *cut: self._add(1, data[slice(*cut)]),
            "on_header_end": self._end_header,
            "on_part_data": self._data,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._is_file = False

    def _begin_header(self) -> None:
        self._header = [b"", b""]

    def _add(self, index: int, data: bytes) -> None:
        self._header[index] += data

    def _end_header(self) -> None:
        field, value = self._header
        if field.lower() != b"content-disposition":
            return
        _, options = python_multipart.multipart.parse_options_header(value)
        if b"filename" in options:
            if self.name is not None:
                raise UserError("send one file at a time", reason="bad_form")
            self._is_file = True
            self.name = options[b"filename"].decode("utf-8", "replace")

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._is_file:
            self._receiver.write(data[start:end])

    def _end(self) -> None:
        self.is_complete = True


async def _parts(
    receive: Receive, limits: Limits, max_bytes: int
) -> AsyncIterator[bytes]:
    clock = asyncio.get_running_loop().time
    end, n_bytes = clock() + limits.send_secs, 0
    while True:
        secs = min(limits.pause_secs, end - clock())
        try:
            message = await asyncio.wait_for(receive(), max(secs, 0))
        except asyncio.TimeoutError:
            raise UserError(texts.TOO_SLOW, reason="too_slow") from None
        if message["type"] == "http.disconnect":
            raise DisconnectedError
        part = message.get("body", b"")
        n_bytes += len(part)
        if n_bytes > max_bytes:
            raise UserError(_too_large(limits, max_bytes), reason="too_large")
        yield part
        if not message.get("more_body", False):
            return


def _too_large(limits: Limits, max_bytes: int) -> str:
    if max_bytes > limits.max_bytes:
        return texts.too_large(limits)
    return f"the request is larger than {max_bytes} bytes"


def _bad_form() -> UserError:
    return UserError(
        "an upload must be a form (multipart/form-data) with one file",
        reason="bad_form",
    )
