"""A rehearsal of the paper's recipe: does it train as a whole, and learn of voices?

    python -m experiments.rehearsal --output_dir=rehearsal
    python -m experiments.rehearsal --output_dir=rehearsal --short    # in minutes

Everything is that of configs/paper.flags but the width of Table 1 and the number of
iterations: 6 s of sound, 4096-D features and 2622 classes of a VGG-Face of true size,
1000 units of f_dec, Eq. 1 with the paper's weights, its ADAM. People, voices and the
weights of VGG-Face are generated (docs/decisions/rehearsal.md). Prints each command as
a user would type it, writes the curves and a table, and fails if the network has not
learned what the decision page asks for. Rerun the same command to resume.
"""

import csv
import dataclasses
import io
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lib import generated_vgg_face, plots, results
from experiments.lib.commands import run
from experiments.lib.inputs import Inputs
from experiments.lib.material import Material
from experiments.lib.results import Result, Row
from experiments.lib.runs import measure_run
from speech2face import files, paper
from speech2face.config import LoopConfig, NormalizerConfig
from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.faces import detection
from speech2face.images import read_image
from speech2face.metrics import similarity
from speech2face.options import Options, option, run_command
from speech2face.weights.vgg_face_size import PAPER_SIZE, VggFaceSize

NAME = "rehearsal"
CONFIGS = pathlib.Path(__file__).resolve().parents[1] / "configs"
# Of --short: the layers of VGG-Face with a few channels.
_NARROW = VggFaceSize(
    blocks=((8, 8), (16, 16), (16, 16, 16), (32, 32, 32), (32, 32, 32)),
    fc_units=64,
    n_classes=50,
)
_N_CALIBRATION_FACES = 32  # faces of training people that set the weights of VGG-Face
_N_LAST_ENTRIES = 10  # of the training's log: 100 iterations
_N_PHOTOGRAPHS = 64  # one a person; of the decoder, Eq. 1 reads the first layer alone


@dataclasses.dataclass(frozen=True)
class RehearsalOptions(Options):
    """Size of the rehearsal, and its folder."""

    output_dir: str = option("rehearsal", "Folder for everything it makes.")
    n_people: int = option(600, "Generated people.", minimum=3, maximum=1_000_000)
    clips_per_person: int = option(1, "Clips of each.", minimum=1, maximum=10_000)
    width: float = option(
        0.125, "Factor on the channels of Table 1 (paper: 1).", above=0, maximum=16
    )
    iterations: int = option(
        2000, "Iterations (paper: 637,500).", minimum=1, maximum=10_000_000
    )
    short: bool = option(
        False,
        "A few people and iterations, a narrow VGG-Face: a check of the commands.",
    )


class Folders:
    """Folders of the rehearsal's commands, under one root."""

    def __init__(self, root: pathlib.Path):
        self.people = root / "people"
        self.clips = root / "clips.csv"
        self.photographs = root / "photographs.csv"
        self.vgg_face = root / "vgg_face.weights.h5"
        self.voices = root / "data" / "voices"
        self.faces = root / "data" / "faces"
        self.decoder_run = root / "runs" / "decoder"
        self.voice_run = root / "runs" / "voice"


def main(options: RehearsalOptions) -> None:
    """Runs every command, then writes the curves and the table."""
    folders = Folders(pathlib.Path(options.output_dir))
    for command in commands(folders, options):
        run(command)
    result = measure(folders, options.output_dir)
    results.finish(result, options.output_dir)
    if not options.short:
        check(result)


def commands(folders: Folders, options: RehearsalOptions) -> Iterator[list[str]]:
    """Yields the command lines in order, without `python -m`.

    Between them it writes what no command makes: the weights of VGG-Face and the
    manifests. Run each before taking the next. A command resumes, or does nothing,
    if it ran before.
    """
    n_people = 12 if options.short else options.n_people
    clips_per_person = 1 if options.short else options.clips_per_person
    yield [
        "data_prep.sample_people",
        f"--output_dir={folders.people}",
        f"--n_people={n_people}",
        f"--clips_per_person={clips_per_person}",
        # People without a voice serve the decoder alone, of which little is asked here.
        "--n_silent_people=0",
    ]
    _write_manifests(folders)
    if not folders.vgg_face.exists():
        _write_vgg_face(folders, options.short)
    recognizer = f"--vgg_face_weights={folders.vgg_face}"
    yield [
        "data_prep.build_tfrecords",
        f"--manifest={folders.clips}",
        f"--media_dir={folders.people}",
        f"--output_dir={folders.voices}",
        recognizer,
    ]
    yield [
        "data_prep.build_decoder_tfrecords",
        f"--manifest={folders.photographs}",
        f"--media_dir={folders.people}",
        f"--output_dir={folders.faces}",
        recognizer,
    ]
    yield [
        "speech2face.train_face_decoder",
        f"--flagfile={CONFIGS}/paper_decoder.flags",
        f"--data_dir={folders.faces}",
        f"--voice_data_dir={folders.voices}",
        f"--run_dir={folders.decoder_run}",
        recognizer,
        # A step through VGG-Face takes eight seconds on two cores.
        "--identity_weight=0",
        *(["--texture_channels=8,8,8,8,8", "--epochs=1"] if options.short else []),
    ]
    yield [
        "speech2face.train",
        f"--flagfile={CONFIGS}/paper.flags",
        f"--data_dir={folders.voices}",
        f"--decoder_dir={folders.decoder_run}/decoder",
        f"--run_dir={folders.voice_run}",
        f"--width={0.03125 if options.short else options.width}",
        f"--epochs={_epochs(folders, 12 if options.short else options.iterations)}",
        # Often, as a rehearsal lasts an hour: a kill costs two minutes at most.
        "--save_every=100",
        f"--summarize_every={1 if options.short else 10}",
        f"--validate_every={4 if options.short else 250}",
    ]


def measure(folders: Folders, output_dir: str) -> Result:
    """Measures the trained run on unseen voices, and draws its curves.

    Args:
      folders: folders of a rehearsal whose commands have run.
      output_dir: where predictions are kept.
    """
    from speech2face.training.summaries import read_log

    inputs = Inputs(
        data_dir=str(folders.voices),
        run_dir=str(folders.voice_run),
        output_dir=output_dir,
    )
    material = Material(inputs)
    one_answer_deg = _one_answer_deg(material)
    log = read_log(folders.voice_run)
    angle, recall, rank = measure_run(material, paper.CLIP_SECS)
    trained = [angle_deg(entry) for entry in log if entry["kind"] == "train"]
    return Result(
        name=NAME,
        title="A rehearsal of the recipe on generated people",
        shows="Angle between v_s and v_f, and retrieval, for the voices of people whom "
        "the training has not heard; the first row is the angle of the training's last "
        "entries in the log. Chance of an angle is one answer for all voices: the mean "
        "face of the training.",
        rows=[
            Row(
                {"measure": "training: angle (deg)"},
                ours=float(np.mean(trained[-_N_LAST_ENTRIES:])),
                chance=one_answer_deg,
            ),
            dataclasses.replace(angle, chance=one_answer_deg),
            recall,
            rank,
        ],
        picture=_draw(log, one_answer_deg),
        notes=[
            f"{log[-1]['step']:,} iterations; the paper: 637,500",
            "recall: share of voices whose true face is in the first tenth of all",
        ],
        provenance=material.provenance(),
    )


def check(result: Result) -> None:
    """Raises UserError if the network has not learned to tell voices apart.

    For people whom the training has not heard: the angle must be below that of one
    answer for all voices, the smallest that needs no hearing, and the interval of the
    recall above chance.
    """
    _, angle, recall, _ = result.rows
    low = recall.ci95[0] if recall.ci95 else 0.0
    # An angle that is missing counts as the worst one.
    is_near = float(angle.ours or 180) < float(angle.chance or 0)
    if not (is_near and low > float(recall.chance or 100)):
        raise UserError(
            "the recipe has not trained yet: for people who were not heard the angle "
            f"is {angle.ours:.1f} degrees and should be below {angle.chance:.1f}, that "
            f"of the mean face; the recall's interval begins at {low:.1f} % and should "
            f"begin above {recall.chance:.1f} %. Raise --iterations to train on"
        )


def voice_length(entry: Mapping[str, float]) -> float:
    """Returns about |v_s| from an entry of the training log.

    The gradient of |v_f/|v_f| - v_s/|v_s||^2 is 2 sin(angle) / |v_s|.
    """
    angle = np.radians(angle_deg(entry))
    return float(2 * np.sin(angle) / entry["gradient/feature_l2"])


def angle_deg(entry: Mapping[str, float]) -> float:
    """Returns about the angle between v_s and v_f: the L2 is 2 - 2 cos(angle)."""
    return float(np.degrees(np.arccos(1 - entry["feature_l2"] / 2)))


def _one_answer_deg(material: Material) -> float:
    """Returns the mean angle between the faces and the mean face of the training."""
    mean = np.array(material.info.feature_statistics.mean, np.float32)
    mean = material.model.decoder.normalizer.normalize(mean)
    faces = material.predictions().face_features
    answers = np.broadcast_to(mean, faces.shape)
    return float(similarity.feature_distances(faces, answers)["cos_deg"].mean())


def _draw(log: Sequence[Mapping[str, Any]], one_answer_deg: float) -> bytes:
    """Draws losses, length, angle and recall over the iterations, as PNG."""
    train = [entry for entry in log if entry["kind"] == "train"]
    val = [entry for entry in log if entry["kind"] == "validation"]
    steps, val_steps = [[entry["step"] for entry in part] for part in (train, val)]
    figure = plots.figure(9, 6)
    (losses, length), (angle, recall) = figure.subplots(2, 2)
    losses.plot(steps, [e["total"] for e in train], color=plots.OURS, lw=1)
    losses.plot(val_steps, [e["total"] for e in val], "-o", color=plots.PAPER)
    losses.set_ylabel("Eq. 1")
    length.plot(steps, [voice_length(e) for e in train], color=plots.OURS, lw=1)
    length.axhline(NormalizerConfig().feature_norm, color=plots.CHANCE, ls="--")
    length.set_ylabel("|v_s| (dashed: |v_f|)")
    angle.plot(steps, [angle_deg(e) for e in train], color=plots.OURS, lw=1)
    angle.plot(val_steps, [e["cos_deg"] for e in val], "-o", color=plots.PAPER)
    angle.axhline(one_answer_deg, color=plots.CHANCE, ls="--")
    angle.set_ylabel("angle (dashed: mean face), degrees")
    recalls = [e["recall_percent_10"] * 100 for e in val]
    recall.plot(val_steps, recalls, "-o", color=plots.PAPER)
    # In the nearest 10 % of the gallery, chance is 10 %.
    recall.axhline(10, color=plots.CHANCE, ls="--")
    recall.set_ylim(bottom=0)
    recall.set_ylabel("recall@10 % (dashed: chance)")
    for axis in (losses, length, angle, recall):
        axis.set_xlabel("Iteration")
    figure.suptitle("Blue: training. Orange: people not heard in training.", size=9)
    return plots.to_png(figure)


def _write_manifests(folders: Folders) -> None:
    """Writes the manifests of the voices and of the photographs.

    All faces are the frontal, evenly lit photograph. Of a frame of the video, random
    weights see the light and the wall as much as the person.
    """
    faces = {row["speaker_id"]: row for row in _rows(folders.people / "faces.csv")}
    for row in faces.values():
        row["face"] = row["normalized_face"]
    clips = _rows(folders.people / "manifest.csv")
    for clip in clips:
        # These say where the face is in a frame, and the face is a photograph here.
        clip.pop("face_x")
        clip.pop("face_y")
        clip["face"] = faces[clip["speaker_id"]]["face"]
    _write_rows(folders.clips, clips)
    _write_rows(folders.photographs, list(faces.values())[:_N_PHOTOGRAPHS])


def _rows(path: pathlib.Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _write_rows(path: pathlib.Path, rows: Sequence[Mapping[str, str]]) -> None:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_atomically(path, stream.getvalue().encode())


def _write_vgg_face(folders: Folders, is_short: bool) -> None:
    """Generates the recognizer, with the geometry of faces of the training split."""
    rows = [row for row in _rows(folders.photographs) if row["split"] == "train"]
    crops = []
    for row in rows[:_N_CALIBRATION_FACES]:
        face = detection.find_face(read_image(folders.people / row["face"]))
        crops += [face.crop] if face else []
    size = _NARROW if is_short else PAPER_SIZE
    generated_vgg_face.write(folders.vgg_face, np.stack(crops), size)


def _epochs(folders: Folders, n_iterations: int) -> float:
    """Returns the passes over the training voices that take so many iterations."""
    n_clips = dataset_info.read(folders.voices, kind="voice").n_examples("train")
    batch_size = LoopConfig().batch_size
    # Half an iteration more, so that rounding does not take the last one away.
    return round((n_iterations + 0.5) * batch_size / n_clips, 6)


if __name__ == "__main__":
    run_command(main, RehearsalOptions)
