"""Attacks on a page that runs: values, addresses, hosts and origins."""

import pytest

from tests.helpers.guarded_page import A
from tests.helpers.paths import REPOSITORY
from tests.helpers.web_client import FILE_DATA, Client, recording


@pytest.mark.parametrize("value", [1e99, -1, 2.5, None, "1", True, [1], 10**400])
def test_an_exaggeration_outside_the_slider_is_refused(url, events, value):
    status, _ = Client(url).join(events["exaggerate"], [None, value])
    assert status == 422


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_json_does_not_have_are_refused(url, events, value):
    body = f'{{"data": [null, {value}], "fn_index": {events["exaggerate"]}, '
    body += '"session_hash": "x"}'
    status, _, _ = Client(url).request("POST", "/gradio_api/queue/join", body)
    assert status == 422


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{", b"[" * 60_000, b"\xff\xfe", b'{"data": [], "fn_index": 999}'],
)
def test_garbage_is_refused(url, body):
    for path in ("queue/join", "cancel", "reset"):
        status, _, _ = Client(url).request("POST", f"/gradio_api/{path}", body)
        assert status == 422


def test_a_label_that_is_not_an_example_is_refused(url, events):
    client = Client(url)
    assert client.join(events["play_example"], ["../../etc/passwd", 0])[0] == 422
    assert client.join(events["load_example"], ["no example"])[0] == 422


def test_data_that_only_gradio_sets_is_left_out(url, events):
    """A state that a client sends, say."""
    client = Client(url)
    forged = {"event_data": recording("/etc/passwd"), "batched": True, "event_id": "x"}
    assert client.join(events["exaggerate"], ["forged", 0.5], **forged)[0] == 200
    assert client.result()["success"]


@pytest.mark.parametrize(
    "method, path",
    [
        ("POST", "/gradio_api/call/take"),
        ("POST", "/gradio_api/call/load_upload"),
        ("POST", "/gradio_api/call/v2/load_upload"),
        ("POST", "/gradio_api/run/load_upload"),
        ("POST", "/gradio_api/api/load_upload"),
        ("POST", "/gradio_api/stream/x"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/info"),
        ("GET", "/gradio_api/openapi.json"),
        ("GET", "/openapi.json"),
        ("GET", "/docs"),
        ("GET", "/monitoring"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/file=/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://127.0.0.1:9/"),
        ("GET", "/gradio_api/stream/a/b/1/playlist.m3u8"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/static/../../../../etc/passwd"),
        ("GET", "/assets/%2e%2e/%2e%2e/index.html"),
        ("GET", "/gradio_api/upload"),
        ("POST", "/config"),
        ("DELETE", "/"),
        ("OPTIONS", "/gradio_api/queue/join"),
    ],
)
def test_what_the_page_does_not_use_is_closed(url, method, path):
    status, headers, _ = Client(url).request(method, path)
    assert status in (404, 405)
    assert not [name for name in headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "host, is_served",
    [
        ("127.0.0.1:7860", True),
        ("localhost", True),
        ("LOCALHOST:1", True),
        ("faces.example.org", True),
        ("evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("localhost@evil.example", False),
        ("evil.example:80@localhost", False),
        ("localhost/evil.example", False),
        ("faces.example.org.", False),
        ("10.0.0.1", False),
        ("", False),
    ],
)
def test_only_the_names_of_the_page_are_served(url, host, is_served):
    """Another site's name that leads here (DNS rebinding) is refused."""
    for path in ("/", "/config", "/gradio_api/queue/data?session_hash=x"):
        status, _, content = Client(url).request("GET", path, Host=host)
        assert (status != 403) == is_served
        assert b"evil.example" not in content


def test_a_forwarded_host_is_not_believed(url):
    _, _, content = Client(url).request(
        "GET", "/config", X_Forwarded_Host="evil.example", X_Gradio_Server="http://evil"
    )
    assert b"evil" not in content


def test_a_proxy_with_a_certificate_serves_the_page(url):
    behind = {"Host": "faces.example.org", "X_Forwarded_Proto": "https"}
    _, headers, content = Client(url).request("GET", "/", **behind)
    assert b'"root":"https://faces.example.org"' in content
    assert headers["Set-Cookie"].endswith("; Secure")
    own = {"Origin": "https://faces.example.org", **behind}
    assert Client(url).request("GET", "/config", **own)[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:1"},
        {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "no-cors"},
    ],
)
def test_other_sites_get_no_answer(url, events, headers):
    client = Client(url)
    for method, path in (("GET", "/config"), ("POST", "/gradio_api/queue/join")):
        status, answered, content = client.request(method, path, "{}", **headers)
        assert status == 403 and b"other sites" in content
        assert "Access-Control-Allow-Origin" not in answered


def test_the_pages_own_scripts_are_answered(url):
    client = Client(url)
    own = {"Origin": f"http://{client.address}", "Sec_Fetch_Site": "same-origin"}
    status, headers, _ = client.request("GET", "/config", **own)
    assert status == 200 and "Access-Control-Allow-Origin" not in headers
    link = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Mode": "navigate"}
    assert client.request("GET", "/", **link)[0] == 200


@pytest.mark.parametrize("path", ["/", "/config", "/gradio_api/call/x", "/theme.css"])
def test_every_answer_tells_browsers_what_is_allowed(url, path):
    _, headers, _ = Client(url).request("GET", path)
    policy = headers["Content-Security-Policy"]
    assert "default-src 'self'" in policy and "frame-ancestors 'none'" in policy
    assert "'unsafe-inline'" not in policy.split("style-src")[0]
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Server" not in headers


def test_cookies_are_for_the_page_alone(url):
    _, headers, _ = Client(url).request("GET", "/")
    cookie = headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    assert Client(url, A).request("GET", "/")[1]["Set-Cookie"] is None


def test_a_real_file_data_of_gradio_is_what_is_checked():
    """The tests above send what Gradio's own client sends."""
    pytest.importorskip("gradio")
    from gradio.data_classes import FileData

    assert FileData(path="x").meta == FILE_DATA


def test_nothing_is_written_beside_the_code(url):
    """Gradio writes a `.pyi` file beside subclasses of its components."""
    assert list((REPOSITORY / "speech2face").rglob("*.pyi")) == []
