"""White around the head: a texture without what lies outside the mean outline."""

from typing import Any

import keras
import numpy as np

from speech2face.models.outline import head_mask


@keras.saving.register_keras_serializable("speech2face")
class WhiteBackground(keras.layers.Layer):
    """Paints a texture in [0, 1] white outside the outline of the mean face."""

    def __init__(self, mean_landmarks: np.ndarray, name: str | None = None):
        """Takes the mean landmarks [68 + n, 2] px, n > 0."""
        super().__init__(name=name, dtype="float32", trainable=False)
        self.mean_landmarks = np.asarray(mean_landmarks, np.float32)
        self._mask = head_mask(self.mean_landmarks).astype(np.float32)

    def call(self, texture: Any) -> Any:
        """[b, 224, 224, 3] -> the same shape."""
        return 1.0 - self._mask * (1.0 - texture)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"name": self.name, "mean_landmarks": self.mean_landmarks.tolist()}
