"""Figs. 3, 6, 7, 9, 10 and 11: faces side by side, and the numbers behind them.

Clips are drawn with a seed, one of each speaker, and never picked.
"""

import collections
from typing import Dict, List, Sequence, Tuple

import numpy as np
import sklearn.metrics

from experiments import plots
from experiments.common import NotApplicable, Result, Row, interval
from experiments.material import Material, several_clips
from speech2face import evaluation, metrics, search
from speech2face.evaluation import Predictions
from speech2face.reconstruction import LABEL

N_RETRIEVED = 5

_NOTES = (f"S2F and F2F: each a {LABEL}", "clips: a seeded draw, one of each speaker")


# Fig. 3


def run_fig03(material: Material, n: int = 12, clip_ids: Sequence[str] = ()) -> Result:
    """True face, F2F and S2F of n clips, or of those named.

    Raises:
      ValueError: a named clip is not among the measured ones.
    """
    predictions = material.predictions()
    if clip_ids:
        indices = _indices_of(clip_ids, predictions)
    else:
        indices = material.shown(n)
    columns = [
        material.photographs(indices),
        material.faces(predictions.face_features[indices]).images,
        material.faces(predictions.voice_features[indices]).images,
    ]
    triplets = [list(triplet) for triplet in zip(*columns)]
    rows = [sum(triplets[i : i + 2], []) for i in range(0, len(triplets), 2)]
    titles = ["true face", "F2F: from the face", "S2F: from the voice"]
    return Result(
        name="fig03_qualitative",
        title="Fig. 3. Qualitative results",
        shows="The true face, what the face decoder makes of its feature (F2F: the "
        "best that S2F could be), and what the model makes of the voice (S2F). The "
        "paper highlights successful results; these are random.",
        picture=plots.face_sheet(rows, titles * min(2, len(triplets))),
        notes=_NOTES if not clip_ids else _NOTES[:1],
        provenance=material.provenance(),
    )


def _indices_of(clip_ids: Sequence[str], predictions: Predictions) -> List[int]:
    position = {name: index for index, name in enumerate(predictions.clip_ids)}
    missing = [name for name in clip_ids if name not in position]
    if missing:
        raise ValueError(f"no clip {', '.join(missing)} among those measured")
    return [position[name] for name in clip_ids]


# Fig. 6


def compute_fig06(predictions: Dict[int, Predictions]) -> Dict[int, np.ndarray]:
    """Angles [n] in degrees to the true feature, by seconds of audio."""
    return {
        secs: metrics.feature_distances(p.face_features, p.voice_features)["cos_deg"]
        for secs, p in predictions.items()
    }


def run_fig06(material: Material, n: int = 8) -> Result:
    """S2F from the first 3 and 6 seconds of the same clips."""
    predictions = {secs: material.predictions(secs) for secs in (3, 6)}
    angles = compute_fig06(predictions)
    speakers = predictions[6].speaker_ids
    rows = [_mean_row(f"{s} s", angle, speakers) for s, angle in angles.items()]
    gain = angles[3] - angles[6]
    rows.append(_mean_row("3 s minus 6 s, same clip", gain, speakers))
    indices = material.shown(n)
    faces = [
        material.faces(predictions[secs].voice_features[indices]).images
        for secs in (3, 6)
    ]
    sheet = [material.photographs(indices), *faces]
    captions = [[""] * len(indices)]
    captions += [[f"{s} s: {angles[s][i]:.0f} deg" for i in indices] for s in (3, 6)]
    return Result(
        name="fig06_duration",
        title="Fig. 6. The effect of the duration of the audio",
        shows="True faces (top), S2F from 3 seconds (middle) and from 6 (bottom), by "
        "the same model. The paper finds more of the person with 6 seconds.",
        rows=rows,
        picture=plots.face_sheet(sheet, captions=captions),
        notes=["angle to the true feature, in degrees; smaller is nearer", *_NOTES],
        provenance=material.provenance(),
    )


def _mean_row(name: str, values: np.ndarray, speaker_ids: Sequence[str]) -> Row:
    return Row(
        {"angle (deg)": name},
        ours=float(values.mean()),
        sd=float(values.std()),
        ci95=interval(values, speaker_ids),
        n=len(values),
    )


# Fig. 7


def compute_fig07(
    predictions: Predictions, indices: Sequence[int]
) -> Tuple[np.ndarray, np.ndarray]:
    """The five faces nearest to each voice, by cosine.

    Returns:
      Clips [q, 5] whose face they are (the first of those that share it), and the
      ranks [q] of the true faces.
    """
    gallery, own = evaluation.gallery(predictions.face_features)
    first = np.unique(own, return_index=True)[1]
    voices = predictions.voice_features[indices]
    nearest, _ = search.nearest(voices, gallery, N_RETRIEVED)
    return first[nearest], search.ranks(voices, gallery, own[indices], "cos")


def run_fig07(material: Material, n: int = 6) -> Result:
    """S2F, the true face, and the five nearest faces; the true one is framed."""
    predictions = material.predictions()
    indices = material.shown(n)
    retrieved, ranks = compute_fig07(predictions, indices)
    queries = material.faces(predictions.voice_features[indices]).images
    photographs = material.photographs([*indices, *retrieved.ravel().tolist()])
    _, face = evaluation.gallery(predictions.face_features)
    rows = []
    for line, index in enumerate(indices):
        start = len(indices) + line * retrieved.shape[1]
        found = photographs[start : start + retrieved.shape[1]]
        hits = face[retrieved[line]] == face[index]
        shown = [plots.framed(f) if hit else f for f, hit in zip(found, hits)]
        rows.append([queries[line], photographs[line], *shown])
    n_faces = face.max() + 1
    captions = [
        ["", f"rank {rank:.0f} of {n_faces:,}", *[""] * retrieved.shape[1]]
        for rank in ranks
    ]
    titles = ["S2F", "true face", *(str(k + 1) for k in range(retrieved.shape[1]))]
    return Result(
        name="fig07_retrieval_examples",
        title="Fig. 7. Retrieval examples",
        shows="The faces nearest to the feature predicted from speech, by cosine; the "
        "true face has a green frame where it is among them.",
        picture=plots.face_sheet(rows, titles, captions),
        notes=_NOTES,
        provenance=material.provenance(),
    )


# Fig. 9


def compute_fig09(
    features: np.ndarray, speaker_ids: Sequence[str]
) -> Dict[str, np.ndarray]:
    """Angles in degrees between all pairs of voice features [n, d].

    Returns:
      'within' a speaker and 'between' speakers; and 'is_within' and 'angle', both for
      all pairs.
    """
    left, right = np.triu_indices(len(features), 1)
    names = np.asarray(speaker_ids)
    angle = metrics.feature_distances(features[left], features[right])["cos_deg"]
    is_within = names[left] == names[right]
    return {
        "within": angle[is_within],
        "between": angle[~is_within],
        "is_within": is_within,
        "angle": angle,
    }


def run_fig09(material: Material, n: int = 6, n_clips: int = 5) -> Result:
    """Faces from different clips of one speaker, and how near their features are."""
    predictions = material.predictions()
    clips = several_clips(predictions)
    speakers = sorted(clips)
    np.random.default_rng(material.inputs.sample_seed).shuffle(speakers)
    measured = _consistency_sample(clips, speakers)
    names = [predictions.speaker_ids[i] for i in measured]
    halves = _halves(material, measured)
    across = compute_fig09(predictions.voice_features[measured], names)
    rows = _consistency_rows(across, halves, names)
    shown = [clips[speaker][:n_clips] for speaker in speakers[:n]]
    sheet = []
    for indices in shown:
        faces = material.faces(predictions.voice_features[indices]).images
        sheet.append([material.photographs(indices[:1])[0], *faces])
    longest = max(len(row) for row in sheet) - 1
    titles = ["true face", *(f"S2F, clip {k + 1}" for k in range(longest))]
    return Result(
        name="fig09_consistency",
        title="Fig. 9. Consistency",
        shows="Faces from different speech of the same person; the paper finds them "
        "consistent within and between videos, and gives no number.",
        rows=rows,
        picture=plots.face_sheet(sheet, titles),
        notes=[
            "angle between predicted features: of the two halves of a clip, of two "
            "clips of one speaker, of two speakers",
            "halves are short: each is tiled to the length of the training clips",
            "ROC area: how often two clips of one speaker are nearer than clips of two",
            *_NOTES,
        ],
        provenance=material.provenance(),
    )


def _consistency_sample(clips: Dict[str, List[int]], speakers: Sequence[str]):
    """Clips of as many whole speakers as stay within 2,000 clips, for all pairs."""
    chosen: List[int] = []
    for speaker in speakers:
        if len(chosen) + len(clips[speaker]) > 2000:
            break
        chosen += clips[speaker]
    return chosen


def _halves(material: Material, indices: Sequence[int]) -> np.ndarray:
    """Angles [n] between the features of the two halves of clips."""
    waveforms = [example.waveform for example in material.examples(indices)]
    first = material.model.voice_features([w[: len(w) // 2] for w in waveforms])
    second = material.model.voice_features([w[len(w) // 2 :] for w in waveforms])
    return metrics.feature_distances(first, second)["cos_deg"]


def _consistency_rows(
    across: Dict[str, np.ndarray], halves: np.ndarray, names: Sequence[str]
) -> List[Row]:
    rows = [_mean_row("halves of a clip", halves, names)]
    for kind, title in (
        ("within", "clips of one speaker"),
        ("between", "clips of two speakers"),
    ):
        values = across[kind]
        rows.append(
            Row(
                {"angle (deg)": title},
                ours=float(values.mean()),
                sd=float(values.std()),
                n=len(values),
            )
        )
    area = None
    if len(across["between"]):
        area = sklearn.metrics.roc_auc_score(across["is_within"], -across["angle"])
    rows.append(
        Row(
            {"angle (deg)": "ROC area, one speaker or two"},
            ours=area and float(area),
            n=len(across["angle"]),
            chance=0.5,
        )
    )
    return rows


# Fig. 10


def compute_fig10(predictions: Predictions, label: str) -> List[Tuple[int, int]]:
    """Pairs of clips of one speaker in two languages, one for each such speaker.

    Raises:
      NotApplicable: no clip has the label, or no speaker two values of it.
    """
    clips: Dict[str, Dict[str, int]] = collections.defaultdict(dict)
    for index, labels in enumerate(predictions.labels):
        if label in labels:
            found = clips[predictions.speaker_ids[index]]
            found.setdefault(labels[label], index)
    if not clips:
        raise NotApplicable(f"the clips have no label {label!r}")
    pairs = [
        tuple(found[value] for value in sorted(found)[:2])
        for found in clips.values()
        if len(found) > 1
    ]
    if not pairs:
        raise NotApplicable(f"no speaker has clips of two values of {label!r}")
    return pairs


def run_fig10(material: Material, label: str = "language", n: int = 6) -> Result:
    """S2F of one speaker in two languages, beside their features' angle."""
    predictions = material.predictions()
    pairs = compute_fig10(predictions, label)
    one, two = (predictions.voice_features[list(side)] for side in zip(*pairs))
    angles = metrics.feature_distances(one, two)["cos_deg"]
    names = [predictions.speaker_ids[first] for first, _ in pairs]
    rows = [_mean_row(f"one speaker, two values of {label}", angles, names)]
    rows += _same_label_row(predictions, label)
    shown = np.random.default_rng(material.inputs.sample_seed).permutation(len(pairs))
    sheet, captions = [], []
    for place in shown[:n]:
        first, second = pairs[place]
        faces = material.faces(predictions.voice_features[[first, second]]).images
        sheet.append([material.photographs([first])[0], *faces])
        values = [predictions.labels[i][label] for i in (first, second)]
        captions.append([f"{angles[place]:.0f} deg apart", *values])
    return Result(
        name="fig10_language",
        title=f"Fig. 10. The effect of {label}",
        shows="The same speaker in two languages. The paper shows one whose face "
        "changes with the language and one whose does not.",
        rows=rows,
        picture=plots.face_sheet(sheet, ["true face", "S2F", "S2F"], captions),
        notes=["angle between predicted features", *_NOTES],
        provenance=material.provenance(),
    )


def _same_label_row(predictions: Predictions, label: str) -> List[Row]:
    """The angle between clips of one speaker with the same label, if there are any."""
    angles, names = [], []
    groups: Dict[Tuple[str, str], List[int]] = collections.defaultdict(list)
    for index, labels in enumerate(predictions.labels):
        if label in labels:
            groups[predictions.speaker_ids[index], labels[label]].append(index)
    for (speaker, _), indices in groups.items():
        if len(indices) > 1:
            pair = predictions.voice_features[indices[:2]]
            angles.append(metrics.feature_distances(pair[:1], pair[1:])["cos_deg"][0])
            names.append(speaker)
    if not angles:
        return []
    return [_mean_row(f"one speaker, one value of {label}", np.array(angles), names)]
