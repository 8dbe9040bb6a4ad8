"""The whole job on generated people, from media to a page (`make demo`).

    python -m experiments.demo --output_dir=demo
    python -m experiments.demo --output_dir=demo --short    # a check, in minutes

Runs the commands that a real data set takes, prints each as a user would type it, and
writes index.html: voices to play, true face, F2F and S2F side by side, what the voice
tells of a person, how often it finds the person, and loss curves. Rerun the same
command to resume.
"""

import dataclasses
import os
import pathlib
import sys
from collections.abc import Iterator

from data_prep.clips import manifest
from experiments.lib.commands import run
from speech2face.options import Options, option, run_command

N_RECONSTRUCTED = 6
# Said before it starts: docs/performance.md has the measurement.
_NEEDS = "about 10 minutes on two cores, 0.3 GB of disk and 3 GB of memory"
_SHORT_NEEDS = "about 2 minutes on two cores, 0.2 GB of disk and 3 GB of memory"

# What each of `commands` does, in order.
STEPS = (
    "generate people: voices, videos, photographs",
    "faces: photographs to records",
    "voices: videos to records",
    "train the face decoder",
    "train the voice encoder against it",
    "measure on unseen people",
    "faces of unseen voices",
)


class Folders:
    """Folders of the demo's commands, under one root."""

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.people = root / "people"
        self.faces = root / "data" / "faces"
        self.voices = root / "data" / "voices"
        self.decoder_run = root / "runs" / "decoder"
        self.voice_run = root / "runs" / "voice"
        self.evaluation = root / "evaluation"
        self.reconstructions = root / "reconstructions"


@dataclasses.dataclass(frozen=True)
class DemoOptions(Options):
    """Size of the demo, and its folder."""

    output_dir: str = option("demo", "Folder for everything the demo makes.")
    short: bool = option(False, "A few people and iterations: a check, not a model.")


def main(options: DemoOptions) -> None:
    """Runs every command, then writes the page."""
    folders = Folders(pathlib.Path(options.output_dir))
    folders.root.mkdir(parents=True, exist_ok=True)
    needs = _SHORT_NEEDS if options.short else _NEEDS
    print(f"{len(STEPS)} steps take {needs}. Interrupt at any time; the same command")
    print(f"resumes. All files are written to {folders.root}.", flush=True)
    for number, command in enumerate(commands(folders, options.short), 1):
        print(f"\n[{number} of {len(STEPS)}] {STEPS[number - 1]}")
        run(command)

    from experiments.lib import demo_page  # imports TensorFlow

    page = demo_page.write(
        folders.root,
        data_dir=folders.voices,
        faces_dir=folders.faces,
        decoder_run=folders.decoder_run,
        voice_run=folders.voice_run,
        evaluation=folders.evaluation,
    )
    print(f"\nopen {page}\n\n{_what_next(folders)}")


def _what_next(folders: Folders) -> str:
    """The commands that a reader may try on the demo's own files."""
    lines = [
        "Then try, with the files that it made:",
        *([] if sys.prefix == sys.base_prefix else [f"  source {_activate()}"]),
        f"  python -m speech2face.app --model_dir={folders.voice_run}",
        f"  python -m speech2face.reconstruct --model_dir={folders.voice_run} "
        f"--audio={folders.people}/media/p0000_0.mp4 --output_dir={folders.root}/faces",
        f"  python -m experiments.run_all --data_dir={folders.voices} "
        f"--run_dir={folders.voice_run} --output_dir={folders.root}/results",
        "docs/tutorials/your_data.md explains them.",
    ]
    return "\n".join(lines)


def _activate() -> str:
    """The script of this environment, relative to where the user stands."""
    path = pathlib.Path(sys.prefix) / "bin" / "activate"
    inside = os.path.relpath(path)
    return str(path) if inside.startswith("..") else inside


def commands(folders: Folders, is_short: bool) -> Iterator[list[str]]:
    """Yields the command lines in order, without `python -m`.

    A command resumes, or does nothing, if it ran before. The last one depends on files
    that the first one writes, so run each before taking the next.
    """
    few_people = ["--n_people=12", "--n_silent_people=8"] if is_short else []
    few_epochs = ["--epochs=4"] if is_short else []
    # Fewer faces than components would be refused.
    few_components = ["--texture_components=8"] if is_short else []
    yield [
        "data_prep.sample_people",
        f"--output_dir={folders.people}",
        *few_people,
    ]
    yield [
        "data_prep.build_decoder_tfrecords",
        f"--manifest={folders.people}/faces.csv",
        f"--output_dir={folders.faces}",
        "--recognizer=dlib",
        "--outline_points=26",
        "--outline_margin_px=8",
    ]
    yield [
        "data_prep.build_tfrecords",
        f"--manifest={folders.people}/manifest.csv",
        f"--output_dir={folders.voices}",
        "--recognizer=dlib",
    ]
    yield [
        "speech2face.train_face_decoder",
        "--flagfile=configs/sample_decoder.flags",
        f"--data_dir={folders.faces}",
        f"--run_dir={folders.decoder_run}",
        *few_epochs,
        *few_components,
    ]
    yield [
        "speech2face.train",
        "--flagfile=configs/sample.flags",
        f"--data_dir={folders.voices}",
        f"--decoder_dir={folders.decoder_run}/decoder",
        f"--run_dir={folders.voice_run}",
        *few_epochs,
    ]
    yield [
        "speech2face.evaluate",
        f"--data_dir={folders.voices}",
        "--split=test",
        f"--run_dir={folders.voice_run}",
        f"--output_dir={folders.evaluation}",
    ]
    yield [
        "speech2face.reconstruct",
        f"--audio={','.join(_unseen_recordings(folders.people))}",
        f"--model_dir={folders.voice_run}",
        f"--output_dir={folders.reconstructions}",
    ]


def _unseen_recordings(people: pathlib.Path) -> list[str]:
    """A clip of each of the first speakers of the test split."""
    clips = manifest.read_manifest(str(people / "manifest.csv"), str(people))
    # By speaker, so that each has one clip, the last of theirs.
    unseen = {clip.speaker_id: clip.media for clip in clips if clip.split == "test"}
    return [str(path) for path in unseen.values()][:N_RECONSTRUCTED]


if __name__ == "__main__":
    run_command(main, DemoOptions)
