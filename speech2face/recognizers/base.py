"""Interface of face recognizers: face image -> face feature -> face logits.

A recognizer gives the face feature of Sec. 3 (v_f), and its head gives the face logits
of Eq. 1 (f_VGG). Features are raw: `speech2face.data.normalizer` maps them to the space
of the losses. Images are RGB; landmarks are dlib's 68 points in (x, y) pixels.

To add a recognizer, see docs/adding_a_recognizer.md.
"""

from collections.abc import Callable
from typing import Any, Protocol

import keras
import numpy as np

from speech2face.errors import UserError

BATCH = 32  # images that go through a network together: bounds the memory


class Recognizer(Protocol):
    """A face recognizer.

    Attributes:
      name: 'vgg_face', 'vgg_face_relu' or 'dlib'; data sets record it.
      checksum: hexadecimal SHA-256 of its weights; data sets record it.
      feature_dim: d, the dimension of its features.
      input_px: side of the images that its network sees.
    """

    name: str
    checksum: str
    feature_dim: int
    input_px: int

    def features(self, face_crops: np.ndarray) -> np.ndarray:
        """Returns raw features [n, d] float32 of uint8 RGB crops [n, 224, 224, 3]."""
        ...

    def canonical_features(self, images: Any, landmarks: Any) -> Any:
        """Returns raw features [n, d] of canonical faces, differentiable.

        Args:
          images: [n, 224, 224, 3] RGB, 0..255, such as the face decoder makes.
          landmarks: [n, k, 2] (x, y) px in `images`.
        """
        ...


class RecognizerHead:
    """From a raw face feature to face logits: W v + b, or W relu(v) + b.

    Attributes:
      weights: float32 [feature_dim, n_classes].
      bias: float32 [n_classes].
      relu_input: whether the feature passes a ReLU first (fc7 of VGG-Face does).
    """

    def __init__(self, weights: np.ndarray, bias: np.ndarray, relu_input: bool):
        """Creates a head.

        Args:
          weights: [feature_dim, n_classes].
          bias: [n_classes].
          relu_input: whether the feature passes a ReLU first.

        Raises:
          UserError: the shapes disagree or a value is not finite.
        """
        self.weights = np.asarray(weights, np.float32)
        self.bias = np.asarray(bias, np.float32)
        self.relu_input = bool(relu_input)
        if self.weights.ndim != 2 or self.bias.shape != self.weights.shape[1:]:
            raise UserError(
                f"recognizer head: weights {self.weights.shape} and bias "
                f"{self.bias.shape}; expected [feature_dim, n_classes] and [n_classes]"
            )
        if not (np.isfinite(self.weights).all() and np.isfinite(self.bias).all()):
            raise UserError("recognizer head: a weight is not finite")
        # A graph stores a numpy array once for each use, and a tensor once: 43 MB each.
        self._weights_tensor = keras.ops.convert_to_tensor(self.weights)
        self._bias_tensor = keras.ops.convert_to_tensor(self.bias)

    @property
    def feature_dim(self) -> int:
        """Dimension of the raw features."""
        return self.weights.shape[0]

    @property
    def n_classes(self) -> int:
        """Number of logits."""
        return self.weights.shape[1]

    def logits(self, raw_feature: Any) -> Any:
        """Returns face logits.

        Args:
          raw_feature: [batch, feature_dim] raw face features, numpy or a tensor.

        Returns:
          [batch, n_classes] float32 tensor.
        """
        feature = keras.ops.cast(raw_feature, "float32")
        if self.relu_input:
            feature = keras.ops.relu(feature)
        return keras.ops.matmul(feature, self._weights_tensor) + self._bias_tensor


def in_batches(
    network: Callable[[np.ndarray], Any], images: np.ndarray, feature_dim: int
) -> np.ndarray:
    """Applies a network to images, `BATCH` at a time.

    Args:
      network: [b, h, w, 3] float32 -> [b, feature_dim].
      images: [n, h, w, 3] of any type.
      feature_dim: dimension of a feature.

    Returns:
      [n, feature_dim] float32.
    """
    features = np.zeros((len(images), feature_dim), np.float32)
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH].astype(np.float32)
        features[start : start + BATCH] = network(batch)
    return features


def checked_crops(face_crops: np.ndarray, size_px: int) -> np.ndarray:
    """Returns the crops, contiguous.

    Raises:
      ValueError: they are not uint8 [n, size_px, size_px, 3].
    """
    crops = np.ascontiguousarray(face_crops)
    if crops.dtype != np.uint8 or crops.shape[1:] != (size_px, size_px, 3):
        raise ValueError(
            f"face crops are {crops.dtype} {list(crops.shape)}; expected uint8 "
            f"[n, {size_px}, {size_px}, 3]"
        )
    return crops
