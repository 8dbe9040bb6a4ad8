"""Supplementary: t-SNE of the features, true and predicted, colored by attribute.

    python -m experiments.supp_tsne --data_dir=data/avspeech \\
        --run_dir=runs/paper --output_dir=results --color_by=gender,age,ethnicity

The paper shows maps of its predicted features colored by gender, age and ethnicity.
Here the same side by side, of the true features and of f_dec, too; the map of the
predicted features once more with the faces that are decoded from them; and a number
that a map cannot give: how often a clip's five nearest neighbors have its label, beside
chance.
"""

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from experiments.lib import plots, results
from experiments.lib.attributes import DECADES, from_labels
from experiments.lib.experiment import Experiment, Section
from experiments.lib.inputs import Inputs
from experiments.lib.material import Material
from experiments.lib.results import NotApplicable, Result, Row
from speech2face.metrics import neighbors
from speech2face.options import Options, option, run_command

NAME = "supp_tsne"
LABELS = ("gender", "age", "ethnicity")  # as in the supplementary
N_POINTS = 1_000  # more dots hide one another; the supplementary has 658
MIN_CLIPS = 5  # for a map to mean anything
N_NEIGHBORS = 5
_MAX_PERPLEXITY = 30.0  # scikit-learn's default
_MAX_EXACT_CLIPS = 300  # up to these the exact method is the faster one
N_CELLS = 14  # across the map with faces: one face in each cell that has a clip
WITH_FACES = "predicted features"  # of `_spaces`: the map that is drawn with faces
_MAX_COLORS = 8  # more cannot be told apart

Values = Sequence[str | None]  # of the label, for each clip


@dataclasses.dataclass(frozen=True)
class MapOptions(Options):
    """Labels that color the map."""

    color_by: tuple[str, ...] = option(
        (), "Labels; by default those of gender, age and ethnicity that there are."
    )
    n_points: int = option(
        N_POINTS, "Random clips on a map.", minimum=MIN_CLIPS, maximum=100_000
    )


def compute_map(features: np.ndarray, seed: int = 0) -> np.ndarray:
    """The t-SNE map [n, 2] of features [n, d] by cosine distance.

    Raises:
      NotApplicable: fewer than 5 clips.
    """
    from sklearn.manifold import TSNE

    if len(features) < MIN_CLIPS:
        raise NotApplicable(
            f"a map needs {MIN_CLIPS} clips or more, not {len(features)}"
        )
    return TSNE(
        metric="cosine",
        init="random",
        method="exact" if len(features) <= _MAX_EXACT_CLIPS else "barnes_hut",
        # A third of few clips: scikit-learn refuses as many neighbors as there are
        # clips.
        perplexity=min(_MAX_PERPLEXITY, (len(features) - 1) / 3),
        random_state=seed,
    ).fit_transform(np.asarray(features, np.float64))


def compute_purity(
    features: np.ndarray,
    labels: np.ndarray,
    speaker_ids: np.ndarray,
    k: int = N_NEIGHBORS,
) -> tuple[float, float]:
    """Share of neighbors, all of them other speakers, that have a clip's label.

    Args:
      features: [n, d].
      labels: [n] values.
      speaker_ids: [n]; a speaker's own clips may share one face and do not count.
      k: neighbors.

    Returns:
      The share among each clip's k nearest clips of other speakers, by cosine, and the
      share among all of them, which is chance.
    """
    most_clips = np.unique(speaker_ids, return_counts=True)[1].max()
    # With that many more, k of them are of other speakers.
    nearest, _ = neighbors.nearest(features, features, k + most_clips)
    shares = []
    for clip, candidates in enumerate(nearest):
        is_other = speaker_ids[candidates] != speaker_ids[clip]
        others = candidates[is_other][:k]
        shares.append(np.mean(labels[others] == labels[clip]))
    is_other = speaker_ids[:, np.newaxis] != speaker_ids
    agrees = labels[:, np.newaxis] == labels
    return float(np.mean(shares)), float(agrees[is_other].mean())


def run(
    material: Material, labels: Sequence[str] = (), n_points: int = N_POINTS
) -> Result:
    """Maps features and f_dec, true and predicted, colored by labels side by side.

    Args:
      material: model and clips.
      labels: what colors the maps; by default those of `LABELS` that there are.
      n_points: how many random clips are on a map; the table is of all clips.
    """
    predictions = material.predictions()
    values = {
        label: values_of(label, predictions.labels)
        for label in labels or _present(predictions.labels)
    }
    spaces = _spaces(material)
    seed = material.inputs.sample_seed
    drawn = np.random.default_rng(seed).permutation(len(predictions.clip_ids))[
        :n_points
    ]
    maps = {name: compute_map(space[drawn], seed) for name, space in spaces.items()}
    shown = {label: [of_label[i] for i in drawn] for label, of_label in values.items()}
    cells = one_in_each_cell(maps[WITH_FACES])
    faces = material.faces(predictions.voice_features[drawn[list(cells.values())]])
    rows = [
        row
        for label, of_label in values.items()
        for row in render_rows(spaces, of_label, predictions.speaker_ids, label)
    ]
    return Result(
        name=NAME,
        title="Supplementary. t-SNE of the features",
        shows="Two-dimensional maps of the true face features and of those predicted "
        "from speech, and of the decoder's first layer f_dec of both; in each column "
        "colored by another attribute.",
        rows=rows,
        picture=_draw(
            maps, shown or {"": [None] * len(drawn)}, dict(zip(cells, faces.images))
        ),
        notes=[
            f"the faces: one clip for each of {N_CELLS} x {N_CELLS} cells of the map "
            f"of {WITH_FACES}",
            f"each map is of its own space, of {len(drawn):,} clips: places compare "
            "only along a line",
            "age: classes as in Fig. 4",
        ],
        provenance=material.provenance(),
    )


def one_in_each_cell(
    points: np.ndarray, n_cells: int = N_CELLS
) -> dict[tuple[int, int], int]:
    """Divides a map into cells; returns the first point of each cell that has one.

    Args:
      points: [n, 2].
      n_cells: along each side of the map.

    Returns:
      (column from the left, line from below) -> index of the point.
    """
    lowest, highest = points.min(axis=0), points.max(axis=0)
    # Not less than 1e-9: all points may share a coordinate.
    scaled = (points - lowest) / np.maximum(highest - lowest, 1e-9)
    # The highest point belongs to the last cell, not to one beyond.
    places = np.minimum((scaled * n_cells).astype(int), n_cells - 1)
    found: dict[tuple[int, int], int] = {}
    for index, (column, line) in enumerate(places):
        found.setdefault((int(column), int(line)), index)
    return found


def values_of(label: str, labels: Sequence[dict[str, str]]) -> list[str | None]:
    """The value of a label for each clip; for an age, its class as in Fig. 4."""
    if label == "age":
        return [from_labels(of_clip).decade for of_clip in labels]
    return [of_clip.get(label) or None for of_clip in labels]


def _spaces(material: Material) -> dict[str, np.ndarray]:
    """Returns the features to map, [n, d] each."""
    from speech2face.models.face_decoder import decoder_activation_layer

    predictions = material.predictions()
    f_dec = decoder_activation_layer(material.model.decoder.model)
    spaces = {}
    for side, features in (
        ("true", predictions.face_features),
        ("predicted", predictions.voice_features),
    ):
        spaces[f"{side} features"] = features
        spaces[f"f_dec of {side} features"] = np.asarray(f_dec(features), np.float32)
    return spaces


def _present(labels: Sequence[dict[str, str]]) -> list[str]:
    present = {name for of_clip in labels for name in of_clip}
    return [name for name in LABELS if name in present]


def render_rows(
    spaces: dict[str, np.ndarray],
    values: Values,
    speaker_ids: Sequence[str],
    label: str,
) -> list[Row]:
    """Makes the table, if the label has two values or more.

    Args:
      spaces: features [n, d] by name.
      values: n values of the label, None where a clip has none.
      speaker_ids: speaker of each of the n clips.
      label: name of the label.
    """
    known = [i for i, value in enumerate(values) if value is not None]
    labels = np.array([values[i] for i in known])
    speakers = np.array([speaker_ids[i] for i in known])
    if len(set(labels)) < 2 or len(set(speakers)) < 2:
        return []
    rows = []
    for name, features in spaces.items():
        share, chance = compute_purity(features[known], labels, speakers)
        keys = {
            "space": name,
            "measure": f"{N_NEIGHBORS} nearest others of the same {label}",
        }
        rows.append(Row(keys, ours=share, n=len(known), chance=chance))
    return rows


def _draw(
    maps: dict[str, np.ndarray],
    values: Mapping[str, Values],
    faces: Mapping[tuple[int, int], np.ndarray],
) -> bytes:
    """A line for each space, a column for each label; below them, the faces."""
    width, height = max(8, 4.5 * len(values)), 4 * len(maps)
    figure = plots.figure(width, height + width)
    of_maps, of_faces = plots.stacked(figure, [height, width])
    _draw_faces(of_faces.subplots(), faces)
    axes = of_maps.subplots(len(maps), len(values), squeeze=False)
    for column, (label, of_label) in enumerate(values.items()):
        shown = _colored_values(label, of_label)
        for line, (name, points) in enumerate(maps.items()):
            axis = axes[line, column]
            _draw_map(axis, points, of_label, shown)
            # Without ticks: the coordinates of t-SNE mean nothing.
            axis.set(title=f"{name}, by {label}" if label else name, xticks=[])
            axis.set_yticks([])
        axes[0, column].legend(title=label or None, fontsize=8, markerscale=1.5)
    return plots.to_png(figure)


def _draw_faces(axis: Any, faces: Mapping[tuple[int, int], np.ndarray]) -> None:
    for (column, line), face in faces.items():
        axis.imshow(face, extent=(column, column + 1, line, line + 1))
    axis.set(
        title=f"{WITH_FACES}, decoded",
        xlim=(0, N_CELLS),
        ylim=(0, N_CELLS),
        xticks=[],
        yticks=[],
    )


def _colored_values(label: str, values: Values) -> list[str]:
    """The commonest values of a label, in their order: ages by age."""
    counts = collections.Counter(value for value in values if value is not None)
    common = {value for value, _ in counts.most_common(_MAX_COLORS)}
    order = DECADES if label == "age" else sorted(common)
    return [value for value in order if value in common]


def _draw_map(
    axis: Any, points: np.ndarray, values: Values, shown: Sequence[str]
) -> None:
    is_other = np.array([value not in shown for value in values], bool)
    if is_other.any():
        name = "other" if shown else "clips"
        axis.scatter(*points[is_other].T, s=12, color=plots.CHANCE, label=name)
    for index, value in enumerate(shown):
        has_value = np.array([v == value for v in values], bool)
        axis.scatter(*points[has_value].T, s=12, color=f"C{index}", label=value)


EXPERIMENT = Experiment(NAME, Section.FACIAL_FEATURES, run)


def main(inputs: Inputs, options: MapOptions) -> None:
    """Maps, prints and writes."""
    results.finish(
        run(Material(inputs), options.color_by, options.n_points), inputs.output_dir
    )


if __name__ == "__main__":
    run_command(main, Inputs, MapOptions)
