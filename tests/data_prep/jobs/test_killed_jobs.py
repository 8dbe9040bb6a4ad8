"""SIGKILL at random moments, and a disk that is really full: the records are the same.

    pytest tests/data_prep/jobs/test_killed_jobs.py --n_kills=20

kills more often than the suite does.
"""

import json
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from data_prep.options import ONE_THREAD
from experiments.benchmarks import scenes
from tests.helpers.damaged_media import write_clip
from tests.helpers.paths import REPOSITORY

N_CLIPS = 24


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    """Clips of two videos, at different times, and two that are rejected."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(2):
        picture = scenes.draw(240, 320, 95, index).picture
        write_clip(folder / f"{index}.mp4", [picture], secs=4.0)
    rows = [f"c{i},{i % 2}.mp4,{i // 3},{i / 10},," for i in range(N_CLIPS)]
    rows += ["late,0.mp4,late,9,,", "none,none.mp4,none,0,,"]
    header = "clip_id,media,speaker_id,start_secs,face_x,face_y"
    (folder / "clips.csv").write_text("\n".join([header, *rows]) + "\n")
    return folder / "clips.csv"


@pytest.fixture(scope="module")
def expected(manifest, fork_server, tmp_path_factory):
    """Files of a job that nothing stops."""
    folder = tmp_path_factory.mktemp("whole") / "data"
    job = start(fork_server, manifest, folder, n_workers=1)
    assert job.wait() == 0, job.stderr
    report = json.loads((folder / "report.json").read_text())
    assert (report["records"], report["rejected"]) == (N_CLIPS, 2)
    return content_of(folder)


def start(fork_server, manifest, output, n_workers):
    """Starts a job that chooses the number of its threads itself."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ONE_THREAD:  # conftest.py may have set them
            patch.delenv(name, raising=False)
        return fork_server.start(
            "data_prep.build_tfrecords",
            f"--manifest={manifest}", f"--output_dir={output}",
            f"--media_dir={manifest.parent}", "--recognizer=dlib", "--n_shards=3",
            "--clips_per_chunk=2", f"--n_workers={n_workers}",
        )  # fmt: skip


def content_of(folder):
    """Returns name -> bytes of all files but the report, which has durations."""
    paths = [p for p in pathlib.Path(folder).rglob("*") if p.is_file()]
    return {p.name: p.read_bytes() for p in paths if p.name != "report.json"}


@pytest.mark.rehearsal
def test_killed_at_random_moments(
    manifest, expected, tmp_path, pytestconfig, fork_server
):
    """Only the main process is killed; its workers must notice.

    One worker and two take turns: the bytes do not depend on their number.
    """
    chance = random.Random(0)
    n_left = pytestconfig.getoption("n_kills")
    output = tmp_path / "data"
    while True:
        job = start(fork_server, manifest, output, n_workers=1 + n_left % 2)
        if n_left:
            wait_for_change(output, job)
            time.sleep(chance.uniform(0.0, 2.0))
            n_left -= job.poll() is None
            job.send_signal(signal.SIGKILL)
            job.wait()
        else:
            assert job.wait() == 0, job.stderr
            break
        if (output / "dataset.json").exists():
            # It was done already: the next one is to be killed from the start.
            assert content_of(output) == expected
            shutil.rmtree(output)
    assert content_of(output) == expected


@pytest.mark.rehearsal
def test_killed_and_moved_with_its_media(manifest, expected, tmp_path, fork_server):
    """Half of the records lie elsewhere, and so do the media: the job goes on."""
    media = shutil.copytree(manifest.parent, tmp_path / "one" / "media")
    first = tmp_path / "one" / "data"
    job = start(fork_server, media / manifest.name, first, n_workers=1)
    while not list(first.glob(".work/done/*.chunk")) and job.poll() is None:
        time.sleep(0.05)
    job.send_signal(signal.SIGKILL)
    job.wait()
    n_done = len(list(first.glob(".work/done/*.chunk")))
    assert 0 < n_done < (N_CLIPS + 2) / 2
    there = tmp_path / "other" / "disk"
    there.mkdir(parents=True)
    media = media.rename(there / "clips")
    second = first.rename(tmp_path / "other" / "records")
    shutil.rmtree(tmp_path / "one")
    job = start(fork_server, media / manifest.name, second, n_workers=1)
    assert job.wait() == 0, job.stderr
    same = expected.keys() - {"quarantine.csv"}  # it names the missing files
    content = content_of(second)
    assert {n: content[n] for n in same} == {n: expected[n] for n in same}


def wait_for_change(output, job):
    """Waits until the job has written a file, or has ended."""
    before = len(list(output.rglob("*")))
    while job.poll() is None and len(list(output.rglob("*"))) == before:
        time.sleep(0.05)


FULL_DISK = """
import os, pathlib, shutil, subprocess, sys
from data_prep.jobs import voice as voice_jobs
from data_prep.jobs.voice import VoiceOptions
from data_prep.options import JobOptions, use_one_thread

use_one_thread()
manifest, disk, kept = map(pathlib.Path, sys.argv[1:])
os.chdir("/")
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "none", disk], check=True)
options = JobOptions(
    manifest=str(manifest), output_dir=str(disk / "data"),
    media_dir=str(manifest.parent), recognizer="dlib",
    n_shards=3, clips_per_chunk=2, n_workers=1)
for size_kb in range(4, 9000, 1200):
    subprocess.run(["mount", "-o", f"remount,size={size_kb}k", disk], check=True)
    try:
        voice_jobs.build_voice_records(options, VoiceOptions())
        break
    except OSError as error:
        left = [str(path) for path in disk.rglob("*.tmp")]
        print("FULL:", error, left)
shutil.copytree(options.output_dir, kept)
"""


@pytest.mark.rehearsal
def test_a_disk_that_is_really_full(manifest, expected, tmp_path):
    """A small disk, enlarged each time it is full."""
    if subprocess.run(
        ["unshare", "-rm", "true"], check=False, capture_output=True
    ).returncode:
        pytest.skip("no mount namespace of one's own here")
    (tmp_path / "disk").mkdir()
    paths = [str(path) for path in (manifest, tmp_path / "disk", tmp_path / "kept")]
    run = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", FULL_DISK, *paths],
        env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-2000:]
    lines = [line for line in run.stdout.splitlines() if line.startswith("FULL:")]
    assert len(lines) >= 3
    for line in lines:
        assert "no space left on the disk of" in line.lower() and line.endswith(" []")
    assert content_of(tmp_path / "kept") == expected
