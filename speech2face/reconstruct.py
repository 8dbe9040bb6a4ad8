"""Shows what the model makes of recordings.

    python -m speech2face.reconstruct --audio=a.wav,b.mp3,c.mp4 --output_dir=out

Writes one PNG a recording, contact_sheet.png and results.json.
"""

import dataclasses
from typing import Tuple

from speech2face import flag_config
from speech2face.config_fields import option, required


@dataclasses.dataclass(frozen=True)
class ReconstructOptions:
    """What to show."""

    audio: Tuple[str, ...] = required(
        "Recordings, separated by commas: audio or video files."
    )
    output_dir: str = required("Folder for the pictures.")
    model_dir: str = option(
        "", "Bundle or run folder; by default the compact model that ships."
    )
    exaggeration: float = option(
        0.0,
        "Amplify by this factor what sets the voice's face apart from the average "
        "face; 0 shows it as predicted.",
    )
    trim_silence: bool = option(
        False, "Leave out what is no speech, so that it does not average in."
    )


def main(options: ReconstructOptions) -> None:
    """Reconstructs a face for each recording."""
    from speech2face import reconstruction
    from speech2face.inference import Speech2Face

    with reconstruction.hurried():
        reconstruction.reconstruct(
            Speech2Face.load(options.model_dir),
            options.audio,
            options.output_dir,
            options.exaggeration,
            options.trim_silence,
        )
    print(f"{len(options.audio)} faces in {options.output_dir}")


if __name__ == "__main__":
    flag_config.run(main, ReconstructOptions)
