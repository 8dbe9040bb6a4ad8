"""Folders of media with and without metadata, WebDatasets, and layouts in a bucket."""

import io
import json

import numpy as np
import pytest
import soundfile

from data_prep.clips import avspeech, media
from data_prep.clips.avspeech import Segment
from speech2face import buckets, images
from speech2face.buckets import BucketPath
from tests.helpers.object_store import store_in_memory
from tests.helpers.published_folders import clips_in, png, touch, wav, write_tar


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_folders_with_metadata(tmp_path, ending):
    rows = [
        ("train/a.wav", "p1", "a.png", "tall"),
        ("train/b.mp4", "p2", "", "short"),
        ("validation/c.mkv", "", "", ""),
        ("train/none.wav", "p1", "a.png", ""),
    ]
    columns = ("file_name", "speaker", "image", "height")
    if ending == "csv":
        lines = [",".join(row) for row in [columns, *rows]]
    else:
        lines = [json.dumps(dict(zip(columns, row))) for row in rows]
    (tmp_path / f"metadata.{ending}").write_text("\n".join(lines) + "\n")
    touch(tmp_path, "train/a.wav", "train/b.mp4", "validation/c.mkv", "a.png")
    clips = {clip.clip_id: clip for clip in clips_in("folder", tmp_path)}
    assert set(clips) == {"train/a.wav", "train/b.mp4", "validation/c.mkv"}
    a, b, c = (clips[name] for name, *_ in rows[:3])
    assert (a.speaker_id, a.split) == ("p1", "train") and a.face.endswith("a.png")
    assert dict(a.labels)["height"] == "tall"
    assert (b.speaker_id, b.face) == ("p2", "")
    assert (c.speaker_id, c.split) == ("c", "val")


def test_folder_of_sounds_with_pictures(tmp_path):
    touch(
        tmp_path,
        "p1/a.wav",
        "p1/a.jpg",
        "p2/b.mp3",
        "p2/c.jpg",
        "p3/d.mp4",
        "p3/d.jpg",
        "p3/d.mov",
    )
    clips = clips_in("folder", tmp_path)
    assert [(c.clip_id, bool(c.face)) for c in clips] == [
        ("p1/a.wav", True),
        ("p3/d.mov", False),
        ("p3/d.mp4", False),
    ]


def test_webdataset(tmp_path):
    for shard in range(2):
        files = {}
        for i in range(3):
            key = f"{shard}{i:03}"
            files[f"{key}.wav"] = wav(seed=10 * shard + i)
            files[f"{key}.face.png"] = png(50 + 10 * i)
            files[f"{key}.json"] = json.dumps({"speaker": f"s{i}", "age": 30}).encode()
        files["x.wav"] = wav()  # without a face
        write_tar(tmp_path / f"train-{shard:06}.tar", files)
    write_tar(tmp_path / "val-000000.tar", {"k.wav": wav(), "k.jpg": png(9)})
    clips = {clip.clip_id: clip for clip in clips_in("webdataset", tmp_path)}
    assert len(clips) == 7
    one = clips["train-000001/1002"]
    assert (one.speaker_id, one.split, dict(one.labels)) == (
        "s2",
        "train",
        {"age": "30"},
    )
    expected, _ = soundfile.read(io.BytesIO(wav(seed=12)), dtype="float32")
    np.testing.assert_allclose(media.read_audio(one.media), expected, atol=1e-4)
    assert (images.read_image(one.face) == 70).all()
    other = clips["val-000000/k"]
    assert (other.speaker_id, other.split) == ("k", "val")


def test_metadata_of_each_split_in_its_own_folder(tmp_path):
    """As Hugging Face's folders have them; blank rows are skipped, also of commas."""
    touch(tmp_path, "train/x/a.mp4", "test/b.wav", "test/b.png", "other/c.mp4")
    (tmp_path / "train/metadata.csv").write_text(
        "file_name,speaker_id\r\nx/a.mp4,p1\r\n,\r\n\r\n"
    )
    (tmp_path / "test/metadata.jsonl").write_text(
        '{"file_name": "b.wav", "image_file_name": "b.png", "note": "a\u2028b"}\n\n'
    )
    clips = [
        (c.clip_id, c.speaker_id, c.split, c.face[len(f"{tmp_path}/") :])
        for c in clips_in("folder", tmp_path)
    ]
    assert clips == [
        ("test/b.wav", "b", "test", "test/b.png"),
        ("train/x/a.mp4", "p1", "train", ""),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name\na.mp4\n", "needs the column file_name"),
        ("file_name\na.mp4,1\n", "rows as long as its header"),
        ("file_name,speaker\n,p\n", "row 1: file_name is empty"),
        ("file_name,start_secs\na.mp4,soon\n", "start_secs 'soon' is not a number"),
    ],
)
def test_metadata_that_are_damaged(tmp_path, text, message):
    touch(tmp_path, "a.mp4")
    (tmp_path / "metadata.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        clips_in("folder", tmp_path)


# In a bucket


def write_all_layouts(root):
    """One folder that each layout can read, and AVSpeech's list."""
    meta = "VoxCeleb1 ID,VGGFace1 ID,Gender,Nationality,Set\nid10001,Ann,f,India,dev\n"
    (root / "av/list.csv").parent.mkdir(parents=True)
    (root / "av/list.csv").write_bytes(
        avspeech.format_list([Segment("AbC_dE-fGh1", 30.0, 34.5, 0.4, 0.5)])
    )
    touch(root, "av/AbC_dE-fGh1_30.0-34.5.mp4", "vox/wav/id10001/v/1.wav")
    touch(root, "hq/wav/id10001/v/1.wav", "hq/vox1/masked_faces/Ann/1.jpg")
    touch(root, "vox/Ann/1.jpg", "folder/a.wav", "folder/a.png", "files/p/b.mp4")
    (root / "vox/meta.csv").write_text(meta)
    (root / "hq/vox1/vox1_meta.csv").write_text(meta)
    split = {"vox1": {"train": [], "val": ["Ann"], "test": []}}
    (root / "hq/split.json").write_text(json.dumps(split))
    (root / "folder/metadata.csv").write_text(
        "file_name,speaker,image\na.wav,s,a.png\n"
    )
    (root / "manifest.csv").write_text(
        "clip_id,media,speaker_id\n1,files/p/b.mp4,p\n2,s3://other/c.mp4,q\n"
    )
    (root / "tars").mkdir()
    write_tar(root / "tars/train-0.tar", {"k.wav": wav(), "k.jpg": png(9)})


def test_every_layout_in_a_bucket_is_as_on_a_disk(tmp_path, monkeypatch):
    write_all_layouts(tmp_path)

    def clips_of(root):
        lists = {"avspeech": "av/list.csv", "manifest": "manifest.csv"}
        folders = {
            "manifest": "",
            "avspeech": "/av",
            "voxceleb": "/vox",
            "hqvoxceleb": "/hq",
            "folder": "/folder",
            "webdataset": "/tars",
        }
        for layout, folder in folders.items():
            listed = f"{root}/{lists[layout]}" if layout in lists else ""
            options = {"metadata": f"{root}/vox/meta.csv"} if folder == "/vox" else {}
            found = clips_in(layout, f"{root}{folder}", listed, **options)
            for c in found:
                paths = [path.replace(f"{root}/", "") for path in (c.media, c.face)]
                yield (layout, c.clip_id, c.speaker_id, c.split, c.labels, *paths)

    expected = list(clips_of(tmp_path))
    assert len(expected) == 7 and ("s3://other/c.mp4" in expected[1])
    with store_in_memory(monkeypatch) as store:
        buckets.upload_folder(tmp_path, BucketPath(store), ())
        assert list(clips_of(store)) == expected
