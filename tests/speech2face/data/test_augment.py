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


def at_other_speed(waveform, share, seed):
    return augment.augment(waveform, AugmentConfig(speed=share), seed).numpy()


def test_speed_moves_pitch_and_length_within_its_bounds():
    lengths = []
    for seed in seeds():
        faster = at_other_speed(tone(440), 0.3, seed)
        ratio = RATE_HZ / len(faster)
        assert 1 / 1.301 <= ratio <= 1.301
        assert peak_hz(faster) == pytest.approx(440 * ratio, abs=2)
        assert np.abs(faster).max() == pytest.approx(0.1, rel=0.05)
        lengths.append(len(faster))
    assert min(lengths) < 0.85 * RATE_HZ and max(lengths) > 1.15 * RATE_HZ


def test_speed_equals_scipys_resampling():
    noise = np.random.default_rng(0).normal(size=4000).astype(np.float32) / 8
    changed = at_other_speed(noise, 0.3, seeds()[1])
    assert len(changed) != 4000
    expected = signal.resample(noise, len(changed))
    np.testing.assert_allclose(changed, expected, atol=0.006)
    # They differ in the highest of 2,001 frequencies.
    assert np.corrcoef(changed, expected)[0, 1] > 0.9995


def test_every_speed_is_as_probable_faster_as_slower_at_any_length():
    """The lengths that a Fourier transform takes fast; others are padded."""
    for n in (16_000, 96_000, 96_001):
        many = [tf.constant([5, 16 * i], tf.int64) for i in range(200)]
        padded = augment._fast_length(tf.constant(n))
        assert n <= int(padded) < 1.025 * n
        drawn = [
            augment._length_at_random_speed(padded, 0.03, seed).numpy() for seed in many
        ]
        assert len(set(drawn)) >= 12
        assert min(drawn) / padded >= 1 / 1.03 and max(drawn) / padded <= 1.03
        assert np.mean(np.log(drawn / padded.numpy())) == pytest.approx(0, abs=0.005)


def test_a_fast_length_has_small_factors_only():
    lengths = augment._FAST_LENGTHS
    assert lengths[0] == 2 and lengths[-1] > 2e9 and np.all(np.diff(lengths) > 0)
    even = rest = np.arange(2, 3000, 2)
    for factor in (2, 3, 5, 7, 11):
        for _ in range(12):
            rest = np.where(rest % factor == 0, rest // factor, rest)
    np.testing.assert_array_equal(lengths[lengths < 3000], even[rest == 1])


def test_noise_is_white_normal_and_as_loud_as_it_says():
    voice = tone(440, secs=3.0)
    config, snrs = AugmentConfig(noise_snr_db=10.0), []
    for seed in seeds(40):
        noise = augment.augment(voice, config, seed).numpy() - voice
        snrs.append(-10 * np.log10(np.mean(noise**2) / np.mean(voice**2)))
        # Four standard deviations of the fourth moment of normal noise.
        kurtosis = np.mean(noise**4) / np.mean(noise**2) ** 2
        assert kurtosis == pytest.approx(3, abs=4 * np.sqrt(24 / len(noise)))
        power = np.abs(np.fft.rfft(noise))[:24_000] ** 2
        bands = power.reshape(8, -1).mean(1)
        np.testing.assert_allclose(bands / bands.mean(), 1, atol=0.1)
    assert 9.9 < min(snrs) < 13 and 37 < max(snrs) < 40.1


def test_noise_is_as_loud_beside_a_short_voice_in_a_long_room():
    """The zeros after the voice are no part of its level."""
    voice = np.float32(0.1 * np.random.default_rng(0).normal(size=8_000))
    config = AugmentConfig(noise_snr_db=10.0)
    room = dataclasses.replace(config, reverb_secs=1.0)
    for seed in seeds(5):
        noise = augment.augment(voice, config, seed).numpy() - voice
        echo = augment.augment(voice, AugmentConfig(reverb_secs=1.0), seed).numpy()
        in_room = augment.augment(voice, room, seed).numpy() - echo
        # The room's own energy, part of it after the end, adds at most 3 dB.
        assert 0.95 < np.std(in_room) / np.std(noise) < 1.6


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


def test_a_short_recording_is_changed_before_it_is_repeated():
    voice = tone(440, 0.5)
    config = AugmentConfig(speed=0.1, noise_snr_db=10.0, random_window=True)
    changed = augment.augmented_window(voice, 16_000, config, seeds()[1])
    assert 0.45 * RATE_HZ < len(changed) < 0.55 * RATE_HZ


@pytest.mark.parametrize("random_window", [True, False])
def test_a_window_is_as_long_as_asked_at_any_speed(random_window):
    voice = tone(440, 3.0)
    config = AugmentConfig(speed=0.3, random_window=random_window)
    for seed in seeds():
        assert len(augment.augmented_window(voice, 16_000, config, seed)) == 16_000
