"""Clips of AVSpeech's, VoxCeleb's and plain folders, as their authors lay them out."""

import collections
import os
import pathlib
import subprocess
import sys

import pytest

from data_prep.clips import avspeech, layouts, manifest
from data_prep.clips.avspeech import Segment
from data_prep.clips.layouts import LayoutOptions
from data_prep.options import JobOptions


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def read(layout, media_dir="", listed="", n_val=5000, **options):
    job = JobOptions(
        output_dir="out", manifest=str(listed), media_dir=str(media_dir), n_val=n_val
    )
    return layouts.read_clips(job, LayoutOptions(layout=layout, **options))


def segments(n, prefix="video"):
    return [Segment(f"{prefix}{i}", i + 0.5, i + 4.25, 0.25, 0.75) for i in range(n)]


def write_list(path, rows):
    path.write_bytes(avspeech.format_list(rows))
    return str(path)


def test_avspeech_segments_as_the_downloader_writes_them(tmp_path):
    rows = segments(6)
    listed = write_list(tmp_path / "train.csv", rows)
    touch(tmp_path / "av", *(row.path for row in rows[:4]))
    clips = read("avspeech", tmp_path / "av", listed)
    assert [clip.clip_id for clip in clips] == [row.name for row in rows[:4]]
    for clip, row in zip(clips, rows):
        assert clip.media == str(tmp_path / "av" / row.path)
        assert (clip.start_secs, clip.end_secs) == (0.0, None)
        assert (clip.face_x, clip.face_y) == (0.25, 0.75)
        assert clip.speaker_id == row.youtube_id
        assert clip.split == manifest.hash_split(row.youtube_id)


def test_avspeech_whole_videos_and_flat_segments(tmp_path):
    rows = segments(2)
    listed = write_list(tmp_path / "train.csv", rows)
    touch(tmp_path / "av", "video0.webm", f"{rows[1].name}.MP4", "video0.txt")
    first, second = read("avspeech", tmp_path / "av", listed)
    assert (first.start_secs, first.end_secs) == (0.5, 4.25)
    assert first.media.endswith("video0.webm")
    assert (second.start_secs, second.end_secs) == (0.0, None)


def test_avspeech_test_list_is_the_test_split_and_nothing_else(tmp_path):
    train, test = segments(300), segments(20, "tested")
    touch(tmp_path / "av", *(row.path for row in train + test))
    clips = read(
        "avspeech",
        tmp_path / "av",
        write_list(tmp_path / "train.csv", train),
        test_list=write_list(tmp_path / "test.csv", test + train[7:8]),
    )
    assert len(clips) == 320
    splits = {clip.speaker_id: clip.split for clip in clips}
    tested = {name for name, split in splits.items() if split == "test"}
    assert tested == {row.youtube_id for row in test} | {"video7"}
    counts = collections.Counter(splits.values())
    assert 15 <= counts["val"] <= 50


def test_avspeech_without_a_validation_split_trains_on_the_whole_list(tmp_path):
    train, test = segments(60), segments(5, "tested")
    touch(tmp_path / "av", *(row.path for row in train + test))
    lists = [
        write_list(tmp_path / f"{name}.csv", rows)
        for name, rows in (("train", train), ("test", test))
    ]
    clips = read("avspeech", tmp_path / "av", lists[0], test_list=lists[1], n_val=0)
    counts = collections.Counter(clip.split for clip in clips)
    assert counts == {"train": 60, "test": 5}


def test_a_published_test_split_gets_no_other_clips(tmp_path):
    speakers = [f"id{i:05}" for i in range(40)]
    touch(tmp_path / "vox", *(f"dev/wav/{s}/abcdefghijk/1.wav" for s in speakers))
    assert "test" in {manifest.hash_split(speaker) for speaker in speakers}
    rows = [
        f"{s}\tN\tm\tIreland\t{'dev' if s[-1] != '9' else 'test'}\n" for s in speakers
    ]
    meta = tmp_path / "vox1_meta.csv"
    meta.write_text(VOX1_META.splitlines(keepends=True)[0] + "".join(rows))
    clips = read("voxceleb", tmp_path / "vox", metadata=str(meta))
    tested = {clip.speaker_id for clip in clips if clip.split == "test"}
    assert tested == {speaker for speaker in speakers if speaker[-1] == "9"}


VOX1_META = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tA.J._Buckley\tm\tIreland\tdev\n"
    "id10002\tA.R._Rahman\tm\tIndia\tdev\n"
    "id10270\tEartha_Kitt\tf\tUSA\ttest\n"
)
VOX2_META = "VoxCeleb2 ID ,VGGFace2 ID ,Gender ,Set \nid00012 ,n000012 ,f ,dev \n"


def test_voxceleb1_sound_with_face_frames(tmp_path):
    (tmp_path / "vox1_meta.csv").write_text(VOX1_META)
    touch(
        tmp_path / "vox",
        "dev/wav/id10001/1zcIwhmdeo4/00001.wav",
        "dev/wav/id10001/1zcIwhmdeo4/00002.wav",
        "dev/wav/id10002/abcdefghijk/00001.wav",
        "test/wav/id10270/5r0dWxy17C8/00001.wav",
        "unzippedFaces/A.J._Buckley/1.6/1zcIwhmdeo4/0000375.jpg",
        "unzippedFaces/A.J._Buckley/1.6/1zcIwhmdeo4/0000025.jpg",
        "faces/id10270/5r0dWxy17C8/00001/frame7.png",
        "faces/id10270/5r0dWxy17C8/00000/frame1.png",
        "readme.txt",
    )
    clips = read("voxceleb", tmp_path / "vox", metadata=str(tmp_path / "vox1_meta.csv"))
    by_id = {clip.clip_id: clip for clip in clips}
    assert len(by_id) == 4
    first = by_id["id10001/1zcIwhmdeo4/00001"]
    assert first.face.endswith("1zcIwhmdeo4/0000025.jpg")
    assert dict(first.labels) == {"gender": "male", "nationality": "Ireland"}
    assert first.split == manifest.hash_split("id10001")
    last = by_id["id10270/5r0dWxy17C8/00001"]
    assert last.split == "test" and dict(last.labels)["gender"] == "female"
    assert last.face.endswith("00001/frame7.png")
    assert by_id["id10002/abcdefghijk/00001"].face == ""


def test_voxceleb2_video_wins_over_its_sound(tmp_path):
    (tmp_path / "vox2_meta.csv").write_text(VOX2_META)
    touch(
        tmp_path / "vox",
        "dev/mp4/id00012/21Uxsk56VDQ/00001.mp4",
        "dev/aac/id00012/21Uxsk56VDQ/00001.m4a",
    )
    (clip,) = read(
        "voxceleb", tmp_path / "vox", metadata=str(tmp_path / "vox2_meta.csv")
    )
    assert clip.media.endswith("00001.mp4") and clip.face == ""
    assert dict(clip.labels) == {"gender": "female"}
    assert clip.speaker_id == "id00012"


def test_folder_of_videos(tmp_path):
    touch(tmp_path, "anna/1.mp4", "anna/deep/2.MOV", "ben.mkv", "notes.txt", "c.wav")
    clips = read("folder", tmp_path)
    assert [(c.clip_id, c.speaker_id) for c in clips] == [
        ("anna/1.mp4", "anna"),
        ("anna/deep/2.MOV", "anna"),
        ("ben.mkv", "ben"),
    ]


def test_links_in_a_loop_and_hostile_names(tmp_path):
    names = ["ünïcode 😀.mp4", "-rf *.mp4", "a'b\"c;$(x).mp4", "new\nline.mp4"]
    touch(tmp_path / "videos", *names)
    (tmp_path / "videos" / "loop").symlink_to(tmp_path / "videos")
    (tmp_path / "videos" / "broken.mp4").symlink_to(tmp_path / "nowhere")
    with (tmp_path / "videos" / os.fsdecode(b"latin\xe9.mp4")).open("wb") as file:
        file.write(b"x")
    clips = read("folder", tmp_path / "videos")
    assert {c.clip_id for c in clips} == {*names, "latin\\xe9.mp4"}
    for clip in clips:
        assert pathlib.Path(clip.media).is_file()
        clip.clip_id.encode()  # is text
        assert clip.sort_key


def test_the_layouts_clips_survive_the_plan(tmp_path):
    """The plan gives back the same clips, whatever the names of their files."""
    from data_prep.stages.work_folder import WorkFolder

    touch(tmp_path / "videos", "new\nline.mp4", "a.mp4")
    with (tmp_path / "videos" / os.fsdecode(b"latin\xe9.mp4")).open("wb") as file:
        file.write(b"x")
    clips = read("folder", tmp_path / "videos")
    work = WorkFolder(tmp_path / "work")
    work.start({"kind": "test"}, [clips])
    assert [chunk for _, chunk in work.chunks()] == [clips]


def test_what_is_missing_is_said(tmp_path):
    listed = write_list(tmp_path / "list.csv", segments(1))
    (tmp_path / "meta.csv").write_text("a,b\n1,2\n")
    for layout, arguments, message in [
        ("avspeech", dict(media_dir=tmp_path), "needs --manifest"),
        ("hqvoxceleb", dict(media_dir=tmp_path), "needs vox1_meta.csv"),
        ("webdataset", dict(media_dir=tmp_path), "finds no clip"),
        ("avspeech", dict(listed=listed), "needs --media_dir"),
        ("manifest", {}, "needs --manifest"),
        ("folder", {}, "needs --media_dir"),
        ("folder", dict(media_dir=tmp_path, metadata="m"), "--metadata has no meaning"),
        ("folder", dict(media_dir=tmp_path, listed="m"), "--manifest has no meaning"),
        (
            "voxceleb",
            dict(media_dir=tmp_path, test_list="m"),
            "--test_list has no meaning",
        ),
        ("folder", dict(media_dir=tmp_path), "finds no clip"),
        ("avspeech", dict(media_dir=tmp_path, listed=listed), "finds no clip"),
        (
            "voxceleb",
            dict(media_dir=tmp_path, metadata=str(tmp_path / "meta.csv")),
            "no column 'VoxCeleb1 ID'",
        ),
    ]:
        with pytest.raises(ValueError, match=message):
            read(layout, **arguments)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        read("folder", tmp_path / "none")


def test_the_command_says_so_in_one_line(tmp_path):
    run = subprocess.run(
        [
            sys.executable, "-m", "data_prep.build_tfrecords", "--layout=folder",
            f"--output_dir={tmp_path}/out", f"--media_dir={tmp_path}",
        ],
        check=False, capture_output=True,
        text=True,
    )  # fmt: skip
    assert run.returncode == 1
    assert "error: --layout=folder finds no clip" in run.stderr
