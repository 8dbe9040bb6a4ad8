"""Servers that lie, stall, never end, and point elsewhere."""

import gzip
import time
from collections.abc import Callable

import numpy as np

from tests.campaigns import mutations
from tests.helpers import video_server

ENDLESS_MB = 2_000  # that a server without an end would send
_MP4 = "video/mp4"
_HLS = "application/vnd.apple.mpegurl"
_DASH = "application/dash+xml"


def answer(
    content: bytes, kind: str = _MP4, status: int = 200, **headers: str
) -> Callable:
    """Answers every request with the same bytes; headers may lie."""

    def behave(handler, site, path, with_body):
        handler.send_response(status)
        fields = {"Content_Type": kind, "Content_Length": str(len(content)), **headers}
        for name, value in fields.items():
            if value:
                handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.close_connection = True
        if with_body:
            handler.wfile.write(content)
            site.sent_bytes += len(content)

    return behave


def endless(
    block: bytes, kind: str = _MP4, status: int = 200, **headers: str
) -> Callable:
    """A body without an end."""

    def behave(handler, site, path, with_body):
        answer(b"", kind, status, Content_Length="", **headers)(
            handler, site, path, False
        )
        for _ in range(ENDLESS_MB if with_body else 0):
            handler.wfile.write(block * (1_000_000 // len(block)))

    return behave


def drip(content: bytes, kind: str = _MP4, gap_secs: float = 0.1) -> Callable:
    """A byte now and then."""

    def behave(handler, site, path, with_body):
        answer(b"", kind, Content_Length="1000000")(handler, site, path, False)
        for number in range(600 if with_body else 0):
            handler.wfile.write(content[number : number + 1] or b"x")
            handler.wfile.flush()
            time.sleep(gap_secs)

    return behave


def raw(content: bytes, pause_secs: float = 0.0) -> Callable:
    """Bytes that need not be HTTP."""

    def behave(handler, site, path, with_body):
        handler.close_connection = True
        handler.wfile.write(content)
        handler.wfile.flush()
        time.sleep(pause_secs)

    return behave


def endless_headers(handler, site, path, with_body):
    """Headers without an end."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    for number in range(2000):
        handler.wfile.write(b"X-%d: %s\r\n" % (number, b"a" * 1000))


def redirect(target: str) -> Callable:
    """Sends the client elsewhere; {path} is the address itself."""

    def behave(handler, site, path, with_body):
        location = target.replace("{path}", path)
        answer(b"", status=302, Location=location)(handler, site, path, with_body)

    return behave


def named_servers(clip: bytes, other_port: int) -> dict[str, Callable]:
    """Returns name -> behavior.

    Args:
      clip: a good video.
      other_port: of a server that no answer may make the downloader connect to.
    """
    servers = {
        **_bodies(clip),
        **_ranges(clip),
        **_compressed(clip),
        **_slow(clip),
        **_not_quite_http(clip),
        **_redirects(),
        **_errors(),
    }
    for name, text in _playlists(other_port).items():
        servers[name] = answer(text.encode(), _HLS)
        servers[f"{name}_as_video"] = answer(text.encode() + b"\n" * 1000)
    for name, url in _dash_urls(other_port).items():
        servers[name] = answer(_DASH_TEXT.replace("URL", url).encode(), _DASH)
    long_name = _DASH_TEXT.replace("URL", "part").replace('id="0"', f'id="{"a" * 999}"')
    servers["dash_long_name"] = answer(long_name.encode(), _DASH)
    return servers


def _bodies(clip: bytes) -> dict[str, Callable]:
    """Bodies of another kind or length than their headers say."""
    return {
        "empty": answer(b""),
        "zeros": answer(bytes(100_000)),
        "html": answer(b"<html><video src='/good'></html>" * 99, "text/html"),
        "html_bomb": answer(b"<html>" + b"<a" * 2_000_000, "text/html"),
        "entities": answer(_LAUGHS, "text/xml"),
        "entities_dash": answer(_LAUGHS, _DASH),
        "no_length": answer(clip, Content_Length=""),
        "short": answer(clip, Content_Length=str(2 * len(clip))),
        "long": answer(clip, Content_Length="10"),
        "negative": answer(clip, Content_Length="-5"),
        "huge_length": answer(clip, Content_Length="9" * 40),
        "endless_number": answer(clip, Content_Length="9" * 6000),
        "text_length": answer(clip, Content_Length="many"),
        "endless": endless(bytes(1000)),
        "endless_video": endless(clip[:1000]),
        "endless_html": endless(b"<html>", "text/html"),
        "endless_hls": endless(b"#EXTM3U\n#EXTINF:1,\na\n", _HLS),
        "endless_dash": endless(b"<MPD>", _DASH),
        "name_with_path": answer(
            clip, Content_Disposition='attachment; filename="../../../evil.mp4"'
        ),
        "type_endless": answer(clip, kind="video/" + "x" * 5000),
        "type_script": answer(clip, kind="video/../../x"),
    }


def _ranges(clip: bytes) -> dict[str, Callable]:
    ranged = {"Content_Range": f"bytes 0-262143/{10**15}"}
    return {
        "endless_range": endless(bytes(1000), status=206, **ranged),
        "range_lies": answer(clip, status=206, Content_Range="bytes 5-9/10"),
        "range_huge": answer(clip, status=206, **ranged),
        "range_endless_number": answer(
            clip, status=206, Content_Range="bytes 0-1/" + "9" * 6000
        ),
        "range_text": answer(clip, status=206, Content_Range="bytes x-y/z"),
        "range_negative": answer(clip, status=206, Content_Range="bytes 0-1/-1"),
    }


def _compressed(clip: bytes) -> dict[str, Callable]:
    return {
        "gzip": answer(gzip.compress(clip), Content_Encoding="gzip"),
        "gzip_bomb": answer(_bomb(), Content_Encoding="gzip"),
        "gzip_html_bomb": answer(_bomb(), "text/html", Content_Encoding="gzip"),
        "gzip_hls_bomb": answer(_bomb(), _HLS, Content_Encoding="gzip"),
        "odd_encoding": answer(clip, Content_Encoding="br, zstd, x"),
    }


def _slow(clip: bytes) -> dict[str, Callable]:
    return {
        "drip": drip(clip),
        "drip_html": drip(b"<html>" * 99, "text/html"),
        "drip_hls": drip(b"#EXTM3U\n" + b"#\n" * 999, _HLS),
        "silent": raw(b"", 30.0),
        "half_header": raw(b"HTTP/1.1 200 OK\r\nContent-Le", 30.0),
    }


def _not_quite_http(clip: bytes) -> dict[str, Callable]:
    return {
        "not_http": raw(b"\x16\x03\x01\x02" * 1000),
        "ancient_http": raw(clip),
        "bad_status": raw(b"HTTP/1.1 abc OK\r\n\r\n"),
        "status_99999": raw(b"HTTP/1.1 99999 OK\r\n\r\n"),
        "bad_chunks": raw(
            b"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nTransfer-Encoding: chunked"
            b"\r\n\r\nFFFFFFFFFFFF\r\n" + clip
        ),
        "endless_headers": endless_headers,
        "long_header": raw(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 1_000_000),
    }


def _redirects() -> dict[str, Callable]:
    return {
        "redirect_loop": redirect("/{path}"),
        "redirect_growing": redirect("/{path}?a"),
        "redirect_file": redirect("file:///etc/hostname"),
        "redirect_data": redirect("data:video/mp4;base64,AAAA"),
        "redirect_ftp": redirect("ftp://127.0.0.1:9/a"),
        "redirect_nowhere": redirect(""),
        "redirect_odd": redirect("http://[::1"),
    }


def _errors() -> dict[str, Callable]:
    return {
        "error_429": answer(b"", status=429, Retry_After="999999999"),
        "error_500": answer(bytes(1000), status=500),
        "error_endless": endless(b"x", "text/html", 503),
    }


def _bomb() -> bytes:
    """300 MB of zeros in 300 kB."""
    return gzip.compress(bytes(300_000_000), 1)


def _playlists(port: int) -> dict[str, str]:
    head = "#EXTM3U\n#EXT-X-TARGETDURATION:6\n"
    part, end = "#EXTINF:6.0,\n{}\n", "#EXT-X-ENDLIST\n"
    return {
        "hls_live": head + part.format("part"),
        "hls_file": head + part.format("file:///etc/hostname") + end,
        "hls_path": head + part.format("/etc/hostname") + end,
        "hls_data": head + part.format("data:video/mp2t;base64,R0dH") + end,
        "hls_pipe": head + part.format("pipe:0") + end,
        "hls_itself": head + part.format("hls_itself") + end,
        "hls_endless_part": head + part.format("endless_part") + end,
        "hls_drip_part": head + part.format("drip_part") + end,
        "hls_many": head + part.format("part") * 20_000 + end,
        "hls_no_parts": head + end,
        "hls_bad_number": head.replace("6", "x") + part.format("part") + end,
        "hls_range": head + "#EXT-X-BYTERANGE:99999999999999@0\n" + part.format("part")
        + end,
        "hls_range_text": head + "#EXT-X-BYTERANGE:x@y\n" + part.format("part") + end,
        "hls_key_file": head
        + '#EXT-X-KEY:METHOD=AES-128,URI="file:///etc/hostname"\n'
        + part.format("part") + end,
        "hls_key_endless": head + '#EXT-X-KEY:METHOD=AES-128,URI="endless_part"\n'
        + part.format("part") + end,
        "hls_map": head + '#EXT-X-MAP:URI="file:///etc/hostname"\n'
        + part.format("part") + end,
        "hls_master_loop": "#EXTM3U\n"
        + '#EXT-X-STREAM-INF:BANDWIDTH=1\nhls_master_loop\n' * 3,
        "hls_master_file": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n"
        "file:///etc/hostname\n",
        "hls_master_many": "#EXTM3U\n"
        + "".join(f"#EXT-X-STREAM-INF:BANDWIDTH={n}\nempty?{n}\n" for n in range(3000)),
        "hls_elsewhere": head + part.format(f"rtmp://127.0.0.1:{port}/a") + end,
        "concat": "ffconcat version 1.0\nfile /etc/hostname\n",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
        f"m=audio {port} RTP/AVP 0\n",
    }  # fmt: skip


# Answers that lead to another file, or to a list without an end.
NEVER_DONE = ("hls_live", "hls_file", "hls_path", "hls_pipe", "concat", "sdp")
_LAUGHS = (
    '<?xml version="1.0"?>\n<!DOCTYPE MPD [<!ENTITY a "'
    + "ha" * 99
    + '">'
    + "".join(
        f'<!ENTITY {b} "{f"&{a};" * 20}">' for a, b in zip("abcdefgh", "bcdefghi")
    )
    + "]>\n<MPD>&i;</MPD>\n"
).encode()
_DASH_TEXT = (
    '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT4S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="0" bandwidth="1000" codecs="avc1.4d401f" width="128" '
    'height="96"><BaseURL>URL</BaseURL><SegmentList>'
    '<SegmentURL media="URL"/></SegmentList></Representation></AdaptationSet></Period>'
    "</MPD>\n"
)


def _dash_urls(port: int) -> dict[str, str]:
    return {
        "dash_file": "file:///etc/hostname",
        "dash_endless": "endless_part",
        "dash_drip": "drip_part",
        "dash_elsewhere": f"rtsp://127.0.0.1:{port}/a",
        "dash_itself": "dash_itself",
    }


def parts_of_playlists(clip: bytes) -> dict[str, Callable]:
    """Returns the files that playlists name."""
    return {
        "part": answer(clip),
        "endless_part": endless(bytes(1000)),
        "drip_part": drip(clip),
    }


def mutant(clip: bytes, seed: list[int]) -> Callable:
    """A video whose bytes are damaged, with and without ranges."""
    content = mutations.mutate(clip, [clip], np.random.default_rng(seed))

    def behave(handler, site, path, with_body):
        site.videos[path] = content
        video_server.send(handler, site, path, with_body, ranges=bool(seed[1] % 2))

    return behave
