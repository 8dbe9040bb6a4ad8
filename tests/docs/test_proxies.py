"""The proxies of docs/security.md, run as printed, in front of the page.

Only ports, files and the certificate are replaced. Skipped where nginx or Caddy is not
installed.
"""

import base64
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import ssl
import subprocess
import textwrap
import time

import pytest

from speech2face import app
from speech2face.web.limits import Limits
from tests.helpers.paths import REPOSITORY
from tests.helpers.web import EXAMPLES, free_port
from tests.helpers.web_client import Client, recording

HOST = "faces.example.org"
PASSWORD = "correct horse"
VOICE = (EXAMPLES / "man_24.ogg").read_bytes()


class Visitor(Client):
    """A client that comes through a proxy, over HTTPS, with a password."""

    password = PASSWORD

    def connection(self):
        host, port = self.address.split(":")
        connection = http.client.HTTPConnection(HOST, int(port), timeout=60)
        context = ssl._create_unverified_context()
        connection.sock = context.wrap_socket(
            socket.create_connection((host, int(port)), timeout=60),
            server_hostname=HOST,
        )
        return connection

    def request(self, method, path, body=None, **headers):
        login = base64.b64encode(f"alice:{self.password}".encode()).decode()
        own = {"Host": HOST, "Authorization": f"Basic {login}"}
        return super().request(method, path, body, **{**own, **headers})


@pytest.fixture(scope="module")
def page_port(tmp_path_factory):
    pytest.importorskip("gradio")
    from speech2face.web import server

    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
            patch.setenv(name, "")  # put back at the end
        with server.running(
            "", app.examples_in(EXAMPLES), Limits(50, 10.0), "127.0.0.1", port, [HOST]
        ):
            yield port


def example(first_words):
    """A block of the document that begins so, without its indentation."""
    text = (REPOSITORY / "docs" / "security.md").read_text(encoding="utf-8")
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?= {4}))+", text, re.MULTILINE)
    (block,) = [b for b in blocks if b.strip().startswith(first_words)]
    return textwrap.dedent(block)


def require(program):
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin")
    if not path:
        pytest.skip(f"{program} is not installed")
    return path


@contextlib.contextmanager
def running(command, port, log):
    own = {name: str(log.parent) for name in ("HOME", "XDG_CONFIG_HOME")}
    with log.open("w") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, env={**os.environ, **own}
        )
    try:
        end = time.monotonic() + 20
        while time.monotonic() < end:
            with contextlib.suppress(OSError):  # Caddy makes its certificate first
                Visitor(f"https://127.0.0.1:{port}/").connection().close()
                break
            assert process.poll() is None, log.read_text()
            time.sleep(0.1)
        yield f"https://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)


def check(url, page_port):
    """Whoever has the password uses the page, and nobody else sees it."""
    stranger = Visitor(url)
    stranger.password = "wrong"
    assert stranger.request("GET", "/config")[0] == 401
    visitor = Visitor(url)
    status, headers, content = visitor.request("GET", "/")
    assert status == 200 and f'"root":"https://{HOST}"'.encode() in content
    assert headers["Set-Cookie"].endswith("; Secure")
    assert headers["X-Frame-Options"] == "DENY"
    key = visitor.key_of(VOICE)
    event = visitor.functions()["play_upload"]
    assert visitor.join(event, [recording(key), 0])[0] == 200
    times = arrivals(visitor)
    assert len(times) > 3 and times[-1] - times[0] > 0.05  # not all at the end
    assert visitor.request("GET", "/config", Origin="https://evil.example")[0] == 403
    direct = Client(f"http://127.0.0.1:{page_port}/")
    assert direct.request("GET", "/config", Host="x")[0] == 403
    assert visitor.upload(bytes(60 << 20))[0] == 413


def arrivals(visitor):
    """When each message about an event arrived."""
    connection = visitor.connection()
    login = base64.b64encode(f"alice:{PASSWORD}".encode()).decode()
    connection.request(
        "GET",
        f"/gradio_api/queue/data?session_hash={visitor.session}",
        headers={"Host": HOST, "Authorization": f"Basic {login}"},
    )
    times, faces = [], 0
    for line in connection.getresponse():
        if line.startswith(b"data:"):
            times.append(time.monotonic())
            faces += b"data:image/png;base64" in line
            if json.loads(line[5:])["msg"] == "close_stream":
                break
    connection.close()
    assert faces
    return times


@pytest.mark.rehearsal
def test_nginx_as_printed(page_port, tmp_path):
    nginx, port = require("nginx"), free_port()
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1"),
            *("-subj", f"/CN={HOST}", "-keyout", tmp_path / "faces.key"),
            *("-out", tmp_path / "faces.pem"),
        ],
        check=True,
        capture_output=True,
    )
    hashed = subprocess.run(
        ["openssl", "passwd", "-apr1", PASSWORD],
        check=True,
        capture_output=True,
        text=True,
    )
    (tmp_path / "faces.htpasswd").write_text(f"alice:{hashed.stdout}")
    block = example("limit_conn_zone")
    for old, new in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("127.0.0.1:7860", f"127.0.0.1:{page_port}"),
        ("/etc/ssl", str(tmp_path)),
        ("/etc/nginx", str(tmp_path)),
    ):
        assert old in block
        block = block.replace(old, new)
    log = tmp_path / "error.log"
    (tmp_path / "nginx.conf").write_text(
        f"daemon off;\nuser root;\npid {tmp_path}/pid;\nerror_log {log} warn;\n"
        "events {}\nhttp {\naccess_log off;\n"
        + "".join(
            f"{kind}_temp_path {tmp_path}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        + block
        + "}\n"
    )
    command = [nginx, "-c", tmp_path / "nginx.conf", "-e", log, "-p", tmp_path]
    with running(command, port, tmp_path / "out.log") as url:
        check(url, page_port)
    text = log.read_text()
    assert "temporary file" not in text  # a recording would be on the disk


@pytest.mark.slow
def test_caddy_as_printed(page_port, tmp_path):
    caddy, port = require("caddy"), free_port()
    hashed = subprocess.run(
        [caddy, "hash-password", "--plaintext", PASSWORD],
        check=True,
        capture_output=True,
        text=True,
    )
    block = example("faces.example.org {")
    assert "HASH" in block and "127.0.0.1:7860" in block
    block = block.replace("HASH", hashed.stdout.strip())
    block = block.replace("127.0.0.1:7860", f"127.0.0.1:{page_port}")
    block = block.replace("{", "{\n    tls internal", 1)

    options = (
        f"{{\n    admin off\n    http_port {free_port()}\n    https_port {port}\n"
        f"    auto_https disable_redirects\n    skip_install_trust\n"
        f"    storage file_system {tmp_path}/caddy\n}}\n"
    )
    pathlib.Path(tmp_path / "Caddyfile").write_text(options + block)
    command = [caddy, "run", "--config", tmp_path / "Caddyfile"]
    with running(command, port, tmp_path / "out.log") as url:
        check(url, page_port)
