"""Runs stages over the chunks of a work folder, on Apache Beam.

    plan.jsonl -> chunks -> stage -> ... -> stage -> done/*.chunk

Memory is bounded by one chunk for each worker. Without pipeline options the job runs on
this machine, in one process for each core: dlib holds Python's global lock, so threads
would not help, and TensorFlow must not be forked, so the workers are fresh processes
(Beam's FnApiRunner). With pipeline options the same pipeline runs on any Beam runner
whose workers see the output folder: docs/decisions/beam-runners.md. The costs of the
stages are in docs/decisions/stage-costs.md.
"""

import contextlib
import dataclasses
import logging
import os
import pathlib
import shlex
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms import environments

from data_prep.options import ONE_THREAD
from data_prep.stages import beam_worker, work_folder
from data_prep.stages.progress import progress_bar
from data_prep.stages.stage import Item, Stage, reject
from data_prep.stages.work_folder import ChunkResult, ChunkSummary, WorkFolder
from speech2face import files
from speech2face.errors import UserError
from speech2face.system import n_cores

# Workers that die before they reach a clip have a fault of their own; without a limit
# the job would restart them forever.
MAX_DEATHS_AT_START = 3
# A worker starts in about the time that it then takes for this many clips.
_MIN_CLIPS_PER_WORKER = 16


@dataclasses.dataclass
class Chunk:
    """Clips that go through the stages together, and the counts of each stage."""

    index: int
    items: list[Item]
    stages: list[dict[str, Any]] = dataclasses.field(default_factory=list)


def run_stage(stage: Stage, chunk: Chunk) -> Chunk:
    """Takes a chunk through one stage and records counts and time."""
    begin_secs, begin_core_secs = time.perf_counter(), time.process_time()
    items = [item for item in chunk.items if item.rejection is None]
    stage.process_all(items)
    beam_worker.set_current_clip("")
    counts = {
        "stage": stage.name,
        "n_in": len(items),
        "n_out": sum(item.rejection is None for item in items),
        "secs": time.perf_counter() - begin_secs,
        # Of all threads: the cost of the stage, however busy the machine is.
        "core_secs": time.process_time() - begin_core_secs,
    }
    chunk.stages.append(counts)
    return chunk


def result_of(chunk: Chunk, recognizer: dict[str, Any]) -> ChunkResult:
    """Returns what is stored of a finished chunk."""
    records = [i.values["record"] for i in chunk.items if i.rejection is None]
    tracebacks: dict[str, str] = {}
    for item in chunk.items:
        tracebacks.update(item.tracebacks)
    summary = ChunkSummary(
        index=chunk.index,
        split=chunk.items[0].clip.split if chunk.items else "",
        stages=chunk.stages,
        rejections=[item.rejection for item in chunk.items if item.rejection],
        recognizer=recognizer,
        record_bytes=[len(record) for record in records],
        tracebacks=tracebacks,
    )
    return ChunkResult(summary, records)


class StageFn(beam.DoFn):
    """A stage as a Beam function; Beam's own counters repeat ours."""

    def __init__(self, stage: Stage):
        self._stage = stage

    def setup(self) -> None:
        """Loads the stage's models."""
        self._stage.setup()

    def process(self, chunk: Chunk) -> Iterator[Chunk]:
        """Takes one chunk through the stage."""
        chunk = run_stage(self._stage, chunk)
        counts = chunk.stages[-1]
        for name in ("n_in", "n_out"):
            counter = beam.metrics.Metrics.counter(self._stage.name, name)
            counter.inc(counts[name])
        yield chunk


class SaveFn(beam.DoFn):
    """Writes finished chunks into the work folder."""

    def __init__(self, work_path: str, recognizer: dict[str, Any]):
        self._work_path = work_path
        self._recognizer = recognizer

    def process(self, chunk: Chunk) -> Iterator[int]:
        """Saves one chunk."""
        WorkFolder(self._work_path).save(result_of(chunk, self._recognizer))
        yield chunk.index


def run_stages(
    work: WorkFolder,
    stages: Sequence[Stage],
    recognizer: dict[str, Any],
    n_workers: int = 0,
    beam_options: str = "",
    description: str = "clips",
    max_secs_per_clip: float = 600.0,
) -> None:
    """Takes every unfinished chunk of `work` through `stages`.

    Args:
      work: the job's folder, started.
      stages: the stages in order; the last one makes the record.
      recognizer: its name, feature_dim and checksum, stored with every chunk.
      n_workers: processes on this machine; 0 is one for each core, and fewer for a few
        clips.
      beam_options: pipeline options; '' is this machine.
      description: what the progress bar counts.
      max_secs_per_clip: a worker that spends longer than this on one clip is killed and
        the clip rejected. With `n_workers` 1 nothing is watched; on a cluster that is
        the runner's task.

    Raises:
      OSError: the disk is full.
    """
    sizes = work.sizes()
    n_pending = len(sizes) - len(work.done())
    if not n_pending:
        return
    is_watched = n_workers != 1 and not beam_options
    worthwhile = min(n_cores(), max(1, sum(sizes) // _MIN_CLIPS_PER_WORKER))
    n_workers = min(n_workers or worthwhile, n_pending)

    def run_pipeline() -> None:
        runner, options = _runner(beam_options, n_workers, is_watched)
        with _new_pipeline(runner, options) as pipeline:
            _build(pipeline, work, stages, recognizer)

    is_full = work_folder.full_disk_in_one_line(work.path.parent)
    progress = progress_bar(work, sizes, description)
    with _quiet_beam(), progress, is_full, _environment(ONE_THREAD):
        if is_watched:
            _run_until_done(run_pipeline, work, max_secs_per_clip)
        else:
            run_pipeline()


def _run_until_done(
    run_pipeline: Callable[[], None],
    work: WorkFolder,
    max_secs_per_clip: float,
) -> None:
    """Restarts the pipeline whenever a worker dies, until all chunks are finished.

    Each run begins with the chunks that are unfinished then. A clip at which two
    workers died is rejected, and one that took too long is rejected at once.

    Args:
      run_pipeline: runs Beam over the unfinished chunks.
      work: the job's folder.
      max_secs_per_clip: see `run_stages`.
    """
    n_deaths_at_start = 0
    with _workers_folder(work) as folder, _environment(_for_workers(folder)):
        while ends := beam_worker.watch(run_pipeline, folder, max_secs_per_clip):
            ends_at_clips = [end for end in ends if end.clip_id]
            work.record_worker_ends(ends_at_clips)
            n_deaths_at_start = 0 if ends_at_clips else n_deaths_at_start + 1
            if n_deaths_at_start == MAX_DEATHS_AT_START:
                raise UserError(
                    "the worker processes die before their first clip; if memory ran "
                    "out, take fewer --n_workers; --n_workers=1 shows any other error",
                    reason="workers_die",
                )


@contextlib.contextmanager
def _workers_folder(work: WorkFolder) -> Iterator[pathlib.Path]:
    """Yields an empty folder of this machine, for its worker processes."""
    if files.is_in_bucket(work.path):
        with tempfile.TemporaryDirectory(prefix="speech2face-") as temporary:
            yield pathlib.Path(temporary)
        return
    folder = work.path / "workers"
    files.remove(folder)
    folder.mkdir()
    yield folder


def _build(
    pipeline: beam.Pipeline,
    work: WorkFolder,
    stages: Sequence[Stage],
    recognizer: dict[str, Any],
) -> None:
    # Only the folder's path enters the pipeline: its workers read the plan themselves.
    chunks = (
        pipeline
        | "work folder" >> beam.Create([str(work.path)])
        | "plan" >> beam.FlatMap(_pending_lines)
        | "spread" >> beam.Reshuffle()
        | "open" >> beam.Map(_open_chunk, str(work.path))
    )
    for stage in stages:
        chunks = chunks | stage.name >> beam.ParDo(StageFn(stage))
    chunks | "save" >> beam.ParDo(SaveFn(str(work.path), recognizer))


def _pending_lines(work_path: str) -> Iterator[tuple[int, str]]:
    yield from WorkFolder(work_path).pending()


def _open_chunk(index_and_line: tuple[int, str], work_path: str) -> Chunk:
    """Makes a chunk, and rejects its clips at which workers of an earlier run died."""
    index, line = index_and_line
    work = WorkFolder(work_path)
    chunk = Chunk(index, [Item(clip, index) for clip in work.parse_chunk(line)])
    reasons = work.fatal_clips()
    for item in chunk.items:
        reason = reasons.get(item.clip.clip_id)
        if reason:
            error = UserError(_FATAL_SENTENCES[reason], reason=reason)
            reject(item, "open", error)
    n_out = sum(item.rejection is None for item in chunk.items)
    counts = {"stage": "open", "n_in": len(chunk.items), "n_out": n_out}
    chunk.stages.append({**counts, "secs": 0.0, "core_secs": 0.0})
    return chunk


_FATAL_SENTENCES = {
    "crash": "the worker process died at this clip, twice",
    "timeout": "a stage took longer than --max_secs_per_clip with this clip",
}


def _runner(
    beam_options: str, n_workers: int, is_watched: bool
) -> tuple[FnApiRunner | None, PipelineOptions]:
    """Returns the runner (None: the one that the options name) and its options."""
    if beam_options:
        return None, _parse_options(beam_options)
    options = PipelineOptions([f"--direct_num_workers={n_workers}"])
    if not is_watched:
        return FnApiRunner(), options
    command = f"{shlex.quote(sys.executable)} -m {beam_worker.__name__}"
    if os.name == "posix":  # else Beam's shell reports "Killed" when a job is stopped
        command = f"exec {command}"
    processes = environments.SubprocessSDKEnvironment.from_command_string(command)
    return FnApiRunner(default_environment=processes), options


def _parse_options(beam_options: str) -> PipelineOptions:
    try:
        return PipelineOptions(shlex.split(beam_options))
    except ValueError as error:  # such as a quotation mark without its partner
        raise UserError(f"--beam_options={beam_options!r}: {error}") from None


def _new_pipeline(
    runner: FnApiRunner | None, options: PipelineOptions
) -> beam.Pipeline:
    try:
        return beam.Pipeline(runner, options)
    except ValueError as error:  # such as an unknown runner
        raise UserError(f"--beam_options: {error}") from None


def _for_workers(folder: pathlib.Path) -> dict[str, str]:
    """Returns variables that let workers import what this process can import."""
    import_paths = [str(pathlib.Path(path).absolute()) for path in sys.path]
    return {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        "PYTHONPATH": os.pathsep.join(import_paths),
        beam_worker.PARENT_VARIABLE: str(os.getpid()),
        beam_worker.FOLDER_VARIABLE: str(folder.resolve()),
    }


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Changes variables of the environment for a while."""
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
    """Silences Beam's log, and tracebacks of its threads whose worker has died."""
    level, hook = logging.root.manager.disable, threading.excepthook
    logging.disable(logging.CRITICAL)
    threading.excepthook = lambda args: None
    try:
        yield
    finally:
        threading.excepthook = hook
        logging.disable(level)
