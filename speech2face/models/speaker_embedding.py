"""The pretrained speaker recognizer as a layer: a waveform becomes a voice vector.

The network is CAM++ (`models.campplus`), frozen, with Kaldi's filter bank before it, so
that everything from the waveform on is in the graph. It was trained on sounds of 3 s
and is used on windows of 6 s here, the length of the paper's clips (Sec. 3):

    samples   |--------------------------------------->| n
    windows   [     0     ][     1     ]
                                 [     2     ]           ends with the sound

Windows follow one another. Where the last one would reach past the end, it ends with
the sound, and counts by the share of its samples that no window before it has. So all
of a sound counts alike, and nothing is padded. The vector of a sound is the mean of its
windows' vectors: a long recording can be computed window by window, with the same
result (docs/decisions/voice-windows.md). A shorter sound than a window is repeated, as
Sec. 3 repeats short clips.

`tools.import_speaker_embedder` makes the weights file.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from speech2face import paper
from speech2face.audio import kaldi_fbank
from speech2face.config import InferencePrecision
from speech2face.errors import UserError
from speech2face.models import campplus
from speech2face.npz_files import read_npz

WEIGHTS_FILE = (
    pathlib.Path(__file__).parents[1]
    / "pretrained"
    / "speaker_embedder"
    / "campplus.npz"
)
EMBEDDING_DIM = campplus.EMBEDDING_DIM
VOICE_DIM = campplus.EMBEDDING_DIM + campplus.STATISTICS_DIM
WINDOW_SAMPLES = round(paper.CLIP_SECS * paper.SAMPLE_RATE_HZ)


def build_embedding(precision: InferencePrecision = "float32") -> keras.Model:
    """Builds the pretrained network, frozen.

    Args:
      precision: arithmetic of its convolutions and matrix products
        (docs/decisions/inference-precision.md).

    Returns:
      A model from a waveform [batch, n_samples] float32 at 16 kHz to the voice vector
      [batch, 1216] float32: CAM++'s embedding, then its pooled statistics, both as the
      network gives them.

    Raises:
      FileNotFoundError: the weights are missing.
      UserError: they are damaged.
    """
    waveform = keras.Input([None], name="waveform")
    layer = SpeakerEmbedding(precision, trainable=False, name="campplus")
    vector = layer(waveform)
    layer.load(read_weights())
    return keras.Model(waveform, vector, name="speaker_embedding")


@keras.saving.register_keras_serializable("speech2face")
class SpeakerEmbedding(layers.Layer):
    """CAM++ with its filter bank: waveform [b, n_samples] -> voice vector [b, 1216].

    Attributes:
      portable: see `speech2face.exports.network`.
      precision: arithmetic of convolutions and matrix products.
    """

    is_pretrained = True  # see voice_encoder.learned_variables

    def __init__(self, precision: InferencePrecision = "float32", **kwargs: Any):
        """Takes the precision and the arguments of a Keras layer."""
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.portable = False
        self.precision = precision
        self._arrays: dict[str, Any] = {}

    def build(self, input_shape: Any) -> None:
        """Creates the weights."""
        large = campplus.large_kernels()
        for name, shape in campplus.packed_shapes().items():
            self._arrays[name] = self.add_weight(
                shape=shape,
                initializer="zeros",
                # A copy in bfloat16 would be made at every call.
                dtype=self.precision if name in large else "float32",
                trainable=self.trainable,
                name=name,
            )

    def load(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Assigns what `read_weights` returned."""
        for name, variable in self._arrays.items():
            variable.assign(arrays[name])

    def call(self, waveform: Any) -> Any:
        """Returns the mean over the windows, the last of which counts by its share."""
        windows, shares = self._windows(waveform)
        # [b, k, 96000] -> [b * k, 96000] -> [b, k, 1216]
        vectors = self.embed_windows(ops.reshape(windows, [-1, WINDOW_SAMPLES]))
        vectors = ops.reshape(vectors, [-1, ops.shape(windows)[1], VOICE_DIM])
        return ops.sum(vectors * shares[:, None], axis=1) / ops.sum(shares)

    def embed_windows(self, windows: Any) -> Any:
        """Returns the vector of each window, [b, 96000] -> [b, 1216]."""
        log_mel = kaldi_fbank.log_mel(windows, self.portable)
        return campplus.embed(log_mel, campplus.unpack(self._arrays))

    def _windows(self, waveform: Any) -> tuple[Any, Any]:
        """Returns the windows [b, k, 96000], and how much each counts [k]."""
        n_samples = ops.shape(waveform)[1]
        n_repeated = ops.maximum(n_samples, WINDOW_SAMPLES)
        count = (n_repeated + WINDOW_SAMPLES - 1) // WINDOW_SAMPLES
        starts = WINDOW_SAMPLES * ops.arange(count)
        shares = ops.minimum(n_repeated - starts, WINDOW_SAMPLES)
        starts = ops.minimum(starts, n_repeated - WINDOW_SAMPLES)
        index = starts[:, None] + np.arange(WINDOW_SAMPLES, dtype="int32")
        windows = ops.take(waveform, index % n_samples, axis=1)
        return windows, ops.cast(shares, "float32") / WINDOW_SAMPLES

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {**super().get_config(), "precision": self.precision}

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns [batch, 1216]."""
        return (input_shape[0], VOICE_DIM)


def read_weights() -> dict[str, np.ndarray]:
    """Returns the weights, float32, by the names of `campplus.packed_names`.

    Raises:
      FileNotFoundError: the file is missing.
      UserError: it is damaged.
    """
    path = WEIGHTS_FILE
    try:
        arrays = read_npz(path)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"there are no weights at {path}; reinstall speech2face"
        ) from None
    except UserError as error:
        raise UserError(f"{error}; reinstall speech2face") from None
    arrays.pop("source_sha256", None)
    expected = campplus.packed_shapes()
    if {name: arrays[name].shape for name in arrays} != expected:
        raise UserError(f"{path} is damaged: it is not CAM++; reinstall")
    return {name: array.astype(np.float32) for name, array in arrays.items()}
