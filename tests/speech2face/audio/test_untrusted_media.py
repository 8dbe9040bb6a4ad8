"""Media of strangers: no other file, no connection, no other codec."""

import fractions
import io
import os
import pathlib
import re
import socket
import sys
import threading
import time

import av
import numpy as np
import pytest
import soundfile

from data_prep.clips import media
from data_prep.download import range_reader
from speech2face.audio import codecs, containers, decoding, recordings
from tests.helpers.paths import REPOSITORY
from tests.helpers.voices import tone

HLS = (
    "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n#EXTINF:10.0,\n{}\n"
    "#EXT-X-ENDLIST\n"
)
DASH = (
    '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'profiles="urn:mpeg:dash:profile:isoff-live:2011" mediaPresentationDuration="PT5S" '
    'minBufferTime="PT1S"><Period><AdaptationSet contentType="audio" mimeType="audio/'
    'mp4"><Representation id="0" mimeType="audio/mp4" codecs="mp4a.40.2" bandwidth='
    '"1000" audioSamplingRate="44100"><BaseURL>{}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>\n"
)
SDP = (
    "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio 18998 RTP/AVP 0\n"
)
READERS = {
    "load_waveform": decoding.load_waveform,
    "SoundFile": recordings.SoundFile,
    "read_audio": media.read_audio,
    "read_frame": lambda path: media.read_frame(path, 0.0),
    "has_video": media.has_video,
    "decode_segment": lambda path: decoding.decode_segment(path, str(path)),
    "of bytes": lambda path: decoding.decode_segment(
        io.BytesIO(pathlib.Path(path).read_bytes()), str(path)
    ),
    "of ranges": lambda path: list(
        media.frames_between(ranges(pathlib.Path(path).read_bytes()), str(path), 0, 1)
    ),
}


def ranges(content):
    def fetch(first, n_bytes):
        return content[first : first + n_bytes]

    return range_reader.RangeReader(fetch, len(content))


@pytest.fixture(scope="module")
def victims(tmp_path_factory):
    """A WAV and an MPEG-TS that nothing may read through another file."""
    folder = tmp_path_factory.mktemp("victims")
    soundfile.write(folder / "victim.wav", tone(16_000), 16_000)
    with av.open(str(folder / "victim.ts"), "w") as out:
        stream = out.add_stream("mp2", rate=32_000, layout="mono")
        pcm = (20_000 * tone(64_000, 32_000)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
        frame.sample_rate = 32_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    return folder


@pytest.fixture
def listener():
    """A server that counts who connects to it."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    yield server
    server.close()


def playlists(victims, port):
    ts, wav = victims / "victim.ts", victims / "victim.wav"
    url = f"http://127.0.0.1:{port}/video.ts"
    return {
        "hls.m3u8": HLS.format(ts),
        "hls.wav": HLS.format(ts),
        "hls_file.m3u8": HLS.format(f"file:{ts}"),
        "hls_http.m3u8": HLS.format(url),
        "hls_concat.m3u8": HLS.format(f"concat:{ts}|{ts}"),
        "hls_endless.m3u8": HLS.format(ts).replace("#EXT-X-ENDLIST\n", ""),
        "dash.mpd": DASH.format(ts),
        "dash_http.mp4": DASH.format(url),
        "ffconcat.wav": f"ffconcat version 1.0\nfile '{wav}'\n",
        "ffconcat.ffconcat": f"ffconcat version 1.0\nfile {wav.name}\n",
        "stream.sdp": SDP,
        "stream.wav": SDP,
        "list.ram": f"rtsp://127.0.0.1:{port}/a\n",
        "smooth.asx": f'<asx><entry><ref href="{url}"/></entry></asx>',
        "subtitles.srt": "1\n00:00:00,000 --> 00:00:09,000\nhello\n",
        "meta.txt": ";FFMETADATA1\ntitle=a\n",
        "picture%d.png": "\x89PNG",
    }


@pytest.mark.parametrize("reader", READERS)
def test_nothing_that_names_other_media_is_opened(tmp_path, victims, listener, reader):
    port = listener.getsockname()[1]
    for name, text in playlists(victims, port).items():
        path = tmp_path / name
        path.write_text(text)
        start = time.monotonic()
        with pytest.raises(ValueError, match=r"unreadable|not readable") as caught:
            READERS[reader](path)
        assert time.monotonic() - start < 2, name
        assert str(victims) not in str(caught.value)
    with pytest.raises(socket.timeout):
        listener.accept()


def test_mp4_whose_sound_is_in_another_file(tmp_path, victims):
    """A data reference (dref) to a file beside it: FFmpeg's own switch, kept off."""
    soundfile.write(tmp_path / "beside.wav", tone(16_000), 16_000)
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("aac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(
            tone(16_000).astype(np.float32)[None], "fltp", "mono"
        )
        frame.sample_rate = 16_000
        out.mux(stream.encode(frame))
        out.mux(stream.encode())
    content = path.read_bytes()
    assert b"url \x00\x00\x00\x01" in content  # "in this file"
    path.write_bytes(content.replace(b"url \x00\x00\x00\x01", b"url \x00\x00\x00\x00"))
    opened = []

    def watch(event, arguments):
        if event == "open":
            opened.append(str(arguments[0]))

    sys.addaudithook(watch)
    decoding.load_waveform(path)
    assert not [name for name in opened if "beside" in name]


@pytest.mark.parametrize(
    "name",
    [
        "2024-05-01T10:30:00.wav",
        "interview, part 1.wav",
        "file:a.wav",
        "concat:a|b.wav",
        "http:a.wav",
        "%03d.wav",
        "-.wav",
        "a'b\"c\\d.wav",
        "\udcff\udcfe.wav",
        "a" * 255,
        "pipe:0",
    ],
)
def test_a_name_is_only_a_name(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pathlib.Path(name).open("wb") as file:
        soundfile.write(file, tone(16_000), 16_000, format="WAV")
    assert len(decoding.load_waveform(name)) == 16_000
    assert len(decoding.load_waveform(pathlib.Path(name))) == 16_000
    assert recordings.SoundFile(name).n_samples == 16_000
    assert not media.has_video(name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_and_devices_are_not_files(tmp_path):
    os.mkfifo(tmp_path / "pipe.wav")
    for path in (tmp_path / "pipe.wav", "/dev/zero", tmp_path):
        with pytest.raises(ValueError, match="is not a file"):
            decoding.load_waveform(path)


def test_a_slow_file_ends_within_the_limit():
    content = io.BytesIO()
    soundfile.write(content, tone(160_000), 16_000, format="WAV")

    class Slow(io.BytesIO):
        def read(self, n_bytes=-1):
            time.sleep(0.2)
            return super().read(min(n_bytes, 64))

    start = time.monotonic()
    with pytest.raises(ValueError, match=r"slow.wav was not read within 0.5 s"):
        with containers.open_media(
            Slow(content.getvalue()), "slow.wav", read_secs=0.5
        ) as opened:
            list(opened.packets(opened.container.streams.audio[0]))
    assert time.monotonic() - start < 5


def test_a_seek_before_the_beginning_is_an_error_of_the_file(tmp_path):
    """Found by `make campaign`: a damaged file gave OSError, not UserError."""
    (tmp_path / "a").write_bytes(bytes(9))
    with (tmp_path / "a").open("rb", buffering=0) as file:
        for opened in (file, io.BytesIO(bytes(9))):
            reader = containers._Reader(opened, "a", 1.0)
            for offset in (-5, -(2**63), 2**70):
                reader.seek(offset)
                reader.check()
            assert reader.seek(-5) == -1 and reader.seek(4) == 4


def test_errors_of_a_file_object_come_out():
    content = io.BytesIO()
    soundfile.write(content, tone(160_000), 16_000, format="WAV")

    def fetch(first, n_bytes):
        if first:
            raise ConnectionError("cut off")
        return content.getvalue()[:n_bytes]

    reader = range_reader.RangeReader(fetch, 320_044)
    with pytest.raises(ConnectionError, match="cut off"):
        decoding.decode_segment(reader, "the video")


def test_a_codec_of_no_recording_is_not_decoded(tmp_path):
    """magicyuv: one picture of 50 kB ran code until FFmpeg 8.1.2."""
    path = tmp_path / "a.avi"
    with av.open(str(path), "w") as out:
        picture = out.add_stream("magicyuv", rate=10)
        picture.width, picture.height, picture.pix_fmt = 64, 64, "gbrp"
        sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        pixels = np.zeros([64, 64, 3], np.uint8)
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
        frame = frame.reformat(format="gbrp")
        frame.pts, frame.time_base = 0, fractions.Fraction(1, 10)
        out.mux(picture.encode(frame))
        pcm = (9000 * tone(16_000)).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
        frame.sample_rate, frame.pts = 16_000, 0
        frame.time_base = fractions.Fraction(1, 16_000)
        out.mux([*sound.encode(frame), *sound.encode(), *picture.encode()])
    assert len(decoding.load_waveform(path)) == 16_000
    with pytest.raises(ValueError, match="has the codec magicyuv, which is not"):
        media.read_frame(path, 0.0)


def test_decoders_are_those_that_ffmpeg_has():
    """A name that is misspelled would keep a codec out."""
    known = av.codecs_available
    optional = {"libopus", "libdav1d", "libopencore_amrnb", "libopencore_amrwb"}
    assert [name for name in codecs.DECODERS if name not in known | optional] == []
    assert len(set(codecs.DECODERS)) == len(codecs.DECODERS)


# One place


def test_media_are_opened_in_one_place():
    """`av.open` for reading is in audio/containers.py; writers say "w"."""
    found = []
    for package in ("speech2face", "data_prep", "experiments", "tools"):
        for path in (REPOSITORY / package).rglob("*.py"):
            for line in path.read_text("utf-8").splitlines():
                if re.search(r"\bav\.open\(", line) and '"w"' not in line:
                    found.append(str(path.relative_to(REPOSITORY)))
    assert found == ["speech2face/audio/containers.py"]


def test_many_threads_open_media_at_once(tmp_path):
    soundfile.write(tmp_path / "a.wav", tone(16_000), 16_000)
    lengths = []

    def read():
        lengths.append(len(decoding.load_waveform(tmp_path / "a.wav")))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [16_000] * 8
