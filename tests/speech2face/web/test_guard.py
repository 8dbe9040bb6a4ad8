"""Attacks on a page that runs: what a client names, sends, claims and withholds."""

import concurrent.futures
import datetime
import json
import os
import pathlib
import socket
import time

import pytest

from speech2face import app
from speech2face.web.limits import Limits
from tests.helpers.paths import REPOSITORY
from tests.helpers.web import EXAMPLES, free_port
from tests.helpers.web_client import FILE_DATA, Client, form, recording

pytest.importorskip("gradio")

LIMITS = Limits(
    max_mb=1,
    max_secs=4.0,
    max_events=3,
    max_uploads=40,
    max_requests=5,
    pause_secs=1.0,
    send_secs=2.0,
)
VOICE = (EXAMPLES / "man_24.ogg").read_bytes()
A, B = "a" * 22, "b" * 22  # cookies
PAGE = []  # the one that runs


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    from speech2face.web import page as page_lib
    from speech2face.web import server, serving

    build = page_lib.build

    def build_and_keep(*args):
        PAGE[:] = [build(*args)]
        return PAGE[0]

    with pytest.MonkeyPatch.context() as patch:
        for name in ("GRADIO_TEMP_DIR", "GRADIO_ANALYTICS_ENABLED"):
            patch.setenv(name, "")  # put back at the end
        patch.setattr(serving, "HEADER_SECS", 1.0)
        patch.setattr(page_lib, "build", build_and_keep)
        examples = app.examples_in(EXAMPLES)
        with server.running(
            "", examples, LIMITS, "127.0.0.1", free_port(), ["faces.example.org"]
        ) as served:
            yield served


@pytest.fixture(scope="module")
def events(url):
    return Client(url).functions()


@pytest.fixture
def precious(tmp_path):
    """A folder of somebody else, with a recording."""
    folder = tmp_path / "precious"
    folder.mkdir()
    (folder / "voice.ogg").write_bytes(VOICE)
    (tmp_path / "link.ogg").symlink_to(folder / "voice.ogg")
    yield folder
    assert (folder / "voice.ogg").read_bytes() == VOICE


def foreign_paths(folder, listening):
    """Whatever is not an upload."""
    port = listening.getsockname()[1]
    page_folder = os.environ["GRADIO_TEMP_DIR"]
    return [
        str(folder),
        str(folder / "voice.ogg"),
        str(folder.parent / "link.ogg"),
        page_folder,
        f"{page_folder}/../{pathlib.Path(page_folder).name}",
        "/dev/zero",
        "/proc/self/environ",
        f"file://{folder}/voice.ogg",
        f"http://127.0.0.1:{port}/voice.wav",
        f"tcp://127.0.0.1:{port}",
        "concat:/etc/hostname",
        ".",
        "",
        "x\0y",
    ]


def test_a_path_or_address_that_a_client_names_is_never_opened(url, events, precious):
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        listening.settimeout(0.2)
        client = Client(url)
        for path in foreign_paths(precious, listening):
            for more in ({}, {"is_stream": True}, {"url": path}, {"is_stream": 1}):
                for name, rest in (
                    ("add_block", [None, 0]),
                    ("play_upload", [0]),
                    ("load_upload", []),
                ):
                    answer = client.join(events[name], [recording(path, **more), *rest])
                    assert answer[0] == 422 and "upload of yours" in answer[1]
        with pytest.raises(TimeoutError):
            listening.accept()
    assert pathlib.Path(os.environ["GRADIO_TEMP_DIR"]).is_dir()


@pytest.mark.parametrize(
    "value",
    [
        [recording("x")],
        "x",
        7,
        True,
        {"path": 7},
        {"path": ["x"]},
        {"video": recording("x")},
        {},
    ],
)
def test_what_is_not_an_upload_is_refused(url, events, value):
    assert Client(url).join(events["load_upload"], [value])[0] == 422


def test_an_upload_belongs_to_its_visitor_and_is_used_once(url, events):
    first, second = Client(url, A), Client(url, B)
    key = first.key_of(VOICE)
    assert second.join(events["load_upload"], [recording(key)])[0] == 422
    assert Client(url).join(events["load_upload"], [recording(key)])[0] == 422
    assert first.join(events["load_upload"], [recording(key)])[0] == 200
    assert "Heard: voice.wav" in json.dumps(first.result())
    assert first.join(events["load_upload"], [recording(key)])[0] == 422


@pytest.mark.slow
def test_thirty_visitors_with_the_same_file_are_answered(url, events):
    def visit(_):
        client = Client(url)
        key = client.key_of(VOICE)
        assert client.join(events["load_upload"], [recording(key)])[0] == 200
        return client.result()["output"]["data"][2]

    with concurrent.futures.ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(visit, range(30)))
    assert len(answers) == 30 and all("Heard: voice.wav, 4.0 s" in a for a in answers)


def test_recordings_are_never_on_the_disk(url, events):
    client = Client(url)
    client.key_of(VOICE)
    folder = pathlib.Path(os.environ["GRADIO_TEMP_DIR"])
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert folder.stat().st_mode & 0o777 == 0o700


def wait_for(condition):
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def remembered():
    """What Gradio has in memory of sessions: state, and what was shown."""
    holder, queue = PAGE[0].state_holder, PAGE[0]._queue
    states = [(s.state_data, s.config_values) for s in holder.session_data.values()]
    unread = [q.__dict__ for q in queue.pending_messages_per_session.values()]
    return repr(states) + repr(unread)


@pytest.mark.parametrize("way", ["closed", "unused", "never read"])
def test_a_recording_is_forgotten(url, events, way):
    """It is in what was shown, too, as sound to play."""
    from speech2face.web import forgetting
    from speech2face.web.uploads import Uploads

    client = Client(url)
    client.join(events["play_upload"], [recording(client.key_of(VOICE)), 0])
    holder = PAGE[0].state_holder
    if way != "never read":
        assert client.result()["success"]
    wait_for(lambda: "data:audio/wav" in remembered())
    forgetting.forget(PAGE[0], Uploads(LIMITS))
    assert "data:audio/wav" in remembered(), "it is still in use"
    if way == "closed":
        address = client.address.split(":")
        with socket.create_connection((address[0], int(address[1]))) as connection:
            connection.sendall(
                f"GET /gradio_api/heartbeat/{client.session} HTTP/1.1\r\n"
                "Host: localhost\r\n\r\n".encode()
            )
            connection.recv(1000)
        wait_for(lambda: holder.session_data[client.session].is_closed)
    for session in holder.time_last_used:
        if session != client.session or way != "closed":
            holder.time_last_used[session] -= datetime.timedelta(minutes=31)
    wait_for(lambda: not PAGE[0]._queue.event_ids_to_events)  # of other tests
    forgetting.forget(PAGE[0], Uploads(LIMITS))
    assert "data:audio/wav" not in remembered()


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


def test_large_requests_are_refused(url):
    client = Client(url)
    for path in ("queue/join", "cancel", "reset"):
        body = b'{"data": "' + bytes(1 << 20)
        assert client.request("POST", f"/gradio_api/{path}", body)[0] == 413
    expected = b"The file is too large: up to 1 MB can be used."
    for n_bytes in ((1 << 20) + 1, 3 << 19):
        assert client.upload(bytes(n_bytes)) == (413, expected)


def test_a_file_of_exactly_the_limit_is_taken(url):
    client = Client(url, "l" * 22)
    assert client.upload(bytes(1 << 20))[0] == 200


@pytest.mark.parametrize(
    "content_type, body",
    [
        ("application/json", b"{}"),
        ("multipart/form-data", form(b"x")),
        ("multipart/form-data; boundary=abc", form(b"x")),
        ("multipart/form-data; boundary=xyz", form(b"x")[:-10]),
        ("multipart/form-data; boundary=xyz", b"--xyz--\r\n"),
        ("multipart/form-data; boundary=xyz", form(b"x")[:-9] + b"\r\n" + form(b"y")),
        ("multipart/form-data; boundary=" + "x" * 5000, b""),
    ],
)
def test_an_upload_that_is_not_one_file_is_refused(url, content_type, body):
    status, _, _ = Client(url).request(
        "POST", "/gradio_api/upload", body, Content_Type=content_type
    )
    assert status == 400


def test_a_name_with_folders_is_only_a_name(url, events):
    client = Client(url)
    key = client.key_of(VOICE, "../../etc/<b>\u202e.ogg")
    assert ".." not in key and "/etc/" not in key
    client.join(events["load_upload"], [recording(key)])
    assert "Heard: &lt;b&gt;.ogg" in client.result()["output"]["data"][2]


HEADERS = b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"GET / HT",
        HEADERS,
        HEADERS + b"Content-Length: 900000\r\n"
        b"Content-Type: multipart/form-data; boundary=xyz\r\n\r\n--xyz\r\n",
        b"POST /gradio_api/queue/join HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Length: 9\r\n\r\n{",
    ],
)
def test_half_open_requests_time_out_and_block_nobody(url, sent):
    host, port = Client(url).address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(sent)
        assert Client(url).request("GET", "/config")[0] == 200
        start = time.monotonic()
        while connection.recv(4096):
            pass
        assert time.monotonic() - start < 15


def test_an_upload_that_drips_times_out(url):
    host, port = Client(url).address.split(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        connection.sendall(
            HEADERS + b"Content-Length: 900000\r\n"
            b"Content-Type: multipart/form-data; boundary=xyz\r\n\r\n--xyz\r\n"
        )
        start = time.monotonic()
        with pytest.raises(OSError):
            while time.monotonic() - start < 20:
                connection.sendall(b"X")
                time.sleep(0.2)
        assert time.monotonic() - start < 15


@pytest.mark.slow
def test_one_visitor_cannot_fill_the_queue(url, events):
    greedy = Client(url, "g" * 22)
    answers = []
    for _ in range(12):
        greedy.session = f"session{len(answers)}"  # a page in another window
        answers.append(greedy.join(events["play_example"], ["Man 24", 0]))
    refused = [answer for answer in answers if answer[0] == 429]
    assert refused and "wait until they are shown" in refused[0][1]
    other = Client(url, B)
    assert other.join(events["play_example_1"], ["Man 60", 0])[0] == 200
    assert other.result()["success"]


def test_one_visitor_cannot_fill_the_memory(url):
    greedy = Client(url, "m" * 22)
    statuses = [greedy.upload(b"x")[0] for _ in range(LIMITS.max_uploads + 2)]
    assert statuses == [200] * LIMITS.max_uploads + [429] * 2
    large = Client(url)  # by address, with others
    full = [large.upload(bytes(1 << 20)) for _ in range(LIMITS.n_full_uploads + 1)]
    assert full[-1][0] == 503 and b"Many people" in full[-1][1]


def test_one_visitor_cannot_hold_all_connections(url):
    greedy, held = Client(url, "h" * 22), []
    host, port = greedy.address.split(":")
    try:
        for number in range(LIMITS.max_requests):
            connection = socket.create_connection((host, int(port)), timeout=10)
            held.append(connection)
            connection.sendall(
                f"GET /gradio_api/heartbeat/{number} HTTP/1.1\r\nHost: localhost\r\n"
                f"Cookie: s2f_visitor={greedy.cookie}\r\n\r\n".encode()
            )
            assert connection.recv(12) == b"HTTP/1.1 200"
        assert greedy.request("GET", "/config")[0] == 429
        assert Client(url, B).request("GET", "/config")[0] == 200
    finally:
        for connection in held:
            connection.close()


def test_a_real_file_data_of_gradio_is_what_is_checked():
    """The tests above send what Gradio's own client sends."""
    from gradio.data_classes import FileData

    assert FileData(path="x").meta == FILE_DATA


def test_nothing_is_written_beside_the_code(url):
    """Gradio writes a `.pyi` file beside subclasses of its components."""
    assert list((REPOSITORY / "speech2face").rglob("*.pyi")) == []
