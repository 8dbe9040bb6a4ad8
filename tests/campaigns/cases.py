"""Runs many cases in few child processes, each case with limits of time and memory."""

import dataclasses
import faulthandler
import json
import os
import pathlib
import resource
import time
from collections.abc import Callable, Iterator, Sequence

Check = Callable[[int], str]  # number of a case -> what went wrong; "" is survived


@dataclasses.dataclass(frozen=True)
class Limits:
    """Limits of one case.

    Attributes:
      secs: then the child is ended, with the traceback of where it was.
      extra_mb: of address space beyond what the child begins with.
      peak_mb: growth of resident memory.
      max_secs: of a processor. A case that takes longer, but ends, counts as failed;
        a busy machine does not.
    """

    secs: float = 60.0
    extra_mb: int = 3000
    peak_mb: int = 1100
    max_secs: float = 20.0


@dataclasses.dataclass
class Report:
    """Findings of a campaign.

    Attributes:
      name: of the campaign.
      n_tried: cases.
      failures: (case, what went wrong).
      notes: further counts, for people.
    """

    name: str
    n_tried: int = 0
    failures: list[tuple[str, str]] = dataclasses.field(default_factory=list)
    notes: str = ""

    def add(self, case: object, failure: str) -> None:
        """Counts a case; `failure` is '' if it was survived."""
        self.n_tried += 1
        if failure:
            self.failures.append((str(case), failure))

    def __str__(self) -> str:
        n_survived = self.n_tried - len(self.failures)
        line = f"{self.name}: tried {self.n_tried}, survived {n_survived}"
        return f"{line} ({self.notes})" if self.notes else line


def run_in_children(
    name: str,
    check: Check,
    numbers: Sequence[int],
    folder: pathlib.Path,
    limits=Limits(),
) -> Report:
    """Checks all cases; a child that dies costs its case, and the next one goes on."""
    report, position = Report(name), 0
    while position < len(numbers):
        for number, failure in _child(check, numbers[position:], folder, limits):
            report.add(number, failure)
            position += 1
    return report


def _child(check, numbers, folder, limits) -> Iterator[tuple[int, str]]:
    """Yields the results of a forked child, and of the case that it died of."""
    errors = folder / "child.txt"
    read_end, write_end = os.pipe()
    process = os.fork()
    if not process:
        os.close(read_end)
        try:
            with os.fdopen(write_end, "w") as pipe, errors.open("w") as file:
                os.dup2(file.fileno(), 2)
                _check_all(check, numbers, pipe, file, limits)
        finally:
            os._exit(0)
    os.close(write_end)
    n_done = 0
    with os.fdopen(read_end) as pipe:
        for line in pipe:
            yield tuple(json.loads(line))
            n_done += 1
    status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    if n_done < len(numbers):
        text = errors.read_text(errors="replace")
        if len(text) > 2000:
            text = f"{text[:200]} ... {text[-1500:]}"
        yield numbers[n_done], f"the process ended with {status}: {text}"


def _check_all(check, numbers, pipe, errors, limits) -> None:
    size = status_mb("VmSize") + limits.extra_mb
    resource.setrlimit(resource.RLIMIT_AS, (round(size * 1e6), resource.RLIM_INFINITY))
    for number in numbers:
        faulthandler.dump_traceback_later(limits.secs, exit=True, file=errors)
        pipe.write(json.dumps((number, _measured(check, number, limits))) + "\n")
        pipe.flush()
        faulthandler.cancel_dump_traceback_later()


def _measured(check, number, limits) -> str:
    reset_peak()
    before_mb, start = status_mb("VmRSS"), time.process_time()
    try:
        failure = check(number)
    except BaseException as error:  # whatever it is: the case was not survived
        return f"{type(error).__name__}: {error}"[:2000]
    secs = time.process_time() - start
    peak_mb = status_mb("VmHWM") - before_mb
    if not failure and secs > limits.max_secs:
        failure = f"took {secs:.1f} s"
    if not failure and peak_mb > limits.peak_mb:
        failure = f"took {peak_mb:.0f} MB"
    return failure


def reset_peak() -> None:
    """Makes VmHWM count anew (Linux)."""
    pathlib.Path("/proc/self/clear_refs").write_text("5")


def status_mb(name: str, process: object = "self") -> float:
    """Returns a size from /proc/PROCESS/status in MB (10^6 bytes)."""
    text = pathlib.Path(f"/proc/{process}/status").read_text()
    line = next(line for line in text.splitlines() if line.startswith(name + ":"))
    return int(line.split()[1]) * 1024 / 1e6
