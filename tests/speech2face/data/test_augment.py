"""Changes to training waveforms, against numpy, scipy and each other."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import signal

from speech2face.config import AugmentConfig
from speech2face.data import augment

RATE_HZ = 16_000


def tone(hz, secs=1.0, gain=0.1):
    return np.float32(
        gain * np.sin(2 * np.pi * hz * np.arange(secs * RATE_HZ) / RATE_HZ)
    )


def seeds(n=20):
    return [tf.constant([3, 16 * i], tf.int64) for i in range(n)]


def peak_hz(waveform):
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return np.argmax(spectrum) * RATE_HZ / len(waveform)


def test_speed_moves_pitch_and_length_within_its_bounds():
    lengths = []
    for seed in seeds():
        faster = augment.change_speed(tone(440), 0.3, seed).numpy()
        ratio = RATE_HZ / len(faster)
        assert 1 / 1.301 <= ratio <= 1.301
        assert peak_hz(faster) == pytest.approx(440 * ratio, abs=2)
        assert np.abs(faster).max() == pytest.approx(0.1, rel=0.05)
        lengths.append(len(faster))
    assert min(lengths) < 0.85 * RATE_HZ and max(lengths) > 1.15 * RATE_HZ


def test_speed_equals_scipys_resampling():
    noise = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    changed = augment.change_speed(noise, 0.3, seeds()[1]).numpy()
    assert len(changed) != 4000
    expected = signal.resample(noise, len(changed))
    np.testing.assert_allclose(changed, expected, atol=0.05)
    assert np.corrcoef(changed, expected)[0, 1] > 0.9999


def test_a_room_answers_after_a_click_and_decays():
    click = np.zeros(RATE_HZ, np.float32)
    click[1000] = 0.5
    config = AugmentConfig(reverb_secs=0.4)
    wet_db = []
    for seed in seeds():
        room = augment.augment(tf.constant(click), config, seed).numpy()
        np.testing.assert_allclose(room[:990], 0, atol=1e-6)
        answer = room - click
        early, late = (
            np.sum(answer[a:b] ** 2) for a, b in ((1000, 3000), (5000, 7000))
        )
        assert early > 30 * late
        np.testing.assert_allclose(answer[1000 + 6400 :], 0, atol=1e-6)
        wet_db.append(10 * np.log10(np.sum(answer**2) / np.sum(click**2)))
    assert -20.1 < min(wet_db) < -14 and -6 < max(wet_db) < 0.1


def test_band_limit_takes_the_top_and_leaves_the_rest():
    low, high = tone(500), tone(7900)
    limited = [
        augment.augment(low + high, AugmentConfig(band_limit_hz=3000.0), seed).numpy()
        for seed in seeds()
    ]
    for waveform in limited:
        spectrum = np.abs(np.fft.rfft(waveform)) / 800
        assert spectrum[500] == pytest.approx(1.0, abs=0.01)
    tops = [np.abs(np.fft.rfft(waveform))[7900] / 800 for waveform in limited]
    assert np.mean(np.array(tops) < 0.01) > 0.7


def test_the_telephone_has_256_levels_and_an_error_that_follows_the_signal():
    voice = np.linspace(-1, 1, 20_001, dtype=np.float32)
    config = AugmentConfig(telephone_codec=True)
    results = [augment.augment(voice, config, seed).numpy() for seed in seeds()]
    coded = [r for r in results if not np.array_equal(r, voice)]
    assert 4 < len(coded) < 16
    assert len(np.unique(np.round(coded[0], 7))) <= 256
    assert np.abs(coded[0] - voice).max() < 0.025
    quiet = np.abs(voice) < 0.01
    assert np.abs(coded[0] - voice)[quiet].max() < 5e-4


ALL = AugmentConfig(
    gain_db=6.0,
    noise_snr_db=10.0,
    reverb_secs=0.3,
    band_limit_hz=3000.0,
    telephone_codec=True,
)


CHANGED = [name for name, on in dataclasses.asdict(ALL).items() if on]


@pytest.mark.parametrize("field", CHANGED)
def test_every_change_depends_on_the_seed_alone(field):
    config = AugmentConfig(**{field: getattr(ALL, field)})
    noise = np.float32(0.1 * np.random.default_rng(1).normal(size=8000))
    one, two = (
        [augment.augment(noise, config, s).numpy() for s in seeds(6)] for _ in "ab"
    )
    np.testing.assert_array_equal(one, two)
    assert max(np.abs(a - noise).max() for a in one) > 1e-3
    assert np.ptp([a for a in one], axis=0).max() > 1e-3


def test_silence_stays_finite_and_nothing_leaves_the_range():
    silence = np.zeros(8000, np.float32)
    loud = np.float32(np.sign(tone(100, 0.5)))
    for seed in seeds(5):
        np.testing.assert_array_equal(augment.augment(silence, ALL, seed), silence)
        assert np.abs(augment.augment(loud, ALL, seed)).max() <= 1.0
