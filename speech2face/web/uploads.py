"""Recordings that visitors have sent, in memory until they are used.

An upload is not a file, so there is no path that a client could name: the page answers
an upload with a key that cannot be guessed, and the key is good for one use by the
visitor who has it. See docs/decisions/uploads-in-memory.md.
"""

import contextlib
import dataclasses
import io
import secrets
import threading
import time
from collections.abc import Iterator

from speech2face.errors import UserError
from speech2face.web import texts
from speech2face.web.limits import Limits

MAX_NAME_CHARS = 100  # of a file's name: it is shown in one line


@dataclasses.dataclass
class Upload:
    """A recording that is being received or waits to be used.

    Attributes:
      visitor: who sent it.
      name: name of the visitor's file, without folders.
      content: the bytes so far.
      since: time.monotonic() of the last change.
    """

    visitor: str
    name: str
    content: io.BytesIO
    since: float


class Uploads:
    """The uploads of all visitors; may be used from several threads."""

    def __init__(self, limits: Limits):
        """Begins without any upload."""
        self._limits = limits
        self._lock = threading.Lock()
        self._waiting: dict[str, Upload] = {}
        self._n_bytes = 0  # of waiting uploads and of those being received

    @property
    def n_bytes(self) -> int:
        """Memory that uploads take now."""
        return self._n_bytes

    @contextlib.contextmanager
    def receiving(self, visitor: str) -> Iterator["Receiver"]:
        """Receives one upload; what was received is freed unless it is kept.

        Raises:
          UserError: `visitor` has too many uploads that wait.
        """
        self.forget_old()
        n_waiting = sum(one.visitor == visitor for one in self._waiting.copy().values())
        if n_waiting >= self._limits.max_uploads:
            raise UserError(texts.TOO_MANY_UPLOADS, reason="too_many_uploads")
        receiver = Receiver(self, visitor)
        try:
            yield receiver
        finally:
            if not receiver.is_kept:
                self._reserve(-receiver.n_bytes)

    def belongs_to(self, key: str, visitor: str) -> bool:
        """Returns whether `key` is of an upload of `visitor` that waits."""
        with self._lock:
            upload = self._waiting.get(key)
        return upload is not None and upload.visitor == visitor

    def take(self, key: str) -> Upload:
        """Returns an upload and forgets it.

        Raises:
          UserError: there is none with this key: it was used, or it is too old.
        """
        self.forget_old()
        with self._lock:
            upload = self._waiting.pop(key, None)
            if upload is None:
                raise UserError(texts.UPLOAD_IS_GONE, reason="upload_is_gone")
            self._n_bytes -= len(upload.content.getbuffer())
        return upload

    def forget_old(self) -> None:
        """Forgets uploads that nobody used in time."""
        oldest = time.monotonic() - self._limits.keep_secs
        with self._lock:
            old = [key for key, one in self._waiting.items() if one.since < oldest]
            for key in old:
                self._n_bytes -= len(self._waiting.pop(key).content.getbuffer())

    def _keep(self, upload: Upload) -> str:
        key = f"{secrets.token_urlsafe(16)}/{upload.name}"
        with self._lock:
            self._waiting[key] = upload
        return key

    def _reserve(self, n_bytes: int) -> None:
        """Counts `n_bytes` more; raises UserError if that is more than there may be."""
        with self._lock:
            if n_bytes + self._n_bytes > self._limits.max_bytes_in_memory:
                raise UserError(texts.BUSY, reason="busy")
            self._n_bytes += n_bytes


class Receiver:
    """Takes the bytes of one upload as they arrive."""

    def __init__(self, uploads: Uploads, visitor: str):
        """Begins without any bytes."""
        self._uploads = uploads
        self._visitor = visitor
        self._content = io.BytesIO()
        self.n_bytes = 0
        self.is_kept = False

    def write(self, data: bytes) -> None:
        """Adds bytes.

        Raises:
          UserError: the upload is larger than allowed, or the memory for all uploads is
            full.
        """
        limits = self._uploads._limits
        if self.n_bytes + len(data) > limits.max_bytes:
            raise UserError(texts.too_large(limits), reason="too_large")
        self._uploads._reserve(len(data))
        self.n_bytes += len(data)
        self._content.write(data)

    def keep(self, name: str) -> str:
        """Ends the upload and returns its key.

        Args:
          name: name of the visitor's file; folders and characters that do not print are
            left out.
        """
        name = name.replace("\\", "/").rsplit("/", 1)[-1]
        name = "".join(c for c in name if c.isprintable()).strip()[-MAX_NAME_CHARS:]
        upload = Upload(
            self._visitor, name or "the recording", self._content, time.monotonic()
        )
        self.is_kept = True
        return self._uploads._keep(upload)
