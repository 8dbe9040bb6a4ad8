"""The training step of Sec. 3 in plain Keras: stock layers and `train_step`.

The straightforward implementation that `training_step` compares this project's with. It
shares no code with it except configurations and the frozen face decoder: `tf.signal`
computes the spectrogram, Table 1 is a list of layers, and Eq. 1 a sum.
`test_benchmarks.test_the_step_in_plain_keras_is_the_same_step` pins that both learn the
same from the same weights (docs/decisions/step-benchmark.md).
"""

from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import layers

from speech2face import paper
from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.config import VoiceTrainingConfig
from speech2face.models import face_decoder


class _Convolution(NamedTuple):
    channels: int
    stride: int = 1
    is_pooled: bool = False  # whether a max pooling over time follows


# Table 1. Its last convolution is followed by a mean over time.
_CONVOLUTIONS = (
    _Convolution(64),
    _Convolution(64),
    _Convolution(128, is_pooled=True),
    _Convolution(128, is_pooled=True),
    _Convolution(128, is_pooled=True),
    _Convolution(256, is_pooled=True),
    _Convolution(512),
    _Convolution(512, stride=2),
    _Convolution(512, stride=2),
)
_KERNEL = 4
_FC_UNITS = 4096


class Twin(keras.Model):
    """Voice encoder and Eq. 1; `train_on_batch(waveform, raw feature)` is a step.

    Attributes:
      encoder: Table 1, spectrogram [batch, frames, 257, 2] -> feature [batch, d].
    """

    def __init__(
        self,
        config: VoiceTrainingConfig,
        decoder: DecoderBundle,
        fc2_unit: float = 1.0,
    ):
        """Builds the encoder.

        Args:
          config: configuration of the training.
          decoder: f_dec and f_VGG are those of this one.
          fc2_unit: the unit in which ADAM learns the weights of fc2
            (docs/decisions/first-weights.md).
        """
        super().__init__()
        self._loss_config = config.loss
        width = config.voice_encoder.width
        self.encoder = table_1(width, decoder.recognizer.feature_dim, fc2_unit)
        self.f_dec = face_decoder.decoder_activation_layer(decoder.model)
        # Sec. 3: the decoder is fixed while the voice encoder is trained.
        self.f_dec.trainable = False
        self.decoder = decoder
        # Sec. 3: ADAM, 1e-3 decayed by 0.95 every 10,000 iterations, beta 1 of 0.5.
        rate = keras.optimizers.schedules.ExponentialDecay(1e-3, 10_000, 0.95, True)
        self.compile(keras.optimizers.Adam(rate, 0.5, 0.999, 1e-4))

    def train_step(self, data: tuple[tf.Tensor, tf.Tensor]) -> dict[str, Any]:
        """Takes a step on (waveform, raw feature); returns the loss."""
        waveform, raw, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            voice = self.encoder(spectrogram(waveform), training=True)
            loss = tf.reduce_mean(self._eq_1(raw, tf.cast(voice, tf.float32)))
            # A factor in float16 alone; otherwise the loss itself.
            scaled = self.optimizer.scale_loss(loss)
        variables = self.encoder.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables))
        return {"loss": loss}

    def _eq_1(self, raw: tf.Tensor, voice: tf.Tensor) -> tf.Tensor:
        """Eq. 1 of each example, [batch]; `raw` is the recognizer's face feature."""
        face = self.decoder.normalizer.normalize(raw)
        # Means over units and classes: docs/decisions/eq1-reduction.md.
        l1 = tf.reduce_mean(tf.abs(self.f_dec(face) - self.f_dec(voice)), -1)
        unit_face = face / tf.norm(face, axis=-1, keepdims=True)
        unit_voice = voice / tf.norm(voice, axis=-1, keepdims=True)
        l2 = tf.reduce_sum((unit_face - unit_voice) ** 2, -1)
        config = self._loss_config
        # No factor T^2 and no entropy of the teacher: Eq. 1 has neither.
        distillation = tf.nn.softmax_cross_entropy_with_logits(
            tf.nn.softmax(self._f_vgg(face) / config.temperature),
            self._f_vgg(voice) / config.temperature,
        )
        distillation /= self.decoder.head.n_classes
        return l1 + config.lambda1 * l2 + config.lambda2 * distillation

    def _f_vgg(self, feature: tf.Tensor) -> tf.Tensor:
        """The recognizer's logits of a normalized feature, [batch, classes]."""
        # The head takes raw features, and v_s is predicted normalized.
        raw = self.decoder.normalizer.denormalize(feature)
        if self.decoder.head.relu_input:
            raw = tf.nn.relu(raw)
        return raw @ self.decoder.head.weights + self.decoder.head.bias


def spectrogram(waveform: tf.Tensor) -> tf.Tensor:
    """[batch, samples] -> [batch, frames, 257, 2]."""
    spectrum = tf.signal.stft(
        waveform, paper.WINDOW_SAMPLES, paper.HOP_SAMPLES, paper.FFT_SAMPLES
    )
    parts = tf.stack([tf.math.real(spectrum), tf.math.imag(spectrum)], -1)
    return tf.sign(parts) * tf.abs(parts) ** paper.COMPRESSION


def table_1(width: float, feature_dim: int, fc2_unit: float) -> keras.Model:
    """Table 1, spectrogram [batch, frames, 257, 2] -> feature [batch, feature_dim].

    Args:
      width: multiplier on the channels.
      feature_dim: length of the feature.
      fc2_unit: the unit in which ADAM learns the weights of fc2.
    """
    inputs = x = keras.Input([None, paper.N_BANDS, 2])
    for index, (channels, stride, is_pooled) in enumerate(_CONVOLUTIONS, start=1):
        x = layers.Conv2D(max(1, round(channels * width)), _KERNEL, stride)(x)
        if index == len(_CONVOLUTIONS):
            # Over time, before the last ReLU and BN, as in Table 1.
            x = keras.ops.mean(x, axis=1)
        x = layers.BatchNormalization()(layers.ReLU()(x))
        if is_pooled:
            x = layers.MaxPooling2D((2, 1))(x)
    units = max(1, round(_FC_UNITS * width))
    x = layers.Dense(units, "relu")(layers.Flatten()(x))
    x = layers.Dense(feature_dim, dtype="float32")(x)
    return keras.Model(inputs, layers.Rescaling(fc2_unit, dtype="float32")(x))
