"""VGG-Face, the paper's recognizer: fc7 before its ReLU, 4096-D, and fc8's logits."""

from typing import Any

import keras
import numpy as np

from speech2face.config import InferencePrecision
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.models import vgg_face
from speech2face.recognizers.base import RecognizerHead, checked_crops, in_batches
from speech2face.weights import vgg_face_file

VGG_FACE_NAMES = ("vgg_face", "vgg_face_relu")


class VggFace:
    """VGG-Face (Parkhi et al. 2015): fc7 of the whole crop, as the paper uses it."""

    def __init__(
        self,
        weights: PathLike,
        fc7_relu: bool = False,
        precision: InferencePrecision = "float32",
    ):
        """Loads the weights that `speech2face.import_vgg_face` wrote.

        Args:
          weights: its output file, whatever the format of the source
            (docs/decisions/vgg-face-file-formats.md).
          fc7_relu: take fc7 after its ReLU. Not in the paper:
            docs/decisions/face-feature.md.
          precision: arithmetic of its convolutions.

        Raises:
          FileNotFoundError: there is no such file.
          UserError: no path is given, or the file has another format.
        """
        if not weights:
            raise UserError(
                "the recognizer vgg_face needs its weights file: make one with "
                "python -m speech2face.import_vgg_face and give its path"
            )
        info = vgg_face_file.read_info(weights)
        self.input_px = info.size.input_px
        self.feature_dim = info.size.fc_units
        # Features after the ReLU differ, so data sets made of them have another name.
        self.name = "vgg_face_relu" if fc7_relu else "vgg_face"
        self.checksum = info.checksum
        self._net = vgg_face.load_vgg_face(weights, fc7_relu, precision)

    def features(self, face_crops: np.ndarray) -> np.ndarray:
        """Returns raw face features.

        Args:
          face_crops: uint8 [n, 224, 224, 3] RGB, as `faces.detection` crops them.

        Returns:
          float32 [n, 4096].
        """
        crops = checked_crops(face_crops, self.input_px)
        # RGB, 0 to 255: the network subtracts its mean color itself
        # (docs/decisions/vgg-face-input.md).
        return in_batches(
            lambda batch: self._net.predict_on_batch(batch)["fc7"],
            crops,
            self.feature_dim,
        )

    def canonical_features(self, images: Any, landmarks: Any = None) -> Any:
        """Returns raw features of canonical faces, differentiable.

        Args:
          images: [n, 224, 224, 3] RGB, 0..255, such as the face decoder makes.
          landmarks: ignored; VGG-Face sees the whole image.

        Returns:
          [n, 4096] float32 tensor.
        """
        del landmarks
        return self._net(keras.ops.cast(images, "float32"), training=False)["fc7"]


def vgg_face_head(weights: PathLike) -> RecognizerHead:
    """Returns fc8 of VGG-Face from its imported file, without loading the rest.

    Args:
      weights: output file of `speech2face.import_vgg_face`.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file has another format, is incomplete, or was changed.
    """
    head = vgg_face_file.load_head(weights)
    # A ReLU on fc7 that has already passed its ReLU changes nothing.
    return RecognizerHead(head.kernel, head.bias, relu_input=True)
