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
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import requests

from experiments.lib.attributes import Attributes
from speech2face.errors import UserError
from speech2face.files import PathLike, write_atomically
from speech2face.images import encode_png
from speech2face.json_codec import read_json

URL = "https://api-us.faceplusplus.com/facepp/v3/detect"
ATTRIBUTES = "gender,age,ethnicity"
TIMEOUT_SECS = 30.0
N_TRIES = 5  # with waits of 1, 2, 4 and 8 s between them
# The API's own names. These two errors pass with time; all others are the caller's.
_RETRIED = ("CONCURRENCY_LIMIT_EXCEEDED", "INTERNAL_ERROR")


class FacePlusPlus:
    """Attributes of faces by Face++; see the module."""

    def __init__(
        self,
        cache_dir: PathLike,
        url: str = URL,
        calls_per_sec: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
    ):
        """Reads the key and makes no call.

        Args:
          cache_dir: where answers are kept.
          url: address of the service.
          calls_per_sec: the free plan allows about one at a time.
          sleep: waits so many seconds.

        Raises:
          UserError: the environment has no key.
        """
        self._key = os.environ.get("FACEPP_KEY", "")
        self._secret = os.environ.get("FACEPP_SECRET", "")
        if not (self._key and self._secret):
            raise UserError(
                "Face++ needs FACEPP_KEY and FACEPP_SECRET in the environment"
            )
        self._cache_dir, self._url = pathlib.Path(cache_dir), url
        self._interval_secs, self._sleep = 1.0 / calls_per_sec, sleep
        self._next_call_secs = 0.0

    def attributes(self, images: Iterable[np.ndarray]) -> list[Attributes]:
        """Reads the largest face in each image [h, w, 3] uint8; empty if it sees none.

        Raises:
          UserError: the service refuses: a wrong key, a used-up plan.
          OSError: it cannot be reached.
        """
        return [_parse(self._detect(encode_png(image))) for image in images]

    def _detect(self, picture: bytes) -> dict[str, Any]:
        cached = self._cache_dir / f"{hashlib.sha256(picture).hexdigest()}.json"
        if cached.is_file():
            return read_json(cached, dict[str, Any])
        answer = self._call(picture)
        write_atomically(cached, json.dumps(answer).encode())
        return answer

    def _call(self, picture: bytes) -> dict[str, Any]:
        for attempt in range(N_TRIES):
            self._wait_for_turn()
            try:
                response = self._post(picture)
                if response.ok:
                    return response.json()
            except requests.RequestException as error:  # or an answer that is not JSON
                failure = str(error)
            else:
                failure = _failure(response)
                if response.status_code < 500 and not failure.startswith(_RETRIED):
                    raise UserError(f"Face++ refuses: {failure}")
            if attempt + 1 < N_TRIES:
                self._sleep(2.0**attempt)
        raise OSError(f"Face++ does not answer after {N_TRIES} tries: {failure}")

    def _post(self, picture: bytes) -> requests.Response:
        return requests.post(
            self._url,
            data={
                "api_key": self._key,
                "api_secret": self._secret,
                "return_attributes": ATTRIBUTES,
            },
            files={"image_file": ("face.png", picture, "image/png")},
            timeout=TIMEOUT_SECS,
        )

    def _wait_for_turn(self) -> None:
        wait_secs = self._next_call_secs - time.monotonic()
        if wait_secs > 0:
            self._sleep(wait_secs)
        start_secs = max(time.monotonic(), self._next_call_secs)
        self._next_call_secs = start_secs + self._interval_secs


def _parse(answer: dict[str, Any]) -> Attributes:
    # The service measures the attributes of the five largest faces only.
    faces = [face for face in answer.get("faces", []) if "attributes" in face]
    if not faces:
        return Attributes()
    attributes = max(faces, key=_area)["attributes"]
    age = _value(attributes, "age")
    return Attributes(
        gender=_class(attributes, "gender"),
        age=None if age in (None, "") else float(age),
        ethnicity=_class(attributes, "ethnicity"),
    )


def _area(face: dict[str, Any]) -> int:
    return face["face_rectangle"]["width"] * face["face_rectangle"]["height"]


def _value(attributes: dict[str, Any], name: str) -> Any:
    return attributes.get(name, {}).get("value")


def _class(attributes: dict[str, Any], name: str) -> str | None:
    return (_value(attributes, name) or "").lower() or None


def _failure(response: requests.Response) -> str:
    try:
        return response.json()["error_message"]
    except (ValueError, KeyError):
        return f"HTTP status {response.status_code}"
