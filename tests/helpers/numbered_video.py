"""A video for cutting: its frames are numbered, and its sound tells the time."""

import pathlib

import av
import numpy as np

RATE_HZ = 44_100
FPS = 25
SECS = 16


def clock_sound():
    """A slow ramp: each sample encodes its time, to 1/32768 of the length."""
    n = SECS * RATE_HZ
    return (np.arange(n) / n * 1.8 - 0.9).astype(np.float32)


def write_clock(path, codec="flac"):
    """A video whose frames encode their number in blocks, and its sound the time.

    The picture is noise besides, so that the file is large; a key frame every 4 s.
    """
    random = np.random.default_rng(0)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as out:
        picture = out.add_stream("libx264", rate=FPS)
        picture.width, picture.height, picture.pix_fmt = 320, 128, "yuv420p"
        picture.codec_context.gop_size = 4 * FPS
        picture.options = {"preset": "ultrafast", "qp": "22", "sc_threshold": "0"}
        sound = out.add_stream(codec, rate=RATE_HZ, layout="mono")
        sound.codec_context.format = "s16"
        for index in range(SECS * FPS):
            image = random.integers(60, 190, [128, 320, 3], dtype=np.uint8)
            for bit in range(10):
                level = 255 if index >> bit & 1 else 0
                image[:64, bit * 32 : bit * 32 + 32] = level
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            out.mux(picture.encode(frame))
        out.mux(picture.encode())
        samples = np.round(clock_sound() * 32768).astype(np.int16)
        for first in range(0, len(samples), 4096):
            block = np.ascontiguousarray(samples[None, first : first + 4096])
            frame = av.AudioFrame.from_ndarray(block, "s16", "mono")
            frame.sample_rate, frame.pts = RATE_HZ, first
            out.mux(sound.encode(frame))
        out.mux(sound.encode())
    return pathlib.Path(path).read_bytes()


def frame_number(image):
    bits = [image[10:50, b * 32 + 8 : b * 32 + 24].mean() > 127 for b in range(10)]
    return sum(bit << index for index, bit in enumerate(bits))
