"""Trainer of the voice encoder: Eq. 1, through a frozen face decoder."""

import dataclasses
from typing import Any

import tensorflow as tf

from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.config import LossConfig, VoiceTrainingConfig
from speech2face.models import face_decoder, speaker_encoder, voice_encoder
from speech2face.training import distribution, frozen_embeddings, losses
from speech2face.training.losses import Features
from speech2face.training.precision import dtype_policy
from speech2face.training.trainer import Batch, Terms, Trainer, build_optimizer


class Eq1:
    """Eq. 1 between the true face and v_s, both fed through a frozen face decoder."""

    TERMS = ("decoder_l1", "feature_l2", "distillation")

    def __init__(self, decoder: DecoderBundle):
        """Takes f_dec, f_VGG and the normalizer from `decoder`."""
        self._decoder = decoder
        self._decoder_activation = face_decoder.decoder_activation_layer(decoder.model)

    def __call__(
        self, config: LossConfig, raw_feature: tf.Tensor, voice_feature: tf.Tensor
    ) -> Terms:
        """Returns the terms of `losses.voice_losses`, [b] float32 each.

        Args:
          config: weights, temperature, reduction.
          raw_feature: [b, d] float32, the recognizer's feature of the true face.
          voice_feature: v_s [b, d] float32, normalized.
        """
        face_feature = self._decoder.normalizer.normalize(raw_feature)
        # The head reads the raw feature of the true face; `face_logits` undoes the
        # normalization of v_s first.
        face_logits = self._decoder.head.logits(raw_feature)
        voice_logits = self._decoder.face_logits(voice_feature)
        with_image = bool(config.pixel_weight)
        # The side of the true face takes no gradient: docs/decisions/eq1-reduction.md.
        return losses.voice_losses(
            config,
            true=self._features(face_feature, face_logits, with_image),
            predicted=self._features(voice_feature, voice_logits, with_image),
        )

    def gradient_norms(
        self, config: LossConfig, raw_feature: tf.Tensor, voice_feature: tf.Tensor
    ) -> Terms:
        """Returns |d term / d v_s|_2 of each example for the `TERMS`, unweighted.

        Sec. 3 chooses lambda1 and lambda2 by these norms.

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

    def _features(
        self, feature: tf.Tensor, face_logits: tf.Tensor, with_image: bool
    ) -> Features:
        return Features(
            feature=feature,
            decoder_activation=self._decoder_activation(feature),
            face_logits=face_logits,
            image=self._decoder.model(feature)["image"] if with_image else None,
        )


class VoiceTrainer(Trainer):
    """Trains the voice encoder against a frozen face decoder (Sec. 3, Eq. 1)."""

    def __init__(
        self,
        config: VoiceTrainingConfig,
        decoder: DecoderBundle,
        face_norm: float | None = None,
    ):
        """Builds a new voice encoder for the features that `decoder` takes.

        Args:
          config: configuration of the training.
          decoder: frozen.
          face_norm: mean |v_f|: the length with which v_s begins.
        """
        self._config = config
        self._eq_1 = Eq1(decoder)
        model = voice_encoder.build_voice_encoder(
            config.voice_encoder,
            decoder.recognizer.feature_dim,
            dtype_policy(config.loop.precision),
            face_norm,
        )
        distribution.check_batch_norm(config.voice_encoder, config.loop)
        # What the encoder computes after its fixed first part; the input pipeline may
        # compute that part, once per clip or on the host's cores.
        self._after_spectrogram: Any = None
        self._after_embedder: Any = None
        units: dict[str, float] = {}
        if config.voice_encoder.encoder == "table1":
            self._after_spectrogram = model.get_layer("table_1")
            units = voice_encoder.feature_units(self._after_spectrogram, face_norm)
        if frozen_embeddings.is_possible(config):
            _, self._after_embedder = speaker_encoder.split_after_embedder(model)
        optimizer = build_optimizer(config.optimizer, config.loop.precision, units)
        super().__init__(model, optimizer, config.loop)

    @property
    def term_weights(self) -> list[dict[str, float]]:
        """Weight of each term of Eq. 1."""
        loss = self._config.loss
        weights = (loss.decoder_weight, loss.lambda1, loss.lambda2)
        return [dict(zip(Eq1.TERMS, weights))]

    def predict(self, batch: Batch) -> tf.Tensor:
        """Returns v_s [b, d] of waveform [b, n]."""
        return self.model(batch["waveform"], training=False)

    def losses(self, batch: Batch, training: bool) -> Terms:
        """Returns the terms of Eq. 1, in training with the norms of their gradients.

        Args:
          batch: face_feature [b, d] float32, raw, and the voice as `waveform` [b, n],
            `spectrogram` [b, frames, 257, 2] or `embedding` [b, units], float32.
          training: whether batch normalization uses the batch's statistics.
        """
        voice_feature = self._forward(batch, training)
        terms = self._eq_1(self._config.loss, batch["face_feature"], voice_feature)
        if training:
            # In every step, not only before a summary: the log holds means over all
            # steps since the last one. They cost three passes through two dense layers
            # (docs/decisions/gradient-norms-in-log.md).
            norms = self._eq_1.gradient_norms(
                self._config.loss, batch["face_feature"], voice_feature
            )
            for name, norm in norms.items():
                terms[f"gradient/{name}"] = norm
        return terms

    def _forward(self, batch: Batch, training: bool) -> tf.Tensor:
        """Returns v_s [b, d] of whichever form of the voice the batch holds."""
        if "embedding" in batch:
            return self._after_embedder(batch["embedding"], training=training)
        if "spectrogram" in batch:
            return self._after_spectrogram(batch["spectrogram"], training=training)
        return self.model(batch["waveform"], training=training)
