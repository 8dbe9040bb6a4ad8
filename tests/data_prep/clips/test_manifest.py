"""Manifests: what is read, what is refused, and splits that never change."""

import csv
import hashlib
import os
import re
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.clips import manifest
from data_prep.clips.manifest import SplitSizes
from speech2face.errors import UserError
from tests.helpers.manifests import write_manifest
from tests.helpers.paths import REPOSITORY

HEADER = "clip_id,media,speaker_id"


def write(folder, text, name="clips.csv", encoding="utf-8"):
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return str(path)


def test_defaults(tmp_path):
    path = write(tmp_path, f"{HEADER}\na,x/a.mp4,anna\n")
    (clip,) = manifest.read_manifest(path)
    assert clip.media == str(tmp_path / "x" / "a.mp4")
    assert (clip.start_secs, clip.end_secs) == (0.0, None)
    assert (clip.face, clip.face_x, clip.face_y) == ("", None, None)
    assert clip.split in manifest.SPLITS
    assert clip.labels == ()


def test_every_column(tmp_path):
    media_dir = tmp_path / "media"
    media_dir.mkdir()
    path = write(
        tmp_path,
        "split,clip_id,media,face,start_secs,end_secs,face_x,face_y,speaker_id,gender\n"
        'val,"a,1",ä b.flac,f.png,1.5,4,0.25,0.5,anna,female\n',
        encoding="utf-8-sig",
    )
    (clip,) = manifest.read_manifest(path, str(media_dir))
    assert clip == manifest.Clip(
        clip_id="a,1",
        speaker_id="anna",
        media=str(media_dir / "ä b.flac"),
        face=str(media_dir / "f.png"),
        start_secs=1.5,
        end_secs=4.0,
        face_x=0.25,
        face_y=0.5,
        split="val",
        labels=(("gender", "female"),),
    )


@pytest.mark.parametrize(
    "text, message",
    [
        ("clip_id,media\na,b\n", "lacks the column(s) speaker_id"),
        ("", "lacks the column(s) clip_id, media, speaker_id"),
        (f"{HEADER}\n", "no rows"),
        (f"{HEADER}\na,b,c\na,d,e\n", "'a' occurs more than once"),
        (f"{HEADER},split\na,b,c,train\nd,e,c,test\n", "is in two splits"),
        (f"{HEADER},split\na,b,c,dev\n", "line 2: split 'dev' is not one of"),
        (f"{HEADER},start_secs\na,b,c,soon\n", "start_secs 'soon' is not a number"),
        (f"{HEADER}\na,b\n", "line 2: expected 3 cells"),
        (f"{HEADER}\na,b,c,d\n", "line 2: expected 3 cells"),
        (f"{HEADER}\na,,c\n", "line 2: media is empty"),
        (f"{HEADER},media\na,b,c,d\n", "the column(s) media twice"),
        (f'{HEADER}\na,"b,c\n', "not readable as CSV"),
        (
            f"{HEADER},normalized_face,normalized_landmarks\na,b,c,d,1 2 3\n",
            "line 2: normalized_landmarks has 3 numbers; expected 136",
        ),
        (
            f"{HEADER},normalized_landmarks\na,b,c,1 2\n",
            "line 2: normalized_landmarks without a normalized_face",
        ),
    ],
)
def test_refuses_with_one_line(tmp_path, text, message):
    with pytest.raises(ValueError) as error:
        manifest.read_manifest(write(tmp_path, text))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_landmarks_of_a_normalized_face(tmp_path):
    numbers = np.arange(136) / 4
    cell = manifest.landmarks_cell(numbers.reshape(68, 2))
    header = f"{HEADER},normalized_face,normalized_landmarks"
    path = write(tmp_path, f"{header}\na,b,c,d.png,{cell}\ne,b,c,,\n")
    given, without = manifest.read_manifest(path)
    np.testing.assert_array_equal(given.normalized_landmarks, numbers)
    assert without.normalized_landmarks == () and not without.labels


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1e999"])
def test_times_that_are_not_finite_reject_their_clip_alone(tmp_path, cell):
    """The stages name the clip (test_media_oddities): the manifest stays readable."""
    path = write(tmp_path, f"{HEADER},start_secs\na,b,c,{cell}\n")
    (clip,) = manifest.read_manifest(path)
    np.testing.assert_equal(clip.start_secs, float(cell))


def test_a_header_of_very_many_columns(tmp_path):
    """In a time that is quadratic, as it once was, this test takes an hour."""
    columns = ",".join(f"label{i}" for i in range(300_000))
    path = write(tmp_path, f"{HEADER},{columns}\na,b,c{',x' * 300_000}\n")
    (clip,) = manifest.read_manifest(path)
    assert len(clip.labels) == 300_000
    for header, expected in (
        (columns, "lacks"),
        (f"{HEADER},{columns},{columns}", "twice"),
    ):
        path = write(tmp_path, header + "\n")
        with pytest.raises(UserError, match=expected) as caught:
            manifest.read_manifest(path)
        assert len(str(caught.value)) < 1000


def test_refuses_missing_paths(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist"):
        manifest.read_manifest(str(tmp_path / "none.csv"))
    path = write(tmp_path, f"{HEADER}\na,b,c\n")
    with pytest.raises(FileNotFoundError, match="media_dir"):
        manifest.read_manifest(path, str(tmp_path / "none"))


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_refuses_other_encodings_with_advice(tmp_path, encoding):
    path = write(tmp_path, f"{HEADER}\nä,b,c\n", encoding=encoding)
    with pytest.raises(UserError, match="save that as 'CSV UTF-8'"):
        manifest.read_manifest(path)


@pytest.mark.parametrize("text", ["{}\na,b,c\n", "\ufeff{}\r\na,b,c\r\n"])
def test_a_header_may_have_spaces_as_cells_may(tmp_path, text):
    path = write(tmp_path, text.format(HEADER.replace(",", " , ")))
    (clip,) = manifest.read_manifest(path)
    assert (clip.clip_id, clip.speaker_id, clip.labels) == ("a", "c", ())


def test_the_tutorial_names_the_columns_that_are_required():
    guide = REPOSITORY / "docs" / "tutorials" / "your_data.md"
    text = " ".join(guide.read_text().split())
    (listed,) = re.findall(r"a CSV with the columns (.*?)\.", text)
    assert tuple(re.findall(r"`(\w+)`", listed)) == manifest.VOICE_COLUMNS
    (optional,) = re.findall(r"Optional columns are (.*?)\. Any other", text)
    named = set(re.findall(r"`([a-z]\w+)`", optional)) - set(manifest.SPLITS)
    assert named <= set(manifest.KNOWN_COLUMNS) - set(manifest.VOICE_COLUMNS)


def test_a_declared_split_holds_for_the_whole_speaker(tmp_path):
    rows = "".join(f"c{i},m,anna,{'test' if i == 7 else ''}\n" for i in range(9))
    clips = manifest.read_manifest(write(tmp_path, f"{HEADER},split\n{rows}"))
    assert {clip.split for clip in clips} == {"test"}


def test_hash_split_is_80_10_10_and_does_not_depend_on_the_process():
    speakers = [f"speaker {i}" for i in range(5000)]
    here = [manifest.hash_split(speaker) for speaker in speakers]
    assert here.count("test") == pytest.approx(500, abs=65)  # 3 sigma
    assert here.count("val") == pytest.approx(500, abs=65)
    code = (
        "from data_prep.clips import manifest\n"
        "print(*[manifest.hash_split(f'speaker {i}') for i in range(5000)])"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "123"}
    there = subprocess.run(
        [sys.executable, "-c", code], env=environment, stdout=-1, check=True, text=True
    )
    assert there.stdout.split() == here


def test_hash_split_by_hand():
    position = int(hashlib.sha256(b"anna").hexdigest()[:16], 16) / 16**16
    assert position > 0.2  # 0.33
    assert manifest.hash_split("anna") == "train"


@pytest.mark.parametrize(
    ("n_clips", "sizes", "expected"),
    [
        (1_700_000, SplitSizes(), (5000, 5000)),  # AVSpeech: not 170,000
        (1_700_000, SplitSizes(n_test=0), (5000, 0)),
        (1_700_000, SplitSizes(n_val=0), (0, 5000)),
        (2000, SplitSizes(), (200, 200)),
        (0, SplitSizes(), (0, 0)),
    ],
)
def test_sizes_of_the_splits(n_clips, sizes, expected):
    counts = tuple(share * n_clips for share in sizes.fractions(n_clips))
    assert counts == pytest.approx(expected)


def test_smaller_shares_only_take_speakers_out():
    speakers = [f"speaker {i}" for i in range(2000)]
    tenths = {speaker: manifest.hash_split(speaker) for speaker in speakers}
    for shares in [(0.01, 0.1), (0.1, 0.01), (0.05, 0.0), (0.0, 0.0)]:
        for speaker in speakers:
            split = manifest.hash_split(speaker, *shares)
            assert split in ("train", tenths[speaker])
        splits = [manifest.hash_split(speaker, *shares) for speaker in speakers]
        assert splits.count("val") == pytest.approx(shares[0] * 2000, abs=40)
        assert splits.count("test") == pytest.approx(shares[1] * 2000, abs=40)


def test_a_declared_clip_is_not_counted_among_those_to_split(tmp_path):
    rows = [f"t{i},b.mp4,t{i},train\n" for i in range(900)]
    rows += [f"o{i},b.mp4,o{i},\n" for i in range(100)]
    path = write(tmp_path, f"{HEADER},split\n{''.join(rows)}")
    sizes = SplitSizes(n_val=0, n_test=5000)
    clips = manifest.read_manifest(path, sizes=sizes)
    splits = {clip.clip_id: clip.split for clip in clips}
    for i in range(100):
        assert splits[f"o{i}"] == manifest.hash_split(f"o{i}", 0.0, 0.1)


def test_write_and_read_back(tmp_path):
    text = f"{HEADER},face_x,age\na,b.mp4,c,0.125,30\nd,e.mp4,f,,\n"
    clips = manifest.read_manifest(write(tmp_path, text))
    again = str(tmp_path / "again.csv")
    write_manifest(again, clips, str(tmp_path))
    assert manifest.read_manifest(again) == clips


CELLS = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), max_size=9
)


@settings(max_examples=300, deadline=None)
@given(rows=st.lists(st.lists(CELLS, max_size=6), max_size=6), junk=st.booleans())
def test_any_csv_is_read_or_refused_with_one_line(tmp_path_factory, rows, junk):
    path = tmp_path_factory.mktemp("fuzz") / "clips.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        if not junk:
            file.write(f"{HEADER},start_secs,face_x\n")
        csv.writer(file).writerows(rows)
    try:
        clips = manifest.read_manifest(str(path))
    except ValueError as error:
        assert "clips.csv" in str(error)
    else:
        assert len({clip.clip_id for clip in clips}) == len(clips) > 0


@settings(max_examples=300, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("fuzz") / "clips.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError):
        manifest.read_manifest(str(path))
