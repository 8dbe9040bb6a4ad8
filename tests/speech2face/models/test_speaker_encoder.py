"""The encoder on the speaker recognizer: its windows, its parts, its head."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.config import VoiceEncoderConfig
from speech2face.models import speaker_embedding, speaker_encoder, voice_encoder
from tests.helpers.voices import harmonic_voice

RATE_HZ = 16_000
WINDOW = 96_000


@pytest.fixture(scope="module")
def embedding():
    return speaker_embedding.build_embedding()


def embed(model, *waveforms):
    return np.asarray(model(np.stack(waveforms), training=False))


@pytest.mark.slow
def test_a_sound_is_the_mean_of_its_windows(embedding):
    voice = harmonic_voice(7, 15.0)
    first, second = embed(embedding, voice[:WINDOW], voice[WINDOW : 2 * WINDOW])
    last = embed(embedding, voice[-WINDOW:])[0]
    # 15 s are two windows and half of one.
    expected = (first + second + 0.5 * last) / 2.5
    np.testing.assert_allclose(embed(embedding, voice)[0], expected, atol=1e-5)


def test_a_short_sound_is_repeated(embedding):
    voice = harmonic_voice(5, 2.3)
    repeated = np.resize(voice, WINDOW)
    expected = embed(embedding, repeated)
    np.testing.assert_allclose(embed(embedding, voice), expected, atol=1e-5)


def test_nothing_jumps_where_a_window_begins(embedding):
    voice = harmonic_voice(4, 6.1)
    at, after = (embed(embedding, voice[:n])[0] for n in (WINDOW, WINDOW + 160))
    assert np.linalg.norm(after - at) < 0.01 * np.linalg.norm(at)


@pytest.mark.slow
def test_batch_and_graph_change_nothing(embedding):
    voices = [harmonic_voice(seed, 4.0) for seed in (5, 6)]
    both = embedding.predict_on_batch(np.stack(voices))  # in a graph
    signature = [tf.TensorSpec([None, None], tf.float32)]
    graph = tf.function(lambda x: embedding(x, training=False), signature)
    for voice, row in zip(voices, both):
        np.testing.assert_allclose(embed(embedding, voice)[0], row, atol=2e-5)
        np.testing.assert_allclose(graph(voice[None])[0], row, atol=2e-5)


def test_level_hardly_matters(embedding):
    voice = harmonic_voice(3, 3.0)
    voice *= 0.5 / np.abs(voice).max()
    loud, quiet = embed(embedding, voice, 0.1 * voice)
    cosine = loud @ quiet / np.linalg.norm(loud) / np.linalg.norm(quiet)
    assert cosine > 0.9999


def make_encoder(dim=128, **options):
    config = VoiceEncoderConfig(encoder="speaker_embedding", **options)
    return voice_encoder.build_voice_encoder(config, dim)


def test_only_the_head_is_trained():
    model = make_encoder(speaker_hidden_units=(64,))
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trained == (1216 * 64 + 64) + (64 * 128 + 128)
    learned = sum(int(np.prod(v.shape)) for v in voice_encoder.learned_variables(model))
    # What a bundle stores besides: mean and deviation, center, scale, gain.
    assert learned - trained == 2 * 1024 + 1216 + 1 + 1


def test_head_sees_two_unit_vectors_centered_and_scaled():
    draw = np.random.default_rng(0)
    vectors = draw.normal(3, 2, (40, 1216)).astype(np.float32)
    layer = speaker_encoder.VoiceVector()
    layer.build((None, 1216))
    layer.fit(vectors)
    embedding, statistics = np.split(vectors.astype(np.float64), [192], axis=1)
    statistics = (statistics - statistics.mean(0)) / statistics.std(0)
    parts = [
        v / np.linalg.norm(v, axis=1, keepdims=True) for v in (embedding, statistics)
    ]
    joined = np.concatenate(parts, axis=1)
    centered = joined - joined.mean(0)
    expected = centered / np.sqrt((centered**2).mean())
    np.testing.assert_allclose(layer(vectors), expected, rtol=0, atol=1e-4)


def test_gain_and_noise():
    model = make_encoder(4, speaker_noise=1.5)
    _, head = speaker_encoder.split_after_embedder(model)
    kernel = np.random.default_rng(1).normal(size=(1216, 4))
    model.get_layer("feature").set_weights([kernel, np.arange(4)])
    model.get_layer("gain").gain.assign(3.0)
    vector = np.random.default_rng(2).normal(size=(1, 1216)).astype(np.float32)
    seen = np.asarray(model.get_layer("vector")(vector), np.float64)
    expected = 3 * (seen @ kernel + np.arange(4))
    np.testing.assert_allclose(head(vector), expected, rtol=1e-4, atol=1e-4)
    assert np.abs(np.asarray(head(vector, training=True)) - expected).max() > 1


def test_model_survives_its_own_json():
    model = make_encoder(8)
    clone = keras.models.model_from_json(model.to_json())
    clone.set_weights(model.get_weights())
    voice = harmonic_voice(2, 2.0)
    np.testing.assert_array_equal(embed(model, voice), embed(clone, voice))
