"""Eq. 1: by hand, against a float64 twin, its gradients."""

import numpy as np
import pytest
import scipy.special
import tensorflow as tf

from speech2face.config import LossConfig
from speech2face.training import losses
from tests.helpers.loss_terms import assert_terms, random_array


def voice_inputs(n=4, scale=1.0):
    return dict(
        decoder_activation_true=np.maximum(random_array(n, 10, seed=1), 0),
        decoder_activation_pred=np.maximum(random_array(n, 10, seed=2), 0),
        face_feature=scale * random_array(n, 6, seed=3),
        voice_feature=scale * random_array(n, 6, seed=4),
        face_logits_true=3 * random_array(n, 5, seed=5),
        face_logits_pred=3 * random_array(n, 5, seed=6),
    )


def voice_losses(config, **inputs):
    """`losses.voice_losses` of what `voice_inputs` returns."""
    true = losses.Features(
        feature=inputs["face_feature"],
        decoder_activation=inputs["decoder_activation_true"],
        face_logits=inputs["face_logits_true"],
        image=inputs.get("image_true"),
    )
    predicted = losses.Features(
        feature=inputs["voice_feature"],
        decoder_activation=inputs["decoder_activation_pred"],
        face_logits=inputs["face_logits_pred"],
        image=inputs.get("image_pred"),
    )
    return losses.voice_losses(config, true, predicted)


def eq_1_twin(inputs, lambda1, lambda2, temperature, n_units=1, n_classes=1):
    """Eq. 1 in float64, one example after the other."""
    inputs = {name: np.float64(value) for name, value in inputs.items()}
    terms = {"decoder_l1": [], "feature_l2": [], "distillation": []}
    for k in range(len(inputs["face_feature"])):
        example = {name: value[k] for name, value in inputs.items()}
        difference = (
            example["decoder_activation_true"] - example["decoder_activation_pred"]
        )
        terms["decoder_l1"].append(np.linalg.norm(difference, 1) / n_units)
        v_f, v_s = example["face_feature"], example["voice_feature"]
        difference = v_f / np.linalg.norm(v_f) - v_s / np.linalg.norm(v_s)
        terms["feature_l2"].append(np.linalg.norm(difference) ** 2)
        p = scipy.special.softmax(example["face_logits_true"] / temperature)
        log_q = scipy.special.log_softmax(example["face_logits_pred"] / temperature)
        terms["distillation"].append(-np.dot(p, log_q) / n_classes)
    terms = {name: np.array(values) for name, values in terms.items()}
    terms["total"] = (
        terms["decoder_l1"]
        + lambda1 * terms["feature_l2"]
        + lambda2 * terms["distillation"]
    )
    return terms


# Eq. 1 by hand


def test_l1_is_a_sum_over_units():
    true = [[1.0, 2.0, 3.0], [0.0, 0.0, 0.0]]
    predicted = [[0.0, 4.0, 3.0], [1.0, 1.0, 0.5]]
    np.testing.assert_allclose(losses.l1(true, predicted, "sum"), [3.0, 2.5])
    np.testing.assert_allclose(losses.l1(true, predicted, "mean"), [1.0, 2.5 / 3])


def test_normalized_l2_is_of_each_example():
    true = [[3.0, 4.0], [1.0, 0.0], [2.0, 2.0]]
    predicted = [[6.0, 8.0], [0.0, 9.0], [-5.0, -5.0]]
    # Unit vectors that are equal, at right angles, opposite: 0, sqrt(2)^2, 2^2.
    result = losses.normalized_l2(true, predicted)
    np.testing.assert_allclose(result, [0.0, 2.0, 4.0], atol=1e-6)


def test_distillation_is_a_cross_entropy_at_temperature_2():
    # softmax([2 ln 3, 0] / 2) = [3/4, 1/4]; softmax([0, 0]) = [1/2, 1/2]
    true, predicted = [[2 * np.log(3), 0.0]], [[0.0, 2 * np.log(3)]]
    by_hand = -(0.75 * np.log(0.25) + 0.25 * np.log(0.75))
    result = losses.distillation(true, predicted, 2.0, "sum")
    np.testing.assert_allclose(result, [by_hand], rtol=1e-6)
    result = losses.distillation(true, predicted, 2.0, "mean")
    np.testing.assert_allclose(result, [by_hand / 2], rtol=1e-6)


def test_distillation_of_equals_is_the_entropy_not_zero():
    # A divergence would be 0 here, and a factor T^2 would give 4 ln 2.
    logits = np.zeros([1, 2], np.float32)
    np.testing.assert_allclose(
        losses.distillation(logits, logits, 2.0, "sum"), [np.log(2)], rtol=1e-6
    )


def test_distillation_survives_large_logits():
    result = losses.distillation([[500.0, -500.0]], [[-500.0, 500.0]], 2.0, "sum")
    np.testing.assert_allclose(result, [500.0])


@pytest.mark.parametrize(
    ("config", "n"), [(LossConfig(), 2), (LossConfig(loss_reduction="sum"), 1)]
)
def test_the_papers_weights(config, n):
    terms = voice_losses(
        config,
        decoder_activation_true=[[1.0, 0.0]],
        decoder_activation_pred=[[0.0, 3.0]],
        face_feature=[[1.0, 0.0]],
        voice_feature=[[0.0, 1.0]],
        face_logits_true=[[0.0, 0.0]],
        face_logits_pred=[[0.0, 0.0]],
    )
    expected = 4.0 / n + 0.025 * 2.0 + 200 * np.log(2) / n
    np.testing.assert_allclose(terms["total"], [expected], rtol=1e-6)


# Against the twin


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_eq_1_equals_its_float64_twin(scale):
    inputs = voice_inputs(scale=scale)
    result = voice_losses(LossConfig(), **inputs)
    assert_terms(result, eq_1_twin(inputs, 0.025, 200, 2.0, n_units=10, n_classes=5))
    as_printed = voice_losses(LossConfig(loss_reduction="sum"), **inputs)
    assert_terms(as_printed, eq_1_twin(inputs, 0.025, 200, 2.0))


def test_mean_reduction_divides_by_units_and_classes():
    inputs = voice_inputs()
    config = LossConfig(loss_reduction="mean", lambda1=0.5, lambda2=3, temperature=1.5)
    expected = eq_1_twin(inputs, 0.5, 3, 1.5, n_units=10, n_classes=5)
    assert_terms(voice_losses(config, **inputs), expected)


def test_decoder_weight_0_leaves_the_others():
    inputs = voice_inputs()
    terms = voice_losses(LossConfig(decoder_weight=0.0), **inputs)
    expected = 0.025 * terms["feature_l2"] + 200 * terms["distillation"]
    np.testing.assert_allclose(terms["total"], expected, rtol=1e-6)


def test_an_example_alone_has_its_loss_in_the_batch():
    inputs = voice_inputs(n=5)
    together = voice_losses(LossConfig(), **inputs)
    for k in range(5):
        one = {name: value[k : k + 1] for name, value in inputs.items()}
        alone = voice_losses(LossConfig(), **one)
        for name in together:
            np.testing.assert_allclose(together[name][k], alone[name][0], rtol=1e-5)


@pytest.mark.parametrize("reduction, divisor", [("sum", 1), ("mean", 6)])
def test_l1_of_the_features_alone_is_the_loss_that_the_paper_tried_first(
    reduction, divisor
):
    inputs = voice_inputs(n=4)
    assert "feature_l1" not in voice_losses(LossConfig(), **inputs)
    config = LossConfig(
        loss_reduction=reduction,
        decoder_weight=0.0,
        lambda1=0.0,
        lambda2=0.0,
        feature_l1_weight=3.0,
    )
    terms = voice_losses(config, **inputs)
    difference = np.float64(inputs["face_feature"]) - inputs["voice_feature"]
    expected = np.abs(difference).sum(axis=1) / divisor
    np.testing.assert_allclose(terms["feature_l1"], expected, rtol=1e-5)
    np.testing.assert_allclose(terms["total"], 3 * expected, rtol=1e-5)


def test_contrastive_equals_its_twin_and_is_only_there_if_asked_for():
    inputs = voice_inputs(n=4)
    assert "contrastive" not in voice_losses(LossConfig(), **inputs)
    config = LossConfig(contrastive_weight=2.0, contrastive_temperature=0.3)
    terms = voice_losses(config, **inputs)

    faces = np.float64(inputs["face_feature"])
    voices = np.float64(inputs["voice_feature"])
    faces /= np.linalg.norm(faces, axis=1, keepdims=True)
    voices /= np.linalg.norm(voices, axis=1, keepdims=True)
    expected = []
    for k in range(4):
        to_face = scipy.special.log_softmax(faces @ voices[k] / 0.3)[k]
        to_voice = scipy.special.log_softmax(voices @ faces[k] / 0.3)[k]
        expected.append(-(to_face + to_voice) / 2)
    np.testing.assert_allclose(terms["contrastive"], expected, rtol=1e-5)
    without = voice_losses(LossConfig(), **inputs)["total"]
    np.testing.assert_allclose(
        terms["total"], without + 2 * np.array(expected), rtol=1e-5
    )


def test_contrastive_of_a_single_pair_is_zero():
    np.testing.assert_allclose(losses.contrastive([[1.0, 2.0]], [[3.0, 4.0]], 0.1), [0])


def test_zero_features_have_finite_losses_and_gradients():
    zeros = tf.Variable(tf.zeros([2, 6]))
    with tf.GradientTape() as tape:
        loss = losses.normalized_l2(random_array(2, 6), zeros)
    np.testing.assert_allclose(loss, [1.0, 1.0], rtol=1e-6)
    assert np.isfinite(tape.gradient(loss, zeros)).all()


def test_half_precision_inputs_are_compared_in_float32():
    inputs = {k: tf.cast(v, tf.bfloat16) for k, v in voice_inputs().items()}
    rounded = {k: np.array(tf.cast(v, tf.float32)) for k, v in inputs.items()}
    result = voice_losses(LossConfig(), **inputs)
    assert_terms(result, eq_1_twin(rounded, 0.025, 200, 2.0, n_units=10, n_classes=5))


def test_an_unknown_reduction_is_named():
    with pytest.raises(ValueError, match="'median'"):
        losses.l1([[1.0]], [[2.0]], "median")


# Gradients


def test_the_teacher_side_takes_no_gradient_and_the_student_side_does():
    variables = {k: tf.Variable(v) for k, v in voice_inputs().items()}
    with tf.GradientTape() as tape:
        config = LossConfig(contrastive_weight=1.0)
        total = voice_losses(config, **variables)["total"]
    gradients = tape.gradient(total, variables)
    for name in ("decoder_activation_true", "face_feature", "face_logits_true"):
        assert gradients[name] is None
    for name in ("decoder_activation_pred", "voice_feature", "face_logits_pred"):
        assert np.abs(gradients[name]).max() > 0


def test_gradients_by_hand():
    true, predicted = [[1.0, 2.0]], tf.Variable([[3.0, 1.0]])
    with tf.GradientTape() as tape:
        loss = losses.l1(true, predicted, "sum")
    np.testing.assert_allclose(tape.gradient(loss, predicted), [[1.0, -1.0]])

    # Cross-entropy at temperature T: (q - p) / T.
    logits = tf.Variable([[0.0, 0.0]])
    with tf.GradientTape() as tape:
        loss = losses.distillation([[2 * np.log(3), 0.0]], logits, 2.0, "sum")
    np.testing.assert_allclose(
        tape.gradient(loss, logits), [[-0.125, 0.125]], rtol=1e-5
    )

    # 2 - 2 cos: at right angles the gradient is -2 v_f/|v_f| / |v_s|.
    feature = tf.Variable([[0.0, 4.0]])
    with tf.GradientTape() as tape:
        loss = losses.normalized_l2([[5.0, 0.0]], feature)
    np.testing.assert_allclose(tape.gradient(loss, feature), [[-0.5, 0.0]], atol=1e-6)


@pytest.mark.parametrize("name", ["decoder_l1", "feature_l2", "distillation"])
def test_a_step_against_the_gradient_lowers_each_term(name):
    inputs = voice_inputs()
    student = {k: tf.Variable(v) for k, v in inputs.items() if k[-4:] != "true"}
    student.pop("face_feature")
    with tf.GradientTape() as tape:
        before = voice_losses(LossConfig(), **{**inputs, **student})[name]
    for variable, gradient in zip(
        student.values(), tape.gradient(before, list(student.values()))
    ):
        if gradient is not None:
            variable.assign_sub(0.01 * gradient)
    after = voice_losses(LossConfig(), **{**inputs, **student})[name]
    assert (np.array(after) < np.array(before)).all()
