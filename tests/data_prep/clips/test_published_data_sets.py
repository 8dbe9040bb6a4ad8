"""Data sets as they are handed out: fakes of the real folders and archives."""

import json

import numpy as np
import pytest
import soundfile

from data_prep.clips import avspeech, layouts, media
from data_prep.clips.avspeech import Segment
from data_prep.clips.layouts import FaceLayoutOptions
from data_prep.options import JobOptions
from data_prep.stages.stage import Item
from data_prep.stages.voice import ReadPicture, ReadSound
from speech2face import images
from tests.helpers.damaged_media import write_clip
from tests.helpers.published_folders import (
    clips_in,
    png,
    touch,
    wav,
    write_tar,
    write_zip,
)

# AVSpeech


SEGMENTS = [
    Segment("AbC_dE-fGh1", 30.03, 34.5, 0.4, 0.5),
    Segment("AbC_dE-fGh1", 60.0, 63.0, 0.4, 0.5),
    Segment("12_34567-89", 3.0, 6.1, 0.4, 0.5),
]


def avspeech_clips(tmp_path, *names):
    (tmp_path / "list.csv").write_bytes(avspeech.format_list(SEGMENTS))
    touch(tmp_path / "av", *names)
    clips = clips_in("avspeech", tmp_path / "av", tmp_path / "list.csv")
    return {clip.clip_id: clip for clip in clips}


@pytest.mark.parametrize(
    "names",
    [
        ("AbC_dE-fGh1_30.030000_34.500000.mp4", "12_34567-89_3.000000_6.100000.mp4"),
        ("AbC_dE-fGh1_30.03-34.50.mp4", "12_34567-89_3.0-6.1.mp4"),
        ("AbC_dE-fGh1_30030_34500.mp4", "12_34567-89_3000_6100.mp4"),
        ("AbC_dE-fGh1_30_34.mp4", "12_34567-89_3_6.mp4"),
        ("x/AbC_dE-fGh1-30.0-34.5.mkv", "y/12_34567-89_0003.00_0006.10.mkv"),
    ],
)
def test_avspeech_names_of_other_downloaders(tmp_path, names):
    clips = avspeech_clips(tmp_path, *names)
    assert set(clips) == {SEGMENTS[0].name, SEGMENTS[2].name}
    for clip in clips.values():
        assert (clip.start_secs, clip.end_secs, clip.may_be_cut) == (0.0, None, False)


def test_avspeech_a_video_wins_over_a_sound_beside_it(tmp_path):
    clips = avspeech_clips(tmp_path, "AbC_dE-fGh1.mp4", "AbC_dE-fGh1.wav")
    assert len(clips) == 2
    assert all(clip.media.endswith(".mp4") for clip in clips.values())


@pytest.mark.parametrize(
    ("video", "sound"),
    [
        ("12_34567-89_video.mp4", "12_34567-89_audio.mp3"),
        ("12_34567-89.f137.mp4", "12_34567-89.f140.m4a"),
    ],
)
def test_avspeech_picture_and_sound_apart(tmp_path, video, sound):
    (clip,) = avspeech_clips(tmp_path, video, sound).values()
    assert clip.media.endswith(sound) and clip.face.endswith(video)
    assert (clip.start_secs, clip.end_secs) == (3.0, 6.1)


def test_avspeech_picture_and_sound_apart_are_read_together(tmp_path):
    """The picture of the moment at which the sound begins."""
    pictures = [np.full([48, 64, 3], 40 + 20 * i, np.uint8) for i in range(10)]
    (tmp_path / "av").mkdir()
    write_clip(tmp_path / "av" / "v_video.mp4", pictures, secs=1.0)
    soundfile.write(tmp_path / "av" / "v_audio.flac", np.full(16_000, 0.3), 16_000)
    (tmp_path / "list.csv").write_bytes(
        avspeech.format_list([Segment("v", 0.55, 0.9, 0.5, 0.5)])
    )
    (clip,) = clips_in("avspeech", tmp_path / "av", tmp_path / "list.csv")
    sound = 0.1 + 0.2 * np.sin(np.arange(16_000) / 9.0)
    soundfile.write(clip.media, sound, 16_000)
    item = Item(clip)
    ReadSound(6.0).process(item)
    ReadPicture().process(item)
    np.testing.assert_allclose(item.values["waveform"], sound[8_800:14_400], atol=1e-3)
    assert abs(item.values["image"].mean() - 140) < 4


def test_avspeech_a_bare_id_is_the_segment_if_it_lasts_as_long(tmp_path):
    (tmp_path / "av").mkdir()
    pictures = [np.full([48, 64, 3], 99, np.uint8)]
    write_clip(tmp_path / "av" / "12_34567-89.mp4", pictures, secs=3.1)
    write_clip(tmp_path / "av" / "AbC_dE-fGh1.mp4", pictures, secs=70.0)
    clips = avspeech_clips(tmp_path)
    starts = {}
    for name, clip in clips.items():
        item = Item(clip)
        ReadSound(6.0).process(item)
        starts[name] = item.clip.start_secs
    assert starts == {
        SEGMENTS[0].name: 30.03,
        SEGMENTS[1].name: 60.0,
        SEGMENTS[2].name: 0.0,
    }


def test_avspeech_in_tars(tmp_path):
    (tmp_path / "av").mkdir()
    write_clip(tmp_path / "clip.mp4", [np.full([48, 64, 3], 120, np.uint8)], secs=3.1)
    content = (tmp_path / "clip.mp4").read_bytes()
    name = "12_34567-89_3.000000_6.100000.mp4"
    write_tar(tmp_path / "av" / "part-0.tar", {f"clips/{name}": content})
    (clip,) = avspeech_clips(tmp_path).values()
    assert abs(len(media.read_audio(clip.media)) - 3.1 * 16_000) < 400
    assert abs(media.read_frame(clip.media, 1.0).mean() - 120) < 3


# VoxCeleb and HQ-VoxCeleb


VOX1_META = (
    "VoxCeleb1 ID\tVGGFace1 ID\tGender\tNationality\tSet\n"
    "id10001\tAnn_Example\tf\tIreland\tdev\n"
    "id10002\tBob_Example\tm\tIndia\tdev\n"
    "id10270\tCid_Example\tm\tUSA\ttest\n"
)
VOX2_META = "VoxCeleb2ID,Name,VGGFace2 ID,Gender,Set\nid00012,Dee_Example,n12,f,dev\n"
SOUNDS = (
    "wav/id10001/vidaaaaaaa1/00001.wav",
    "wav/id10002/vidbbbbbbb2/00001.wav",
    "wav/id10270/vidccccccc3/00001.wav",
)


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
def test_voxceleb_faces_of_people_and_metadata_of_any_delimiter(tmp_path, delimiter):
    (tmp_path / "meta.csv").write_text(VOX1_META.replace("\t", delimiter))
    faces = ("Ann_Example/1.jpg", "Bob_Example/1.jpg", "id10270/x.png")
    touch(tmp_path / "vox", *SOUNDS, *faces)
    clips = clips_in("voxceleb", tmp_path / "vox", metadata=str(tmp_path / "meta.csv"))
    assert [clip.face[len(f"{tmp_path}/vox/") :] for clip in clips] == [*faces]
    assert dict(clips[0].labels) == {"gender": "female", "nationality": "Ireland"}
    assert [clip.split == "test" for clip in clips] == [False, False, True]


def test_voxceleb_metadata_without_ids(tmp_path):
    (tmp_path / "meta.csv").write_text(VOX1_META.replace("id10002", "10002"))
    touch(tmp_path / "vox", *SOUNDS)
    with pytest.raises(ValueError, match="line 3: '10002' is not a VoxCeleb id"):
        clips_in("voxceleb", tmp_path / "vox", metadata=str(tmp_path / "meta.csv"))


def test_voxceleb_in_its_zips(tmp_path):
    (tmp_path / "vox").mkdir()
    write_zip(
        tmp_path / "vox" / "vox1_dev_wav.zip", {name: wav() for name in SOUNDS[:2]}
    )
    write_zip(
        tmp_path / "vox" / "faces.zip",
        {"unzippedFaces/Ann_Example/1.6/vidaaaaaaa1/0000025.jpg": png(70)},
    )
    (tmp_path / "meta.csv").write_text(VOX1_META)
    clips = clips_in("voxceleb", tmp_path / "vox", metadata=str(tmp_path / "meta.csv"))
    assert [c.clip_id for c in clips] == [n[4:-4] for n in SOUNDS[:2]]
    assert len(media.read_audio(clips[0].media)) == 16_000
    assert (images.read_image(clips[0].face) == 70).all()
    assert clips[1].face == ""


def write_hq_voxceleb(root):
    for folder, name, text in (
        ("vox1", "vox1_meta.csv", VOX1_META),
        ("vox2", "full_vox2_meta.csv", VOX2_META),
    ):
        (root / folder).mkdir(parents=True)
        (root / folder / name).write_text(text)
    touch(
        root,
        *("vox1/masked_faces/Ann_Example/1.jpg", "vox1/masked_faces/Ann_Example/2.jpg"),
        *("vox1/origin_faces/Ann_Example/1.jpg", "vox1/masked_faces/Nobody/3.jpg"),
        *("vox2/masked_faces/Dee_Example/4.jpg", *SOUNDS),
        *(f"raw_wav/vox2/dev/id00012/vid{i:08}/00001.m4a" for i in range(8)),
        *(f"wav/id10001/video{i:06}/00001.wav" for i in range(9)),
    )
    (root / "vox1/mel_spectrograms/Ann_Example").mkdir(parents=True)
    (root / "vox1/mel_spectrograms/Ann_Example/id10001_x_00001.pickle").touch()


def test_hq_voxceleb_pairs_and_faces(tmp_path, capsys):
    write_hq_voxceleb(tmp_path)
    names = {"vox1": {"train": [], "val": ["Ann_Example"], "test": []}}
    names["vox2"] = {"train": [], "val": [], "test": ["Dee_Example"]}
    (tmp_path / "split.json").write_text(json.dumps(names))
    clips = clips_in("hqvoxceleb", tmp_path)
    assert len(clips) == 10 + 8  # Bob and Cid have no face
    assert {(c.speaker_id, c.split) for c in clips} == {
        ("id10001", "val"),
        ("id00012", "test"),
    }
    ann = {c.face.rsplit("/", 2)[-1] for c in clips if c.speaker_id == "id10001"}
    assert ann == {"1.jpg", "2.jpg"}  # the ten utterances share them
    assert not [c for c in clips if c.face.endswith("masked_faces/Ann_Example/1.jpg")]
    output = capsys.readouterr().out
    assert "sounds not taken: 2 (" in output and ".pickle 1" in output
    job = JobOptions(output_dir="out", media_dir=str(tmp_path))
    faces = layouts.read_faces(job, FaceLayoutOptions(layout="hqvoxceleb"))
    place = len(f"{tmp_path}/")
    assert [
        (c.speaker_id, c.face[place:], c.normalized_face[place:], c.split)
        for c in sorted(faces, key=lambda c: c.clip_id)
    ] == [
        *[
            (
                "id10001",
                f"vox1/{kind}_faces/Ann_Example/{i}.jpg",
                f"vox1/masked_faces/Ann_Example/{i}.jpg",
                "val",
            )
            for i, kind in ((1, "origin"), (2, "masked"))
        ],
        *[("id00012", *["vox2/masked_faces/Dee_Example/4.jpg"] * 2, "test")],
    ]


def test_hq_voxceleb_splits_by_the_rule_of_its_script(tmp_path):
    """Rows 8, 18, ... of the metadata are the test split, 9, 19, ... the validation."""
    write_hq_voxceleb(tmp_path)
    header = VOX1_META.splitlines(keepends=True)[0]
    rows = [f"id{10001 + i}\tN{i}\tm\tUSA\tdev\n" for i in range(20)]
    (tmp_path / "vox1" / "vox1_meta.csv").write_text(header + "".join(rows))
    for i in range(20):
        touch(tmp_path, f"vox1/masked_faces/N{i}/1.jpg", f"wav/id{10001 + i}/v/1.wav")
    splits = {c.speaker_id: c.split for c in clips_in("hqvoxceleb", tmp_path)}
    tested = {int(s[2:]) - 10001 for s, split in splits.items() if split == "test"}
    validated = {int(s[2:]) - 10001 for s, split in splits.items() if split == "val"}
    assert (tested, validated) == ({8, 18}, {9, 19})


def test_hq_voxceleb_in_its_archive(tmp_path):
    """The faces as handed out, with VoxCeleb's lists beside the archive."""
    faces = {
        f"HQ-VoxCeleb/{name}.jpg": png(level)
        for name, level in (
            ("vox1/origin_faces/Ann_Example/1", 60),
            ("vox1/masked_faces/Ann_Example/1", 70),
            ("vox2/masked_faces/Dee_Example/4", 80),
        )
    }
    write_zip(tmp_path / "HQ-VoxCeleb.zip", faces)
    (tmp_path / "vox1_meta.csv").write_text(VOX1_META)
    (tmp_path / "full_vox2_meta.csv").write_text(VOX2_META)
    # VoxCeleb's own list of its second part has no names.
    (tmp_path / "vox2_meta.csv").write_text(VOX2_META.replace("Name,", "Other,"))
    touch(tmp_path, SOUNDS[0], "aac/id00012/video/00001.m4a")
    voices = {c.speaker_id: c.face for c in clips_in("hqvoxceleb", tmp_path)}
    levels = {id_: images.read_image(face).mean() for id_, face in voices.items()}
    assert levels == {"id10001": 60, "id00012": 80}
    job = JobOptions(output_dir="out", media_dir=str(tmp_path))
    clips = layouts.read_faces(job, FaceLayoutOptions(layout="hqvoxceleb"))
    normalized = [images.read_image(clip.normalized_face).mean() for clip in clips]
    assert normalized == [70, 80]


def test_hq_voxceleb_with_two_lists_of_splits(tmp_path):
    write_hq_voxceleb(tmp_path)
    for folder in ("vox1", "vox2"):
        (tmp_path / folder / "split.json").write_text("{}")
    with pytest.raises(ValueError, match=r"several split\.json"):
        clips_in("hqvoxceleb", tmp_path)
