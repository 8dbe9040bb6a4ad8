"""Random changes to training waveforms, in the graph, decided by a seed alone.

None is in the paper, whose 1.7 million clips need none; the compact model learns from
hundreds of clips and does (configs/compact.flags). A change depends only on the run's
seed and the example's position in the stream, so a resumed run repeats it exactly.
"""

import tensorflow as tf

from speech2face.config import AugmentConfig

_QUIETEST_NOISE_SNR_DB = 40.0


def augment(waveform: tf.Tensor, config: AugmentConfig, seed: tf.Tensor) -> tf.Tensor:
    """Applies the configured changes to a waveform [n] float32.

    Args:
      waveform: [n] float32 in [-1, 1].
      config: which changes; a zero leaves one out.
      seed: [2] integers.
    """
    if config.noise_snr_db:
        waveform = _add_noise(waveform, config.noise_snr_db, seed)
    if config.gain_db:
        waveform = _change_level(waveform, config.gain_db, seed)
    return tf.clip_by_value(waveform, -1.0, 1.0)


def random_window(waveform: tf.Tensor, n_samples: int, seed: tf.Tensor) -> tf.Tensor:
    """Returns a random window of at most `n_samples` of a waveform [n]."""
    n_spare = tf.maximum(tf.shape(waveform)[0] - n_samples, 0)
    start = tf.random.stateless_uniform([], seed, 0, n_spare + 1, tf.int32)
    return waveform[start : start + n_samples]


def _change_level(waveform: tf.Tensor, gain_db: float, seed: tf.Tensor) -> tf.Tensor:
    gain = tf.random.stateless_uniform([], seed + [0, 1], -gain_db, gain_db)
    return waveform * 10.0 ** (gain / 20.0)


def _add_noise(waveform: tf.Tensor, snr_db: float, seed: tf.Tensor) -> tf.Tensor:
    snr = tf.random.stateless_uniform([], seed + [0, 2], snr_db, _QUIETEST_NOISE_SNR_DB)
    noise = tf.random.stateless_normal(tf.shape(waveform), seed + [0, 3])
    level = tf.sqrt(tf.reduce_mean(tf.square(waveform)))
    return waveform + noise * level * 10.0 ** (-snr / 20.0)
