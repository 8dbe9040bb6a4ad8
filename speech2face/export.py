"""Writes a trained model for other runtimes, and proves that each file is equal.

    python -m speech2face.export --run_dir=runs/compact --output_dir=exported \\
        --formats=savedmodel,tflite,onnx

A file takes waveforms [batch, n] at 16 kHz of any length and returns feature,
landmarks, texture and image. Before the command ends, each file is opened in its own
runtime and compared with the Keras models; `exports.md` lists sizes, times and what
smaller weights cost. The default format is the bundle, the folder that `--model_dir`
takes.
"""

import dataclasses
from collections.abc import Sequence
from typing import cast

from speech2face.artifacts.run_folder import check_model_folder
from speech2face.config import IMAGE_SIZE_HELP, ImageSize
from speech2face.exports import request
from speech2face.options import Options, option, required, run_command


@dataclasses.dataclass(frozen=True)
class ExportOptions(Options):
    """Model and formats to export."""

    output_dir: str = required(
        "Folder of the result; an earlier export is replaced.", bucket=True
    )
    run_dir: str = option(
        "",
        "Run folder or bundle; by default the compact model that ships.",
        exists="folder",
        bucket=True,
    )
    formats: tuple[str, ...] = option(
        ("bundle",),
        "Any of bundle, savedmodel, savedmodel_io (also takes the bytes of a WAV, "
        "FLAC, MP3 or Ogg file; needs tensorflow-io), tflite, onnx.",
    )
    image_size: ImageSize = option("224", IMAGE_SIZE_HELP)
    weights: tuple[str, ...] = option(
        ("float32",), "How weights are stored, any of float32, float16, int8."
    )


def main(options: ExportOptions) -> None:
    """Writes all files and prints the table."""
    check_model_folder(options.run_dir)
    request.check(
        options.output_dir, options.formats, options.weights, int(options.image_size)
    )

    from speech2face.exports import comparison, export_job
    from speech2face.inference.model import Speech2Face

    rows = export_job.export(
        Speech2Face.load(options.run_dir or None, int(options.image_size)),
        options.output_dir,
        options.formats,
        cast(Sequence[request.WeightType], options.weights),  # `check` has seen them
    )
    if rows:
        print(comparison.to_markdown(rows))
    print(f"exported to {options.output_dir}")


if __name__ == "__main__":
    run_command(main, ExportOptions)
