"""The downloader against servers that lie, stall, never end, and point elsewhere."""

import contextlib
import pathlib
import socket
import sqlite3
import threading
import time

from data_prep.download import job as download_job
from data_prep.download.job import DownloadOptions
from experiments.benchmarks import scenes
from tests.campaigns.bad_servers import (
    NEVER_DONE,
    mutant,
    named_servers,
    parts_of_playlists,
)
from tests.campaigns.cases import Report, reset_peak, status_mb
from tests.helpers import video_server
from tests.helpers.damaged_media import write_clip

SEGMENT_SECS = 10.0  # a good one needs two on a quiet machine
# Describing a video and opening it have a limit each, and a process ends in a moment.
MAX_SECS = 3 * SEGMENT_SECS
PEAK_MB = 400
N_THREADS = 4


def run(folder: pathlib.Path, seed: int, n_mutants: int, only: str = "") -> Report:
    """Asks each server for one segment; a good one among them must be fetched."""
    report = Report("download servers")
    write_clip(folder / "clip.mp4", [scenes.draw(96, 128, 45, 0).picture], secs=4.0)
    clip = (folder / "clip.mp4").read_bytes()
    with video_server.serve() as site, socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(0.0)
        servers = named_servers(clip, other.getsockname()[1])
        for number in range(n_mutants):
            servers[f"mutant{number}"] = mutant(clip, [seed, number])
        site.behavior.update({**servers, **parts_of_playlists(clip)})
        site.videos.update(good=clip, later=clip)
        names = [name for name in servers if only in name]
        _fetch(folder, site, ["good", *names, "later"], report)
        with contextlib.suppress(BlockingIOError):  # nobody connected
            other.accept()
            report.add("elsewhere", "a server made the job connect to another one")
    return report


def _fetch(folder, site, names, report) -> None:
    """Runs one job over all; each row of its status is a case."""
    (folder / "list.csv").write_text("".join(f"{n},1,3,0.5,0.5\n" for n in names))
    reset_peak()
    before_mb, start = status_mb("VmRSS"), time.monotonic()
    result = download_job.download(
        DownloadOptions(
            csv=str(folder / "list.csv"),
            output_dir=str(folder / "out"),
            url_template=site.url + "{id}",
            secs_between_videos=0.0,
            n_retries=0,
            n_threads=N_THREADS,
            max_secs_per_segment=SEGMENT_SECS,
        )
    )
    secs, peak_mb = time.monotonic() - start, status_mb("VmHWM") - before_mb
    for name, state, reason in _status(folder / "out"):
        report.add(name, _check(name, state, reason, site))
    n_waves = -(-len(names) // N_THREADS)
    report.notes = f"{result['counts']} in {secs:.0f} s and {peak_mb:.0f} MB"
    if peak_mb > PEAK_MB or secs > n_waves * MAX_SECS or result["stopped"]:
        report.failures.append(("all", f"{report.notes}; {result['stopped']}"))
    left = [p for p in (folder / "out").rglob(".*") if p.name != ".speech2face"]
    if left or threading.active_count() > 40:
        report.failures.append(("all", f"left: {left}, {threading.enumerate()}"))


def _status(folder):
    database = sqlite3.connect(folder / "status.sqlite")
    try:
        columns = "youtube_id, state, reason"
        return database.execute(f"SELECT {columns} FROM segments").fetchall()
    finally:
        database.close()


def _check(name, state, reason, site) -> str:
    if name in ("good", "later"):
        return "" if state == "done" else f"{state}: {reason}"
    if state == "open" or "\n" in reason or len(reason) > 600:
        return f"{state}: {reason!r}"
    if state != "done" and not reason:
        return f"{state} without a reason"
    if state == "done" and name in NEVER_DONE:
        return "a segment of a list, or of another file, was written"
    return reason if "Traceback" in reason else ""
