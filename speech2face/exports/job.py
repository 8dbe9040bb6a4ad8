"""`speech2face.export`: writes each file, reopens it in its own runtime, compares.

Nothing is left of an export of which one file does not give what the Keras models give.
"""

import dataclasses
import importlib.util
import json
import os
import pathlib
import typing
from typing import Callable, List, NamedTuple, Sequence

from speech2face import files
from speech2face.exports import (
    comparison,
    encoded_audio,
    network,
    onnx_model,
    saved_model,
    small_weights,
    tflite,
)
from speech2face.exports.comparison import Row
from speech2face.exports.network import Runtime
from speech2face.exports.small_weights import WeightType
from speech2face.inference import Speech2Face

TABLE_FILE = "exports.md"
RESULTS_FILE = "exports.json"


class Format(NamedTuple):
    """One kind of file.

    Attributes:
      name: of the file or folder, with `{}` for the weights' suffix.
      write: the model into a path.
      load: a path into its own runtime.
    """

    name: str
    write: Callable[[Speech2Face, pathlib.Path, WeightType], None]
    load: Callable[[pathlib.Path], Runtime]


BUNDLE = "bundle"
FORMATS = {
    "savedmodel": Format("saved_model{}", saved_model.write, saved_model.load),
    "savedmodel_io": Format(
        "saved_model_io{}", saved_model.write_with_contents, saved_model.load_contents
    ),
    "tflite": Format("speech2face{}.tflite", tflite.write, tflite.load),
    "onnx": Format("speech2face{}.onnx", onnx_model.write, onnx_model.load),
}


def export(
    model: Speech2Face,
    output_dir: "os.PathLike[str]",
    formats: Sequence[str],
    weights: Sequence[WeightType],
) -> List[Row]:
    """Writes the model in every format, with each kind of weights.

    Args:
      model: the trained model.
      output_dir: a new folder, or one with an earlier export, which is replaced.
      formats: 'bundle' and names of `FORMATS`.
      weights: see `small_weights`; a bundle takes one, float32 or float16.

    Returns:
      A row for each file; also in `exports.md` and `exports.json`.

    Raises:
      ValueError: a wrong name, a missing package, or a file does not give what the
        Keras models give; `output_dir` is then as it was.
    """
    output_dir = pathlib.Path(output_dir)
    _check(output_dir, formats, weights)
    rows = []
    with files.atomic_path(output_dir) as temporary:
        if BUNDLE in formats:
            model.save(temporary, half=weights[0] == "float16")
        temporary.mkdir(exist_ok=True)
        chosen = [FORMATS[name] for name in formats if name != BUNDLE]
        for kind in weights if chosen else ():
            rows += _export_all(model, temporary, chosen, kind)
        if rows:
            _write_table(temporary, rows)
    return rows


def _check(output_dir, formats, weights) -> None:
    for name, known in (
        *((name, (BUNDLE, *FORMATS)) for name in formats),
        *((kind, typing.get_args(WeightType)) for kind in weights),
    ):
        if name not in known:
            raise ValueError(f"{name!r} is none of {', '.join(known)}")
    if not formats or not weights:
        raise ValueError("name at least one format and one kind of weights")
    if BUNDLE in formats and tuple(weights) not in (("float32",), ("float16",)):
        raise ValueError(
            f"a bundle holds float32 or float16 weights, not {','.join(weights)}: "
            "export the other formats by a command of their own"
        )
    if "onnx" in formats and not importlib.util.find_spec("tf2onnx"):
        raise ValueError(
            'the format onnx needs pip install -c constraints.txt -e ".[export]"'
        )
    if "savedmodel_io" in formats:
        encoded_audio.tensorflow_io()
    found = {path.name for path in output_dir.glob("*")}
    if found and not found & {TABLE_FILE, "voice_encoder.npz"}:
        raise ValueError(f"{output_dir} is not empty and no export: name a new folder")


def _export_all(model, folder, formats, weights) -> List[Row]:
    voices = comparison.voices(model)
    unrounded = [network.in_keras(model, waveforms) for waveforms in voices]
    suffix = "" if weights == "float32" else f"_{weights}"
    rows = []
    with small_weights.rounded([model.encoder, model.decoder.model], weights):
        expected = [network.in_keras(model, waveforms) for waveforms in voices]
        for one in formats:
            path = folder / one.name.format(suffix)
            one.write(model, path, weights)
            call = one.load(path)
            outputs = [call(waveforms) for waveforms in voices]
            comparison.check_equal(path.name, outputs, expected)
            call_ms = comparison.time_calls(model, call)
            rows.append(comparison.measure(path, weights, outputs, unrounded, call_ms))
    return rows


def _write_table(folder: pathlib.Path, rows: List[Row]) -> None:
    (folder / TABLE_FILE).write_text(comparison.to_markdown(rows))
    text = json.dumps([dataclasses.asdict(row) for row in rows], indent=2)
    (folder / RESULTS_FILE).write_text(text + "\n")
