"""The step of Sec. 3 as one writes it down in Keras: stock layers, `train_step`.

Nothing here is ours but the arithmetic, so that `training_step` has something to stand
beside: `tf.signal` for the spectrogram, Table 1 as a list of layers, Eq. 1 as a sum.
"""

import keras
import tensorflow as tf
from keras import layers

from speech2face.config import VoiceTrainingConfig
from speech2face.decoder_bundle import DecoderBundle
from speech2face.models import face_decoder

# channels, stride, and whether a max pooling over time follows
_CONVOLUTIONS = (
    *((64, 1, False), (64, 1, False), (128, 1, True), (128, 1, True), (128, 1, True)),
    *((256, 1, True), (512, 1, False), (512, 2, False), (512, 2, False)),
)


class Twin(keras.Model):
    """Voice encoder and Eq. 1; `train_on_batch((waveform, raw feature))` is a step."""

    def __init__(self, config: VoiceTrainingConfig, decoder: DecoderBundle):
        """Takes f_dec and f_VGG from `decoder`."""
        super().__init__()
        self._of_eq_1 = config.loss
        width = config.voice_encoder.width
        self.encoder = _table_1(width, decoder.recognizer.feature_dim)
        self.f_dec = face_decoder.decoder_activation_layer(decoder.model)
        self.f_dec.trainable = False
        self.decoder = decoder
        rate = keras.optimizers.schedules.ExponentialDecay(1e-3, 10_000, 0.95, True)
        self.compile(keras.optimizers.Adam(rate, 0.5, 0.999, 1e-4))

    def train_step(self, data):
        """Takes a step; returns the loss."""
        waveform, raw, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            voice = self.encoder(_spectrogram(waveform), training=True)
            loss = tf.reduce_mean(self._eq_1(raw, tf.cast(voice, tf.float32)))
            scaled = self.optimizer.scale_loss(loss)
        variables = self.encoder.trainable_variables
        self.optimizer.apply_gradients(zip(tape.gradient(scaled, variables), variables))
        return {"loss": loss}

    def _eq_1(self, raw, voice):
        face = self.decoder.normalizer.normalize(raw)
        l1 = tf.reduce_sum(tf.abs(self.f_dec(face) - self.f_dec(voice)), -1)
        unit_face = face / tf.norm(face, axis=-1, keepdims=True)
        unit_voice = voice / tf.norm(voice, axis=-1, keepdims=True)
        l2 = tf.reduce_sum((unit_face - unit_voice) ** 2, -1)
        cross_entropy = tf.nn.softmax_cross_entropy_with_logits(
            tf.nn.softmax(self._f_vgg(face) / self._of_eq_1.temperature),
            self._f_vgg(voice) / self._of_eq_1.temperature,
        )
        return l1 + self._of_eq_1.lambda1 * l2 + self._of_eq_1.lambda2 * cross_entropy

    def _f_vgg(self, feature):
        raw = self.decoder.normalizer.denormalize(feature)
        if self.decoder.head.relu_input:
            raw = tf.nn.relu(raw)
        return raw @ self.decoder.head.weights + self.decoder.head.bias


def _spectrogram(waveform):
    spectrum = tf.signal.stft(waveform, 400, 160, 512)
    parts = tf.stack([tf.math.real(spectrum), tf.math.imag(spectrum)], -1)
    return tf.sign(parts) * tf.abs(parts) ** 0.3


def _table_1(width: float, feature_dim: int) -> keras.Model:
    inputs = x = keras.Input([None, 257, 2])
    for index, (channels, stride, is_pooled) in enumerate(_CONVOLUTIONS, start=1):
        x = layers.Conv2D(max(1, round(channels * width)), 4, stride)(x)
        if index == len(_CONVOLUTIONS):
            x = keras.ops.mean(x, axis=1)
        x = layers.BatchNormalization()(layers.ReLU()(x))
        if is_pooled:
            x = layers.MaxPooling2D((2, 1))(x)
    x = layers.Dense(max(1, round(4096 * width)), "relu")(layers.Flatten()(x))
    return keras.Model(inputs, layers.Dense(feature_dim, dtype="float32")(x))
