"""Long or large media take as little memory and work as short or small ones."""

import gc
import pathlib

import numpy as np
import pytest

from data_prep.clips import media
from speech2face.audio import decoding
from speech2face.faces import mmod_search
from tests.helpers.damaged_media import PITCH_HZ, pitch_of, write_clip

STATUS = pathlib.Path("/proc/self/status")
pytestmark = [
    pytest.mark.serial,
    pytest.mark.skipif(not STATUS.exists(), reason="needs Linux's /proc"),
]


def peak_growth_mb(call):
    """Returns the peak growth of resident memory while `call` runs."""
    gc.collect()  # garbage of earlier tests, freed meanwhile, would hide growth
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew

    def status_kb(name):
        line = next(x for x in STATUS.read_text().splitlines() if x.startswith(name))
        return int(line.split()[1])

    before_kb = status_kb("VmRSS")
    call()
    return (status_kb("VmHWM") - before_kb) / 1e3


def test_the_yardstick_sees_memory():
    def fill():
        np.ones(200_000_000, np.uint8)

    # After an installation had filled the page cache, 177 was seen: perhaps the kernel
    # took back pages of files, such as those of TensorFlow's library, meanwhile.
    assert 150 < peak_growth_mb(fill) < 230


@pytest.fixture(scope="module")
def hour(tmp_path_factory):
    """A video of an hour; a frame a second, a key frame every twelve."""
    path = tmp_path_factory.mktemp("hour") / "hour.mp4"
    pictures = [np.full([48, 64, 3], 40 + i % 180, np.uint8) for i in range(3600)]
    times_ms = range(0, 3_600_000, 1000)
    return write_clip(path, pictures, secs=3600, rate_hz=8_000, times_ms=times_ms)


def test_a_moment_of_an_hour_is_sought(hour, monkeypatch):
    decoded = []

    def counting(frames):
        def counted(*args):
            for frame in frames(*args):
                decoded.append(frame.time)
                yield frame

        return counted

    monkeypatch.setattr(media, "_frames", counting(media._frames))
    monkeypatch.setattr(decoding, "_frames", counting(decoding._frames))

    def read():
        frame = media.read_frame(hour, 3000.5)
        assert frame.mean() == pytest.approx(40 + 3000 % 180, abs=3)
        sound = media.read_audio(hour, 3000.25, 3006.25)
        assert len(sound) == 96_000 and pitch_of(sound) == pytest.approx(PITCH_HZ, 1e-2)

    assert peak_growth_mb(read) < 60  # the sound alone has 115 MB
    assert min(decoded) > 2980 and max(decoded) < 3020


def test_4k(tmp_path):
    """One frame at a time: twelve of them would be 300 MB."""
    picture = np.random.default_rng(0).integers(0, 255, [34, 60, 3], dtype=np.uint8)
    picture = picture.repeat(64, 0).repeat(64, 1)[:2160]
    path = write_clip(tmp_path / "4k.mp4", [picture], secs=1.2)

    def read():
        assert media.read_frame(path, 1.1).shape == (1080, 1920, 3)

    assert peak_growth_mb(read) < 250


def test_detection_at_many_places_is_bounded():
    """Windows go through the network in batches, whatever the number of pictures."""
    pictures = [np.full([360, 640, 3], 120, np.uint8)] * 4
    points = [(320.0, 180.0)] * 4
    mmod_search.search_at(pictures[:1], points[:1])  # loads the network
    one = peak_growth_mb(lambda: mmod_search.search_at(pictures, points))
    many = peak_growth_mb(lambda: mmod_search.search_at(pictures * 3, points * 3))
    assert many < one + 200
