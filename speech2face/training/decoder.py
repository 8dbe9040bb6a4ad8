"""Trainer of the face decoder: textures, landmarks and identity (Cole et al. 2017).

Beyond the paper, `--face_mixing` blends faces of a batch (`mix_faces`). A voice says
less about a face than a photograph, so the features that the voice encoder predicts are
shorter, nearer to the average face, than those of photographs. A decoder trained on
photographs alone draws gray fog for them. Mixing fills the space between faces: the
feature, landmarks and texture of an example become the same weighted mean over its
batch. All textures are on the mean landmarks, so a mean of textures is a face. (Cole et
al. morph near neighbors; this needs neither neighbors nor files.)
"""

import keras
import tensorflow as tf

from speech2face.config import DecoderTrainingConfig
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.models.background import WhiteBackground
from speech2face.recognizers.loading import Recognizer
from speech2face.training import decoder_gradients, jitter, losses
from speech2face.training.decoder_gradients import Branches
from speech2face.training.trainer import Batch, Terms, Trainer, build_optimizer

_MIXED = ("face_feature", "landmarks", "texture")
_SEEDS_PER_STEP = 30  # more than a step draws, so that no step repeats one


class DecoderTrainer(Trainer):
    """Trains the face decoder on features, landmarks and textures (Cole et al.)."""

    def __init__(
        self,
        config: DecoderTrainingConfig,
        model: keras.Model,
        normalizer: FeatureNormalizer,
        recognizer: Recognizer,
    ):
        """Takes a new decoder and the networks that judge its output.

        Args:
          config: losses, mixing, optimizer and loop.
          model: a model of `face_decoder.build_face_decoder`.
          normalizer: raw feature -> v_f.
          recognizer: the recognizer of the identity loss, differentiable; frozen.
        """
        self._config = config.decoder_loss
        self._augment = config.face_augment
        self._seed = config.loop.seed
        self._mean_norm = config.normalizer.feature_norm
        self._normalizer = normalizer
        self._recognizer = recognizer
        self._warp = model.get_layer("warp")
        optimizer = build_optimizer(config.optimizer, config.loop.precision)
        super().__init__(model, optimizer, config.loop)

    @property
    def term_weights(self) -> list[dict[str, float]]:
        """Weights of what pulls at the texture, and of what pulls at the landmarks."""
        return decoder_gradients.weights_by_branch(losses.decoder_weights(self._config))

    @property
    def calibration_step(self) -> int:
        """Soon: the average face is drawn by then, and a training may have 1,000."""
        return 100

    def predict(self, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the decoder's outputs for face_feature [b, d], raw."""
        feature = self._normalizer.normalize(batch["face_feature"])
        return self.model(feature, training=False)

    def losses(self, batch: Batch, training: bool) -> Terms:
        """Returns the decoder's loss terms, in training with their gradients' norms.

        Args:
          batch: face_feature [b, d] float32, raw; landmarks [b, k, 2] float32 pixels;
            texture [b, 224, 224, 3] float32 in [0, 1].
          training: passed to the decoder; if so, a share of the faces is blended.
        """
        if training and self._augment.face_mixing:
            batch = mix_faces(batch, self._augment.face_mixing, self._seed_of(0))
        feature = self._normalizer.normalize(batch["face_feature"])
        seen = feature
        if training and self._augment.feature_noise:
            seen = self._with_noise(feature)
        outputs = self.model(seen, training=training)
        ends = Branches(outputs["texture"], outputs["landmarks"])
        if not training:
            return self._terms(batch, feature, ends)
        return self._with_norms(batch, feature, ends)

    def terms_of(self, batch: Batch, ends: Branches) -> Terms:
        """Returns what `losses` would return in training if the decoder drew `ends`."""
        feature = self._normalizer.normalize(batch["face_feature"])
        return self._with_norms(batch, feature, ends)

    def _with_norms(self, batch: Batch, feature: tf.Tensor, ends: Branches) -> Terms:
        return decoder_gradients.with_norms(
            lambda cut: self._terms(batch, feature, cut, training=True),
            losses.decoder_weights(self._config),
            ends,
        )

    def _terms(
        self,
        batch: Batch,
        feature: tf.Tensor,
        ends: Branches,
        training: bool = False,
    ) -> Terms:
        """Returns the terms as a function of the ends of the decoder's branches."""
        output_feature = None
        if self._config.identity_weight:
            image = self._warp((ends.texture, ends.landmarks)) * 255.0
            landmarks = ends.landmarks
            if training and self._augment.recognizer_jitter:
                image, landmarks = jitter.jittered(
                    image, landmarks, self._augment.recognizer_jitter, self._seed_of(1)
                )
            raw = self._recognizer.canonical_features(image, landmarks)
            output_feature = self._normalizer.normalize(raw)
        return losses.decoder_losses(
            self._config,
            texture_true=self._painted(batch["texture"]),
            texture_pred=ends.texture,
            landmarks_true=batch["landmarks"],
            landmarks_pred=ends.landmarks,
            face_feature=feature,
            output_feature=output_feature,
        )

    def _painted(self, texture: tf.Tensor) -> tf.Tensor:
        """Paints true textures white where the decoder does.

        Otherwise it would learn to draw black where its mask has nearly faded out.
        """
        layer = self.model.get_layer("texture")
        return layer(texture) if isinstance(layer, WhiteBackground) else texture

    def _with_noise(self, feature: tf.Tensor) -> tf.Tensor:
        """Adds random vectors; their mean norm is a share of that of all features."""
        noise = tf.random.stateless_normal(tf.shape(feature), self._seed_of(2))
        norm = self._augment.feature_noise * self._mean_norm
        return feature + noise * norm / feature.shape[-1] ** 0.5

    def _seed_of(self, purpose: int) -> tf.Tensor:
        # A function of the iteration, so that a resumed run draws the same numbers.
        iteration = tf.cast(self.optimizer.iterations, tf.int32)
        return tf.stack([self._seed, _SEEDS_PER_STEP * iteration + 10 * purpose])


def mix_faces(batch: Batch, share: float, seed: tf.Tensor) -> Batch:
    """Blends a random `share` of a batch's examples, decided by `seed` alone.

    A chosen example moves a uniformly random part of the way to a mean of the whole
    batch. The weights of that mean are random or, half of the time, all equal.

    Args:
      batch: face_feature [b, d], landmarks [b, k, 2], texture [b, 224, 224, 3],
        float32; other entries stay as they are.
      share: share of the examples that are blended, 0..1.
      seed: [2] integers.
    """
    n = tf.shape(batch["face_feature"])[0]
    weights = mixing_weights(n, share, seed)
    mixed = dict(batch)
    for name in _MIXED:
        flat = tf.reshape(batch[name], [n, -1])
        mixed[name] = tf.reshape(weights @ flat, tf.shape(batch[name]))
    return mixed


def mixing_weights(n: tf.Tensor, share: float, seed: tf.Tensor) -> tf.Tensor:
    """Draws how much each example of a batch contributes to each blend.

    Args:
      n: scalar int32, examples.
      share: share of the examples that are blended, 0..1.
      seed: [2] integers; decides everything.

    Returns:
      [n, n] float32; row i holds the weights that make up example i, of sum 1.
    """

    def uniform(shape: list, number: int) -> tf.Tensor:
        return tf.random.stateless_uniform(shape, tf.add(seed, [0, number]))

    is_chosen = tf.cast(uniform([n, 1], 1) < share, tf.float32)
    moved_part = is_chosen * uniform([n, 1], 2)
    is_equal = tf.cast(uniform([n, 1], 3) < 0.5, tf.float32)
    # Exponential variables divided by their sum are Dirichlet(1, ..., 1): uniform over
    # all weights of sum 1. The maximum avoids log 0.
    exponential = -tf.math.log(tf.maximum(uniform([n, n], 4), 1e-7))
    means = is_equal + (1.0 - is_equal) * exponential
    means /= tf.reduce_sum(means, axis=1, keepdims=True)
    return (1.0 - moved_part) * tf.eye(n) + moved_part * means
