"""The training of the face decoder: its terms, VGG-Face as recognizer, landmarks."""

import dataclasses
import os
import signal
import types

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.artifacts import decoder_bundle
from speech2face.artifacts.decoder_files import check_decoder_folder
from speech2face.config import (
    DecoderLossConfig,
    DecoderOptimizerConfig,
    DecoderTrainingConfig,
    FaceDecoderConfig,
    HeadConfig,
    LoopConfig,
    NormalizerConfig,
)
from speech2face.data import dataset_info, records
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.models import face_decoder
from speech2face.recognizers.loading import load_recognizer
from speech2face.training import decoder_job, summaries
from speech2face.training.decoder import DecoderTrainer
from tests.helpers.face_datasets import VGG_DIM, write_noise_faces, write_small_vgg_face
from tests.helpers.records import DIM, face_example, write_voice_dataset
from tests.helpers.tiny_decoder import TINY_TRAINED
from tests.helpers.tiny_models import TINY_DECODER


@pytest.fixture(scope="module")
def vgg_file(tmp_path_factory):
    """A VGG-Face with few channels and random weights."""
    path = str(tmp_path_factory.mktemp("vgg") / "vgg.h5")
    write_small_vgg_face(path)
    return path


@pytest.fixture(scope="module")
def data_dir(vgg_file, tmp_path_factory):
    """Six faces with that network's features of their normalized pictures."""
    folder = tmp_path_factory.mktemp("faces")
    write_noise_faces(folder, vgg_file)
    return folder


@pytest.mark.slow
def test_every_term_is_logged_and_the_recognizers_falls(data_dir, vgg_file, tmp_path):
    config = DecoderTrainingConfig(
        face_decoder=TINY_TRAINED,
        normalizer=NormalizerConfig(center_features=True, feature_norm=1.0),
        decoder_loss=DecoderLossConfig(
            texture_weight=0.1, landmark_weight=2e-6, identity_weight=10.0
        ),
        optimizer=DecoderOptimizerConfig(learning_rate=0.003),
        loop=LoopConfig(batch_size=6, epochs=12, summarize_every=1, validate_every=0),
    )
    decoder_job.train_face_decoder(config, data_dir, tmp_path / "run", vgg_file)
    log = [e for e in summaries.read_log(tmp_path / "run") if e["kind"] == "train"]
    for entry in log:
        expected = (
            0.1 * entry["texture"] + 2e-6 * entry["landmarks"] + 10 * entry["identity"]
        )
        assert entry["total"] == pytest.approx(expected, rel=1e-3, abs=1e-4)
    assert log[-1]["identity"] < log[0]["identity"] - 0.02
    assert decoder_bundle.load(tmp_path / "run/decoder").head.weights.shape == (12, 5)


def new_trainer(vgg_file, **loss):
    keras.utils.set_random_seed(0)
    recognizer = load_recognizer("vgg_face", vgg_file)
    mean_landmarks = face_example().landmarks
    model = face_decoder.build_face_decoder(TINY_TRAINED, VGG_DIM, mean_landmarks)
    normalizer = FeatureNormalizer(np.zeros(VGG_DIM, np.float32), 1.0)
    config = DecoderTrainingConfig(decoder_loss=DecoderLossConfig(**loss))
    return DecoderTrainer(config, model, normalizer, recognizer)


def test_vgg_faces_cosine_reaches_both_branches_through_the_warp(vgg_file):
    trainer = new_trainer(vgg_file, texture_weight=0.0, landmark_weight=0.0)
    example = face_example()
    batch = {
        "face_feature": np.random.default_rng(1).normal(size=(2, VGG_DIM)),
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


@pytest.mark.slow
def test_the_command_takes_the_texture_space_from_the_training_faces(
    data_dir, vgg_file, tmp_path
):
    """With as many components as there are differences, it holds every texture."""
    config = DecoderTrainingConfig(
        face_decoder=dataclasses.replace(TINY_TRAINED, texture_components=5),
        decoder_loss=DecoderLossConfig(identity_weight=0.0),
        loop=LoopConfig(batch_size=3, epochs=1, validate_every=0),
    )
    assert FaceDecoderConfig().texture_components == 0
    decoder_job.train_face_decoder(config, data_dir, tmp_path / "run", vgg_file)
    space = decoder_bundle.load(tmp_path / "run/decoder").model.get_layer("space")
    mean, components = space.get_weights()
    for example in records.iterate_face_examples(data_dir, "train"):
        small = example.texture.reshape(112, 2, 112, 2, 3).mean(axis=(1, 3)).ravel()
        offset = small / 255 - mean
        inside = offset @ components.T @ components
        np.testing.assert_allclose(inside, offset, atol=1e-3)


SHORT = DecoderTrainingConfig(
    face_decoder=TINY_TRAINED,
    decoder_loss=DecoderLossConfig(identity_weight=0.0),
    loop=LoopConfig(batch_size=3, epochs=2, validate_every=0),
)


@pytest.mark.slow
def test_a_stopped_decoder_is_not_handed_on(
    data_dir, vgg_file, tmp_path, monkeypatch, capfd
):
    train_steps = DecoderTrainer.train_steps

    def with_a_signal(trainer, *arguments):
        os.kill(os.getpid(), signal.SIGTERM)
        return train_steps(trainer, *arguments)

    with monkeypatch.context() as patched:
        patched.setattr(DecoderTrainer, "train_steps", with_a_signal)
        assert (
            decoder_job.train_face_decoder(SHORT, data_dir, tmp_path / "run", vgg_file)
            == 1
        )
    assert capfd.readouterr().err.count("finishing this iteration, then saving") == 1
    assert not (tmp_path / "run/decoder").exists()
    with pytest.raises(FileNotFoundError, match=r"training in .* has not ended"):
        check_decoder_folder(tmp_path / "run/decoder")
    assert (
        decoder_job.train_face_decoder(SHORT, data_dir, tmp_path / "run", vgg_file) == 4
    )
    check_decoder_folder(tmp_path / "run/decoder")


def test_too_many_prototypes_are_refused_before_the_training(
    data_dir, tmp_path, monkeypatch
):
    recognizer = types.SimpleNamespace(checksum="2" * 64)
    monkeypatch.setattr(
        decoder_job, "load_recognizer", lambda name, weights: recognizer
    )
    faces = list(records.iterate_face_examples(data_dir, "train"))
    serialized = list(map(records.encode_face_example, faces))
    splits = {"train": records.write_shards(tmp_path / "faces", "train", serialized, 1)}
    info = dataset_info.read(data_dir)
    named = dataset_info.RecognizerInfo("dlib", VGG_DIM, "2" * 64)
    info = dataclasses.replace(info, recognizer=named, splits=splits)
    dataset_info.write(tmp_path / "faces", info)
    for n, message in ((7, "n_prototypes=7: .* has 6 different"), (6, "has 3 people")):
        config = dataclasses.replace(SHORT, head=HeadConfig(n_prototypes=n))
        with pytest.raises(ValueError, match=message):
            decoder_job.train_face_decoder(config, tmp_path / "faces", tmp_path / "run")
        assert not (tmp_path / "run").exists()


def test_the_normalizer_can_be_fitted_on_the_voices_that_will_be_trained_on(
    data_dir, vgg_file, tmp_path
):
    _, info = write_voice_dataset(tmp_path / "voices", n=4)
    raw = np.random.default_rng(0).normal(3, 1, (50, VGG_DIM))
    info = dataclasses.replace(
        info,
        recognizer=dataset_info.read(data_dir).recognizer,
        feature_statistics=dataset_info.FeatureStatistics.measure(raw),
    )
    dataset_info.write(tmp_path / "voices", info)
    job = decoder_job.prepare_decoder_training(
        SHORT, data_dir, vgg_file, tmp_path / "voices"
    )
    norms = np.linalg.norm(job.normalizer.normalize(raw), axis=1)
    np.testing.assert_allclose(norms.mean(), 0.2316, rtol=1e-5)
    assert job.must_match["voice_data_set"] == info.checksum
    other = decoder_job.prepare_decoder_training(SHORT, data_dir, vgg_file)
    assert other.normalizer.scale != job.normalizer.scale
    assert other.must_match["voice_data_set"] is None
    write_voice_dataset(tmp_path / "others", n=4)
    with pytest.raises(ValueError, match="same recognizer"):
        decoder_job.prepare_decoder_training(
            SHORT, data_dir, vgg_file, tmp_path / "others"
        )


@pytest.mark.slow
def test_train_face_decoder_writes_a_decoder_with_prototypes(tmp_path, monkeypatch):
    examples = [face_example(index) for index in range(6)]

    class FakeRecognizer:
        checksum = "2" * 64

    monkeypatch.setattr(
        decoder_job, "load_recognizer", lambda name, weights: FakeRecognizer()
    )
    shards = {
        split: records.write_shards(
            tmp_path / "faces", split, list(map(records.encode_face_example, part)), 1
        )
        for split, part in (("train", examples[:4]), ("val", examples[4:]))
    }
    raw = np.stack([example.face_feature for example in examples[:4]])
    info = dataset_info.DatasetInfo(
        kind="face",
        recognizer=dataset_info.RecognizerInfo("dlib", DIM, "2" * 64),
        config={},
        splits=shards,
        feature_statistics=dataset_info.FeatureStatistics.measure(raw),
        mean_landmarks=np.mean([e.landmarks for e in examples], 0).tolist(),
    )
    dataset_info.write(tmp_path / "faces", info)
    config = DecoderTrainingConfig(
        face_decoder=TINY_DECODER,
        normalizer=NormalizerConfig(center_features=True, feature_norm=1.0),
        decoder_loss=DecoderLossConfig(identity_weight=0.0),
        loop=LoopConfig(batch_size=2, epochs=2, validate_every=2),
    )
    decoder_job.train_face_decoder(config, tmp_path / "faces", tmp_path / "run")
    decoder = decoder_bundle.load(tmp_path / "run/decoder")
    v = decoder.normalizer.normalize(raw)
    np.testing.assert_allclose(v.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(v, axis=1).mean(), 1.0, rtol=1e-5)
    # Four speakers, one face each: every face is nearest to its own prototype.
    assert list(np.argmax(decoder.face_logits(v), 1)) == [0, 1, 2, 3]
    log = summaries.read_log(tmp_path / "run")
    assert {entry["kind"] for entry in log} == {"train", "validation"}
    assert "texture" in log[0] and "landmarks" in log[0]
