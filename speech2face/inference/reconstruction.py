"""Writes the faces of recordings as pictures, for `speech2face.reconstruct`."""

import contextlib
import io
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from PIL import Image

from speech2face import files, images
from speech2face.audio.recordings import SoundFile
from speech2face.files import PathLike
from speech2face.images import LABEL
from speech2face.inference.model import Result, Speech2Face

BETWEEN_FILE = "between.gif"
N_BETWEEN = 17  # faces on the way from one voice to another, both included
_STEP_MS, _REST_MS = 80, 1_000  # how long a face on the way and an end are shown
# Of one call of `reconstruct`: of 24, both ways take as long.
_MAX_RECORDINGS_WITHOUT_GRAPHS = 16


def reconstruct(
    model: Speech2Face,
    recordings: Sequence[PathLike],
    output_dir: PathLike,
    exaggeration: float = 0.0,
    trim_silence: bool = False,
    between: Sequence[PathLike] = (),
) -> list[Result]:
    """Writes one PNG per recording, `contact_sheet.png` and `results.json`.

    All recordings are read, block by block, before anything is written.

    Args:
      model: a loaded model.
      recordings: audio or video files.
      output_dir: created if needed; pictures of an earlier call are replaced.
      exaggeration: see `Speech2Face.faces`.
      trim_silence: remove pauses first.
      between: two recordings; `between.gif` shows the way from the face of the first to
        that of the second and back.

    Returns:
      One result for each recording, those of `between` included.

    Raises:
      FileNotFoundError: a recording does not exist.
      UserError: a recording is unreadable or has no voice in it, or `output_dir` has a
        file of such a name that this project did not write.
    """
    output_dir = pathlib.Path(output_dir)
    recordings = [os.fspath(path) for path in recordings]
    ends = [os.fspath(path) for path in between]
    recordings += [path for path in dict.fromkeys(ends) if path not in recordings]
    names = _unique_names(recordings)
    written = [*(f"{name}.png" for name in names), "contact_sheet.png", "results.json"]
    for name in [*written, *([BETWEEN_FILE] if between else [])]:
        files.check_replaceable(output_dir / name)  # at once, not after the work
    sounds = [SoundFile(path, trim_silence) for path in recordings]
    results = model.faces(model.voice_features(sounds), exaggeration)
    for name, result in zip(names, results):
        write_labeled(output_dir / f"{name}.png", result.image)
    sheet = images.contact_sheet([np.asarray(r.image) for r in results], names)
    write_labeled(output_dir / "contact_sheet.png", Image.fromarray(sheet))
    if between:
        first, second = (results[recordings.index(path)].feature for path in ends)
        faces = faces_between(model, first, second, exaggeration=exaggeration)
        files.write_atomically(output_dir / BETWEEN_FILE, animation(faces))
    how = {
        "exaggeration": exaggeration,
        "trim_silence": trim_silence,
        "precision": model.precision,
    }
    rows = [
        _row(str(path), name, result, how)
        for path, name, result in zip(recordings, names, results)
    ]
    text = json.dumps(rows, indent=1) + "\n"
    files.write_atomically(output_dir / "results.json", text.encode())
    return results


def _row(path: str, name: str, result: Result, how: dict[str, Any]) -> dict[str, Any]:
    """Describes one recording and its face, for results.json."""
    return {
        "audio": path,
        "image": f"{name}.png",
        "note": LABEL,
        **how,
        "landmarks": result.landmarks.tolist(),
        "feature": result.feature.tolist(),
    }


def faces_between(
    model: Speech2Face,
    first: np.ndarray,
    second: np.ndarray,
    n_faces: int = N_BETWEEN,
    exaggeration: float = 0.0,
) -> list[np.ndarray]:
    """Returns faces [224, 224, 3] uint8 on the straight line between two features.

    Args:
      model: draws the faces.
      first: v [d].
      second: v [d].
      n_faces: how many, both ends included.
      exaggeration: see `Speech2Face.faces`.
    """
    steps = np.linspace(0, 1, n_faces, dtype=np.float32)[:, np.newaxis]
    results = model.faces(first + steps * (second - first), exaggeration)
    return [np.asarray(result.image) for result in results]


def animation(faces: Sequence[np.ndarray], label: str = LABEL) -> bytes:
    """Returns a GIF that shows faces in turn, there and back, forever.

    Args:
      faces: [h, w, 3] uint8.
      label: is below each face, and in the metadata.
    """
    there = [Image.fromarray(_labeled(face, label)) for face in faces]
    frames = there + there[-2:0:-1]
    durations_ms = [_STEP_MS] * len(frames)
    durations_ms[0] = durations_ms[len(there) - 1] = _REST_MS  # time to look at each
    buffer = io.BytesIO()
    frames[0].save(
        buffer,
        "GIF",
        save_all=True,
        append_images=frames[1:],
        duration=durations_ms,
        loop=0,
        comment=f"{images.SOFTWARE}: {label}",
    )
    return buffer.getvalue()


@contextlib.contextmanager
def without_graph_optimization() -> Iterator[None]:
    """Runs the graphs that are traced inside as they are.

    Optimizing the model's graphs takes longer than running them once.
    """
    optimizer = tf.config.optimizer
    before = {"disable_meta_optimizer": False, **optimizer.get_experimental_options()}
    optimizer.set_experimental_options({**before, "disable_meta_optimizer": True})
    try:
        yield
    finally:
        optimizer.set_experimental_options(before)


@contextlib.contextmanager
def for_a_single_run(n_recordings: int) -> Iterator[None]:
    """Computes what is called inside in the way that is fastest for a single run.

    Args:
      n_recordings: few are computed operation by operation. Tracing the graph of the
        speaker recognizer would take longer than running its 2,900 operations.
    """
    if n_recordings > _MAX_RECORDINGS_WITHOUT_GRAPHS:
        with without_graph_optimization():
            yield
        return
    before = tf.config.functions_run_eagerly()
    tf.config.run_functions_eagerly(True)
    try:
        yield
    finally:
        tf.config.run_functions_eagerly(before)


def write_labeled(path: pathlib.Path, image: Image.Image, label: str = LABEL) -> None:
    """Writes a picture with a label below it and in its PNG metadata.

    Args:
      path: the PNG file.
      image: RGB.
      label: says that the face is synthetic.
    """
    labeled = _labeled(np.asarray(image), label)
    files.write_atomically(path, images.encode_png(labeled, label))


def _labeled(image: np.ndarray, label: str) -> np.ndarray:
    # As far from the edge as what a sheet shows: the label and the captions align.
    return images.with_caption(image, label, indent_px=images.MARGIN_PX)


def _unique_names(recordings: Sequence[PathLike]) -> list[str]:
    names: list[str] = []
    for path in recordings:
        stem = name = pathlib.Path(path).stem
        # a/voice.wav and b/Voice.wav, which is the same name to some file systems; and
        # none replaces the contact sheet.
        while name.casefold() in {"contact_sheet", *(one.casefold() for one in names)}:
            name = f"{stem}_{len(names) + 1}"
        names.append(name)
    return names
