"""Fig. 5: do faces from voices have the proportions of faces from photographs?

Twelve measures of the face, from dlib's 68 landmarks, are correlated between what the
face decoder makes of the true face (F2F) and of the voice (S2F). Landmarks are (x, y)
pixels at 224 x 224, with dlib's indices from 0.
"""

import functools
import os
import pathlib
from typing import Any, Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np
from PIL import Image

from experiments import plots, published
from experiments.common import NotApplicable, Result, Row, interval
from experiments.material import Material
from speech2face import dlib_weights, metrics

FACE_PX = 224
UPSAMPLE = 4  # dlib's landmarks are whole pixels; these become quarter pixels
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")
RANDOM_ROW = "nasal index"
N_DRAWN = 5


def _distance(a: int, b: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda points: _norm(points[:, a] - points[:, b])


def _norm(vectors: np.ndarray) -> np.ndarray:
    return np.linalg.norm(vectors, axis=-1)


def _mouth(points: np.ndarray) -> np.ndarray:
    """The middle between the lips."""
    return (points[:, 62] + points[:, 66]) / 2


def _ratio(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a / np.maximum(b, 1e-6)


_JAW_WIDTH, _NOSE_HEIGHT, _NOSE_WIDTH = (
    _distance(4, 12),
    _distance(27, 33),
    _distance(31, 35),
)

# The paper cites Merler et al. 2019 for its measures and defines none; DESIGN's.
MEASURES: Dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "upper lip height": lambda p: _norm(p[:, 33] - _mouth(p)),
    "lateral upper lip heights": lambda p: (
        (_distance(32, 50)(p) + _distance(34, 52)(p)) / 2
    ),
    "jaw width": _JAW_WIDTH,
    "nose height": _NOSE_HEIGHT,
    "nose width": _NOSE_WIDTH,
    "labio oral region": _distance(48, 54),
    "mandibular idx": lambda p: _ratio(_norm(_mouth(p) - p[:, 8]), _JAW_WIDTH(p)),
    "intercanthal idx": lambda p: _ratio(_distance(39, 42)(p), _distance(36, 45)(p)),
    "nasal index": lambda p: _ratio(_NOSE_WIDTH(p), _NOSE_HEIGHT(p)),
    "vermilion height idx": lambda p: _ratio(
        _distance(51, 62)(p), _distance(66, 57)(p)
    ),
    "mouth face width idx": lambda p: _ratio(_distance(48, 54)(p), _distance(0, 16)(p)),
    "nose area": lambda p: _NOSE_HEIGHT(p) * _NOSE_WIDTH(p),
}


def detect_landmarks(image: np.ndarray) -> Optional[np.ndarray]:
    """dlib's landmarks of the largest face in an image, at a quarter pixel.

    Args:
      image: [224, 224, 3] uint8 RGB.

    Returns:
      [68, 2] float64, or None where dlib's HOG detector sees no face.
    """
    import dlib

    found = _detector()(image, 0)
    if not found:
        return None
    box = max(found, key=lambda rectangle: rectangle.area())
    edges = (box.left(), box.top(), box.right() + 1, box.bottom() + 1)
    left, top, right, bottom = (UPSAMPLE * edge for edge in edges)
    large = Image.fromarray(image).resize(
        (UPSAMPLE * image.shape[1], UPSAMPLE * image.shape[0]), Image.Resampling.BICUBIC
    )
    box = dlib.rectangle(left, top, right - 1, bottom - 1)
    parts = _landmark_model()(np.asarray(large), box).parts()
    points = np.array([(part.x, part.y) for part in parts], np.float64)
    return (points + 0.5) / UPSAMPLE - 0.5  # pixel centres stay where they are


def compute(
    f2f_landmarks: np.ndarray, s2f_landmarks: np.ndarray, seed: int = 0
) -> Dict[str, Dict[str, Any]]:
    """Correlates the measures of n pairs of faces.

    Args:
      f2f_landmarks, s2f_landmarks: [n, 68, 2].
      seed: of the random pairs.

    Returns:
      By measure, what `metrics.pearson` returns, with 'random', the r of random pairs,
      and 'values' [n, 2].
    """
    other = _derangement(len(f2f_landmarks), seed)
    result = {}
    for name, measure in MEASURES.items():
        f2f, s2f = measure(f2f_landmarks), measure(s2f_landmarks)
        result[name] = {
            **metrics.pearson(f2f, s2f),
            "random": metrics.pearson(f2f, s2f[other])["r"],
            "values": np.stack([f2f, s2f], axis=1),
        }
    return result


def render(
    measured: Dict[str, Dict[str, Any]],
    speaker_ids: Sequence[str],
    pairs: Sequence[Tuple[np.ndarray, np.ndarray]],
    notes: Sequence[str],
    provenance: Dict[str, str],
) -> Result:
    """Makes the result.

    Args:
      measured: what `compute` returned.
      speaker_ids: [n], of the pairs it was computed from.
      pairs: (F2F, S2F) images with landmarks drawn, to show.
      notes: about the landmarks.
      provenance: of the faces.
    """
    rows = [_row(name, values, speaker_ids) for name, values in measured.items()]
    rows.append(
        Row(
            {"face measurement": f"random baseline ({RANDOM_ROW})"},
            ours=measured[RANDOM_ROW]["random"],
            n=measured[RANDOM_ROW]["n"],
            paper=published.FIG_5_RANDOM,
        )
    )
    return Result(
        name="fig05_craniofacial",
        title="Fig. 5. Craniofacial features",
        shows="Pearson correlation of face measures between the face decoder's image "
        "of the true face (F2F) and of the voice (S2F).",
        rows=rows,
        picture=_draw(rows[:-1], pairs),
        notes=[
            f"the paper: DEST landmarks, n = {published.FIG_5_N:,}, every p < 0.001; "
            "ours: dlib's 68. Its definitions are not in the paper; ours are those of "
            "the module's table. The vermilion height index is noisy with dlib",
            *notes,
        ],
        provenance=provenance,
    )


def run(material: Material, source: str, n: int = published.FIG_5_N) -> Result:
    """Measures a model on its first n clips.

    Args:
      material: model and clips.
      source: 'detected', dlib on the decoded images as in the paper, or 'decoder',
        the points that the decoder's landmark branch predicts.
      n: how many clips.
    """
    predictions = material.predictions()
    indices = np.random.default_rng(material.inputs.sample_seed).permutation(
        len(predictions.clip_ids)
    )[:n]
    f2f = material.faces(predictions.face_features[indices])
    s2f = material.faces(predictions.voice_features[indices])
    if source == "decoder":
        points, notes = (f2f.landmarks, s2f.landmarks), ["landmarks: the decoder's own"]
        kept = np.arange(len(indices))
    else:
        points, kept, notes = _detect_pairs(f2f.images, s2f.images)
    speakers = [predictions.speaker_ids[indices[i]] for i in kept]
    return render(
        compute(*points, seed=material.inputs.sample_seed),
        speakers,
        _marked(f2f.images[kept], s2f.images[kept], points),
        notes,
        material.provenance(),
    )


def run_on_folders(
    f2f_dir: "os.PathLike[str]", s2f_dir: "os.PathLike[str]", seed: int = 0
) -> Result:
    """Measures two folders of aligned faces; files of one stem are a pair.

    Raises:
      FileNotFoundError: a folder is missing.
      ValueError: the folders have no stem in common.
    """
    folders = [_images(f2f_dir), _images(s2f_dir)]
    stems = sorted(set(folders[0]) & set(folders[1]))
    if not stems:
        raise ValueError(f"{f2f_dir} and {s2f_dir} have no file name in common")
    f2f, s2f = (np.stack([_load(folder[stem]) for stem in stems]) for folder in folders)
    points, kept, notes = _detect_pairs(f2f, s2f)
    return render(
        compute(*points, seed=seed),
        [stems[i] for i in kept],
        _marked(f2f[kept], s2f[kept], points),
        notes,
        {"F2F": str(f2f_dir), "S2F": str(s2f_dir)},
    )


def _detect_pairs(f2f_images: np.ndarray, s2f_images: np.ndarray):
    """Landmarks of the pairs in which both faces are found; which; a note."""
    found = [
        (detect_landmarks(f2f), detect_landmarks(s2f))
        for f2f, s2f in zip(f2f_images, s2f_images)
    ]
    kept = [
        i for i, pair in enumerate(found) if pair[0] is not None and pair[1] is not None
    ]
    if len(kept) < 3:
        raise NotApplicable(
            f"dlib finds a face in {len(kept)} of {len(found)} pairs of decoded "
            "images: the face decoder draws no faces yet; --landmarks=decoder takes "
            "its own points"
        )
    note = (
        f"landmarks: dlib's on the images, at a quarter pixel; faces found in "
        f"{len(kept)} of {len(found)} pairs"
    )
    f2f, s2f = (np.stack([found[i][side] for i in kept]) for side in (0, 1))
    return (f2f, s2f), np.array(kept), [note]


def _row(name: str, values: Dict[str, Any], speaker_ids: Sequence[str]) -> Row:
    def correlation(pairs):
        if np.ptp(pairs[:, 0]) == 0 or np.ptp(pairs[:, 1]) == 0:
            return np.nan
        return np.corrcoef(pairs.T)[0, 1]

    is_defined = values["r"] is not None and values["n"] > 3
    return Row(
        {"face measurement": name},
        ours=values["r"],
        ci95=interval(values["values"], speaker_ids, correlation)
        if is_defined
        else None,
        p=values["p"],
        n=values["n"],
        paper=published.FIG_5[name],
    )


def _draw(rows: List[Row], pairs: Sequence[Tuple[np.ndarray, np.ndarray]]) -> bytes:
    figure = plots.figure(11, 9)
    top, bottom = figure.subfigures(2, 1, height_ratios=[1.2, 1])
    for column, pair in enumerate(pairs):
        for line, (image, title) in enumerate(zip(pair, ("F2F", "S2F"))):
            axis = top.add_subplot(2, len(pairs), line * len(pairs) + column + 1)
            axis.imshow(image)
            axis.set_axis_off()
            axis.set_title(title, fontsize=9)
    axis = bottom.subplots()
    places = np.arange(len(rows))
    ours = np.array([np.nan if row.ours is None else row.ours for row in rows])
    axis.bar(places - 0.2, ours, 0.4, color=plots.OURS, label="ours")
    axis.bar(
        places + 0.2, [row.paper for row in rows], 0.4, color=plots.PAPER, label="paper"
    )
    for place, row in zip(places, rows):
        if row.ci95:
            axis.plot([place - 0.2] * 2, row.ci95, color="black", linewidth=1)
    axis.axhline(0, color=plots.CHANCE, linewidth=1)
    axis.set_xticks(
        places, [row.keys["face measurement"] for row in rows], rotation=30, ha="right"
    )
    axis.set_ylabel("Pearson's r")
    axis.legend()
    return plots.to_png(figure)


def _marked(f2f_images, s2f_images, points) -> List[Tuple[np.ndarray, np.ndarray]]:
    return [
        tuple(
            plots.with_points(image, landmarks)
            for image, landmarks in zip(
                (f2f_images[i], s2f_images[i]), (points[0][i], points[1][i])
            )
        )
        for i in range(min(N_DRAWN, len(f2f_images)))
    ]


def _derangement(n: int, seed: int) -> np.ndarray:
    """A random order in which nobody stays: [n], for n > 1."""
    order = np.random.default_rng(seed).permutation(n)
    other = np.empty(n, int)
    other[order] = np.roll(order, 1)
    return other


def _images(folder: "os.PathLike[str]") -> Dict[str, pathlib.Path]:
    folder = pathlib.Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"there is no folder {folder}")
    return {
        path.stem: path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in IMAGE_SUFFIXES
    }


def _load(path: pathlib.Path) -> np.ndarray:
    try:
        image = Image.open(path).convert("RGB")
    except OSError as error:
        raise ValueError(f"cannot read the image {path}: {error}") from None
    if image.size != (FACE_PX, FACE_PX):
        image = image.resize((FACE_PX, FACE_PX), Image.Resampling.LANCZOS)
    return np.asarray(image)


@functools.cache
def _detector():
    import dlib

    return dlib.get_frontal_face_detector()


@functools.cache
def _landmark_model():
    import dlib

    return dlib.shape_predictor(dlib_weights.package_file(dlib_weights.LANDMARKS_FILE))
