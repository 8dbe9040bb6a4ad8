"""SavedModel: for TensorFlow, TensorFlow Serving and what is built on them."""

import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np
import soundfile
import tensorflow as tf

from speech2face import paper
from speech2face.exports import encoded_audio, network
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.request import WeightType
from speech2face.exports.small_weights import StoredVariables
from speech2face.inference.model import Speech2Face

FROM_WAVEFORM = "serving_default"
FROM_CONTENTS = "from_contents"


def write(model: Speech2Face, path: pathlib.Path, weights: WeightType) -> None:
    """Writes `network.from_waveform` as a SavedModel.

    Args:
      model: a model whose weights are `small_weights.rounded`.
      path: path of the new folder.
      weights: how they are stored.
    """
    stored = StoredNetwork(model, weights)
    stored.save(
        path, {FROM_WAVEFORM: stored.function(network.from_waveform, network.WAVEFORM)}
    )


def write_with_contents(
    model: Speech2Face, path: pathlib.Path, weights: WeightType
) -> None:
    """Writes a SavedModel with `network.from_contents` as a second signature.

    Import tensorflow-io before loading it: docs/tutorials/exporting.md.

    Args:
      model: a model whose weights are `small_weights.rounded`.
      path: path of the new folder.
      weights: how they are stored.
    """
    encoded_audio.tensorflow_io()
    stored = StoredNetwork(model, weights)
    stored.save(
        path,
        {
            FROM_WAVEFORM: stored.function(network.from_waveform, network.WAVEFORM),
            FROM_CONTENTS: stored.function(network.from_contents, network.CONTENTS),
        },
    )


def load(path: pathlib.Path) -> Runtime:
    """Loads a SavedModel: its signature that takes waveforms."""
    loaded = tf.saved_model.load(str(path))

    def call(waveforms: np.ndarray) -> Outputs:
        outputs = loaded.signatures[FROM_WAVEFORM](waveform=tf.constant(waveforms))
        return {name: value.numpy() for name, value in outputs.items()}

    return call


def load_contents(path: pathlib.Path) -> Runtime:
    """Loads a SavedModel: its signature that takes files, which are WAV here."""
    loaded = tf.saved_model.load(str(path))

    def call(waveforms: np.ndarray) -> Outputs:
        contents = tf.constant([_wav(waveform) for waveform in waveforms])
        outputs = loaded.signatures[FROM_CONTENTS](contents=contents)
        return {name: value.numpy() for name, value in outputs.items()}

    return call


class StoredNetwork:
    """The model with its weights as they are stored."""

    def __init__(self, model: Speech2Face, weights: WeightType):
        """Takes the values of the model's variables."""
        self._model = model
        self._stored = StoredVariables(network.variables(model), weights)
        # A SavedModel holds the variables of one module: these, and not the model's.
        self._module = tf.Module()
        self._module.arrays = [
            [tf.Variable(array, trainable=False) for array in arrays]
            for arrays in self._stored.arrays
        ]

    def function(self, of_model: Callable, inputs: tf.TensorSpec) -> Any:
        """Returns `of_model(model, inputs)` as a tf.function with these weights."""

        def call(inputs: tf.Tensor) -> Any:
            # Traced inside the scope: the graph restores float32 from the small arrays.
            with self._stored.scope(self._module.arrays):
                return of_model(self._model, inputs)

        return tf.function(call, [inputs], autograph=False)

    def save(self, path: pathlib.Path, signatures: dict) -> None:
        """Writes functions of this network as the signatures of a SavedModel."""
        tf.saved_model.save(self._module, str(path), signatures)


def _wav(waveform: np.ndarray) -> bytes:
    """A waveform [n] at 16 kHz as a WAV file, without loss."""
    buffer = io.BytesIO()
    soundfile.write(buffer, waveform, paper.SAMPLE_RATE_HZ, "FLOAT", format="WAV")
    return buffer.getvalue()
