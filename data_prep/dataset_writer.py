"""From finished chunks to a data set: shards, `dataset.json`, report, quarantine."""

import collections
import csv
import io
import json
import pathlib
from typing import Any, Dict, Iterator, List, Optional, Sequence

import numpy as np
import tensorflow as tf
import tqdm

from data_prep.manifest import SPLITS
from data_prep.work_folder import ChunkSummary, WorkFolder
from speech2face import dataset_info, files, records

SHARD_BYTES = 256_000_000
# Statistics come from this many training records, the first in hash order, which is
# random but fixed: 0.8 GB of 4096-D features.
MAX_STATISTICS = 50_000


def write_dataset(
    output_dir: str,
    works: Sequence[WorkFolder],
    kind: str,
    config: Dict[str, Any],
    n_shards: int,
    mean_landmarks: Optional[np.ndarray] = None,
) -> dataset_info.DatasetInfo:
    """Writes the shards of every split and, last of all, `dataset.json`.

    Args:
      output_dir: where to.
      works: finished work, whose records follow each other.
      kind: 'voice' or 'face'.
      config: what the data were made with.
      n_shards: shards of each split; 0 makes them about 256 MB large.
      mean_landmarks: [68, 2], of a face data set.
    """
    folder = pathlib.Path(output_dir)
    chunks = _Chunks(works)
    splits = {
        split: _write_split(folder, chunks, split, n_shards)
        for split in SPLITS
        if chunks.sizes[split]
    }
    info = dataset_info.DatasetInfo(
        kind=kind,
        recognizer=dataset_info.RecognizerInfo(**chunks.recognizer),
        config=config,
        splits=splits,
        feature_statistics=_statistics(chunks),
        mean_landmarks=None if mean_landmarks is None else mean_landmarks.tolist(),
    )
    dataset_info.write(folder, info)
    return info


def require_records(output_dir: str, work: WorkFolder) -> None:
    """Raises a ValueError with all reasons if no clip gave a record."""
    n_rejected = collections.Counter()
    for chunk in map(work.summary, sorted(work.done())):
        if chunk.record_bytes:
            return
        n_rejected.update(rejection.reason for rejection in chunk.rejections)
    reasons = ", ".join(f"{reason} {n}" for reason, n in n_rejected.most_common())
    raise ValueError(
        f"none of {sum(n_rejected.values())} clips gave a record ({reasons}); see "
        f"{pathlib.Path(output_dir) / 'quarantine.csv'}"
    )


def write_report(
    output_dir: str,
    works: Sequence[WorkFolder],
    wall_secs: float,
    passes: Sequence[WorkFolder] = (),
) -> dict:
    """Writes `report.json` (counts by stage, split and reason, and speed) and
    `quarantine.csv` (clip_id, stage, reason, detail).

    Args:
      output_dir: where to.
      works: finished work, in order.
      wall_secs: how long this run took.
      passes: those of `works` that took clips of another one further, rejecting none:
        their clips are counted already.

    Returns:
      The report.
    """
    folder = pathlib.Path(output_dir)
    report, rejections = _summarize(works, passes)
    report["wall_secs_of_last_run"] = round(wall_secs, 2)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["clip_id", "stage", "reason", "detail"])
    for r in sorted(rejections, key=lambda r: r.clip_id):
        writer.writerow([r.clip_id, r.stage, r.reason, r.detail])
    # A file's name, in a detail, may be no text.
    content = text.getvalue().encode(errors="backslashreplace")
    files.write_atomically(folder / "quarantine.csv", content)
    content = json.dumps(report, indent=1) + "\n"
    files.write_atomically(folder / "report.json", content.encode())
    return report


class _Chunks:
    """The finished chunks of a job, read one at a time, and the size of each record."""

    def __init__(self, works: Sequence[WorkFolder]):
        self._places = collections.defaultdict(list)  # split -> (work, chunk)
        self.sizes = collections.defaultdict(list)
        self.recognizer: Dict[str, Any] = {}
        for work in works:
            for chunk in map(work.summary, sorted(work.done())):
                self._places[chunk.split].append((work, chunk.index))
                self.sizes[chunk.split] += chunk.record_bytes
                self.recognizer = chunk.recognizer

    def records(self, split: str) -> Iterator[bytes]:
        for work, index in self._places[split]:
            yield from work.load(index).records


def _write_split(
    folder: pathlib.Path, chunks: _Chunks, split: str, n_shards: int
) -> List[dataset_info.ShardInfo]:
    sizes = chunks.sizes[split]
    n_shards = n_shards or -(-sum(sizes) // SHARD_BYTES)
    n_shards = max(1, min(n_shards, len(sizes)))
    bounds = np.linspace(0, len(sizes), n_shards + 1).astype(int)
    source = chunks.records(split)
    shards = []
    for index in tqdm.trange(n_shards, desc=f"{split} shards", disable=n_shards < 4):
        n_records = int(bounds[index + 1] - bounds[index])
        path = folder / records.shard_name(split, index, n_shards)
        shards.append(records.write_shard(path, _take(source, n_records)))
    return shards


def _take(source: Iterator[bytes], n_records: int) -> Iterator[bytes]:
    for _ in range(n_records):
        yield next(source)


def _statistics(chunks: _Chunks) -> dataset_info.FeatureStatistics:
    split = next(split for split in SPLITS if chunks.sizes[split])  # train if any
    features = []
    for record in chunks.records(split):
        features.append(_feature(record))
        if len(features) == MAX_STATISTICS:
            break
    return dataset_info.FeatureStatistics.measure(np.stack(features))


def _feature(record: bytes) -> np.ndarray:
    feature = tf.train.Example.FromString(record).features.feature["face_feature"]
    return np.array(feature.float_list.value, np.float32)


def _summarize(works: Sequence[WorkFolder], passes: Sequence[WorkFolder]):
    stages: Dict[str, dict] = {}
    splits: Dict[str, dict] = {}
    rejections = []
    for work in works:
        for chunk in map(work.summary, sorted(work.done())):
            for counts in chunk.stages:
                _add_stage(stages, counts)
            for rejection in chunk.rejections:
                rejected = stages[rejection.stage]["rejected"]
                rejected[rejection.reason] = rejected.get(rejection.reason, 0) + 1
            rejections += chunk.rejections
            if work not in passes and chunk.split:
                _add_split(splits, chunk)
    for total in stages.values():
        secs = total["busy_secs"] = round(total["busy_secs"], 3)
        total["core_secs"] = round(total["core_secs"], 3)
        total["clips_per_sec"] = round(total["in"] / secs, 3) if secs else None
    report = {
        "clips": sum(total["clips"] for total in splits.values()),
        "records": sum(total["records"] for total in splits.values()),
        "rejected": len(rejections),
        "splits": splits,
        "stages": stages,
    }
    return report, rejections


def _add_stage(stages: Dict[str, dict], counts: Dict[str, Any]) -> None:
    new = {"in": 0, "out": 0, "busy_secs": 0.0, "core_secs": 0.0, "rejected": {}}
    total = stages.setdefault(counts["stage"], new)
    total["in"] += counts["n_in"]
    total["out"] += counts["n_out"]
    total["busy_secs"] += counts["secs"]
    total["core_secs"] += counts["core_secs"]


def _add_split(splits: Dict[str, dict], chunk: ChunkSummary) -> None:
    total = splits.setdefault(chunk.split, {"clips": 0, "records": 0})
    total["clips"] += len(chunk.record_bytes) + len(chunk.rejections)
    total["records"] += len(chunk.record_bytes)
