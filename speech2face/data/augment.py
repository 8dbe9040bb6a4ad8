"""Random augmentation of training waveforms, in the graph, determined by a seed.

The paper uses none: it has 1.7 million clips. The demo has 240 and uses two of these
changes (configs/sample.flags). A change depends only on the run's seed and the
example's position in the stream, so a resumed run repeats it exactly:
docs/decisions/exact-resume.md.

Room, speed, noise and band limit are changes of one spectrum, so that the sound is
transformed once and back: docs/decisions/augmentation-speed.md.
"""

import enum
import math

import numpy as np
import tensorflow as tf

from speech2face.config import AugmentConfig
from speech2face.paper import SAMPLE_RATE_HZ

# None of these numbers is in the paper.
_QUIETEST_NOISE_SNR_DB = 40.0  # quieter noise is masked by a voice
_NYQUIST_HZ = SAMPLE_RATE_HZ / 2
_BAND_EDGE_HZ = 200.0  # width of the low-pass filter's slope: a steeper one rings
_DECAY_60_DB = math.log(1000.0)  # amplitude falls to 1/1000 in the decay time
_DRIEST_DB, _WETTEST_DB = -20.0, 0.0  # of the reverberation, relative to the voice
_MU = 255.0  # of mu-law (ITU-T G.711)

_INT16_SPREAD = 2**16 / math.sqrt(12)  # standard deviation of 16 random bits


def _fast_lengths() -> np.ndarray:
    """Even lengths of fast Fourier transforms: no prime factor is above 11."""
    lengths = [2]
    for factor in (2, 3, 5, 7, 11):
        for length in lengths:  # grows by what is appended
            if length * factor < 2**31:
                lengths.append(length * factor)
    return np.unique(np.array(lengths, np.int32))


_FAST_LENGTHS = _fast_lengths()


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
    WINDOW = 10


def augment(waveform: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Applies the configured changes in the order in which a recording meets them.

    The order is speed of the voice, room, noise, level, band limit, codec.

    Args:
      waveform: [n] float32 in [-1, 1].
      config: which changes; 0 disables one.
      seed: [2] int64.

    Returns:
      [n] float32 in [-1, 1]; another length if the speed is changed.
    """
    if any((config.speed, config.reverb_secs, config.noise_snr_db)) or (
        config.band_limit_hz
    ):
        waveform = _change_spectrum(waveform, config, seed)
    if config.gain_db:
        waveform = _change_level(waveform, config.gain_db, seed)
    waveform = tf.clip_by_value(waveform, -1.0, 1.0)
    return _telephone(waveform, seed) if config.telephone_codec else waveform


def augmented_window(
    waveform: tf.Tensor, n_samples: int, config: AugmentConfig, seed: tf.Tensor
) -> tf.Tensor:
    """Cuts a window out of a waveform and applies the configured changes to it.

    Args:
      waveform: [n] float32 in [-1, 1].
      n_samples: length of the window.
      config: which changes; 0 disables one.
      seed: [2] int64.

    Returns:
      [at most n_samples] float32 in [-1, 1]. What is shorter has not been repeated yet:
      a short recording, too, is repeated together with its noise.
    """
    n_played = math.ceil(n_samples * (1 + config.speed))  # if played as fast as can be
    if not config.random_window:
        return augment(waveform[:n_played], config, seed)[:n_samples]
    waveform = random_window(waveform, n_played, seed)
    waveform = augment(waveform, config, seed)
    if not config.speed:
        return waveform
    return random_window(waveform, n_samples, _seed_of(seed, _Draw.WINDOW))


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


def _change_spectrum(
    waveform: tf.Tensor, config: AugmentConfig, seed: tf.Tensor
) -> tf.Tensor:
    """Changes speed, room, noise and band limit between two Fourier transforms."""
    n = tf.shape(waveform)[0]
    # Zeros after the voice, so that no echo of its end comes before its beginning.
    echo_secs = config.reverb_secs * (1 + config.speed)
    n_padded = _fast_length(n + math.ceil(echo_secs * SAMPLE_RATE_HZ))
    spectrum, n_fft = tf.signal.rfft(waveform, n_padded[tf.newaxis]), n_padded
    if config.speed:
        n_fft = _length_at_random_speed(n_padded, config.speed, seed)
        spectrum = _resized(spectrum, n_fft // 2 + 1)
    # irfft divides by the new length; the spectrum belongs to the old one.
    scale = tf.cast(n_fft, tf.float32) / tf.cast(n_padded, tf.float32)
    n_voice = tf.cast(tf.cast(n, tf.float32) * scale, tf.int32)
    if config.reverb_secs:
        spectrum = _reverberate(spectrum, n_fft, config.reverb_secs, seed)
    if config.noise_snr_db:
        spectrum = _add_noise(spectrum, n_fft, n_voice, config.noise_snr_db, seed)
    if config.band_limit_hz:
        spectrum *= _band(tf.shape(spectrum)[0], config.band_limit_hz, seed)
    return tf.signal.irfft(spectrum, n_fft[tf.newaxis])[:n_voice] * scale


def _fast_length(n: tf.Tensor) -> tf.Tensor:
    """The next fast length of a Fourier transform, at most a fortieth above 1,000."""
    return tf.gather(_FAST_LENGTHS, tf.searchsorted(_FAST_LENGTHS, n[tf.newaxis])[0])


def _length_at_random_speed(n: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """One of the fast lengths that are at most `share` longer or shorter than n.

    Resampling by cropping or padding the spectrum cannot alias. 0.03 gives ratios from
    1 / 1.03 to 1.03. Fast lengths lie about evenly on a logarithmic scale.
    """
    shortest = tf.cast(tf.math.ceil(tf.cast(n, tf.float64) / (1 + share)), tf.int32)
    longest = tf.cast(tf.cast(n, tf.float64) * (1 + share), tf.int32)
    first = tf.searchsorted(_FAST_LENGTHS, shortest[tf.newaxis])[0]
    end = tf.searchsorted(_FAST_LENGTHS, longest[tf.newaxis], side="right")[0]
    at = tf.random.stateless_uniform(
        [], _seed_of(seed, _Draw.SPEED), first, end, tf.int32
    )
    return tf.gather(_FAST_LENGTHS, at)


def _resized(spectrum: tf.Tensor, n: tf.Tensor) -> tf.Tensor:
    """Crops a spectrum or pads it with zeros, to n values."""
    spectrum = spectrum[:n]
    return tf.pad(spectrum, [[0, n - tf.shape(spectrum)[0]]])


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


def _add_noise(
    spectrum: tf.Tensor,
    n_fft: tf.Tensor,
    n_voice: tf.Tensor,
    snr_db: float,
    seed: tf.Tensor,
) -> tf.Tensor:
    """Adds white noise, relative to the level of the n_voice samples of sound.

    Its spectrum is drawn. A sample is the sum of all frequencies and therefore normally
    distributed, even if their parts are not: 16 random bits are much faster than a
    normal number.
    """
    snr = tf.random.stateless_uniform(
        [], _seed_of(seed, _Draw.NOISE_LEVEL), snr_db, _QUIETEST_NOISE_SNR_DB
    )
    bits = tf.random.stateless_uniform(
        tf.shape(spectrum), _seed_of(seed, _Draw.NOISE), None, None, tf.int32
    )
    parts = tf.cast(tf.bitcast(bits, tf.int16), tf.float32)  # [k, 2]
    # Noise is there n_fft samples long, the energy in n_voice samples.
    share = tf.cast(n_fft, tf.float32) / tf.cast(n_voice, tf.float32)
    n_parts = tf.cast(2 * tf.shape(spectrum)[0], tf.float32)
    spread = tf.sqrt(_energy(spectrum) * share / n_parts) * 10.0 ** (-snr / 20.0)
    return spectrum + tf.bitcast(parts * (spread / _INT16_SPREAD), tf.complex64)


def _reverberate(
    spectrum: tf.Tensor, n_fft: tf.Tensor, max_secs: float, seed: tf.Tensor
) -> tf.Tensor:
    """Adds reverberation: a room's response is decaying noise (Moorer 1979)."""
    n_response = round(max_secs * SAMPLE_RATE_HZ)
    # At least a tenth: a response of a few samples would only change the level.
    decay_secs = max_secs * tf.maximum(_uniform(seed, _Draw.REVERB_DECAY), 0.1)
    secs = tf.range(n_response, dtype=tf.float32) / SAMPLE_RATE_HZ
    response = tf.random.stateless_normal(
        [n_response], _seed_of(seed, _Draw.REVERB_RESPONSE)
    )
    response *= tf.exp(-_DECAY_60_DB * secs / decay_secs)
    wet = spectrum * tf.signal.rfft(response, n_fft[tf.newaxis])
    wet_db = _DRIEST_DB + (_WETTEST_DB - _DRIEST_DB) * _uniform(
        seed, _Draw.REVERB_LEVEL
    )
    level = tf.sqrt(_energy(spectrum) / tf.maximum(_energy(wet), 1e-30))
    return spectrum + wet * tf.cast(10.0 ** (wet_db / 20.0) * level, tf.complex64)


def _band(n: tf.Tensor, lowest_hz: float, seed: tf.Tensor) -> tf.Tensor:
    """Gains of a low-pass filter whose slope is a raised cosine, [n] complex64."""
    limit_hz = lowest_hz + (_NYQUIST_HZ - lowest_hz) * _uniform(seed, _Draw.BAND)
    hz = tf.linspace(0.0, _NYQUIST_HZ, n)
    above = tf.clip_by_value((hz - limit_hz) / _BAND_EDGE_HZ, 0.0, 1.0)
    return tf.cast(0.5 * (1.0 + tf.cos(math.pi * above)), tf.complex64)


def _telephone(waveform: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """Rounds half of the waveforms to the 256 levels of mu-law."""
    companded = tf.math.log1p(_MU * tf.abs(waveform)) / math.log1p(_MU)
    rounded = tf.round(companded * 127.0) / 127.0
    decoded = tf.sign(waveform) * tf.math.expm1(rounded * math.log1p(_MU)) / _MU
    return tf.where(_uniform(seed, _Draw.CODEC) < 0.5, decoded, waveform)


def _energy(spectrum: tf.Tensor) -> tf.Tensor:
    """The sum of the squares of all real and imaginary parts."""
    return tf.reduce_sum(tf.square(tf.bitcast(spectrum, tf.float32)))
