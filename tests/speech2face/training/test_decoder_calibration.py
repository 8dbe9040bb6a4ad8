"""Gradients of the decoder's losses: in closed form, logged, made equal by flags."""

import dataclasses
import re
import unittest

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face import calibrate_loss
from speech2face.artifacts import run_folder
from speech2face.config import (
    DecoderLossConfig,
    DecoderTrainingConfig,
    FaceDecoderConfig,
    LoopConfig,
)
from speech2face.data import dataset_info, records
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.models import face_decoder
from speech2face.recognizers.loading import load_recognizer
from speech2face.training import decoder_calibration, decoder_job, losses, summaries
from speech2face.training.decoder import DecoderTrainer
from speech2face.training.decoder_calibration import DecoderCalibration
from speech2face.training.decoder_gradients import LANDMARKS, PULLS, TEXTURE, log_name
from tests.helpers.commands import parse
from tests.helpers.face_datasets import (
    VGG_DIM,
    write_drawn_faces,
    write_noise_faces,
    write_small_vgg_face,
)
from tests.helpers.paths import REPOSITORY
from tests.helpers.records import face_example, write_voice_dataset
from tests.helpers.slow import takes_seconds
from tests.helpers.tiny_decoder import TINY_TRAINED

SIMILAR = 30  # factor between two gradients "within a similar scale" (Sec. 3)


@pytest.fixture(scope="module")
@takes_seconds
def root(tmp_path_factory):
    """A data set of noise, and a run of three iterations with it."""
    root = tmp_path_factory.mktemp("decoder_calibration")
    write_small_vgg_face(str(root / "vgg.h5"))
    write_noise_faces(root / "faces", str(root / "vgg.h5"))
    config = DecoderTrainingConfig(
        face_decoder=TINY_TRAINED,
        loop=LoopConfig(batch_size=6, epochs=3, summarize_every=1, validate_every=0),
    )
    decoder_job.train_face_decoder(
        config, root / "faces", root / "run", str(root / "vgg.h5")
    )
    return root


@pytest.fixture(scope="module")
def measured(root):
    return decoder_calibration.calibrate(
        root / "run", root / "faces", 2, str(root / "vgg.h5")
    )


def new_trainer(root, loss):
    keras.utils.set_random_seed(0)
    model = face_decoder.build_face_decoder(
        TINY_TRAINED, VGG_DIM, face_example().landmarks
    )
    return DecoderTrainer(
        DecoderTrainingConfig(face_decoder=TINY_TRAINED, decoder_loss=loss),
        model,
        FeatureNormalizer(np.zeros(VGG_DIM, np.float32), 1.0),
        load_recognizer("vgg_face", str(root / "vgg.h5")),
    )


def new_batch(n=3):
    examples = [face_example(index) for index in range(n)]
    batch = {
        "face_feature": np.random.default_rng(1).normal(size=(n, VGG_DIM)),
        "landmarks": np.stack([e.landmarks for e in examples]),
        "texture": np.stack([e.texture for e in examples]) / 255.0,
    }
    return {name: tf.constant(value, tf.float32) for name, value in batch.items()}


def uncut_losses(trainer, loss, batch):
    """The losses straight from the network's outputs, with one chain rule."""
    outputs = trainer.model(batch["face_feature"], training=True)
    recognizer = trainer._recognizer
    return outputs, losses.decoder_losses(
        loss,
        texture_true=batch["texture"],
        texture_pred=outputs["texture"],
        landmarks_true=batch["landmarks"],
        landmarks_pred=outputs["landmarks"],
        face_feature=batch["face_feature"],
        output_feature=recognizer.canonical_features(
            outputs["image"] * 255.0, outputs["landmarks"]
        ),
    )


def test_the_network_learns_from_the_exact_gradient(root):
    loss = DecoderLossConfig(
        texture_weight=2.0, landmark_weight=0.003, identity_weight=5.0
    )
    trainer, batch = new_trainer(root, loss), new_batch()
    variables = [v.value for v in trainer.model.trainable_variables]
    with tf.GradientTape() as tape:
        terms = trainer.losses(batch, training=True)
    gradients = tape.gradient(terms["total"], variables)
    with tf.GradientTape() as tape:
        _, expected_terms = uncut_losses(trainer, loss, batch)
    expected = tape.gradient(expected_terms["total"], variables)
    for name, value in expected_terms.items():
        np.testing.assert_allclose(terms[name], value, rtol=1e-5)
    for variable, value, wanted in zip(variables, gradients, expected):
        difference = np.linalg.norm(value - wanted)
        assert 0 <= difference < 1e-3 * np.linalg.norm(wanted), variable.name


def test_logged_norms(root):
    loss = DecoderLossConfig()
    trainer, batch = new_trainer(root, loss), new_batch()
    terms = trainer.losses(batch, training=True)
    with tf.GradientTape() as tape:
        outputs, uncut = uncut_losses(trainer, loss, batch)
    ends = [outputs["texture"], outputs["landmarks"]]
    identity = tape.gradient(uncut["identity"], ends)
    # Each of n numbers pulls with 1 / n, and with 2 e / n: by hand.
    n_pixels = 224 * 224 * 3
    error = np.float64(outputs["landmarks"]) - batch["landmarks"].numpy()
    expected = {
        "gradient/texture": np.full(3, n_pixels**-0.5),
        "gradient/landmarks": 2 / 136 * np.sqrt((error**2).sum((1, 2))),
        "gradient/identity_at_texture": np.sqrt(np.square(identity[0]).sum((1, 2, 3))),
        "gradient/identity_at_landmarks": np.sqrt(np.square(identity[1]).sum((1, 2))),
    }
    assert {name for name in terms if "/" in name} == set(expected)
    for name, value in expected.items():
        assert (value > 0).all()
        np.testing.assert_allclose(terms[name], value, rtol=1e-3, err_msg=name)
    assert not [n for n in trainer.losses(batch, training=False) if "/" in n]


def test_newest_checkpoint_is_measured(root, measured):
    """It is the one before the next iteration, whose gradients a longer run logs."""
    assert [result.iteration for result in measured] == [0, 3]
    assert measured[1].n_examples == 12
    config = run_folder.read_config(root / "run", DecoderTrainingConfig)
    loop = dataclasses.replace(config.loop, epochs=4)
    config = dataclasses.replace(config, loop=loop)
    folders = root / "faces", root / "longer", str(root / "vgg.h5")
    decoder_job.train_face_decoder(config, *folders)
    last = summaries.read_log(root / "longer")[-1]
    for pull in PULLS:  # the data set is one batch: the order does not matter
        np.testing.assert_allclose(
            measured[1].gradient_norms[pull], last[log_name(*pull)], rtol=2e-3
        )


def test_start_is_the_average_face(root, measured):
    examples = list(records.iterate_face_examples(root / "faces", "train"))
    landmarks = np.float64([e.landmarks for e in examples])
    error = landmarks - landmarks.mean(axis=0)
    expected = 2 / 136 * np.sqrt((error**2).sum((1, 2))).mean()
    norms = measured[0].gradient_norms
    np.testing.assert_allclose(norms[LANDMARKS, LANDMARKS], expected, rtol=1e-4)
    # The recognizer's pull, through a warp that moves nothing.
    texture = np.float32([e.texture for e in examples]).mean(axis=0) / 255
    texture = tf.constant(np.stack([texture] * len(examples)))
    recognizer = load_recognizer("vgg_face", str(root / "vgg.h5"))
    true = tf.constant(np.stack([e.face_feature for e in examples]))
    with tf.GradientTape() as tape:
        tape.watch(texture)
        drawn = recognizer.canonical_features(texture * 255.0)
        cosine = -keras.losses.cosine_similarity(true, drawn)
    gradient = np.linalg.norm(
        np.reshape(tape.gradient(cosine, texture), (6, -1)), axis=1
    )
    np.testing.assert_allclose(norms["identity", TEXTURE], gradient.mean(), rtol=0.02)


def test_the_flags_make_the_pulls_at_each_branch_equal(measured):
    for result in measured:
        loss = parse(DecoderTrainingConfig, *result.flags()).decoder_loss
        assert loss.identity_weight == 1
        weighted = dataclasses.replace(result, loss=loss).weighted_norms()
        for branch in (TEXTURE, LANDMARKS):
            np.testing.assert_allclose(
                weighted[branch, branch], weighted["identity", branch], rtol=1e-3
            )


def test_a_training_warns_of_the_weights_without_units(root, tmp_path, monkeypatch):
    """The weights of Cole et al., landmarks in image widths: neither branch learns."""
    monkeypatch.setattr(DecoderTrainer, "calibration_step", 2)
    loss = DecoderLossConfig(
        texture_weight=1e-9, landmark_weight=1e-9, identity_weight=10.0
    )
    config = DecoderTrainingConfig(
        face_decoder=TINY_TRAINED,
        decoder_loss=loss,
        loop=LoopConfig(batch_size=6, epochs=3, summarize_every=1, validate_every=0),
    )
    with unittest.TestCase().assertLogs("absl", "WARNING") as logs:
        decoder_job.train_face_decoder(
            config, root / "faces", tmp_path / "run", str(root / "vgg.h5")
        )
    at_texture, at_landmarks = (t for t in logs.output if "weighted gradients" in t)
    assert "iteration 2" in at_texture and "identity_at_texture" in at_texture
    assert "identity_at_landmarks" in at_landmarks


def test_a_decoder_of_other_voices_is_refused(root, tmp_path):
    """The features of its checkpoint have another scale."""
    recognizer = dataset_info.read(root / "faces").recognizer
    _, info = write_voice_dataset(tmp_path, n=4)
    dataset_info.write(tmp_path, dataclasses.replace(info, recognizer=recognizer))
    with pytest.raises(ValueError, match="another --voice_data_dir"):
        decoder_calibration.calibrate(
            root / "run", root / "faces", 1, str(root / "vgg.h5"), tmp_path
        )


def test_without_identity_loss_its_weight_would_be_1(measured):
    loss = dataclasses.replace(measured[0].loss, identity_weight=0.0)
    other = dataclasses.replace(measured[0], loss=loss)
    assert other.equal_weights() == measured[0].equal_weights()
    assert other.weighted_norms()["identity", TEXTURE] == 0


def test_a_term_without_gradient_is_named(measured):
    norms = {**measured[0].gradient_norms, ("identity", LANDMARKS): 0.0}
    dead = dataclasses.replace(measured[0], gradient_norms=norms)
    with pytest.raises(
        ValueError, match=r"gradient of identity .* landmarks .* iteration 0"
    ):
        dead.table()


def test_command_prints_tables_and_flags(root, measured, capsys):
    calibrate_loss.main(
        calibrate_loss.CalibrationOptions(
            run_dir=f"{root}/run", n_batches=2, vgg_face_weights=f"{root}/vgg.h5"
        )
    )
    printed = capsys.readouterr().out
    rows = re.findall(
        r"^(texture|landmarks) +(\w+)((?: +[\d.e+-]+){4})$", printed, re.M
    )
    assert [row[:2] for row in rows] == [(b, t) for t, b in PULLS] * 2
    for result in measured:
        assert " ".join(result.flags()) in printed
    for (_, _, numbers), pull in zip(rows, PULLS):
        gradient, weight, weighted, _ = (float(n) for n in numbers.split())
        np.testing.assert_allclose(gradient, measured[0].gradient_norms[pull], 2e-3)
        np.testing.assert_allclose(weighted, weight * gradient, rtol=2e-3)


def test_wrong_input_is_refused(root, tmp_path):
    with pytest.raises(ValueError, match="n_batches is 0"):
        decoder_calibration.calibrate(root / "run", root / "faces", 0)
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        decoder_calibration.calibrate(tmp_path, root / "faces")


@pytest.mark.slow
def test_the_papers_decoder_starts_balanced(tmp_path):
    """At paper size, on drawn people, with dlib's features (VGG-Face is a download).

    They are centered: the mean of dlib's features has nearly their own length, so
    without it every face resembles every other.
    """
    write_drawn_faces(tmp_path / "faces")
    flags = f"--flagfile={REPOSITORY}/configs/paper_decoder.flags"
    config = parse(DecoderTrainingConfig, flags, "--center_features", "--batch_size=4")
    assert config.face_decoder == FaceDecoderConfig()
    job = decoder_job.prepare_decoder_training(config, tmp_path / "faces")
    norms = decoder_calibration.norms_at_average_face(job, n_batches=1)
    start = DecoderCalibration(0, 4, config.decoder_loss, norms)
    pulls = start.weighted_norms()
    for branch in (TEXTURE, LANDMARKS):  # in the unit of each
        ratio = pulls[branch, branch] / pulls["identity", branch]
        assert 1 / SIMILAR < ratio < SIMILAR, (branch, pulls)
