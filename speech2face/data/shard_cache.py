"""Copies of the newest shards from object stores: docs/decisions/buckets.md."""

import pathlib
import tempfile
import threading

from speech2face.buckets import BucketPath, is_url

# Shards that are kept on this disk: three groups of `input_pipeline`, so that none is
# removed before it is read.
_N_KEPT = 48


class ShardCache:
    """Copies of the shards that were read last, on this machine's disk.

    TensorFlow reads `gs://` itself. It has no file system for the other stores that
    works here: that of tensorflow-io 0.37.1 ends every process with an abort.
    """

    def __init__(self, n_kept: int = _N_KEPT):
        """Keeps so many shards; the folder is made when the first one is read."""
        self._n_kept = n_kept
        self._folder: tempfile.TemporaryDirectory | None = None
        self._copies: dict[str, pathlib.Path] = {}
        self._n_copied = 0
        self._lock = threading.Lock()
        self._lock_of: dict[str, threading.Lock] = {}

    def local_name(self, name: str) -> str:
        """Returns the name under which TensorFlow can open a file."""
        if not is_url(name) or name.startswith("gs://"):
            return name
        with self._lock:
            lock = self._lock_of.setdefault(name, threading.Lock())
        with lock:  # one download of a shard; several shards at once
            return str(self._copy(name))

    def _copy(self, name: str) -> pathlib.Path:
        with self._lock:
            copy = self._copies.pop(name, None)
            if copy:
                self._copies[name] = copy  # the newest
                return copy
            if self._folder is None:
                self._folder = tempfile.TemporaryDirectory(prefix="speech2face-")
            copy = pathlib.Path(self._folder.name, f"{self._n_copied}.tfrecord")
            self._n_copied += 1
        BucketPath(name).download(copy)
        with self._lock:
            self._copies[name] = copy
            for old in list(self._copies)[: -self._n_kept]:
                self._copies.pop(old).unlink(missing_ok=True)
        return copy


SHARDS = ShardCache()
