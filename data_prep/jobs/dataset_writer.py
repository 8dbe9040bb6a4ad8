"""Finished chunks in; shards, `dataset.json`, report and quarantine out."""

import collections
import csv
import dataclasses
import io
import itertools
import json
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np
import tensorflow as tf
import tqdm

from data_prep import unexpected
from data_prep.clips.manifest import SPLITS
from data_prep.stages.work_folder import ChunkSummary, Rejection, WorkFolder
from speech2face import files
from speech2face.data import dataset_info, records
from speech2face.errors import UserError
from speech2face.files import PathLike

SHARD_BYTES = 256_000_000  # large enough to read fast, small enough to shuffle
# At most this many training records give the statistics: the first in hash order, which
# is random but fixed: 0.8 GB of 4096-D features.
MAX_STATISTICS = 50_000


def write_dataset(
    output_dir: PathLike,
    works: Sequence[WorkFolder],
    kind: Literal["voice", "face"],
    config: dict[str, Any],
    n_shards: int,
    mean_landmarks: np.ndarray | None = None,
) -> dataset_info.DatasetInfo:
    """Writes the shards of every split and finally `dataset.json`.

    Args:
      output_dir: folder of the data set.
      works: finished work; the records of one follow those of the other.
      kind: kind of the records.
      config: the job's options, stored in `dataset.json`.
      n_shards: shards of each split; 0 makes them about 256 MB large.
      mean_landmarks: [n, 2] in px, of a face data set.

    Returns:
      The content of `dataset.json`.
    """
    folder = files.as_path(output_dir)
    chunks = _Chunks(works)
    splits = {
        split: _write_split(folder, chunks, split, n_shards)
        for split in SPLITS
        if chunks.record_bytes[split]
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


def require_records(output_dir: PathLike, work: WorkFolder) -> None:
    """Checks that at least one clip gave a record.

    Raises:
      UserError: none did; the message counts the reasons.
    """
    n_rejected: collections.Counter[str] = collections.Counter()
    for chunk in map(work.summary, sorted(work.done())):
        if chunk.record_bytes:
            return
        n_rejected.update(rejection.reason for rejection in chunk.rejections)
    reasons = ", ".join(f"{reason} {n}" for reason, n in n_rejected.most_common())
    raise UserError(
        f"none of {sum(n_rejected.values())} clips gave a record ({reasons}); see "
        f"{files.as_path(output_dir) / 'quarantine.csv'}",
        reason="no_records",
    )


def write_report(
    output_dir: PathLike,
    works: Sequence[WorkFolder],
    wall_secs: float,
    passes: Sequence[WorkFolder] = (),
) -> dict[str, Any]:
    """Writes `report.json` and `quarantine.csv`.

    The report counts clips by stage, split and reason, and measures speed. The
    quarantine has a row for each rejected clip: clip_id, stage, reason, detail. The log
    gets a traceback of each kind of error that nobody expected.

    Args:
      output_dir: folder of the data set.
      works: finished work, in order.
      wall_secs: duration of this run.
      passes: those of `works` whose clips another one has counted already, because they
        are its next pass.

    Returns:
      The report.
    """
    folder = files.as_path(output_dir)
    report, rejections, tracebacks = _summarize(works, passes)
    unexpected.log_once(tracebacks)
    report["wall_secs_of_last_run"] = round(wall_secs, 2)
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([field.name for field in dataclasses.fields(Rejection)])
    for rejection in sorted(rejections, key=lambda rejection: rejection.clip_id):
        writer.writerow(dataclasses.astuple(rejection))
    # A file name in a detail may be bytes that are not text.
    quarantine = text.getvalue().encode(errors="backslashreplace")
    files.write_atomically(folder / "quarantine.csv", quarantine, is_ours=True)
    content = json.dumps(report, indent=1) + "\n"
    files.write_atomically(folder / "report.json", content.encode(), is_ours=True)
    return report


class _Chunks:
    """The finished chunks of a job, of which one is in memory at a time.

    Attributes:
      record_bytes: split -> size of each record.
      recognizer: name, feature_dim and checksum.
    """

    def __init__(self, works: Sequence[WorkFolder]):
        self._chunks_of: dict[str, list[tuple[WorkFolder, int]]] = {}
        self.record_bytes: dict[str, list[int]] = {split: [] for split in SPLITS}
        self.recognizer: dict[str, Any] = {}
        for work in works:
            for chunk in map(work.summary, sorted(work.done())):
                if not chunk.record_bytes:
                    continue
                self._chunks_of.setdefault(chunk.split, []).append((work, chunk.index))
                self.record_bytes[chunk.split] += chunk.record_bytes
                self.recognizer = chunk.recognizer

    def records(self, split: str) -> Iterator[bytes]:
        for work, index in self._chunks_of.get(split, []):
            yield from work.load(index).records


def _write_split(
    folder: pathlib.Path, chunks: _Chunks, split: str, n_shards: int
) -> list[dataset_info.ShardInfo]:
    sizes = chunks.record_bytes[split]
    n_shards = n_shards or math.ceil(sum(sizes) / SHARD_BYTES)
    n_shards = max(1, min(n_shards, len(sizes)))  # no shard is empty
    bounds = np.linspace(0, len(sizes), n_shards + 1).astype(int)
    source = chunks.records(split)
    shards = []
    for index in tqdm.trange(n_shards, desc=f"{split} shards", disable=n_shards < 4):
        n_records = int(bounds[index + 1] - bounds[index])
        path = folder / records.shard_name(split, index, n_shards)
        shard = records.write_shard(path, itertools.islice(source, n_records))
        shards.append(shard)
    return shards


def _statistics(chunks: _Chunks) -> dataset_info.FeatureStatistics:
    split = next(split for split in SPLITS if chunks.record_bytes[split])  # train first
    first_records = itertools.islice(chunks.records(split), MAX_STATISTICS)
    features = np.stack([_feature(record) for record in first_records])
    return dataset_info.FeatureStatistics.measure(features)


def _feature(record: bytes) -> np.ndarray:
    # Without `records.decode_*`, which would decode sound and pictures too.
    feature = tf.train.Example.FromString(record).features.feature["face_feature"]
    return np.array(feature.float_list.value, np.float32)


def _summarize(
    works: Sequence[WorkFolder], passes: Sequence[WorkFolder]
) -> tuple[dict[str, Any], list[Rejection], dict[str, str]]:
    """Returns the report, without the duration, all rejections, and tracebacks."""
    stages: dict[str, dict[str, Any]] = {}
    splits: dict[str, dict[str, int]] = {}
    rejections: list[Rejection] = []
    tracebacks: dict[str, str] = {}
    for work in works:
        for chunk in map(work.summary, sorted(work.done())):
            for counts in chunk.stages:
                _add_stage(stages, counts)
            for rejection in chunk.rejections:
                rejected = stages[rejection.stage]["rejected"]
                rejected[rejection.reason] = rejected.get(rejection.reason, 0) + 1
            rejections += chunk.rejections
            tracebacks.update(chunk.tracebacks)
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
    return report, rejections, tracebacks


def _add_stage(stages: dict[str, dict[str, Any]], counts: dict[str, Any]) -> None:
    new = {"in": 0, "out": 0, "busy_secs": 0.0, "core_secs": 0.0, "rejected": {}}
    total = stages.setdefault(counts["stage"], new)
    total["in"] += counts["n_in"]
    total["out"] += counts["n_out"]
    total["busy_secs"] += counts["secs"]
    total["core_secs"] += counts["core_secs"]


def _add_split(splits: dict[str, dict[str, int]], chunk: ChunkSummary) -> None:
    total = splits.setdefault(chunk.split, {"clips": 0, "records": 0})
    total["clips"] += len(chunk.record_bytes) + len(chunk.rejections)
    total["records"] += len(chunk.record_bytes)
