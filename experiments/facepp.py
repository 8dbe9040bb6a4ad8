"""A client of the Face++ Detect API, the service behind the paper's Fig. 4.

    https://console.faceplusplus.com/documents/5679127

It sends pictures of faces to a company's servers: nothing here calls it without
`--provider=facepp --send_faces_to_facepp`. The key and the secret come from the
environment, FACEPP_KEY and FACEPP_SECRET. Answers are kept in a folder under the hash
of the picture, so that no picture is sent twice.
"""

import hashlib
import json
import os
import pathlib
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Callable, Dict, List, Sequence

import numpy as np

from experiments.attributes import Attributes
from speech2face import files

URL = "https://api-us.faceplusplus.com/facepp/v3/detect"
ATTRIBUTES = "gender,age,ethnicity"
TIMEOUT_SECS = 30.0
N_TRIES = 5
# The API's own names; these two pass with time, all others are the caller's.
_RETRIED = ("CONCURRENCY_LIMIT_EXCEEDED", "INTERNAL_ERROR")


class FacePlusPlus:
    """Attributes of faces by Face++; see the module."""

    name = "facepp"

    def __init__(
        self,
        cache_dir: "os.PathLike[str]",
        url: str = URL,
        calls_per_sec: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ):
        """Reads the key and makes no call.

        Args:
          cache_dir: where answers are kept.
          url: of the service.
          calls_per_sec: the free plan allows about one at a time.
          sleep: waits so many seconds.

        Raises:
          ValueError: the environment has no key.
        """
        self._key = os.environ.get("FACEPP_KEY", "")
        self._secret = os.environ.get("FACEPP_SECRET", "")
        if not (self._key and self._secret):
            raise ValueError(
                "Face++ needs FACEPP_KEY and FACEPP_SECRET in the environment"
            )
        self._cache_dir, self._url = pathlib.Path(cache_dir), url
        self._interval, self._sleep = 1.0 / calls_per_sec, sleep
        self._next_call = 0.0

    def attributes(self, images: Sequence[np.ndarray]) -> List[Attributes]:
        """Of the largest face in each image [h, w, 3] uint8; empty if it sees none.

        Raises:
          ValueError: the service refuses: a wrong key, a used-up plan.
          OSError: it cannot be reached.
        """
        return [_parse(self._detect(files.encode_png(image))) for image in images]

    def _detect(self, picture: bytes) -> Dict[str, Any]:
        kept = self._cache_dir / f"{hashlib.sha256(picture).hexdigest()}.json"
        if kept.is_file():
            return json.loads(kept.read_text())
        answer = self._call(picture)
        files.write_atomically(kept, json.dumps(answer).encode())
        return answer

    def _call(self, picture: bytes) -> Dict[str, Any]:
        body, content_type = _multipart(
            {
                "api_key": self._key,
                "api_secret": self._secret,
                "return_attributes": ATTRIBUTES,
            },
            picture,
        )
        for attempt in range(N_TRIES):
            self._wait_for_turn()
            request = urllib.request.Request(
                self._url, body, {"Content-Type": content_type}
            )
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_SECS) as answer:
                    return json.loads(answer.read())
            except urllib.error.HTTPError as error:
                reason = _reason(error)
                if error.code < 500 and not reason.startswith(_RETRIED):
                    raise ValueError(f"Face++ refuses: {reason}") from None
            except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
                reason = str(getattr(error, "reason", error))
            if attempt + 1 < N_TRIES:
                self._sleep(2.0**attempt)
        raise OSError(f"Face++ does not answer after {N_TRIES} tries: {reason}")

    def _wait_for_turn(self) -> None:
        wait = self._next_call - time.monotonic()
        if wait > 0:
            self._sleep(wait)
        self._next_call = max(time.monotonic(), self._next_call) + self._interval


def _parse(answer: Dict[str, Any]) -> Attributes:
    faces = [face for face in answer.get("faces", []) if "attributes" in face]
    if not faces:
        return Attributes()
    largest = max(
        faces,
        key=lambda f: f["face_rectangle"]["width"] * f["face_rectangle"]["height"],
    )
    values = {name: v.get("value") for name, v in largest["attributes"].items()}
    age = values.get("age")
    return Attributes(
        gender=(values.get("gender") or "").lower() or None,
        age=None if age in (None, "") else float(age),
        ethnicity=(values.get("ethnicity") or "").lower() or None,
    )


def _reason(error: urllib.error.HTTPError) -> str:
    try:
        return json.loads(error.read())["error_message"]
    except (ValueError, KeyError, OSError):
        return f"HTTP status {error.code}"


def _multipart(fields: Dict[str, str], picture: bytes):
    """The body of a multipart/form-data request, and its content type."""
    boundary = hashlib.sha256(picture).hexdigest()
    start = f"--{boundary}\r\nContent-Disposition: form-data; "
    parts = [
        f'{start}name="{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()
    ]
    head = (
        f'{start}name="image_file"; '
        'filename="face.png"\r\nContent-Type: image/png\r\n\r\n'
    )
    body = "".join(parts).encode() + head.encode() + picture
    body += f"\r\n--{boundary}--\r\n".encode()
    return body, f"multipart/form-data; boundary={boundary}"
