"""The space that training textures span: principal components, beyond the papers.

With few training faces, the decoder satisfies the recognizer more easily by drawing
smears than by drawing a likeness, and it then draws smears for unseen faces, too. A
texture that is a mean plus a few principal components of real textures cannot contain
them (docs/decisions/texture-components.md).
"""

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from speech2face import paper
from speech2face.errors import UserError

# Of the components: textures show nothing finer, and files stay small.
SPACE_PX = paper.FACE_PX // 2


@keras.saving.register_keras_serializable("speech2face")
class TextureSpace(layers.Layer):
    """Projects textures on the space of the training textures.

    Computes in float32, at half the size, and enlarges linearly. Before training, the
    components are zero and every texture is black.
    """

    def __init__(self, n_components: int, **kwargs: Any):
        """Takes the number of principal components."""
        super().__init__(dtype="float32", trainable=False, **kwargs)
        self.n_components = n_components

    def build(self, input_shape: Any) -> None:
        """Creates the mean and the components."""
        n_values = SPACE_PX**2 * 3
        shapes = {"mean": (n_values,), "components": (self.n_components, n_values)}
        self.mean, self.components = (
            self.add_weight(shape, "zeros", name=name, trainable=False)
            for name, shape in shapes.items()
        )

    def call(self, textures: Any) -> Any:
        """Returns `textures` [b, 224, 224, 3] projected on the space."""
        small = ops.average_pool(textures, 2)
        # [b, 112, 112, 3] -> [b, 112 * 112 * 3]
        offsets = ops.reshape(small, (-1, SPACE_PX**2 * 3)) - self.mean
        # Exports keep one copy of the components if neither product transposes them.
        codes = ops.transpose(ops.matmul(self.components, ops.transpose(offsets)))
        small = self.mean + ops.matmul(codes, self.components)
        small = ops.reshape(small, (-1, SPACE_PX, SPACE_PX, 3))
        return ops.image.resize(small, (paper.FACE_PX, paper.FACE_PX))

    def fit(self, textures: Iterable[np.ndarray]) -> None:
        """Sets the mean and the first components to those of training textures.

        Args:
          textures: [224, 224, 3] uint8 each.

        Raises:
          UserError: there are not more textures than components.
        """
        self.set_weights(principal_components(textures, self.n_components))

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"name": self.name, "n_components": self.n_components}


@keras.saving.register_keras_serializable("speech2face")
class MeanTexture(layers.Layer):
    """Adds the mean of the training textures. Before it is fitted, it adds mid-gray.

    Mouth, eyes and brows of all faces lie at the same places of a texture, so their
    mean is as sharp as they are. A network that draws it with convolutions alone draws
    it softly, and fills it with what pleases the recognizer.
    """

    def __init__(self, **kwargs: Any):
        """Computes in float32 whatever the policy: half precision has too few grays."""
        super().__init__(dtype="float32", trainable=False, **kwargs)

    def build(self, input_shape: Any) -> None:
        """Creates the mean."""
        self.mean = self.add_weight(
            (paper.FACE_PX, paper.FACE_PX, 3),
            keras.initializers.Constant(0.5),
            name="mean",
            trainable=False,
        )

    def call(self, offsets: Any) -> Any:
        """Returns the mean plus `offsets` [b, 224, 224, 3]."""
        return self.mean + offsets

    def fit(self, textures: Iterable[np.ndarray]) -> None:
        """Sets the mean to that of training textures, [224, 224, 3] uint8 each."""
        total, n = np.zeros(self.mean.shape), 0  # float64: there may be millions
        for texture in textures:
            total += texture
            n += 1
        self.mean.assign((total / (255.0 * n)).astype(np.float32))

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"name": self.name}


def principal_components(
    textures: Iterable[np.ndarray], n: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns mean and principal components of textures at half their size.

    Args:
      textures: [224, 224, 3] uint8 each.
      n: how many components.

    Returns:
      mean [d] and orthonormal components [n, d] float32, of colors in [0, 1], with
      d = 112 * 112 * 3.

    Raises:
      UserError: there are not more than `n` textures.
    """
    small = np.stack([_half(texture) for texture in textures])
    if len(small) <= n:
        raise UserError(
            f"--texture_components={n} needs more than {n} training faces; there are "
            f"{len(small)}"
        )
    mean = small.mean(axis=0)
    offsets = small - mean
    # Few faces, many pixels: of the two matrices of products, the small one [n, n].
    _, mixes = np.linalg.eigh((offsets @ offsets.T).astype(np.float64))
    components = mixes[:, ::-1][:, :n].T.astype(np.float32) @ offsets
    lengths = np.linalg.norm(components, axis=1, keepdims=True)
    return mean, components / np.maximum(lengths, 1e-12)  # duplicates: length 0


def _half(texture: np.ndarray) -> np.ndarray:
    """[224, 224, 3] uint8 -> [112 * 112 * 3] float32 in [0, 1], means of 2 x 2 px."""
    pairs = np.reshape(texture, (SPACE_PX, 2, SPACE_PX, 2, 3)).astype(np.float32)
    return pairs.mean(axis=(1, 3)).ravel() / 255.0
