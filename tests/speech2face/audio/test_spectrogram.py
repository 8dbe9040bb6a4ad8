"""Spectrograms against scipy, librosa and a float64 twin."""

import keras
import librosa
import numpy as np
import pytest
import scipy.signal
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from speech2face.audio import spectrogram


def noise(*shape, seed=0):
    values = np.random.default_rng(seed).uniform(-0.5, 0.5, shape)
    return values.astype(np.float32)


def spectrogram_twin(waveform):
    """Sec. 3 word by word in float64: [n] -> [frames, 257] complex, uncompressed."""
    window = scipy.signal.get_window("hann", 400)  # periodic
    frames = [
        np.fft.rfft(window * waveform[start : start + 400].astype(np.float64), 512)
        for start in range(0, len(waveform) - 399, 160)
    ]
    return np.array(frames)


# Fitting


def test_short_sound_is_repeated_then_cut():
    fitted = spectrogram.fit_length(np.array([1, 2, 3]), 8)
    assert fitted.tolist() == [1, 2, 3, 1, 2, 3, 1, 2]


def test_long_sound_keeps_its_beginning():
    assert spectrogram.fit_length(np.arange(9), 4).tolist() == [0, 1, 2, 3]


def test_nothing_cannot_be_repeated():
    with pytest.raises(ValueError, match="without samples"):
        spectrogram.fit_length(np.zeros(0), 5)


@given(st.integers(1, 50), st.integers(1, 200))
def test_fitted_sample_k_is_sample_k_modulo_the_length(n, n_fitted):
    fitted = spectrogram.fit_length(np.arange(n), n_fitted)
    assert fitted.tolist() == [k % n for k in range(n_fitted)]


# Spectrogram


@pytest.mark.parametrize(("n_samples", "frames"), [(96_000, 598), (48_000, 298)])
def test_shape_is_the_papers(n_samples, frames):
    result = spectrogram.spectrogram(noise(1, n_samples))
    assert result.shape == (1, frames, 257, 2)  # centered would be 601, 512-window 597
    assert result.dtype == tf.float32
    assert spectrogram.n_frames(n_samples) == frames


@settings(deadline=None, max_examples=40)
@given(st.integers(400, 6_000), st.integers(0, 2**31))
def test_equals_the_float64_twin_at_any_length(n_samples, seed):
    waveform = noise(n_samples, seed=seed)
    expected = spectrogram_twin(waveform)
    result = np.array(spectrogram.complex_spectrogram(waveform[None]))[0]
    assert len(expected) == spectrogram.n_frames(n_samples) == len(result)
    np.testing.assert_allclose(result[..., 0], expected.real, atol=2e-5)
    np.testing.assert_allclose(result[..., 1], expected.imag, atol=2e-5)


def test_the_portable_transform_equals_the_twin():
    waveform = noise(2_000)
    result = np.array(spectrogram.complex_spectrogram(waveform[None], portable=True))
    expected = spectrogram_twin(waveform)
    np.testing.assert_allclose(result[0, ..., 0], expected.real, atol=5e-5)
    np.testing.assert_allclose(result[0, ..., 1], expected.imag, atol=5e-5)


def test_layer_takes_all_that_is_long_enough():
    assert spectrogram.Spectrogram(560)(noise(1, 560)).shape == (1, 2, 257, 2)
    with pytest.raises(ValueError, match="559 samples are too short"):
        spectrogram.Spectrogram(560)(noise(1, 559))


@pytest.mark.parametrize(
    ("n_samples", "frames"), [(0, 0), (399, 0), (400, 1), (559, 1), (560, 2)]
)
def test_frame_count_at_the_edges(n_samples, frames):
    assert spectrogram.n_frames(n_samples) == frames


def test_equals_scipy_and_librosa():
    waveform = noise(16_000)
    result = np.array(spectrogram.complex_spectrogram(waveform[None]))[0]
    result = result[..., 0] + 1j * result[..., 1]
    _, _, by_scipy = scipy.signal.stft(
        waveform.astype(np.float64),
        window="hann",
        nperseg=400,
        noverlap=240,
        nfft=512,
        boundary=None,
        padded=False,
    )
    by_scipy *= scipy.signal.get_window("hann", 400).sum()  # scipy divides by it
    np.testing.assert_allclose(result, by_scipy.T, atol=2e-5)

    # librosa centers the 400-sample window in its 512-sample frame: 56 zeros in front.
    by_librosa = librosa.stft(
        np.pad(waveform, (56, 56)), n_fft=512, hop_length=160, win_length=400,
        window="hann", center=False, dtype=np.complex128,
    ).T  # fmt: skip
    shift = np.exp(2j * np.pi * np.arange(257) * 56 / 512)  # back to the first sample
    np.testing.assert_allclose(result, by_librosa * shift, atol=5e-5)


def test_phase_refers_to_the_first_sample_of_the_frame():
    impulse = np.zeros([1, 400], np.float32)
    impulse[0, 200] = 1.0  # where the window is 1
    result = np.array(spectrogram.complex_spectrogram(impulse))[0, 0]
    angle = -2 * np.pi * np.arange(257) * 200 / 512
    np.testing.assert_allclose(result[:, 0], np.cos(angle), atol=1e-6)
    np.testing.assert_allclose(result[:, 1], np.sin(angle), atol=1e-6)


def test_compression_by_hand():
    values = np.array([0.0, 1.0, -1.0, 32.0, -1e-3], np.float32)
    expected = [0.0, 1.0, -1.0, 2.8284271, -0.12589254]  # 2^1.5, 10^-0.9
    np.testing.assert_allclose(spectrogram.compress(values), expected, rtol=1e-5)


def test_real_and_imaginary_are_compressed_independently():
    waveform = noise(1, 4_000)
    twin = spectrogram_twin(waveform[0])
    expected = np.stack([twin.real, twin.imag], -1)
    expected = np.sign(expected) * np.abs(expected) ** 0.3
    result = np.array(spectrogram.spectrogram(waveform))[0]
    # Where a component is near 0 rounding grows: 2e-5 ** 0.3 is 0.04.
    np.testing.assert_allclose(result, expected, atol=0.05)
    loud = np.abs(expected) > 0.5
    np.testing.assert_allclose(result[loud], expected[loud], atol=2e-4)
    assert (result[..., 0] < 0).any() and (result[..., 1] < 0).any()
    by_magnitude = np.abs(twin) ** 0.3
    assert np.abs(result[..., 0] - by_magnitude).max() > 1.0  # nor magnitude and phase


def test_batches_are_independent():
    waveforms = noise(3, 2_000)
    together = np.array(spectrogram.spectrogram(waveforms))
    for k in range(3):
        alone = np.array(spectrogram.spectrogram(waveforms[k : k + 1]))[0]
        np.testing.assert_allclose(together[k], alone, atol=0.02)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_runs_in_a_graph_of_unknown_length_and_under_xla(jit_compile):
    signature = [tf.TensorSpec([None, None], tf.float32)]
    compiled = tf.function(
        spectrogram.complex_spectrogram,
        jit_compile=jit_compile,
        input_signature=None if jit_compile else signature,
    )
    waveform = noise(2, 5_000)
    expected = np.array(spectrogram.complex_spectrogram(waveform))
    result = np.array(compiled(tf.constant(waveform)))
    np.testing.assert_allclose(result, expected, atol=2e-5)


def test_layer_computes_in_float32_under_any_policy(tmp_path):
    waveform = noise(1, 3_000)
    expected = np.array(spectrogram.spectrogram(waveform))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        result = spectrogram.Spectrogram()(waveform)
    finally:
        keras.config.set_dtype_policy("float32")
    assert result.dtype == tf.float32
    np.testing.assert_array_equal(result, expected)


def test_layer_survives_saving_and_export(tmp_path):
    inputs = keras.Input([None])
    model = keras.Model(inputs, spectrogram.Spectrogram()(inputs))
    assert model.output_shape == (None, None, 257, 2)
    waveform = noise(2, 3_000)
    expected = np.array(model(waveform))

    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(waveform), expected)

    model.export(tmp_path / "exported", verbose=False)
    exported = tf.saved_model.load(str(tmp_path / "exported"))
    for size in (3_000, 1_000):  # any length
        result = np.array(exported.serve(tf.constant(waveform[:, :size])))
        frames = spectrogram.n_frames(size)
        np.testing.assert_allclose(result, expected[:, :frames], atol=0.02)
