"""The whole model as one graph, from the waveform to the face.

What `Speech2Face` does in Python around its networks (repeat what is too short,
Sec. 3) is in the graph here, so that another runtime needs nothing but the file.
"""

import contextlib
from typing import Any, Callable, Dict, Iterator, List

import keras
import numpy as np
import tensorflow as tf

from speech2face import audio
from speech2face.exports import encoded_audio
from speech2face.inference import Speech2Face

WAVEFORM = tf.TensorSpec([None, None], tf.float32, name="waveform")
CONTENTS = tf.TensorSpec([None], tf.string, name="contents")
OUTPUTS = ("feature", "landmarks", "texture", "image")

Outputs = Dict[str, np.ndarray]
Runtime = Callable[[np.ndarray], Outputs]  # waveforms [b, n] float32 -> outputs


def from_waveform(model: Speech2Face, waveform: Any) -> Dict[str, Any]:
    """Returns all that the model makes of waveforms, in a graph.

    Args:
      model: the trained model.
      waveform: [batch, n] float32 in [-1, 1] at 16 kHz, n from 1 on. What is shorter
        than the clips that the model was trained on is repeated to their length, the
        rest used whole.

    Returns:
      feature: v_s [batch, d], normalised.
      landmarks: [batch, 68, 2] (x, y) pixels in the image.
      texture: [batch, 224, 224, 3] in [0, 1], the face at the mean landmarks.
      image: [batch, 224, 224, 3] in [0, 1], the face.
    """
    return from_feature(model, _feature(model, waveform))


def from_contents(model: Speech2Face, contents: Any) -> Dict[str, Any]:
    """`from_waveform` of audio files [batch] string: see `encoded_audio.decode`."""

    def feature_of_one(file):
        return _feature(model, encoded_audio.decode(file)[tf.newaxis])[0]

    kind = tf.TensorSpec([model.decoder.recognizer.feature_dim], tf.float32)
    features = tf.map_fn(feature_of_one, contents, fn_output_signature=kind)
    return from_feature(model, features)


def from_feature(model: Speech2Face, feature: Any) -> Dict[str, Any]:
    """Returns the outputs of `from_waveform` for v_s [batch, d], itself among them."""
    face = model.decoder.model(feature, training=False)
    return {"feature": feature, **{name: face[name] for name in OUTPUTS[1:]}}


def in_keras(model: Speech2Face, waveforms: np.ndarray) -> Outputs:
    """What the exported files are compared with: the Keras models, called one by one.

    Arguments and result as `from_waveform`, in numpy.
    """
    n_samples = max(waveforms.shape[1], model.clip_samples)
    long_enough = np.stack([audio.fit_length(w, n_samples) for w in waveforms])
    outputs = from_feature(model, model.encode(long_enough))
    return {name: np.asarray(value) for name, value in outputs.items()}


@contextlib.contextmanager
def portable(model: Speech2Face) -> Iterator[None]:
    """What is traced here has only what TFLite and ONNX runtimes know.

    No Fourier transform (`fourier.transform`) and no linear solver (`warp.warp`).
    Results stay the same to within rounding.
    """
    switched = [
        layer
        for layer in all_layers(model.encoder) + all_layers(model.decoder.model)
        if hasattr(layer, "portable")
    ]
    for layer in switched:
        layer.portable = True
    try:
        yield
    finally:
        for layer in switched:
            layer.portable = False


def _feature(model, waveform):
    """v_s [b, d] of waveforms [b, n]."""
    n_samples = tf.shape(waveform)[1]
    at = tf.range(tf.maximum(n_samples, model.clip_samples)) % n_samples
    return model.encoder(tf.gather(waveform, at, axis=1), training=False)


def all_layers(layer: keras.layers.Layer) -> List[keras.layers.Layer]:
    """Returns a layer and, of a model, the layers in it at any depth."""
    inner = layer.layers if isinstance(layer, keras.Model) else []
    return [layer, *(found for one in inner for found in all_layers(one))]
