"""Writes what a run measures while it trains: TensorBoard events and a JSON log.

Each line of `summaries/log.jsonl` is one summary: {"kind": "train" | "validation",
"step": ..., term: value, ...}. Fig. 8 is drawn from it. What is in a summary, and why:
docs/decisions/summaries.md
"""

import contextlib
import json
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from speech2face import files
from speech2face.artifacts.run_folder import SUMMARY_DIR
from speech2face.buckets import BucketPath
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import decode, parse_json

LOG_FILE = "log.jsonl"
TRAIN, VALIDATION = "train", "validation"  # kinds of summaries


class Summaries:
    """Writes the summaries of a run; a context manager."""

    def __init__(self, run_dir: PathLike, first_step: int):
        """Opens the logs and drops entries after `first_step`, which come again."""
        self._target = files.as_path(run_dir) / SUMMARY_DIR
        self._stack = contextlib.ExitStack()
        self._dir = self._stack.enter_context(_growing_folder(self._target))
        kept = [entry for entry in read_log(run_dir) if entry["step"] <= first_step]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        files.write_atomically(self._dir / LOG_FILE, text.encode(), is_ours=True)
        self._log = (self._dir / LOG_FILE).open("a")
        self._writers: dict[str, Any] = {}  # of TensorBoard events, by kind

    def scalars(self, kind: str, step: int, values: dict[str, float]) -> None:
        """Logs named numbers.

        Args:
          kind: `TRAIN` or `VALIDATION`.
          step: iteration.
          values: name -> number.
        """
        self._log.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._log.flush()  # others read the log while it grows
        with self._writer(kind).as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def faces(self, kind: str, step: int, image: np.ndarray) -> None:
        """Logs a picture, and keeps the newest as `<kind>_faces.png`.

        Args:
          kind: `TRAIN` or `VALIDATION`.
          step: iteration.
          image: [h, w, 3] uint8.
        """
        with self._writer(kind).as_default(step):
            tf.summary.image("faces", image[np.newaxis])
        path = self._dir / f"{kind}_faces.png"
        with files.atomic_path(path, is_ours=True) as temporary:
            Image.fromarray(image).save(temporary, "PNG")

    def histograms(self, kind: str, step: int, values: dict[str, np.ndarray]) -> None:
        """Logs the distributions of named arrays, for TensorBoard only.

        Args:
          kind: `TRAIN` or `VALIDATION`.
          step: iteration.
          values: name -> numbers of any shape.
        """
        with self._writer(kind).as_default(step):
            for name, value in values.items():
                tf.summary.histogram(name, value)

    def _writer(self, kind: str) -> tf.summary.SummaryWriter:
        if kind not in self._writers:
            folder = str(self._dir / kind)
            self._writers[kind] = tf.summary.create_file_writer(folder)
        return self._writers[kind]

    def sync(self) -> None:
        """Copies what has been written to the bucket, if the run is in one."""
        if isinstance(self._target, BucketPath):
            for writer in self._writers.values():
                writer.flush()
            for path in sorted(self._dir.rglob("*")):
                if path.is_file() and path.name != files.MADE_FILE:
                    name = path.relative_to(self._dir).as_posix()
                    (self._target / name).upload(path)

    def __enter__(self) -> "Summaries":
        return self

    def __exit__(self, *_: Any) -> None:
        self._log.close()
        for writer in self._writers.values():
            writer.close()
        with self._stack:
            self.sync()


@contextlib.contextmanager
def _growing_folder(target: pathlib.Path) -> Iterator[pathlib.Path]:
    """Yields a local folder for the logs, which grow; objects of a bucket cannot."""
    if isinstance(target, BucketPath):
        with tempfile.TemporaryDirectory(prefix="speech2face-") as folder:
            yield pathlib.Path(folder)
        return
    target.mkdir(parents=True, exist_ok=True)
    yield target


def event_dir(run_dir: PathLike, kind: str) -> pathlib.Path:
    """Returns the folder of the TensorBoard events of a kind of summary."""
    return files.as_path(run_dir) / SUMMARY_DIR / kind


def read_log(run_dir: PathLike) -> list[dict[str, Any]]:
    """Returns the entries of a run's log, oldest first.

    A last line that was cut off is left out: the run was killed while it wrote.

    Raises:
      UserError: another line is damaged.
    """
    path = files.as_path(run_dir) / SUMMARY_DIR / LOG_FILE
    lines = path.read_bytes().splitlines() if path.is_file() else []
    entries = []
    for number, line in enumerate(lines, start=1):
        source = f"{path}, line {number}"
        try:
            content = parse_json(line, source)
        except UserError:
            if number < len(lines):
                raise
            break
        entries.append(decode(dict[str, Any], content, source))
    return entries
