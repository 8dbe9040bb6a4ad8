"""Data set in; a summary of its content, and every fault of its records, out."""

import collections
import contextlib
import io
from collections.abc import Iterator
from typing import Any

import numpy as np

from data_prep.jobs import contact_sheets
from data_prep.jobs.record_checks import CROP_SHAPE, Example, RecordChecks
from speech2face.data import dataset_info, records
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path, sha256, write_atomically
from speech2face.images import decode_image
from speech2face.messages import counted
from speech2face.paper import CLIP_SECS, SAMPLE_RATE_HZ

MAX_PROBLEMS = 20  # printed; further ones are counted
N_PICTURED = 36  # on the contact sheet: six rows of six
MAX_LABEL_VALUES = 12  # a label with more values (a name, a text) is not a category
MAX_NUMBERS = 5  # more different numbers (ages) are counted by decades


def inspect(data_dir: PathLike) -> dict[str, Any]:
    """Reads every record of a data set.

    Returns:
      A dictionary with
        kind, recognizer, feature_dim: as `dataset.json` has them.
        splits: for each split its numbers of records, shards, bytes and speakers.
        crop_bytes: mean size of the face crops.
        audio_encoding: how the sound of voice data is encoded.
        feature_norm: mean and sd.
        secs: lengths of voice data: min, median, mean, max, and the share below 6 s.
        labels: for each label the counts of its values.
        problems: sentences.
        pictures: [h, w, 3] uint8 of a few records, with their captions.

    Raises:
      FileNotFoundError, UserError: no data set, or a shard or record is damaged.
    """
    info = dataset_info.read(data_dir, check_sizes=False)  # `_check_shards` says more
    found = _Findings(info)
    for split in info.splits:
        _check_shards(data_dir, info, split)
        for number, example in enumerate(_examples(data_dir, info, split)):
            found.add(split, number, example)
    return found.summary(data_dir)


def describe(summary: dict[str, Any]) -> str:
    """Returns the summary as text for a terminal."""
    lines = [
        f"{summary['kind']} records, {summary['recognizer']} features "
        f"[{summary['feature_dim']}], audio and crops of {CROP_SHAPE}"
    ]
    for split, n in summary["splits"].items():
        lines.append(
            f"{split:>6}: {counted(n['records'], 'record')} of "
            f"{counted(n['speakers'], 'speaker')} in "
            f"{counted(n['shards'], 'shard')}, {n['bytes'] / 1e6:.1f} MB, "
            f"{n['bytes'] / max(n['records'], 1) / 1e3:.1f} kB a record"
        )
    lines.append(_describe_bytes(summary))
    norms = summary["feature_norm"]
    lines.append(f"feature norm: mean {norms['mean']:.4g}, sd {norms['sd']:.3g}")
    if summary["secs"]:
        sound = (
            "sound: {min:.2f} to {max:.2f} s, median {median:.2f} s, mean "
            "{mean:.2f} s; {tiled:.1%} are shorter than 6 s and get tiled"
        )
        lines.append(sound.format(**summary["secs"]))
    for name, values in summary["labels"].items():
        lines.append(f"label {name}: {_describe_label(by_category(values))}")
    lines += summary["problems"]
    return "\n".join(lines)


def _describe_label(counts: "collections.Counter[str]") -> str:
    if len(counts) > MAX_LABEL_VALUES:
        return f"{len(counts)} different values"
    return ", ".join(f"{value or 'not said'} {n}" for value, n in counts.items())


def _describe_bytes(summary: dict[str, Any]) -> str:
    """Returns how many bytes each part of a record takes, on average."""
    splits = summary["splits"].values()
    total = sum(n["bytes"] for n in splits) / sum(n["records"] for n in splits)
    crop, feature = summary["crop_bytes"], 4 * summary["feature_dim"]
    rest = f"{summary['audio_encoding']} sound" if summary["secs"] else "pictures"
    return (
        f"of a record: face crop {crop / 1e3:.1f} kB, feature {feature / 1e3:.1f} kB, "
        f"{rest} and labels {(total - crop - feature) / 1e3:.1f} kB"
    )


def write_pictures(summary: dict[str, Any], output_dir: PathLike) -> list[str]:
    """Writes `contact_sheet.png` and, if there are labels, `labels.png` (Fig. 4b).

    Args:
      summary: what `inspect` returned.
      output_dir: folder for the pictures.

    Returns:
      The paths of the pictures.
    """
    folder = as_path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    images = [image for image, _ in summary["pictures"]]
    captions = [caption for _, caption in summary["pictures"]]
    contact_sheets.write_page(folder / "contact_sheet.png", images, captions)
    written = [str(folder / "contact_sheet.png")]
    categories = {n: by_category(counts) for n, counts in summary["labels"].items()}
    categories = {n: c for n, c in categories.items() if len(c) <= MAX_LABEL_VALUES}
    if categories:
        _write_pies(categories, folder / "labels.png")
        written.append(str(folder / "labels.png"))
    return written


def by_category(counts: "collections.Counter[str]") -> "collections.Counter[str]":
    """Groups a label's values: many different numbers, such as ages, by decades.

    Returns:
      The counts, in the order of the numbers; of other values, the common ones first.
    """
    try:
        numbers = {value: float(value) for value in counts}
        decades = {value: int(number // 10) * 10 for value, number in numbers.items()}
    except (ValueError, OverflowError):  # words; NaN; infinity
        return collections.Counter(dict(counts.most_common()))
    if len(counts) <= MAX_NUMBERS:
        return collections.Counter({v: counts[v] for v in sorted(counts, key=float)})
    total: collections.Counter[str] = collections.Counter()
    for value in sorted(counts, key=float):
        total[f"{decades[value]}-{decades[value] + 9}"] += counts[value]
    return total


class _Findings:
    """Counts and problems of the records read so far."""

    def __init__(self, info: dataset_info.DatasetInfo):
        self._info = info
        self._problems: list[str] = []
        self._n_problems = 0
        self._checks = RecordChecks(info.recognizer.feature_dim)
        self._speakers: dict[str, set[str]] = collections.defaultdict(set)
        self._secs: list[float] = []
        self._norms: list[float] = []
        self._crop_bytes: list[int] = []
        self._labels: dict[str, collections.Counter[str]] = collections.defaultdict(
            collections.Counter
        )
        self._pictures: list[tuple[np.ndarray, str]] = []

    def add(self, split: str, number: int, example: Example) -> None:
        """Checks and counts a record.

        Args:
          split: that it is in.
          number: its position there.
          example: its content.
        """
        where = f"{split} record {number} ({example.clip_id})"
        for problem in self._checks.problems_of(split, example):
            self._n_problems += 1
            if self._n_problems <= MAX_PROBLEMS:
                self._problems.append(f"{where}: {problem}")
        self._speakers[split].add(example.speaker_id)
        self._norms.append(float(np.linalg.norm(example.face_feature)))
        self._crop_bytes.append(len(example.face_jpeg))
        for name, value in example.labels.items():
            self._labels[name][value] += 1
        if isinstance(example, records.VoiceExample):
            self._secs.append(len(example.waveform) / SAMPLE_RATE_HZ)
        if len(self._pictures) < N_PICTURED:
            # A damaged crop is listed as a problem already.
            with contextlib.suppress(OSError, ValueError):
                self._pictures.append(_picture(example))

    def summary(self, data_dir: PathLike) -> dict[str, Any]:
        """Returns all findings; see `inspect`."""
        splits = {}
        for split, shards in self._info.splits.items():
            paths = [as_path(data_dir) / shard.name for shard in shards]
            splits[split] = {
                "records": self._info.n_examples(split),
                "shards": len(shards),
                "bytes": sum(path.stat().st_size for path in paths),
                "speakers": len(self._speakers[split]),
            }
        if self._n_problems > MAX_PROBLEMS:
            more = self._n_problems - MAX_PROBLEMS
            self._problems.append(f"... and {more} more problems")
        return {
            "kind": self._info.kind,
            "recognizer": self._info.recognizer.name,
            "feature_dim": self._info.recognizer.feature_dim,
            "audio_encoding": self._info.config.get("audio_encoding", ""),
            "crop_bytes": float(np.mean(self._crop_bytes)),
            "splits": splits,
            "feature_norm": {
                "mean": float(np.mean(self._norms)),
                "sd": float(np.std(self._norms)),
            },
            "secs": _spread(self._secs),
            "labels": dict(self._labels),
            "problems": self._problems,
            "pictures": self._pictures,
        }


def _check_shards(
    data_dir: PathLike, info: dataset_info.DatasetInfo, split: str
) -> None:
    for shard in info.shards(split):
        path = as_path(data_dir) / shard.name
        if sha256(path) != shard.sha256:
            # Reading raises an error that names the damaged record, if there is one.
            collections.deque(records.iterate_records(data_dir, split), maxlen=0)
            raise UserError(f"{path} is not the file that dataset.json describes")


def _examples(
    data_dir: PathLike, info: dataset_info.DatasetInfo, split: str
) -> Iterator[Example]:
    if info.kind == "voice":
        return records.iterate_voice_examples(data_dir, split)
    return records.iterate_face_examples(data_dir, split)


def _picture(example: Example) -> tuple[np.ndarray, str]:
    """Returns a picture [h, w, 3] uint8 of a record, and its caption."""
    if isinstance(example, records.FaceExample):
        return contact_sheets.face_row(example), example.clip_id
    crop = contact_sheets.thumbnail(decode_image(example.face_jpeg))
    sound = _drawn(example.waveform, crop.shape[1])
    return np.concatenate([crop, sound]), example.clip_id


def _drawn(waveform: np.ndarray, width: int, height: int = 40) -> np.ndarray:
    """Returns a waveform's envelope as a picture [height, width, 3] uint8.

    Args:
      waveform: [n].
      width: width in px.
      height: height in px.
    """
    parts = np.array_split(np.abs(waveform), width)
    level = np.array([part.max(initial=0.0) for part in parts])
    level = level / max(level.max(), 1e-9) * height / 2
    distance = np.abs(np.arange(height)[:, None] - (height - 1) / 2)
    ink = np.where(distance <= level, 90, 255).astype(np.uint8)
    return ink[..., None].repeat(3, -1)


def _spread(values: list[float]) -> dict[str, float]:
    if not values:
        return {}
    return {
        "min": float(np.min(values)),
        "median": float(np.median(values)),
        "mean": float(np.mean(values)),
        "max": float(np.max(values)),
        "tiled": float(np.mean(np.array(values) < CLIP_SECS)),
    }


def _write_pies(
    categories: dict[str, "collections.Counter[str]"], path: PathLike
) -> None:
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1)
    figure = Figure(figsize=(3.4 * len(categories), 3.4), layout=layout)
    axes = figure.subplots(1, len(categories), squeeze=False)[0]
    for axis, (name, counts) in zip(axes, sorted(categories.items())):
        axis.pie(
            list(counts.values()),
            labels=[f"{value or 'not said'}: {n}" for value, n in counts.items()],
            autopct="%.0f%%",
            startangle=90,
            counterclock=False,
            textprops={"fontsize": 8},
        )
        axis.set_title(f"{name}, n = {sum(counts.values())}", fontsize=10)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
