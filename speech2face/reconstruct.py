"""Draws the faces that the model predicts from recordings.

    python -m speech2face.reconstruct --audio=a.wav,b.mp3,c.mp4 --output_dir=out
    python -m speech2face.reconstruct --between=a.wav,b.wav --output_dir=out

Writes one PNG per recording, contact_sheet.png and results.json. With --between, also
between.gif: the way from the face of one voice to that of another.
"""

import dataclasses

from speech2face.artifacts.run_folder import check_model_folder
from speech2face.config import (
    EXAGGERATION,
    IMAGE_SIZE_HELP,
    INFERENCE_PRECISION_HELP,
    ImageSize,
    InferencePrecision,
)
from speech2face.errors import UserError
from speech2face.messages import counted, slow_bfloat16
from speech2face.options import Options, option, required, run_command
from speech2face.system import has_fast_bfloat16


@dataclasses.dataclass(frozen=True)
class ReconstructOptions(Options):
    """Recordings to reconstruct, model, and output."""

    output_dir: str = required("Folder for the pictures.")
    audio: tuple[str, ...] = option(
        (), "Recordings, separated by commas: audio or video files.", exists="file"
    )
    between: tuple[str, ...] = option(
        (),
        "Two recordings, between whose faces an animated picture is drawn.",
        exists="file",
    )
    model_dir: str = option(
        "",
        "Bundle or run folder; by default the compact model that ships.",
        exists="folder",
    )
    exaggeration: float = option(
        0.0,
        "Amplify the difference from the average face by this factor; 0 shows the "
        "face as predicted.",
        minimum=EXAGGERATION.minimum,
        maximum=EXAGGERATION.maximum,
    )
    image_size: ImageSize = option("224", IMAGE_SIZE_HELP)
    precision: InferencePrecision = option("float32", INFERENCE_PRECISION_HELP)
    trim_silence: bool = option(
        False, "Remove pauses first, so that silence does not average into the voice."
    )


def main(options: ReconstructOptions) -> None:
    """Reconstructs a face for each recording."""
    if not options.audio and not options.between:
        raise UserError("give --audio, or two recordings with --between; see --help")
    if options.between and len(options.between) != 2:
        raise UserError(
            f"--between={','.join(options.between)}: expected two recordings, "
            "separated by a comma"
        )
    check_model_folder(options.model_dir)
    from speech2face.inference import reconstruction
    from speech2face.inference.model import Speech2Face

    if options.precision == "bfloat16" and not has_fast_bfloat16():
        print(slow_bfloat16("precision"))
    with reconstruction.for_a_single_run(len(options.audio)):
        results = reconstruction.reconstruct(
            Speech2Face.load(
                options.model_dir or None, int(options.image_size), options.precision
            ),
            options.audio,
            options.output_dir,
            options.exaggeration,
            options.trim_silence,
            options.between,
        )
    print(f"{counted(len(results), 'face')} in {options.output_dir}")


if __name__ == "__main__":
    run_command(main, ReconstructOptions)
