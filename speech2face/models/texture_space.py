"""The space that training textures span: principal components, beyond the papers.

Where faces are few, the recognizer's term of the decoder's loss is pleased more easily
by smears that no face has than by a likeness: they score on faces never seen, too. A
texture that is a mean plus a few principal components of real ones cannot have them.
BUILD_NOTES 24.
"""

from typing import Iterable, Tuple

import keras
import numpy as np
from keras import layers, ops

TEXTURE_PX = 224
SPACE_PX = 112  # of the components: textures have nothing finer, and files stay small


@keras.saving.register_keras_serializable("speech2face")
class TextureSpace(layers.Layer):
    """Moves textures to the nearest one of the space; new, it knows only black.

    Computes in float32, at half the size, and enlarges linearly.
    """

    def __init__(self, n_components: int, **kwargs):
        """Takes the number of principal components."""
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.n_components = n_components

    def build(self, input_shape):
        """Creates the mean and the components."""
        n_values = SPACE_PX**2 * 3
        shapes = {"mean": (n_values,), "components": (self.n_components, n_values)}
        self.mean, self.components = (
            self.add_weight(shape, "zeros", name=name, trainable=False)
            for name, shape in shapes.items()
        )

    def call(self, textures):
        """Returns textures [b, 224, 224, 3] of `textures` [b, 224, 224, 3]."""
        small = ops.average_pool(textures, 2)
        offsets = ops.reshape(small, (-1, SPACE_PX**2 * 3)) - self.mean
        # Exports keep one copy of the components if neither product transposes them.
        codes = ops.transpose(ops.matmul(self.components, ops.transpose(offsets)))
        small = self.mean + ops.matmul(codes, self.components)
        small = ops.reshape(small, (-1, SPACE_PX, SPACE_PX, 3))
        return ops.image.resize(small, (TEXTURE_PX, TEXTURE_PX))

    def fit(self, textures: Iterable[np.ndarray]) -> None:
        """Takes the mean and the first components of `textures`, [224, 224, 3] uint8.

        Raises:
          ValueError: there are not more textures than components.
        """
        self.set_weights(principal_components(textures, self.n_components))

    def get_config(self):
        """Returns what `from_config` needs."""
        return {"name": self.name, "n_components": self.n_components}


def principal_components(
    textures: Iterable[np.ndarray], n: int
) -> Tuple[np.ndarray, np.ndarray]:
    """Mean and principal components of textures at half their size.

    Args:
      textures: [224, 224, 3] uint8 each.
      n: how many components.

    Returns:
      mean [d] and orthonormal components [n, d] float32, of colours in [0, 1], with
      d = 112 * 112 * 3.

    Raises:
      ValueError: there are not more than `n` textures.
    """
    small = np.stack([_half(texture) for texture in textures])
    if len(small) <= n:
        raise ValueError(
            f"--texture_components={n} needs more than {n} training faces; there are "
            f"{len(small)}"
        )
    mean = small.mean(axis=0)
    offsets = small - mean
    # Few faces, many pixels: the small one of the two matrices of products.
    squares, mixes = np.linalg.eigh((offsets @ offsets.T).astype(np.float64))
    components = mixes[:, ::-1][:, :n].T.astype(np.float32) @ offsets
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    return mean, components / np.maximum(lengths, 1e-12)


def _half(texture):
    pairs = np.reshape(texture, (SPACE_PX, 2, SPACE_PX, 2, 3)).astype(np.float32)
    return pairs.mean(axis=(1, 3)).ravel() / 255.0
