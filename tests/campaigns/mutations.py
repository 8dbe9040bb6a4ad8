"""Changes to the bytes of a valid file that keep a parser going for a while."""

import struct

import numpy as np

from tests.helpers.damaged_media import damage

EXTREMES = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
MAX_BYTES = 4_000_000


def mutate(content: bytes, others: list[bytes], random: np.random.Generator) -> bytes:
    """Applies one to three changes, drawn at random."""
    for _ in range(random.integers(1, 4)):
        change = CHANGES[random.integers(len(CHANGES))]
        content = change(content, others, random)[:MAX_BYTES]
    return content


def _damage(content, others, random):
    return damage(content, random) if content else content


def _length(content, others, random):
    """Sets one number to an extreme: most formats say their sizes near the start."""
    n_bytes = int(random.choice([1, 2, 4, 8]))
    end = min(len(content), int(random.choice([64, 512, 4096, MAX_BYTES]))) - n_bytes
    if end <= 0:
        return content
    at = int(random.integers(end))
    value = EXTREMES[random.integers(len(EXTREMES))] & (256**n_bytes - 1)
    order = "little" if random.integers(2) else "big"
    return content[:at] + value.to_bytes(n_bytes, order) + content[at + n_bytes :]


def _graft(content, others, random):
    """The beginning of one file and the end of another."""
    other = others[random.integers(len(others))]
    head, tail = random.integers(len(content) + 1), random.integers(len(other) + 1)
    return content[:head] + other[tail:]


def _repeat(content, others, random):
    """A part many times over: chunks and boxes inside each other, or without an end."""
    if not content:
        return content
    first = int(random.integers(len(content)))
    size = int(2 ** random.integers(2, 12))
    n_times = int(random.integers(2, max(3, 200_000 // size)))
    part = content[first : first + size]
    return content[:first] + part * n_times + content[first:]


def _text(content, others, random):
    """A list of other files where a parser looks first, or after the container."""
    text = TEXTS[random.integers(len(TEXTS))]
    return text + content if random.integers(2) else content + text


def _tag(content, others, random):
    """An ID3 tag that claims any size; players look after it."""
    size = int(random.choice([0, 10, len(content), 2**28 - 1]))
    digits = bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\x00\x00" + digits + content


def _box(content, others, random):
    """A box of MP4, or a chunk of RIFF, around everything."""
    kind = [b"moov", b"free", b"meta", b"uuid", b"mdat"][random.integers(5)]
    if random.integers(2):
        size = int(random.choice([0, 1, 8, len(content) + 8, 2**32 - 1]))
        return struct.pack(">I", size) + kind + content
    return b"RIFF" + struct.pack("<I", len(content) % 2**32) + b"WAVE" + content


CHANGES = (_damage, _damage, _length, _length, _graft, _repeat, _text, _tag, _box)
TEXTS = (
    b"#EXTM3U\n#EXTINF:10.0,\n/etc/hostname\n#EXT-X-ENDLIST\n",
    b"ffconcat version 1.0\nfile /etc/hostname\n",
    b"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 18998 RTP/AVP 0\n",
    b'<?xml version="1.0"?>\n<MPD><BaseURL>file:///etc/hostname</BaseURL></MPD>\n',
    b"[playlist]\nFile1=/etc/hostname\n",
    b"\xef\xbb\xbf",
    b"\x1f\x8b\x08",
)
