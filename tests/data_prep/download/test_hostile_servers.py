"""Servers that never end, send too much, or send lists instead of media."""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from data_prep.download import job as download_job
from data_prep.download import video_source
from data_prep.download.job import DownloadOptions
from experiments.benchmarks import scenes
from speech2face import locks
from speech2face.errors import UserError
from tests.helpers import video_server
from tests.helpers.damaged_media import write_clip
from tests.helpers.paths import REPOSITORY

ENDED = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6.0,\npart\n#EXT-X-ENDLIST\n"
PROCESS = "data_prep.download.yt_dlp_process"
LIVE = ENDED.replace("#EXT-X-ENDLIST\n", "")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_clip(path, [scenes.draw(240, 320, 95, 0).picture], secs=4.0)
    return path.read_bytes()


@pytest.fixture
def site(clip):
    with video_server.serve() as site:
        site.videos["good"] = clip
        yield site


def options_for(site, tmp_path, name, **changes):
    (tmp_path / "list.csv").write_text(f"{name},1,3,0.5,0.5\n")
    values = {
        "csv": str(tmp_path / "list.csv"),
        "output_dir": str(tmp_path / "out"),
        "url_template": site.url + "{id}",
        "secs_between_videos": 0.0,
        "n_retries": 0,
        "n_threads": 1,
        "max_secs_per_segment": 20.0,
    }
    return DownloadOptions(**{**values, **changes})


def reason_of(options):
    result = download_job.download(options)
    ((reason, n),) = result["reasons"].items()
    assert n == 1 and not list(pathlib.Path(options.output_dir).glob(".whole*/*"))
    return reason


def endless(status, headers=()):
    """A body without an end, of at most 400 MB."""

    def behave(handler, site, path, with_body):
        handler.send_response(status)
        handler.send_header("Content-Type", "video/mp4")
        for name, value in headers:
            handler.send_header(name, value)
        handler.end_headers()
        handler.close_connection = True
        for _ in range(400 if with_body else 0):
            handler.wfile.write(bytes(1_000_000))
            site.sent_bytes += 1_000_000

    return behave


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


def test_a_live_playlist_is_refused(site, tmp_path, monkeypatch):
    """At once, and without ffmpeg even where there is one."""
    ffmpeg = tmp_path / "bin" / "ffmpeg"
    ffmpeg.parent.mkdir()
    # yt-dlp may ask for its version; with -i it would open the stream.
    ffmpeg.write_text(
        f'#!/bin/sh\ncase "$*" in *"-i "*) touch {tmp_path}/opened; sleep 60;; esac\n'
    )
    ffmpeg.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ffmpeg.parent}:{os.environ['PATH']}")
    site.behavior["live"] = video_server.playlist(LIVE)
    begin = time.monotonic()
    assert "a live stream" in reason_of(options_for(site, tmp_path, "live"))
    assert time.monotonic() - begin < 15
    assert site.asked_for("part") == 0
    # The site's own word, for a stream that is read in ranges.
    source = video_source.VideoSource(
        video_source.SourceConfig(site.url + "{id}", 720), None
    )
    source._describer.describe = lambda url, secs: {"live_status": "is_live"}
    with pytest.raises(video_source.UnavailableError, match="a live stream"):
        source.find("x")
    # A key that yt-dlp would leave to ffmpeg.
    site.behavior["key"] = video_server.playlist(
        ENDED.replace("#EXTINF", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="k"\n#EXTINF')
    )
    options = options_for(site, tmp_path, "key", output_dir=str(tmp_path / "key"))
    assert reason_of(options)
    assert not (tmp_path / "opened").exists()


def test_a_playlist_with_an_end_is_fetched(site, clip, tmp_path):
    site.behavior["list"] = video_server.playlist(ENDED)
    site.videos["part"] = clip
    result = download_job.download(options_for(site, tmp_path, "list"))
    assert result["counts"] == {"done": 1}, result["reasons"]


def dash(inside, name="0"):
    """An answer with a DASH manifest of one stream."""
    return video_server.document(
        "application/dash+xml",
        '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
        'type="static" mediaPresentationDuration="PT4S"><Period><AdaptationSet '
        f'mimeType="video/mp4"><Representation id="{name}" bandwidth="1000" '
        f'codecs="mp4v" width="320" height="240">{inside}</Representation>'
        "</AdaptationSet></Period></MPD>\n",
    )


def test_a_dash_stream_is_fetched(site, tmp_path):
    parts = '<SegmentList><SegmentURL media="good"/></SegmentList>'
    site.behavior["dash"] = dash(parts)
    result = download_job.download(options_for(site, tmp_path, "dash"))
    assert result["counts"] == {"done": 1}, result["reasons"]


def test_names_of_formats_are_not_names_of_files(site, tmp_path):
    """A name of 999 characters once ended the job: no file can be called so."""
    site.behavior["dash"] = dash("<BaseURL>good</BaseURL>", "a" * 999)
    site.behavior["good"] = video_server.without_ranges
    result = download_job.download(options_for(site, tmp_path, "dash"))
    assert result["counts"] == {"done": 1}, result["reasons"]


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


def test_cookies_of_the_page_are_sent_for_its_media(site, clip):
    """The page is asked by one process, its media by another."""

    def with_cookie(handler, site, path, with_body):
        if "key=" in handler.headers.get("Cookie", ""):
            video_server.send(handler, site, path, with_body)
            return
        handler.send_response(302)
        handler.send_header("Set-Cookie", "key=value; Path=/")
        handler.send_header("Location", "/" + path)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    site.videos["guarded"] = clip
    site.behavior["guarded"] = with_cookie
    source = video_source.VideoSource(
        video_source.SourceConfig(site.url + "{id}", 720), download_job.RateLimit(0.0)
    )
    try:
        info = source.find("guarded")
        asked = len(site.cookies)
        with source.open(info) as (media,):
            assert media.read(8) == clip[:8]
        assert site.cookies[asked:] and all(
            "key=value" in c for c in site.cookies[asked:]
        )
    finally:
        source.close()


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


def wait_until(condition, secs=40):
    end = time.monotonic() + secs
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def test_an_endless_answer_to_a_range_is_bounded(site, tmp_path):
    ranged = (("Content-Range", f"bytes 0-262143/{10**15}"),)
    site.behavior["much"] = endless(206, ranged)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    reason = reason_of(options_for(site, tmp_path, "much"))
    assert reason == "the server sent more than was asked for"
    assert site.sent_bytes < 50_000_000
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb
    assert grown_kb < 200_000


def test_a_whole_video_is_bounded(site, tmp_path, monkeypatch):
    monkeypatch.setattr(video_source, "MAX_MEDIA_BYTES", 20_000_000)
    site.behavior["much"] = endless(200)
    reason = reason_of(options_for(site, tmp_path, "much"))
    assert reason == "the server sent more than was asked for"
    site.behavior["much"] = endless(200, [("Content-Length", str(10**12))])
    again = options_for(site, tmp_path, "much", output_dir=str(tmp_path / "again"))
    assert reason_of(again) == reason
    assert site.sent_bytes < 300_000_000


@pytest.mark.parametrize(
    "text",
    [
        "ffconcat version 1.0\nfile /etc/passwd\n",
        "\ufeffffconcat version 1.0\nfile a\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 18998 RTP/AVP 0\n",
        '<?xml version="1.0"?>\n<MPD><BaseURL>file:///etc/passwd</BaseURL></MPD>\n',
        ENDED,
    ],
)
@pytest.mark.parametrize("behave", [video_server.send, video_server.without_ranges])
def test_a_list_that_is_called_a_video_is_not_opened(site, tmp_path, text, behave):
    """Where yt-dlp finds no playlist, and gives the address as that of a video."""
    site.videos["list"] = text.encode() + b"\n" * 2000
    site.behavior["list"] = behave
    source = video_source.VideoSource(
        video_source.SourceConfig(site.url + "{id}", 720),
        download_job.RateLimit(0.0),
    )
    info = {"url": site.url + "list", "protocol": "http", "format_id": "0"}
    with pytest.raises(video_source.UnavailableError, match="a playlist instead"):
        with source.open(info):
            raise AssertionError("opened")


def test_other_protocols_start_no_program(site):
    source = video_source.VideoSource(
        video_source.SourceConfig(site.url + "{id}", 720), None
    )
    for protocol in ("rtmp", "mms", "rtsp", "websocket_frag", "file"):
        info = {"url": "x://y", "protocol": protocol, "format_id": "0"}
        with pytest.raises(video_source.UnavailableError, match=protocol):
            with source.open(info):
                raise AssertionError("opened")


@pytest.mark.parametrize("name", ["segments", "downloaded.csv"])
def test_a_folder_of_the_user_is_refused(site, tmp_path, name):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_bytes(np.arange(9).tobytes())
    with pytest.raises(UserError, match=f"{name} exists"):
        download_job.download(options_for(site, tmp_path, "good"))
    assert [path.name for path in (tmp_path / "out").iterdir()] == [name]


def test_two_downloads_do_not_share_a_folder(site, tmp_path):
    with locks.locked(tmp_path / "out"):
        with pytest.raises(UserError, match="is in use: process"):
            download_job.download(options_for(site, tmp_path, "good"))
