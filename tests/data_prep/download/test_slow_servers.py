"""Servers that answer for ever, and downloads that are killed: no process stays."""

import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from data_prep.download import job as download_job
from tests.helpers import video_server
from tests.helpers.downloads import ENDED, options_for, reason_of
from tests.helpers.paths import REPOSITORY
from tests.helpers.waiting import wait_until

PROCESS = "data_prep.download.yt_dlp_process"


def drip(handler, site, path, with_body, kind="video/mp2t"):
    """A byte now and then, for a minute: no timeout of a socket ends it."""
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", "1000000")
    handler.end_headers()
    for _ in range(300 if with_body else 0):
        handler.wfile.write(b"G")
        handler.wfile.flush()
        time.sleep(0.2)


def processes_of(script):
    """Numbers of the running processes with a word on their command line.

    Without those of tests that run beside this one: pytest-xdist numbers its workers.
    """
    worker = f"PYTEST_XDIST_WORKER={os.environ.get('PYTEST_XDIST_WORKER', '')}"
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            environment = path.with_name("environ").read_bytes()
            is_ours = worker.endswith("=") or worker.encode() in environment
            if is_ours and script.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not pathlib.Path("/proc/self").exists(), reason="needs /proc")
def test_a_fragment_that_never_ends_is_given_up_and_its_process_dies(site, tmp_path):
    before = set(processes_of(PROCESS))
    site.behavior.update(list=video_server.playlist(ENDED), part=drip)
    begin = time.monotonic()
    options = options_for(site, tmp_path, "list", max_secs_per_segment=6.0)
    assert reason_of(options) == "took more than 6 s"
    assert time.monotonic() - begin < 20
    assert set(processes_of(PROCESS)) <= before


def drip_page(handler, site, path, with_body):
    drip(handler, site, path, with_body, "text/html")


@pytest.mark.slow
def test_a_page_that_never_ends_is_given_up(site, tmp_path):
    """While yt-dlp asks what the video is, which once had no limit."""
    site.behavior["page"] = drip_page
    begin = time.monotonic()
    options = options_for(site, tmp_path, "page", max_secs_per_segment=6.0)
    assert reason_of(options) == "took more than 6 s"
    assert time.monotonic() - begin < 20


@pytest.mark.slow
def test_headers_that_never_end_are_given_up(site, tmp_path):
    """Of media: a byte now and then, after a page that was as it should be."""

    def drip_headers(handler, site, path, with_body):
        if "Range" not in handler.headers:
            return video_server.send(handler, site, path, with_body)
        handler.wfile.write(b"HTTP/1.1 206 Partial Content\r\nX-Name: ")
        for _ in range(300):
            handler.wfile.write(b"x")
            handler.wfile.flush()
            time.sleep(0.2)

    site.behavior["good"] = drip_headers
    begin = time.monotonic()
    options = options_for(site, tmp_path, "good", max_secs_per_segment=3.0)
    assert reason_of(options) == "took more than 3 s"
    assert time.monotonic() - begin < 20


@contextlib.contextmanager
def job_to_be_killed(options):
    """A download in a process of its own, which SIGKILL ends with the block."""
    flags = [f"--{name}={value}" for name, value in vars(options).items() if value]
    job = subprocess.Popen(
        [sys.executable, "-m", "data_prep.download_avspeech", *flags],
        cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield job
    finally:
        job.send_signal(signal.SIGKILL)
        job.wait()


@pytest.mark.skipif(not pathlib.Path("/proc/self").exists(), reason="needs /proc")
def test_a_job_that_is_killed_while_it_asks_leaves_no_process(site, tmp_path):
    """Nor a program that yt-dlp has started: its process group dies."""
    site.behavior["page"] = drip_page
    options = options_for(site, tmp_path, "page", max_secs_per_segment=50.0)
    with job_to_be_killed(options) as job:
        wait_until(lambda: site.asked_for("page"))
        (asking,) = processes_of(PROCESS)
        assert os.getpgid(asking) == asking != os.getpgid(job.pid)
    wait_until(lambda: asking not in processes_of(PROCESS), 5)


@pytest.mark.skipif(not pathlib.Path("/proc/self").exists(), reason="needs /proc")
def test_a_killed_job_takes_its_download_with_it(site, tmp_path):
    before = set(processes_of(PROCESS))
    site.behavior.update(list=video_server.playlist(ENDED), part=drip)
    options = options_for(site, tmp_path, "list", max_secs_per_segment=50.0)
    with job_to_be_killed(options):
        wait_until(lambda: site.asked_for("part"))
        assert set(processes_of(PROCESS)) - before
    wait_until(lambda: set(processes_of(PROCESS)) <= before, 5)
    assert list((tmp_path / "out").glob(".whole_videos/*"))
    # What it left is removed at the next start.
    site.behavior.clear()
    site.videos["list"] = site.videos["good"]
    result = download_job.download(options)
    assert result["counts"] == {"done": 1}
    assert not list((tmp_path / "out").glob(".whole_videos/*"))
    assert not (tmp_path / "out" / ".lock").exists()
