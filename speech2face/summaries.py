"""What a run says while it trains: TensorBoard events and a JSON-lines log.

`summaries/log.jsonl` has one object per summary: {"kind": "train" | "validation",
"step": ..., term: value, ...}. It is what the figures read (Fig. 8).
"""

import json
import os
import pathlib
from typing import Dict, List

import numpy as np
import tensorflow as tf
from PIL import Image

from speech2face import files
from speech2face.checkpoints import SUMMARY_DIR

LOG_FILE = "log.jsonl"
TRAIN, VALIDATION = "train", "validation"  # kinds of summaries


class Summaries:
    """Writes the summaries of a run; a context manager."""

    def __init__(self, run_dir: os.PathLike, first_step: int):
        """Opens the logs and drops what an earlier run logged after `first_step`."""
        self._run_dir = run_dir
        self._dir = pathlib.Path(run_dir) / SUMMARY_DIR
        self._dir.mkdir(parents=True, exist_ok=True)
        kept = [entry for entry in read_log(run_dir) if entry["step"] <= first_step]
        text = "".join(json.dumps(entry) + "\n" for entry in kept)
        files.write_atomically(self._dir / LOG_FILE, text.encode())
        self._log = open(self._dir / LOG_FILE, "a")  # noqa: SIM115 closed in __exit__
        self._writers = {}

    def scalars(self, kind: str, step: int, values: Dict[str, float]) -> None:
        """Logs named numbers of iteration `step`."""
        self._log.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        self._log.flush()
        with self._writer(kind).as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, value)

    def faces(self, kind: str, step: int, image: np.ndarray) -> None:
        """Logs a picture [h, w, 3] uint8, and keeps it as `<kind>_faces.png`."""
        with self._writer(kind).as_default(step):
            tf.summary.image("faces", image[np.newaxis])
        path = self._dir / f"{kind}_faces.png"
        with files.atomic_path(path) as temporary:
            Image.fromarray(image).save(temporary, "PNG")

    def histograms(self, kind: str, step: int, values: Dict[str, np.ndarray]) -> None:
        """Logs the distribution of named arrays or tensors, for TensorBoard only."""
        with self._writer(kind).as_default(step):
            for name, value in values.items():
                tf.summary.histogram(name, value)

    def _writer(self, kind: str) -> tf.summary.SummaryWriter:
        if kind not in self._writers:
            folder = str(event_dir(self._run_dir, kind))
            self._writers[kind] = tf.summary.create_file_writer(folder)
        return self._writers[kind]

    def __enter__(self) -> "Summaries":
        return self

    def __exit__(self, *_) -> None:
        self._log.close()
        for writer in self._writers.values():
            writer.close()


def event_dir(run_dir: os.PathLike, kind: str) -> pathlib.Path:
    """Where the TensorBoard events of a kind of summary lie."""
    return pathlib.Path(run_dir) / SUMMARY_DIR / kind


def read_log(run_dir: os.PathLike) -> List[dict]:
    """Returns the entries of a run's log, oldest first; a cut last line is left out."""
    path = pathlib.Path(run_dir) / SUMMARY_DIR / LOG_FILE
    entries = []
    for line in path.read_text().splitlines() if path.is_file() else []:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return entries
