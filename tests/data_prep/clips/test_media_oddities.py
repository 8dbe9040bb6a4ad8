"""Odd, hostile and broken media files in the whole record job."""

import csv
import os
import pathlib

import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep.clips.layouts import LayoutOptions
from data_prep.jobs import voice as voice_jobs
from data_prep.jobs.voice import VoiceOptions
from data_prep.options import JobOptions
from experiments.benchmarks import scenes
from speech2face import images
from speech2face.data import dataset_info, records
from tests.helpers.damaged_media import PITCH_HZ, pitch_of, turn_track, write_clip
from tests.helpers.slow import takes_seconds

SIZE = (240, 320)
SECS = 1.6
RATES_HZ = (8_000, 22_050, 44_100, 48_000, 96_000)


@pytest.fixture(scope="module")
def face():
    return scenes.draw(*SIZE, 95, 0).picture


@pytest.fixture(scope="module")
def clip(face, tmp_path_factory):
    """Bytes of an ordinary clip."""
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return pathlib.Path(write_clip(path, [face])).read_bytes()


def build(job, layout=None):
    """The records by clip id, and the reasons of the rejected clips."""
    report = voice_jobs.build_voice_records(
        job, VoiceOptions(), layout or LayoutOptions()
    )
    info = dataset_info.read(job.output_dir)
    examples = {
        example.clip_id: example
        for split in info.splits
        for example in records.iterate_voice_examples(job.output_dir, split)
    }
    path = pathlib.Path(job.output_dir) / "quarantine.csv"
    with path.open(encoding="utf-8", newline="") as file:
        reasons = {row["clip_id"]: row["reason"] for row in csv.DictReader(file)}
    assert report["records"] == len(examples) and report["rejected"] == len(reasons)
    return examples, reasons


def write_sounds(folder):
    """Sound files of odd rates and channels, which need a photograph beside them."""
    for rate_hz in RATES_HZ:
        times = np.arange(round(SECS * rate_hz)) / rate_hz
        tone = 0.3 * np.sin(2 * np.pi * PITCH_HZ * times)
        soundfile.write(folder / f"{rate_hz}.wav", tone, rate_hz)
    left = np.stack([tone, 0 * tone], axis=1)
    soundfile.write(folder / "left.flac", left, rate_hz)
    (folder / "left.flac").rename(folder / "wrong_ending.mp4")


def write_videos(folder, face, clip):
    gray = np.full_like(face, 120)
    write_clip(folder / "left.mp4", [face], layout="stereo", speaking=[0])
    write_clip(folder / "surround.mkv", [face], layout="5.1", speaking=[2])
    times_ms = [0, 30, 70, 900, 1000, 1010, 1400]
    frames = [gray, gray, gray, face, gray]  # a face from .9 to 1.0 s only
    write_clip(folder / "uneven.mkv", frames, times_ms=times_ms)
    lying = np.ascontiguousarray(np.rot90(face))
    content = pathlib.Path(write_clip(folder / "lying.mp4", [lying])).read_bytes()
    (folder / "phone.mp4").write_bytes(turn_track(content, lying.shape[0]))
    (folder / "clip.mp4").write_bytes(clip)
    (folder / "video.wav").write_bytes(clip)
    (folder / "tail.mp4").write_bytes(clip[: len(clip) // 2])
    (folder / "empty.mp4").touch()
    (folder / "text.mkv").write_text("no video " * 99)
    (folder / "folder.mp4").mkdir()
    (folder / "loop.mp4").symlink_to(folder / "loop.mp4")
    os.mkfifo(folder / "pipe.mp4")


# clip id: its cells, and the reason for which it is rejected ("": it is not)
CASES = {
    **{f"{hz} Hz": (dict(media=f"{hz}.wav", face="face.png"), "") for hz in RATES_HZ},
    "a sound called mp4": (dict(media="wrong_ending.mp4", face="face.png"), ""),
    "a video called wav": (dict(media="video.wav"), ""),
    "left only": (dict(media="left.mp4"), ""),
    "5.1": (dict(media="surround.mkv"), ""),
    "uneven frames": (dict(media="uneven.mkv", start_secs=0.95), ""),
    "phone": (dict(media="phone.mp4"), ""),
    "clip": (dict(media="clip.mp4"), ""),
    "end a little late": (dict(media="clip.mp4", end_secs=1.9), ""),
    "end beyond": (dict(media="clip.mp4", end_secs=4), "beyond_the_end"),
    "start beyond": (dict(media="clip.mp4", start_secs=9), "beyond_the_end"),
    "start far beyond": (dict(media="clip.mp4", start_secs=1e12), "beyond_the_end"),
    "infinite": (dict(media="clip.mp4", end_secs="inf"), "bad_times"),
    "NaN time": (dict(media="clip.mp4", start_secs="nan"), "bad_times"),
    "negative": (dict(media="clip.mp4", start_secs=-1), "bad_times"),
    "NaN x": (dict(media="clip.mp4", face_x="nan", face_y=0.5), "bad_position"),
    "y beyond": (dict(media="clip.mp4", face_x=0.5, face_y=1.2), "bad_position"),
    "no picture": (dict(media="8000.wav"), "no_picture"),
    "cut": (dict(media="tail.mp4"), "unreadable"),
    "empty": (dict(media="empty.mp4"), "empty_file"),
    "text": (dict(media="text.mkv"), "unreadable"),
    "a folder": (dict(media="folder.mp4"), "missing_file"),
    "a pipe": (dict(media="pipe.mp4"), "missing_file"),
    "a link to itself": (dict(media="loop.mp4"), "missing_file"),
}


@pytest.fixture(scope="module")
@takes_seconds
def built(face, clip, tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    write_sounds(folder)
    write_videos(folder, face, clip)
    Image.fromarray(face).save(folder / "face.png")
    columns = ("media", "face", "start_secs", "end_secs", "face_x", "face_y")
    with (folder / "clips.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["clip_id", "speaker_id", *columns])
        for name, (cells, _) in CASES.items():
            writer.writerow([name, name, *(cells.get(c, "") for c in columns)])
    job = JobOptions(
        manifest=str(folder / "clips.csv"),
        output_dir=str(folder / "data"),
        recognizer="dlib",
        n_workers=1,
    )
    return build(job)


@pytest.mark.slow
def test_good_ones_give_records_and_bad_ones_their_reason(built):
    examples, reasons = built
    assert reasons == {name: reason for name, (_, reason) in CASES.items() if reason}
    assert set(examples) == {name for name, (_, reason) in CASES.items() if not reason}


def test_the_sound_is_the_tone_whatever_its_rate_and_channels(built):
    examples, _ = built
    for name, example in examples.items():
        start_secs = CASES[name][0].get("start_secs", 0.0)
        secs = len(example.waveform) / 16_000
        assert secs == pytest.approx(SECS - start_secs, abs=0.02), name
        assert pitch_of(example.waveform) == pytest.approx(PITCH_HZ, abs=2.0), name


def test_the_face_is_upright_and_of_its_moment(built):
    """The detector misses a rotated face; the frames before and after have no face."""
    examples, _ = built
    expected = images.decode_image(examples["clip"].face_jpeg).astype(float)
    for name in ("uneven frames", "phone", "5.1", "a video called wav"):
        crop = images.decode_image(examples[name].face_jpeg).astype(float)
        assert np.abs(crop - expected).mean() < 6.0, name


def test_hostile_names_and_links(clip, tmp_path):
    media = tmp_path / "media"
    (media / "deep").mkdir(parents=True)
    good = [
        "ünï ☺.mp4", "-rf $(x) `y`;'\"*.mp4", "new\nline.mp4", "img%03d.mp4",
        "http:x.mp4", "concat:a|b.mp4", "x..mp4", "a" * 200 + ".mp4", "deep/a.mp4",
    ]  # fmt: skip
    for name in good:
        (media / name).write_bytes(clip)
    for name, content in ((b"latin\xe9.mp4", clip), (b"bad\xe9.mp4", b"no video")):
        with (media / os.fsdecode(name)).open("wb") as file:
            file.write(content)
    (media / "deep" / "up").symlink_to(media)
    (media / "deep" / "itself").symlink_to(media / "deep" / "itself")
    (media / "broken.mp4").symlink_to(media / "nowhere.mp4")
    job = JobOptions(
        media_dir=str(media),
        output_dir=str(tmp_path / "ünï data"),
        recognizer="dlib",
        n_workers=1,
    )
    examples, reasons = build(job, LayoutOptions(layout="folder"))
    assert set(examples) == {*good, "latin\\xe9.mp4"}
    assert reasons == {"bad\\xe9.mp4": "unreadable"}
