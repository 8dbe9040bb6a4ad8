"""Checks every record of a data set and says what is in it."""

import collections
import contextlib
import io
import pathlib
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from data_prep import contact_sheets
from speech2face import audio, dataset_info, files, records

MAX_PROBLEMS = 20
N_PICTURED = 36
CROP_SHAPE = (224, 224, 3)
MAX_LABEL_VALUES = 12  # a label with more values (a name, a text) is no category
MAX_NUMBERS = 5  # more different numbers (ages) are counted by decades
PAPER_SECS = 6.0


def inspect(data_dir: str) -> Dict[str, Any]:
    """Reads every record of a data set.

    Returns:
      kind, recognizer, `splits` (records, shards, bytes, speakers), `crop_bytes` (mean
      size of the face crops), `audio_encoding`, `secs` (of voice data: min, median,
      mean, max, and the share below 6 s, which is tiled), `labels` (counts of each
      value), `problems`, sentences, and `pictures`, [h, w, 3] uint8 of a few records
      with their captions.

    Raises:
      FileNotFoundError, ValueError: no data set, or a shard or record that is corrupt.
    """
    info = dataset_info.read(data_dir)
    found = _Findings(info)
    for split in info.splits:
        _check_shards(data_dir, info, split)
        for number, example in enumerate(_examples(data_dir, info, split)):
            found.add(split, number, example)
    return found.summary(data_dir)


def describe(summary: Dict[str, Any]) -> str:
    """The summary as text for a terminal."""
    lines = [
        f"{summary['kind']} records, {summary['recognizer']} features "
        f"[{summary['feature_dim']}], audio and crops of {CROP_SHAPE}"
    ]
    for split, n in summary["splits"].items():
        lines.append(
            f"{split:>6}: {n['records']} records of {n['speakers']} speakers in "
            f"{n['shards']} shards, {n['bytes'] / 1e6:.1f} MB, "
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
    for name, counts in summary["labels"].items():
        counts = by_category(counts)
        listed = ", ".join(f"{value or 'not said'} {n}" for value, n in counts.items())
        if len(counts) > MAX_LABEL_VALUES:
            listed = f"{len(counts)} different values"
        lines.append(f"label {name}: {listed}")
    lines += summary["problems"]
    return "\n".join(lines)


def _describe_bytes(summary: Dict[str, Any]) -> str:
    """How a record's bytes are shared between its parts."""
    splits = summary["splits"].values()
    total = sum(n["bytes"] for n in splits) / sum(n["records"] for n in splits)
    crop, feature = summary["crop_bytes"], 4 * summary["feature_dim"]
    rest = f"{summary['audio_encoding']} sound" if summary["secs"] else "pictures"
    return (
        f"of a record: face crop {crop / 1e3:.1f} kB, feature {feature / 1e3:.1f} kB, "
        f"{rest} and labels {(total - crop - feature) / 1e3:.1f} kB"
    )


def write_pictures(summary: Dict[str, Any], output_dir: str) -> List[str]:
    """Writes `contact_sheet.png` and, if there are labels, `labels.png` (Fig. 4b)."""
    folder = pathlib.Path(output_dir)
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
    """Counts of a label's values; of many numbers, such as ages, by decades.

    Returns:
      In the order of the numbers, else the common ones first.
    """
    try:
        numbers = {value: float(value) for value in counts}
        decades = {value: int(number // 10) * 10 for value, number in numbers.items()}
    except (ValueError, OverflowError):  # no numbers, NaN, infinite
        return collections.Counter(dict(counts.most_common()))
    if len(counts) <= MAX_NUMBERS:
        return collections.Counter({v: counts[v] for v in sorted(counts, key=float)})
    total: collections.Counter = collections.Counter()
    for value in sorted(counts, key=float):
        total[f"{decades[value]}-{decades[value] + 9}"] += counts[value]
    return total


class _Findings:
    """What has been seen so far."""

    def __init__(self, info: dataset_info.DatasetInfo):
        self._info = info
        self._problems: List[str] = []
        self._n_problems = 0
        self._split_of: Dict[str, str] = {}
        self._clip_ids = set()
        self._speakers = collections.defaultdict(set)
        self._secs: List[float] = []
        self._norms: List[float] = []
        self._crop_bytes: List[int] = []
        self._labels = collections.defaultdict(collections.Counter)
        self._pictures: List[Tuple[np.ndarray, str]] = []

    def add(self, split: str, number: int, example) -> None:
        """Checks one record and counts it."""
        where = f"{split} record {number} ({example.clip_id})"
        for problem in self._problems_of(split, example):
            self._n_problems += 1
            if self._n_problems <= MAX_PROBLEMS:
                self._problems.append(f"{where}: {problem}")
        self._speakers[split].add(example.speaker_id)
        self._norms.append(float(np.linalg.norm(example.face_feature)))
        self._crop_bytes.append(len(example.face_jpeg))
        for name, value in example.labels.items():
            self._labels[name][value] += 1
        if self._info.kind == "voice":
            self._secs.append(len(example.waveform) / audio.SAMPLE_RATE_HZ)
        if len(self._pictures) < N_PICTURED:
            with contextlib.suppress(OSError):  # named as a problem already
                self._pictures.append(_picture(example, self._info.kind))

    def summary(self, data_dir: str) -> Dict[str, Any]:
        """All findings; see `inspect`."""
        splits = {}
        for split, shards in self._info.splits.items():
            paths = [pathlib.Path(data_dir) / shard.name for shard in shards]
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

    def _problems_of(self, split: str, example) -> Iterator[str]:
        if example.clip_id in self._clip_ids:
            yield "its clip_id occurs twice"
        self._clip_ids.add(example.clip_id)
        other = self._split_of.setdefault(example.speaker_id, split)
        if other != split:
            yield f"its speaker is in the split {other} too"
        feature, dim = example.face_feature, self._info.recognizer.feature_dim
        if feature.shape != (dim,):
            yield f"its feature has the shape {feature.shape}, not ({dim},)"
        if not np.isfinite(feature).all():
            yield "its feature is not finite"
        elif not feature.any():
            yield "its feature is all zero"
        try:
            shape = files.decode_image(example.face_jpeg).shape
            if shape != CROP_SHAPE:
                yield f"its crop has the shape {shape}"
        except OSError:
            yield "its crop is no image"
        if self._info.kind == "voice":
            try:
                audio.check_waveform(example.waveform, "its sound")
            except ValueError as error:
                yield str(error)
        else:
            yield from _face_problems(example)


def _face_problems(example: records.FaceExample) -> Iterator[str]:
    for name in ("normalized", "texture"):
        shape = getattr(example, name).shape
        if shape != CROP_SHAPE:
            yield f"its {name} has the shape {shape}"
    low, high = example.landmarks.min(), example.landmarks.max()
    if not (low >= -112 and high <= 336):  # also catches NaN
        yield f"its landmarks reach from {low:.3g} to {high:.3g} px"


def _check_shards(data_dir: str, info: dataset_info.DatasetInfo, split: str) -> None:
    for shard in info.shards(split):
        path = pathlib.Path(data_dir) / shard.name
        if files.sha256(path) != shard.sha256:
            # Finds the record that is damaged, if it is one, and names it.
            collections.deque(records.iterate_records(data_dir, split), maxlen=0)
            raise ValueError(f"{path} is not the file that dataset.json describes")


def _examples(data_dir: str, info: dataset_info.DatasetInfo, split: str):
    if info.kind == "voice":
        return records.iterate_voice_examples(data_dir, split)
    return records.iterate_face_examples(data_dir, split)


def _picture(example, kind: str) -> Tuple[np.ndarray, str]:
    if kind == "face":
        return contact_sheets.face_row(example), example.clip_id
    crop = contact_sheets.thumbnail(files.decode_image(example.face_jpeg))
    sound = _drawn(example.waveform, crop.shape[1])
    return np.concatenate([crop, sound]), example.clip_id


def _drawn(waveform: np.ndarray, width: int, height: int = 40) -> np.ndarray:
    """The waveform's envelope as a picture [height, width, 3] uint8."""
    parts = np.array_split(np.abs(waveform), width)
    level = np.array([part.max(initial=0.0) for part in parts])
    level = level / max(level.max(), 1e-9) * height / 2
    distance = np.abs(np.arange(height)[:, None] - (height - 1) / 2)
    ink = np.where(distance <= level, 90, 255).astype(np.uint8)
    return ink[..., None].repeat(3, -1)


def _spread(values: List[float]) -> Dict[str, float]:
    if not values:
        return {}
    return {
        "min": float(np.min(values)),
        "median": float(np.median(values)),
        "mean": float(np.mean(values)),
        "max": float(np.max(values)),
        "tiled": float(np.mean(np.array(values) < PAPER_SECS)),
    }


def _write_pies(categories: Dict[str, collections.Counter], path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.4 * len(categories), 3.4), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1)
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
    files.write_atomically(path, buffer.getvalue())
