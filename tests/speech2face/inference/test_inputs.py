"""Arrays that users give to a model."""

import numpy as np
import pytest

from speech2face.errors import UserError
from speech2face.inference import inputs

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
