"""The finished part of a record job on disk, so that a killed job can resume.

    .work/job.json             options of the job; a job with others is refused
    .work/plan.jsonl           one line a chunk: the clips that go through together;
                               with new paths when the media have moved
    .work/ends.jsonl           clips at which worker processes died
    .work/done/00000012.chunk  chunk 12: a line of JSON, then the bytes of its records

Chunks are a function of the manifest alone, and a chunk's file appears whole or not at
all. So the records do not depend on the time of a kill, on the number of workers or on
the runner. Where the records do not matter, only the line of JSON is read: a job of 1.7
million clips has 212,500 chunks. See docs/decisions/resumable-data-jobs.md.
"""

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import pathlib
import re
import zlib
from collections.abc import Iterator, Sequence
from typing import (
    Any,
    BinaryIO,
)

from data_prep.clips.manifest import Clip
from data_prep.stages.beam_worker import WorkerEnd
from data_prep.stages.same_job import as_json, check_same_job, relative
from speech2face import files
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import decode, from_dict, parse_json, read_json

_MAX_HEADER_BYTES = 2**28  # far above a chunk of a million clips that are rejected
_CHUNK_NAME = re.compile(r"[0-9]{8}\.chunk")
DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


@contextlib.contextmanager
def full_disk_in_one_line(output_dir: PathLike) -> Iterator[None]:
    """Turns any error of a full disk, also TensorFlow's, into one line on what to do.

    Raises:
      OSError: the disk is full.
    """
    try:
        yield
    except Exception as error:
        if _is_of_full_disk(error):
            raise OSError(
                f"no space left on the disk of {output_dir}; make room and run the "
                "same command again, finished clips are kept"
            ) from None
        raise


def _is_of_full_disk(error: Exception) -> bool:
    if getattr(error, "errno", None) in DISK_FULL:
        return True
    # Beam re-raises a worker's OSError, and TensorFlow its own errors, as text alone:
    # the system's words are all that tells a full disk from another failure.
    text = str(error)
    return "No space left" in text or "quota exceeded" in text


@dataclasses.dataclass(frozen=True)
class Rejection:
    """Why a clip was rejected.

    Attributes:
      clip_id: name of the clip.
      stage: name of the stage that rejected it.
      reason: snake_case, counted in reports.
      detail: a sentence.
    """

    clip_id: str
    stage: str
    reason: str
    detail: str


@dataclasses.dataclass(frozen=True)
class _StageCounts:
    """What a chunk's file says of one stage."""

    stage: str
    n_in: int
    n_out: int
    secs: float
    core_secs: float


@dataclasses.dataclass
class ChunkSummary:
    """What happened to the clips of a chunk.

    Attributes:
      index: index of the chunk in the plan.
      split: split of all its clips.
      stages: for each stage in order: `stage`, `n_in`, `n_out`, `secs`, `core_secs`.
      rejections: rejections of the clips without a record.
      recognizer: its name, feature_dim and checksum.
      record_bytes: size of each record.
      tracebacks: one of each kind of error that nobody expected (`unexpected.kind_of`).
    """

    index: int
    split: str
    stages: list[dict[str, Any]]
    rejections: list[Rejection]
    recognizer: dict[str, Any]
    record_bytes: list[int]
    tracebacks: dict[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass
class ChunkResult:
    """A finished chunk: its summary, and its serialized records."""

    summary: ChunkSummary
    records: list[bytes]


class WorkFolder:
    """The folder of one job."""

    def __init__(self, path: PathLike):
        self.path = files.as_path(path)
        self._done = self.path / "done"

    def start(self, job: dict[str, Any], chunks: Sequence[Sequence[Clip]]) -> None:
        """Creates the folder for `job`, or checks that it belongs to that job.

        Raises:
          UserError: the folder belongs to another job, or its plan is damaged.
        """
        job = as_json(job)
        job_file = self.path / "job.json"
        plan_file = self.path / "plan.jsonl"
        lines = [
            json.dumps([dataclasses.asdict(clip) for clip in chunk]) + "\n"
            for chunk in chunks
        ]
        plan = "".join(lines).encode()
        if job_file.exists():
            old = read_json(job_file, dict[str, Any])
            check_same_job(old, job, str(self.path.parent))
            # A line that is lost would be clips that are lost, without a word.
            if not plan_file.is_file() or plan_file.read_bytes() != plan:
                if not self._has_moved_plan(chunks):
                    raise UserError(
                        f"{plan_file} is damaged; delete {self.path} and run again",
                        reason="damaged_plan",
                    )
                files.write_atomically(plan_file, plan, is_ours=True)
            return
        self._done.mkdir(parents=True, exist_ok=True)
        files.write_atomically(plan_file, plan, is_ours=True)
        # Last, because it makes the folder valid.
        content = json.dumps(job, indent=1).encode()
        files.write_atomically(job_file, content, is_ours=True)

    def _has_moved_plan(self, chunks: Sequence[Sequence[Clip]]) -> bool:
        """Returns whether the plan is that of these chunks but for a folder's place."""
        try:
            saved = [clips for _, clips in self.chunks()]
        except (UserError, OSError, ValueError):
            return False
        have_same_ids = _ids(saved) == _ids(chunks)
        return have_same_ids and _relative_clips(saved) == _relative_clips(chunks)

    def chunks(self) -> Iterator[tuple[int, list[Clip]]]:
        """Yields the index and the clips of every chunk."""
        for index, line in self._lines():
            yield index, self.parse_chunk(line)

    def sizes(self) -> dict[int, int]:
        """Returns the number of clips of every chunk."""
        return {index: len(self._clips(line)) for index, line in self._lines()}

    def pending(self) -> Iterator[tuple[int, str]]:
        """Yields the index and the plan's line of every chunk that is not finished.

        Checking the clips of a line takes 0.1 ms each, minutes for 1.7 million of them,
        so `parse_chunk` is left to the workers.
        """
        done = self.done()
        return ((index, line) for index, line in self._lines() if index not in done)

    def parse_chunk(self, line: str) -> list[Clip]:
        """Returns the clips of a line of the plan."""
        return decode(list[Clip], self._clips(line), str(self.path / "plan.jsonl"))

    def _clips(self, line: str) -> list[Any]:
        source = str(self.path / "plan.jsonl")
        return decode(list[Any], parse_json(line, source), source)

    def _lines(self) -> Iterator[tuple[int, str]]:
        with (self.path / "plan.jsonl").open() as file:
            yield from enumerate(file)

    def done(self) -> set[int]:
        """Returns the indices of the finished chunks."""
        if files.is_in_bucket(self._done):
            names = [path.name for path in self._done.iterdir()]
        else:  # os.listdir: a Path for each of 212,500 files would be slow
            names = os.listdir(self._done)  # noqa: PTH208
        # Others are temporary files, or copies that somebody made.
        return {int(name[:8]) for name in names if _CHUNK_NAME.fullmatch(name)}

    def record_worker_ends(self, ends: Sequence[WorkerEnd]) -> None:
        """Stores at which clips workers died, and how."""
        path = self.path / "ends.jsonl"
        lines = "".join(json.dumps(end) + "\n" for end in ends)
        if files.is_in_bucket(path):
            before = path.read_bytes() if path.is_file() else b""
            path.write_bytes(before + lines.encode())
        else:
            with path.open("a") as file:
                file.write(lines)

    def fatal_clips(self) -> dict[str, str]:
        """Returns the clips that are not tried again: id -> 'crash' or 'timeout'."""
        try:
            lines = (self.path / "ends.jsonl").read_text().splitlines()
        except FileNotFoundError:
            return {}
        ends = [end for end in map(_parse_worker_end, lines) if end]
        # One crash may be another process's fault, such as memory that ran out.
        crashed = {end.clip_id for end in ends if ends.count(end) > 1}
        late = {end.clip_id for end in ends if end.how == "timeout"}
        return {**dict.fromkeys(crashed, "crash"), **dict.fromkeys(late, "timeout")}

    def save(self, result: ChunkResult) -> None:
        """Writes a finished chunk, whole or not at all."""
        content = b"".join(result.records)
        header = dataclasses.asdict(result.summary)
        header["crc32"] = zlib.crc32(content)
        line = json.dumps(header).encode() + b"\n"
        path = self._file(result.summary.index)
        files.write_atomically(path, line + content, is_ours=True)

    def summary(self, index: int) -> ChunkSummary:
        """Reads the summary of a finished chunk, without its records.

        Raises:
          UserError: its file is damaged.
        """
        with self._file(index).open("rb") as file:
            return self._read_header(file, index)[0]

    def load(self, index: int) -> ChunkResult:
        """Reads a finished chunk.

        Raises:
          UserError: its file is damaged.
        """
        with self._file(index).open("rb") as file:
            summary, crc32 = self._read_header(file, index)
            records = [file.read(n_bytes) for n_bytes in summary.record_bytes]
            if zlib.crc32(b"".join(records)) != crc32 or file.read(1):
                raise self._damaged(file.name)
        return ChunkResult(summary, records)

    def remove(self) -> None:
        """Deletes the folder."""
        files.remove(self.path)

    def _read_header(self, file: BinaryIO, index: int) -> tuple[ChunkSummary, int]:
        try:
            header = parse_json(file.readline(_MAX_HEADER_BYTES), file.name)
            crc32 = header.pop("crc32")
            summary = from_dict(ChunkSummary, header, file.name)
            decode(list[_StageCounts], summary.stages, file.name)
        except (UserError, KeyError, TypeError, AttributeError):
            raise self._damaged(file.name) from None
        if summary.index != index:  # a file that somebody renamed
            raise self._damaged(file.name)
        return summary, crc32

    def _damaged(self, name: str) -> UserError:
        return UserError(
            f"{name} is damaged; delete it and run again", reason="damaged_chunk"
        )

    def _file(self, index: int) -> pathlib.Path:
        return self._done / f"{index:08d}.chunk"


def _ids(chunks: Sequence[Sequence[Clip]]) -> list[list[str]]:
    return [[clip.clip_id for clip in clips] for clips in chunks]


def _relative_clips(chunks: Sequence[Sequence[Clip]]) -> list[Clip]:
    return relative(list(itertools.chain.from_iterable(chunks)))


def _parse_worker_end(line: str) -> WorkerEnd | None:
    try:
        end = decode(tuple[str, str], parse_json(line, "ends.jsonl"), "ends.jsonl")
    except UserError:  # a kill cut the line off
        return None
    return WorkerEnd(*end)
