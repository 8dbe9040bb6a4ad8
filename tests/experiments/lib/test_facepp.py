"""Face++ against a local server that answers like it."""

import http.server
import json
import threading

import numpy as np
import pytest

from experiments.lib import facepp, readings
from experiments.lib.attributes import Attributes
from experiments.lib.inputs import Provider
from speech2face.images import decode_image
from tests.helpers.tiny_material import shared_material

GRAY = np.full((224, 224, 3), 90, np.uint8)


FACE = {
    "face_rectangle": {"width": 90, "height": 100, "top": 1, "left": 1},
    "attributes": {
        "gender": {"value": "Female"},
        "age": {"value": 33},
        "ethnicity": {"value": "ASIAN"},
    },
}


SMALL_FACE = {
    "face_rectangle": {"width": 9, "height": 10, "top": 1, "left": 1},
    "attributes": {"gender": {"value": "Male"}, "age": {"value": 5}},
}


class Service(http.server.BaseHTTPRequestHandler):
    """Answers as the Detect API does: JSON, errors in `error_message`."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.headers["Content-Type"], body))
        status, answer = self.server.answers.pop(0)
        if answer is None:  # the connection breaks
            self.connection.close()
            return
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        pass


@pytest.fixture
def service(monkeypatch):
    monkeypatch.setenv("FACEPP_KEY", "key1")
    monkeypatch.setenv("FACEPP_SECRET", "secret1")
    server = http.server.HTTPServer(("127.0.0.1", 0), Service)
    server.requests, server.answers = [], []
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def client(service, tmp_path, **options):
    waits = []
    made = facepp.FacePlusPlus(
        tmp_path / "cache",
        url=f"http://127.0.0.1:{service.server_port}/facepp/v3/detect",
        sleep=waits.append,
        **options,
    )
    return made, waits


def test_a_face_is_sent_once_and_read(service, tmp_path):
    service.answers = [(200, {"faces": [SMALL_FACE, FACE]})]
    reader, _ = client(service, tmp_path)
    expected = [Attributes("female", 33.0, "asian")]
    assert reader.attributes([GRAY]) == expected
    assert reader.attributes([GRAY, GRAY]) == expected * 2
    assert client(service, tmp_path)[0].attributes([GRAY]) == expected
    assert len(service.requests) == 1
    content_type, body = service.requests[0]
    boundary = content_type.split("boundary=")[1].encode()
    parts = body.split(b"--" + boundary)
    sent = dict(
        (part.split(b'name="')[1].split(b'"')[0], part.split(b"\r\n\r\n", 1)[1][:-2])
        for part in parts[1:-1]
    )
    assert sent[b"api_key"] == b"key1" and sent[b"api_secret"] == b"secret1"
    assert sent[b"return_attributes"] == b"gender,age,ethnicity"
    np.testing.assert_array_equal(decode_image(sent[b"image_file"]), GRAY)
    assert parts[-1] == b"--\r\n"


def test_limits_and_failures_are_waited_out(service, tmp_path):
    service.answers = [
        (403, {"error_message": "CONCURRENCY_LIMIT_EXCEEDED"}),
        (500, {"error_message": "INTERNAL_ERROR"}),
        (0, None),
        (200, {"faces": []}),
    ]
    reader, waits = client(service, tmp_path, calls_per_sec=1e9)
    assert reader.attributes([GRAY]) == [Attributes()]
    assert waits == [1.0, 2.0, 4.0] and not service.answers


def test_a_wrong_key_is_reported_at_once_and_not_kept(service, tmp_path):
    service.answers = [(401, {"error_message": "AUTHENTICATION_ERROR"})]
    reader, waits = client(service, tmp_path, calls_per_sec=1e9)
    with pytest.raises(ValueError, match=r"Face\+\+ refuses: AUTHENTICATION_ERROR"):
        reader.attributes([GRAY])
    assert waits == [] and not (tmp_path / "cache").exists()


def test_an_unreachable_service_is_an_error_after_five_tries(service, tmp_path):
    service.answers = [(502, {})] * facepp.N_TRIES
    reader, _ = client(service, tmp_path, calls_per_sec=1e9)
    with pytest.raises(OSError, match="after 5 tries: HTTP status 502"):
        reader.attributes([GRAY])


def test_calls_keep_their_distance(service, tmp_path):
    service.answers = [(200, {"faces": []})] * 3
    reader, waits = client(service, tmp_path, calls_per_sec=0.01)
    reader.attributes([GRAY, GRAY + 1, GRAY + 2])
    assert len(waits) == 2 and 95 < waits[0] <= 100 and 190 < waits[1] <= 200


def test_without_a_key_or_permission_nothing_is_sent(monkeypatch, tmp_path):
    monkeypatch.delenv("FACEPP_KEY", raising=False)
    with pytest.raises(ValueError, match="FACEPP_KEY"):
        facepp.FacePlusPlus(tmp_path)
    with pytest.raises(ValueError, match="add --send_faces_to_facepp"):
        readings.read_attributes(shared_material(), Provider("facepp"))
