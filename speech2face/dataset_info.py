"""What a TFRecord data set holds and how it was made: its `dataset.json`."""

import dataclasses
import hashlib
import json
import os
import pathlib
from typing import Any, Dict, List, Literal, Optional, Tuple, Union

import numpy as np

from speech2face import files

FORMAT_VERSION = 1
DATASET_FILE = "dataset.json"

PathLike = Union[str, "os.PathLike[str]"]


@dataclasses.dataclass(frozen=True)
class RecognizerInfo:
    """Which face recognizer made the features: its weights' sha256 decides."""

    name: str
    feature_dim: int
    checksum: str


@dataclasses.dataclass(frozen=True)
class ShardInfo:
    """One shard: file name, number of records, sha256 of the file."""

    name: str
    n_examples: int
    sha256: str


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """Of the raw face features of the training split: `mean` [d]; `mean_norm`, the
    mean of |v|; `centred_mean_norm`, the mean of |v - mean|."""

    mean: Tuple[float, ...]
    mean_norm: float
    centred_mean_norm: float

    @classmethod
    def measure(cls, features: np.ndarray) -> "FeatureStatistics":
        """Returns the statistics of features [n, d]."""
        features = np.asarray(features, np.float64)
        mean = features.mean(0)
        return cls(
            mean=tuple(float(value) for value in mean),
            mean_norm=float(np.linalg.norm(features, axis=1).mean()),
            centred_mean_norm=float(np.linalg.norm(features - mean, axis=1).mean()),
        )


@dataclasses.dataclass(frozen=True)
class DatasetInfo:
    """The content of `dataset.json`.

    `kind` says which record the shards hold, `config` how they were made (of it only
    `audio_encoding` is read back), `mean_landmarks` [68][2] is the mean shape of a
    face data set.
    """

    kind: Literal["voice", "face"]
    recognizer: RecognizerInfo
    config: Dict[str, Any]
    splits: Dict[str, List[ShardInfo]]
    feature_statistics: FeatureStatistics
    mean_landmarks: Optional[List[List[float]]] = None
    format_version: int = FORMAT_VERSION

    def n_examples(self, split: str) -> int:
        """Returns the number of records of `split`."""
        return sum(shard.n_examples for shard in self.shards(split))

    def shards(self, split: str) -> List[ShardInfo]:
        """Returns the shards of `split`; raises ValueError if there is none."""
        if not self.splits.get(split):
            present = ", ".join(sorted(self.splits)) or "none"
            raise ValueError(f"no split {split!r} in the data set, it has: {present}")
        return self.splits[split]

    @property
    def checksum(self) -> str:
        """A sha256 over the content of all shards."""
        digest = hashlib.sha256()
        for split in sorted(self.splits):
            for shard in self.splits[split]:
                digest.update(f"{split} {shard.name} {shard.sha256}\n".encode())
        return digest.hexdigest()


def write(data_dir: PathLike, info: DatasetInfo) -> None:
    """Writes `dataset.json`, atomically: it is the last file of a data set."""
    content = dataclasses.asdict(info)
    content["checksum"] = info.checksum
    text = json.dumps(content, indent=1) + "\n"
    files.write_atomically(pathlib.Path(data_dir) / DATASET_FILE, text.encode())


def read(data_dir: PathLike, kind: Optional[str] = None) -> DatasetInfo:
    """Reads `dataset.json` and checks that every shard it names is there.

    Raises:
      FileNotFoundError: no data set in `data_dir`, or a shard is missing.
      ValueError: `dataset.json` is damaged, of another version or of another kind.
    """
    path = pathlib.Path(data_dir) / DATASET_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{data_dir} is no data set: it has no {DATASET_FILE}; build one with "
            "data_prep.build_tfrecords or data_prep.build_decoder_tfrecords"
        )
    info = _parse_info(path)
    if kind and info.kind != kind:
        raise ValueError(f"{data_dir} holds {info.kind} records, expected {kind}")
    for shards in info.splits.values():
        for shard in shards:
            if not (path.parent / shard.name).is_file():
                raise FileNotFoundError(f"shard {path.parent / shard.name} is missing")
    return info


def _parse_info(path: pathlib.Path) -> DatasetInfo:
    try:
        content = json.loads(path.read_text())
        version = content["format_version"]
        if version != FORMAT_VERSION:
            raise ValueError(f"{path} has format version {version}, not 1; rebuild it")
        content.pop("checksum")
        content["recognizer"] = RecognizerInfo(**content["recognizer"])
        statistics = content["feature_statistics"]
        statistics["mean"] = tuple(statistics["mean"])
        content["feature_statistics"] = FeatureStatistics(**statistics)
        content["splits"] = {
            split: [ShardInfo(**shard) for shard in shards]
            for split, shards in content["splits"].items()
        }
        return DatasetInfo(**content)
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(
            f"{path} is damaged ({error!r}); rebuild the data set"
        ) from None
