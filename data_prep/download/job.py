"""Downloads the segments of an AVSpeech list: several videos at a time, resumable."""

import concurrent.futures
import contextlib
import dataclasses
import errno
import io
import pathlib
import random
import threading
from collections.abc import Sequence
from typing import Any

import tqdm

from data_prep import unexpected
from data_prep.clips import avspeech
from data_prep.clips.avspeech import Segment
from data_prep.download import output_folder, segment_cutter
from data_prep.download import status as download_status
from data_prep.download.limits import DiskBudget, RateLimit, RequestPacer
from data_prep.download.output_folder import LIST_FILE, WHOLE_DIR
from data_prep.download.video_source import SourceConfig, VideoInfo, VideoSource
from data_prep.download.yt_dlp_errors import UnavailableError
from speech2face import files, locks
from speech2face.errors import UserError
from speech2face.options import Options, option, required

MAX_PAUSE_SECS = 3600.0  # an hour: sites lift their limits within one

_MAX_COOKIE_BYTES = 2**24  # those of a browser have some hundred kB


@dataclasses.dataclass(frozen=True)
class DownloadOptions(Options):
    """What to fetch, from where, and within which limits."""

    csv: str = required(
        "AVSpeech's list: YouTube id, start, end, x, y; no header.", exists="file"
    )
    output_dir: str = required("Folder for the segments, their list and the status.")
    sample: int = option(
        0,
        "Fetch this many segments, chosen by hash; 0 fetches all.",
        minimum=0,
        maximum=1_000_000_000,
    )
    url_template: str = option(
        "https://www.youtube.com/watch?v={id}", "Address of a video; {id} is its id."
    )
    max_height_px: int = option(
        720, "Scale pictures down to at most this height.", minimum=16, maximum=8640
    )
    n_threads: int = option(4, "Videos fetched at a time.", minimum=1, maximum=1024)
    secs_between_videos: float = option(
        1.0,
        "Ask for a new video at most this often, over all threads.",
        minimum=0,
        maximum=86_400,
    )
    max_bytes_per_sec: float = option(
        0.0, "Receive no faster than this; 0: no limit.", minimum=0, maximum=1e12
    )
    max_secs_per_segment: float = option(
        300.0, "Give up a segment after this long.", above=0, maximum=86_400
    )
    n_retries: int = option(
        3,
        "Retry this often after errors that may pass, such as a lost connection.",
        minimum=0,
        maximum=1000,
    )
    backoff_secs: float = option(
        30.0,
        "Wait this long before the first retry, twice as long before the next.",
        minimum=0,
        maximum=86_400,
    )
    cookies: str = option(
        "", "Cookies file in Netscape's format, for yt-dlp.", exists="file"
    )
    proxy: str = option("", "Proxy for yt-dlp, such as socks5://127.0.0.1:1080.")
    max_disk_gb: float = option(
        0.0, "Stop before the files exceed this; 0: no limit.", minimum=0, maximum=1e9
    )


def check(options: DownloadOptions) -> None:
    """Checks the options that can be wrong.

    Raises:
      FileNotFoundError, UserError: names the flag and what it expects.
    """
    if "{id}" not in options.url_template:
        raise UserError(f"--url_template={options.url_template} has no {{id}} in it")
    if options.cookies:
        _check_cookies(options.cookies)
    if pathlib.Path(options.output_dir).is_file():
        raise UserError(f"--output_dir={options.output_dir} is a file")


def _check_cookies(path: str) -> None:
    if not pathlib.Path(path).is_file():
        raise FileNotFoundError(f"--cookies={path} does not exist")
    n_bytes = pathlib.Path(path).stat().st_size
    if n_bytes > _MAX_COOKIE_BYTES:
        raise UserError(f"--cookies={path} has {n_bytes:,} bytes: not a cookies file")
    from yt_dlp.cookies import YoutubeDLCookieJar

    try:
        with contextlib.redirect_stderr(io.StringIO()):  # it warns of each bad line
            YoutubeDLCookieJar(path).load()  # as yt-dlp will, for each video
    except (OSError, ValueError) as error:  # ValueError: also of bytes
        raise UserError(
            f"--cookies={path} is not a cookies file in Netscape's format, as browser "
            f"extensions export it: {error}"
        ) from None


def download(options: DownloadOptions) -> dict[str, Any]:
    """Fetches every listed segment that no earlier run has settled.

    Returns:
      `counts` of the segments in each state, `reasons` of those that are missing,
      `bytes` of all files, and `stopped`, why the job ended early ('': it did not).

    Raises:
      FileNotFoundError, UserError, OSError: one line on what is wrong with the flags,
        the list or the disk.
    """
    check(options)
    segments = avspeech.read_list(options.csv)
    if options.sample:
        segments = avspeech.sample(segments, options.sample)
    with locks.locked(options.output_dir):
        return _download(options, segments)


def _download(options: DownloadOptions, segments: Sequence[Segment]) -> dict[str, Any]:
    output_folder.require_own(options.output_dir)
    status = download_status.Status(options.output_dir)
    with contextlib.closing(status):
        status.add(segments)
        output_folder.remove_leftovers(options.output_dir)
        # The table may hold segments of other lists too.
        wanted = {segment.name for segment in segments}
        still_open = [s for s in status.open_segments() if s.name in wanted]
        n_settled = len(segments) - len(still_open)
        job = _Job(options, status, len(segments), n_settled)
        try:
            job.run(still_open)
        finally:
            content = avspeech.format_list(status.done_segments())
            files.remove(pathlib.Path(options.output_dir) / WHOLE_DIR)
            path = f"{options.output_dir}/{LIST_FILE}"
            files.write_atomically(path, content, is_ours=True)
        return {
            "counts": status.counts(),
            "reasons": status.reasons(),
            "bytes": status.total_file_bytes(),
            "stopped": job.stopped,
        }


def describe(result: dict[str, Any]) -> str:
    """Returns the result of `download` in a few lines."""
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


class _Job:
    """One run: each thread takes a video, and fetches its segments in turn."""

    def __init__(
        self,
        options: DownloadOptions,
        status: download_status.Status,
        n_segments: int,
        n_settled: int,
    ):
        self._options = options
        self._status = status
        self._stop = threading.Event()
        self._pacer = RequestPacer(options.secs_between_videos)
        self._rate_limit = RateLimit(options.max_bytes_per_sec)
        self._budget = DiskBudget(options.max_disk_gb, status.total_file_bytes())
        self._local = threading.local()
        self._sources: list[VideoSource] = []
        self._bar = tqdm.tqdm(
            total=n_segments, initial=n_settled, unit="segment", mininterval=1.0
        )
        self.stopped = ""

    def run(self, segments: Sequence[Segment]) -> None:
        """Fetches all segments, or stops early and sets `stopped` to the reason."""
        by_video: dict[str, list[Segment]] = {}
        for segment in segments:
            by_video.setdefault(segment.youtube_id, []).append(segment)
        pool = concurrent.futures.ThreadPoolExecutor(self._options.n_threads)
        futures = [pool.submit(self._fetch_video, group) for group in by_video.values()]
        try:
            for future in concurrent.futures.as_completed(futures):
                future.result()
        finally:  # an error, or Ctrl-C
            self._stop.set()
            for source in self._sources:
                source.stop()
            pool.shutdown(cancel_futures=True)
            for source in self._sources:
                source.close()
            self._bar.close()

    def _fetch_video(self, segments: Sequence[Segment]) -> None:
        source = self._source()
        info = None  # the site is asked about a video once for all its segments
        for index, segment in enumerate(segments):
            if self._stop.is_set():
                return
            try:
                info = self._fetch_with_retries(source, info, segment)
            except UnavailableError as error:
                self._give_up(segments[index + 1 :], error)
                return
            self._bar.update()

    def _fetch_with_retries(
        self, source: VideoSource, info: VideoInfo | None, segment: Segment
    ) -> VideoInfo | None:
        """Fetches a segment and records how that ended.

        Args:
          source: this thread's source of videos.
          info: the site's description of the video; None if it must be asked for.
          segment: what to fetch.

        Returns:
          The description, for the video's next segment.

        Raises:
          UnavailableError: the whole video cannot be fetched, now or later.
        """
        for attempt in range(self._options.n_retries + 1):
            if self._stop.is_set():
                break
            try:
                if info is None:
                    self._pacer.wait_for_turn(self._stop)
                    info = source.find(segment.youtube_id)
                self._fetch_segment(source, info, segment)
                break
            except UnavailableError as error:
                self._record_failure(segment, error, source)
                if error.is_final and info is None:
                    raise
                if error.is_final or attempt == self._options.n_retries:
                    break
                info = None  # media addresses expire
                self._back_off(attempt, error.is_throttled)
        return info

    def _fetch_segment(
        self, source: VideoSource, info: VideoInfo, segment: Segment
    ) -> None:
        if self._budget.is_spent():
            self.stopped = "the disk budget is used up"
            self._stop.set()
        if self._stop.is_set():
            return
        path = pathlib.Path(self._options.output_dir) / segment.path
        try:
            with source.open(info) as tracks:
                n_bytes = segment_cutter.cut(
                    tracks,
                    segment.start_secs,
                    segment.end_secs,
                    path,
                    self._options.max_height_px,
                )
        except UserError as error:  # of the media: a later attempt gets the same bytes
            raise UnavailableError("failed", str(error), is_final=True) from None
        except ValueError as error:  # a library's or a bug's: `unexpected`
            kind = unexpected.kind_of(error)
            unexpected.log_once({kind: unexpected.traceback_of(error)})
            reason = f"{unexpected.REASON}: {kind}"
            raise UnavailableError("failed", reason, is_final=True) from None
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

    def _record_failure(
        self, segment: Segment, error: UnavailableError, source: VideoSource
    ) -> None:
        self._status.set(
            segment,
            error.state,
            error.reason,
            is_final=error.is_final,
            fetched_bytes=source.take_fetched_bytes(),
        )

    def _give_up(self, segments: Sequence[Segment], error: UnavailableError) -> None:
        """Records the other segments of a video that cannot be fetched at all."""
        for segment in segments:
            self._status.set(segment, error.state, error.reason, is_final=True)
        self._bar.update(len(segments) + 1)

    def _back_off(self, attempt: int, is_throttled: bool) -> None:
        """Waits before a retry; if the site throttles, all threads wait."""
        # Up to half as long again, so that the threads do not all retry at once.
        secs = self._options.backoff_secs * 2**attempt * random.uniform(1.0, 1.5)
        secs = min(secs, MAX_PAUSE_SECS)
        if is_throttled:
            self._pacer.pause(secs)
        else:
            self._stop.wait(secs)

    def _source(self) -> VideoSource:
        """Returns this thread's source: yt-dlp is not safe to share."""
        if not hasattr(self._local, "source"):
            config = SourceConfig(
                url_template=self._options.url_template,
                max_height_px=self._options.max_height_px,
                cookies=self._options.cookies,
                proxy=self._options.proxy,
                max_bytes_per_sec=self._options.max_bytes_per_sec,
                max_secs_per_segment=self._options.max_secs_per_segment,
                temporary_dir=str(pathlib.Path(self._options.output_dir) / WHOLE_DIR),
            )
            self._local.source = VideoSource(config, self._rate_limit)
            self._sources.append(self._local.source)
        return self._local.source
