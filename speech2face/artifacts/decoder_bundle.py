"""A trained face decoder and everything it needs, as one folder.

    config.json           FaceDecoderConfig
    decoder.npz           weights of the network
    assets.npz            mean landmarks and feature, normalizer, recognizer head
    recognizer.json       which recognizer's features it takes

`speech2face.train_face_decoder` writes it; every voice run and every bundle contains
one as `decoder/`. The recognizer network is not part of it: training the voice encoder
needs only its classifier head, f_VGG, and the decoder's first layer, f_dec.
"""

import dataclasses
import hashlib
import pathlib
from typing import Any

import keras
import numpy as np

from speech2face import files, npz_files
from speech2face.artifacts import network_size, npz_weights
from speech2face.artifacts.decoder_files import (
    ASSETS_FILE,
    CONFIG_FILE,
    DECODER_KIND,
    RECOGNIZER_FILE,
    WEIGHTS_FILE,
    check_decoder_folder,
)
from speech2face.config import FaceDecoderConfig
from speech2face.data.dataset_info import RecognizerInfo
from speech2face.data.normalizer import FeatureNormalizer
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import read_json, to_json
from speech2face.models import face_decoder
from speech2face.npz_files import Arrays, Layout
from speech2face.recognizers.base import RecognizerHead

# Of the folder. A decoder without a number belongs to another voice encoder than ours.
FORMAT_VERSION = 2

_ASSETS: Layout = {
    "mean_landmarks": ("f", ("landmarks", 2)),
    "mean_feature": ("f", ("feature_dim",)),
    "normalizer_mean": ("f", ("feature_dim",)),
    "normalizer_scale": ("f", ()),
    "head_weights": ("f", ("feature_dim", "classes")),
    "head_bias": ("f", ("classes",)),
    "head_relu_input": ("b", ()),
}


@dataclasses.dataclass(frozen=True)
class DecoderBundle:
    """A face decoder and the meaning of its features.

    Attributes:
      model: v_f [b, d] -> dict, see `models.face_decoder.build_face_decoder`.
      config: what `model` was built from.
      normalizer: raw recognizer feature <-> v_f.
      head: raw recognizer feature -> logits, f_VGG of Eq. 1.
      mean_landmarks: [k, 2] float32 (x, y) pixels.
      mean_feature: [d] float32, the v_f of the average training face.
      recognizer: what made the features.
    """

    model: keras.Model
    config: FaceDecoderConfig
    normalizer: FeatureNormalizer
    head: RecognizerHead
    mean_landmarks: np.ndarray
    mean_feature: np.ndarray
    recognizer: RecognizerInfo

    def face_logits(self, face_feature: Any) -> Any:
        """Returns f_VGG(v) [b, classes] of normalized features v [b, d]."""
        return self.head.logits(self.normalizer.denormalize(face_feature))

    def checksum(self) -> str:
        """Returns a sha256 over all values of the decoder, its head and normalizer."""
        digest = hashlib.sha256(to_json(self.config).encode())
        arrays = [*self.model.get_weights(), self.mean_landmarks, self.normalizer.mean]
        arrays += [self.head.weights, self.head.bias, [self.normalizer.scale]]
        for array in arrays:
            digest.update(np.ascontiguousarray(array, np.float32).tobytes())
        return digest.hexdigest()

    def save(self, folder: PathLike, half: bool = False) -> None:
        """Writes the folder, whole or not at all.

        Args:
          folder: a decoder in it is replaced.
          half: store the weights of the network as float16.

        Raises:
          UserError: `folder` holds something else.
        """
        with files.atomic_path(folder, kind=DECODER_KIND) as temporary:
            temporary.mkdir()
            (temporary / CONFIG_FILE).write_text(to_json(self.config))
            npz_weights.save(temporary / WEIGHTS_FILE, self.model.variables, half)
            np.savez(
                temporary / ASSETS_FILE,
                format_version=FORMAT_VERSION,
                mean_landmarks=self.mean_landmarks,
                mean_feature=self.mean_feature,
                normalizer_mean=self.normalizer.mean,
                normalizer_scale=self.normalizer.scale,
                head_weights=self.head.weights,
                head_bias=self.head.bias,
                head_relu_input=self.head.relu_input,
            )
            (temporary / RECOGNIZER_FILE).write_text(to_json(self.recognizer))


def load(folder: PathLike) -> DecoderBundle:
    """Reads what `DecoderBundle.save` wrote.

    Raises:
      FileNotFoundError: `folder` does not hold a trained face decoder.
      UserError: a file in it is damaged, or it is of another version of the package.
    """
    folder = files.as_path(folder)
    check_decoder_folder(folder)
    config = read_json(folder / CONFIG_FILE, FaceDecoderConfig)
    recognizer = read_json(folder / RECOGNIZER_FILE, RecognizerInfo)
    assets = _read_assets(folder / ASSETS_FILE, recognizer.feature_dim)
    network_size.check_decoder(
        folder, config, recognizer.feature_dim, len(assets["mean_landmarks"])
    )
    try:
        model = face_decoder.build_face_decoder(
            config, recognizer.feature_dim, assets["mean_landmarks"]
        )
    except ValueError as error:  # also Keras', for sizes that cannot be
        raise UserError(f"the face decoder in {folder} is damaged: {error}") from None
    npz_weights.load(folder / WEIGHTS_FILE, model.variables)
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


def _read_assets(path: pathlib.Path, feature_dim: int) -> Arrays:
    assets = npz_files.read_npz(path)
    version = str(assets.get("format_version", 1))[:20]
    if version != str(FORMAT_VERSION):
        raise UserError(
            f"{path.parent} has format version {version}, expected {FORMAT_VERSION}: "
            "another version of speech2face wrote it; train it again, or use the model "
            "that ships",
            reason="another_version",
        )
    npz_files.check_layout(assets, _ASSETS, path, feature_dim=feature_dim)
    return assets
