"""AVSpeech's lists: headers, blank rows, rows twice, and millions of rows."""

import time

import pytest

from data_prep.clips import avspeech, manifest
from data_prep.clips.avspeech import Segment

ROW = "AvWWVOgaMlk,3.300000,6.300000,0.5,0.25\n"
SEGMENT = Segment("AvWWVOgaMlk", 3.3, 6.3, 0.5, 0.25)


def read(tmp_path, text):
    (tmp_path / "list.csv").write_text(text)
    return avspeech.read_list(tmp_path / "list.csv")


@pytest.mark.parametrize(
    "text",
    [
        f"{ROW}\n",
        f"{ROW},,,,\n \n\n",
        f"\n{ROW}",
        f"YouTube ID,start segment,end segment,X coordinate,Y coordinate\n{ROW}",
        f"id,start_secs,end_secs,x,y\r\n{ROW}\r\n",
    ],
)
def test_headers_and_blank_rows_are_skipped(tmp_path, text):
    assert read(tmp_path, text) == [SEGMENT]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,nan,nan,nan,nan\n", "line 1: a segment from nan s to nan s is empty"),
        (f"{ROW}id,start,end,x,y\n", r"line 2: \['start', 'end', 'x', 'y'\] are not"),
        ("id,start,end,x,y\n", "is empty"),
        (f"{ROW}a,1,2,0\n", "line 2: 4 cells"),
    ],
)
def test_other_rows_are_errors(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        read(tmp_path, text)


def test_blank_rows_of_a_manifest(tmp_path):
    (tmp_path / "m.csv").write_text("clip_id,media,speaker_id\n,,\na,a.mp4,s\n , ,\n\n")
    assert [c.clip_id for c in manifest.read_manifest(tmp_path / "m.csv")] == ["a"]


@pytest.mark.serial
def test_a_row_twice_is_found_in_linear_time(tmp_path):
    secs = {}
    for n in (10_000, 80_000):
        rows = [f"v{i:010},1.0,4.0,0.5,0.5\n" for i in range(n)]
        begin = time.perf_counter()
        with pytest.raises(ValueError, match=f"line {n + 1}.* twice"):
            read(tmp_path, "".join([*rows, rows[-1]]))
        secs[n] = time.perf_counter() - begin
    assert secs[80_000] < 30 * secs[10_000]  # 8 times, not 64


def test_sample_is_nested_and_does_not_depend_on_the_order():
    segments = [Segment(f"v{i}", 0.5 * i, 0.5 * i + 3, 0.5, 0.5) for i in range(300)]
    few, more = avspeech.sample(segments, 20), avspeech.sample(segments, 50)
    assert len(few) == 20 and set(few) < set(more)
    assert set(avspeech.sample(segments[::-1], 20)) == set(few)
    assert {s.youtube_id for s in few} != {f"v{i}" for i in range(20)}


def test_lists_that_are_none(tmp_path):
    path = tmp_path / "list.csv"
    for text, message in [
        ("", "is empty"),
        ("YouTube ID,start,end,x,y\n", "is empty"),
        ("abc,1,2,3\n", "4 cells"),
        ("abc,1,two,0.5,0.5\n", "not four numbers"),
        ("abc,3,2,0.5,0.5\n", "a segment from 3 s to 2 s is empty"),
        ("abc,nan,2,0.5,0.5\n", "a segment from nan s"),
        ("../../etc,1,2,0.5,0.5\n", "not a YouTube id"),
        ("abc,1,2,0.5,0.5\nabc,1.0,2,0.4,0.5\n", "twice"),
    ]:
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            avspeech.read_list(str(path))
    with pytest.raises(FileNotFoundError):
        avspeech.read_list(str(tmp_path / "none.csv"))
