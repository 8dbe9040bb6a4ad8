"""What an exported file gives, beside the Keras models, and how fast.

The file is compared twice: with the Keras models whose weights are rounded as its own,
which it must equal, and with those as they were, which says what rounding costs.
"""

import dataclasses
import pathlib
import time
from typing import List, Sequence

import numpy as np

from speech2face import audio
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.small_weights import WeightType
from speech2face.inference import Speech2Face

# Of the feature's length. Where a spectrogram is near 0, its compression makes 0.016 of
# rounding errors of 1e-6, and two ways to transform differ by those.
FEATURE_TOLERANCE = 1e-3
LANDMARK_TOLERANCE_PX = 0.01
PICTURE_TOLERANCE = 1e-3  # of [0, 1]: a quarter of a grey level
MIN_COSINE = {"float32": 0.9999, "float16": 0.9999, "int8": 0.99}

_EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
_N_CALLS = 3  # of which the fastest counts


@dataclasses.dataclass(frozen=True)
class Row:
    """What was measured of one file.

    Attributes:
      file: its name.
      weights: how they are stored.
      megabytes: its size.
      call_ms: of a clip of 6 s, warm.
      keras_ms: the same by the Keras models, in the same run.
      cosine: to the feature of the unrounded Keras model, the least of some voices.
      landmark_px: the largest difference of a landmark, to the same.
      grey_levels: the mean difference of the picture, of 255.
    """

    file: str
    weights: WeightType
    megabytes: float
    call_ms: float
    keras_ms: float
    cosine: float
    landmark_px: float
    grey_levels: float


def voices(model: Speech2Face) -> List[np.ndarray]:
    """Returns generated voices [b, n]: too short a one, clips, and longer ones."""
    paths = sorted(_EXAMPLES.glob("*.ogg"))
    waveforms = [audio.load_waveform(str(path)) for path in paths]
    n_short, n_clip, n_long = 20_000, model.clip_samples, model.clip_samples + 20_011
    return [
        np.stack([audio.fit_length(waveform, n) for waveform in some])
        for some, n in (
            (waveforms[:1], min(n_short, n_clip)),
            (waveforms[1:], n_clip),
            (waveforms[:2], n_long),
        )
    ]


def check_equal(name: str, outputs: List[Outputs], expected: List[Outputs]) -> None:
    """Raises a ValueError unless a file gives what Keras gives for `voices`."""
    for ours, theirs in zip(outputs, expected):
        length = np.linalg.norm(theirs["feature"], axis=-1).min()
        for output, tolerance in (
            ("feature", FEATURE_TOLERANCE * length),
            ("landmarks", LANDMARK_TOLERANCE_PX),
            ("texture", PICTURE_TOLERANCE),
            ("image", PICTURE_TOLERANCE),
        ):
            difference = _largest(ours[output], theirs[output])
            if not difference <= tolerance:
                raise ValueError(
                    f"{name} does not give what Keras gives: {output} is off by "
                    f"{difference:.2g}, {tolerance:.2g} is allowed; nothing was written"
                )


def measure(
    path: pathlib.Path,
    weights: WeightType,
    outputs: List[Outputs],
    unrounded: List[Outputs],
    call_ms: Sequence[float],
) -> Row:
    """Returns the row of a file.

    Args:
      path: a file or a folder.
      weights: how its weights are stored.
      outputs: what it gives for each of `voices`.
      unrounded: what the Keras models give, their weights as they were.
      call_ms: what `time_calls` returned.

    Raises:
      ValueError: rounding costs too much.
    """
    paths = path.rglob("*") if path.is_dir() else [path]
    pairs = list(zip(outputs, unrounded))
    pictures = [np.abs(a["image"] - b["image"]).mean() for a, b in pairs]
    row = Row(
        path.name,
        weights,
        sum(one.stat().st_size for one in paths if one.is_file()) / 1e6,
        *call_ms,
        cosine=min(_least_cosine(a["feature"], b["feature"]) for a, b in pairs),
        landmark_px=max(_largest(a["landmarks"], b["landmarks"]) for a, b in pairs),
        grey_levels=255 * float(max(pictures)),
    )
    if row.cosine < MIN_COSINE[weights]:
        raise ValueError(
            f"{weights} weights change this model too much: the feature's cosine falls "
            f"to {row.cosine:.4f}, at least {MIN_COSINE[weights]} is expected; choose "
            "another of --weights. Nothing was written"
        )
    return row


def time_calls(model: Speech2Face, call: Runtime) -> List[float]:
    """Returns milliseconds of the file and of Keras for 6 s of sound, warm.

    They take turns, and the fastest call of each counts.
    """
    clip = audio.fit_length(voices(model)[0][0], 6 * audio.SAMPLE_RATE_HZ)[np.newaxis]
    secs = []
    for _ in range(_N_CALLS):
        start = time.perf_counter()
        call(clip)
        middle = time.perf_counter()
        model.faces(model.encode(clip))
        secs.append((middle - start, time.perf_counter() - middle))
    return [1e3 * fastest for fastest in np.min(secs, axis=0)]


def to_markdown(rows: Sequence[Row]) -> str:
    """Returns the table of an export."""
    lines = [
        "| file | weights | MB | ms | Keras, ms | cosine | landmarks, px | picture |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        lines.append(
            f"| {row.file} | {row.weights} | {row.megabytes:.1f} | {row.call_ms:.0f} "
            f"| {row.keras_ms:.0f} | {row.cosine:.6f} | {row.landmark_px:.3f} "
            f"| {row.grey_levels:.2f} |"
        )
    return "\n".join(lines) + "\n"


def _largest(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return np.inf
    return float(np.abs(ours - theirs).max())


def _least_cosine(left: np.ndarray, right: np.ndarray) -> float:
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / lengths).min())
