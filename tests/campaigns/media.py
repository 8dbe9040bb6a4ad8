"""Hostile media through the one function that opens media."""

import pathlib
import socket
import struct

import av
import numpy as np
import soundfile

from data_prep.clips import media
from experiments.benchmarks import scenes
from speech2face.audio import decoding, recordings
from speech2face.errors import UserError
from tests.campaigns import mutations
from tests.campaigns.cases import Limits, Report, run_in_children
from tests.helpers.damaged_media import write_clip

LIMITS = Limits(secs=90.0, peak_mb=600, max_secs=20.0)
SUFFIXES = (".wav", ".mp4", ".m3u8", ".ogg", ".sdp", ".mpd", ".ffconcat", "", ".%03d")
MAX_SECS = 3_600.0  # `decoding.MAX_SECS`, written out: a change of it is seen here


def run(folder: pathlib.Path, seed: int, numbers, more_dir: str = "") -> Report:
    """Tries the cases `numbers`: first the lists and bombs, then mutations."""
    sources = write_sources(folder)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.0)
        fixed = fixed_cases(folder, server.getsockname()[1])
        given = sorted(p for p in pathlib.Path(more_dir).iterdir()) if more_dir else []
        fixed += [(path.name, path.read_bytes(), False) for path in given]

        def check(number: int) -> str:
            name, content, is_list = _case(fixed, sources, seed, number)
            return check_file(folder, name, content, is_list)

        report = run_in_children("media", check, numbers, folder, LIMITS)
        try:
            server.accept()
            report.add("the server", "a file made its reader open a connection")
        except BlockingIOError:
            report.notes = f"{min(len(fixed), len(numbers))} lists and bombs"
    return report


def _case(fixed, sources, seed, number):
    if number < len(fixed):
        return fixed[number]
    random = np.random.default_rng([seed, number])
    content = sources[random.integers(len(sources))]
    name = f"case{number}{SUFFIXES[random.integers(len(SUFFIXES))]}"
    return name, mutations.mutate(content, sources, random), False


def check_file(folder, name, content, is_list) -> str:
    """Reads one file in all ways; returns what is wrong with the answers."""
    path = folder / name
    path.write_bytes(content)
    try:
        for read, is_good in READERS:
            try:
                result = read(path)
            except (UserError, FileNotFoundError) as error:
                if "\n" in str(error) or "victim" in str(error):
                    return f"{read.__name__}: {error!r}"
                continue
            if is_list:
                return f"{read.__name__} has read a list of files"
            if not is_good(result):
                return f"{read.__name__} gave {type(result)} of another kind"
    finally:
        path.unlink()
    return ""


def _waveform(path):
    return decoding.load_waveform(path)


def _long_recording(path):
    # As the page and `reconstruct` do, but no longer than a clip of a film.
    return recordings.SoundFile(path, max_secs=600.0)


def _picture(path):
    return media.read_frame(str(path), 0.2)


def _has_video(path):
    return media.has_video(path)


def is_sound(waveform) -> bool:
    """Whether this is a waveform as `load_waveform` promises it."""
    is_array = waveform.dtype == np.float32 and waveform.ndim == 1
    return is_array and 0 < len(waveform) <= MAX_SECS * 16_000 and _is_bounded(waveform)


def _is_bounded(waveform) -> bool:
    return bool(np.isfinite(waveform).all() and np.abs(waveform).max() <= 1.0)


def is_picture(image) -> bool:
    """Whether this is an image as `read_frame` and `read_image` promise it."""
    return image.dtype == np.uint8 and image.ndim == 3 and max(image.shape) <= 1920


READERS = (
    (_waveform, is_sound),
    (_long_recording, lambda recording: 0 < recording.n_samples <= 600.1 * 16_000),
    (_picture, is_picture),
    (_has_video, lambda answer: isinstance(answer, bool)),
)


def write_sources(folder: pathlib.Path) -> list[bytes]:
    """Writes a valid file of each kind, and returns their contents."""
    sources = folder / "sources"
    sources.mkdir(exist_ok=True)
    picture = scenes.draw(96, 128, 45, 0).picture
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000)
    for name in ("a.mp4", "b.mkv", "c.nut"):
        write_clip(sources / name, [picture], secs=0.9)
    for name in ("e.flac", "f.ogg", "g.wav", "h.mp3", "i.aiff", "j.caf", "k.au"):
        soundfile.write(sources / name, noise, 16_000)
    soundfile.write(sources / "l.wav", np.stack([noise] * 6, 1), 48_000, "PCM_24")
    for name, codec, rate_hz in (
        ("m.ts", "mp2", 32_000),
        ("n.m4a", "aac", 44_100),
        ("o.webm", "libopus", 48_000),
        ("p.mpg", "mp2", 32_000),
        ("q.flv", "aac", 44_100),
    ):
        _encode(sources / name, codec, rate_hz, noise)
    return [path.read_bytes() for path in sorted(sources.iterdir())]


def _encode(path, codec, rate_hz, noise) -> None:
    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate_hz, layout="mono")
        pcm = (9000 * noise).astype(np.int16)[None]
        frame = av.AudioFrame.from_ndarray(pcm, "s16", "mono")
        frame.sample_rate = rate_hz
        out.mux(stream.encode(frame))
        out.mux(stream.encode())


def fixed_cases(folder: pathlib.Path, port: int) -> list[tuple[str, bytes, bool]]:
    """Returns (name, content, whether it lists other files) of lists and bombs."""
    victim = folder / "victim.wav"
    soundfile.write(victim, np.sin(np.arange(16_000) / 6) / 2, 16_000)
    lists = {}
    for number, target in enumerate(
        (
            victim.name,
            str(victim),
            f"file:{victim}",
            f"concat:{victim}|{victim}",
            f"subfile,,start,0,end,9999,,:{victim}",
            f"cache:{victim}",
            f"http://127.0.0.1:{port}/a.wav",
            f"tcp://127.0.0.1:{port}",
            f"crypto+http://127.0.0.1:{port}/a",
            "/dev/zero",
        )
    ):
        for kind, text in _LISTS.items():
            content = text.replace("TARGET", target).replace("PORT", str(port)).encode()
            for suffix in (kind, "wav"):
                lists[f"list{number}_{kind}.{suffix}"] = content
    cases = [(name, content, True) for name, content in lists.items()]
    return cases + [(name, content, False) for name, content in _bombs(folder)]


_LISTS = {
    "m3u8": "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:9\n#EXTINF:9.0,\nTARGET\n"
    "#EXT-X-ENDLIST\n",
    "live.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9.0,\nTARGET\n",
    "key.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:9\n"
    '#EXT-X-KEY:METHOD=AES-128,URI="TARGET"'
    "\n#EXTINF:9.0,\nTARGET\n#EXT-X-ENDLIST\n",
    "ffconcat": "ffconcat version 1.0\nfile 'TARGET'\n",
    "mpd": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" '
    'type="static" mediaPresentationDuration="PT5S"><Period><AdaptationSet '
    'contentType="audio"><Representation id="0" mimeType="audio/mp4" bandwidth="1000">'
    "<BaseURL>TARGET</BaseURL></Representation></AdaptationSet></Period></MPD>\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=TARGET\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio PORT RTP/AVP 0\n",
    "asx": '<asx version="3.0"><entry><ref href="TARGET"/></entry></asx>\n',
    "ram": "TARGET\n",
    "pls": "[playlist]\nNumberOfEntries=1\nFile1=TARGET\n",
    "ism": '<?xml version="1.0"?>\n<SmoothStreamingMedia Duration="9"><StreamIndex '
    'Type="audio" Url="TARGET"/></SmoothStreamingMedia>\n',
    "imf": '<?xml version="1.0"?>\n<CompositionPlaylist><Id>TARGET</Id>'
    "</CompositionPlaylist>\n",
    "vapoursynth": "import vapoursynth\nopen('TARGET')\n",
    "lrc": "[00:00.00]TARGET\n",
}


def _bombs(folder):
    """Small files that claim, or hold, a lot."""
    tone = (9000 * np.sin(np.arange(16_000) / 6)).astype("<i2").tobytes()
    for rate_hz in (0, 1, 7, 3_999, 768_001, 2**31 - 1, 2**32 - 1):
        yield f"rate{rate_hz}.wav", _wav(rate_hz, 1, tone)
    for n_channels in (0, 65, 255, 65_535):
        yield f"channels{n_channels}.wav", _wav(16_000, n_channels, tone)
    yield "size.wav", _wav(16_000, 1, tone, size=2**32 - 1)
    path = folder / "bomb.flac"
    for rate_hz, n_channels, secs in ((4_000, 1, 40_000), (384_000, 8, 60)):
        silence = np.zeros([rate_hz, n_channels], np.int16)
        with soundfile.SoundFile(path, "w", rate_hz, n_channels, "PCM_16") as file:
            file.write(
                np.frombuffer(tone, np.int16)[: rate_hz * n_channels // 8 * 8].reshape(
                    -1, n_channels
                )
            )
            for _ in range(secs):
                file.write(silence)
        yield f"hours{n_channels}.flac", path.read_bytes()
    path.unlink()
    yield "zeros.mp3", bytes(4_000_000)
    yield "sync.mp3", b"\xff\xfb\x90\x00" * 500_000
    yield "boxes.mp4", (b"\0\0\0\x10ftypisom\0\0\0\0") + 400_000 * b"\0\0\0\x08moov"


def _wav(rate_hz, n_channels, data, size=None) -> bytes:
    width = 2 * n_channels
    form = struct.pack(
        "<HHIIHH", 1, n_channels, rate_hz, rate_hz * width % 2**32, width % 2**16, 16
    )
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + b"data"
    body += struct.pack("<I", len(data) if size is None else size) + data
    return b"RIFF" + struct.pack("<I", len(body)) + body
