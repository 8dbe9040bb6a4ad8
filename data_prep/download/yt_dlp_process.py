"""yt-dlp in a process of its own, which can be stopped whatever it does.

yt-dlp reads pages of any size into memory, checks no clock while a server sends byte by
byte, and starts other programs: a JavaScript engine to describe a video, helpers to
fetch one. So it runs in a process group of its own with limited memory. The job kills
the group when the time is up, and the process kills it itself as soon as the job is
gone, however that ended. It notices at the end of its standard input, which works on
every system that has process groups.

    python -m data_prep.download.yt_dlp_process    reads requests, a line of JSON each
"""

import contextlib
import functools
import json
import os
import pathlib
import queue
import signal
import subprocess
import sys
import threading
from typing import Any, NoReturn

from data_prep.download.yt_dlp_errors import UnavailableError, as_unavailable
from data_prep.download.yt_dlp_options import new_ydl
from speech2face.files import PathLike
from speech2face.json_codec import parse_json

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

# Of data, which the programs that yt-dlp starts may take, too: a page has some MB, a
# JavaScript engine 200. Not in the paper: docs/decisions/bounded-downloads.md.
MAX_MEMORY_BYTES = 1_500_000_000
_MAX_ANSWER_BYTES = 100_000_000  # YouTube describes a video in about 1 MB


class YtDlpProcess:
    """A process that describes videos, or downloads one; it starts when it is asked."""

    def __init__(self, options: dict[str, Any]):
        """Keeps the options of yt-dlp, as JSON has them."""
        self._options = options
        self._lock = threading.Lock()
        self._process: subprocess.Popen | None = None

    def describe(self, url: str, secs: float) -> dict[str, Any]:
        """Returns yt-dlp's description of a video, as JSON has it.

        Raises:
          UnavailableError: what went wrong.
          subprocess.TimeoutExpired: it took longer than `secs`; it is stopped.
        """
        return self._ask({"url": url}, secs)

    def download(
        self, info: dict[str, Any], path: PathLike, max_bytes: int, secs: float
    ) -> None:
        """Downloads a video and ends the process.

        Args:
          info: its description, with the format that is wanted.
          path: file to write.
          max_bytes: the file, and each part of it, may not be larger.
          secs: how long it may take.

        Raises:
          UnavailableError: what went wrong.
          subprocess.TimeoutExpired: it took longer than `secs`; it is stopped.
        """
        absolute = str(pathlib.Path(path).absolute())
        request = {"info": info, "path": absolute, "max_bytes": max_bytes}
        try:
            self._ask(request, secs)
        finally:
            self.stop()
        if not pathlib.Path(path).is_file():
            reason = "nothing was received"
            raise UnavailableError("failed", reason, is_final=False)

    def stop(self) -> None:
        """Kills the process and all that it has started."""
        with self._lock:  # the timer's thread, and the one that waits
            if self._process:  # later, the number may be another process's
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                self._process = None

    def _ask(self, request: dict[str, Any], secs: float) -> Any:
        process = self._started()
        assert process.stdin and process.stdout  # they are pipes
        late = threading.Event()

        def give_up() -> None:
            late.set()
            self.stop()

        timer = threading.Timer(max(0.0, secs), give_up)
        timer.start()
        line = json.dumps({**request, "options": self._options}).encode() + b"\n"
        try:
            process.stdin.write(line)
            process.stdin.flush()  # and stays open: its end would stop it
            answer = process.stdout.readline(_MAX_ANSWER_BYTES)
        except BrokenPipeError:
            answer = b""
        finally:
            timer.cancel()
        if late.is_set():
            raise subprocess.TimeoutExpired("yt-dlp", secs)
        return self._result(answer)

    def _started(self) -> subprocess.Popen:
        with self._lock:
            if self._process is None:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "data_prep.download.yt_dlp_process"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    cwd=pathlib.Path(__file__).parents[2],
                )
            return self._process

    def _result(self, line: bytes) -> Any:
        try:
            answer = parse_json(line, "an answer")
        except ValueError:
            self.stop()
            reason = "yt-dlp ended without an answer"
            raise UnavailableError("failed", reason, is_final=False) from None
        if "error" in answer:
            raise UnavailableError(**answer["error"])
        return answer["result"]


def _main() -> None:
    # Answers are all that standard output has, whatever yt-dlp prints.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    requests: queue.Queue[bytes] = queue.Queue()
    threading.Thread(target=_receive, args=[requests], daemon=True).start()
    _limit_memory()
    while True:
        request = parse_json(requests.get(), "a request")
        answers.write(json.dumps(_answer(request)) + "\n")
        answers.flush()


def _receive(requests: "queue.Queue[bytes]") -> NoReturn:
    """Passes requests on; kills the group when the job is gone."""
    # Not sys.stdin: its lock would stop the interpreter's own end.
    with os.fdopen(os.dup(0), "rb") as lines:
        for line in lines:
            requests.put(line)
    os.killpg(0, signal.SIGKILL)
    raise AssertionError("still alive")


def _answer(request: dict[str, Any]) -> dict[str, Any]:
    try:
        with as_unavailable(of_media="path" in request):
            return {"result": _work(request)}
    except UnavailableError as unavailable:
        error = {
            "state": unavailable.state,
            "reason": unavailable.reason,
            "is_final": unavailable.is_final,
            "is_throttled": unavailable.is_throttled,
        }
        return {"error": error}


def _work(request: dict[str, Any]) -> Any:
    # Never closed: that would write the user's file of cookies, from several processes.
    if "path" not in request:
        ydl = _describing(json.dumps(request["options"]))
        return ydl.sanitize_info(ydl.extract_info(request["url"], download=False))
    if resource:
        _limit_files(request["max_bytes"])
    path = request["path"].replace("%", "%%")
    ydl = new_ydl({**request["options"], "outtmpl": path})
    ydl.process_ie_result(request["info"], download=True)
    return None


@functools.cache
def _describing(options: str) -> Any:
    """Keeps cookies and connections from one video to the next."""
    return new_ydl(parse_json(options, "the options"))


def _limit_memory() -> None:
    if resource and sys.platform == "linux":  # macOS does not count data
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        if hard == resource.RLIM_INFINITY or hard > MAX_MEMORY_BYTES:
            resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY_BYTES, hard))


def _limit_files(max_bytes: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an OSError instead
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    if hard == resource.RLIM_INFINITY or max_bytes < hard:
        resource.setrlimit(resource.RLIMIT_FSIZE, (max_bytes, hard))


if __name__ == "__main__":
    _main()
