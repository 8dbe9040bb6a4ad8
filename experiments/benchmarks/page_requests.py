"""First and later requests to a web page that has just said that it is ready."""

import contextlib
import http.client
import io
import json
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from experiments.benchmarks import random_data
from experiments.benchmarks.timing import Timing
from speech2face.json_codec import parse_json
from speech2face.paper import SAMPLE_RATE_HZ

N_REQUESTS = 4  # of each kind: the first, and those of which the fastest counts


def measure() -> Iterator[Timing]:
    """Times the first request beside the fastest later one, for the page and a voice.

    In processor time of the server, because other load would decide between two
    requests of seconds.
    """
    with _page() as (process, port):
        visitor = _Visitor(port)
        voice_event = visitor.event("play_upload")
        requests: dict[str, Callable[[], object]] = {
            "the page": lambda: visitor.get("/"),
            "the face of 6 s": lambda: visitor.play(voice_event, _voice()),
        }
        for name, request in requests.items():
            first, *later = [
                _processor_secs(request, process.pid) for _ in range(N_REQUESTS)
            ]
            what = f"web page: {name}, first request, processor time"
            yield Timing(what, first, "later ones, fastest", min(later))


def _processor_secs(request: Callable[[], object], pid: int) -> float:
    """Processor seconds that process `pid` takes for a request, on Linux."""
    clock = (~pid << 3) | 2  # what C's clock_getcpuclockid returns for a process
    start = time.clock_gettime(clock)
    request()
    return time.clock_gettime(clock) - start


def _voice() -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, random_data.noise(1)[0], SAMPLE_RATE_HZ, format="WAV")
    return file.getvalue()


@contextlib.contextmanager
def _page() -> Iterator[tuple[subprocess.Popen, int]]:
    """Starts the page; yields its process and its port once it is ready."""
    with socket.socket() as free:
        # The system chooses a free port, which the page then takes.
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "speech2face.app", f"--port={port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # a pipe was asked for
            # Its first line says that it can be opened.
            if not process.stdout.readline():
                raise RuntimeError("the page did not start; see above")
            yield process, port
        finally:
            process.terminate()


class _Visitor:
    """Requests what a browser would."""

    def __init__(self, port: int):
        self._port = port
        self._session = secrets.token_hex(6)

    def get(self, path: str) -> bytes:
        return self._request("GET", path)

    def event(self, name: str) -> int:
        """Returns the number of an event of the page."""
        events = parse_json(self.get("/config"), "/config")["dependencies"]
        return next(event["id"] for event in events if event["api_name"] == name)

    def play(self, event: int, wav: bytes) -> None:
        """Uploads a voice and waits for its face."""
        key = self._upload(wav)
        file = {"path": key, "meta": {"_type": "gradio.FileData"}}
        data = {"data": [file, 0], "fn_index": event, "session_hash": self._session}
        body = json.dumps(data).encode()
        self._request("POST", "/gradio_api/queue/join", body, "application/json")
        messages = self.get(f"/gradio_api/queue/data?session_hash={self._session}")
        assert b"data:image/png" in messages  # the page shows errors as text

    def _upload(self, wav: bytes) -> str:
        head = 'Content-Disposition: form-data; name="files"; filename="voice.wav"'
        form = f"--xyz\r\n{head}\r\n\r\n".encode() + wav + b"\r\n--xyz--\r\n"
        kind = "multipart/form-data; boundary=xyz"
        answer = self._request("POST", "/gradio_api/upload", form, kind)
        return parse_json(answer, "the answer to an upload")[0]

    def _request(
        self, method: str, path: str, body: bytes | None = None, kind: str = ""
    ) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=120)
        headers = {"Content-Type": kind} if kind else {}
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        if answer.status != http.client.OK:
            raise RuntimeError(f"{method} {path}: {answer.status}")
        return content
