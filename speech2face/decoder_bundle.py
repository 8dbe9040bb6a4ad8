"""The trained face decoder with all that belongs to it, as one folder.

    config.json           FaceDecoderConfig
    decoder.npz           weights of the network
    assets.npz            mean landmarks and feature, normaliser, recognizer head
    recognizer.json       which recognizer's features it takes

`speech2face.train_face_decoder` writes it; every voice run and every bundle carries
one as `decoder/`. The recognizer network itself is not part of it: training the voice
encoder needs only its classifier head, f_VGG, and the decoder's first layer, f_dec.
"""

import dataclasses
import hashlib
import json
import os
import pathlib

import keras
import numpy as np

from speech2face import config as config_lib
from speech2face import config_fields, files, weights
from speech2face.dataset_info import RecognizerInfo
from speech2face.models import face_decoder
from speech2face.normalizer import FeatureNormalizer
from speech2face.recognizers import RecognizerHead

DECODER_DIR = "decoder"

_CONFIG_FILE = "config.json"
_WEIGHTS_FILE = "decoder.npz"
_ASSETS_FILE = "assets.npz"
_RECOGNIZER_FILE = "recognizer.json"


@dataclasses.dataclass(frozen=True)
class DecoderBundle:
    """A face decoder and what its features mean.

    Attributes:
      model: v_f [b, d] -> dict, see `models.face_decoder.build_face_decoder`.
      config: what `model` was built from.
      normalizer: raw recognizer feature <-> v_f.
      head: raw recognizer feature -> logits, f_VGG of Eq. 1.
      mean_landmarks: [68, 2] float32 (x, y) pixels.
      mean_feature: [d] float32, the v_f of the average training face.
      recognizer: whose features these are.
    """

    model: keras.Model
    config: config_lib.FaceDecoderConfig
    normalizer: FeatureNormalizer
    head: RecognizerHead
    mean_landmarks: np.ndarray
    mean_feature: np.ndarray
    recognizer: RecognizerInfo

    def face_logits(self, face_feature):
        """Returns f_VGG(v) [b, classes] of normalised features v [b, d]."""
        return self.head.logits(self.normalizer.denormalize(face_feature))

    def checksum(self) -> str:
        """Returns a sha256 over all values of the decoder, its head and normaliser."""
        digest = hashlib.sha256(config_fields.to_json(self.config).encode())
        arrays = [*self.model.get_weights(), self.mean_landmarks, self.normalizer.mean]
        arrays += [self.head.weights, self.head.bias, [self.normalizer.scale]]
        for array in arrays:
            digest.update(np.ascontiguousarray(array, np.float32).tobytes())
        return digest.hexdigest()

    def save(self, folder: "os.PathLike[str]", half: bool = False) -> None:
        """Writes the folder, whole or not at all; `half`: the network as float16."""
        with files.atomic_path(pathlib.Path(folder)) as temporary:
            temporary.mkdir()
            (temporary / _CONFIG_FILE).write_text(config_fields.to_json(self.config))
            weights.save(temporary / _WEIGHTS_FILE, self.model.variables, half)
            np.savez(
                temporary / _ASSETS_FILE,
                mean_landmarks=self.mean_landmarks,
                mean_feature=self.mean_feature,
                normalizer_mean=self.normalizer.mean,
                normalizer_scale=self.normalizer.scale,
                head_weights=self.head.weights,
                head_bias=self.head.bias,
                head_relu_input=self.head.relu_input,
            )
            text = json.dumps(dataclasses.asdict(self.recognizer), indent=2) + "\n"
            (temporary / _RECOGNIZER_FILE).write_text(text)


def load(folder: "os.PathLike[str]") -> DecoderBundle:
    """Reads what `DecoderBundle.save` wrote.

    Raises:
      FileNotFoundError: `folder` holds no trained face decoder.
      ValueError: a file in it is damaged.
    """
    folder = pathlib.Path(folder)
    for name in (_CONFIG_FILE, _WEIGHTS_FILE, _ASSETS_FILE, _RECOGNIZER_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} is no face decoder: it has no {name}; train one with "
                "speech2face.train_face_decoder"
            )
    text = (folder / _CONFIG_FILE).read_text()
    config = config_fields.from_json(config_lib.FaceDecoderConfig, text)
    recognizer = RecognizerInfo(**json.loads((folder / _RECOGNIZER_FILE).read_text()))
    try:
        with np.load(folder / _ASSETS_FILE) as assets:
            assets = dict(assets)
        model = face_decoder.build_face_decoder(
            config, recognizer.feature_dim, assets["mean_landmarks"]
        )
        weights.load(folder / _WEIGHTS_FILE, model.variables)
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(f"the face decoder in {folder} is damaged: {error}") from None
    return DecoderBundle(
        model=model,
        config=config,
        normalizer=FeatureNormalizer(
            assets["normalizer_mean"], float(assets["normalizer_scale"])
        ),
        head=RecognizerHead(
            assets["head_weights"], assets["head_bias"], bool(assets["head_relu_input"])
        ),
        mean_landmarks=assets["mean_landmarks"],
        mean_feature=assets["mean_feature"],
        recognizer=recognizer,
    )
