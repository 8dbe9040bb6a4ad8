"""The training of the face decoder: its terms, VGG-Face as recognizer, landmarks."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from test_records import face_example

from speech2face import (
    dataset_info,
    decoder_bundle,
    recognizers,
    records,
    summaries,
    training,
    vgg_face_file,
)
from speech2face.config import (
    DecoderLossConfig,
    DecoderTrainingConfig,
    FaceDecoderConfig,
    LoopConfig,
    NormalizerConfig,
    OptimizerConfig,
)
from speech2face.decoder_trainer import DecoderTrainer
from speech2face.models import face_decoder
from speech2face.normalizer import FeatureNormalizer

FEATURE_DIM = 12
TINY = FaceDecoderConfig(
    decoder_units=16, landmark_units=(), texture_channels=(6, 6, 4, 4, 4)
)


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """A VGG-Face with few channels and random weights."""
    size = vgg_face_file.VggFaceSize(
        blocks=((3,), (4,), (4,), (4,), (4,)), fc_units=FEATURE_DIM, n_classes=5
    )
    path = str(tmp_path_factory.mktemp("vgg") / "vgg.h5")
    weights = vgg_face_file.random_weights(size)
    vgg_face_file.write(path, weights, size=size, source_format="random")
    return path


@pytest.fixture(scope="module")
def data_dir(vgg_file, tmp_path_factory):
    """Six faces with that network's features of their normalised pictures."""
    folder = tmp_path_factory.mktemp("faces")
    recognizer = recognizers.load_recognizer("vgg_face", vgg_file)
    examples = [face_example(index) for index in range(6)]
    features = recognizer.features(np.stack([e.normalized for e in examples]))
    examples = [
        dataclasses.replace(e, face_feature=f) for e, f in zip(examples, features)
    ]
    serialized = list(map(records.encode_face_example, examples))
    info = dataset_info.DatasetInfo(
        kind="face",
        recognizer=dataset_info.RecognizerInfo(
            "vgg_face", FEATURE_DIM, recognizer.checksum
        ),
        config={},
        splits={"train": records.write_shards(folder, "train", serialized, 1)},
        feature_statistics=dataset_info.FeatureStatistics.measure(features),
        mean_landmarks=np.mean([e.landmarks for e in examples], axis=0).tolist(),
    )
    dataset_info.write(folder, info)
    return folder


def test_every_term_is_logged_and_the_recognizers_falls(data_dir, vgg_file, tmp_path):
    config = DecoderTrainingConfig(
        face_decoder=TINY,
        normalizer=NormalizerConfig(center_features=True, feature_norm=1.0),
        decoder_loss=DecoderLossConfig(texture_weight=0.1, landmark_weight=0.1),
        optimizer=OptimizerConfig(learning_rate=0.003),
        loop=LoopConfig(batch_size=6, epochs=12, summarize_every=1, validate_every=0),
    )
    training.train_face_decoder(config, data_dir, tmp_path / "run", vgg_file)
    log = [e for e in summaries.read_log(tmp_path / "run") if e["kind"] == "train"]
    for entry in log:
        expected = (
            0.1 * entry["texture"] + 0.1 * entry["landmarks"] + 10 * entry["identity"]
        )
        assert entry["total"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert log[-1]["identity"] < log[0]["identity"] - 0.02
    assert decoder_bundle.load(tmp_path / "run/decoder").head.weights.shape == (12, 5)


def new_trainer(vgg_file, **loss):
    keras.utils.set_random_seed(0)
    recognizer = recognizers.load_recognizer("vgg_face", vgg_file)
    mean_landmarks = face_example().landmarks
    model = face_decoder.build_face_decoder(TINY, FEATURE_DIM, mean_landmarks)
    normalizer = FeatureNormalizer(np.zeros(FEATURE_DIM, np.float32), 1.0)
    config = DecoderTrainingConfig(decoder_loss=DecoderLossConfig(**loss))
    return DecoderTrainer(config, model, normalizer, recognizer)


def test_vgg_faces_cosine_reaches_both_branches_through_the_warp(vgg_file):
    trainer = new_trainer(vgg_file, texture_weight=0.0, landmark_weight=0.0)
    example = face_example()
    batch = {
        "face_feature": np.random.default_rng(1).normal(size=(2, FEATURE_DIM)),
        "landmarks": np.stack([example.landmarks] * 2),
        "texture": np.stack([example.texture] * 2) / 255.0,
    }
    batch = {name: tf.constant(value, tf.float32) for name, value in batch.items()}
    variables = trainer.model.trainable_variables
    with tf.GradientTape() as tape:
        terms = trainer.losses(batch, training=True)
    assert np.all(np.abs(terms["identity"]) <= 1)
    gradients = tape.gradient(terms["total"], [v.value for v in variables])
    for variable, gradient in zip(variables, gradients):
        assert np.abs(gradient).max() > 0, variable.path


def test_the_command_takes_the_texture_space_from_the_training_faces(
    data_dir, vgg_file, tmp_path
):
    """With as many components as there are differences, it holds every texture."""
    config = DecoderTrainingConfig(
        face_decoder=dataclasses.replace(TINY, texture_components=5),
        decoder_loss=DecoderLossConfig(identity_weight=0.0),
        loop=LoopConfig(batch_size=3, epochs=1, validate_every=0),
    )
    assert FaceDecoderConfig().texture_components == 0
    training.train_face_decoder(config, data_dir, tmp_path / "run", vgg_file)
    space = decoder_bundle.load(tmp_path / "run/decoder").model.get_layer("space")
    mean, components = space.get_weights()
    for example in records.iterate_face_examples(data_dir, "train"):
        small = example.texture.reshape(112, 2, 112, 2, 3).mean(axis=(1, 3)).ravel()
        offset = small / 255 - mean
        inside = offset @ components.T @ components
        np.testing.assert_allclose(inside, offset, atol=1e-3)
