"""What the face decoder learns from: textures, landmarks, identity (Cole et al.)."""

from typing import Dict

import keras
import tensorflow as tf

from speech2face import losses, mixing
from speech2face.config import DecoderTrainingConfig
from speech2face.normalizer import FeatureNormalizer
from speech2face.recognizers import Recognizer
from speech2face.trainer import Batch, Terms, Trainer, build_optimizer


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
        super().__init__(model, optimizer, config.loop)

    def predict(self, batch: Batch) -> Dict[str, tf.Tensor]:
        """Returns the decoder's outputs for face_feature [b, d], raw."""
        feature = self._normalizer.normalize(batch["face_feature"])
        return self.model(feature, training=False)

    def losses(self, batch: Batch, training: bool) -> Terms:
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
