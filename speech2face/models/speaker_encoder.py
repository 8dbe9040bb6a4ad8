"""Voice encoder `speaker_embedding`: pretrained speaker recognisers and a small head.

Beyond the paper. Table 1 learns what a voice is from millions of clips; hundreds are
enough for a head on networks that already tell speakers apart. They are frozen
(`speech2face.models.speaker_embedding`).
"""

from typing import Tuple

import keras
from keras import layers, ops

from speech2face import config as config_lib
from speech2face.models import speaker_embedding


def build_speaker_encoder(
    config: config_lib.VoiceEncoderConfig,
    feature_dim: int,
    dtype_policy: str = "float32",
) -> keras.Model:
    """Puts a new head on the frozen embedders of `config.speaker_embedders`.

    Args:
      config: `speaker_embedders`, `speaker_noise`, `speaker_hidden_units`,
        `head_dropout`, `speaker_feature_norm`.
      feature_dim: length of the face feature.
      dtype_policy: arithmetic of the head's hidden layers; all else is float32.

    Returns:
      A model from a waveform [batch, n_samples] float32 in [-1, 1] at 16 kHz to the
      voice feature (v_s) [batch, feature_dim] float32.

    Raises:
      FileNotFoundError, ValueError: no such embedder, or its weights are damaged.
    """
    waveform = keras.Input([None], name="waveform")
    x = speaker_embedding.build_embedding(config.speaker_embedders)(waveform)
    # Only centres, since a unit's variance is far below 1: divided by its own spread,
    # a unit that is nearly always 0 would become as loud as the others.
    x = layers.BatchNormalization(
        center=False,
        scale=False,
        momentum=0.9,
        epsilon=1.0,
        dtype="float32",
        name="center",
    )(x)
    x = layers.Rescaling(
        1 / speaker_embedding.spread(config.speaker_embedders),
        dtype="float32",
        name="rescale",
    )(x)
    x = Noise(config.speaker_noise, dtype="float32", name="noise")(x)
    for index, units in enumerate(config.speaker_hidden_units, start=1):
        x = _dropout(config, f"dropout{index}")(x)
        x = layers.Dense(
            units, activation="gelu", dtype=dtype_policy, name=f"hidden{index}"
        )(x)
    x = _dropout(config, "dropout_feature")(x)
    x = layers.Dense(
        feature_dim,
        # Small, because what is random in it stays: losses see only directions, and
        # noise has no gradient that would unlearn it.
        kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
        dtype="float32",
        name="feature",
    )(x)
    if config.speaker_feature_norm:
        x = layers.UnitNormalization(dtype="float32", name="unit")(x)
        x = layers.Rescaling(
            config.speaker_feature_norm, dtype="float32", name="feature_norm"
        )(x)
    return keras.Model(waveform, x, name="voice_encoder")


def split_behind_embedders(encoder: keras.Model) -> Tuple[keras.Model, keras.Model]:
    """Splits what `build_speaker_encoder` made, sharing its weights.

    Returns:
      (waveform -> embedding, the frozen part; embedding -> voice feature).
    """
    embedding = encoder.get_layer("center").input
    return (
        keras.Model(encoder.input, embedding),
        keras.Model(embedding, encoder.output),
    )


@keras.saving.register_keras_serializable("speech2face")
class Noise(layers.Layer):
    """Adds Gaussian noise in training (that of Keras is limited to a deviation of 1).

    Args:
      stddev: its standard deviation.
    """

    def __init__(self, stddev: float, **kwargs):
        super().__init__(**kwargs)
        self.stddev = stddev
        self.seed_generator = keras.random.SeedGenerator()

    def call(self, x, training=False):
        """Returns `x`, of any shape, with noise if `training`."""
        if not training or not self.stddev:
            return x
        return x + self.stddev * keras.random.normal(
            ops.shape(x), dtype=x.dtype, seed=self.seed_generator
        )

    def compute_output_shape(self, input_shape):
        """Returns `input_shape`."""
        return input_shape

    def get_config(self):
        """Returns what the layer can be made from again."""
        return {**super().get_config(), "stddev": self.stddev}


def _dropout(config: config_lib.VoiceEncoderConfig, name: str) -> layers.Layer:
    return layers.Dropout(config.head_dropout, name=name)
