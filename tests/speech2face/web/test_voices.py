"""Recordings on the web page: channels, bad blocks, and no file on the disk."""

import io

import numpy as np
import pytest
import soundfile

from speech2face.audio import channels, resampling
from speech2face.inference import streaming
from speech2face.web import voices
from speech2face.web.limits import Limits
from speech2face.web.uploads import Uploads
from tests.helpers.tiny_models import make_model

RATE_HZ = 24_000
LIMITS = Limits(max_mb=1, max_secs=8.0)


@pytest.fixture(scope="module")
def model():
    return make_model()


def noise(secs=1.0, seed=0):
    n_samples = round(secs * RATE_HZ)
    return np.random.default_rng(seed).normal(0, 0.1, n_samples).astype(np.float32)


def new_recorder(model):
    return voices.VoiceRecorder(model, "Your recording", RATE_HZ, LIMITS)


def test_the_whole_recording_decides_which_channel_is_used(model):
    """In phase at first, then opposite: a choice for each block would differ."""
    left = [noise(seed=seed) for seed in range(5)]
    blocks = [np.stack([x, 0.9 * (x if i < 1 else -x)], 1) for i, x in enumerate(left)]
    recorder = new_recorder(model)
    for block in blocks:
        recorder.push(block, RATE_HZ)
        recorder.face_so_far()
    voice = recorder.finish()
    whole = channels.one_channel(np.concatenate(blocks))
    assert np.array_equal(whole, np.concatenate(left))
    expected = resampling.resample(whole, RATE_HZ, 16_000)
    np.testing.assert_allclose(voice.waveform, expected, atol=1e-6)
    assert not np.allclose(channels.one_channel(blocks[0]), blocks[1][:, 0])
    alone = new_recorder(model)
    alone.push(whole)
    np.testing.assert_allclose(voice.feature, alone.finish().feature, atol=1e-5)


@pytest.mark.parametrize(
    ("block", "rate_hz", "reason"),
    [
        (np.full(900, np.nan, np.float32), RATE_HZ, "nan_samples"),
        (np.full(900, np.inf, np.float32), RATE_HZ, "nan_samples"),
        (np.zeros([900, 2], np.float32), RATE_HZ, "bad_shape"),
        (noise(), 48_000, "bad_sample_rate"),
    ],
)
def test_a_bad_block_is_refused_and_changes_nothing(model, block, rate_hz, reason):
    recorder = new_recorder(model)
    recorder.push(noise(seed=1))
    with pytest.raises(ValueError) as caught:
        recorder.push(block, rate_hz)
    assert caught.value.reason == reason
    recorder.push(noise(seed=2))
    assert recorder.secs == 2.0
    assert len(recorder.finish().waveform) == 32_000


def test_the_page_shows_a_sentence_for_a_bad_block(model):
    gradio = pytest.importorskip("gradio")
    from speech2face.web.handlers import STARTED, Handlers

    uploads = Uploads(LIMITS)
    handlers = Handlers(model, LIMITS, {}, uploads)

    def send(samples, recorder):
        content = io.BytesIO()
        soundfile.write(content, samples, RATE_HZ, "FLOAT", format="WAV")
        with uploads.receiving("visitor") as receiver:
            receiver.write(content.getvalue())
            key = receiver.keep("block.wav")
        return handlers.add_block(key, recorder, 0.0)

    recorder, _ = send(noise(), STARTED)
    for bad in (np.full(24_000, np.nan), np.zeros([24_000, 2])):
        again, shown = send(bad, recorder)
        assert again is recorder and "s2f-error" in shown and "Traceback" not in shown
    assert send(noise(), None) == (None, gradio.skip())


def test_many_channels_take_bounded_memory(model, monkeypatch):
    monkeypatch.setattr(voices, "MAX_KEPT_VALUES", 4 * RATE_HZ)
    recorder = new_recorder(model)
    for seed in range(5):
        recorder.push(np.stack([noise(seed=seed)] * 2, 1))
    assert recorder.is_full and recorder.secs == 2.0


def test_a_long_recording_is_not_kept(model):
    """Neither in memory nor in a file: only what a short one needs, to be repeated."""
    live = streaming.StreamingSpeech2Face(model, RATE_HZ)
    for seed in range(20):
        live.push(noise(1.0, seed=seed))
    kept = sum(len(block) for block in live._kept.blocks())
    assert kept < model.clip_samples + RATE_HZ
    assert live._mean._cutter._n_buffered < 60 * RATE_HZ
