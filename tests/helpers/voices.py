"""Sounds that stand for voices: deterministic, and nobody's."""

import numpy as np

from speech2face.paper import SAMPLE_RATE_HZ


def noise(secs, seed=0):
    """White noise of a voice's level; [n] float32 at 16 kHz."""
    random = np.random.default_rng(seed)
    return (random.normal(size=round(secs * SAMPLE_RATE_HZ)) * 0.1).astype(np.float32)


def tone(n_samples, rate_hz=16_000):
    """440 Hz at half of full scale, [n_samples] float64."""
    return 0.5 * np.sin(2 * np.pi * 440 * np.arange(n_samples) / rate_hz)


def buzz():
    """A buzz with three formants: deterministic, and not a person's."""
    time = np.arange(3 * 16_000) / 16_000
    pitch = 120 + 10 * np.sin(2 * np.pi * 3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / 16_000
    gains = [1 / (1 + ((k * 120 - 700) / 300) ** 2) + 0.05 for k in range(1, 30)]
    sound = sum(g * np.sin(k * phase) for k, g in enumerate(gains, start=1))
    return (0.1 * sound / np.abs(sound).max()).astype(np.float32)


def harmonic_voice(seed, secs):
    """A harmonic tone with vibrato, syllables and noise; [n] float32."""
    draw = np.random.RandomState(seed).uniform
    time = np.arange(int(secs * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    pitch = draw(90, 210) * (1 + 0.08 * np.sin(2 * np.pi * draw(2, 5) * time))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE_HZ
    tones = [draw(0.2, 1) / k * np.sin(k * phase + draw(0, 6)) for k in range(1, 25)]
    syllables = 0.5 + 0.5 * np.sin(2 * np.pi * draw(2, 4) * time + draw(0, 6))
    voice = np.sum(tones, axis=0) * syllables + draw(-0.03, 0.03, len(time))
    return (voice / np.abs(voice).max() * draw(0.003, 0.9)).astype(np.float32)
