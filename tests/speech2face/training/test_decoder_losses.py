"""The losses of the face decoder: by hand, against a float64 twin, their gradients."""

import dataclasses

import numpy as np
import tensorflow as tf

from speech2face.config import DecoderLossConfig
from speech2face.training import losses
from tests.helpers.loss_terms import assert_terms, random_array


def decoder_inputs(n=3):
    return dict(
        texture_true=abs(random_array(n, 8, 8, 3, seed=1)),
        texture_pred=abs(random_array(n, 8, 8, 3, seed=2)),
        landmarks_true=100 + 20 * random_array(n, 68, 2, seed=3),
        landmarks_pred=100 + 20 * random_array(n, 68, 2, seed=4),
        face_feature=random_array(n, 6, seed=5),
        output_feature=random_array(n, 6, seed=6),
    )


def test_decoder_losses_by_hand():
    terms = losses.decoder_losses(
        DecoderLossConfig(),
        texture_true=np.zeros([1, 2, 2, 3]),
        texture_pred=np.full([1, 2, 2, 3], -0.25),
        landmarks_true=np.zeros([1, 68, 2]),
        landmarks_pred=np.full([1, 68, 2], 22.4),
        face_feature=[[3.0, 4.0]],
        output_feature=[[4.0, 3.0]],
    )
    expected = {"texture": 0.25, "landmarks": 22.4**2, "identity": -24 / 25}
    expected["total"] = 100 * 0.25 + 0.4 * 22.4**2 - 24 / 25
    assert_terms(terms, {name: [value] for name, value in expected.items()})


def test_decoder_losses_equal_their_twin():
    inputs = decoder_inputs()
    config = DecoderLossConfig(
        texture_weight=2.0, landmark_weight=3.0, identity_weight=5.0
    )
    result = losses.decoder_losses(config, **inputs)
    wide = {name: np.float64(value) for name, value in inputs.items()}
    texture = abs(wide["texture_true"] - wide["texture_pred"]).mean((1, 2, 3))
    landmarks = (wide["landmarks_true"] - wide["landmarks_pred"]) ** 2
    a, b = wide["face_feature"], wide["output_feature"]
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    expected = {
        "texture": texture,
        "landmarks": landmarks.mean((1, 2)),
        "identity": -(a * b).sum(1) / norms,
    }
    expected["total"] = (
        2 * expected["texture"] + 3 * expected["landmarks"] + 5 * expected["identity"]
    )
    assert_terms(result, expected)


def test_identity_is_not_needed_at_weight_0():
    inputs = {**decoder_inputs(), "output_feature": None}
    config = dataclasses.replace(DecoderLossConfig(), identity_weight=0.0)
    assert set(losses.decoder_losses(config, **inputs)) == {
        "texture",
        "landmarks",
        "total",
    }


def test_decoder_losses_pull_the_output_only():
    variables = {k: tf.Variable(v) for k, v in decoder_inputs().items()}
    with tf.GradientTape() as tape:
        total = losses.decoder_losses(DecoderLossConfig(), **variables)["total"]
    gradients = tape.gradient(total, variables)
    for name in ("texture_true", "landmarks_true", "face_feature"):
        assert gradients[name] is None
    for name in ("texture_pred", "landmarks_pred", "output_feature"):
        assert np.abs(gradients[name]).max() > 0
