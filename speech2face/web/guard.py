"""Stands in front of Gradio: what may reach it, and what browsers may do with the page.

Gradio is a toolkit for many kinds of pages and answers many more requests than this one
needs. Here a request passes only if it is on the list: sent to a name of this page, not
by a page of another site, at an address that the page uses, of limited size, within
limited time. Uploads end here (`uploads`); events are checked and written anew
(`events`). See docs/decisions/page-guard.md.
"""

import json
import re
import secrets
from typing import Any
from urllib.parse import parse_qs

from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from speech2face.errors import UserError
from speech2face.web import receiving, texts, visitors
from speech2face.web.events import EventChecks, parse
from speech2face.web.limits import Limits
from speech2face.web.receiving import DisconnectedError
from speech2face.web.uploads import Uploads
from speech2face.web.visitors import Hosts, OpenRequests
from speech2face.web.waiting import Waiting

_API = "/gradio_api"
_UPLOAD, _JOIN = f"{_API}/upload", f"{_API}/queue/join"
_PROGRESS, _RESULTS = f"{_API}/upload_progress", f"{_API}/queue/data"
# What the page's own scripts ask for; nothing else is answered.
_READ = re.compile(
    r"/|/config|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt"
    r"|/(assets|static|svelte)/[A-Za-z0-9_./-]+"
    rf"|{_PROGRESS}|{_RESULTS}|{_API}/heartbeat/[A-Za-z0-9_-]{{1,64}}"
)
_WRITE = (_UPLOAD, _JOIN, f"{_API}/cancel", f"{_API}/reset")
# Gradio would believe these: where the page is, and where to send a request on.
_DROPPED = (b"x-forwarded-host", b"x-gradio-server", b"forwarded")
_STATUS = {
    "bad_event": 422,
    "bad_form": 400,
    "busy": 503,
    "too_large": 413,
    "too_many_events": 429,
    "too_many_requests": 429,
    "too_many_uploads": 429,
    "too_slow": 408,
}
# What Gradio sends before it fails with a traceback.
_UNKNOWN_SESSION = {
    "msg": "unexpected_error",
    "message": "404: Not Found",
    "session_not_found": True,
    "success": False,
}
# Gradio's scripts compile the page's JavaScript (`unsafe-eval`) and set styles.
_CONTENT_POLICY = "; ".join(
    [
        "default-src 'self'",
        "script-src 'self' 'unsafe-eval' blob: 'nonce-{nonce}'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(self)",
}


class Guard:
    """An ASGI application in front of another one."""

    def __init__(
        self,
        app: ASGIApp,
        hosts: Hosts,
        limits: Limits,
        uploads: Uploads,
        events: EventChecks,
        waiting: Waiting,
    ):
        """Keeps what requests are checked with.

        Args:
          app: Gradio's application.
          hosts: names of the page.
          limits: what a request may be.
          uploads: where uploads go.
          events: checks events.
          waiting: counts events.
        """
        self._app = app
        self._hosts = hosts
        self._limits = limits
        self._uploads = uploads
        self._events = events
        self._waiting = waiting
        self._open = OpenRequests(limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or passes it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        if scope["type"] != "http":
            return  # the page has no WebSockets; the server closes what we leave open
        nonce = secrets.token_urlsafe(16)
        send = _with_headers(scope, nonce, send)
        refusal = self._refusal(scope)
        if refusal is not None:
            await refusal(scope, receive, send)
            return
        try:
            with self._open.one_more(scope):
                await self._answer(scope, receive, send, nonce)
        except DisconnectedError:
            pass
        except UserError as error:
            if error.reason == "too_large":
                await receiving.discard(receive, self._limits)
            await _refused(scope, error)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        """The answer to a request that is not for this page."""
        path, method = scope["path"], scope["method"]
        if not self._hosts.allow(scope):
            return PlainTextResponse(texts.OTHER_HOST, 403)
        if self._hosts.is_foreign(scope):
            return PlainTextResponse(texts.OTHER_SITE, 403)
        is_read = bool(_READ.fullmatch(path)) and ".." not in path
        if not is_read and path not in _WRITE:
            return JSONResponse({"detail": texts.NOT_HERE}, 404)
        if method not in (("GET", "HEAD") if is_read else ("POST",)):
            return JSONResponse({"detail": texts.NOT_HERE}, 405)
        return None

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, nonce: str
    ) -> None:
        inner = {
            **scope,
            "headers": [pair for pair in scope["headers"] if pair[0] not in _DROPPED],
        }
        if scope["path"] == _UPLOAD:
            key = await self._receive_upload(scope, receive)
            await JSONResponse([key])(scope, receive, send)
        elif scope["path"] == _PROGRESS:  # uploads are short: there is nothing to show
            await _message({"msg": "done"})(scope, receive, send)
        elif scope["path"] == _RESULTS and not self._waiting.knows(_session(scope)):
            await _message(_UNKNOWN_SESSION)(scope, receive, send)
        elif scope["path"] in _WRITE:
            content = await self._receive_json(scope, receive)
            inner["headers"] = _with_length(inner["headers"], content)
            await self._app(inner, _replay(content, receive), send)
        elif scope["path"] == "/":
            await self._send_page(inner, receive, send, nonce)
        else:
            await self._app(inner, receive, send)

    async def _receive_upload(self, scope: Scope, receive: Receive) -> str:
        content_type = visitors.header(scope, b"content-type") or ""
        with self._uploads.receiving(visitors.name_of(scope)) as receiver:
            return await receiving.receive_file(
                receive, content_type, self._limits, receiver
            )

    async def _receive_json(self, scope: Scope, receive: Receive) -> bytes:
        content = await receiving.receive_all(
            receive, self._limits, receiving.MAX_JSON_BYTES
        )
        if scope["path"] != _JOIN:
            return json.dumps(parse(content)).encode()
        event = self._events.checked(content, visitors.name_of(scope))
        self._waiting.check(
            event["session_hash"],
            visitors.cookie_of(scope),
            visitors.address_of(scope),
        )
        return json.dumps(event).encode()

    async def _send_page(
        self, scope: Scope, receive: Receive, send: Send, nonce: str
    ) -> None:
        """Sends the page with its own scripts marked: no others run."""
        headers = [p for p in scope["headers"] if p[0] != b"accept-encoding"]
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app({**scope, "headers": headers}, receive, keep)
        start, *parts = messages
        content = b"".join(part.get("body", b"") for part in parts)
        content = re.sub(
            rb"<script(?=[\s>])", f'<script nonce="{nonce}"'.encode(), content
        )
        start["headers"] = _with_length(start["headers"], content)
        if visitors.cookie_of(scope) is None:
            cookie = visitors.new_cookie(scope).encode()
            start["headers"].append((b"set-cookie", cookie))
        await send(start)
        await send({"type": "http.response.body", "body": content})


def _message(content: dict[str, Any]) -> Response:
    """One message of a stream of events."""
    return Response(f"data: {json.dumps(content)}\n\n", media_type="text/event-stream")


def _session(scope: Scope) -> str:
    query = parse_qs(scope["query_string"].decode("latin-1"))
    return query.get("session_hash", [""])[0]


def _refused(scope: Scope, error: UserError) -> Response:
    status = _STATUS.get(error.reason, 400)
    if scope["path"] == _UPLOAD:  # Gradio shows the text as it is
        return PlainTextResponse(str(error), status)
    return JSONResponse({"detail": str(error)}, status)


def _with_length(
    headers: list[tuple[bytes, bytes]], content: bytes
) -> list[tuple[bytes, bytes]]:
    replaced = (b"content-length", b"transfer-encoding")
    kept = [pair for pair in headers if pair[0].lower() not in replaced]
    return [*kept, (b"content-length", str(len(content)).encode())]


def _replay(content: bytes, receive: Receive) -> Receive:
    """Gives `content` as the body, then what follows it: a disconnect."""
    first = [{"type": "http.request", "body": content, "more_body": False}]

    async def replayed() -> Message:
        return first.pop() if first else await receive()

    return replayed


def _with_headers(scope: Scope, nonce: str, send: Send) -> Send:
    policy = _CONTENT_POLICY.format(nonce=nonce)
    added = [
        (key.lower().encode(), value.encode())
        for key, value in {**_HEADERS, "Content-Security-Policy": policy}.items()
    ]
    if not scope["path"].startswith(("/assets/", "/static/")):
        added.append((b"cache-control", b"no-store"))
    replaced = {key for key, _ in added}

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            kept = [
                pair
                for pair in message.get("headers", [])
                if pair[0].lower() not in replaced
                and not pair[0].lower().startswith(b"access-control-")
            ]
            message = {**message, "headers": [*kept, *added]}
        await send(message)

    return with_headers
