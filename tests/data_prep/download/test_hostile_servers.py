"""Servers that send a live stream, too much, or a list instead of media."""

import os
import resource
import time

import numpy as np
import pytest

from data_prep.download import job as download_job
from data_prep.download import video_source
from speech2face import locks
from speech2face.errors import UserError
from tests.helpers import video_server
from tests.helpers.downloads import ENDED, options_for, reason_of

LIVE = ENDED.replace("#EXT-X-ENDLIST\n", "")


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


@pytest.mark.slow
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
