"""SF2F's evaluation on HQ-VoxCeleb, beside the numbers of later papers.

    python -m experiments.supp_sf2f_protocol --data_dir=data/hqvoxceleb \\
        --run_dir=runs/hqvoxceleb --output_dir=results

Bai et al. ("Speech Fusion to Face", 2022) read a generated face back with a face
recognizer and compare it with the mean embedding of the speaker's photographs: cosine,
L1, and recall@K among people. Their VGGFace score is the inception score of a face
classifier. docs/decisions/sf2f-protocol.md says what differs here, and why most
published rows compare only with each other. Pictures of another method for the same
clips (--compared_dirs) are read as ours are, and do compare.
"""

import dataclasses
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from experiments.lib import picture_sets, published, results
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs, RecognizerFile
from experiments.lib.material import Material, draw_clips
from experiments.lib.picture_sets import F2F, PICTURES_AT_ONCE, S2F
from experiments.lib.published import PublishedScore
from experiments.lib.results import NotApplicable, Result, Row, interval
from experiments.lib.sf2f_measures import (
    N_PARTS,
    Distances,
    compute_distances,
    compute_means,
    compute_own_and_others,
    compute_recalls,
    compute_vggface_score,
)
from speech2face.images import decode_image
from speech2face.options import Options, option, run_command

if TYPE_CHECKING:
    from speech2face.recognizers.base import Recognizer

NAME = "supp_sf2f_protocol"
GALLERIES = (50, 100)  # people; SF2F's code has 100
_OURS = "rows read here"
_SF2F_ROWS = "rows of SF2F's repository: another classifier"
_VOX2FACE_ROWS = "rows of Vox2Face: other recognizer, galleries not stated"
# Names of VoxCeleb's people; published rows are of some of these.
_VOXCELEB_ID = re.compile(r"id\d{5}")


@dataclasses.dataclass(frozen=True)
class ProtocolOptions(Options):
    """Pictures to compare, their recognizer, and the galleries."""

    compared_dirs: tuple[str, ...] = option(
        (), "Folders of other methods' pictures of the same clips, label=folder each."
    )
    read_by: Literal["model", "dlib", "vgg_face"] = option(
        "model",
        "Recognizer that reads the pictures: the one whose features the model takes, "
        "or another one, which no training has seen.",
    )
    n_galleries: int = option(
        1_000,
        "How many galleries of each size are drawn.",
        minimum=1,
        maximum=1_000_000,
    )


# Reading


def read_photographs(
    material: Material, recognizer: "Recognizer", person: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Reads each photograph of a person once, however many clips have it.

    Args:
      material: model and clips.
      recognizer: reads the photographs.
      person: index of the person of each of the n clips.

    Returns:
      Embeddings [p, d] and people [p].
    """
    seen: set[tuple[int, bytes]] = set()
    people: list[int] = []

    def batches() -> Iterator[np.ndarray]:
        batch: list[np.ndarray] = []
        for index, example in material.stream(range(len(person))):
            # The bytes tell photographs apart: several clips may have the same one.
            key = int(person[index]), example.face_jpeg
            if key not in seen:
                seen.add(key)
                people.append(key[0])
                batch.append(decode_image(example.face_jpeg))
            if len(batch) == PICTURES_AT_ONCE:
                yield np.stack(batch)
                batch = []
        if batch:
            yield np.stack(batch)

    embeddings = picture_sets.read_set(batches(), recognizer).features
    return embeddings, np.array(people)


def read_logits(batches: Iterable[np.ndarray], weights: str) -> np.ndarray:
    """Reads pictures with VGG-Face's classifier.

    Args:
      batches: [b, 224, 224, 3] uint8 each.
      weights: output file of speech2face.import_vgg_face.

    Returns:
      [n, c].
    """
    from speech2face.recognizers.vgg_face import VggFace, vgg_face_head

    recognizer, head = VggFace(weights), vgg_face_head(weights)
    return np.concatenate(
        [np.asarray(head.logits(recognizer.features(images))) for images in batches]
    )


def _recognizer(material: Material, read_by: str, weights: str) -> "Recognizer":
    from speech2face.recognizers.loading import load_recognizer

    if read_by == "model":
        return picture_sets.recognizer_of(material, weights)
    return load_recognizer(read_by, weights if read_by == "vgg_face" else "")


# Rendering


def render_rows(
    method: str, distances: Distances, person: np.ndarray, n_galleries: int, seed: int
) -> list[Row]:
    """The rows of one set of pictures: cosine, L1, recalls.

    Args:
      method: who made the pictures.
      distances: distances of the n pictures to m people.
      person: [n], who speaks.
      n_galleries: how many galleries of each size are drawn.
      seed: seed of the draws.
    """
    m = distances.cosine.shape[1]
    rows = []
    for title, values in (("cosine", distances.cosine), ("L1", distances.l1)):
        own, others = compute_own_and_others(values, person)
        ends = interval(own, [str(i) for i in range(m)])
        row = Row(_keys(method, title), float(own.mean()), ci95=ends, n=m)
        rows.append(dataclasses.replace(row, chance=others))
    # A gallery of more people than there are cannot be drawn.
    for size in [size for size in GALLERIES if size <= m]:
        recalls = compute_recalls(distances.cosine, person, size, n_galleries, seed)
        for k, percent in recalls.items():
            row = Row(
                _keys(method, f"recall@{k} of {size}, %"),
                ours=float(percent.mean()),
                sd=float(percent.std()),
                n=m,
                chance=100.0 * k / size,
            )
            rows.append(row)
    return rows


def render_published() -> list[Row]:
    """Rows of published scores, each with our rows that it may be compared with."""
    rows = []
    for (method, px), score in published.SF2F_README.items():
        rows += _published_rows(f"{method}, {px} px", score, _SF2F_ROWS)
    for method, score in published.VOX2FACE_TABLE_2.items():
        rows += _published_rows(f"{method}, by Vox2Face", score, _VOX2FACE_ROWS)
    return rows


def _published_rows(method: str, score: PublishedScore, compares: str) -> list[Row]:
    values = {
        "cosine": score.cosine,
        "recall@5, %": score.recall_5,
        "recall@10, %": score.recall_10,
        "VGGFace score": score.vggface_score,
    }
    rows = []
    for measure, value in values.items():
        if value is not None:
            sd = score.vggface_score_sd if measure == "VGGFace score" else None
            keys = _keys(method, measure, compares)
            rows.append(Row(keys, ours=None, paper=value, paper_sd=sd))
    return rows


def _keys(method: str, measure: str, compares: str = _OURS) -> dict[str, str]:
    return {"method": method, "measure": measure, "compares with": compares}


def run(
    material: Material,
    recognizer_file: RecognizerFile | None = None,
    options: ProtocolOptions | None = None,
    recognizer: "Recognizer | None" = None,
) -> Result:
    """Measures our faces, and others' of the same clips, by SF2F's protocol.

    Args:
      material: model and clips.
      recognizer_file: VGG-Face's weights, for the score and for models that need them.
      options: what is compared.
      recognizer: reads the pictures, instead of the one that the options name.

    Raises:
      FileNotFoundError: a folder is missing, or has no picture of a clip.
      NotApplicable: one person only, or a recognizer's weights are not given.
      UserError: an entry of `compared_dirs` has no label, or a file is not a picture.
    """
    options = options or ProtocolOptions()
    folders = picture_sets.parse_folders(options.compared_dirs)
    weights = recognizer_file.vgg_face_weights if recognizer_file else ""
    recognizer = recognizer or _recognizer(material, options.read_by, weights)
    speakers = material.predictions().speaker_ids
    names, person = np.unique(speakers, return_inverse=True)
    if len(names) < 2:
        raise NotApplicable("the clips are of one person: there is nobody to compare")
    photographs, people = read_photographs(material, recognizer, person)
    means = compute_means(photographs, people)
    seed = material.inputs.sample_seed
    rows: dict[str, list[Row]] = {}
    for label, batches in picture_sets.picture_batches(material, folders).items():
        embeddings = picture_sets.read_set(batches, recognizer).features
        distances = compute_distances(embeddings, means)
        rows[label] = render_rows(label, distances, person, options.n_galleries, seed)
    # One clip a person, so that people with many clips count no more than others.
    if weights and len(names) >= N_PARTS:
        clips = draw_clips(speakers, len(names), seed)
        for label, batches in picture_sets.picture_batches(
            material, folders, clips
        ).items():
            score, sd = compute_vggface_score(read_logits(batches, weights), seed)
            keys = _keys(label, "VGGFace score")
            rows[label].append(Row(keys, ours=score, sd=sd, n=len(clips), chance=1.0))
    return Result(
        name=NAME,
        title="SF2F's protocol, and later papers",
        shows="Generated faces, read back by a face recognizer and compared with the "
        "mean embedding of the speaker's photographs, among people.",
        rows=[*_with_ceiling(rows), *render_published()],
        notes=_notes(list(names), len(photographs), recognizer.name, options, weights),
        provenance=material.provenance(),
    )


def _with_ceiling(rows: dict[str, list[Row]]) -> list[Row]:
    """Sets F2F's numbers beside those of S2F, and the other methods after them."""
    s2f = [
        dataclasses.replace(row, ceiling=of_face.ours)
        for row, of_face in zip(rows[S2F], rows[F2F])
    ]
    others = [label for label in rows if label not in (S2F, F2F)]
    return [*s2f, *(row for label in others for row in rows[label])]


def _notes(
    names: Sequence[str],
    n_photographs: int,
    reader: str,
    options: ProtocolOptions,
    weights: str,
) -> list[str]:
    """Returns the notes that explain the numbers."""
    m = len(names)
    notes = [
        f"{n_photographs:,} photographs of {m:,} people, read by {reader}; chance of "
        "cosine and L1: to other people",
        f"recall: mean and standard deviation of {options.n_galleries:,} galleries, "
        "drawn by seed, with one clip of each person",
        "a row compares with the rows that it names: recalls of other galleries and "
        "cosines of other recognizers do not compare",
        "SCLDM (arXiv 2310.03363) has no row: only its abstract could be read, which "
        "gives improvements of 32.17 and 32.72 on the cosine distance and no values",
        "SF2F's own cosines and recalls have no row: its paper's tables could not be "
        "read; its scores are those of its repository",
        "rows by Vox2Face: from another reader's notes on its Table 2",
    ]
    if any(size > m for size in GALLERIES):
        notes.append(f"{m} people are too few for a gallery of {max(GALLERIES)}")
    if not all(_VOXCELEB_ID.fullmatch(name) for name in names):
        notes.append("the people are not VoxCeleb's: published rows are of others")
    elif m != published.HQ_VOXCELEB_TEST_PEOPLE:
        notes.append(
            f"HQ-VoxCeleb's test split has {published.HQ_VOXCELEB_TEST_PEOPLE} people"
        )
    if not weights:
        notes.append("VGGFace score: needs --vgg_face_weights")
    elif m < N_PARTS:
        notes.append(f"VGGFace score: needs {N_PARTS} people")
    return notes


EXPERIMENT = Experiment(
    NAME, Section.FACIAL_FEATURES, run, takes=(Material, RecognizerFile)
)


def main(
    inputs: Inputs, recognizer_file: RecognizerFile, options: ProtocolOptions
) -> None:
    """Measures, prints and writes.

    Args:
      inputs: model, data set, number of clips and output folder.
      recognizer_file: VGG-Face's weights, for the score and for models that need them.
      options: pictures to compare, their recognizer, and the galleries.
    """
    result = run(Material(inputs), recognizer_file, options)
    results.finish(result, inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, RecognizerFile, ProtocolOptions)
