"""dlib's CNN face detector in Keras: picture -> score of a face at every 8th pixel.

The network of `mmod_human_face_detector.dat` (D. E. King, "Max-Margin Object
Detection", arXiv:1502.00046, 2015), the detector of the paper (Sec. 3), with the same
weights, read from dlib's file. In Keras it runs in batches on any device
(docs/decisions/face-detection.md). `faces.mmod_search` runs it over a picture.

  3 x (conv 5x5/2, no padding) with 16, 32, 32 channels
  3 x (conv 5x5) with 45 channels
  conv 9x9 -> 1 score

An affine layer (a BatchNorm at inference, folded into the convolution) and a ReLU
follow each convolution but the last. A score above 0 is a face, whose box has 80
pixels: faces of other sizes are found in resized copies of the picture.
"""

import keras
import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights import dlib as dlib_weights

# (channels, size, stride)
LAYERS = (
    (16, 5, 2),
    (32, 5, 2),
    (32, 5, 2),
    (45, 5, 1),
    (45, 5, 1),
    (45, 5, 1),
    (1, 9, 1),
)


def build_mmod() -> keras.Model:
    """Builds the network with untrained weights.

    Returns:
      A frozen float32 model: normalized picture [batch, h, w, 3] -> score
      [batch, h', w']; score [i, j] is of the box about pixel (14 + 8 j, 14 + 8 i).
    """
    picture = keras.Input((None, None, 3), name="picture")
    x = picture
    for index, (channels, size, stride) in enumerate(LAYERS):
        x = keras.layers.Conv2D(
            channels,
            size,
            strides=stride,
            padding="valid" if stride > 1 else "same",  # as dlib does
            activation="relu" if channels > 1 else None,
            dtype="float32",
            name=f"conv{index}",
        )(x)
    model = keras.Model(picture, x[..., 0], name="mmod")
    model.trainable = False
    return model


def load_mmod(path: PathLike, network: dlib_weights.DetectorNetwork) -> keras.Model:
    """Returns the model with the weights of a dlib file that has been read.

    Args:
      path: names the file in errors.
      network: what `weights.dlib.read_detector` returned.

    Raises:
      UserError: the file at `path` holds another network.
    """
    convolutions = [layer for layer in network.layers if layer.kind == "con"]
    layers = [
        (layer.weights.shape[0], layer.window[0], layer.stride[0])
        for layer in convolutions
    ]
    if tuple(layers) != LAYERS:
        raise UserError(f"{path}: holds another network than dlib's face detector")
    affine = [layer for layer in network.layers if layer.kind == "affine"]
    weights: list[np.ndarray] = []
    # Every convolution but the last is followed by an affine layer.
    for layer, affine_after in zip(convolutions, [*affine, None]):
        weights += dlib_weights.folded_convolution(layer, affine_after)
    model = build_mmod()
    model.set_weights(weights)
    return model
