"""Every command of data_prep reports a wrong path before it imports TensorFlow."""

import os
import re
import subprocess
import sys

import pytest

from tests.helpers.paths import REPOSITORY

HEAVY = {"tensorflow", "keras", "apache_beam", "librosa", "matplotlib", "torch"}

# command, flags, what the one line must say; {} is a folder with some files
CASES = [
    ("build_tfrecords", "--manifest={}/none.csv", "--manifest={}/none.csv"),
    ("build_tfrecords", "--manifest={}", "expected a file"),
    ("build_tfrecords", "--recognizer=dlib", "needs --manifest"),
    ("build_tfrecords", "--manifest={}/text.csv --recognizer=dlib", "lacks the column"),
    ("build_tfrecords", "--manifest={}/clips.csv", "needs --vgg_face_weights"),
    (
        "build_tfrecords",
        "--manifest={}/clips.csv --vgg_face_weights={}/none.npz",
        "--vgg_face_weights={}/none.npz",
    ),
    (
        "build_tfrecords",
        "--manifest={}/clips.csv --recognizer=dlib --media_dir={}/none",
        "--media_dir={}/none",
    ),
    (
        "build_tfrecords",
        "--layout=avspeech --manifest={}/clips.csv --media_dir={} --recognizer=dlib",
        "an AVSpeech list has five",
    ),
    (
        "build_tfrecords",
        "--layout=avspeech --manifest={}/clips.csv --media_dir={} --test_list={}/none",
        "--test_list={}/none",
    ),
    (
        "build_tfrecords",
        "--layout=voxceleb --media_dir={} --metadata={}/none",
        "--metadata={}/none",
    ),
    ("build_tfrecords", "--manifest={}/clips.csv --n_workers=-1", "--n_workers=-1"),
    (
        "build_tfrecords",
        "--manifest={}/clips.csv --max_audio_secs=nan",
        "--max_audio_secs=nan",
    ),
    ("build_decoder_tfrecords", "--manifest={}/none.csv", "--manifest={}/none.csv"),
    ("build_decoder_tfrecords", "--manifest={}/clips.csv --n_morphs=-1", "--n_morphs"),
    ("build_decoder_tfrecords", "--recognizer=dlib", "--manifest is missing"),
    (
        "build_decoder_tfrecords",
        "--manifest={}/clips.csv --recognizer=dlib",
        "lacks the column(s) face",
    ),
    ("download_avspeech", "--csv={}/none.csv", "--csv={}/none.csv"),
    ("download_avspeech", "--csv={}/clips.csv", "an AVSpeech list has five"),
    ("download_avspeech", "--csv={}/clips.csv --cookies={}/none", "--cookies={}/none"),
    (
        "download_avspeech",
        "--csv={}/clips.csv --cookies={}/text.csv",
        "is not a cookies file in Netscape's format",
    ),
    (
        "download_avspeech",
        "--csv={}/clips.csv --cookies={}/binary",
        "is not a cookies file in Netscape's format",
    ),
    ("download_avspeech", "--csv={}/clips.csv --max_disk_gb=-1", "--max_disk_gb"),
    ("inspect_tfrecords", "--data_dir={}/none", "--data_dir={}/none"),
    ("inspect_tfrecords", "--data_dir={}/clips.csv", "expected a folder"),
    ("inspect_tfrecords", "--data_dir={}", "dataset.json"),
]


def run(command, flags):
    """Exit status, lines of standard error, imported packages, processor seconds."""
    arguments = ["-X", "importtime", "-m", f"data_prep.{command}", *flags]
    process = subprocess.Popen(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    output = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    imported = set(re.findall(r"^import time:.*\|\s+(\w+)", output, re.M))
    lines = [x for x in output.splitlines() if not x.startswith("import time:")]
    return process.returncode, lines, imported, usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("command, flags, message", CASES)
def test_a_wrong_path_is_one_line_at_once(tmp_path, command, flags, message):
    (tmp_path / "clips.csv").write_text("clip_id,media,speaker_id\na,a.mp4,anna\n")
    (tmp_path / "binary").write_bytes(b"\xff\x00\x80" * 100)
    (tmp_path / "text.csv").write_text("not a manifest\nat all\n")
    flags = flags.replace("{}", str(tmp_path)).split()
    if command != "inspect_tfrecords":
        flags.append(f"--output_dir={tmp_path}/out")
    returncode, lines, imported, secs = run(command, flags)
    assert returncode == 1
    (line,) = lines
    assert line.startswith("error: ")
    assert message.replace("{}", str(tmp_path)) in line
    assert not imported & HEAVY
    assert secs < 1.5  # of processor time: under a second, but busy caches are slow
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", sorted({command for command, *_ in CASES}))
def test_help_is_printed_at_once(command):
    returncode, _, imported, secs = run(command, ["--help"])
    assert returncode == 0
    assert not imported & HEAVY
    assert secs < 1.0


def test_a_wrong_address_of_videos_is_one_line(tmp_path):
    (tmp_path / "list.csv").write_text("abc,1,2,0.5,0.5\n")
    command = [
        sys.executable, "-m", "data_prep.download_avspeech",
        f"--csv={tmp_path}/list.csv", f"--output_dir={tmp_path}/out",
    ]  # fmt: skip
    run = subprocess.run(
        [*command, "--url_template=http://x/"],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and "Traceback" not in run.stderr
    last = run.stderr.splitlines()[-1]  # TensorFlow may have said something before
    assert last == "error: --url_template=http://x/ has no {id} in it"
