"""Random augmentation of training waveforms, in the graph, determined by a seed.

The paper uses none: it has 1.7 million clips. The demo has 240 and uses two of these
changes (configs/sample.flags). A change depends only on the run's seed and the
example's position in the stream, so a resumed run repeats it exactly:
docs/decisions/exact-resume.md.
"""

import enum
import math

import tensorflow as tf

from speech2face.config import AugmentConfig
from speech2face.paper import SAMPLE_RATE_HZ

# None of these numbers is in the paper.
_QUIETEST_NOISE_SNR_DB = 40.0  # quieter noise is masked by a voice
_NYQUIST_HZ = SAMPLE_RATE_HZ / 2
_BAND_EDGE_HZ = 200.0  # width of the low-pass filter's slope: a steeper one rings
_DECAY_60_DB = math.log(1000.0)  # amplitude falls to 1/1000 in the decay time
_DRIEST_DB, _WETTEST_DB = -20.0, 0.0  # of the reverberation, relative to the voice
_SPEED_STEP_SAMPLES = 16  # multiples of 16 are fast lengths of a Fourier transform
_MU = 255.0  # of mu-law (ITU-T G.711)


class _Draw(enum.IntEnum):
    """The random decisions about one waveform; each has a seed of its own.

    `random_window` uses the example's seed itself, so these numbers begin with 1. They
    stay below `input_pipeline.SEEDS_PER_EXAMPLE`, the distance between the seeds of
    neighbors in the stream.
    """

    LEVEL = 1
    NOISE_LEVEL = 2
    NOISE = 3
    SPEED = 4
    REVERB_DECAY = 5
    REVERB_RESPONSE = 6
    REVERB_LEVEL = 7
    BAND = 8
    CODEC = 9


def augment(waveform: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Applies the configured changes in the order in which a recording meets them.

    The order is room, noise, level, band limit, codec. The speed, which changes the
    length, is changed by `change_speed`.

    Args:
      waveform: [n] float32 in [-1, 1].
      config: which changes; 0 disables one.
      seed: [2] int64.

    Returns:
      [n] float32 in [-1, 1].
    """
    if config.reverb_secs:
        waveform = _reverberate(waveform, config.reverb_secs, seed)
    if config.noise_snr_db:
        waveform = _add_noise(waveform, config.noise_snr_db, seed)
    if config.gain_db:
        waveform = _change_level(waveform, config.gain_db, seed)
    if config.band_limit_hz:
        waveform = _limit_band(waveform, config.band_limit_hz, seed)
    waveform = tf.clip_by_value(waveform, -1.0, 1.0)
    return _telephone(waveform, seed) if config.telephone_codec else waveform


def random_window(waveform: tf.Tensor, n_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns a random window of at most `n_samples` samples.

    Args:
      waveform: [n] float32.
      n_samples: length of the window; a shorter waveform is returned whole.
      seed: [2] int64.
    """
    n_spare = tf.maximum(tf.shape(waveform)[0] - n_samples, 0)
    start = tf.random.stateless_uniform([], seed, 0, n_spare + 1, tf.int32)
    return waveform[start : start + n_samples]


def change_speed(waveform: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Plays a waveform faster or slower, which moves pitch and formants together.

    Resampling by cropping or padding the spectrum cannot alias. The speed ratio is
    uniform on a logarithmic scale.

    Args:
      waveform: [n] float32.
      share: largest change; 0.03 gives ratios from 1 / 1.03 to 1.03.
      seed: [2] int64.

    Returns:
      [about n / ratio] float32.
    """
    log_ratio = math.log1p(share) * (_uniform(seed, _Draw.SPEED) * 2.0 - 1.0)
    n = tf.shape(waveform)[0]
    n_steps = tf.cast(n, tf.float32) / tf.exp(log_ratio) / _SPEED_STEP_SAMPLES
    n_new = tf.maximum(tf.cast(tf.round(n_steps), tf.int32), 1) * _SPEED_STEP_SAMPLES
    spectrum = tf.signal.rfft(waveform)[: n_new // 2 + 1]
    missing = n_new // 2 + 1 - tf.shape(spectrum)[0]
    spectrum = tf.pad(spectrum, [[0, missing]])
    # irfft divides by the new length; the spectrum belongs to the old one.
    scale = tf.cast(n_new, tf.float32) / tf.cast(n, tf.float32)
    return tf.signal.irfft(spectrum, n_new[tf.newaxis]) * scale


def _uniform(seed: tf.Tensor, draw: _Draw) -> tf.Tensor:
    """Draws a number in [0, 1)."""
    return tf.random.stateless_uniform([], _seed_of(seed, draw))


def _seed_of(seed: tf.Tensor, draw: _Draw) -> tf.Tensor:
    """Returns the seed of one random decision about the example of this seed."""
    return tf.stack([seed[0], seed[1] + int(draw)])


def _change_level(waveform: tf.Tensor, gain_db: float, seed: tf.Tensor) -> tf.Tensor:
    gain = tf.random.stateless_uniform(
        [], _seed_of(seed, _Draw.LEVEL), -gain_db, gain_db
    )
    return waveform * 10.0 ** (gain / 20.0)


def _add_noise(waveform: tf.Tensor, snr_db: float, seed: tf.Tensor) -> tf.Tensor:
    snr = tf.random.stateless_uniform(
        [], _seed_of(seed, _Draw.NOISE_LEVEL), snr_db, _QUIETEST_NOISE_SNR_DB
    )
    noise = tf.random.stateless_normal(tf.shape(waveform), _seed_of(seed, _Draw.NOISE))
    return waveform + noise * _level(waveform) * 10.0 ** (-snr / 20.0)


def _reverberate(waveform: tf.Tensor, max_secs: float, seed: tf.Tensor) -> tf.Tensor:
    """Adds reverberation: a room's response is decaying noise (Moorer 1979)."""
    n_response = round(max_secs * SAMPLE_RATE_HZ)
    # At least a tenth: a response of a few samples would only change the level.
    decay_secs = max_secs * tf.maximum(_uniform(seed, _Draw.REVERB_DECAY), 0.1)
    secs = tf.range(n_response, dtype=tf.float32) / SAMPLE_RATE_HZ
    response = tf.random.stateless_normal(
        [n_response], _seed_of(seed, _Draw.REVERB_RESPONSE)
    )
    response *= tf.exp(-_DECAY_60_DB * secs / decay_secs)
    n = tf.shape(waveform)[0]
    n_fft = (n + n_response)[tf.newaxis]  # long enough for a linear convolution
    spectra = tf.signal.rfft(waveform, n_fft) * tf.signal.rfft(response, n_fft)
    wet = tf.signal.irfft(spectra, n_fft)[:n]
    wet_db = _DRIEST_DB + (_WETTEST_DB - _DRIEST_DB) * _uniform(
        seed, _Draw.REVERB_LEVEL
    )
    gain = 10.0 ** (wet_db / 20.0) * _level(waveform) / tf.maximum(_level(wet), 1e-9)
    return waveform + gain * wet


def _limit_band(waveform: tf.Tensor, lowest_hz: float, seed: tf.Tensor) -> tf.Tensor:
    """Applies a low-pass filter whose slope is a raised cosine."""
    limit_hz = lowest_hz + (_NYQUIST_HZ - lowest_hz) * _uniform(seed, _Draw.BAND)
    spectrum = tf.signal.rfft(waveform)
    hz = tf.linspace(0.0, _NYQUIST_HZ, tf.shape(spectrum)[0])
    above = tf.clip_by_value((hz - limit_hz) / _BAND_EDGE_HZ, 0.0, 1.0)
    gain = 0.5 * (1.0 + tf.cos(math.pi * above))
    kept = spectrum * tf.cast(gain, tf.complex64)
    return tf.signal.irfft(kept, tf.shape(waveform))


def _telephone(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Rounds half of the waveforms to the 256 levels of mu-law."""
    companded = tf.math.log1p(_MU * tf.abs(waveform)) / math.log1p(_MU)
    rounded = tf.round(companded * 127.0) / 127.0
    decoded = tf.sign(waveform) * tf.math.expm1(rounded * math.log1p(_MU)) / _MU
    return tf.where(_uniform(seed, _Draw.CODEC) < 0.5, decoded, waveform)


def _level(waveform: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_mean(tf.square(waveform)))
