"""Eq. 1 at the paper's sizes: its terms pull v_s with a similar strength.

Sec. 3: the weights are such that "the gradient magnitude of each term with respect to
v_s are within a similar scale".
"""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.config import DecoderTrainingConfig, LossConfig, VoiceTrainingConfig
from speech2face.data.dataset_info import FeatureStatistics, RecognizerInfo
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.models import face_decoder, voice_encoder
from speech2face.paper import VGG_FACE_FEATURE_DIM, VGG_FACE_IDENTITIES
from speech2face.recognizers.base import RecognizerHead
from speech2face.training import voice_job
from speech2face.training.loss_calibration import TERMS
from speech2face.training.voice import Eq1, VoiceTrainer
from tests.helpers.commands import parse
from tests.helpers.paths import REPOSITORY
from tests.helpers.records import write_voice_dataset
from tests.helpers.tiny_models import make_decoder, tiny_config


def flags_of(name, training):
    return parse(training, f"--flagfile={REPOSITORY / 'configs' / name}")


@pytest.fixture(scope="module")
def raw_features():
    """Like fc7: 4096 numbers around a common mean, two faces some 50 degrees apart."""
    random = np.random.default_rng(0)
    mean = random.normal(-0.5, 1, VGG_FACE_FEATURE_DIM)
    return np.float32(mean + 0.9 * random.normal(size=(16, VGG_FACE_FEATURE_DIM)))


@pytest.fixture(scope="module")
def decoder(raw_features):
    """New, but of the paper's size in all that Eq. 1 sees: f_dec and f_VGG."""
    config = flags_of("paper_decoder.flags", DecoderTrainingConfig)
    narrow = dataclasses.replace(
        config.face_decoder, landmark_units=(1,), texture_channels=(1,) * 5
    )
    random = np.random.default_rng(1)
    statistics = FeatureStatistics.measure(raw_features)
    weights = random.normal(size=(VGG_FACE_FEATURE_DIM, VGG_FACE_IDENTITIES))
    weights /= np.std(np.maximum(raw_features, 0) @ weights)  # logits of spread 1
    mean_landmarks = random.uniform(60, 160, (68, 2)).astype(np.float32)
    normalizer = FeatureNormalizer.fit(statistics, config.normalizer)
    return DecoderBundle(
        model=face_decoder.build_face_decoder(
            narrow, VGG_FACE_FEATURE_DIM, mean_landmarks
        ),
        config=narrow,
        normalizer=normalizer,
        head=RecognizerHead(weights, np.zeros(VGG_FACE_IDENTITIES), relu_input=True),
        mean_landmarks=mean_landmarks,
        mean_feature=normalizer.normalize(np.array(statistics.mean, np.float32)),
        recognizer=RecognizerInfo("vgg_face", VGG_FACE_FEATURE_DIM, "0" * 64),
    )


def weighted_gradients(loss: LossConfig, decoder, raw_features):
    """Mean |weight * d term / d v_s| where a training starts: at the mean face."""
    start = np.tile(decoder.mean_feature, (len(raw_features), 1))
    norms = Eq1(decoder).gradient_norms(loss, raw_features, start)
    weights = (loss.decoder_weight, loss.lambda1, loss.lambda2)
    result = [w * float(np.mean(norms[term])) for w, term in zip(weights, TERMS)]
    print(loss.loss_reduction, dict(zip(TERMS, result)))
    return result


def test_the_papers_weights_fit_means_and_not_sums(decoder, raw_features):
    loss = flags_of("paper.flags", VoiceTrainingConfig).loss
    means = weighted_gradients(loss, decoder, raw_features)
    assert max(means) / min(means) < 30
    as_printed = flags_of("ablation_sum_reduction.flags", VoiceTrainingConfig).loss
    sums = weighted_gradients(as_printed, decoder, raw_features)
    assert max(sums) / min(sums) > 1000
    np.testing.assert_allclose(sums[1], means[1])


@pytest.mark.slow
def test_a_new_network_of_the_papers_size_answers_at_the_length_of_v_f(
    decoder, raw_features
):
    """With Glorot's weights |v_s| is 59, 256 times |v_f|."""
    config = flags_of("paper.flags", VoiceTrainingConfig)
    statistics = FeatureStatistics.measure(raw_features)
    face_norm = decoder.normalizer.mean_norm(statistics)
    np.testing.assert_allclose(face_norm, 0.2316, rtol=0.01)
    keras.utils.set_random_seed(0)
    encoder = voice_encoder.build_voice_encoder(
        config.voice_encoder, VGG_FACE_FEATURE_DIM, feature_norm=face_norm
    )
    shape = [2, voice_encoder.MIN_SAMPLES]
    waveform = tf.random.stateless_normal(shape, [0, 0], stddev=0.1)
    voice_norm = np.linalg.norm(encoder(waveform, training=True), axis=1).mean()
    assert 0.5 < voice_norm / face_norm < 2


@pytest.mark.rehearsal
def test_the_length_outlasts_the_first_steps(decoder, raw_features, monkeypatch):
    """Without a unit for fc2, v_s is ten times as long after a step of ADAM."""
    config = flags_of("paper.flags", VoiceTrainingConfig)
    encoder = dataclasses.replace(config.voice_encoder, width=0.0625)
    config = dataclasses.replace(config, voice_encoder=encoder)
    face_norm = decoder.normalizer.mean_norm(FeatureStatistics.measure(raw_features))
    shape = [8, voice_encoder.MIN_SAMPLES]
    batch = {
        "waveform": tf.random.stateless_normal(shape, [0, 0], stddev=0.1),
        "face_feature": tf.constant(raw_features[:8]),
    }

    def longest_in_three_steps():
        keras.utils.set_random_seed(0)
        trainer = VoiceTrainer(config, decoder, face_norm)
        norms = []
        for _ in range(3):
            trainer.train_step(batch)
            voice = trainer.model(batch["waveform"], training=True)
            norms.append(np.linalg.norm(voice, axis=1).mean())
        return max(norms)

    assert longest_in_three_steps() < 2 * face_norm
    monkeypatch.setattr(voice_encoder, "feature_units", lambda *_: {})
    assert longest_in_three_steps() > 5 * face_norm


@pytest.mark.slow
def test_a_training_starts_at_the_length_of_its_own_v_f(tmp_path):
    write_voice_dataset(tmp_path / "voices", n=8, n_shards=1)
    waveform = tf.random.stateless_normal([8, voice_encoder.MIN_SAMPLES], [1, 1])
    norms = []
    for scale in (0.5, 0.005):
        small = make_decoder()
        normalizer = FeatureNormalizer(small.normalizer.mean, scale)
        small = dataclasses.replace(small, normalizer=normalizer)
        small.save(tmp_path / f"decoder{scale}")
        job = voice_job.prepare_voice_training(
            tiny_config(), tmp_path / "voices", tmp_path / f"decoder{scale}"
        )
        voice = job.trainer.model(waveform, training=False)
        norms.append(np.linalg.norm(voice, axis=1).mean())
    np.testing.assert_allclose(norms[0] / norms[1], 100, rtol=1e-3)
