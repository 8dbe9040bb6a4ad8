"""Recordings to pictures on disk: what `speech2face.reconstruct` does."""

import contextlib
import json
import os
import pathlib
from typing import Iterator, List, Sequence

import numpy as np
import tensorflow as tf
from PIL import Image

from speech2face import files, pictures
from speech2face.inference import Result, Speech2Face
from speech2face.recordings import SoundFile

LABEL = "synthetic average face, not the speaker"


def reconstruct(
    model: Speech2Face,
    recordings: Sequence["os.PathLike[str]"],
    output_dir: "os.PathLike[str]",
    exaggeration: float = 0.0,
    trim_silence: bool = False,
) -> List[Result]:
    """Writes one PNG a recording, `contact_sheet.png` and `results.json`.

    Every recording is read before anything is written; none is held in memory.

    Args:
      model: a loaded model.
      recordings: audio or video files.
      output_dir: created if needed; pictures of the same name are replaced.
      exaggeration: see `Speech2Face.faces`.
      trim_silence: leave out what is no speech.

    Raises:
      FileNotFoundError, ValueError: a recording cannot be read or has no voice in it.
    """
    sounds = [SoundFile(path, trim_silence) for path in recordings]
    results = model.faces(model.voice_features(sounds), exaggeration)
    output_dir = pathlib.Path(output_dir)
    names = _unique_names(recordings)
    rows = []
    for path, name, result in zip(recordings, names, results):
        write_labelled(output_dir / f"{name}.png", result.image)
        rows.append(
            {
                "audio": str(path),
                "image": f"{name}.png",
                "note": LABEL,
                "exaggeration": exaggeration,
                "trim_silence": trim_silence,
                "landmarks": result.landmarks.tolist(),
                "feature": result.feature.tolist(),
            }
        )
    sheet = pictures.contact_sheet([np.asarray(r.image) for r in results], names)
    write_labelled(output_dir / "contact_sheet.png", Image.fromarray(sheet))
    text = json.dumps(rows, indent=1) + "\n"
    files.write_atomically(output_dir / "results.json", text.encode())
    return results


@contextlib.contextmanager
def hurried() -> Iterator[None]:
    """Within, new graphs run as they were traced.

    To optimise the model's takes longer than to run them once, and gains little.
    """
    optimizer = tf.config.optimizer
    before = {"disable_meta_optimizer": False, **optimizer.get_experimental_options()}
    optimizer.set_experimental_options({**before, "disable_meta_optimizer": True})
    try:
        yield
    finally:
        optimizer.set_experimental_options(before)


def write_labelled(path: pathlib.Path, image: Image.Image, label: str = LABEL) -> None:
    """Writes a picture that says what it is: below it, and in its PNG metadata."""
    labelled = pictures.with_caption(np.asarray(image), label)
    files.write_atomically(path, files.encode_png(labelled, label))


def _unique_names(recordings: Sequence["os.PathLike[str]"]) -> List[str]:
    names: List[str] = []
    for path in recordings:
        stem = name = pathlib.Path(path).stem
        while name in names or name == "contact_sheet":
            name = f"{stem}_{len(names) + 1}"
        names.append(name)
    return names
