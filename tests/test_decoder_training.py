"""The training of the face decoder: its terms, VGG-Face as recognizer, landmarks."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn import linear_model
from test_records import face_example

from speech2face import (
    decoder_bundle,
    landmark_regression,
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
from speech2face.models import face_decoder
from speech2face.normalizer import FeatureNormalizer
from speech2face.trainer import DecoderTrainer

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
    info = records.DatasetInfo(
        kind="face",
        recognizer=records.RecognizerInfo("vgg_face", FEATURE_DIM, recognizer.checksum),
        config={},
        splits={"train": records.write_shards(folder, "train", serialized, 1)},
        feature_statistics=records.FeatureStatistics.measure(features),
        mean_landmarks=np.mean([e.landmarks for e in examples], axis=0).tolist(),
    )
    records.write_dataset_info(folder, info)
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


def test_ridge_equals_scikit_learn_at_any_scale():
    rng = np.random.default_rng(0)
    inputs, targets = rng.normal(2.0, 3.0, (40, 7)), rng.normal(size=(40, 5))
    scale = np.var(inputs, axis=0).mean() * len(inputs)
    twin = linear_model.Ridge(alpha=0.3 * scale).fit(inputs, targets)
    for factor in (1.0, 1000.0):
        weights, constant = landmark_regression.ridge(factor * inputs, targets, 0.3)
        found = factor * inputs @ weights + constant
        np.testing.assert_allclose(found, twin.predict(inputs), atol=1e-4)


def test_refitted_landmarks_are_the_regression_and_nothing_else_changes(data_dir):
    landmarks = np.stack([face_example(i).landmarks for i in range(6)])
    model = face_decoder.build_face_decoder(TINY, FEATURE_DIM, landmarks.mean(axis=0))
    normalizer = FeatureNormalizer(np.zeros(FEATURE_DIM, np.float32), 3.0)
    examples = list(records.iterate_face_examples(data_dir, "train"))
    features = normalizer.normalize(np.stack([e.face_feature for e in examples]))
    before = model(features)
    landmark_regression.refit(model, normalizer, data_dir, 0.5)
    after = model(features)
    np.testing.assert_array_equal(after["texture"], before["texture"])
    hidden = np.asarray(after["decoder_activation"], np.float64)
    alpha = 0.5 * len(hidden) * np.var(hidden, axis=0).mean()
    true = np.stack([e.landmarks for e in examples]).reshape(len(examples), -1)
    expected = linear_model.Ridge(alpha=alpha).fit(hidden, true).predict(hidden)
    found = np.reshape(after["landmarks"], expected.shape)
    np.testing.assert_allclose(found, expected, atol=0.02)


def test_the_command_refits_what_it_writes(data_dir, vgg_file, tmp_path):
    """A penalty beyond all measure leaves the mean shape for every face."""
    config = DecoderTrainingConfig(
        face_decoder=TINY,
        decoder_loss=DecoderLossConfig(identity_weight=0.0, landmark_ridge=1e9),
        loop=LoopConfig(batch_size=3, epochs=1, validate_every=0),
    )
    assert DecoderLossConfig().landmark_ridge == 0
    training.train_face_decoder(config, data_dir, tmp_path / "run", vgg_file)
    decoder = decoder_bundle.load(tmp_path / "run/decoder")
    features = np.random.default_rng(0).normal(size=(3, FEATURE_DIM)).astype("float32")
    landmarks = decoder.model(features)["landmarks"]
    expected = np.broadcast_to(decoder.mean_landmarks, landmarks.shape)
    np.testing.assert_allclose(landmarks, expected, atol=0.01)
