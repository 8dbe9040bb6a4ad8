"""Clips through counted stages on Apache Beam, one chunk of clips at a time.

A stage is an object with a name and `process(item)`, or `process_all(items)` where a
batch is cheaper. It either adds something to an item or raises; a clip that raises is
rejected with its reason, goes no further, and does not stop the job. Models are loaded
in `setup`, once for each worker. Memory is bounded by one chunk for each worker.

Without pipeline options the job runs on this machine, in one process for each core:
dlib holds Python's global lock, so threads would not help, and TensorFlow must not be
forked, so the workers are fresh processes (Beam's FnApiRunner). With pipeline options
the same pipeline runs on any Beam runner whose workers see the output folder.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import shlex
import sys
import threading
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import apache_beam as beam
import tqdm
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms import environments

from data_prep import beam_worker, work_folder
from data_prep.manifest import Clip
from data_prep.work_folder import ChunkResult, ChunkSummary, Rejection, WorkFolder
from speech2face import files

# Errors that mean bad data; anything else is a bug and stops the job.
DATA_ERRORS = (ValueError, OSError, RuntimeError, MemoryError, EOFError)
MAX_DEATHS_AT_START = 3


class Rejected(ValueError):
    """Raised by a stage to reject a clip; `reason` is a short one, to count by."""

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.reason = reason


@dataclasses.dataclass
class Item:
    """A clip on its way: what the stages have made of it, or why it was rejected."""

    clip: Clip
    chunk_index: int = 0
    values: Dict[str, Any] = dataclasses.field(default_factory=dict)
    rejection: Optional[Rejection] = None


@dataclasses.dataclass
class Chunk:
    """Clips that go through the stages together."""

    index: int
    items: List[Item]
    stages: List[Dict[str, Any]] = dataclasses.field(default_factory=list)


class Stage:
    """One step. The last stage leaves the serialized record in `values['record']`."""

    name = ""

    def setup(self) -> None:
        """Loads models; once for each worker."""

    def process(self, item: Item) -> None:
        """Takes one clip further, or raises."""
        raise NotImplementedError

    def process_all(self, items: List[Item]) -> None:
        """Takes a chunk further; items that raise are rejected one by one."""
        for item in items:
            beam_worker.note(item.clip.clip_id)
            try:
                self.process(item)
            except DATA_ERRORS as error:
                reject(item, self.name, error)


def reject(item: Item, stage: str, error: Exception) -> None:
    """Marks an item as rejected; a full disk is no clip's fault and is raised again."""
    if getattr(error, "errno", None) in work_folder.DISK_FULL:
        raise error
    detail = " ".join(str(error).split()) or type(error).__name__
    item.rejection = Rejection(item.clip.clip_id, stage, reason_of(error), detail)
    item.values.clear()


# Words in the one-line errors of speech2face.audio and data_prep.media -> reason.
_REASONS = (
    ("has no audio track", "no_audio_track"),
    ("is silent", "silent"),
    ("NaN", "nan_samples"),
    ("s is the least", "too_short"),
    ("has no sound between", "beyond_the_end"),
    ("has no picture at", "beyond_the_end"),
    ("the file is empty", "empty_file"),
    ("no such file", "missing_file"),
    ("no video track", "no_video_track"),
    ("readable", "unreadable"),
)


def reason_of(error: Exception) -> str:
    """A short reason to count rejections by."""
    if isinstance(error, Rejected):
        return error.reason
    return next((r for words, r in _REASONS if words in str(error)), "bad_data")


def run_stage(stage: Stage, chunk: Chunk) -> Chunk:
    """Takes a chunk through one stage and notes counts and time."""
    begin_secs, begin_core_secs = time.perf_counter(), time.process_time()
    items = [item for item in chunk.items if item.rejection is None]
    stage.process_all(items)
    beam_worker.note("")
    counts = {
        "stage": stage.name,
        "n_in": len(items),
        "n_out": sum(item.rejection is None for item in items),
        "secs": time.perf_counter() - begin_secs,
        # Of all threads: what the stage costs, however busy the machine is.
        "core_secs": time.process_time() - begin_core_secs,
    }
    chunk.stages.append(counts)
    return chunk


def result_of(chunk: Chunk, recognizer: Dict[str, Any]) -> ChunkResult:
    """What is kept of a finished chunk."""
    records = [i.values["record"] for i in chunk.items if i.rejection is None]
    summary = ChunkSummary(
        index=chunk.index,
        split=chunk.items[0].clip.split if chunk.items else "",
        stages=chunk.stages,
        rejections=[item.rejection for item in chunk.items if item.rejection],
        recognizer=recognizer,
        record_bytes=[len(record) for record in records],
    )
    return ChunkResult(summary, records)


class StageFn(beam.DoFn):
    """A stage as a Beam function, with Beam's own counters beside ours."""

    def __init__(self, stage: Stage):
        self._stage = stage

    def setup(self):
        """Loads the stage's models."""
        self._stage.setup()

    def process(self, chunk: Chunk):
        """Takes one chunk through the stage."""
        chunk = run_stage(self._stage, chunk)
        counts = chunk.stages[-1]
        for name in ("n_in", "n_out"):
            counter = beam.metrics.Metrics.counter(self._stage.name, name)
            counter.inc(counts[name])
        yield chunk


class SaveFn(beam.DoFn):
    """Writes finished chunks into the work folder."""

    def __init__(self, work_path: str, recognizer: Dict[str, Any]):
        self._work_path = work_path
        self._recognizer = recognizer

    def process(self, chunk: Chunk):
        """Saves one chunk."""
        WorkFolder(self._work_path).save(result_of(chunk, self._recognizer))
        yield chunk.index


def run_stages(
    work: WorkFolder,
    stages: Sequence[Stage],
    recognizer: Dict[str, Any],
    n_workers: int = 0,
    beam_options: str = "",
    description: str = "clips",
    max_secs_per_clip: float = 600.0,
) -> None:
    """Takes every unfinished chunk of `work` through `stages`.

    Args:
      work: the job's folder, started.
      stages: in order; the last one makes the record.
      recognizer: its name, feature_dim and checksum, kept with every chunk.
      n_workers: processes on this machine; 0 is one for each core.
      beam_options: pipeline options; '' is this machine.
      description: what the progress bar counts.
      max_secs_per_clip: a worker process that a stage keeps at one clip for longer is
        killed and the clip rejected. With `n_workers` 1 nothing is watched; on a
        cluster that is the runner's business.

    Raises:
      OSError: the disk is full.
    """
    sizes = {index: len(clips) for index, clips in work.chunks()}
    n_pending = len(sizes) - len(work.done())
    if not n_pending:
        return
    is_watched = n_workers != 1 and not beam_options
    n_workers = min(n_workers or len(os.sched_getaffinity(0)), n_pending)

    def run() -> None:
        runner, options = _runner(beam_options, n_workers, is_watched)
        with beam.Pipeline(runner, options) as pipeline:
            _build(pipeline, work, stages, recognizer)

    is_full = work_folder.full_disk_in_one_line(work.path.parent)
    with _quiet_beam(), _progress(work, sizes, description), is_full:
        if is_watched:
            _run_until_done(run, work, n_workers, max_secs_per_clip)
        else:
            run()


def _run_until_done(
    run: Callable[[], None], work: WorkFolder, n_workers: int, max_secs_per_clip: float
) -> None:
    """Runs again what a dying worker left; a clip that kills two is rejected, and one
    that takes too long at once."""
    folder = work.path / "workers"
    files.remove(folder)
    folder.mkdir()
    n_lost = 0
    with _worker_environment(n_workers, folder):
        while ends := beam_worker.watch(run, folder, max_secs_per_clip):
            work.note_ends([end for end in ends if end.clip_id])
            n_lost = 0 if any(end.clip_id for end in ends) else n_lost + 1
            if n_lost == MAX_DEATHS_AT_START:
                raise RuntimeError("the worker processes die before their first clip")


def _build(pipeline, work: WorkFolder, stages: Sequence[Stage], recognizer) -> None:
    chunks = (
        pipeline
        | "work folder" >> beam.Create([str(work.path)])
        | "plan" >> beam.FlatMap(_open_chunks)
        | "spread" >> beam.Reshuffle()
        | "open" >> beam.Map(_reject_crashing, str(work.path))
    )
    for stage in stages:
        chunks = chunks | stage.name >> beam.ParDo(StageFn(stage))
    chunks | "save" >> beam.ParDo(SaveFn(str(work.path), recognizer))


def _open_chunks(work_path: str) -> Iterator[Chunk]:
    work = WorkFolder(work_path)
    for index, clips in work.pending():
        yield Chunk(index, [Item(clip, index) for clip in clips])


def _reject_crashing(chunk: Chunk, work_path: str) -> Chunk:
    reasons = WorkFolder(work_path).deadly()
    for item in chunk.items:
        reason = reasons.get(item.clip.clip_id)
        if reason:
            reject(item, "open", Rejected(reason, _DEADLY[reason]))
    n_out = sum(item.rejection is None for item in chunk.items)
    counts = dict(stage="open", n_in=len(chunk.items), n_out=n_out)
    chunk.stages.append({**counts, "secs": 0.0, "core_secs": 0.0})
    return chunk


_DEADLY = {
    "crash": "the worker process died at this clip, twice",
    "timeout": "a stage took longer than --max_secs_per_clip with this clip",
}


def _runner(beam_options: str, n_workers: int, is_watched: bool):
    """The runner (None: the one that the options name) and its pipeline options."""
    if beam_options:
        return None, PipelineOptions(shlex.split(beam_options))
    options = PipelineOptions([f"--direct_num_workers={n_workers}"])
    if not is_watched:
        return FnApiRunner(), options
    command = f"{shlex.quote(sys.executable)} -m {beam_worker.__name__}"
    processes = environments.SubprocessSDKEnvironment.from_command_string(command)
    return FnApiRunner(default_environment=processes), options


@contextlib.contextmanager
def _worker_environment(n_workers: int, folder: pathlib.Path) -> Iterator[None]:
    """Workers import what this process can import, and share the cores between them."""
    n_threads = str(max(1, len(os.sched_getaffinity(0)) // n_workers))
    changes = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "TF_NUM_INTRAOP_THREADS": n_threads,
        "OMP_NUM_THREADS": n_threads,
        "PYTHONPATH": os.pathsep.join(os.path.abspath(path) for path in sys.path),
        beam_worker.PARENT_VARIABLE: str(os.getpid()),
        beam_worker.FOLDER_VARIABLE: str(folder.resolve()),
    }
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _quiet_beam() -> Iterator[None]:
    """No chatter, and no tracebacks of Beam's threads whose worker has died."""
    level, hook = logging.root.manager.disable, threading.excepthook
    logging.disable(logging.CRITICAL)
    threading.excepthook = lambda args: None
    try:
        yield
    finally:
        threading.excepthook = hook
        logging.disable(level)


@contextlib.contextmanager
def _progress(work: WorkFolder, sizes: Dict[int, int], description: str):
    """A progress bar of finished clips; Beam's workers only share the work folder."""
    stop = threading.Event()
    on_terminal = sys.stderr.isatty()
    bar = tqdm.tqdm(
        total=sum(sizes.values()),
        initial=sum(sizes[index] for index in work.done()),
        desc=description,
        unit="clip",
        mininterval=0.5 if on_terminal else 15,
    )

    def update() -> None:
        bar.update(sum(sizes[index] for index in work.done()) - bar.n)

    def watch() -> None:
        while not stop.wait(1.0):
            update()

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        update()
        bar.close()
