"""The job of `speech2face.export`, in order:

1. check the request (`request.check`);
2. save the bundle, if it was asked for;
3. for each kind of weights: round the model's weights, then for each format: write the
   file, open it in its own runtime, compare it with the Keras models (`comparison`),
   and measure its size and speed;
4. write the table of all files.

All of it happens in a temporary folder, which then takes the place of the output
folder. A format that does not give what Keras gives is left out and named; the others
stay.
"""

import dataclasses
import json
import pathlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from speech2face import files
from speech2face.errors import UserError
from speech2face.exports import (
    comparison,
    encoded_audio,
    network,
    onnx_model,
    request,
    saved_model,
    small_weights,
    tflite,
)
from speech2face.exports.comparison import Row
from speech2face.exports.network import Runtime
from speech2face.exports.request import RESULTS_FILE, TABLE_FILE, WeightType
from speech2face.files import PathLike
from speech2face.inference.model import Speech2Face


class Format(NamedTuple):
    """One kind of file.

    Attributes:
      name: name of the file or folder, with `{}` for the suffix of the weights.
      write: writes a model to a path.
      load: opens a path in its own runtime.
    """

    name: str
    write: Callable[[Speech2Face, pathlib.Path, WeightType], None]
    load: Callable[[pathlib.Path], Runtime]


FORMATS = {
    request.SAVED_MODEL: Format("saved_model{}", saved_model.write, saved_model.load),
    request.SAVED_MODEL_IO: Format(
        "saved_model_io{}", saved_model.write_with_contents, saved_model.load_contents
    ),
    request.TFLITE: Format("speech2face{}.tflite", tflite.write, tflite.load),
    request.ONNX: Format("speech2face{}.onnx", onnx_model.write, onnx_model.load),
}


def export(
    model: Speech2Face,
    output_dir: PathLike,
    formats: Sequence[str],
    weights: Sequence[WeightType],
) -> list[Row]:
    """Writes the model in every format, with each kind of weights.

    Args:
      model: the trained model; in float32 for other formats than the bundle.
      output_dir: a new folder, or one with an earlier export, which is replaced.
      formats: any of `request.FORMATS`.
      weights: see `small_weights`; a bundle takes one, float32 or float16.

    Returns:
      A row for each file; also in `exports.md` and `exports.json`.

    Raises:
      UserError: a wrong name, a missing package, or a model in bfloat16;
        `output_dir` is then as it was. Or a file does not give what the Keras models
        give: the others are written, and this one is named.
    """
    output_dir = files.as_path(output_dir)
    request.check(output_dir, formats, weights)
    if model.precision != "float32" and set(formats) != {request.BUNDLE}:
        raise UserError(
            f"the model computes in {model.precision}; files for other runtimes are "
            "made of one in float32: speech2face.load(folder)",
            reason="bad_precision",
        )
    if request.SAVED_MODEL_IO in formats:
        encoded_audio.tensorflow_io()  # early: does it fit this TensorFlow?
    rows: list[Row] = []
    failures: list[str] = []
    with files.atomic_path(output_dir, kind=request.EXPORT_KIND) as temporary:
        if request.BUNDLE in formats:
            model.save(temporary, half=weights[0] == "float16")
        temporary.mkdir(exist_ok=True)
        chosen = [FORMATS[name] for name in formats if name != request.BUNDLE]
        for kind in weights if chosen else ():
            rows += _export_all(model, temporary, chosen, kind, failures)
        if failures and not rows and request.BUNDLE not in formats:
            raise UserError(f"{'; '.join(failures)}; nothing was written")
        if rows:
            _write_table(temporary, rows)
    if failures:
        kept = ", ".join(row.file for row in rows) or "the bundle"
        raise UserError(f"{'; '.join(failures)}; {output_dir} has the others: {kept}")
    return rows


def _export_all(
    model: Speech2Face,
    folder: pathlib.Path,
    formats: Sequence[Format],
    weights: WeightType,
    failures: list[str],
) -> list[Row]:
    """Writes, checks and measures the files of one kind of weights.

    Args:
      model: the trained model.
      folder: folder to write to.
      formats: formats to write.
      weights: how weights are stored.
      failures: takes a sentence for each file that is not equal, which is removed.
    """
    voices = comparison.example_voices(model)
    unrounded = [network.in_keras(model, waveforms) for waveforms in voices]
    suffix = "" if weights == "float32" else f"_{weights}"
    rows = []
    # The files must equal Keras with the same rounded weights; what the rounding itself
    # costs is measured against the unrounded outputs.
    with small_weights.rounded([model.encoder, model.decoder.model], weights):
        expected = [network.in_keras(model, waveforms) for waveforms in voices]
        for one in formats:
            path = folder / one.name.format(suffix)
            one.write(model, path, weights)
            call = one.load(path)
            outputs = [call(waveforms) for waveforms in voices]
            try:
                comparison.check_equal(path.name, outputs, expected)
                call_ms = comparison.time_calls(model, call)
                row = comparison.measure(path, weights, outputs, unrounded, call_ms)
            except UserError as error:
                files.remove(path)
                failures.append(str(error))
            else:
                rows.append(row)
    return rows


def _write_table(folder: pathlib.Path, rows: Sequence[Row]) -> None:
    (folder / TABLE_FILE).write_text(comparison.to_markdown(rows))
    text = json.dumps([dataclasses.asdict(row) for row in rows], indent=2)
    (folder / RESULTS_FILE).write_text(text + "\n")
