"""Compares exported files with the Keras models: outputs, size and speed.

Each file is compared twice: with the Keras models whose weights are rounded as in the
file, which it must equal, and with the unrounded ones, which tells what rounding costs.
"""

import dataclasses
import pathlib
import time
from collections.abc import Sequence

import numpy as np

from speech2face import paper
from speech2face.audio import decoding, spectrogram
from speech2face.errors import UserError
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.request import WeightType
from speech2face.inference.model import Speech2Face

# Relative to the feature's length. Where a spectrogram is near 0, the power-law
# compression turns rounding errors of 1e-6 into 0.016, and two ways to compute a
# Fourier transform differ by such errors.
FEATURE_TOLERANCE = 1e-3
LANDMARK_TOLERANCE_PX = 0.01  # nobody sees a hundredth of a pixel
PICTURE_TOLERANCE = 1e-3  # of [0, 1]: a quarter of a gray level
# Two ways to solve the warp's spline place a color this far apart, which is much at the
# edge of hair and nothing on a cheek.
SHIFT_TOLERANCE_PX = 0.02
# What rounding the weights may cost.
MIN_COSINE = {"float32": 0.9999, "float16": 0.9999, "int8": 0.99}

_EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"
_N_CALLS = 3  # the fastest counts: the others were disturbed


@dataclasses.dataclass(frozen=True)
class Row:
    """Measurements of one file.

    Attributes:
      file: its name.
      weights: how they are stored.
      megabytes: its size.
      call_ms: time of a call for a clip of 6 s, after the first one.
      keras_ms: the same with the Keras models, in the same run.
      cosine: cosine of its features with those of the unrounded Keras model, the
        smallest over the example voices.
      landmark_px: the largest difference of a landmark to the unrounded Keras model.
      grey_levels: the mean difference of the picture, of 255 (so named in the file).
    """

    file: str
    weights: WeightType
    megabytes: float
    call_ms: float
    keras_ms: float
    cosine: float
    landmark_px: float
    grey_levels: float


def example_voices(model: Speech2Face) -> list[np.ndarray]:
    """Returns three batches of voices [b, n]: shorter than clips, clips, and longer."""
    paths = sorted(_EXAMPLES.glob("*.ogg"))
    waveforms = [decoding.load_waveform(str(path)) for path in paths]
    n_short, n_clip, n_long = 20_000, model.clip_samples, model.clip_samples + 20_011
    return [
        _batch(waveforms[:1], min(n_short, n_clip)),
        _batch(waveforms[1:], n_clip),
        _batch(waveforms[:2], n_long),
    ]


def check_equal(name: str, outputs: list[Outputs], expected: list[Outputs]) -> None:
    """Checks that a file has the outputs of the Keras models.

    Args:
      name: name of the file.
      outputs: what the file gives for each batch of `example_voices`.
      expected: what the Keras models with rounded weights give.

    Raises:
      UserError: an output differs, or is not finite. A pixel of the image may differ
        more where its neighbors differ: by what a shift of `SHIFT_TOLERANCE_PX` does.
    """
    for ours, theirs in zip(outputs, expected):
        length = np.linalg.norm(theirs["feature"], axis=-1).min()
        for output, tolerance in (
            ("feature", FEATURE_TOLERANCE * length),
            ("landmarks", LANDMARK_TOLERANCE_PX),
            ("texture", PICTURE_TOLERANCE),
            ("image", PICTURE_TOLERANCE),
        ):
            difference = _largest_difference(ours[output], theirs[output])
            if output == "image":
                difference = _largest_beyond_a_shift(ours[output], theirs[output])
            if not difference <= tolerance:  # NaN is not less than anything
                raise UserError(
                    f"{name} differs from the Keras models: {output} is off by "
                    f"{difference:.2g}, {tolerance:.2g} is allowed"
                )


def measure(
    path: pathlib.Path,
    weights: WeightType,
    outputs: list[Outputs],
    unrounded: list[Outputs],
    call_ms: tuple[float, float],
) -> Row:
    """Returns the row of a file.

    Args:
      path: a file or a folder.
      weights: how its weights are stored.
      outputs: what it gives for each batch of `example_voices`.
      unrounded: what the unrounded Keras models give.
      call_ms: what `time_calls` returned.

    Raises:
      UserError: rounding costs too much.
    """
    pairs = list(zip(outputs, unrounded))
    pictures = [np.abs(a["image"] - b["image"]).mean() for a, b in pairs]
    landmarks = [_largest_difference(a["landmarks"], b["landmarks"]) for a, b in pairs]
    row = Row(
        file=path.name,
        weights=weights,
        megabytes=size_bytes(path) / 1e6,
        call_ms=call_ms[0],
        keras_ms=call_ms[1],
        cosine=min(smallest_cosine(a["feature"], b["feature"]) for a, b in pairs),
        landmark_px=max(landmarks),
        grey_levels=255 * float(max(pictures)),
    )
    if row.cosine < MIN_COSINE[weights]:
        raise UserError(
            f"{weights} weights change this model too much: the feature's cosine falls "
            f"to {row.cosine:.4f}, at least {MIN_COSINE[weights]} is expected; choose "
            "other --weights"
        )
    return row


def time_calls(model: Speech2Face, call: Runtime) -> tuple[float, float]:
    """Times a file and the Keras models on 6 s of sound.

    They take turns, so that a busy moment of the machine disturbs both.

    Args:
      model: the Keras models.
      call: the file in its runtime; both have been called before.

    Returns:
      Milliseconds of the fastest call of the file, and of Keras.
    """
    n_samples = round(paper.CLIP_SECS * paper.SAMPLE_RATE_HZ)
    clip = _batch([example_voices(model)[0][0]], n_samples)
    file_secs, keras_secs = [], []
    for _ in range(_N_CALLS):
        start = time.perf_counter()
        call(clip)
        middle = time.perf_counter()
        model.faces(model.encode(clip))
        file_secs.append(middle - start)
        keras_secs.append(time.perf_counter() - middle)
    return 1e3 * min(file_secs), 1e3 * min(keras_secs)


def size_bytes(path: pathlib.Path) -> int:
    """Returns the size of a file, or of all files in a folder."""
    paths = path.rglob("*") if path.is_dir() else [path]
    return sum(one.stat().st_size for one in paths if one.is_file())


def smallest_cosine(left: np.ndarray, right: np.ndarray) -> float:
    """Returns the smallest cosine of a row of `left` [b, d] with that of `right`."""
    # float64: in float32 the cosine of equal features is off in the seventh digit.
    left, right = left.astype(np.float64), right.astype(np.float64)
    lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
    return float(((left * right).sum(axis=1) / lengths).min())


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


def _largest_beyond_a_shift(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference of pictures [b, h, w, 3], less what a small shift does."""
    if ours.shape != theirs.shape:
        return np.inf
    steepest = np.zeros_like(theirs)
    down, across = (np.abs(np.diff(theirs, axis=axis)) for axis in (1, 2))
    for part, step in (
        (steepest[:, 1:], down),
        (steepest[:, :-1], down),
        (steepest[:, :, 1:], across),
        (steepest[:, :, :-1], across),
    ):
        np.maximum(part, step, out=part)
    excess = np.abs(ours - theirs) - SHIFT_TOLERANCE_PX * steepest
    return float(np.max(excess))


def _batch(waveforms: Sequence[np.ndarray], n_samples: int) -> np.ndarray:
    return np.stack([spectrogram.fit_length(one, n_samples) for one in waveforms])


def _largest_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    if ours.shape != theirs.shape:
        return np.inf
    return float(np.abs(ours - theirs).max())
