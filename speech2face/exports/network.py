"""The whole model as one graph, from the waveform to the face.

What `Speech2Face` does in Python around its networks (repeating sound that is too
short, Sec. 3) is in the graph here, so that another runtime needs nothing but the file
(docs/decisions/single-export-graph.md).
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from speech2face.audio import spectrogram
from speech2face.audio.loudness import LOUDEST_PEAK
from speech2face.exports import encoded_audio
from speech2face.inference.model import Speech2Face
from speech2face.paper import N_LANDMARKS

WAVEFORM = tf.TensorSpec([None, None], tf.float32, name="waveform")
CONTENTS = tf.TensorSpec([None], tf.string, name="contents")
OUTPUTS = ("feature", "landmarks", "texture", "image")

_NO_SOUND = (
    "waveform must be mono float32 in [-1, 1] at 16 kHz, without NaN: divide integers "
    "by their full scale"
)

Outputs = dict[str, np.ndarray]
Runtime = Callable[[np.ndarray], Outputs]  # waveforms [b, n] float32 -> outputs


def from_waveform(model: Speech2Face, waveform: Any) -> dict[str, Any]:
    """Returns everything that the model computes from waveforms, in a graph.

    Args:
      model: the trained model.
      waveform: [batch, n] float32 in [-1, 1] at 16 kHz, n >= 1. Shorter sound than the
        clips of the training is repeated to their length; longer sound is used whole.
        Samples beyond +-4 or NaN are an InvalidArgumentError of a SavedModel, and NaN
        in all outputs of TFLite and ONNX, which have no errors in a graph.

    Returns:
      feature: v_s [batch, d], normalized.
      landmarks: [batch, 68, 2] (x, y) pixels in the image.
      texture: [batch, 224, 224, 3] in [0, 1], the face at the mean landmarks.
      image: [batch, s, s, 3] in [0, 1], the face; s is the model's `image_size`, by
        default 224.
    """
    if not _is_portable(model):
        return from_feature(model, _feature(model, waveform))
    # TFLite and ONNX have no errors in a graph: what cannot be sound gives NaN, but
    # only at the end, because the warp would look for points at NaN.
    is_sound = _is_sound(waveform)
    # tf2onnx would choose by `* 0 +`, which keeps NaN, but knows `x != x`.
    finite = tf.where(tf.not_equal(waveform, waveform), 0.0, waveform)
    finite = tf.clip_by_value(finite, -LOUDEST_PEAK, LOUDEST_PEAK)
    outputs = from_feature(model, _feature(model, finite))
    return {name: _or_nan(is_sound, value) for name, value in outputs.items()}


def from_contents(model: Speech2Face, contents: Any) -> dict[str, Any]:
    """`from_waveform` of audio files [batch] string: see `encoded_audio.decode`."""

    def feature_of_one(file: tf.Tensor) -> tf.Tensor:
        return _feature(model, encoded_audio.decode(file)[tf.newaxis])[0]

    feature = tf.TensorSpec([model.decoder.recognizer.feature_dim], tf.float32)
    # One by one, because the files have different lengths.
    features = tf.map_fn(feature_of_one, contents, fn_output_signature=feature)
    return from_feature(model, features)


def from_feature(model: Speech2Face, feature: Any) -> dict[str, Any]:
    """Returns the outputs of `from_waveform` for v_s [batch, d], itself among them."""
    face = model.drawing_decoder(feature, training=False)
    outputs = {"feature": feature, **{name: face[name] for name in OUTPUTS[1:]}}
    # Without the points of the outline, which only the warp needs.
    outputs["landmarks"] = outputs["landmarks"][:, :N_LANDMARKS]
    return outputs


def in_keras(model: Speech2Face, waveforms: np.ndarray) -> Outputs:
    """Calls the Keras models one by one: what exported files are compared with.

    Args:
      model: the trained model.
      waveforms: [batch, n] float32 as for `from_waveform`.

    Returns:
      Those of `from_waveform`.
    """
    n_samples = max(waveforms.shape[1], model.clip_samples)
    long_enough = np.stack([spectrogram.fit_length(w, n_samples) for w in waveforms])
    outputs = from_feature(model, model.encode(long_enough))
    return {name: np.asarray(value) for name, value in outputs.items()}


@contextlib.contextmanager
def portable(model: Speech2Face) -> Iterator[None]:
    """Within the context, the model is traced with what TFLite and ONNX runtimes have.

    They have no Fourier transform (`fourier.transform`) and no linear solver
    (`warp.warp`). The results are the same to within rounding.
    """
    switched = [layer for layer in all_layers(model) if hasattr(layer, "portable")]
    for layer in switched:
        layer.portable = True
    try:
        yield
    finally:
        for layer in switched:
            layer.portable = False


def variables(model: Speech2Face) -> list[keras.Variable]:
    """Returns the variables of the voice encoder and of the face decoder."""
    return [*model.encoder.variables, *model.decoder.model.variables]


def all_layers(model: Speech2Face) -> list[keras.layers.Layer]:
    """Returns the layers of both networks at any depth."""
    return [*_with_inner(model.encoder), *_with_inner(model.drawing_decoder)]


def _with_inner(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    inner = layer.layers if isinstance(layer, keras.Model) else []
    return [layer, *(deeper for one in inner for deeper in _with_inner(one))]


def _feature(model: Speech2Face, waveform: tf.Tensor) -> tf.Tensor:
    """v_s [b, d] of waveforms [b, n]."""
    if not _is_portable(model):
        check = tf.debugging.Assert(tf.reduce_all(_is_sound(waveform)), [_NO_SOUND])
        with tf.control_dependencies([check]):
            waveform = tf.identity(waveform)
    n_samples = tf.shape(waveform)[1]
    indices = tf.range(tf.maximum(n_samples, model.clip_samples)) % n_samples
    return model.encoder(tf.gather(waveform, indices, axis=1), training=False)


def _or_nan(is_sound: tf.Tensor, values: tf.Tensor) -> tf.Tensor:
    shape = [-1, *[1] * (len(values.shape) - 1)]
    return tf.where(tf.reshape(is_sound, shape), values, np.float32(np.nan))


def _is_sound(waveform: tf.Tensor) -> tf.Tensor:
    """[b, n] -> [b] bool; a NaN is not equal to anything.

    ONNX has `not >` for `<=`, which is true of NaN; its `==` is that of TensorFlow.
    """
    clipped = tf.clip_by_value(waveform, -LOUDEST_PEAK, LOUDEST_PEAK)
    return tf.reduce_all(tf.equal(clipped, waveform), axis=1)


def _is_portable(model: Speech2Face) -> bool:
    return any(getattr(layer, "portable", False) for layer in all_layers(model))
