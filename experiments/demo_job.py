"""The commands of the demo, in order, each as a user would type it."""

import os
import pathlib
import shlex
import subprocess
import sys
import time
from typing import List

CONFIGS = pathlib.Path(__file__).resolve().parent.parent / "configs"

PEOPLE, FACES, VOICES = "people", "data/faces", "data/voices"
DECODER_RUN, VOICE_RUN = "runs/decoder", "runs/voice"
EVALUATION, RECONSTRUCTIONS = "evaluation", "reconstructions"
N_RECONSTRUCTED = 6


def run(output_dir: "os.PathLike[str]", is_short: bool) -> None:
    """Runs every stage; each does nothing, or resumes, if it ran before.

    Raises:
      ValueError: a stage failed; it has said why.
    """
    root = pathlib.Path(output_dir)
    root.mkdir(parents=True, exist_ok=True)
    for stage in stages(root, is_short):
        _run_stage(stage)
    _run_stage(_reconstruct(root))


def stages(root: pathlib.Path, is_short: bool) -> List[List[str]]:
    """Returns the command lines (without `python -m`) up to the evaluation."""
    size = ["--n_people=12", "--clips_per_person=2"] if is_short else []
    epochs = ["--epochs=4"] if is_short else []
    components = ["--texture_components=8"] if is_short else []  # of fewer faces
    people, faces, voices = root / PEOPLE, root / FACES, root / VOICES
    decoder_run, voice_run = root / DECODER_RUN, root / VOICE_RUN
    return [
        ["data_prep.sample_people", f"--output_dir={people}", *size],
        [
            "data_prep.build_decoder_tfrecords",
            f"--manifest={people}/faces.csv",
            f"--output_dir={faces}",
            "--recognizer=dlib",
        ],
        [
            "data_prep.build_tfrecords",
            f"--manifest={people}/manifest.csv",
            f"--output_dir={voices}",
            "--recognizer=dlib",
        ],
        [
            "speech2face.train_face_decoder",
            f"--flagfile={CONFIGS}/sample_decoder.flags",
            f"--data_dir={faces}",
            f"--run_dir={decoder_run}",
            *epochs,
            *components,
        ],
        [
            "speech2face.train",
            f"--flagfile={CONFIGS}/sample.flags",
            f"--data_dir={voices}",
            f"--decoder_dir={decoder_run}/decoder",
            f"--run_dir={voice_run}",
            *epochs,
        ],
        [
            "speech2face.evaluate",
            f"--data_dir={voices}",
            "--split=test",
            f"--run_dir={voice_run}",
            f"--output_dir={root / EVALUATION}",
        ],
    ]


def _reconstruct(root: pathlib.Path) -> List[str]:
    from data_prep import manifest

    people = root / PEOPLE
    clips = manifest.read_manifest(people / "manifest.csv", people)
    unseen = {clip.speaker_id: clip.media for clip in clips if clip.split == "test"}
    recordings = [str(path) for path in unseen.values()][:N_RECONSTRUCTED]
    return [
        "speech2face.reconstruct",
        f"--audio={','.join(recordings)}",
        f"--model_dir={root / VOICE_RUN}",
        f"--output_dir={root / RECONSTRUCTIONS}",
    ]


def _run_stage(stage: List[str]) -> None:
    print(f"\n$ python -m {shlex.join(stage)}", flush=True)
    start = time.monotonic()
    status = subprocess.run([sys.executable, "-m", *stage]).returncode
    if status:
        raise ValueError(f"{stage[0]} ended with status {status}; see above")
    print(f"  {time.monotonic() - start:.0f} s", flush=True)
