"""From a recording to a face: the trained model as one object, and its folder.

    model = Speech2Face.load()                  # the bundle that ships
    result = model(waveform, sample_rate_hz)    # result.image, .landmarks, .feature

A bundle is one folder, written by `speech2face.export`:

    config.json        VoiceTrainingConfig
    voice_encoder.npz  weights of the network
    decoder/           see speech2face.decoder_bundle

A run folder loads as well, with its newest checkpoint.
"""

import dataclasses
import os
import pathlib
from typing import List, Optional, Sequence

import keras
import librosa
import numpy as np
import tensorflow as tf
from PIL import Image

from speech2face import audio, checkpoints, decoder_bundle, files, pictures, weights
from speech2face import config as config_lib
from speech2face.config import VoiceTrainingConfig
from speech2face.decoder_bundle import DECODER_DIR, DecoderBundle
from speech2face.models import voice_encoder
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
      decoder: the face decoder with its normaliser and head.
      config: how the encoder was built and trained.
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
        # Graphs: called op by op, a network of thousands of small ones takes seconds.
        any_batch = [tf.TensorSpec([None, None], tf.float32)]
        self._encode = tf.function(
            lambda waveforms: encoder(waveforms, training=False), any_batch
        )
        self._decode = tf.function(
            lambda features: decoder.model(features, training=False), any_batch
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
            text = config_lib.to_json(self.config)
            (temporary / checkpoints.CONFIG_FILE).write_text(text)
            learned = voice_encoder.learned_variables(self.encoder)
            weights.save(temporary / _WEIGHTS_FILE, learned, half)
            self.decoder.save(temporary / DECODER_DIR, half)

    def voice_features(self, waveforms: Sequence[np.ndarray]) -> np.ndarray:
        """Returns v_s [b, d] of recordings [n] float32 at 16 kHz, of any lengths.

        A recording shorter than the training clips is tiled to their length (Sec. 3);
        a longer one is used whole.
        """
        n_clip = round(self.config.audio.clip_secs * SAMPLE_RATE_HZ)
        features = []
        for waveform in waveforms:
            if len(waveform) < n_clip:
                waveform = audio.fit_length(waveform, n_clip)
            features.append(self.encode(waveform[np.newaxis])[0])
        return np.stack(features)

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

    def __call__(
        self,
        waveform: np.ndarray,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        exaggeration: float = 0.0,
    ) -> Result:
        """Returns the face of one voice.

        Args:
          waveform: [n] or [n, channels], float in [-1, 1].
          sample_rate_hz: its rate; other rates than 16 kHz are resampled.
          exaggeration: see `faces`.

        Raises:
          ValueError: the recording is silent, shorter than 0.1 s, or not finite.
        """
        waveform = np.asarray(waveform, np.float32)
        if waveform.ndim == 2:
            waveform = waveform.mean(1)
        if sample_rate_hz != SAMPLE_RATE_HZ:
            waveform = librosa.resample(
                waveform, orig_sr=sample_rate_hz, target_sr=SAMPLE_RATE_HZ
            )
        audio.check_waveform(waveform, "the recording")
        return self.faces(self.voice_features([waveform]), exaggeration)[0]
