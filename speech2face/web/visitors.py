"""Visitors of the web page: a name for each, and who may send requests at all.

A cookie tells visitors apart; it is random, names nobody and ends with the browser. A
program that keeps no cookies is known by its address.
"""

import contextlib
import hashlib
import ipaddress
import re
import secrets
import socket
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from starlette.types import Scope

from speech2face.errors import UserError
from speech2face.web import texts
from speech2face.web.limits import Limits

COOKIE = "s2f_visitor"
_COOKIE = re.compile(rf"(?:^|;\s*){COOKIE}=([A-Za-z0-9_-]{{22}})(?:;|$)")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


def header(scope: Scope, name: bytes) -> str | None:
    """Returns a header of a request: None if it is missing, or sent more than once."""
    values: list[bytes] = [value for key, value in scope["headers"] if key == name]
    return values[0].decode("latin-1") if len(values) == 1 else None


def cookie_of(scope: Scope) -> str | None:
    """Returns the value of the visitor's cookie."""
    found = _COOKIE.search(header(scope, b"cookie") or "")
    return found.group(1) if found else None


def new_cookie(scope: Scope) -> str:
    """Returns the header that gives a visitor a cookie."""
    secure = "; Secure" if scope.get("scheme") == "https" else ""
    value = secrets.token_urlsafe(16)
    return f"{COOKIE}={value}; HttpOnly; SameSite=Strict; Path=/{secure}"


def name_of(scope: Scope) -> str:
    """Returns the name of the visitor who sends a request."""
    cookie = cookie_of(scope)
    if cookie is None:
        return f"address {address_of(scope)}"
    return "cookie " + hashlib.sha256(cookie.encode()).hexdigest()


def address_of(scope: Scope) -> str:
    """Returns the address that a request comes from; of IPv6, its network of 64 bits.

    A client with one IPv6 address can use its whole network. A proxy on this computer
    may say for whom it speaks (uvicorn's `proxy_headers`).
    """
    name = (scope.get("client") or ("unknown", 0))[0]
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return str(name)
    if address.version == 4:
        return str(address)
    mapped = address.ipv4_mapped
    return str(mapped or ipaddress.ip_network((int(address), 64), strict=False))


class Hosts:
    """The names under which the page is served.

    A page of another site can point a name of its own at this computer (DNS rebinding)
    and would then share an origin with ours, but cannot make the browser send another
    name than its own.
    """

    def __init__(self, host: str, public_hosts: Iterable[str] = ()):
        """Lists the names.

        Args:
          host: address that the server listens at.
          public_hosts: names under which a proxy serves the page.
        """
        names = {*_LOOPBACK, host.strip("[]"), *public_hosts}
        if host.strip("[]") not in _LOOPBACK:  # the local network is served
            own = socket.gethostname()
            names |= {own, f"{own.split('.')[0]}.local"}
        self._names: frozenset[str] = frozenset(name.lower() for name in names if name)

    def allow(self, scope: Scope) -> bool:
        """Returns whether a request is for this page."""
        name = _host_name(header(scope, b"host"))
        return name in self._names or name == _address(scope.get("server"))

    @staticmethod
    def is_foreign(scope: Scope) -> bool:
        """Returns whether a page of another site sends a request."""
        if header(scope, b"sec-fetch-site") == "cross-site":
            # A link to the page is harmless.
            return (scope["method"], header(scope, b"sec-fetch-mode")) != (
                "GET",
                "navigate",
            )
        origins = [value for key, value in scope["headers"] if key == b"origin"]
        host = (header(scope, b"host") or "").lower()
        return any(
            origin.decode("latin-1").lower()
            not in (f"http://{host}", f"https://{host}")
            for origin in origins
        )


class OpenRequests:
    """Counts the requests of each visitor that are open."""

    def __init__(self, limits: Limits):
        """Begins without any."""
        self._limits = limits
        self._n_open: Counter[str] = Counter()

    @contextlib.contextmanager
    def one_more(self, scope: Scope) -> Iterator[None]:
        """Counts a request while it is open.

        Raises:
          UserError: the visitor has too many.
        """
        name = name_of(scope)
        is_full = self._n_open[name] >= self._limits.max_requests
        if is_full and not _is_anybody(scope):
            raise UserError(texts.TOO_MANY_REQUESTS, reason="too_many_requests")
        self._n_open[name] += 1
        try:
            yield
        finally:
            self._n_open[name] -= 1
            if not self._n_open[name]:
                del self._n_open[name]


def _is_anybody(scope: Scope) -> bool:
    # Without a cookie, whoever comes from this computer may be its user, or anybody
    # behind a proxy.
    return cookie_of(scope) is None and (scope.get("client") or ("",))[0] in _LOOPBACK


def _host_name(host: str | None) -> str | None:
    """The name in a Host header; None if it is not just a name and a port."""
    if not host or not re.fullmatch(
        r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:\d+)?", host
    ):
        return None
    return urlsplit(f"//{host}").hostname


def _address(server: Any) -> str | None:
    """The address at which a request arrived: an address cannot be rebound."""
    try:
        return str(ipaddress.ip_address(server[0]))
    except (TypeError, ValueError):
        return None
