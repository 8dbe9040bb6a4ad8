"""Shared by the tests of exported files."""

import pytest

from speech2face.exports import encoded_audio


def skip_without_tensorflow_io():
    """Skips where no tensorflow-io fits this TensorFlow."""
    try:
        encoded_audio.tensorflow_io()
    except ValueError as error:
        pytest.skip(str(error))
