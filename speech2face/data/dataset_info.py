"""`dataset.json`: what a TFRecord data set holds and how it was made."""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any, Literal

import numpy as np
import tqdm

from speech2face import files
from speech2face.bounds import Bounds
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import from_dict, read_json

_FEATURE_DIMS = Bounds(1, 65_536)
_COUNTS = Bounds(0, 2**62)

FORMAT_VERSION = 1  # of dataset.json and of the records together
DATASET_FILE = "dataset.json"


@dataclasses.dataclass(frozen=True)
class RecognizerInfo:
    """The face recognizer that made the features.

    Attributes:
      name: such as 'dlib'.
      feature_dim: length of a feature.
      checksum: sha256 of its weights; features of equal checksums are comparable.
    """

    name: str
    feature_dim: int
    checksum: str

    def __post_init__(self) -> None:
        """Raises UserError for a length that no network can be built for."""
        _FEATURE_DIMS.check(f"feature_dim={self.feature_dim}", self.feature_dim, int)


@dataclasses.dataclass(frozen=True)
class ShardInfo:
    """One shard.

    Attributes:
      name: name of the file, inside the data set's folder.
      n_examples: number of records.
      sha256: SHA-256 of the file.
      n_bytes: size of the file; 0 in data sets made before sizes were stored.
    """

    name: str
    n_examples: int
    sha256: str
    n_bytes: int = 0

    def __post_init__(self) -> None:
        """Raises UserError unless the name is that of a file inside the folder."""
        if pathlib.PurePath(self.name).name != self.name or "\0" in self.name:
            raise UserError(f"{self.name!r:.60} is not the name of a shard")
        _COUNTS.check(f"n_examples={self.n_examples}", self.n_examples, int)
        _COUNTS.check(f"n_bytes={self.n_bytes}", self.n_bytes, int)


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """Statistics of the raw face features v of the training split.

    Attributes:
      mean: [d], the mean of v.
      mean_norm: the mean of |v|.
      centred_mean_norm: the mean of |v - mean|; spelled so in dataset.json.
    """

    mean: tuple[float, ...]
    mean_norm: float
    centred_mean_norm: float

    @classmethod
    def measure(cls, features: np.ndarray) -> "FeatureStatistics":
        """Returns the statistics of features [n, d]."""
        # float64: means over 1.7 million features.
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

    Attributes:
      kind: which records the shards hold.
      recognizer: what made the face features.
      config: options of the job that built it; only `audio_encoding` is read back.
      splits: name of a split -> its shards.
      feature_statistics: statistics of the features of the training split.
      mean_landmarks: [n][2] (x, y) px, the mean shape; face data sets only. Its
        length says how many landmarks each record has: dlib's 68, then the outline's.
      format_version: format version of this file.
    """

    kind: Literal["voice", "face"]
    recognizer: RecognizerInfo
    config: dict[str, Any]
    splits: dict[str, list[ShardInfo]]
    feature_statistics: FeatureStatistics
    mean_landmarks: list[list[float]] | None = None
    format_version: int = FORMAT_VERSION

    @property
    def n_landmarks(self) -> int:
        """Number of landmarks of a face record: dlib's 68 and those of the outline."""
        return len(self.mean_landmarks or ())

    def n_examples(self, split: str) -> int:
        """Returns the number of records of `split`."""
        return sum(shard.n_examples for shard in self.shards(split))

    def shards(self, split: str) -> list[ShardInfo]:
        """Returns the shards of `split`; raises UserError if there are none."""
        if not self.splits.get(split):
            present = ", ".join(sorted(self.splits)) or "none"
            raise UserError(
                f"no split {split!r} in the data set; it has: {present}",
                reason="no_split",
            )
        return self.splits[split]

    @property
    def checksum(self) -> str:
        """A sha256 over the content of all shards, whatever their folder."""
        digest = hashlib.sha256()
        for split in sorted(self.splits):
            for shard in self.splits[split]:
                digest.update(f"{split} {shard.name} {shard.sha256}\n".encode())
        return digest.hexdigest()


def write(data_dir: PathLike, info: DatasetInfo) -> None:
    """Writes `dataset.json` atomically, as the last file of a data set.

    A folder without it is an unfinished data set, which `read` refuses.
    """
    content = dataclasses.asdict(info)
    content["checksum"] = info.checksum
    text = json.dumps(content, indent=1) + "\n"
    path = files.as_path(data_dir) / DATASET_FILE
    files.write_atomically(path, text.encode(), is_ours=True)


def read(
    data_dir: PathLike, kind: str | None = None, check_sizes: bool = True
) -> DatasetInfo:
    """Reads `dataset.json` and checks that every shard it names is there.

    Args:
      data_dir: folder of the data set.
      kind: kind of records that is needed, 'voice' or 'face'.
      check_sizes: whether each shard must also have its size; not where the lost
        records of a damaged shard are replaced.

    Raises:
      FileNotFoundError: `data_dir` has no data set, or a shard is missing.
      UserError: `dataset.json` is damaged, of another version or of another kind; or a
        shard has another size.
    """
    path = files.as_path(data_dir) / DATASET_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{data_dir} is not a data set (no {DATASET_FILE}); build one with "
            "data_prep.build_tfrecords or data_prep.build_decoder_tfrecords"
        )
    info = _parse_info(path)
    if kind and info.kind != kind:
        raise UserError(f"{data_dir} holds {info.kind} records, expected {kind}")
    for shards in info.splits.values():
        for shard in shards:
            _check_shard(path.parent / shard.name, shard, check_sizes)
    return info


def _check_shard(path: pathlib.Path, shard: ShardInfo, check_size: bool) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"shard {path} is missing")
    n_bytes = path.stat().st_size
    if check_size and shard.n_bytes not in (0, n_bytes):
        raise UserError(
            f"shard {path} has {n_bytes:,} bytes, {DATASET_FILE} says "
            f"{shard.n_bytes:,}: it is cut off or another file",
            reason="changed_shard",
        )


def file_states(data_dir: PathLike, info: DatasetInfo) -> dict[str, list[int]]:
    """Returns name -> [size, time of the last change in ns] of every shard."""
    states = {}
    for shards in info.splits.values():
        for shard in shards:
            status = (files.as_path(data_dir) / shard.name).stat()
            states[shard.name] = [status.st_size, status.st_mtime_ns]
    return states


def check_content(
    data_dir: PathLike,
    info: DatasetInfo,
    known: dict[str, list[int]] | None = None,
) -> None:
    """Reads the shards and compares them with the checksums in `dataset.json`.

    Args:
      data_dir: folder of the data set.
      info: its `dataset.json`.
      known: `file_states` when the shards were known to be right; only those that have
        changed since then are read.

    Raises:
      UserError: a shard is not the one that `dataset.json` describes.
    """
    states = file_states(data_dir, info)
    shards = [shard for split in info.splits.values() for shard in split]
    changed = [s for s in shards if (known or {}).get(s.name) != states[s.name]]
    for shard in tqdm.tqdm(changed, "shards", disable=None):
        path = files.as_path(data_dir) / shard.name
        _check_shard(path, shard, check_size=True)
        if files.sha256(path) != shard.sha256:
            raise UserError(
                f"shard {path} has another content than {DATASET_FILE} says: it was "
                "replaced or damaged; copy the data set again, or rebuild it",
                reason="changed_shard",
            )


def _parse_info(path: pathlib.Path) -> DatasetInfo:
    content = read_json(path)
    if not isinstance(content, dict) or "format_version" not in content:
        raise UserError(f"{path} is damaged (no format_version); rebuild the data set")
    version = content["format_version"]
    if version != FORMAT_VERSION:
        raise UserError(
            f"{path} has format version {version}, expected {FORMAT_VERSION}; "
            "rebuild the data set"
        )
    content.pop("checksum", None)  # derived from the shards', for readers of the file
    return from_dict(DatasetInfo, content, str(path))
