"""Downloads the segments of an AVSpeech list: several videos at a time, resumable."""

import concurrent.futures
import contextlib
import dataclasses
import errno
import os
import pathlib
import random
import threading
import time
from typing import Any, Dict, List

import tqdm

from data_prep import avspeech, download_status, segment_cutter
from data_prep.avspeech import Segment
from data_prep.options import DownloadOptions
from data_prep.video_source import Bandwidth, SourceConfig, Unavailable, VideoSource
from speech2face import files

LIST_FILE = "downloaded.csv"
MAX_PAUSE_SECS = 3600.0


def download(options: DownloadOptions) -> Dict[str, Any]:
    """Fetches what is still to be had.

    Returns:
      `counts` of the segments in each state, `reasons` of those that are missing,
      `bytes` of all files, and `stopped`, why the job ended early ('': it did not).

    Raises:
      FileNotFoundError, ValueError, OSError: one line on what is wrong with the flags,
        the list or the disk.
    """
    _check(options)
    segments = avspeech.read_list(options.csv)
    if options.sample:
        segments = avspeech.sample(segments, options.sample)
    status = download_status.Status(options.output_dir)
    with contextlib.closing(status):
        status.add(segments)
        _remove_leftovers(options.output_dir)
        wanted = {segment.name for segment in segments}
        still_open = [s for s in status.open_segments() if s.name in wanted]
        job = _Job(options, status, n_done=len(segments) - len(still_open))
        try:
            job.run(still_open)
        finally:
            content = avspeech.format_list(status.done_segments())
            files.write_atomically(f"{options.output_dir}/{LIST_FILE}", content)
        return {
            "counts": status.counts(),
            "reasons": status.reasons(),
            "bytes": status.total_file_bytes(),
            "stopped": job.stopped,
        }


def describe(result: Dict[str, Any]) -> str:
    """The result in a few lines."""
    counts = result["counts"]
    states = ", ".join(
        f"{state} {counts[state]}"
        for state in download_status.STATES
        if counts.get(state)
    )
    lines = [f"{states}; {result['bytes'] / 1e9:.3f} GB of files"]
    lines += [f"  {n} x {reason}" for reason, n in list(result["reasons"].items())[:10]]
    if result["stopped"]:
        lines.append(f"stopped early: {result['stopped']}")
    return "\n".join(lines)


class Turns:
    """Lets threads ask one after the other, and all wait when a site says so."""

    def __init__(self, gap_secs: float):
        self._gap_secs = gap_secs
        self._lock = threading.Lock()
        self._next = 0.0

    def take(self, stop: threading.Event) -> None:
        """Waits for a turn, or for `stop`."""
        with self._lock:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + self._gap_secs
        stop.wait(begin - now)

    def pause(self, secs: float) -> None:
        """Nobody gets a turn for so long."""
        with self._lock:
            self._next = max(self._next, time.monotonic() + secs)


class _Job:
    """One run: threads that take videos one by one."""

    def __init__(self, options: DownloadOptions, status, n_done: int):
        self._options = options
        self._status = status
        self._stop = threading.Event()
        self._turns = Turns(options.secs_between_videos)
        self._bandwidth = Bandwidth(options.max_bytes_per_sec)
        self._local = threading.local()
        self._sources: List[VideoSource] = []
        self._bar = tqdm.tqdm(
            total=n_done, initial=n_done, unit="segment", mininterval=1.0
        )
        self._budget = _Budget(options.max_disk_gb, status.total_file_bytes())
        self.stopped = ""

    def run(self, segments: List[Segment]) -> None:
        """Fetches all segments, or stops early and says why."""
        by_video: Dict[str, List[Segment]] = {}
        for segment in segments:
            by_video.setdefault(segment.youtube_id, []).append(segment)
        self._bar.total += len(segments)
        pool = concurrent.futures.ThreadPoolExecutor(self._options.n_threads)
        futures = [pool.submit(self._fetch_video, group) for group in by_video.values()]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        finally:  # an error, or Ctrl-C
            self._stop.set()
            pool.shutdown(cancel_futures=True)
            for source in self._sources:
                source.close()
            self._bar.close()

    def _fetch_video(self, segments: List[Segment]) -> None:
        if self._stop.is_set():
            return
        source, info = self._source(), None
        for segment in segments:
            for attempt in range(self._options.n_retries + 1):
                if self._stop.is_set():
                    return
                try:
                    if info is None:
                        self._turns.take(self._stop)
                        info = source.find(segment.youtube_id)
                    self._fetch_segment(source, info, segment)
                    break
                except Unavailable as error:
                    self._note(segment, error, source)
                    if error.is_final and info is None:
                        self._note_all(segments[segments.index(segment) + 1 :], error)
                        return
                    if error.is_final or attempt == self._options.n_retries:
                        break
                    info = None  # addresses expire
                    self._wait(attempt, error.is_throttled)
            self._bar.update()

    def _fetch_segment(self, source: VideoSource, info, segment: Segment) -> None:
        path = pathlib.Path(self._options.output_dir) / segment.path
        self._stop_if(self._budget.is_spent(), "the disk budget is used up")
        if self._stop.is_set():
            return
        try:
            with source.open(info) as tracks:
                n_bytes = segment_cutter.cut(
                    tracks,
                    segment.start_secs,
                    segment.end_secs,
                    path,
                    self._options.max_height_px,
                )
        except ValueError as error:  # of the media: asking again changes nothing
            raise Unavailable("failed", str(error), is_final=True) from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise OSError(
                    f"no space left on the disk of {self._options.output_dir}; make "
                    "room and run the same command again"
                ) from None
            raise
        fetched = source.take_fetched_bytes()
        self._status.set(segment, "done", fetched_bytes=fetched, file_bytes=n_bytes)
        self._budget.add(n_bytes)

    def _note(self, segment: Segment, error: Unavailable, source: VideoSource) -> None:
        fetched = source.take_fetched_bytes()
        self._status.set(
            segment,
            error.state,
            error.reason,
            is_final=error.is_final,
            fetched_bytes=fetched,
        )

    def _note_all(self, segments: List[Segment], error: Unavailable) -> None:
        for segment in segments:
            self._status.set(segment, error.state, error.reason, is_final=True)
        self._bar.update(len(segments) + 1)

    def _wait(self, attempt: int, is_throttled: bool) -> None:
        """Exponential backoff, up to half as long again so that threads part."""
        secs = self._options.backoff_secs * 2**attempt * random.uniform(1.0, 1.5)
        secs = min(secs, MAX_PAUSE_SECS)
        if is_throttled:
            self._turns.pause(secs)
        else:
            self._stop.wait(secs)

    def _stop_if(self, condition: bool, reason: str) -> None:
        if condition:
            self.stopped = reason
            self._stop.set()

    def _source(self) -> VideoSource:
        """This thread's own: yt-dlp is not made for several."""
        if not hasattr(self._local, "source"):
            config = SourceConfig(
                **{
                    field.name: getattr(self._options, field.name)
                    for field in dataclasses.fields(SourceConfig)
                }
            )
            self._local.source = VideoSource(config, self._bandwidth)
            self._sources.append(self._local.source)
        return self._local.source


class _Budget:
    """Bytes that the files may take; a new one is guessed as large as the mean one."""

    def __init__(self, max_gb: float, n_bytes: int):
        self._max_bytes = max_gb * 1e9
        self._lock = threading.Lock()
        self._n_bytes = n_bytes
        self._largest = 0

    def add(self, n_bytes: int) -> None:
        with self._lock:
            self._n_bytes += n_bytes
            self._largest = max(self._largest, n_bytes)

    def is_spent(self) -> bool:
        with self._lock:
            next_bytes = self._n_bytes + self._largest
        return bool(self._max_bytes) and next_bytes > self._max_bytes


def _check(options: DownloadOptions) -> None:
    if "{id}" not in options.url_template:
        raise ValueError(f"--url_template={options.url_template} has no {{id}} in it")
    for name in ("n_threads", "max_height_px", "max_secs_per_segment"):
        if getattr(options, name) <= 0:
            raise ValueError(f"--{name} must be more than 0")
    for name in ("sample", "n_retries", "backoff_secs", "secs_between_videos"):
        if getattr(options, name) < 0:
            raise ValueError(f"--{name} must not be negative")
    if options.cookies and not os.path.isfile(options.cookies):
        raise FileNotFoundError(f"--cookies={options.cookies} does not exist")
    if os.path.exists(options.output_dir) and not os.path.isdir(options.output_dir):
        raise ValueError(f"--output_dir={options.output_dir} is a file")


def _remove_leftovers(output_dir: str) -> None:
    """What a killed run was writing."""
    for path in pathlib.Path(output_dir, "segments").glob("*/.*.tmp"):
        files.remove(path)
