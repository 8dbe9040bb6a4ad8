"""Supplementary: t-SNE of predicted and true features, coloured by label."""

from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from experiments import plots
from experiments.common import NotApplicable, Result, Row
from experiments.material import Material
from speech2face import search
from speech2face.models import face_decoder

LEAST = 5  # clips, for a map to mean anything
_MAX_COLOURS = 8
_EXACT_CLIPS = 300  # up to these the exact method is the faster one


def compute(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """The t-SNE map [n, 2] of features [n, d] by cosine distance.

    Raises:
      NotApplicable: fewer than 5 clips.
    """
    from sklearn import manifold

    if len(features) < LEAST:
        raise NotApplicable(f"a map needs {LEAST} clips or more, not {len(features)}")
    perplexity = min(30.0, (len(features) - 1) / 3)
    is_small = len(features) <= _EXACT_CLIPS
    return manifold.TSNE(
        metric="cosine",
        init="random",
        method="exact" if is_small else "barnes_hut",
        perplexity=perplexity,
        random_state=seed,
    ).fit_transform(np.asarray(features, np.float64))


def purity(
    features: np.ndarray, labels: np.ndarray, speaker_ids: np.ndarray, k: int = 5
) -> Tuple[float, float]:
    """How often neighbours that are other speakers have a clip's label.

    Args:
      features: [n, d].
      labels: [n] values.
      speaker_ids: [n]; a speaker's own clips may share one face and do not count.
      k: neighbours.

    Returns:
      The share among each clip's k nearest clips of other speakers, by cosine, and the
      share among all of them, which is chance.
    """
    most_own = np.unique(speaker_ids, return_counts=True)[1].max()
    nearest, _ = search.nearest(features, features, k + most_own)
    shares = []
    for own, found in enumerate(nearest):
        others = found[speaker_ids[found] != speaker_ids[own]][:k]
        shares.append(np.mean(labels[others] == labels[own]))
    is_other = speaker_ids[:, np.newaxis] != speaker_ids
    agrees = labels[:, np.newaxis] == labels
    return float(np.mean(shares)), float(agrees[is_other].mean())


def run(material: Material, label: str = "") -> Result:
    """Maps features and f_dec, true and predicted, coloured by a label."""
    predictions = material.predictions()
    label = label or _first_label(predictions.labels)
    values = [labels.get(label) for labels in predictions.labels]
    f_dec = face_decoder.decoder_activation_layer(material.model.decoder.model)
    spaces = {}
    for side, features in (
        ("true", predictions.face_features),
        ("predicted", predictions.voice_features),
    ):
        spaces[f"{side} features"] = features
        spaces[f"f_dec of {side} features"] = np.asarray(f_dec(features), np.float32)
    maps = {
        name: compute(features, material.inputs.sample_seed)
        for name, features in spaces.items()
    }
    return Result(
        name="supp_tsne",
        title="Supplementary. t-SNE of the features",
        shows="Two-dimensional maps of the true face features and of those predicted "
        "from speech, and of the decoder's first layer f_dec of both.",
        rows=_rows(spaces, values, predictions.speaker_ids, label),
        picture=_draw(maps, values, label),
        notes=["each map is of its own space: places compare only within a map"],
        provenance=material.provenance(),
    )


def _first_label(labels: List[Dict[str, str]]) -> str:
    names = {name for found in labels for name in found}
    preferred = [n for n in ("gender", "age", "ethnicity", "language") if n in names]
    return preferred[0] if preferred else ""


def _rows(
    spaces: Dict[str, np.ndarray],
    values: List[Optional[str]],
    speaker_ids: Sequence[str],
    label: str,
) -> List[Row]:
    """How often neighbours agree, where the label has two values or more."""
    known = [i for i, value in enumerate(values) if value is not None]
    labels = np.array([values[i] for i in known])
    speakers = np.array([speaker_ids[i] for i in known])
    if len(set(labels)) < 2 or len(set(speakers)) < 2:
        return []
    rows = []
    for name, features in spaces.items():
        share, chance = purity(features[known], labels, speakers)
        keys = {"space": name, "measure": f"5 nearest others of the same {label}"}
        rows.append(Row(keys, ours=share, n=len(known), chance=chance))
    return rows


def _draw(
    maps: Dict[str, np.ndarray], values: List[Optional[str]], label: str
) -> bytes:
    figure = plots.figure(10, 9)
    shown = sorted({value for value in values if value is not None})[:_MAX_COLOURS]
    groups = [(f"C{index}", value, value) for index, value in enumerate(shown)]
    if len(shown) < len(set(values)):
        groups.insert(0, (plots.CHANCE, None, "other" if shown else "clips"))
    for axis, (name, points) in zip(figure.subplots(2, 2).ravel(), maps.items()):
        for color, value, title in groups:
            is_in = np.array(
                [v == value if value else v not in shown for v in values], bool
            )
            axis.scatter(*points[is_in].T, s=12, color=color, label=title)
        axis.set(title=name, xticks=[], yticks=[])
    axis.legend(title=label or None, fontsize=8)
    return plots.to_png(figure)
