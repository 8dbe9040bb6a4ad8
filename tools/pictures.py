"""Draws the pictures of README that show the model that ships.

    python -m tools.pictures --output_dir=docs

A maintainer runs it after a change to that model or to the example voices, and commits
the files: `voices_and_faces.jpg`, `between.gif` and `face_space.jpg`. The voices are
synthesized: nobody in these pictures exists. docs/app.png and docs/demo.png are
screenshots of the pages.
"""

import dataclasses
import pathlib

import numpy as np
from PIL import Image

from speech2face import images
from speech2face.app import EXAMPLES_DIR, examples_in
from speech2face.audio.decoding import load_waveform
from speech2face.options import Options, required, run_command
from speech2face.paper import FACE_PX

ENDS = ("Woman 27", "Man 60")  # of `between.gif`
# Of `face_space.jpg`: younger voices on the left, women's above.
CORNERS = (("Woman 27", "Woman 71"), ("Man 24", "Man 60"))
N_STEPS = 5  # faces from corner to corner
_GAP_PX = 8  # between a spectrogram and its face


@dataclasses.dataclass(frozen=True)
class PictureOptions(Options):
    """Output folder."""

    output_dir: str = required("Folder for the pictures.")


def main(options: PictureOptions) -> None:
    """Draws and writes them."""
    from speech2face.inference import reconstruction
    from speech2face.inference.model import load
    from speech2face.web import spectrograms

    folder = pathlib.Path(options.output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    examples = examples_in(EXAMPLES_DIR)
    model = load()
    results = dict(zip(examples, model(list(examples.values()))))
    faces = {name: np.asarray(result.image) for name, result in results.items()}

    rows = []
    for name, path in examples.items():
        heard = Image.fromarray(spectrograms.draw(load_waveform(path)))
        page = Image.new("RGB", (heard.width + _GAP_PX + FACE_PX, FACE_PX + 6), "white")
        page.paste(heard, (0, 0))
        page.paste(Image.fromarray(faces[name]), (heard.width + _GAP_PX, 2))
        rows.append(np.asarray(page))
    sheet = images.grid([rows[:2], rows[2:]])
    _write(folder / "voices_and_faces.jpg", images.encode_jpeg(sheet, quality=88))

    first, second = (results[name].feature for name in ENDS)
    way = reconstruction.faces_between(model, first, second, n_faces=11)
    _write(folder / "between.gif", reconstruction.animation(way))

    left, right = (
        [results[one].feature for one in column]
        for column in zip(*CORNERS, strict=True)
    )
    down = np.linspace(0, 1, N_STEPS, dtype=np.float32)
    walk = [
        reconstruction.faces_between(
            model,
            left[0] + step * (left[1] - left[0]),
            right[0] + step * (right[1] - right[0]),
            N_STEPS,
        )
        for step in down
    ]
    space = images.grid([[face[::2, ::2] for face in row] for row in walk])
    _write(folder / "face_space.jpg", images.encode_jpeg(space, quality=88))


def _write(path: pathlib.Path, content: bytes) -> None:
    path.write_bytes(content)  # in the repository: the maintainer sees what changes
    print(path)


if __name__ == "__main__":
    run_command(main, PictureOptions)
