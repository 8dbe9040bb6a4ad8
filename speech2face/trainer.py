"""One iteration of training: losses, gradients, ADAM. No files, no loop.

Correct under any `tf.distribute` strategy: each replica divides the sum of its
examples' losses by the size of the whole batch and the optimizer adds the replicas'
gradients, so N replicas with batch B/N take the step of one replica with batch B.
"""

from typing import Dict, List

import keras
import tensorflow as tf

from speech2face import losses, mixing
from speech2face.config import (
    DecoderTrainingConfig,
    LossConfig,
    OptimizerConfig,
    VoiceTrainingConfig,
)
from speech2face.decoder_bundle import DecoderBundle
from speech2face.models import face_decoder, speaker_encoder, voice_encoder
from speech2face.normalizer import FeatureNormalizer
from speech2face.precision import dtype_policy
from speech2face.recognizers import Recognizer

Batch = Dict[str, tf.Tensor]


def build_optimizer(config: OptimizerConfig, precision: str) -> keras.Optimizer:
    """Returns ADAM with the paper's schedule (Sec. 3, "Implementation details")."""
    schedule = keras.optimizers.schedules.ExponentialDecay(
        config.learning_rate,
        decay_steps=config.decay_steps,
        decay_rate=config.decay_rate,
        staircase=config.staircase,
    )
    optimizer = keras.optimizers.Adam(
        schedule,
        beta_1=config.beta1,
        beta_2=config.beta2,
        epsilon=config.epsilon,
        weight_decay=config.weight_decay or None,
        name="adam",
    )
    if dtype_policy(precision) == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    return optimizer


class Trainer:
    """What the two trainers share: a model, an optimizer, and the step.

    Attributes:
      model: the network in training.
      optimizer: its optimizer, built.
    """

    def __init__(self, model: keras.Model, optimizer: keras.Optimizer, batch_size: int):
        """Takes the network, its optimizer and the size of the whole batch."""
        self.model = model
        self.optimizer = optimizer
        self._batch_size = batch_size
        self._strategy = tf.distribute.get_strategy()
        optimizer.build(model.trainable_variables)

    def losses(self, batch: Batch, training: bool) -> Dict[str, tf.Tensor]:
        """Returns each loss term and 'total', [b] float32 each."""
        raise NotImplementedError

    def predict(self, batch: Batch):
        """Returns the model's outputs."""
        raise NotImplementedError

    @tf.function
    def train_step(self, batch: Batch) -> Dict[str, tf.Tensor]:
        """Takes one step; returns the mean of each term over the whole batch."""
        terms = self._strategy.run(self._replica_step, (batch,))
        return {
            name: self._strategy.reduce("SUM", value, axis=None)
            for name, value in terms.items()
        }

    @tf.function
    def evaluate_step(self, batch: Batch) -> Dict[str, tf.Tensor]:
        """Returns the terms of each example without learning from them."""
        return self.losses(batch, training=False)

    @tf.function
    def predict_step(self, batch: Batch):
        """Returns the model's outputs for a batch (what it takes of it)."""
        return self.predict(batch)

    def _replica_step(self, batch: Batch) -> Dict[str, tf.Tensor]:
        with tf.GradientTape() as tape:
            terms = self.losses(batch, training=True)
            means = {
                name: tf.reduce_sum(value) / self._batch_size
                for name, value in terms.items()
            }
            scaled_loss = self.optimizer.scale_loss(means["total"])
        variables: List[keras.Variable] = self.model.trainable_variables
        gradients = tape.gradient(scaled_loss, [v.value for v in variables])
        self.optimizer.apply(gradients, variables)
        return means


class Eq1:
    """Eq. 1 of v_s against the true face, both fed through a frozen face decoder."""

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
        if config.optimizer.last_layer_only:
            voice_encoder.freeze_all_but_last(model)
        if config.voice_encoder.encoder == "speaker_embedding":
            self._head = speaker_encoder.head_part(model)
        optimizer = build_optimizer(config.optimizer, config.loop.precision)
        super().__init__(model, optimizer, config.loop.batch_size)

    def predict(self, batch: Batch) -> tf.Tensor:
        """Returns v_s [b, d] of waveform [b, n]."""
        return self.model(batch["waveform"], training=False)

    def losses(self, batch: Batch, training: bool) -> Dict[str, tf.Tensor]:
        """Returns the terms of Eq. 1.

        Args:
          batch: waveform [b, n] float32, or what the pretrained part of the encoder
            makes of it, embedding [b, units]; face_feature [b, d] float32, raw.
          training: whether batch normalisation uses the batch's statistics.
        """
        if "embedding" in batch:
            voice_feature = self._head(batch["embedding"], training=training)
        else:
            voice_feature = self.model(batch["waveform"], training=training)
        return self._eq_1(self._config.loss, batch["face_feature"], voice_feature)


class DecoderTrainer(Trainer):
    """Trains the face decoder on features, landmarks and textures (Cole et al.)."""

    def __init__(
        self,
        config: DecoderTrainingConfig,
        model: keras.Model,
        normalizer: FeatureNormalizer,
        recognizer: Recognizer,
    ):
        """Takes a new decoder, and the recognizer of the identity loss."""
        self._config = config.decoder_loss
        self._mixing_share = config.face_augment.face_mixing
        self._seed = config.loop.seed
        self._normalizer = normalizer
        self._recognizer = recognizer
        optimizer = build_optimizer(config.optimizer, config.loop.precision)
        super().__init__(model, optimizer, config.loop.batch_size)

    def predict(self, batch: Batch) -> Dict[str, tf.Tensor]:
        """Returns the decoder's outputs for face_feature [b, d], raw."""
        feature = self._normalizer.normalize(batch["face_feature"])
        return self.model(feature, training=False)

    def losses(self, batch: Batch, training: bool) -> Dict[str, tf.Tensor]:
        """Returns the decoder's loss terms.

        Args:
          batch: face_feature [b, d] float32, raw; landmarks [b, 68, 2] float32 pixels;
            texture [b, 224, 224, 3] float32 in [0, 1].
          training: passed to the decoder; if so, a share of the faces is blended.
        """
        if training and self._mixing_share:
            iteration = tf.cast(self.optimizer.iterations, tf.int32)
            seed = tf.stack([self._seed, 10 * iteration])
            batch = mixing.mix_faces(batch, self._mixing_share, seed)
        feature = self._normalizer.normalize(batch["face_feature"])
        outputs = self.model(feature, training=training)
        output_feature = None
        if self._config.identity_weight:
            raw = self._recognizer.canonical_features(
                outputs["image"] * 255.0, outputs["landmarks"]
            )
            output_feature = self._normalizer.normalize(raw)
        return losses.decoder_losses(
            self._config,
            texture_true=batch["texture"],
            texture_pred=outputs["texture"],
            landmarks_true=batch["landmarks"],
            landmarks_pred=outputs["landmarks"],
            face_feature=feature,
            output_feature=output_feature,
        )
