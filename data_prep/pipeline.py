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
import errno
import logging
import os
import shlex
import sys
import threading
import time
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

import apache_beam as beam
import tqdm
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner.fn_runner import FnApiRunner
from apache_beam.transforms import environments

from data_prep import beam_worker
from data_prep.manifest import Clip
from data_prep.work_folder import ChunkResult, Rejection, WorkFolder

# Errors that mean bad data; anything else is a bug and stops the job.
DATA_ERRORS = (ValueError, OSError, RuntimeError, MemoryError, EOFError)
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)


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
            try:
                self.process(item)
            except DATA_ERRORS as error:
                reject(item, self.name, error)


def reject(item: Item, stage: str, error: Exception) -> None:
    """Marks an item as rejected; a full disk is no clip's fault and is raised again."""
    if getattr(error, "errno", None) in _DISK_FULL:
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
    begin = time.perf_counter()
    items = [item for item in chunk.items if item.rejection is None]
    stage.process_all(items)
    n_out = sum(item.rejection is None for item in items)
    secs = time.perf_counter() - begin
    chunk.stages.append(dict(stage=stage.name, n_in=len(items), n_out=n_out, secs=secs))
    return chunk


def result_of(chunk: Chunk, recognizer: Dict[str, Any]) -> ChunkResult:
    """What is kept of a finished chunk."""
    return ChunkResult(
        index=chunk.index,
        split=chunk.items[0].clip.split if chunk.items else "",
        stages=chunk.stages,
        rejections=[item.rejection for item in chunk.items if item.rejection],
        recognizer=recognizer,
        records=[i.values["record"] for i in chunk.items if i.rejection is None],
    )


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
) -> None:
    """Takes every unfinished chunk of `work` through `stages`.

    Args:
      work: the job's folder, started.
      stages: in order; the last one makes the record.
      recognizer: its name, feature_dim and checksum, kept with every chunk.
      n_workers: processes on this machine; 0 is one for each core.
      beam_options: pipeline options; '' is this machine.
      description: what the progress bar counts.

    Raises:
      OSError: the disk is full.
    """
    sizes = {index: len(clips) for index, clips in work.chunks()}
    n_pending = len(sizes) - len(work.done())
    if not n_pending:
        return
    n_workers = min(n_workers or len(os.sched_getaffinity(0)), n_pending)
    runner, options = _runner(beam_options, n_workers)
    with (
        _quiet_beam(),
        _worker_environment(n_workers),
        _progress(work, sizes, description),
    ):
        try:
            with beam.Pipeline(runner, options) as pipeline:
                _build(pipeline, work, stages, recognizer)
        except Exception as error:
            if "No space left" in str(error) or "quota exceeded" in str(error):
                raise OSError(
                    f"no space left on the disk of {work.path.parent}; make room and "
                    "run the same command again, finished clips are kept"
                ) from None
            raise


def _build(pipeline, work: WorkFolder, stages: Sequence[Stage], recognizer) -> None:
    chunks = (
        pipeline
        | "work folder" >> beam.Create([str(work.path)])
        | "plan" >> beam.FlatMap(_pending_chunks)
        | "spread" >> beam.Reshuffle()
        | "open" >> beam.MapTuple(_open_chunk)
    )
    for stage in stages:
        chunks = chunks | stage.name >> beam.ParDo(StageFn(stage))
    chunks | "save" >> beam.ParDo(SaveFn(str(work.path), recognizer))


def _pending_chunks(work_path: str) -> Iterator[Tuple[int, List[Clip]]]:
    return WorkFolder(work_path).pending()


def _open_chunk(index: int, clips: List[Clip]) -> Chunk:
    return Chunk(index, [Item(clip, index) for clip in clips])


def _runner(beam_options: str, n_workers: int):
    """The runner (None: the one that the options name) and its pipeline options."""
    if beam_options:
        return None, PipelineOptions(shlex.split(beam_options))
    options = PipelineOptions([f"--direct_num_workers={n_workers}"])
    if n_workers == 1:
        return FnApiRunner(), options
    command = f"{shlex.quote(sys.executable)} -m {beam_worker.__name__}"
    processes = environments.SubprocessSDKEnvironment.from_command_string(command)
    return FnApiRunner(default_environment=processes), options


@contextlib.contextmanager
def _worker_environment(n_workers: int) -> Iterator[None]:
    """Workers import what this process can import, and share the cores between them."""
    changes = {
        "TF_CPP_MIN_LOG_LEVEL": "3",
        beam_worker.PARENT_VARIABLE: str(os.getpid()),
    }
    if n_workers > 1:
        paths = [os.path.abspath(path) for path in sys.path]
        changes["PYTHONPATH"] = os.pathsep.join(paths)
        n_threads = max(1, len(os.sched_getaffinity(0)) // n_workers)
        changes["TF_NUM_INTRAOP_THREADS"] = str(n_threads)
        changes["OMP_NUM_THREADS"] = str(n_threads)
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
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
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
