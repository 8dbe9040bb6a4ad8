"""The downloader with a local site: what it fetches, cuts, records and retries."""

import dataclasses
import pathlib
import signal
import sqlite3
import subprocess
import sys
import time

import av
import numpy as np
import pytest

from data_prep.clips import media
from data_prep.clips.avspeech import Segment
from data_prep.clips.layouts import LayoutOptions
from data_prep.download import job as download_job
from data_prep.download import limits
from data_prep.download.job import DownloadOptions
from data_prep.jobs import voice as voice_jobs
from data_prep.jobs.voice import VoiceOptions
from data_prep.options import JobOptions
from experiments.benchmarks import scenes
from speech2face.data import records
from tests.helpers import video_server
from tests.helpers.damaged_media import PITCH_HZ, pitch_of, write_clip
from tests.helpers.numbered_video import (
    FPS,
    RATE_HZ,
    clock_sound,
    frame_number,
    write_clock,
)
from tests.helpers.paths import REPOSITORY


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    return write_clock(tmp_path_factory.mktemp("clock") / "clock.mp4")


@pytest.fixture
def site(clock):
    with video_server.serve() as site:
        for name in ("good", "other", "third"):
            site.videos[name] = clock
        yield site


def options_for(site, tmp_path, rows, **changes):
    path = tmp_path / "list.csv"
    path.write_text("".join(f"{row}\n" for row in rows))
    options = DownloadOptions(
        csv=str(path),
        output_dir=str(tmp_path / "out"),
        url_template=site.url + "{id}",
        secs_between_videos=0.0,
        backoff_secs=0.05,
        n_threads=3,
    )
    return dataclasses.replace(options, **changes)


def table(options):
    """name -> row of the status table."""
    database = sqlite3.connect(f"{options.output_dir}/status.sqlite")
    database.row_factory = sqlite3.Row
    rows = database.execute("SELECT * FROM segments").fetchall()
    database.close()
    return {row["youtube_id"] + f"@{row['start_secs']:g}": row for row in rows}


def files_of(options):
    folder = pathlib.Path(options.output_dir, "segments")
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.slow
def test_a_segment_is_exact_to_the_sample_and_the_frame(site, clock, tmp_path):
    """From the middle of one group of pictures to the middle of another."""
    start, end = 9.7713, 14.2031
    options = options_for(site, tmp_path, [f"good,{start},{end},0.5,0.4"])
    result = download_job.download(options)
    assert result["counts"] == {"done": 1}
    path = str(tmp_path / "out" / Segment("good", start, end, 0.5, 0.4).path)
    with av.open(path) as container:
        sound = np.concatenate(
            [frame.to_ndarray() for frame in container.decode(audio=0)], axis=1
        )
        assert container.streams.audio[0].rate == RATE_HZ
    expected = clock_sound()[round(start * RATE_HZ) : round(end * RATE_HZ)]
    expected = np.round(expected * 32768)
    assert sound.shape[1] == len(expected)
    scale = 1 if sound.dtype == np.int16 else 32768 if sound.dtype == np.float32 else 1
    np.testing.assert_array_equal(sound[0] * scale, expected)
    frames = list(media.frames_between(path, path, 0.0, 60.0))
    numbers = [frame_number(image) for image, _ in frames]
    assert numbers == list(range(int(start * FPS), int(np.ceil(end * FPS))))
    # A frame appears when it appeared in the source.
    for number, (_, at_secs) in list(zip(numbers, frames))[1:]:
        assert at_secs == pytest.approx(number / FPS - start, abs=1e-3)


def test_only_the_segment_travels(site, clock, tmp_path):
    options = options_for(site, tmp_path, ["good,13.5,14.5,0.5,0.5"])
    download_job.download(options)
    fetched = table(options)["good@13.5"]["fetched_bytes"]
    assert len(clock) > 2_000_000
    # A second from the key frame and its margin before it on, of 16, in whole blocks.
    assert fetched < 0.4 * len(clock)
    assert site.sent_bytes < 0.5 * len(clock)
    assert all(asked for path, asked in site.requests[2:])


def test_a_server_without_ranges(site, tmp_path):
    site.behavior["good"] = video_server.without_ranges
    options = options_for(site, tmp_path, ["good,12,13,0.5,0.5"])
    assert download_job.download(options)["counts"] == {"done": 1}


@pytest.mark.slow
def test_every_state_with_its_reason(site, tmp_path):
    site.behavior.update(
        removed=video_server.refuse(410),
        geo=video_server.refuse(451),
        closed=video_server.refuse(403),
        page=video_server.page("nothing here"),
        broken=video_server.refuse(500),
    )
    site.videos["text"] = b"this is no video " * 9999
    rows = [
        "good,1,3,0.5,0.5", "good,90,95,0.5,0.5", "missing,0,3,0.5,0.5",
        "removed,0,3,0.5,0.5", "geo,0,3,0.5,0.5", "closed,0,3,0.5,0.5",
        "page,0,3,0.5,0.5", "broken,0,3,0.5,0.5", "text,0,3,0.5,0.5",
        "missing,5,8,0.5,0.5", "good,14,30,0.5,0.5",
    ]  # fmt: skip
    options = options_for(site, tmp_path, rows, n_retries=1)
    result = download_job.download(options)
    found = {
        name: (row["state"], row["is_final"]) for name, row in table(options).items()
    }
    assert found == {
        "good@1": ("done", 1),
        "good@90": ("failed", 1),
        "good@14": ("failed", 1),
        "missing@0": ("gone", 1),
        "missing@5": ("gone", 1),
        "removed@0": ("gone", 1),
        "geo@0": ("blocked", 1),
        "closed@0": ("blocked", 1),
        "page@0": ("failed", 0),
        "broken@0": ("failed", 0),
        "text@0": ("failed", 1),
    }
    reasons = {name: row["reason"] for name, row in table(options).items()}
    assert reasons["missing@0"] == "HTTP 404" and reasons["broken@0"] == "HTTP 500"
    assert "unreadable" in reasons["text@0"] and "sound ends" in reasons["good@14"]
    assert result["counts"] == {"done": 1, "gone": 3, "blocked": 2, "failed": 5}
    assert "5 x" not in download_job.describe(result).splitlines()[0]
    assert site.asked_for("missing") <= 2  # one video, asked for once
    # Again: only what may have changed is asked for.
    site.requests.clear()
    del site.behavior["broken"]
    download_job.download(options)
    asked = {path for path, _ in site.requests}
    assert asked == {"page", "broken"}
    assert table(options)["broken@0"]["state"] == "gone"


@pytest.mark.parametrize("bad", [video_server.refuse(503), video_server.cut_off])
def test_passing_errors_are_tried_again(site, tmp_path, bad):
    site.behavior["good"] = video_server.at_first(3, bad)
    options = options_for(site, tmp_path, ["good,1,3,0.5,0.5"])
    assert download_job.download(options)["counts"] == {"done": 1}


@pytest.mark.slow
def test_cut_off_for_good(site, tmp_path):
    site.behavior["good"] = video_server.cut_off
    rows = ["good,1,3,0.5,0.5", "other,1,3,0.5,0.5"]
    options = options_for(site, tmp_path, rows, n_retries=1)
    download_job.download(options)
    rows = table(options)
    assert rows["other@1"]["state"] == "done"
    assert (rows["good@1"]["state"], rows["good@1"]["is_final"]) == ("failed", 0)
    assert rows["good@1"]["n_attempts"] == 2
    assert len(files_of(options)) == 1


def test_a_slow_body_is_given_up(site, tmp_path):
    site.behavior["good"] = video_server.slow
    options = options_for(
        site, tmp_path, ["good,1,3,0.5,0.5"], n_retries=0, max_secs_per_segment=1.5
    )
    begin = time.monotonic()
    download_job.download(options)
    assert time.monotonic() - begin < 30
    assert table(options)["good@1"]["reason"] == "took more than 1.5 s"


def test_cookies_and_proxy_reach_every_request(site, clock, tmp_path):
    """Requests for page and media alike; the host exists only behind the proxy."""
    site.videos["http://videos.invalid/good"] = clock
    jar = tmp_path / "cookies.txt"
    cells = ["videos.invalid", "FALSE", "/", "FALSE", "2000000000", "key", "secret"]
    jar.write_text("# Netscape HTTP Cookie File\n" + "\t".join(cells) + "\n")
    options = options_for(
        site,
        tmp_path,
        ["good,1,3,0.5,0.5"],
        url_template="http://videos.invalid/{id}",
        proxy=site.url,
        cookies=str(jar),
    )
    assert download_job.download(options)["counts"] == {"done": 1}
    assert {path for path, _ in site.requests} == {"http://videos.invalid/good"}
    assert set(site.cookies) == {"key=secret"} and len(site.cookies) >= 3


def test_the_wait_before_a_retry_doubles(site, tmp_path, monkeypatch):
    waits, event = [], download_job.threading.Event
    real_wait = event.wait

    def wait(self, secs=None):  # other threads wait, too: tqdm's for 10 s
        return real_wait(self, secs) if (secs or 0) < 12 else waits.append(secs)

    monkeypatch.setattr(download_job.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(event, "wait", wait)
    site.behavior["good"] = video_server.refuse(500)
    options = options_for(
        site,
        tmp_path,
        ["good,1,3,0.5,0.5"],
        backoff_secs=8.0,
        n_retries=4,
        max_secs_per_segment=10.0,  # for which a thread waits, too
    )
    download_job.download(options)
    assert waits == [12, 24, 48, 96]


@pytest.mark.slow
def test_the_rate_limits_hold(site, tmp_path, clock):
    rows = [f"{name},1,2,0.5,0.5" for name in ("good", "other", "third")]
    options = options_for(site, tmp_path, rows, secs_between_videos=0.5)
    begin = time.monotonic()
    download_job.download(options)
    assert time.monotonic() - begin >= 1.0
    rate_limit = limits.RateLimit(1000.0)
    begin = time.monotonic()
    for _ in range(4):
        rate_limit.spend(100)
    assert 0.4 <= time.monotonic() - begin < 2.0


@pytest.mark.slow
def test_the_disk_budget_stops_and_more_of_it_goes_on(site, tmp_path):
    rows = [f"good,{second},{second + 2},0.5,0.5" for second in range(0, 12, 2)]
    options = options_for(site, tmp_path, rows, n_threads=1)
    one = download_job.download(
        dataclasses.replace(options, sample=1, output_dir=str(tmp_path / "one"))
    )["bytes"]
    little = dataclasses.replace(options, max_disk_gb=3.2 * one / 1e9)
    result = download_job.download(little)
    assert result["stopped"] == "the disk budget is used up"
    assert 1 <= result["counts"]["done"] <= 4 and result["bytes"] < 3.2 * one
    result = download_job.download(options)
    assert (result["counts"], result["stopped"]) == ({"done": 6}, "")


def test_a_full_disk_is_one_line(site, tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download_job.segment_cutter, "cut", full)
    options = options_for(site, tmp_path, ["good,1,3,0.5,0.5"])
    with pytest.raises(OSError, match=r"no space left on the disk of .*make room"):
        download_job.download(options)
    assert table(options)["good@1"]["state"] == "waiting"


@pytest.mark.slow
def test_the_list_of_what_is_there_gives_the_same_set(site, tmp_path):
    rows = ["good,1,3,0.25,0.5", "missing,0,3,0.5,0.5", "other,2.5,4,0.5,0.75"]
    options = options_for(site, tmp_path, rows)
    download_job.download(options)
    listed = tmp_path / "out" / "downloaded.csv"
    assert listed.read_text().splitlines() == [
        "good,1.000000,3.000000,0.250000,0.500000",
        "other,2.500000,4.000000,0.500000,0.750000",
    ]
    again = dataclasses.replace(
        options, csv=str(listed), output_dir=str(tmp_path / "again")
    )
    download_job.download(again)
    assert files_of(again) == files_of(options)


@pytest.mark.slow
def test_from_a_list_to_training_pairs(site, tmp_path):
    """Download, then build: the sound and the face of each segment, and its split."""
    for index, name in enumerate(("anna", "ben")):
        scene = scenes.draw(240, 320, 95, index)
        write_clip(tmp_path / "video.mp4", [scene.picture], secs=6.0)
        site.videos[name] = (tmp_path / "video.mp4").read_bytes()
    rows = ["anna,1,4,0.5,0.5", "anna,2,5.5,0.5,0.5", "ben,0,3.5,0.5,0.5"]
    options = options_for(site, tmp_path, [*rows, "gone,1,4,0.5,0.5"])
    download_job.download(options)
    (tmp_path / "test.csv").write_text("ben,0,3.5,0.5,0.5\n")
    job = JobOptions(
        manifest=options.csv,
        media_dir=options.output_dir,
        output_dir=str(tmp_path / "data"),
        recognizer="dlib",
        n_workers=1,
    )
    layout = LayoutOptions(layout="avspeech", test_list=str(tmp_path / "test.csv"))
    report = voice_jobs.build_voice_records(job, VoiceOptions(), layout)
    assert (report["records"], report["rejected"]) == (3, 0)
    (ben,) = records.iterate_voice_examples(job.output_dir, "test")
    assert ben.speaker_id == "ben" and len(ben.waveform) == 3.5 * 16_000
    assert pitch_of(ben.waveform) == pytest.approx(PITCH_HZ, abs=2.0)


@pytest.mark.slow
def test_killed_and_resumed(site, tmp_path):
    """After SIGKILL, finished segments are not requested again, and none is lost."""
    rows = [
        f"{name},{s},{s + 1},0.5,0.5" for name in ("good", "other") for s in range(8)
    ]
    options = options_for(site, tmp_path, rows, n_threads=2)
    flags = [f"--{k}={v}" for k, v in dataclasses.asdict(options).items()]
    job = subprocess.Popen(
        [sys.executable, "-m", "data_prep.download_avspeech", *flags],
        cwd=REPOSITORY,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 60
    while time.time() < deadline and len(files_of(options)) < 3:
        time.sleep(0.02)
    job.send_signal(signal.SIGKILL)
    job.wait()
    n_done = sum(row["state"] == "done" for row in table(options).values())
    assert 1 <= n_done < 16
    result = download_job.download(options)
    assert result["counts"] == {"done": 16}
    assert all(row["n_attempts"] == 1 for row in table(options).values())
    names = files_of(options)
    assert len(names) == 16 and all(name.endswith(".mp4") for name in names)
