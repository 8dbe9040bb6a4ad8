"""HLS: a list of MPEG-TS parts gives a segment with its first moments of picture."""

import pathlib

import av
import numpy as np
import pytest

from data_prep.clips import media
from data_prep.clips.avspeech import Segment
from data_prep.download import job as download_job
from data_prep.download.job import DownloadOptions
from tests.helpers import video_server
from tests.helpers.numbered_video import FPS, frame_number, write_clock


@pytest.fixture(scope="module")
def playlist(tmp_path_factory):
    """A folder with `list.m3u8` and its parts; a key frame every four seconds."""
    folder = tmp_path_factory.mktemp("hls")
    write_clock(folder / "clock.mp4", codec="mp2")
    options = {"hls_time": "4", "hls_list_size": "0", "hls_playlist_type": "vod"}
    with (
        av.open(str(folder / "clock.mp4")) as source,
        av.open(str(folder / "list.m3u8"), "w", format="hls", options=options) as out,
    ):
        streams = {s: out.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream]
                out.mux(packet)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(("start", "end"), [(0.0, 2.0), (5.3, 8.7), (9.77, 13.0)])
def test_the_picture_begins_with_the_segment(playlist, tmp_path, start, end):
    """A part begins at its key frame, and its clock not at zero."""
    with video_server.serve() as site:
        for part in playlist.glob("*.ts"):
            site.videos[part.name] = part.read_bytes()
        text = (playlist / "list.m3u8").read_text()
        site.behavior["list"] = video_server.playlist(text)
        (tmp_path / "list.csv").write_text(f"list,{start},{end},0.5,0.5\n")
        result = download_job.download(
            DownloadOptions(
                csv=str(tmp_path / "list.csv"),
                output_dir=str(tmp_path / "out"),
                url_template=site.url + "{id}",
                secs_between_videos=0.0,
                n_threads=1,
            )
        )
    assert result["counts"] == {"done": 1}, result["reasons"]
    path = pathlib.Path(tmp_path, "out", Segment("list", start, end, 0.5, 0.5).path)
    frames = list(media.frames_between(str(path), "it", 0.0, 60.0))
    numbers = [frame_number(image) for image, _ in frames]
    # MPEG-TS has a clock of its own: its sound begins a fraction of a frame before 0.
    expected = list(range(int(start * FPS), int(np.ceil(end * FPS))))
    assert abs(numbers[0] - expected[0]) <= 2 and abs(numbers[-1] - expected[-1]) <= 2
    assert numbers == list(range(numbers[0], numbers[-1] + 1))
    assert frames[0][1] < 1 / FPS
