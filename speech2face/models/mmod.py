"""dlib's CNN face detector in Keras: picture -> score of a face at every 8th pixel.

The network of `mmod_human_face_detector.dat` (King, "Max-Margin Object Detection",
arXiv:1502.00046), which the paper detects faces with, with the same weights, read from
dlib's file, so that it runs in batches on any device. `tests/test_face_detector.py`
compares it with dlib.

  3 x (conv 5x5/2, no padding) with 16, 32, 32 channels
  3 x (conv 5x5) with 45 channels
  conv 9x9 -> 1 score

Behind each convolution but the last stand an affine layer (a BatchNorm at inference,
folded into the convolution) and a ReLU. A score above 0 is a face, whose box has 80
pixels: other sizes are found in other sizes of the picture.
"""

import keras

from speech2face import dlib_weights

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
STRIDE_PX = 8
FIRST_CENTER_PX = 14  # in the picture, of the first row and column of scores


def build_mmod() -> keras.Model:
    """Builds the network with untrained weights.

    Returns:
      A frozen float32 model: normalised picture [batch, h, w, 3] -> score
      [batch, h', w']; score [i, j] is of the box about pixel (14 + 8 j, 14 + 8 i).
    """
    picture = keras.Input((None, None, 3), name="picture")
    x = picture
    for index, (channels, size, stride) in enumerate(LAYERS):
        x = keras.layers.Conv2D(
            channels,
            size,
            strides=stride,
            padding="valid" if stride > 1 else "same",
            activation="relu" if channels > 1 else None,
            dtype="float32",
            name=f"conv{index}",
        )(x)
    model = keras.Model(picture, x[..., 0], name="mmod")
    model.trainable = False
    return model


def load_mmod(path: str, network: dlib_weights.DetectorNetwork) -> keras.Model:
    """Returns the model with the weights of a dlib file that has been read.

    Raises:
      ValueError: the file at `path` holds another network.
    """
    convolutions = [layer for layer in network.layers if layer.kind == "con"]
    found = [
        (layer.weights.shape[0], layer.window[0], layer.stride[0])
        for layer in convolutions
    ]
    if tuple(found) != LAYERS:
        raise ValueError(f"{path}: holds another network than dlib's face detector")
    affine = [layer for layer in network.layers if layer.kind == "affine"]
    weights = []
    for layer, behind in zip(convolutions, [*affine, None]):
        weights += dlib_weights.folded_convolution(layer, behind)
    model = build_mmod()
    model.set_weights(weights)
    return model
