"""dlib's face recognition network in Keras: 128-D, on faces aligned by landmarks.

It has no classifier; `prototypes.prototype_head` makes one from training features.
Compared with dlib itself: docs/decisions/dlib-recognizer-in-keras.md.
"""

from typing import Any

import dlib
import numpy as np

from speech2face import files, paper
from speech2face.errors import UserError
from speech2face.faces import boxes, dlib_models
from speech2face.files import PathLike
from speech2face.models import dlib_resnet
from speech2face.recognizers import dlib_alignment
from speech2face.recognizers.base import checked_crops, in_batches
from speech2face.weights import dlib as dlib_weights

# A third of the box that is expected in the middle of a crop: a face that is farther
# off is somebody else's.
MAX_OFF_CENTER_PX = 45.0


class DlibFace:
    """dlib's face recognition network (128-D) on faces aligned by 68 landmarks."""

    name = "dlib"
    input_px = dlib_alignment.CHIP_PX
    feature_dim = dlib_resnet.FEATURE_DIM

    def __init__(self, weights: PathLike = ""):
        """Loads the network.

        Args:
          weights: dlib's file; '' takes the one of face_recognition_models.

        Raises:
          FileNotFoundError: no such file or package.
          UserError: the file is damaged or holds another network.
        """
        path = weights or dlib_weights.package_file(dlib_weights.NETWORK_FILE)
        self._net = dlib_resnet.load_dlib_resnet(path)
        self.checksum = files.sha256(path)
        if not weights and self.checksum != dlib_weights.NETWORK_SHA256:
            raise UserError(
                f"{path}: damaged or changed (SHA-256 {self.checksum[:12]}..., not "
                f"{dlib_weights.NETWORK_SHA256[:12]}...); install "
                "face_recognition_models again"
            )

    def features(self, face_crops: np.ndarray) -> np.ndarray:
        """Returns raw face features.

        Args:
          face_crops: uint8 [n, 224, 224, 3] RGB, as `faces.detection` crops them.

        Returns:
          float32 [n, 128].
        """
        return in_batches(
            self._net.predict_on_batch, self.align(face_crops), self.feature_dim
        )

    def align(self, face_crops: np.ndarray) -> np.ndarray:
        """Aligns face crops as dlib does, by their landmarks.

        The landmarks start from the box of dlib's HOG detector nearest to the center.
        Where it sees no face (1 in 10, turned ones), they start from the place where
        its box would be: docs/decisions/landmark-start-box.md.

        Args:
          face_crops: uint8 [n, 224, 224, 3] RGB.

        Returns:
          uint8 [n, 150, 150, 3].
        """
        size_px = dlib_alignment.CHIP_PX
        chips = np.zeros((len(face_crops), size_px, size_px, 3), np.uint8)
        for i, crop in enumerate(checked_crops(face_crops, paper.FACE_PX)):
            landmarks = dlib_models.landmark_model()(crop, start_box(crop))
            chips[i] = dlib.get_face_chip(
                crop, landmarks, size_px, dlib_alignment.CHIP_PADDING
            )
        return chips

    def canonical_features(self, images: Any, landmarks: Any) -> Any:
        """Returns raw features of faces with known landmarks, differentiable.

        Args:
          images: [n, 224, 224, 3] RGB, 0..255, numpy or a tensor.
          landmarks: [n, k, 2] (x, y) px in `images`; they may carry a gradient too.

        Returns:
          [n, 128] float32 tensor.
        """
        return self._net(
            dlib_alignment.align_to_chip(images, landmarks), training=False
        )


def center_box() -> list[int]:
    """Returns where the HOG detector's box lies in a crop; see `boxes.landmark_box`."""
    middle = paper.FACE_PX / 2
    return boxes.landmark_box(middle, middle, paper.FACE_PX / boxes.CROP_SCALE)


def start_box(crop: np.ndarray) -> Any:
    """Returns the dlib.rectangle from which the landmarks of a crop [h, w, 3] start."""
    expected = dlib.rectangle(*center_box())
    middle = dlib.center(expected)

    def off_center_px(box: Any) -> float:
        center = dlib.center(box)
        return float(np.hypot(center.x - middle.x, center.y - middle.y))

    nearest = min(dlib_models.hog_detector()(crop, 0), key=off_center_px, default=None)
    if nearest is None or off_center_px(nearest) > MAX_OFF_CENTER_PX:
        return expected
    return nearest
