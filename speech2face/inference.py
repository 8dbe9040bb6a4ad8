"""From a recording to a face: the trained model as one object, and its folder.

    model = Speech2Face.load()                  # the bundle that ships
    result = model(waveform, sample_rate_hz)    # result.image, .landmarks, .feature
    results = model([waveform, another], sample_rate_hz)

While somebody speaks: `speech2face.streaming`.

A bundle is one folder, written by `speech2face.export`:

    config.json        VoiceTrainingConfig
    voice_encoder.npz  weights of the network
    decoder/           see speech2face.decoder_bundle

A run folder loads as well, with its newest checkpoint.
"""

import dataclasses
import os
import pathlib
from typing import List, Optional, Sequence, Union, overload

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from speech2face import (
    audio,
    checkpoints,
    config_fields,
    decoder_bundle,
    files,
    pictures,
    voice_activity,
    weights,
)
from speech2face.config import VoiceTrainingConfig
from speech2face.decoder_bundle import DECODER_DIR, DecoderBundle
from speech2face.models import voice_encoder
from speech2face.pieces import PiecewiseEncoder
from speech2face.recordings import Recording, Samples
from speech2face.records import SAMPLE_RATE_HZ

DEFAULT_BUNDLE = pathlib.Path(__file__).parent / "pretrained" / "compact"

_WEIGHTS_FILE = "voice_encoder.npz"


@dataclasses.dataclass(frozen=True)
class Result:
    """What the model makes of one voice.

    Attributes:
      image: the face, 224 x 224 RGB: a synthetic average face, not the speaker.
      landmarks: [68, 2] float32 (x, y) pixels in `image`.
      feature: v_s [d] float32, normalised.
    """

    image: Image.Image
    landmarks: np.ndarray
    feature: np.ndarray


class Speech2Face:
    """A voice encoder and a face decoder (Fig. 2).

    Attributes:
      encoder: keras.Model, waveform [b, n] float32 at 16 kHz -> v_s [b, d].
      decoder: the face decoder with its normaliser and head; `decoder.model` is the
        keras.Model, v [b, d] -> landmarks, texture, image.
      pieces: the encoder on recordings of any length; shares its weights.
      config: how the encoder was built and trained.

    The Keras models are ordinary ones: use them in a model of your own, train them on.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: DecoderBundle,
        config: VoiceTrainingConfig,
    ):
        """Puts the parts together; see `load`."""
        self.encoder = encoder
        self.decoder = decoder
        self.config = config
        self.pieces = PiecewiseEncoder(encoder, config.voice_encoder)
        # Graphs: called op by op, a network of thousands of small ones takes seconds.
        any_batch = [tf.TensorSpec([None, None], tf.float32)]
        self._encode = tf.function(
            lambda waveforms: encoder(waveforms, training=False),
            any_batch,
            autograph=False,
        )
        self._decode = tf.function(
            lambda features: decoder.model(features, training=False),
            any_batch,
            autograph=False,
        )

    @classmethod
    def load(cls, folder: "Optional[os.PathLike[str]]" = None) -> "Speech2Face":
        """Loads a bundle or a run folder; without one, the model that ships.

        Raises:
          FileNotFoundError: `folder` is neither.
          ValueError: a file in it is damaged.
        """
        folder = pathlib.Path(folder or DEFAULT_BUNDLE)
        if not folder.is_dir():
            raise FileNotFoundError(f"there is no model at {folder}")
        config = checkpoints.read_config(folder, VoiceTrainingConfig)
        decoder = decoder_bundle.load(folder / DECODER_DIR)
        encoder = voice_encoder.build_voice_encoder(
            config.voice_encoder, decoder.recognizer.feature_dim
        )
        if (folder / _WEIGHTS_FILE).is_file():
            weights.load(
                folder / _WEIGHTS_FILE, voice_encoder.learned_variables(encoder)
            )
        else:
            checkpoints.Checkpointer(folder, encoder).restore_latest(required=True)
        return cls(encoder, decoder, config)

    def save(self, folder: "os.PathLike[str]", half: bool = False) -> None:
        """Writes the bundle, whole or not at all; `half`: the weights as float16."""
        with files.atomic_path(pathlib.Path(folder)) as temporary:
            temporary.mkdir()
            text = config_fields.to_json(self.config)
            (temporary / checkpoints.CONFIG_FILE).write_text(text)
            learned = voice_encoder.learned_variables(self.encoder)
            weights.save(temporary / _WEIGHTS_FILE, learned, half)
            self.decoder.save(temporary / DECODER_DIR, half)

    @property
    def clip_samples(self) -> int:
        """Length of the training clips; shorter recordings are tiled to it (Sec. 3)."""
        return round(self.config.audio.clip_secs * SAMPLE_RATE_HZ)

    def voice_features(
        self, recordings: Sequence[Union[np.ndarray, Recording]]
    ) -> np.ndarray:
        """Returns v_s [b, d] of recordings, in bounded memory whatever their lengths.

        Args:
          recordings: each [n] float32 at 16 kHz, or a `recordings.SoundFile`. One that
            is shorter than the training clips is tiled to their length (Sec. 3); a
            longer one is used whole.
        """
        return self.pieces.features([self._long_enough(r) for r in recordings])

    def _long_enough(self, recording: Union[np.ndarray, Recording]) -> Recording:
        if isinstance(recording, np.ndarray):
            recording = Samples(recording)
        if recording.n_samples >= self.clip_samples:
            return recording
        waveform = np.concatenate(list(recording.blocks()))
        return Samples(audio.fit_length(waveform, self.clip_samples))

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        """Returns v_s [b, d] of equally long recordings [b, n] float32, as they are."""
        return self._encode(waveforms).numpy()

    def faces(self, features: np.ndarray, exaggeration: float = 0.0) -> List[Result]:
        """Decodes features v [b, d] (from a voice or, for F2F, from a face).

        Args:
          features: normalised.
          exaggeration: how much to amplify what sets the feature apart from that of
            the average face; 0 shows the feature as it is. The published pictures use
            an undisclosed factor (BUILD_NOTES 19).
        """
        mean = self.decoder.mean_feature
        shown = mean + (1.0 + exaggeration) * (features - mean)
        outputs = self._decode(np.asarray(shown, np.float32))
        return [
            Result(Image.fromarray(image), landmarks, feature)
            for image, landmarks, feature in zip(
                pictures.to_uint8(outputs["image"]),
                np.asarray(outputs["landmarks"], np.float32),
                features,
            )
        ]

    @overload
    def __call__(
        self,
        waveform: np.ndarray,
        sample_rate_hz: int = ...,
        exaggeration: float = ...,
        trim_silence: bool = ...,
    ) -> Result: ...

    @overload
    def __call__(
        self,
        waveform: Sequence[np.ndarray],
        sample_rate_hz: int = ...,
        exaggeration: float = ...,
        trim_silence: bool = ...,
    ) -> List[Result]: ...

    def __call__(
        self,
        waveform,
        sample_rate_hz=SAMPLE_RATE_HZ,
        exaggeration=0.0,
        trim_silence=False,
    ):
        """Returns the face of one voice, or of each of several.

        Args:
          waveform: [n] or [n, channels], float in [-1, 1]; or a list or tuple of such,
            of any lengths: they are computed together.
          sample_rate_hz: its rate; other rates than 16 kHz are resampled.
          exaggeration: see `faces`.
          trim_silence: leave out what is no speech (`speech2face.voice_activity`).

        Returns:
          A `Result`, or a list of them.

        Raises:
          ValueError: a recording is silent, shorter than 0.1 s, or not finite; or
            it is no array; or there is no speech in it and it was to be trimmed; or
            the rate is not positive.
        """
        if not sample_rate_hz > 0:
            raise ValueError(f"sample_rate_hz={sample_rate_hz} is no rate of samples")
        several = isinstance(waveform, (list, tuple))
        waveforms = waveform if several else [waveform]
        prepared = []
        for index, one in enumerate(waveforms):
            name = f"recording {index}" if several else "the recording"
            prepared.append(_prepared(one, sample_rate_hz, trim_silence, name))
        if not prepared:
            return []
        results = self.faces(self.voice_features(prepared), exaggeration)
        return results if several else results[0]


def _prepared(
    waveform: np.ndarray, sample_rate_hz: int, trim_silence: bool, name: str
) -> np.ndarray:
    """[n] or [n, channels] -> [m] float32 at 16 kHz, checked."""
    samples = np.asarray(waveform)
    if samples.ndim == 0 or samples.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} is {waveform!r:.40}, no array of samples: a file is read with "
            "speech2face.audio.load_waveform, and a list holds one array a recording"
        )
    waveform = audio.one_channel(samples)
    if sample_rate_hz != SAMPLE_RATE_HZ:
        waveform = audio.resample(waveform, sample_rate_hz, SAMPLE_RATE_HZ)
    audio.check_waveform(waveform, name)
    if trim_silence:
        waveform = np.concatenate(list(voice_activity.trim([waveform])))
        voice_activity.check(len(waveform), name)
    return waveform
