"""A narrow voice encoder: against a float64 twin, any length of audio, options."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.audio import spectrogram
from speech2face.config import VoiceEncoderConfig
from speech2face.errors import UserError
from speech2face.models import voice_encoder
from tests.helpers.tiny_encoder import TINY, randomize


@pytest.fixture(scope="module")
def tiny():
    """A narrow Table 1 whose weights and statistics are all different."""
    model = voice_encoder.build_table_1(TINY, 7)
    randomize(model, seed=1)
    return model


@pytest.mark.parametrize("clip_secs", [0.1, 1.0, 2.6])
def test_clips_shorter_than_the_receptive_field_are_refused(clip_secs):
    config = VoiceEncoderConfig()
    with pytest.raises(UserError, match=r"--clip_secs=.* is too short .* 2\.605 s"):
        voice_encoder.check_clip_secs(config, clip_secs)
    voice_encoder.check_clip_secs(config, 2.605)
    other = dataclasses.replace(config, encoder="speaker_embedding")
    voice_encoder.check_clip_secs(other, clip_secs)


def waveforms(n, n_samples, seed=0):
    values = np.random.default_rng(seed).normal(0, 0.1, [n, n_samples])
    return values.astype(np.float32)


def dense_twin(x, layer):
    kernel, bias = (np.float64(w) for w in layer.get_weights())
    return x @ kernel + bias


def convolution_twin(x, layer):
    kernel, bias = (np.float64(w) for w in layer.get_weights())
    step = layer.strides[0]
    rows = (x.shape[0] - 4) // step + 1
    columns = (x.shape[1] - 4) // step + 1
    result = np.zeros([rows, columns, kernel.shape[3]]) + bias
    for i in range(4):
        for j in range(4):
            part = x[i : i + step * rows : step, j : j + step * columns : step]
            result += part[:rows, :columns] @ kernel[i, j]
    return result


def batch_norm_twin(x, layer):
    gamma, beta, mean, variance = (np.float64(w) for w in layer.get_weights())
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def table_1_twin(model, spectrogram):
    """Table 1 read off the paper, in float64: [frames, 257, 2] -> feature."""
    layer = model.get_layer
    x = np.float64(spectrogram)
    for k in range(1, 9):
        x = np.maximum(convolution_twin(x, layer(f"conv{k}")), 0)
        x = batch_norm_twin(x, layer(f"bn{k}"))
        if k in (3, 4, 5, 6):
            half = len(x) // 2
            x = np.maximum(x[0 : 2 * half : 2], x[1 : 2 * half : 2])
    x = convolution_twin(x, layer("conv9")).mean(axis=0)
    x = batch_norm_twin(np.maximum(x, 0), layer("bn9"))
    x = np.maximum(dense_twin(x.reshape(-1), layer("fc1")), 0)
    return dense_twin(x, layer("fc2"))


# Numbers


@pytest.mark.parametrize("n_frames", [259, 298, 341])
def test_equals_the_float64_twin(tiny, n_frames):
    generator = np.random.default_rng(n_frames)
    spectrogram = generator.normal(0, 1, [2, n_frames, 257, 2]).astype(np.float32)
    result = np.array(tiny(spectrogram, training=False))
    expected = np.array([table_1_twin(tiny, s) for s in spectrogram])
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-4)
    assert (result < 0).any()  # nothing after the last layer


@pytest.mark.slow
def test_waveform_in_is_spectrogram_in(tiny):
    model = voice_encoder.build_voice_encoder(TINY, 7)
    model.get_layer("table_1").set_weights(tiny.get_weights())
    waveform = waveforms(2, 48_000)
    expected = tiny(spectrogram.spectrogram(waveform))
    np.testing.assert_allclose(model(waveform), expected, rtol=1e-5, atol=1e-6)
    assert model.output_shape == (None, 7)


@pytest.mark.parametrize("n_samples", [41_680, 41_839, 48_000, 60_001, 160_000])
def test_any_length_from_259_frames_on(n_samples):
    model = voice_encoder.build_voice_encoder(TINY, 5)
    assert model(waveforms(1, n_samples)).shape == (1, 5)


def test_shortest_input_is_259_frames():
    assert voice_encoder.MIN_SAMPLES == 41_680 == 2.605 * 16_000
    assert spectrogram.n_frames(41_680) == voice_encoder.MIN_FRAMES == 259
    model = voice_encoder.build_voice_encoder(TINY, 5)
    with pytest.raises(ValueError, match="41679 samples are too short"):
        model(waveforms(1, 41_679))


def test_a_long_recording_can_be_fed_in_pieces(tiny):
    convolutions, head = voice_encoder.split_at_time_average(tiny)
    generator = np.random.default_rng(3)
    # Pools and strides step 64 frames: 5 outputs of 259 frames, 64 apart.
    spectrogram = generator.normal(0, 1, [1, 259 + 4 * 64, 257, 2]).astype(np.float32)
    pieces = [
        convolutions(spectrogram[:, start : start + 259])
        for start in range(0, 5 * 64, 64)
    ]
    assert pieces[0].shape[1] == 1
    result = head(tf.reduce_mean(tf.concat(pieces, 1), 1))
    np.testing.assert_allclose(result, tiny(spectrogram), rtol=1e-3, atol=1e-4)


@pytest.fixture(scope="module", params=["valid", "same"])
def increasing(request):
    """Convolutions whose outputs rise with each frame that they see; their geometry."""
    config = dataclasses.replace(TINY, padding=request.param)
    model = voice_encoder.build_table_1(config, 5)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Conv2D):
            kernel, bias = layer.get_weights()
            layer.set_weights([np.abs(kernel), bias])
    convolutions, _ = voice_encoder.split_at_time_average(model)
    return convolutions, voice_encoder.time_geometry(request.param)


def test_an_output_sees_the_frames_of_its_span(increasing):
    convolutions, geometry = increasing
    spectrogram = np.ones([1, 640, 257, 2], np.float32)
    before = np.array(convolutions(spectrogram))[0]
    assert geometry.n_outputs(640) == len(before)
    middle = len(before) // 2
    end = middle * geometry.stride_frames + geometry.span_frames
    for frame, first in [(end - 1, middle), (end, middle + 1)]:
        other = spectrogram.copy()
        other[:, frame] = 1e4
        changed = (np.array(convolutions(other))[0] > before * 1.0001).any((1, 2))
        assert np.argmax(changed) == first


def test_only_the_lead_sees_what_is_before_the_first_frame(increasing):
    convolutions, geometry = increasing
    spectrogram = np.random.default_rng(4).uniform(1, 2, [1, 640, 257, 2])
    whole = np.array(convolutions(spectrogram))[0, 1:]
    later = np.array(convolutions(spectrogram[:, geometry.stride_frames :]))[0]
    differs = ~np.isclose(whole, later, rtol=1e-6).all((1, 2))
    assert differs.sum() == geometry.n_lead
    assert differs[: geometry.n_lead].all()


@pytest.mark.parametrize("feature_norm", [0.23, 40.0])
def test_a_new_network_answers_with_the_norm_of_faces(feature_norm):
    config = dataclasses.replace(TINY, width=0.25)
    model = voice_encoder.build_table_1(config, 700, feature_norm=feature_norm)
    spectrogram = np.random.default_rng(5).normal(0, 1, [4, 259, 257, 2])
    # As while it is trained: fc1 gets normalized numbers.
    result = model(spectrogram.astype(np.float32), training=True)
    norms = np.linalg.norm(result, axis=1)
    assert norms.mean() == pytest.approx(feature_norm, rel=0.1)


# Options


def test_batch_norm_options_reach_every_layer():
    config = dataclasses.replace(
        TINY,
        batch_norm_momentum=0.9,
        batch_norm_epsilon=1e-5,
        global_batch_norm=True,
    )
    model = voice_encoder.build_table_1(config, 7)
    batch_norms = [layer for layer in model.layers if layer.name.startswith("bn")]
    assert len(batch_norms) == 9
    for layer in batch_norms:
        assert (layer.momentum, layer.epsilon, layer.synchronized) == (0.9, 1e-5, True)


def test_dropout_is_before_both_fully_connected_layers_and_only_in_training():
    model = voice_encoder.build_table_1(dataclasses.replace(TINY, head_dropout=0.5), 7)
    names = [layer.name for layer in model.layers]
    assert names[-5:] == ["dropout_fc1", "fc1", "relu_fc1", "dropout_fc2", "fc2"]
    spectrogram = np.ones([1, 259, 257, 2], np.float32)
    np.testing.assert_array_equal(model(spectrogram), model(spectrogram))
    head = keras.Model(model.get_layer("flatten").output, model.output)
    values = np.ones([1, 57 * 10], np.float32)
    assert np.abs(head(values, training=True) - head(values)).max() > 0


def test_training_moves_the_batch_norm_statistics_of_every_layer(tiny):
    model = voice_encoder.build_table_1(TINY, 7)
    model(np.random.default_rng(0).normal(size=[2, 259, 257, 2]), training=True)
    for layer in model.layers:
        if layer.name.startswith("bn"):
            assert np.abs(layer.moving_mean).max() > 0, layer.name


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_networks_answer_in_float32(tiny, policy):
    model = voice_encoder.build_voice_encoder(TINY, 7, policy)
    model.get_layer("table_1").set_weights(tiny.get_weights())
    assert model.get_layer("table_1").get_layer("conv5").compute_dtype == policy[6:]
    assert all(weight.dtype == "float32" for weight in model.weights)
    waveform = waveforms(2, 48_000)
    result = model(waveform)
    assert result.dtype == tf.float32
    expected = np.array(tiny(spectrogram.spectrogram(waveform)))
    cosine = np.sum(result * expected) / (
        np.linalg.norm(result) * np.linalg.norm(expected)
    )
    assert cosine > 0.999


def test_saved_and_loaded_it_is_the_same_function(tmp_path, tiny):
    model = voice_encoder.build_voice_encoder(TINY, 7)
    randomize(model, seed=4)
    waveform = waveforms(1, 48_000)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(waveform), model(waveform), rtol=1e-6)
    model.save_weights(tmp_path / "model.weights.h5")
    other = voice_encoder.build_voice_encoder(TINY, 7)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_allclose(other(waveform), model(waveform), rtol=1e-6)
