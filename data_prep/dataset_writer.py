"""From finished chunks to a data set: shards, `dataset.json`, report, quarantine."""

import collections
import csv
import io
import json
import pathlib
from typing import Any, Dict, Iterator, List, Optional

import numpy as np
import tensorflow as tf
import tqdm

from data_prep.manifest import SPLITS
from data_prep.work_folder import ChunkResult, WorkFolder
from speech2face import files, records

SHARD_BYTES = 256_000_000
# Statistics come from this many training records, the first in hash order, which is
# random but fixed: 0.8 GB of 4096-D features.
MAX_STATISTICS = 50_000


def write_dataset(
    output_dir: str,
    work: WorkFolder,
    kind: str,
    config: Dict[str, Any],
    n_shards: int,
    mean_landmarks: Optional[np.ndarray] = None,
) -> records.DatasetInfo:
    """Writes the shards of every split and, last of all, `dataset.json`.

    Raises:
      ValueError: no clip survived.
    """
    folder = pathlib.Path(output_dir)
    chunks = _Chunks(work)
    if not chunks.n_records:
        raise ValueError(
            f"no clip of {chunks.n_clips} gave a record ({chunks.reasons()}); see "
            f"{folder / 'quarantine.csv'}"
        )
    try:
        splits = {
            split: _write_split(folder, chunks, split, n_shards)
            for split in SPLITS
            if chunks.sizes[split]
        }
    except Exception as error:
        if "No space left" in str(error):
            raise OSError(f"no space left on the disk of {folder}") from None
        raise
    info = records.DatasetInfo(
        kind=kind,
        recognizer=records.RecognizerInfo(**chunks.recognizer),
        config=config,
        splits=splits,
        feature_statistics=_statistics(chunks),
        mean_landmarks=None if mean_landmarks is None else mean_landmarks.tolist(),
    )
    records.write_dataset_info(folder, info)
    return info


def write_report(output_dir: str, works: List[WorkFolder], wall_secs: float) -> dict:
    """Writes `report.json` (counts by stage, split and reason, and speed) and
    `quarantine.csv` (clip_id, stage, reason, detail); returns the report."""
    folder = pathlib.Path(output_dir)
    report, rejections = _summarize(works)
    report["wall_secs_of_last_run"] = round(wall_secs, 2)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["clip_id", "stage", "reason", "detail"])
    for r in sorted(rejections, key=lambda r: r.clip_id):
        writer.writerow([r.clip_id, r.stage, r.reason, r.detail])
    files.write_atomically(folder / "quarantine.csv", text.getvalue().encode())
    content = json.dumps(report, indent=1) + "\n"
    files.write_atomically(folder / "report.json", content.encode())
    return report


class _Chunks:
    """The finished chunks of a job, read one at a time, with their totals."""

    def __init__(self, work: WorkFolder):
        self._work = work
        self._indices = sorted(work.done())
        self.sizes = collections.defaultdict(list)  # bytes of each record
        self.recognizer: Dict[str, Any] = {}
        self._reasons = collections.Counter()
        for chunk in self:
            self.sizes[chunk.split] += [len(record) for record in chunk.records]
            self.recognizer = chunk.recognizer
            self._reasons.update(r.reason for r in chunk.rejections)
        self.n_records = sum(map(len, self.sizes.values()))
        self.n_clips = self.n_records + sum(self._reasons.values())

    def __iter__(self) -> Iterator[ChunkResult]:
        return map(self._work.load, self._indices)

    def records(self, split: str) -> Iterator[bytes]:
        for chunk in self:
            if chunk.split == split:
                yield from chunk.records

    def reasons(self) -> str:
        return ", ".join(f"{r} {n}" for r, n in self._reasons.most_common())


def _write_split(
    folder: pathlib.Path, chunks: _Chunks, split: str, n_shards: int
) -> List[records.ShardInfo]:
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


def _statistics(chunks: _Chunks) -> records.FeatureStatistics:
    split = next(split for split in SPLITS if chunks.sizes[split])  # train if any
    features = []
    for record in chunks.records(split):
        features.append(_feature(record))
        if len(features) == MAX_STATISTICS:
            break
    return records.FeatureStatistics.measure(np.stack(features))


def _feature(record: bytes) -> np.ndarray:
    feature = tf.train.Example.FromString(record).features.feature["face_feature"]
    return np.array(feature.float_list.value, np.float32)


def _summarize(works: List[WorkFolder]):
    stages: Dict[str, dict] = {}
    splits: Dict[str, dict] = {}
    rejections = []
    for work in works:
        for chunk in map(work.load, sorted(work.done())):
            for counts in chunk.stages:
                _add_stage(stages, counts)
            for rejection in chunk.rejections:
                rejected = stages[rejection.stage]["rejected"]
                rejected[rejection.reason] = rejected.get(rejection.reason, 0) + 1
            rejections += chunk.rejections
            if work is works[0]:
                _add_split(splits, chunk)
            else:
                splits[chunk.split]["records"] -= len(chunk.rejections)
    for total in stages.values():
        secs = total["busy_secs"] = round(total["busy_secs"], 3)
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
    new = {"in": 0, "out": 0, "busy_secs": 0.0, "rejected": {}}
    total = stages.setdefault(counts["stage"], new)
    total["in"] += counts["n_in"]
    total["out"] += counts["n_out"]
    total["busy_secs"] += counts["secs"]


def _add_split(splits: Dict[str, dict], chunk: ChunkResult) -> None:
    total = splits.setdefault(chunk.split, {"clips": 0, "records": 0})
    n_records = len(chunk.records)
    total["clips"] += n_records + len(chunk.rejections)
    total["records"] += n_records
