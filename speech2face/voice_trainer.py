"""What the voice encoder learns from: Eq. 1, through a frozen face decoder."""

import dataclasses
from typing import Dict

import tensorflow as tf

from speech2face import distribution, frozen_embeddings, losses
from speech2face.config import LossConfig, VoiceTrainingConfig
from speech2face.decoder_bundle import DecoderBundle
from speech2face.models import face_decoder, voice_encoder
from speech2face.precision import dtype_policy
from speech2face.trainer import Batch, Terms, Trainer, build_optimizer


class Eq1:
    """Eq. 1 of v_s against the true face, both fed through a frozen face decoder."""

    TERMS = ("decoder_l1", "feature_l2", "distillation")

    def __init__(self, decoder: DecoderBundle):
        """Takes f_dec, f_VGG and the normaliser from `decoder`."""
        self._decoder = decoder
        self._decoder_activation = face_decoder.decoder_activation_layer(decoder.model)

    def __call__(
        self, config: LossConfig, raw_feature: tf.Tensor, voice_feature: tf.Tensor
    ) -> Dict[str, tf.Tensor]:
        """Returns the terms of `losses.voice_losses`, [b] float32 each.

        Args:
          config: weights, temperature, reduction.
          raw_feature: [b, d] float32, the recognizer's feature of the true face.
          voice_feature: v_s [b, d] float32, normalised.
        """
        face_feature = self._decoder.normalizer.normalize(raw_feature)
        images = {}
        if config.pixel_weight:
            images["image_true"] = self._decoder.model(face_feature)["image"]
            images["image_pred"] = self._decoder.model(voice_feature)["image"]
        return losses.voice_losses(
            config,
            decoder_activation_true=self._decoder_activation(face_feature),
            decoder_activation_pred=self._decoder_activation(voice_feature),
            face_feature=face_feature,
            voice_feature=voice_feature,
            face_logits_true=self._decoder.head.logits(raw_feature),
            face_logits_pred=self._decoder.face_logits(voice_feature),
            **images,
        )

    def gradient_norms(
        self, config: LossConfig, raw_feature: tf.Tensor, voice_feature: tf.Tensor
    ) -> Terms:
        """Returns |d term / d v_s|_2 of each example for the `TERMS`, unweighted.

        Args:
          config: temperature and reduction.
          raw_feature: [b, d] float32, the recognizer's feature of the true face.
          voice_feature: v_s [b, d] float32; takes no gradient from this.

        Returns:
          Term -> [b] float32. The gradient is of each example's own loss, not divided
          by the size of the batch.
        """
        config = dataclasses.replace(config, pixel_weight=0.0, contrastive_weight=0.0)
        voice_feature = tf.stop_gradient(voice_feature)
        with tf.GradientTape(persistent=True) as tape:
            tape.watch(voice_feature)
            terms = self(config, raw_feature, voice_feature)
        return {
            name: tf.norm(tape.gradient(terms[name], voice_feature), axis=-1)
            for name in self.TERMS
        }


class VoiceTrainer(Trainer):
    """Trains the voice encoder against a frozen face decoder (Sec. 3, Eq. 1)."""

    def __init__(self, config: VoiceTrainingConfig, decoder: DecoderBundle):
        """Builds a new voice encoder for the features that `decoder` takes."""
        self._config = config
        self._eq_1 = Eq1(decoder)
        model = voice_encoder.build_voice_encoder(
            config.voice_encoder,
            decoder.recognizer.feature_dim,
            dtype_policy(config.loop.precision),
        )
        distribution.check_batch_norm(config.voice_encoder, config.loop)
        if config.optimizer.last_layer_only:
            voice_encoder.freeze_all_but_last(model)
        self._behind = {}  # what may stand in the place of a waveform -> the rest
        if config.voice_encoder.encoder == "table1":
            self._behind["spectrogram"] = model.get_layer("table_1")
        if frozen_embeddings.is_possible(config):
            _, self._behind["embedding"] = frozen_embeddings.split(model, config)
        optimizer = build_optimizer(config.optimizer, config.loop.precision)
        super().__init__(model, optimizer, config.loop)

    def predict(self, batch: Batch) -> tf.Tensor:
        """Returns v_s [b, d] of waveform [b, n]."""
        return self.model(batch["waveform"], training=False)

    def losses(self, batch: Batch, training: bool) -> Terms:
        """Returns the terms of Eq. 1, in training with their gradients' norms.

        Args:
          batch: waveform [b, n] float32, or what the fixed first part of the encoder
            makes of it, embedding [b, units] or spectrogram [b, frames, 257, 2];
            face_feature [b, d] float32, raw.
          training: whether batch normalisation uses the batch's statistics.
        """
        parts = {"waveform": self.model, **self._behind}
        (name,) = parts.keys() & batch.keys()
        voice_feature = parts[name](batch[name], training=training)
        arguments = self._config.loss, batch["face_feature"], voice_feature
        terms = self._eq_1(*arguments)
        if training:
            for name, norms in self._eq_1.gradient_norms(*arguments).items():
                terms[f"gradient/{name}"] = norms
        return terms
