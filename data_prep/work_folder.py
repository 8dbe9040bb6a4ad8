"""What a record job has finished so far, on disk, so that any kill can be resumed.

    .work/job.json            what the job is; another job in its place is refused
    .work/plan.jsonl          one line a chunk: the clips that go through together
    .work/done/00000012.chunk  chunk 12: a line of JSON, then the bytes of its records

Chunks are a function of the manifest alone, and a chunk's file appears whole or not at
all, so the records do not depend on when a job was killed, on the number of workers or
on the runner. The line of JSON is read alone where the records do not matter: a job of
1.7 million clips has 212,500 chunks.
"""

import contextlib
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import zlib
from typing import Any, Dict, Iterator, List, Sequence, Set, Tuple

from data_prep.beam_worker import WorkerEnd
from data_prep.manifest import Clip
from speech2face import files

DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def full_disk_in_one_line(output_dir: "os.PathLike[str]") -> Iterator[None]:
    """Turns any error of a full disk, also TensorFlow's, into one line on what to do.

    Raises:
      OSError: with that line.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        if (
            getattr(error, "errno", None) in DISK_FULL
            or "No space left" in text
            or "quota exceeded" in text
        ):
            raise OSError(
                f"no space left on the disk of {output_dir}; make room and run the "
                "same command again, finished clips are kept"
            ) from None
        raise


@dataclasses.dataclass(frozen=True)
class Rejection:
    """Why a clip gives no record: a short reason to count by, and a full sentence."""

    clip_id: str
    stage: str
    reason: str
    detail: str


@dataclasses.dataclass
class ChunkSummary:
    """What became of a chunk: how many clips each stage took, kept and for how long
    (`stages`, in order), who was rejected, and how long the others' records are."""

    index: int
    split: str
    stages: List[Dict[str, Any]]
    rejections: List[Rejection]
    recognizer: Dict[str, Any]
    record_bytes: List[int]


@dataclasses.dataclass
class ChunkResult:
    """A finished chunk: its summary, and the records that it describes."""

    summary: ChunkSummary
    records: List[bytes]


class WorkFolder:
    """The folder of one job."""

    def __init__(self, path: "os.PathLike[str]"):
        self.path = pathlib.Path(path)
        self._done = self.path / "done"

    def start(self, job: Dict[str, Any], chunks: Sequence[Sequence[Clip]]) -> None:
        """Makes the folder for `job`, or checks that it is that job's.

        Raises:
          ValueError: the folder belongs to another job.
        """
        job = json.loads(json.dumps(job))
        job_file = self.path / "job.json"
        if job_file.exists():
            check_same_job(json.loads(job_file.read_text()), job, str(self.path.parent))
            return
        self._done.mkdir(parents=True, exist_ok=True)
        lines = [json.dumps([_clip_to_json(c) for c in chunk]) for chunk in chunks]
        files.write_atomically(
            self.path / "plan.jsonl", "".join(f"{line}\n" for line in lines).encode()
        )
        files.write_atomically(job_file, json.dumps(job, indent=1).encode())

    def chunks(self) -> Iterator[Tuple[int, List[Clip]]]:
        """All chunks: index and clips."""
        with open(self.path / "plan.jsonl") as file:
            for index, line in enumerate(file):
                yield index, [_clip_from_json(values) for values in json.loads(line)]

    def pending(self) -> Iterator[Tuple[int, List[Clip]]]:
        """The chunks that are not finished."""
        done = self.done()
        return ((i, clips) for i, clips in self.chunks() if i not in done)

    def done(self) -> Set[int]:
        """Indices of the finished chunks."""
        names = os.listdir(self._done)
        return {int(n.split(".")[0]) for n in names if not n.startswith(".")}

    def note_ends(self, ends: Sequence[WorkerEnd]) -> None:
        """Remembers at which clips workers ended, and how."""
        with open(self.path / "ends.jsonl", "a") as file:
            file.writelines(json.dumps(end) + "\n" for end in ends)

    def deadly(self) -> Dict[str, str]:
        """Clips and why they are not tried again: 'crash', twice, or 'timeout'."""
        try:
            lines = (self.path / "ends.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return {}
        ends = [WorkerEnd(*json.loads(line)) for line in lines]
        crashed = {end.clip_id for end in ends if ends.count(end) > 1}
        late = {end.clip_id for end in ends if end.how == "timeout"}
        return {**dict.fromkeys(crashed, "crash"), **dict.fromkeys(late, "timeout")}

    def save(self, result: ChunkResult) -> None:
        """Writes a finished chunk, whole or not at all."""
        content = b"".join(result.records)
        header = dataclasses.asdict(result.summary)
        header["crc32"] = zlib.crc32(content)
        line = json.dumps(header).encode() + b"\n"
        files.write_atomically(self._file(result.summary.index), line + content)

    def summary(self, index: int) -> ChunkSummary:
        """Reads what became of a finished chunk, without its records.

        Raises:
          ValueError: its file is damaged.
        """
        with open(self._file(index), "rb") as file:
            return self._read_header(file)[0]

    def load(self, index: int) -> ChunkResult:
        """Reads a finished chunk back.

        Raises:
          ValueError: its file is damaged.
        """
        with open(self._file(index), "rb") as file:
            summary, crc32 = self._read_header(file)
            records = [file.read(n_bytes) for n_bytes in summary.record_bytes]
            if zlib.crc32(b"".join(records)) != crc32 or file.read(1):
                raise self._damaged(file.name)
        return ChunkResult(summary, records)

    def remove(self) -> None:
        """Deletes the folder."""
        files.remove(self.path)

    def _read_header(self, file) -> Tuple[ChunkSummary, int]:
        try:
            header = json.loads(file.readline())
            crc32 = header.pop("crc32")
            header["rejections"] = [Rejection(**r) for r in header["rejections"]]
            return ChunkSummary(**header), crc32
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._damaged(file.name) from None

    def _damaged(self, name: str) -> ValueError:
        return ValueError(f"{name} is damaged; delete it and run again")

    def _file(self, index: int) -> pathlib.Path:
        return self._done / f"{index:08d}.chunk"


def check_same_job(old: Dict[str, Any], new: Dict[str, Any], where: str) -> None:
    """Raises a ValueError that names the differences if the two jobs are not one."""
    names = sorted(n for n in {*old, *new} if old.get(n) != new.get(n))
    if names:
        changes = ", ".join(f"{n} {old.get(n)!r} -> {new.get(n)!r}" for n in names)
        raise ValueError(
            f"{where} holds the data of another job ({changes}); choose another "
            "--output_dir or delete it"
        )


def fingerprint(clips: Sequence[Clip]) -> str:
    """A sha256 over all that a manifest says."""
    digest = hashlib.sha256()
    for clip in sorted(clips, key=lambda clip: clip.clip_id):
        digest.update(json.dumps(_clip_to_json(clip)).encode())
    return digest.hexdigest()


def _clip_to_json(clip: Clip) -> Dict[str, Any]:
    return dataclasses.asdict(clip)


def _clip_from_json(values: Dict[str, Any]) -> Clip:
    labels = tuple((name, value) for name, value in values.pop("labels"))
    return Clip(labels=labels, **values)
