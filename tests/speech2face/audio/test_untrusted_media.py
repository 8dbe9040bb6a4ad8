"""Media of strangers: no other file, no connection, bounded time and memory."""

import fractions
import io
import os
import pathlib
import re
import socket
import struct
import sys
import threading
import time
import wave

import av
import numpy as np
import pytest
import soundfile

from data_prep.clips import media
from data_prep.download import range_reader
from speech2face.audio import codecs, containers, decoding, recordings, resampling
from speech2face.errors import UserError
from tests.helpers import child
from tests.helpers.paths import REPOSITORY

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


def tone(n_samples, rate_hz=16_000):
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(n_samples) / rate_hz)


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


# Bounded work


def write_wav(path, rate_hz, n_samples=16_000, n_channels=1):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(n_channels)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        pcm = (9000 * tone(n_samples)).astype("<i2").repeat(n_channels)
        file.writeframes(pcm.tobytes())


def load_in_child(path, call="decoding.load_waveform", arguments=""):
    return child.evaluate(
        "from speech2face.audio import decoding, recordings",
        f"{call}({str(path)!r}{arguments})",
    )


@pytest.mark.serial
@pytest.mark.parametrize("rate_hz", [1, 7, 3_999, 768_001, 2_000_000_000])
def test_rates_that_are_not_of_sound(tmp_path, rate_hz):
    write_wav(tmp_path / "a.wav", rate_hz)
    outcome = load_in_child(tmp_path / "a.wav")
    assert outcome.reason == "bad_sample_rate" and str(rate_hz) in outcome.answer
    assert outcome.peak_mb < 30


@pytest.mark.parametrize("rate_hz", [4_000, 768_000])
def test_the_slowest_and_the_fastest_rate(tmp_path, rate_hz):
    write_wav(tmp_path / "a.wav", rate_hz, n_samples=rate_hz)
    assert len(decoding.load_waveform(tmp_path / "a.wav")) == 16_000


@pytest.mark.parametrize(
    "rate", [float("nan"), float("inf"), -1, 0, 44.1, 1e9, None, "16000", [16_000]]
)
def test_rates_of_the_api(tmp_path, rate):
    for call in (
        lambda: resampling.resample(np.zeros(99), rate, 16_000),
        lambda: resampling.resample(np.zeros(99), 16_000, rate),
        lambda: resampling.Resampler(rate),
        lambda: decoding.load_waveform(tmp_path / "a.wav", sample_rate_hz=rate),
    ):
        with pytest.raises(ValueError, match=r"sample_rate_hz is .* in Hz \(not kHz\)"):
            call()


def test_more_than_64_channels(tmp_path):
    write_wav(tmp_path / "a.wav", 16_000, n_channels=64)
    assert len(decoding.load_waveform(tmp_path / "a.wav")) == 16_000
    write_wav(tmp_path / "a.wav", 16_000, n_channels=65)
    with pytest.raises(ValueError, match="has 65 channels; at most 64"):
        decoding.load_waveform(tmp_path / "a.wav")


@pytest.mark.serial
def test_a_small_file_with_much_sound(tmp_path):
    """60 s of 8 channels at 384 kHz: 740 MB of float32, of which 4 MB are needed."""
    path = tmp_path / "a.flac"
    silence = np.zeros([384_000, 8], np.int16)
    with soundfile.SoundFile(path, "w", 384_000, 8, "PCM_16") as file:
        file.write((9000 * tone(384_000 * 8)).astype(np.int16).reshape(-1, 8))
        for _ in range(59):
            file.write(silence)
    outcome = load_in_child(path, arguments=").shape, (0")
    assert outcome.answer == "((960000,), 0)"
    assert outcome.peak_mb < 200


@pytest.mark.serial
def test_hours_in_a_small_file(tmp_path):
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 16_000, 1, "PCM_16") as file:
        file.write((9000 * tone(16_000)).astype(np.int16))
        for _ in range(70):
            file.write(np.zeros(960_000, np.int16))
    outcome = load_in_child(path)
    assert outcome.reason == "too_long" and "3600 s" in outcome.answer
    assert outcome.peak_mb < 300
    outcome = load_in_child(path, "recordings.SoundFile", ").n_samples, (0")
    assert outcome.answer == "(67216000, 0)"
    assert outcome.peak_mb < 80
    outcome = load_in_child(path, "recordings.SoundFile", ", max_secs=60")
    assert outcome.reason == "too_long" and "60 s" in outcome.answer
    part = decoding.load_waveform(path, start_secs=0.5, end_secs=2, max_secs=1.5)
    assert len(part) == 24_000


@pytest.mark.serial
def test_segments_as_they_are_have_a_limit(tmp_path):
    path = tmp_path / "a.flac"
    with soundfile.SoundFile(path, "w", 192_000, 8, "PCM_16") as file:
        for _ in range(90):
            file.write(np.zeros([192_000, 8], np.int16))
    outcome = load_in_child(path, "decoding.decode_segment", ", 'a.flac'")
    assert outcome.reason == "too_long"
    assert outcome.peak_mb < 600


@pytest.mark.parametrize(
    "times", [(float("nan"), None), (0, float("nan")), (1e300, None), (float("inf"), 2)]
)
def test_times_that_are_no_times(tmp_path, times):
    write_wav(tmp_path / "a.wav", 16_000)
    with pytest.raises(UserError) as error:
        decoding.load_waveform(
            tmp_path / "a.wav", start_secs=times[0], end_secs=times[1]
        )
    is_only_late = times == (1e300, None)
    assert error.value.reason == ("beyond_the_end" if is_only_late else "bad_times")


def test_an_infinite_end_is_the_end(tmp_path):
    write_wav(tmp_path / "a.wav", 16_000)
    path = tmp_path / "a.wav"
    assert len(decoding.load_waveform(path, end_secs=float("inf"))) == 16_000


def test_a_wav_that_claims_more_than_it_has(tmp_path):
    write_wav(tmp_path / "a.wav", 16_000)
    content = bytearray((tmp_path / "a.wav").read_bytes())
    content[40:44] = struct.pack("<I", 0xFFFFFFF0)
    (tmp_path / "a.wav").write_bytes(content)
    assert len(decoding.load_waveform(tmp_path / "a.wav")) == 16_000


@pytest.mark.serial
def test_pictures_beyond_8k_are_refused(tmp_path):
    """6,000 x 6,000 in a file of 40 kB."""
    path = tmp_path / "a.mov"
    with av.open(str(path), "w") as out:
        stream = out.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = 6000, 6000, "gray"
        picture = av.VideoFrame.from_ndarray(
            np.zeros([6000, 6000], np.uint8), format="gray"
        )
        out.mux(stream.encode(picture))
        out.mux(stream.encode())
    outcome = child.evaluate(
        "from data_prep.clips import media",
        f"media.read_frame({str(path)!r}, 0.0).shape",
    )
    assert outcome.reason == "too_large", outcome
    assert outcome.peak_mb < 100


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
    write_wav(tmp_path / "a.wav", 16_000)
    lengths = []

    def read():
        lengths.append(len(decoding.load_waveform(tmp_path / "a.wav")))

    threads = [threading.Thread(target=read) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert lengths == [16_000] * 8
