"""Media in any container whose pictures and sound show what time it is."""

import fractions

import av
import numpy as np
import scipy.signal

SECS, RATE_HZ, FRAMES_PER_SEC = 14, 48_000, 25
LOW_HZ, HZ_PER_SEC = 200.0, 250.0  # of the chirp
_N_BITS = 9
# Of the file's own clock, as broadcasts and cut files have it; 0 in containers that
# count pictures.
START_SECS = 1.0
_COUNTING = ("avi", "mxf")


def write_clock(path, container, video, audio, rate_hz=RATE_HZ):
    """Writes a clock, and returns its path.

    Args:
      path: where to.
      container: FFmpeg's name of it.
      video: FFmpeg's name of a codec; '' for no picture. A key frame every 3 s.
      audio: FFmpeg's name of a codec; '' for no sound.
      rate_hz: of the sound.
    """
    begin_secs = 0.0 if container in _COUNTING or not video else START_SECS
    with av.open(str(path), "w", format=container) as out:
        picture = _add_picture(out, container, video) if video else None
        sound = out.add_stream(audio, rate=rate_hz, layout="mono") if audio else None
        blocks = _sound_frames(sound, rate_hz, begin_secs) if sound else []
        # Interleaved by the second, as the muxers of MPEG need it.
        for second in range(SECS):
            for index in range(second * FRAMES_PER_SEC, (second + 1) * FRAMES_PER_SEC):
                if picture:
                    out.mux(picture.encode(_picture_frame(index, begin_secs)))
            n_done = second * len(blocks) // SECS
            for frame in blocks[n_done : (second + 1) * len(blocks) // SECS]:
                out.mux(sound.encode(frame))
        for stream in filter(None, (picture, sound)):
            out.mux(stream.encode())
    return str(path)


def _add_picture(out, container, codec):
    stream = out.add_stream(codec, rate=FRAMES_PER_SEC)
    stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
    stream.codec_context.gop_size = 3 * FRAMES_PER_SEC
    stream.codec_context.bit_rate = 2_000_000
    if codec == "libx264":
        # AVI has no times, and FFmpeg gives wrong ones to B-frames in it.
        n_b_frames = "0" if container == "avi" else "2"
        stream.options = {"preset": "ultrafast", "sc_threshold": "0", "bf": n_b_frames}
    return stream


def _picture_frame(index, begin_secs):
    """Shows its number in bits: white columns on black."""
    pixels = np.full([64, 96, 3], 16, np.uint8)
    for bit in range(_N_BITS):
        if index >> bit & 1:
            pixels[:, 8 + 9 * bit : 17 + 9 * bit] = 235
    frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
    frame.pts = index + round(begin_secs * FRAMES_PER_SEC)
    frame.time_base = fractions.Fraction(1, FRAMES_PER_SEC)
    return frame


def _sound_frames(stream, rate_hz, begin_secs):
    samples = _chirp(rate_hz)[None]
    whole = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
    whole.sample_rate = rate_hz
    whole.pts = round(begin_secs * rate_hz)
    whole.time_base = fractions.Fraction(1, rate_hz)
    converter = av.AudioResampler(
        format=stream.codec_context.format or "fltp",
        layout="mono",
        rate=rate_hz,
        frame_size=stream.codec_context.frame_size or 1024,
    )
    return [*converter.resample(whole), *converter.resample(None)]


def number_of(picture):
    """Returns the number of the frame that a picture [64, 96, 3] shows."""
    columns = (picture[20:44, 11 + 9 * bit : 14 + 9 * bit] for bit in range(_N_BITS))
    return sum(1 << bit for bit, column in enumerate(columns) if column.mean() > 125)


def secs_of(waveform):
    """Returns when in the chirp a waveform [n] at 16 kHz begins, by correlation."""
    whole = _chirp(16_000)
    return int(scipy.signal.correlate(whole, waveform, "valid").argmax()) / 16_000


def _chirp(rate_hz):
    times = np.arange(SECS * rate_hz) / rate_hz
    phase = 2 * np.pi * (LOW_HZ * times + HZ_PER_SEC / 2 * times**2)
    return (0.4 * np.sin(phase)).astype(np.float32)
