"""What users give to a model: refused in a sentence, at once."""

import numpy as np
import pytest

import speech2face
from speech2face.errors import UserError
from speech2face.inference import inputs
from tests.helpers.tiny_models import make_model

VOICE = (16_000 * np.sin(np.arange(16_000) / 6)).astype(np.int16)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_16_bit_samples_in_a_wider_type_are_refused_with_advice(dtype):
    with pytest.raises(UserError, match="like 16-bit ones") as caught:
        inputs.prepare(VOICE.astype(dtype), 16_000, False, "the recording")
    assert caught.value.reason == "not_scaled"
    scaled = VOICE.astype(dtype) << 8 * (np.dtype(dtype).itemsize - 2)
    expected = inputs.prepare(VOICE, 16_000, False, "it")
    waveform = inputs.prepare(scaled, 16_000, False, "it")
    np.testing.assert_allclose(waveform, expected, atol=1e-7)


def test_silence_in_any_integer_type_is_called_silent():
    with pytest.raises(UserError, match="silent"):
        inputs.prepare(np.zeros(16_000, np.int64), 16_000, False, "the recording")


@pytest.mark.parametrize(
    "voices",
    [
        "voice.wav",
        ["voice.wav"],
        None,
        [None],
        [],
        3.0,
        np.zeros(16_000, np.float32),
        [[[0.1, 0.2], [0.1]]],
        [VOICE],  # integers would be taken for samples of thousands
        [np.full(16_000, np.nan)],
        [np.full(16_000, 1e300)],
    ],
)
def test_what_is_not_a_list_of_waveforms_is_refused(voices):
    with pytest.raises(UserError, match=r"is not a list|expected|NaN or infinite"):
        inputs.recordings(voices)


def test_waveforms_and_recordings_are_taken():
    waveform = np.linspace(-0.5, 0.5, 16_000)
    first, again = inputs.recordings([waveform, *inputs.recordings([waveform])])
    for one in (first, again):
        np.testing.assert_array_equal(
            np.concatenate(list(one.blocks())), waveform.astype(np.float32)
        )
    assert [one.n_samples for one in inputs.recordings(np.ones([2, 5]))] == [5, 5]


def test_wrong_numbers_are_refused_before_any_work():
    for size in (0, 223, 1e9, "448", None, 448.0):
        with pytest.raises(UserError, match=r"image_size=.*expected an integer"):
            speech2face.load("nowhere", image_size=size)
    with pytest.raises(UserError, match="exaggeration='1': expected a number"):
        make_model()("gone.wav", exaggeration="1")


def test_a_stream_of_16_bit_samples_in_a_wider_type_is_refused():
    live = speech2face.StreamingSpeech2Face(make_model())
    blocks = VOICE.astype(np.int32).reshape(10, -1)
    for block in blocks[:9]:
        live.push(block)
        assert live.result() is None  # so quiet a beginning may be one
    live.push(blocks[9])
    for ask in (live.result, live.finish):
        with pytest.raises(UserError, match="look like 16-bit ones") as caught:
            ask()
        assert caught.value.reason == "not_scaled"
    live = speech2face.StreamingSpeech2Face(make_model())
    live.push(VOICE.astype(np.int32) << 16)
    assert live.result()
