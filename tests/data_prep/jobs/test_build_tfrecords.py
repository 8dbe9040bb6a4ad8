"""Voice data sets from media: the content of records, and rejections."""

import dataclasses
import hashlib
import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from PIL import Image

from data_prep.clips import media
from data_prep.jobs import voice as voice_jobs
from data_prep.jobs.voice import VoiceOptions
from data_prep.stages import work_folder
from speech2face import images
from speech2face.audio import decoding
from speech2face.data import dataset_info, records
from speech2face.faces import detection
from speech2face.recognizers.loading import load_recognizer
from tests.helpers.damaged_media import mute_video
from tests.helpers.record_jobs import N_PEOPLE, examples_of, names_in, options_for
from tests.helpers.slow import takes_seconds

VOICE = VoiceOptions()


@pytest.fixture(scope="module")
def bad_clips(sample):
    """Rows of a manifest, and the reason with which each must be rejected."""
    media_dir = sample / "media"
    good = sorted(media_dir.iterdir())[0]
    tone = 0.1 * np.sin(np.arange(32000) / 9.0)
    nan = tone.copy()
    nan[5000] = np.nan
    soundfile.write(media_dir / "tone.wav", tone, 16000)
    soundfile.write(media_dir / "silent.wav", 0 * tone, 16000)
    soundfile.write(media_dir / "short.wav", tone[:800], 16000)
    soundfile.write(media_dir / "nan.wav", nan, 16000, subtype="FLOAT")
    Image.new("RGB", (320, 240), (90, 120, 30)).save(media_dir / "nobody.png")
    (media_dir / "empty.mp4").write_bytes(b"")
    (media_dir / "text.mp4").write_text("no video " * 99)
    (media_dir / "cut.png").write_bytes(
        (sample / "faces").joinpath(names_in(sample / "faces")[0]).read_bytes()[:2000]
    )
    mute_video(good, media_dir / "mute.mp4")
    name = f"media/{good.name}"
    # clip_id, media, face, start_secs, end_secs, face_x, reason
    rows = [
        ("b_missing", "media/none.mp4", "", "", "", "", "missing_file"),
        ("b_empty", "media/empty.mp4", "", "", "", "", "empty_file"),
        ("b_text", "media/text.mp4", "", "", "", "", "unreadable"),
        ("b_mute", "media/mute.mp4", "", "", "", "", "no_audio_track"),
        ("b_silent", "media/silent.wav", "media/nobody.png", "", "", "", "silent"),
        ("b_short", "media/short.wav", "media/nobody.png", "", "", "", "too_short"),
        ("b_nan", "media/nan.wav", "media/nobody.png", "", "", "", "nan_samples"),
        ("b_nobody", "media/tone.wav", "media/nobody.png", "", "", "", "no_face"),
        ("b_cut", "media/tone.wav", "media/cut.png", "", "", "", "unreadable"),
        ("b_sound", "media/tone.wav", "", "", "", "", "no_picture"),
        ("b_late", name, "", "500", "", "", "beyond_the_end"),
        ("b_long", name, "", "0.5", "60", "", "beyond_the_end"),
        ("b_order", name, "", "2", "1", "", "bad_times"),
        ("b_times", name, "", "nan", "", "", "bad_times"),
        ("b_place", name, "", "", "", "nan", "bad_position"),
    ]
    return rows


def write_manifest(path, sample, bad_clips=()):
    lines = (sample / "manifest.csv").read_text().splitlines()
    columns = lines[0].split(",")
    with path.open("w") as file:
        file.write(f"{lines[0]},face\n")
        file.writelines(f"{line},\n" for line in lines[1:])
        for clip_id, name, face, start, end, x, _ in bad_clips:
            cells = dict.fromkeys(columns, "")
            cells.update(clip_id=clip_id, media=name, start_secs=start, end_secs=end)
            cells.update(face_x=x, speaker_id="bad", split="train")
            file.write(",".join([*cells.values(), face]) + "\n")
    return str(path)


@pytest.fixture(scope="module")
@takes_seconds
def built(sample, bad_clips, tmp_path_factory):
    """(options, report) of a data set of good and bad clips."""
    folder = tmp_path_factory.mktemp("built")
    manifest = write_manifest(folder / "clips.csv", sample, bad_clips)
    options = options_for(manifest, sample, folder / "data", n_shards=2)
    return options, voice_jobs.build_voice_records(options, VOICE)


@pytest.mark.slow
def test_records_hold_the_sound_the_face_and_its_feature(sample, built):
    options, _ = built
    found = examples_of(options.output_dir)
    assert len(found) == N_PEOPLE
    rows = (sample / "manifest.csv").read_text().splitlines()
    columns = rows[0].split(",")
    recognizer = load_recognizer("dlib")
    for row in rows[1:]:
        cells = dict(zip(columns, row.split(",", len(columns) - 1)))
        example = found[cells["clip_id"]]
        path = str(sample / cells["media"])
        end_secs = min(float(cells["end_secs"]), 6.0)
        waveform = decoding.load_waveform(path, start_secs=0.0, end_secs=end_secs)
        assert np.abs(example.waveform - waveform).max() <= 0.51 / 32768
        crop = images.decode_image(example.face_jpeg)
        assert crop.shape == (224, 224, 3)
        frame = media.read_frame(path, 0.0)
        face = detection.find_face(
            frame, float(cells["face_x"]), float(cells["face_y"])
        )
        assert np.abs(crop.astype(float) - face.crop).mean() < 2.0
        feature = recognizer.features(face.crop[None])[0]
        np.testing.assert_allclose(example.face_feature, feature, atol=1e-4)
        assert example.speaker_id == cells["speaker_id"]
        assert example.labels["gender"] == cells["gender"]


def test_bad_clips_are_counted_with_their_reasons(bad_clips, built):
    options, report = built
    path = pathlib.Path(options.output_dir) / "quarantine.csv"
    lines = path.read_text().splitlines()
    assert lines[0] == "clip_id,stage,reason,detail"
    found = {line.split(",")[0]: line.split(",")[2] for line in lines[1:]}
    assert found == {row[0]: row[-1] for row in bad_clips}
    assert report["clips"] == N_PEOPLE + len(bad_clips)
    assert report["records"] == N_PEOPLE
    assert report["rejected"] == len(bad_clips)
    stages = report["stages"]
    assert stages["read"]["in"] == report["clips"]
    assert stages["encode"]["out"] == N_PEOPLE
    for stage in stages.values():
        assert stage["in"] - stage["out"] == sum(stage["rejected"].values())
        assert (stage["core_secs"] > 0) == (stage["busy_secs"] > 0)
    assert stages["detect"]["rejected"] == {"no_face": 1}
    assert stages["detect"]["core_secs"] > 10 * stages["encode"]["core_secs"]


def test_dataset_info(built):
    options, report = built
    info = dataset_info.read(options.output_dir, "voice")
    for split, counts in report["splits"].items():
        n_records = sum(s.n_examples for s in info.splits.get(split, []))
        assert n_records == counts["records"]
    train = list(records.iterate_voice_examples(options.output_dir, "train"))
    features = np.array([e.face_feature for e in train], np.float64)
    np.testing.assert_allclose(
        info.feature_statistics.mean, features.mean(0), atol=1e-6
    )
    assert info.recognizer.name == "dlib" and info.recognizer.feature_dim == 128
    ids = [e.clip_id for e in train]
    assert ids == sorted(ids, key=lambda i: hashlib.sha256(i.encode()).hexdigest())
    assert ".work" not in names_in(options.output_dir)


def content_of(folder):
    paths = pathlib.Path(folder).iterdir()
    return {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in paths}


def test_a_second_run_does_nothing(built, capsys):
    options, report = built
    before = content_of(options.output_dir)
    again = voice_jobs.build_voice_records(options, VOICE)
    assert again == json.loads(json.dumps(report))
    assert content_of(options.output_dir) == before
    assert "nothing to do" in capsys.readouterr().out


def test_another_config_or_manifest_is_refused(built, sample, tmp_path):
    options, _ = built
    before = content_of(options.output_dir)
    with pytest.raises(ValueError, match=r"max_audio_secs 6.0 -> 3.0.*choose another"):
        other = dataclasses.replace(VOICE, max_audio_secs=3.0)
        voice_jobs.build_voice_records(options, other)
    manifest = write_manifest(tmp_path / "clips.csv", sample)
    with pytest.raises(ValueError, match=r"another job \(.*other clip_ids"):
        voice_jobs.build_voice_records(
            dataclasses.replace(options, manifest=manifest), VOICE
        )
    assert content_of(options.output_dir) == before


def test_interrupted_anywhere_and_resumed_gives_the_same_bytes(
    built, sample, tmp_path, monkeypatch
):
    """Interrupted after the first chunk, and again while the shards are written."""
    whole, _ = built
    options = dataclasses.replace(whole, output_dir=str(tmp_path / "data"))
    save, write_shard = work_folder.WorkFolder.save, records.write_shard
    n_saved = []

    def save_once(self, result):
        if n_saved:
            raise OSError(28, "No space left on device")
        n_saved.append(save(self, result))

    monkeypatch.setattr(work_folder.WorkFolder, "save", save_once)
    with pytest.raises(OSError, match="no space left on the disk"):
        voice_jobs.build_voice_records(options, VOICE)
    assert names_in(options.output_dir) == [".work"]
    monkeypatch.setattr(work_folder.WorkFolder, "save", save)

    def fail_on_the_second(path, content):
        if "00001-of" in str(path):
            raise RuntimeError("killed")
        return write_shard(path, content)

    monkeypatch.setattr(records, "write_shard", fail_on_the_second)
    with pytest.raises(RuntimeError, match="killed"):
        voice_jobs.build_voice_records(options, VOICE)
    assert "dataset.json" not in names_in(options.output_dir)
    monkeypatch.setattr(records, "write_shard", write_shard)
    voice_jobs.build_voice_records(options, VOICE)
    for path in pathlib.Path(whole.output_dir).iterdir():
        if path.name != "report.json":
            mine = pathlib.Path(options.output_dir) / path.name
            assert mine.read_bytes() == path.read_bytes(), path.name


def test_flac_records_hold_the_same_sound(built, sample, tmp_path):
    options, _ = built
    manifest = write_manifest(tmp_path / "clips.csv", sample)
    flac = options_for(manifest, sample, tmp_path / "data")
    voice_jobs.build_voice_records(flac, VoiceOptions("flac", 2.0))
    expected = examples_of(options.output_dir)
    found = examples_of(flac.output_dir)
    assert found.keys() == expected.keys()
    for name, example in found.items():
        assert len(example.waveform) == 32000
        # The sample rate is converted: the cut is heard in the last few samples.
        whole = expected[name].waveform[:31900]
        np.testing.assert_array_equal(example.waveform[:31900], whole)


def test_nothing_survives(sample, bad_clips, tmp_path):
    path = tmp_path / "clips.csv"
    path.write_text("clip_id,media,speaker_id\na,media/none.mp4,x\nb,media/none,y\n")
    options = options_for(path, sample, tmp_path / "data")
    with pytest.raises(
        ValueError, match=r"none of 2 clips gave a record .missing_file 2"
    ):
        voice_jobs.build_voice_records(options, VOICE)
    kept = names_in(options.output_dir)
    assert kept == [".work", "quarantine.csv", "report.json"]


@pytest.mark.parametrize("command", ["build_tfrecords", "build_decoder_tfrecords"])
def test_wrong_input_is_one_line_and_exit_status_1(tmp_path, command):
    (tmp_path / "clips.csv").write_text("clip_id,media\na,b\n")
    arguments = [f"--manifest={tmp_path}/clips.csv", f"--output_dir={tmp_path}/data"]
    run = subprocess.run(
        [sys.executable, "-m", f"data_prep.{command}", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.count("\n") == 1 and "lacks the column(s)" in run.stderr
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("command", ["build_tfrecords", "build_decoder_tfrecords"])
def test_help_does_not_load_the_libraries(command):
    code = (
        f"import sys, data_prep.{command}\n"
        "heavy = {'tensorflow', 'apache_beam', 'dlib', 'av', 'keras'}\n"
        "sys.exit(sorted(heavy & set(sys.modules)) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.slow
@pytest.mark.real_data
def test_every_real_video_gives_a_record(real_data_dir, tmp_path):
    names = names_in(real_data_dir / "video")
    lines = [f"{name},{name},{name},train" for name in names]
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(["clip_id,media,speaker_id,split", *lines]) + "\n")
    options = options_for(path, real_data_dir / "video", tmp_path / "data")
    report = voice_jobs.build_voice_records(options, VOICE)
    found = examples_of(options.output_dir)
    negatives = {"no_audio_track.mp4", "silent_audio.mp4"}
    assert set(found) == set(names) - negatives
    assert report["stages"]["read"]["rejected"] == {"no_audio_track": 1, "silent": 1}
    for example in found.values():
        assert 2.9 * 16000 < len(example.waveform) <= 6 * 16000


@pytest.mark.real_data
def test_real_pairs(real_data_dir, tmp_path):
    rows = (real_data_dir / "avspeech" / "clips.csv").read_text().splitlines()[1:121:10]
    lines = []
    for row in rows:
        name, video, *_, split = row.split(",")
        lines.append(f"{name},audio/{name}.flac,face/{name}.jpg,{video},{split}")
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(["clip_id,media,face,speaker_id,split", *lines]) + "\n")
    options = options_for(path, real_data_dir / "avspeech", tmp_path / "data")
    report = voice_jobs.build_voice_records(options, VOICE)
    assert (report["records"], report["rejected"]) == (12, 0)
    for example in examples_of(options.output_dir).values():
        name = f"{example.clip_id}.flac"
        sound, _ = soundfile.read(real_data_dir / "avspeech" / "audio" / name)
        assert np.abs(example.waveform - sound).max() <= 1 / 32768
