"""Loss calibration: gradient norms in closed form; its lambdas do make them equal."""

import dataclasses
import re
import unittest
import unittest.mock

import numpy as np
import pytest
import tensorflow as tf
from scipy.special import softmax

from speech2face import calibrate_loss
from speech2face.config import LossConfig, OptimizerConfig, VoiceTrainingConfig
from speech2face.data import dataset_info, records
from speech2face.inference.model import Speech2Face
from speech2face.training import loop, loss_calibration, trainer, voice_job
from speech2face.training.loss_calibration import REDUCTIONS, TERMS
from speech2face.training.voice import Eq1
from tests.helpers.commands import parse
from tests.helpers.records import DIM, write_voice_dataset
from tests.helpers.slow import takes_seconds
from tests.helpers.tiny_models import make_decoder, tiny_config

N_STEPS = 6


def config_with(loss, **loop):
    config = tiny_config(validate_every=0, **loop)
    encoder = dataclasses.replace(config.voice_encoder, head_dropout=0.0)
    return dataclasses.replace(config, voice_encoder=encoder, loss=loss)


def train(folders, run_dir, loss):
    config = config_with(loss, batch_size=8, epochs=float(N_STEPS), summarize_every=2)
    voice_job.train_voice_encoder(
        config, folders / "voices", folders / "decoder", run_dir
    )


@pytest.fixture(scope="module")
@takes_seconds
def folders_and_log(tmp_path_factory):
    """Records, a decoder and a run, and what the run's training logged.

    The training looks at its terms at iteration 3, where others do at 1000.
    """
    root = tmp_path_factory.mktemp("calibration")
    write_voice_dataset(root / "voices", n=8, n_shards=1)
    make_decoder().save(root / "decoder")
    with (
        unittest.mock.patch.object(trainer, "CALIBRATION_STEP", 3),
        unittest.TestCase().assertLogs("absl", "INFO") as logs,
    ):
        train(root, root / "run", LossConfig())
    return root, logs.output


@pytest.fixture(scope="module")
def folders(folders_and_log):
    return folders_and_log[0]


@pytest.fixture(scope="module")
def measured(folders):
    return loss_calibration.calibrate(folders / "run", folders / "voices", 2)


def gradients_in_closed_form(decoder, raw_face, voice, temperature=2.0):
    """d term / d v_s [b, d] of each term with sums, in float64 and by hand."""
    raw_face, voice = np.float64(raw_face), np.float64(voice)
    mean, scale = np.float64(decoder.normalizer.mean), decoder.normalizer.scale
    face = (raw_face - mean) * scale
    # |relu(W'v_f + b) - relu(W'v_s + b)|_1: signs through the open units, back by W.
    kernel, bias = (
        np.float64(w) for w in decoder.model.get_layer("f_dec").get_weights()
    )
    before = voice @ kernel + bias
    sign = np.sign(np.maximum(before, 0) - np.maximum(face @ kernel + bias, 0))
    decoder_l1 = (sign * (before > 0)) @ kernel.T
    # |u_f - v/|v||^2: what of u_f is at right angles to v, times -2/|v|.
    norm = np.linalg.norm(voice, axis=1, keepdims=True)
    u_s, u_f = voice / norm, face / np.linalg.norm(face, axis=1, keepdims=True)
    feature_l2 = -2 / norm * (u_f - (u_f * u_s).sum(1, keepdims=True) * u_s)
    # Cross-entropy at T: (q - p)/T at the logits W'relu(raw), back by W; raw = v/scale.
    weights = np.float64(decoder.head.weights)
    raw_voice = voice / scale + mean
    p = softmax(np.maximum(raw_face, 0) @ weights / temperature, axis=1)
    q = softmax(np.maximum(raw_voice, 0) @ weights / temperature, axis=1)
    back = ((q - p) / temperature) @ weights.T
    distillation = back * (raw_voice > 0) / scale
    return dict(decoder_l1=decoder_l1, feature_l2=feature_l2, distillation=distillation)


def norms_in_closed_form(decoder, raw_face, voice, reduction, temperature=2.0):
    gradients = gradients_in_closed_form(decoder, raw_face, voice, temperature)
    norms = {name: np.linalg.norm(g, axis=1) for name, g in gradients.items()}
    if reduction == "mean":
        norms["decoder_l1"] /= decoder.config.decoder_units
        norms["distillation"] /= decoder.head.n_classes
    return norms


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("temperature", [2.0, 0.7])
def test_gradient_norms_in_closed_form(reduction, temperature):
    decoder = make_decoder()
    random = np.random.default_rng(4)
    raw_face = random.normal(size=(6, DIM)).astype(np.float32)
    voice = (0.5 * random.normal(size=(6, DIM))).astype(np.float32)
    # The weights do not enter: these are the gradients of the terms themselves.
    config = LossConfig(
        loss_reduction=reduction, lambda1=7, lambda2=9, temperature=temperature
    )
    norms = Eq1(decoder).gradient_norms(config, raw_face, voice)
    expected = norms_in_closed_form(decoder, raw_face, voice, reduction, temperature)
    assert set(norms) == set(expected) == set(TERMS)
    for term in TERMS:
        assert norms[term].shape == (6,) and (expected[term] > 0).any()
        np.testing.assert_allclose(norms[term], expected[term], rtol=1e-4, err_msg=term)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_run_is_measured_at_its_newest_checkpoint(folders, measured, reduction):
    """The data set is one batch, so its order does not matter, nor which is next."""
    model = Speech2Face.load(folders / "run")
    examples = list(records.iterate_voice_examples(folders / "voices", "train"))
    raw_face = np.stack([example.face_feature for example in examples])
    n_repeats = -(-43_200 // len(examples[0].waveform))
    waveforms = [np.tile(e.waveform, n_repeats)[:43_200] for e in examples]
    voice = np.asarray(model.encoder(np.stack(waveforms), training=True))
    expected = norms_in_closed_form(model.decoder, raw_face, voice, reduction)
    assert measured.iteration == N_STEPS and measured.n_examples == 16
    for term in TERMS:
        norm = measured.gradient_norms[reduction][term]
        np.testing.assert_allclose(norm, expected[term].mean(), rtol=1e-3, err_msg=term)
    norm = np.linalg.norm(voice, axis=1).mean()
    np.testing.assert_allclose(measured.voice_norm, norm, rtol=1e-3)


def test_measuring_again_gives_the_same_and_changes_nothing(folders, measured):
    before = {p: p.read_bytes() for p in (folders / "run").rglob("*") if p.is_file()}
    again = loss_calibration.calibrate(folders / "run", folders / "voices", 2)
    assert again == measured
    after = {p: p.read_bytes() for p in (folders / "run").rglob("*") if p.is_file()}
    assert after == before


def test_mean_reduction_divides_by_units_and_classes(measured):
    by_sum, by_mean = (measured.gradient_norms[name] for name in REDUCTIONS)
    np.testing.assert_allclose(by_sum["decoder_l1"], 6 * by_mean["decoder_l1"], 1e-5)
    np.testing.assert_allclose(
        by_sum["distillation"], 3 * by_mean["distillation"], 1e-5
    )
    assert by_sum["feature_l2"] == by_mean["feature_l2"]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_flags_make_the_weighted_norms_equal(measured, reduction):
    loss = parse(VoiceTrainingConfig, *measured.flags(reduction)).loss
    assert loss.loss_reduction == reduction and loss.decoder_weight == 1
    weighted = dataclasses.replace(measured, loss=loss).weighted_norms(reduction)
    for term in TERMS:
        np.testing.assert_allclose(weighted[term], weighted["decoder_l1"], rtol=1e-3)


@pytest.mark.rehearsal
def test_a_run_with_the_flags_has_balanced_terms(folders, measured):
    """From the start, another trajectory: similar at the same iteration, not equal."""

    def imbalance(weighted):
        return max(weighted.values()) / min(weighted.values())

    assert imbalance(measured.weighted_norms("mean")) > 100  # with 0.025 and 200
    loss = parse(VoiceTrainingConfig, *measured.flags("mean")).loss
    train(folders, folders / "balanced", loss)
    balanced = loss_calibration.calibrate(
        folders / "balanced", folders / "voices", n_batches=2
    )
    assert balanced.loss.loss_reduction == "mean"
    assert imbalance(balanced.weighted_norms("mean")) < 4


def test_without_decoder_term_the_lambdas_are_relative_to_eq_1(measured):
    loss = dataclasses.replace(measured.loss, decoder_weight=0.0)
    other = dataclasses.replace(measured, loss=loss)
    assert other.equal_weights("sum") == measured.equal_weights("sum")
    assert other.weighted_norms("sum")["decoder_l1"] == 0


def test_a_term_without_gradient_is_named(measured):
    norms = {name: dict.fromkeys(TERMS, 1.0) for name in REDUCTIONS}
    norms["sum"]["distillation"] = 0.0
    dead = dataclasses.replace(measured, gradient_norms=norms)
    with pytest.raises(ValueError, match=r"gradient of distillation .* iteration 6"):
        dead.table()


def test_command_prints_the_table_and_the_flags(folders, measured, capsys):
    options = calibrate_loss.CalibrationOptions(
        run_dir=f"{folders}/run", data_dir=f"{folders}/voices", n_batches=2
    )
    calibrate_loss.main(options)
    printed = capsys.readouterr().out
    assert f"iteration {N_STEPS}: mean over 16 examples" in printed
    rows = re.findall(r"^(sum|mean) +(\w+)((?: +[\d.e+-]+){4})$", printed, re.M)
    own_first = ("mean", "sum")  # that of the run, which is the default
    assert [row[:2] for row in rows] == [(r, t) for r in own_first for t in TERMS]
    for reduction, term, numbers in rows:
        gradient, weight, weighted, equal = (float(n) for n in numbers.split())
        norm = measured.gradient_norms[reduction][term]
        np.testing.assert_allclose(gradient, norm, rtol=2e-3)
        np.testing.assert_allclose(weighted, weight * gradient, rtol=2e-3)
        first = measured.gradient_norms[reduction]["decoder_l1"]
        np.testing.assert_allclose(equal * gradient, first, rtol=3e-3)
    assert " ".join(measured.flags("mean")) in printed


def test_wrong_input_is_refused(folders, tmp_path):
    with pytest.raises(FileNotFoundError, match="is not a run folder"):
        loss_calibration.calibrate(tmp_path, folders / "voices")
    with pytest.raises(ValueError, match="n_batches is 0"):
        loss_calibration.calibrate(folders / "run", folders / "voices", 0)
    Speech2Face.load(folders / "run").save(tmp_path / "bundle")
    with pytest.raises(FileNotFoundError, match="has no checkpoint yet"):
        loss_calibration.calibrate(tmp_path / "bundle", folders / "voices")


def test_the_data_of_another_recognizer_is_refused(folders, tmp_path):
    _, info = write_voice_dataset(tmp_path, n=8, n_shards=1)
    other = dataset_info.RecognizerInfo("vgg_face", DIM, "1" * 64)
    info = dataclasses.replace(info, recognizer=other)
    dataset_info.write(tmp_path, info)
    with pytest.raises(ValueError, match="features of vgg_face"):
        loss_calibration.calibrate(folders / "run", tmp_path)


def test_gradients_are_of_the_losses_that_train():
    """Weighted and summed they are the gradient of 'total'."""
    from speech2face.training.voice import Eq1

    decoder = make_decoder()
    random = np.random.default_rng(5)
    raw_face = random.normal(size=(4, DIM)).astype(np.float32)
    voice = tf.constant(random.normal(size=(4, DIM)), tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(voice)
        config = LossConfig(loss_reduction="sum", lambda1=3.0, lambda2=5.0)
        total = Eq1(decoder)(config, raw_face, voice)
    gradient = tape.gradient(total["total"], voice)
    parts = gradients_in_closed_form(decoder, raw_face, voice)
    expected = parts["decoder_l1"] + 3 * parts["feature_l2"] + 5 * parts["distillation"]
    np.testing.assert_allclose(gradient, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
def test_it_is_too_early_while_v_s_is_much_longer_than_v_f(folders, tmp_path):
    config = config_with(LossConfig(), batch_size=8, epochs=4.0)
    hasty = dataclasses.replace(config, optimizer=OptimizerConfig(learning_rate=1.0))
    voice_job.train_voice_encoder(
        hasty, folders / "voices", folders / "decoder", tmp_path / "run"
    )
    with pytest.raises(ValueError, match=r"\|v_s\| is .* at iteration 4, and \|v_f\|"):
        loss_calibration.calibrate(tmp_path / "run", folders / "voices", 1)


WEIGHTS = {"decoder_l1": 1.0, "feature_l2": 0.025, "distillation": 200.0}


def gradients(*weighted):
    return {f"gradient/{t}": w / WEIGHTS[t] for t, w in zip(WEIGHTS, weighted)}


def test_a_training_warns_of_terms_that_are_hardly_learned():
    with unittest.TestCase().assertLogs("absl", "WARNING") as logs:
        loop.warn_of_imbalance(1000, gradients(90.0, 0.15, 243.0), WEIGHTS)
    (text,) = logs.output
    assert "feature_l2 0.15" in text and "speech2face.calibrate_loss" in text
    with unittest.TestCase().assertNoLogs("absl", "WARNING"):
        loop.warn_of_imbalance(1000, gradients(0.09, 0.152, 0.093), WEIGHTS)
        without = {**WEIGHTS, "feature_l2": 0.0}  # an ablation
        loop.warn_of_imbalance(1000, gradients(90.0, 0.15, 243.0), without)
        loop.warn_of_imbalance(1000, {"total": 1.0}, {})


def test_the_warning_comes_once_at_iteration_1000(folders_and_log):
    _, log = folders_and_log
    warnings = [text for text in log if "weighted gradients" in text]
    assert len(warnings) == 1 and "iteration 4" in warnings[0]
