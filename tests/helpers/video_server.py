"""A local site of videos for the tests of the downloader: good, bad, slow, cut off."""

import contextlib
import http.server
import re
import sys
import threading
import time
from collections.abc import Callable

Request = tuple[str, str]  # path, Range header


class Site:
    """Content and behavior of the server by path, and the requests it received."""

    def __init__(self):
        self.videos: dict[str, bytes] = {}
        self.behavior: dict[str, Callable] = {}
        self.requests: list[Request] = []
        self.cookies: list[str] = []
        self.sent_bytes = 0
        self.url = ""

    def asked_for(self, path: str) -> int:
        """Number of requests for a path."""
        return sum(request[0] == path for request in self.requests)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self._answer(with_body=False)

    def do_GET(self):
        self._answer(with_body=True)

    def _answer(self, with_body):
        site = self.server.site
        path = self.path.strip("/")
        site.requests.append((path, self.headers.get("Range", "")))
        site.cookies.append(self.headers.get("Cookie", ""))
        behave = site.behavior.get(path, send)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            behave(self, site, path, with_body)

    def log_message(self, *args):
        pass


def send(handler, site, path, with_body, body_writer=None, ranges=True):
    """Sends the video, or the requested range of it."""
    if path not in site.videos:
        return refuse(404)(handler, site, path, with_body)
    content = site.videos[path]
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
    if match and ranges:
        first = int(match[1])
        last = min(int(match[2] or len(content)), len(content) - 1)
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {first}-{last}/{len(content)}")
        content = content[first : last + 1]
    else:
        handler.send_response(200)
    handler.send_header("Content-Type", "video/mp4")
    handler.send_header("Content-Length", str(len(content)))
    if ranges:
        handler.send_header("Accept-Ranges", "bytes")
    handler.end_headers()
    if with_body:
        (body_writer or write_body)(handler, site, content)


def write_body(handler, site, content):
    handler.wfile.write(content)
    site.sent_bytes += len(content)


def refuse(status):
    """An error page."""

    def behave(handler, site, path, with_body):
        handler.send_response(status)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return behave


def document(content_type, text):
    """A text that is not a video: a page, a playlist."""
    content = text.encode()

    def behave(handler, site, path, with_body):
        handler.send_response(200)
        handler.send_header("Content-Type", content_type)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        if with_body:
            handler.wfile.write(content)

    return behave


def page(text):
    """A page with a message instead of a video."""
    return document("text/html", f"<html><title>{text}</title></html>")


def playlist(text):
    """An HLS playlist as a server gives it."""
    return document("application/vnd.apple.mpegurl", text)


def without_ranges(handler, site, path, with_body):
    """Sends the whole video and ignores ranges."""
    send(handler, site, path, with_body, ranges=False)


def cut_off(handler, site, path, with_body):
    """Sends half of the declared body, then closes the connection."""

    def write_half(handler, site, content):
        handler.wfile.write(content[: len(content) // 2])
        handler.close_connection = True

    send(handler, site, path, with_body, write_half)


def slow(handler, site, path, with_body):
    """Sends a few bytes ten times a second."""

    def drip(handler, site, content):
        for first in range(0, len(content), 100):
            handler.wfile.write(content[first : first + 100])
            handler.wfile.flush()
            time.sleep(0.1)

    send(handler, site, path, with_body, drip)


def at_first(n_times, bad, then=send):
    """Behaves as `bad` for the first `n_times` requests of a path, then as `then`."""
    counts: dict[str, int] = {}

    def behave(handler, site, path, with_body):
        counts[path] = counts.get(path, 0) + 1
        chosen = bad if counts[path] <= n_times else then
        chosen(handler, site, path, with_body)

    return behave


class _Server(http.server.ThreadingHTTPServer):
    """Says nothing about clients that hang up, as killed ones do."""

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serve():
    """A running site on 127.0.0.1."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.daemon_threads = True
    server.site = Site()
    server.site.url = f"http://127.0.0.1:{server.server_port}/"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.site
    finally:
        server.shutdown()
        server.server_close()
