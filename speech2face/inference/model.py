"""The trained model as one object: from a recording to a face.

    model = speech2face.load()                  # the compact model that ships
    result = model("voice.wav")                 # result.image, .landmarks, .feature
    results = model(["voice.wav", "another.mp4"])
    result = model(waveform, sample_rate_hz)

A call is three steps, each of which has a method of its own:

    voices --inputs.prepare--> 16 kHz, checked --voice_features--> v_s --faces--> Result

For live audio see `speech2face.inference.streaming`.

A model is stored as a bundle (`speech2face.inference.bundle`), a folder that
`Speech2Face.save` and `speech2face.export` write. `Speech2Face.load` also takes a run
folder and uses its newest checkpoint.
"""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any, overload

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from speech2face import images
from speech2face.artifacts.decoder_bundle import DecoderBundle
from speech2face.audio import resampling, spectrogram
from speech2face.audio.recordings import Recording, Samples
from speech2face.config import InferencePrecision, VoiceTrainingConfig
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path
from speech2face.inference import bundle, inputs
from speech2face.inference.inputs import Voice
from speech2face.inference.piecewise_encoder import PiecewiseEncoder
from speech2face.models import check_keras_settings, larger_faces, voice_encoder
from speech2face.paper import FACE_PX, N_LANDMARKS, SAMPLE_RATE_HZ

# Memory does not grow with the number of recordings: a face takes 10 MB in the decoder.
_FACES_AT_ONCE = 16
_RECORDINGS_AT_ONCE = 256
DEFAULT_BUNDLE = pathlib.Path(__file__).parents[1] / "pretrained" / "compact"


@dataclasses.dataclass(frozen=True)
class Result:
    """The face of one voice: a synthetic average face, not the speaker.

    Attributes:
      image: 224 x 224 RGB, or of the `image_size` of the model.
      landmarks: [68, 2] float32 (x, y) px in `image`, in dlib's order.
      feature: v_s [d] float32, normalized.
    """

    image: Image.Image
    landmarks: np.ndarray
    feature: np.ndarray


class Speech2Face:
    """A voice encoder and a face decoder (Fig. 2).

    `encoder` and `decoder.model` are ordinary Keras models: fine-tune them, or use them
    as layers of another model.

    Attributes:
      encoder: keras.Model, waveform [b, n] float32 at 16 kHz -> v_s [b, d].
      decoder: the face decoder with its normalizer and head; `decoder.model` is the
        keras.Model, v [b, d] -> landmarks, texture, image.
      drawing_decoder: `decoder.model` with pictures of the size that was asked for; it
        shares its weights.
      piecewise_encoder: `encoder` for recordings of any length; shares its weights.
      config: how the encoder was built and trained.
      precision: arithmetic of the encoder, 'float32' or 'bfloat16'.
    """

    def __init__(
        self,
        encoder: keras.Model,
        decoder: DecoderBundle,
        config: VoiceTrainingConfig,
        image_size: int = FACE_PX,
    ):
        """Combines trained networks; most callers use `load`.

        Args:
          encoder: what `voice_encoder.build_voice_encoder` returned.
          decoder: the face decoder it was trained against.
          config: how `encoder` was built and trained.
          image_size: side of the faces in px, see `load`.
        """
        voice_encoder.check_clip_secs(config.voice_encoder, config.audio.clip_secs)
        inputs.check_image_size(image_size)
        self._process = os.getpid()
        self._image_size = image_size
        self.encoder = encoder
        self.decoder = decoder
        self.config = config
        self.precision = voice_encoder.precision_of(encoder)
        self.drawing_decoder = larger_faces.at_size(decoder.model, image_size)
        self.piecewise_encoder = PiecewiseEncoder(encoder, config.voice_encoder)
        # As graphs: run op by op, networks of thousands of small ops take seconds.
        any_batch = [tf.TensorSpec([None, None], tf.float32)]
        self._encode = tf.function(
            lambda waveforms: encoder(waveforms, training=False),
            any_batch,
            autograph=False,
        )
        self._decode = tf.function(
            lambda features: self.drawing_decoder(features, training=False),
            any_batch,
            autograph=False,
        )

    @classmethod
    def load(
        cls,
        folder: PathLike | None = None,
        image_size: int = FACE_PX,
        precision: InferencePrecision = "float32",
    ) -> "Speech2Face":
        """Loads a model from a folder.

        Args:
          folder: a bundle or a run folder; by default the compact model that ships.
          image_size: side of the faces in px, 224 (the paper's) to 1024. Larger ones
            are smoother, not more detailed (docs/decisions/image-size.md).
          precision: arithmetic of the voice encoder. 'bfloat16' is faster on a
            processor that multiplies it, and changes faces slightly
            (docs/decisions/inference-precision.md).

        Raises:
          FileNotFoundError: `folder` is neither.
          UserError: a file in it is damaged, the size is out of this range, there is no
            such precision, or Keras has settings for which the networks are not made.
        """
        check_keras_settings()
        inputs.check_image_size(image_size)  # before seconds of reading
        inputs.check_precision(precision)
        folder = as_path(DEFAULT_BUNDLE if folder is None else folder)
        return cls(*bundle.read(folder, precision), image_size)

    def save(self, folder: PathLike, half: bool = False) -> None:
        """Writes the bundle, whole or not at all.

        Args:
          folder: a bundle in it is replaced.
          half: store the weights as float16.

        Raises:
          UserError: `folder` holds something else.
        """
        bundle.write(folder, self._networks, half)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickles the model as the files of its bundle, for processes that `spawn`."""
        contents = bundle.to_bytes(self._networks)
        return _unpickled, (contents, self._image_size, self.precision)

    @property
    def _networks(self) -> bundle.Networks:
        return bundle.Networks(self.encoder, self.decoder, self.config)

    @property
    def clip_samples(self) -> int:
        """Length of a training clip; shorter recordings are repeated (Sec. 3)."""
        return round(self.config.audio.clip_secs * SAMPLE_RATE_HZ)

    def voice_features(
        self, recordings: Sequence[np.ndarray | Recording]
    ) -> np.ndarray:
        """Returns v_s [b, d] float32 of recordings of any lengths, in bounded memory.

        Args:
          recordings: each [n] float32 at 16 kHz, or a `recordings.SoundFile`. One that
            is shorter than a training clip is repeated to its length (Sec. 3); a longer
            one is used whole.

        Raises:
          UserError: there is no recording, or an array is empty, not [n], of integers,
            or not finite.
        """
        self._check_process()
        features = [
            self.piecewise_encoder.features([self._tile(each) for each in group])
            for group in _groups(inputs.recordings(recordings), _RECORDINGS_AT_ONCE)
        ]
        return np.concatenate(features)

    def _tile(self, recording: Recording) -> Recording:
        if recording.n_samples >= self.clip_samples:
            return recording
        # Short, so it fits into memory.
        waveform = np.concatenate(list(recording.blocks()))
        return Samples(spectrogram.fit_length(waveform, self.clip_samples))

    def encode(self, waveforms: np.ndarray) -> np.ndarray:
        """Returns v_s [b, d] float32 of equally long waveforms, without tiling.

        Args:
          waveforms: [b, n] float32 at 16 kHz.

        Raises:
          UserError: they are not [b, n], of integers, or not finite.
        """
        self._check_process()
        waveforms = inputs.waveforms(waveforms, "waveforms", [None, None])
        return self._encode(waveforms).numpy()

    def faces(self, features: np.ndarray, exaggeration: float = 0.0) -> list[Result]:
        """Decodes features of voices (S2F) or of faces (F2F).

        Args:
          features: v [b, d] float32, normalized.
          exaggeration: e in mean + (1 + e) (v - mean), where mean is the feature of
            the average face; 0 shows the feature as it is. The published pictures use
            an undisclosed factor (docs/decisions/exaggeration.md).

        Raises:
          UserError: `features` are not finite numbers [b, d], or `exaggeration` is not
            a number from -10 to 10.
        """
        self._check_process()
        features = self._checked_features(features)
        inputs.check_exaggeration(exaggeration)
        mean = self.decoder.mean_feature
        # Only the picture is exaggerated: `Result.feature` is the encoder's output.
        shown = mean + (1.0 + exaggeration) * (features - mean)
        faces: list[tuple[np.ndarray, np.ndarray]] = []
        for group in _groups(np.asarray(shown, np.float32), _FACES_AT_ONCE):
            outputs = self._decode(group)
            landmarks = np.asarray(outputs["landmarks"], np.float32)[:, :N_LANDMARKS]
            faces += zip(images.to_uint8(outputs["image"]), landmarks)
        return [
            Result(Image.fromarray(image), landmarks, feature)
            for (image, landmarks), feature in zip(faces, features)
        ]

    def _check_process(self) -> None:
        """Raises UserError in a fork, which lacks TensorFlow's threads.

        TensorFlow would wait for them forever.
        """
        if os.getpid() != self._process:
            raise UserError(
                "this model belongs to another process, and TensorFlow does not "
                "survive a fork: load a model in each process, or start them with "
                "multiprocessing.get_context('spawn')",
                reason="forked",
            )

    def _checked_features(self, features: np.ndarray) -> np.ndarray:
        """Returns features [b, d] float32, or raises UserError."""
        shape = [None, self.decoder.recognizer.feature_dim]
        features = inputs.checked(features, "features", shape)
        return inputs.finite_float32(features, "features", "bad_features")

    # A path is a sequence of characters to a type checker: the overload of one voice
    # comes first.
    @overload
    def __call__(  # type: ignore[overload-overlap]
        self,
        voice: Voice,
        sample_rate_hz: float = ...,
        exaggeration: float = ...,
        trim_silence: bool = ...,
    ) -> Result: ...

    @overload
    def __call__(
        self,
        voice: Sequence[Voice],
        sample_rate_hz: float = ...,
        exaggeration: float = ...,
        trim_silence: bool = ...,
    ) -> list[Result]: ...

    def __call__(
        self,
        voice: Voice | Sequence[Voice],
        sample_rate_hz: float = SAMPLE_RATE_HZ,
        exaggeration: float = 0.0,
        trim_silence: bool = False,
    ) -> Result | list[Result]:
        """Returns the face of one voice, or of each of several.

        Args:
          voice: the path of an audio or video file; or samples [n] or [n, channels],
            float in [-1, 1] or integers of any size, which are divided by their full
            scale; or a list or tuple of such voices of any lengths, which are computed
            together.
          sample_rate_hz: rate of the samples; a file has its own. Other rates than 16
            kHz are resampled.
          exaggeration: see `faces`.
          trim_silence: remove pauses first (`audio.voice_activity`).

        Returns:
          A `Result`, or a list of them for a list of voices.

        Raises:
          FileNotFoundError: there is no such file.
          UserError: a voice is silent, shorter than 0.1 s, not finite, neither a
            readable file nor an array; or it has no speech and `trim_silence` is set;
            or the rate is not from 4 to 768 kHz; or `exaggeration`, see `faces`.
        """
        resampling.check_rate(sample_rate_hz)
        inputs.check_exaggeration(exaggeration)  # before seconds of work
        if not isinstance(voice, (list, tuple)):
            prepared = inputs.prepare(
                voice, sample_rate_hz, trim_silence, "the recording"
            )
            return self.faces(self.voice_features([prepared]), exaggeration)[0]
        several = [
            inputs.prepare(one, sample_rate_hz, trim_silence, f"recording {index}")
            for index, one in enumerate(voice)
        ]
        if not several:
            return []
        return self.faces(self.voice_features(several), exaggeration)


load = Speech2Face.load  # speech2face.load()


def _unpickled(
    contents: dict[str, bytes], image_size: int, precision: InferencePrecision
) -> Speech2Face:
    """Builds a model from the files of a bundle: relative path -> content."""
    check_keras_settings()
    return Speech2Face(*bundle.from_bytes(contents, precision), image_size)


def _groups(items: Any, size: int) -> list[Any]:
    """Returns parts of at most `size` items; of no items, one empty part."""
    return [items[i : i + size] for i in range(0, max(len(items), 1), size)]
