"""A film without pictures worth seeing: MPEG-4 and AAC."""

import av
import numpy as np
import soundfile


def write_gray_film(path, voice):
    """Writes six seconds of gray with the sound of the file `voice`."""
    waveform, rate_hz = soundfile.read(voice, dtype="float32")
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=5)
        video.width = video.height = 64
        video.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=rate_hz)
        sound.layout = "mono"
        gray = np.full((64, 64, 3), 128, np.uint8)
        for _ in range(30):
            container.mux(video.encode(av.VideoFrame.from_ndarray(gray)))
        container.mux(video.encode())
        frame = av.AudioFrame.from_ndarray(waveform[None], "fltp", "mono")
        frame.sample_rate = rate_hz
        container.mux(sound.encode(frame))
        container.mux(sound.encode())
