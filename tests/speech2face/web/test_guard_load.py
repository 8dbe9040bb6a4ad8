"""Attacks on a page that runs: what is too large, too slow, too often."""

import concurrent.futures
import socket
import time

import pytest

from tests.helpers.guarded_page import LIMITS, VOICE, B
from tests.helpers.web_client import Client, recording

pytestmark = pytest.mark.slow


@pytest.mark.rehearsal
def test_thirty_visitors_with_the_same_file_are_answered(url, events):
    def visit(_):
        client = Client(url)
        key = client.key_of(VOICE)
        assert client.join(events["load_upload"], [recording(key)])[0] == 200
        return client.result()["output"]["data"][2]

    with concurrent.futures.ThreadPoolExecutor(30) as threads:
        answers = list(threads.map(visit, range(30)))
    assert len(answers) == 30 and all("Heard: voice.wav, 4.0 s" in a for a in answers)


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


HEADERS = b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"


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
