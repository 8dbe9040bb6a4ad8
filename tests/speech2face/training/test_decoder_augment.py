"""Augmentation of the decoder's faces: in training alone, and of its own term."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.config import (
    DecoderLossConfig,
    DecoderTrainingConfig,
    FaceAugmentConfig,
    NormalizerConfig,
)
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.models import face_decoder
from speech2face.recognizers.loading import load_recognizer
from speech2face.training.decoder import DecoderTrainer
from tests.helpers.face_datasets import VGG_DIM, write_small_vgg_face
from tests.helpers.records import face_example
from tests.helpers.tiny_decoder import TINY_TRAINED

pytestmark = pytest.mark.slow

FEATURE_NORM = 0.5


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("vgg") / "vgg.h5")
    write_small_vgg_face(path)
    return load_recognizer("vgg_face", path)


def new_trainer(recognizer, **augment):
    """The same network each time."""
    keras.utils.set_random_seed(0)
    model = face_decoder.build_face_decoder(
        TINY_TRAINED, VGG_DIM, face_example().landmarks
    )
    config = DecoderTrainingConfig(
        decoder_loss=DecoderLossConfig(identity_weight=1.0),
        normalizer=NormalizerConfig(feature_norm=FEATURE_NORM),
        face_augment=FaceAugmentConfig(**augment),
    )
    normalizer = FeatureNormalizer(np.zeros(VGG_DIM, np.float32), 1.0)
    return DecoderTrainer(config, model, normalizer, recognizer)


def make_batch():
    rng = np.random.default_rng(1)
    example = face_example()
    batch = {
        "face_feature": rng.normal(size=(4, VGG_DIM)),
        "landmarks": example.landmarks + rng.normal(size=(4, *example.landmarks.shape)),
        "texture": rng.uniform(size=(4, 224, 224, 3)),
    }
    return {name: tf.constant(value, tf.float32) for name, value in batch.items()}


@pytest.mark.parametrize(
    ("augment", "changed"),
    [
        ({"face_mixing": 1.0}, {"texture", "landmarks", "identity"}),
        ({"feature_noise": 2.0}, {"texture", "landmarks", "identity"}),
        ({"recognizer_jitter": 1.0}, {"identity"}),
    ],
)
def test_each_changes_the_training_alone_and_its_own_terms(
    recognizer, augment, changed
):
    plain, augmented = new_trainer(recognizer), new_trainer(recognizer, **augment)
    batch = make_batch()
    for training in (False, True):
        before = plain.losses(batch, training)
        after = augmented.losses(batch, training)
        different = {
            name
            for name in ("texture", "landmarks", "identity")
            if not np.allclose(before[name], after[name], rtol=1e-6, atol=0)
        }
        assert different == (changed if training else set())


def test_the_noise_has_its_share_of_the_mean_norm(recognizer):
    trainer = new_trainer(recognizer, feature_noise=0.3)
    feature = tf.zeros([400, VGG_DIM])
    norms = np.linalg.norm(trainer._with_noise(feature), axis=1)
    np.testing.assert_allclose(norms.mean(), 0.3 * FEATURE_NORM, rtol=0.1)
