"""SavedModel: for TensorFlow, TensorFlow Serving and what is built on them."""

import io
import pathlib
from typing import Any, Callable

import keras
import numpy as np
import tensorflow as tf

from speech2face.exports import encoded_audio, network, small_weights
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.small_weights import Stored, WeightType
from speech2face.inference import Speech2Face

FROM_WAVEFORM = "serving_default"
FROM_CONTENTS = "from_contents"


def write(model: Speech2Face, path: pathlib.Path, weights: WeightType) -> None:
    """Writes `network.from_waveform` as a SavedModel."""
    _save(path, StoredNetwork(model, weights), with_contents=False)


def write_with_contents(
    model: Speech2Face, path: pathlib.Path, weights: WeightType
) -> None:
    """Writes a SavedModel with `network.from_contents` as a second signature.

    Whoever loads it imports tensorflow_io beforehand.
    """
    encoded_audio.tensorflow_io()
    _save(path, StoredNetwork(model, weights), with_contents=True)


def load(path: pathlib.Path) -> Runtime:
    """Loads a SavedModel: its signature from waveforms."""
    loaded = tf.saved_model.load(str(path))

    def call(waveforms: np.ndarray) -> Outputs:
        outputs = loaded.signatures[FROM_WAVEFORM](waveform=tf.constant(waveforms))
        return {name: value.numpy() for name, value in outputs.items()}

    return call


def load_contents(path: pathlib.Path) -> Runtime:
    """Loads a SavedModel: its signature from files, given waveforms as WAV files."""
    import soundfile

    loaded = tf.saved_model.load(str(path))

    def file_of(waveform):
        buffer = io.BytesIO()
        soundfile.write(buffer, waveform, 16_000, "FLOAT", format="WAV")
        return buffer.getvalue()

    def call(waveforms: np.ndarray) -> Outputs:
        contents = tf.constant([file_of(waveform) for waveform in waveforms])
        outputs = loaded.signatures[FROM_CONTENTS](contents=contents)
        return {name: value.numpy() for name, value in outputs.items()}

    return call


class StoredNetwork:
    """The model with its weights as they are stored.

    Attributes:
      variables: a tf.Module of the stored weights, and of nothing else.
    """

    def __init__(self, model: Speech2Face, weights: WeightType):
        """Takes the values of the model's variables."""
        self._model = model
        self._variables = [*model.encoder.variables, *model.decoder.model.variables]
        self.variables = tf.Module()
        self.variables.stored = [
            _Stored(small_weights.store(np.asarray(variable), weights))
            for variable in self._variables
        ]

    def function(self, of_model: Callable, inputs: tf.TensorSpec) -> Any:
        """Returns `of_model(model, inputs)` as a tf.function, with these weights."""

        def call(inputs):
            values = [stored() for stored in self.variables.stored]
            pairs = list(zip(self._variables, values))
            with keras.StatelessScope(state_mapping=pairs):
                return of_model(self._model, inputs)

        return tf.function(call, [inputs])


def _save(path: pathlib.Path, stored: StoredNetwork, with_contents: bool) -> None:
    signatures = {
        FROM_WAVEFORM: stored.function(network.from_waveform, network.WAVEFORM)
    }
    if with_contents:
        signatures[FROM_CONTENTS] = stored.function(
            network.from_contents, network.CONTENTS
        )
    tf.saved_model.save(stored.variables, str(path), signatures)


class _Stored(tf.Module):
    """One variable, in few bytes."""

    def __init__(self, stored: Stored):
        super().__init__()
        self._scales = None
        if isinstance(stored, small_weights.Int8):
            self._scales = tf.Variable(stored.broadcast_scales(), trainable=False)
            stored = stored.values
        self._values = tf.Variable(stored, trainable=False)

    def __call__(self) -> tf.Tensor:
        values = tf.cast(self._values, tf.float32)
        return values if self._scales is None else values * self._scales
