"""Voice encoder `speaker_embedding`: a pretrained speaker recognizer and a small head.

Beyond the paper (docs/decisions/speaker-embedding-encoder.md). Table 1 learns what a
voice is from millions of clips. Hundreds are enough for a head on a network that tells
speakers apart already: CAM++ (`models.speaker_embedding`), frozen.

    voice vector      embedding [192] and pooled statistics [1024] of CAM++
    vector            both of unit length, the statistics standardized first; centered,
                      and scaled so that its mean square over all 1,216 numbers is 1
    noise, hidden     in training; by default there is no hidden layer
    feature           the face feature
    gain              one factor: features as long as those of true faces

`training.speaker_head` fits what is not learned by gradient: the statistics, the
center, the first weights of `feature`, and the gain.
"""

from typing import Any

import keras
import numpy as np
from keras import layers, ops

from speech2face import config as config_lib
from speech2face.models import speaker_embedding
from speech2face.models.vectors import unit

_SPLIT = speaker_embedding.EMBEDDING_DIM


def build_speaker_encoder(
    config: config_lib.VoiceEncoderConfig,
    feature_dim: int,
    dtype_policy: str = "float32",
    embedder_precision: config_lib.InferencePrecision = "float32",
) -> keras.Model:
    """Puts a new head on the frozen speaker recognizer.

    Args:
      config: `speaker_noise`, `speaker_hidden_units`, `head_dropout`.
      feature_dim: length of the face feature.
      dtype_policy: arithmetic of the head's hidden layers; its last one is float32.
      embedder_precision: arithmetic of the frozen speaker recognizer.

    Returns:
      A model from a waveform [batch, n_samples] float32 in [-1, 1] at 16 kHz to the
      voice feature (v_s) [batch, feature_dim] float32.

    Raises:
      FileNotFoundError: the recognizer's weights are missing.
      UserError: they are damaged.
    """
    waveform = keras.Input([None], name="waveform")
    x = speaker_embedding.build_embedding(embedder_precision)(waveform)
    x = VoiceVector(name="vector")(x)
    x = Noise(config.speaker_noise, dtype="float32", name="noise")(x)
    for index, units in enumerate(config.speaker_hidden_units, start=1):
        x = _dropout(config, f"dropout{index}")(x)
        x = layers.Dense(
            units, activation="gelu", dtype=dtype_policy, name=f"hidden{index}"
        )(x)
    x = _dropout(config, "dropout_feature")(x)
    x = layers.Dense(
        feature_dim,
        # Small, because a random part stays: losses see only directions, and noise has
        # no gradient that would unlearn it.
        kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
        dtype="float32",
        name="feature",
    )(x)
    x = Gain(name="gain")(x)
    return keras.Model(waveform, x, name="voice_encoder")


def split_after_embedder(encoder: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Splits a model of `build_speaker_encoder`, sharing its weights.

    Returns:
      (the frozen part, waveform -> voice vector; the head, voice vector -> feature).
    """
    vector = encoder.get_layer("vector").input
    return (
        keras.Model(encoder.input, vector),
        keras.Model(vector, encoder.output),
    )


@keras.saving.register_keras_serializable("speech2face")
class VoiceVector(layers.Layer):
    """Makes the two parts of a voice vector comparable: [b, 1216] -> [b, 1216].

    Its constants are those of the training clips. A new layer has mean 0 and deviation
    1.
    """

    def __init__(self, **kwargs: Any):
        """Takes the arguments of a Keras layer."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape: Any) -> None:
        """Creates the constants, which `fit` sets."""
        n_statistics = input_shape[-1] - _SPLIT
        self.mean = self._constant("statistics_mean", n_statistics, "zeros")
        self.deviation = self._constant("statistics_deviation", n_statistics, "ones")
        self.center = self._constant("center", input_shape[-1], "zeros")
        self.scale = self._constant("scale", 1, "ones")

    def fit(self, vectors: np.ndarray) -> None:
        """Sets the constants from voice vectors [n, 1216] of the training clips."""
        statistics = vectors[:, _SPLIT:]
        self.mean.assign(statistics.mean(0))
        self.deviation.assign(statistics.std(0) + 1e-6)  # a unit may be constant
        self.center.assign(np.zeros(self.center.shape))
        self.scale.assign([1.0])
        units = np.asarray(self(vectors))
        self.center.assign(units.mean(0))
        self.scale.assign([1 / max(1e-6, _rms(units))])

    def call(self, x: Any) -> Any:
        """Returns the two parts of unit length, centered and scaled."""
        statistics = (x[:, _SPLIT:] - self.mean) / self.deviation
        parts = [unit(x[:, :_SPLIT]), unit(statistics)]
        return (ops.concatenate(parts, axis=-1) - self.center) * self.scale

    def _constant(self, name: str, size: int, initializer: str) -> keras.Variable:
        return self.add_weight(
            shape=[size], initializer=initializer, trainable=False, name=name
        )


@keras.saving.register_keras_serializable("speech2face")
class Gain(layers.Layer):
    """Multiplies a feature [b, d] by one number, which `training.speaker_head` fits.

    A regression's predictions are shorter than what they predict, the more so the less
    it can tell. As features of faces they would all show the average face.
    Not in the paper: docs/decisions/feature-gain.md
    """

    def __init__(self, **kwargs: Any):
        """Takes the arguments of a Keras layer."""
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape: Any) -> None:
        """Creates the number."""
        self.gain = self.add_weight(
            shape=[], initializer="ones", trainable=False, name="gain"
        )

    def call(self, x: Any) -> Any:
        """Returns the longer feature."""
        return x * self.gain


@keras.saving.register_keras_serializable("speech2face")
class Noise(layers.Layer):
    """Adds Gaussian noise in training; Keras' layer takes no deviation above 1."""

    def __init__(self, stddev: float, **kwargs: Any):
        """Takes the standard deviation of the noise."""
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, x: Any, training: bool = False) -> Any:
        """Returns `x`, of any shape, with noise if `training`."""
        if not training or not self.stddev:
            return x
        return x + self.stddev * keras.random.normal(
            ops.shape(x), dtype=x.dtype, seed=self.seed_generator
        )

    def compute_output_shape(self, input_shape: Any) -> Any:
        """Returns `input_shape`."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {**super().get_config(), "stddev": self.stddev}


def _rms(units: np.ndarray) -> float:
    """Root mean square of centered units [n, d]."""
    return float(np.sqrt(np.square(units - units.mean(0)).mean()))


def _dropout(config: config_lib.VoiceEncoderConfig, name: str) -> layers.Layer:
    return layers.Dropout(config.head_dropout, name=name)
