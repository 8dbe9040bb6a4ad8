"""Writes a trained model for use elsewhere, and proves that it gives the same there.

    python -m speech2face.export --run_dir=runs/compact --output_dir=exported \\
        --formats=savedmodel,tflite,onnx

From a waveform [batch, n] at 16 kHz, of any length, to feature, landmarks, texture and
image. Each file is opened in its own runtime and compared with the Keras models before
the command ends; `exports.md` has sizes, times and what smaller weights cost. The
default format is the bundle, the folder that `--model_dir` takes.
"""

import dataclasses
from typing import Tuple

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class ExportOptions:
    """What to export."""

    output_dir: str = required("Folder of the result; an earlier export is replaced.")
    run_dir: str = option(
        "", "Run folder or bundle; '' takes the compact model that ships."
    )
    formats: Tuple[str, ...] = option(
        ("bundle",),
        "Any of bundle, savedmodel, savedmodel_io (also takes the bytes of a WAV, "
        "FLAC, MP3 or Ogg file, by tensorflow-io), tflite, onnx.",
    )
    weights: Tuple[str, ...] = option(
        ("float32",), "How weights are stored, any of float32, float16, int8."
    )


def main(options: ExportOptions) -> None:
    """Writes all files and prints the table."""
    from speech2face.exports import comparison, job
    from speech2face.inference import Speech2Face

    model = Speech2Face.load(options.run_dir or None)
    rows = job.export(model, options.output_dir, options.formats, options.weights)
    if rows:
        print(comparison.to_markdown(rows))
    print(f"exported to {options.output_dir}")


if __name__ == "__main__":
    flag_config.run(main, ExportOptions)
