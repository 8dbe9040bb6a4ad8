"""Keeps landmarks of the head's outline where the warp cannot fold the picture over."""

from typing import Any

import keras
import numpy as np
from keras import ops

from speech2face.models.outline import MIDDLE_PX
from speech2face.paper import FACE_PX, N_LANDMARKS

N_JAW_POINTS = 17  # the first of dlib's 68
# Neighbors in the mean face keep this share of their distance there. Not in the papers,
# as the two numbers below: docs/decisions/outline-points.md.
LEAST_SHARE = 0.4
NEIGHBOR_PX = 45.0
# A point moves along its ray, so the ray must not pass its neighbor by.
LEAST_COSINE = 0.5


@keras.saving.register_keras_serializable("speech2face")
class ClearOutline(keras.layers.Layer):
    """Keeps the outline clear of the jaw and of the edges, which the warp holds.

    A point of the outline moves along the ray from the middle of the mean face on which
    it was found: inward from an edge first, then outward from the jaw. The other
    landmarks stay.
    """

    def __init__(self, mean_landmarks: np.ndarray, name: str | None = None):
        """Takes the mean landmarks [68 + n, 2] px, n > 0."""
        super().__init__(name=name, dtype="float32", trainable=False)
        self.mean_landmarks = np.asarray(mean_landmarks, np.float32)
        outline = self.mean_landmarks[N_LANDMARKS:]
        rays = outline - np.asarray(MIDDLE_PX, np.float32)
        # [n, 2]
        self._rays = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        # The place on the left, upper and right edge that is next to each: [n, 3, 2].
        x, y = outline.T
        feet = [(0 * x, y), (x, 0 * y), (0 * x + FACE_PX - 1, y)]
        self._edges = np.stack([np.stack(foot, axis=-1) for foot in feet], axis=1)
        self._from_edges = _Clearance(self._edges, outline, -self._rays)
        jaw = self.mean_landmarks[:N_JAW_POINTS]
        self._from_jaw = _Clearance(jaw, outline, self._rays)

    def call(self, landmarks: Any) -> Any:
        """[b, 68 + n, 2] px -> the same shape."""
        outline = landmarks[:, N_LANDMARKS:]
        outline = self._from_edges.moved(self._edges, outline)
        outline = self._from_jaw.moved(landmarks[:, None, :N_JAW_POINTS], outline)
        return ops.concatenate([landmarks[:, :N_LANDMARKS], outline], axis=1)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"name": self.name, "mean_landmarks": self.mean_landmarks.tolist()}


class _Clearance:
    """Least distances of the n points of the outline from m others."""

    def __init__(self, others: np.ndarray, outline: np.ndarray, ways: np.ndarray):
        """Takes places [m, 2] or [n, m, 2] in the mean face, and directions [n, 2]."""
        between = outline[:, None] - others
        distance = np.linalg.norm(between, axis=-1)
        # [n, m, 2] and [n, m]
        self._directions = between / distance[..., None]
        self._least_px = LEAST_SHARE * distance
        cosine = np.sum(self._directions * ways[:, None], axis=-1)
        is_neighbor = (distance < NEIGHBOR_PX) & (cosine > LEAST_COSINE)
        # How far to move for a pixel of distance.
        steps = np.where(is_neighbor, 1.0 / np.maximum(cosine, LEAST_COSINE), 0.0)
        self._steps = steps.astype(np.float32)
        self._ways = ways

    def moved(self, others: Any, outline: Any) -> Any:
        """Moves `outline` [b, n, 2] as far as needed from `others` [..., m, 2]."""
        distance = ops.sum((outline[:, :, None] - others) * self._directions, axis=-1)
        missing = ops.relu(self._least_px - distance) * self._steps
        # [b, n, m] -> [b, n, 1]
        return outline + ops.max(missing, axis=-1, keepdims=True) * self._ways
