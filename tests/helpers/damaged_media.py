"""Generated clips with one oddity each, and damage to the bytes of any file."""

import fractions
import pathlib
import struct
from collections.abc import Sequence

import av
import numpy as np

PITCH_HZ = 440.0
FRAMES_PER_SEC = 10


def write_clip(
    path,
    pictures: Sequence[np.ndarray],
    *,
    secs: float = 1.6,
    rate_hz: int = 16_000,
    layout: str = "mono",
    speaking: Sequence[int] = (0,),
    times_ms: Sequence[int] | None = None,
    container: str | None = None,
) -> str:
    """Writes a video with a tone, and returns its path.

    Args:
      path: where to.
      pictures: [h, w, 3] uint8, one a frame; the last one is repeated.
      secs: duration.
      rate_hz: sample rate of the sound, which is FLAC.
      layout: FFmpeg's name of its channels, such as 'mono' or '5.1'.
      speaking: the channels that have the tone; the others are silent.
      times_ms: when each frame appears; else ten frames a second.
      container: FFmpeg's name of it; else that of the path's ending.
    """
    times_ms = times_ms or range(0, int(1000 * secs), 1000 // FRAMES_PER_SEC)
    with av.open(str(path), "w", format=container) as out:
        picture = out.add_stream("mpeg4", rate=FRAMES_PER_SEC)
        picture.height, picture.width = pictures[0].shape[:2]
        picture.pix_fmt = "yuv420p"
        picture.codec_context.bit_rate = 4_000_000
        picture.codec_context.time_base = fractions.Fraction(1, 1000)
        sound = out.add_stream("flac", rate=rate_hz, layout=layout)
        sound.codec_context.format = "s16"
        for index, time_ms in enumerate(times_ms):
            pixels = pictures[min(index, len(pictures) - 1)]
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = time_ms, fractions.Fraction(1, 1000)
            out.mux(picture.encode(frame))
        out.mux(picture.encode())
        _write_tone(out, sound, secs, speaking)
    return str(path)


def _write_tone(out, stream, secs: float, speaking: Sequence[int]) -> None:
    n_channels, rate_hz = stream.layout.nb_channels, stream.rate
    samples = np.zeros([round(secs * rate_hz), n_channels], np.int16)
    times = np.arange(len(samples)) / rate_hz
    tone = 9000 * np.sin(2 * np.pi * PITCH_HZ * times)
    samples[:, list(speaking)] = tone[:, None]
    for first in range(0, len(samples), 4096):
        block = samples[first : first + 4096].reshape(1, -1)
        frame = av.AudioFrame.from_ndarray(block, "s16", stream.layout.name)
        frame.sample_rate, frame.pts = rate_hz, first
        frame.time_base = fractions.Fraction(1, rate_hz)
        out.mux(stream.encode(frame))
    out.mux(stream.encode())


def pitch_of(waveform: np.ndarray, rate_hz: int = 16_000) -> float:
    """Returns the strongest frequency of a sound [n], in Hz."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(spectrum.argmax() * rate_hz / len(waveform))


def turn_track(content: bytes, height_px: int) -> bytes:
    """Returns an MP4 whose display matrix turns it clockwise by 90 degrees.

    A phone that is held upright writes this matrix into the first track's header.
    """
    one = 1 << 16
    identity = struct.pack(">9i", one, 0, 0, 0, one, 0, 0, 0, 1 << 30)
    clockwise = struct.pack(">9i", 0, one, 0, -one, 0, 0, height_px * one, 0, 1 << 30)
    where = content.index(identity, content.index(b"tkhd"))
    return content[:where] + clockwise + content[where + 36 :]


def damage(content: bytes, random: np.random.Generator) -> bytes:
    """Cuts, flips bits, or adds a hole or noise: anywhere, at the start or the end."""
    n_bytes = len(content)
    first, last = sorted(random.integers(0, n_bytes + 1, 2))
    near = {
        "anywhere": (0, n_bytes),
        "start": (0, min(n_bytes, 4_000)),
        "end": (max(0, n_bytes - 6_000), n_bytes),
    }[random.choice(["anywhere", "start", "end"])]
    changed = bytearray(content)
    kind = random.choice(["cut", "flip", "hole", "noise", "twice"])
    if kind == "cut":
        return content[: random.integers(0, max(1, near[1]))]
    if kind == "hole":
        return content[:first] + content[last:]
    if kind == "twice":
        return content[:last] + content[first:]
    if kind == "noise":
        begin = random.integers(*near)
        end = min(n_bytes, begin + random.integers(1, 20_000))
        changed[begin:end] = random.bytes(end - begin)
    else:
        for position in random.integers(*near, random.integers(1, 200)):
            changed[position] ^= 1 << random.integers(8)
    return bytes(changed)


def write_damaged(folder, source, seed: int) -> str:
    """Writes a damaged copy of a file; the seed decides how."""
    source = pathlib.Path(source)
    path = pathlib.Path(folder) / f"damaged{seed}{source.suffix}"
    path.write_bytes(damage(source.read_bytes(), np.random.default_rng(seed)))
    return str(path)


def mute_video(source, path):
    """A copy without its sound."""
    with av.open(str(source)) as old, av.open(str(path), "w") as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(old.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
