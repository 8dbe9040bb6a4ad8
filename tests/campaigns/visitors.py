"""Sixty visitors at the page at once, a third of them hostile."""

import contextlib
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from tests.campaigns.cases import Report, status_mb
from tests.campaigns.visit import ATTACKERS, MAX_MB, MAX_SECS, Payloads, Visit
from tests.helpers.paths import REPOSITORY
from tests.helpers.web import EXAMPLES, free_port
from tests.helpers.web_client import Client

PEAK_MB = 1500  # beyond the page that nobody has visited


def run(folder: pathlib.Path, seed: int, n_visitors: int, only: str = "") -> Report:
    """Starts the page, sends everybody at once, and asks the page once more."""
    report = Report("visitors")
    victim = folder / "victim"
    victim.mkdir()
    (victim / "voice.ogg").write_bytes((EXAMPLES / "man_24.ogg").read_bytes())
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.0)
        payloads = Payloads(folder, victim, other.getsockname()[1])
        with page(folder) as (url, process):
            before_mb, start = status_mb("VmHWM", process.pid), time.monotonic()
            all_visits = [Visit(n, url, seed, payloads) for n in range(n_visitors)]
            visits = [visit for visit in all_visits if only in visit.name]
            _all_at_once(visits)
            for visit in visits:
                report.add(visit.name, visit.failure)
            secs = time.monotonic() - start
            mb = status_mb("VmHWM", process.pid) - before_mb
            report.notes = _notes(visits, secs, mb)
            again = Visit(0, url, seed, payloads)
            report.add("afterwards", _afterwards(again, process, payloads, other, mb))
    left = list((folder / "tmp").iterdir())
    report.add("after the end", f"left: {left}" if left else "")
    if len(visits) >= 30 and not any(place for v in visits for place in v.places):
        report.failures.append(("queue", "nobody was told a place"))
    return report


def _notes(visits, secs, mb) -> str:
    place = max((place for visit in visits for place in visit.places), default=0)
    n_attackers = sum(visit.kind in ATTACKERS for visit in visits)
    return (
        f"{n_attackers} of them hostile, up to place {place} of the queue, "
        f"{secs:.0f} s, {mb:.0f} MB"
    )


def _afterwards(last, process, payloads, other, mb) -> str:
    last.visit_as("same")
    with contextlib.suppress(BlockingIOError):
        other.accept()
        return "the page has opened a connection"
    if [path.name for path in payloads.victim.iterdir()] != ["voice.ogg"]:
        return "a file of somebody else is gone"
    folder = payloads.victim.parent / "tmp"
    files = [path for path in folder.rglob("*") if path.is_file()]
    if any(path.stat().st_size > 1000 for path in files):
        return f"the page has written {files}"
    if mb > PEAK_MB:
        return f"the page took {mb:.0f} MB more"
    return last.failure or ("" if process.poll() is None else "the page has ended")


@contextlib.contextmanager
def page(folder: pathlib.Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Runs the page as a user does, with a TMPDIR of its own."""
    (folder / "tmp").mkdir()
    port = free_port()
    with (folder / "page.txt").open("w") as output:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "speech2face.app", f"--port={port}"),
                *(f"--max_mb={MAX_MB}", "--max_secs=10"),
            ],
            cwd=REPOSITORY,
            env={**os.environ, "TMPDIR": str(folder / "tmp")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    url = f"http://127.0.0.1:{port}/"
    try:
        _wait_for(url, process)
        yield url, process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def _wait_for(url, process) -> None:
    end = time.monotonic() + 240
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError):
            if Client(url, timeout=5).request("GET", "/config")[0] == 200:
                return
        time.sleep(0.2)
    raise RuntimeError("the page did not start")


def _all_at_once(visits) -> None:
    threads = [threading.Thread(target=visit.make) for visit in visits]
    for thread in threads:
        thread.start()
    end = time.monotonic() + MAX_SECS
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
