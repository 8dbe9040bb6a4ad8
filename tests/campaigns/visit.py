"""One visitor of the page: a guest, or somebody who wants something else."""

import collections
import contextlib
import io
import json
import pathlib
import secrets
import socket
import time

import numpy as np
import soundfile

from speech2face.audio import decoding
from tests.campaigns import media, mutations
from tests.helpers.web import EXAMPLES
from tests.helpers.web_client import Client, recording

MAX_MB = 8  # of a file
MAX_SECS = 1500.0  # until the last visitor has an answer, on one busy core
# What a visitor may be told; every one of them is a sentence of ours.
REFUSALS = (400, 403, 404, 405, 408, 413, 422, 429, 503)


class Payloads:
    """Payloads of the attackers."""

    def __init__(self, folder: pathlib.Path, victim: pathlib.Path, port: int):
        """Makes them.

        Args:
          folder: for files that are made on the way.
          victim: a folder that nobody may reach.
          port: where a server listens that the page must not connect to.
        """
        self.victim = victim
        self.port = port
        self.voice = decoding.load_waveform(EXAMPLES / "woman_27.ogg")
        self.sources = media.write_sources(folder)
        cases = media.fixed_cases(folder, port)
        self.lists = [content for _, content, is_list in cases if is_list]
        self.bombs = [content for _, content, is_list in cases if not is_list]


class Visit:
    """Requests of one visitor, and the errors in the answers."""

    def __init__(self, number: int, url: str, seed: int, payloads: Payloads):
        """Chooses what this visitor does.

        Args:
          number: of the visitor.
          url: of the page.
          seed: draws the damage.
          payloads: what attackers bring.
        """
        self.kind = KINDS[number % len(KINDS)]
        self.name = f"{number} {self.kind}"
        self.failure = "no answer"
        self.places: list[int] = []  # in the queue, as the page has shown them
        self._client = Client(url, secrets.token_urlsafe(16), timeout=MAX_SECS)
        self._payloads = payloads
        self._random = np.random.default_rng([seed, number])

    def make(self) -> None:
        """Makes the visit."""
        self.visit_as(self.kind)

    def visit_as(self, kind: str) -> None:
        """Sets `failure` to what was wrong, '' if nothing was."""
        try:
            self.failure = getattr(self, f"_{kind}")()
        except Exception as error:  # of a connection, of JSON, of anything
            self.failure = f"{type(error).__name__}: {error}"

    # Guests

    def _same(self) -> str:
        return self._listen((EXAMPLES / "man_24.ogg").read_bytes())

    def _different(self) -> str:
        """An example with a loudness of its own: no two files are equal."""
        voice = self._payloads.voice * self._random.uniform(0.5, 1.0)
        content = io.BytesIO()
        soundfile.write(content, voice, 16_000, format="WAV")
        return self._listen(content.getvalue())

    def _example(self) -> str:
        self._join("play_example", ["Man 24", 0.5])
        return self._shown_face()

    def _listen(self, content: bytes) -> str:
        key = self._client.key_of(content, "voice.ogg")
        status, answer = self._join("play_upload", [recording(key), 0])
        return self._shown_face() if status == 200 else f"{status} {answer}"

    def _join(self, event, data):
        return self._client.join(self._client.functions()[event], data)

    def _shown_face(self) -> str:
        messages = self._client.messages()
        self.places = [m["rank"] for m in messages if m["msg"] == "estimation"]
        has_ended = any(m["msg"] == "process_completed" for m in messages)
        text = json.dumps(messages)
        is_shown = "data:image/png;base64" in text and has_ended
        return "" if is_shown else f"no face: {text[-300:]}"

    # Attackers

    def _paths(self) -> str:
        functions = self._client.functions()
        for path in (
            str(self._payloads.victim),
            f"{self._payloads.victim}/voice.ogg",
            f"http://127.0.0.1:{self._payloads.port}/voice.wav",
            "/dev/zero",
            "../" * 20 + "etc/hostname",
        ):
            for name, rest in (("play_upload", [0]), ("load_upload", [])):
                data = [recording(path, is_stream=True, url=path), *rest]
                status, answer = self._client.join(functions[name], data)
                if status != 422:
                    return f"{path}: {status} {answer}"
        return ""

    def _damaged(self) -> str:
        """Media as `media` tries them; the answer is a sentence or a face."""
        sources = self._payloads.sources
        source = sources[self._random.integers(len(sources))]
        content = mutations.mutate(source, sources, self._random)
        status, answer = self._client.upload(content[: MAX_MB << 20], "voice.wav")
        if status != 200:
            return self._refused(status, answer.decode())
        key = json.loads(answer)[0]
        status, answer = self._join("play_upload", [recording(key), 0])
        return self._one_sentence() if status == 200 else self._refused(status, answer)

    def _bomb(self) -> str:
        content = self._one_of(self._payloads.bombs)
        status, answer = self._client.upload(content, "voice.flac")
        if status != 200:
            return self._refused(status, answer.decode())
        self._join("load_upload", [recording(json.loads(answer)[0])])
        return self._one_sentence()

    def _list(self) -> str:
        key = self._client.key_of(self._one_of(self._payloads.lists), "voice.wav")
        self._join("load_upload", [recording(key)])
        result = json.dumps(self._client.result())
        return "a list was played" if "Heard:" in result else self._clean(result)

    def _one_of(self, contents: list[bytes]) -> bytes:
        return contents[self._random.integers(len(contents))]

    def _garbage(self) -> str:
        """Requests that are none."""
        for body in (
            b"",
            b"[" * 100_000,
            b'{"data": [NaN], "fn_index": 1e999, "session_hash": "a"}',
            b'{"data": null, "fn_index": -1, "session_hash": "../a"}',
            self._random.bytes(2000),
            b'{"data": "' + bytes(2 << 20),
        ):
            for path in (
                "queue/join",
                "cancel",
                "reset",
                "upload",
                "call/take",
                "file=a",
            ):
                status, _, answer = self._client.request(
                    "POST",
                    f"/gradio_api/{path}",
                    body,
                    Content_Type="application/json",
                )
                text = answer.decode(errors="replace")
                is_fine = status == 200 and path in ("cancel", "reset")
                failure = self._clean(text) if is_fine else self._refused(status, text)
                if failure:
                    return f"{path}: {failure}"
        return ""

    def _too_large(self) -> str:
        status, answer = self._client.upload(bytes((MAX_MB << 20) + 1))
        return (
            "" if status == 413 and b"too large" in answer else f"{status} {answer!r}"
        )

    def _half_open(self) -> str:
        """Begins an upload and waits: the page must end it, in its own time."""
        host, port = self._client.address.split(":")
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(
                b"POST /gradio_api/upload HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: 900000\r\n"
                b"Content-Type: multipart/form-data; boundary=xyz\r\n\r\n--xyz\r\n"
            )
            start = time.monotonic()
            with contextlib.suppress(ConnectionError):
                while connection.recv(4096):
                    pass
            return "" if time.monotonic() - start < 60 else "was held open"

    def _rebinding(self) -> str:
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "http://evil.example"},
            {"Host": "127.0.0.1.nip.io:7860"},
        ):
            status, answered, content = self._client.request(
                "GET", "/config", **headers
            )
            if status != 403 or "Access-Control-Allow-Origin" in answered:
                return f"{headers}: {status} {content[:100]!r}"
        return ""

    def _greedy(self) -> str:
        """Asks for more than anybody may; what is refused is refused politely."""
        numbers = self._client.functions()
        statuses = collections.Counter(
            self._client.join(numbers["exaggerate"], [None, 0.5])[0] for _ in range(70)
        )
        return "" if set(statuses) <= {200, 429, 503} else f"{dict(statuses)}"

    def _one_sentence(self) -> str:
        return self._clean(json.dumps(self._client.result()))

    def _clean(self, text: str) -> str:
        for word in (
            "Traceback",
            str(self._payloads.victim),
            "site-packages",
            "Errno",
            "/tmp/",
        ):
            if word in text:
                return f"says {word!r}: {text[:500]}"
        return ""

    def _refused(self, status: int, text: str) -> str:
        if status not in REFUSALS:
            return f"{status} {text[:300]}"
        return self._clean(text)


GUESTS = ("same", "different", "example", "same", "different")
ATTACKERS = (
    *("paths", "damaged", "bomb", "list", "garbage", "too_large", "half_open"),
    *("rebinding", "damaged", "list", "greedy", "damaged"),
)
# Two guests, then an attacker.
KINDS = tuple(
    kind
    for number, attacker in enumerate(ATTACKERS)
    for kind in (GUESTS[2 * number % 5], GUESTS[(2 * number + 1) % 5], attacker)
)
