"""VGG-Face: the face recognizer whose fc7 is the paper's face feature.

O. M. Parkhi, A. Vedaldi, A. Zisserman, "Deep Face Recognition", BMVC 2015: thirteen
3 x 3 convolutions in five blocks, each block followed by a 2 x 2 max pool, then three
fully connected layers; 145,002,878 parameters. Speech2Face freezes it and uses

    face_feature (v_f)     fc7, 4096-D, before its ReLU unless asked otherwise, which
                           the ratios in Table 2 fit (docs/decisions/face-feature.md)
    face_logits (f_VGG)    fc8, 2622 identities, computed from relu(fc7)

The input is RGB, 0 to 255 (docs/decisions/vgg-face-input.md); the mean color of the
training set is subtracted inside, so that a caller cannot get the mean or the channel
order wrong. Weights come from the authors' files or their conversions through
`speech2face.import_vgg_face`, which brings them to one channel order and one layout
(`speech2face.weights.vgg_face_file`).
"""

import keras

from speech2face.config import InferencePrecision
from speech2face.files import PathLike
from speech2face.weights import vgg_face_file, vgg_face_size

# Mean color of the training faces, from the authors' files (averageImage).
MEAN_RGB = (129.1863, 104.7624, 93.5940)


def build_vgg_face(
    fc7_relu: bool = False,
    size: vgg_face_size.VggFaceSize = vgg_face_size.PAPER_SIZE,
    precision: InferencePrecision = "float32",
) -> keras.Model:
    """Builds VGG-Face with zero weights; `load_vgg_face` fills them.

    Args:
      fc7_relu: whether output `fc7` is taken after its ReLU.
      size: channel counts; the defaults are the paper's network.
      precision: arithmetic of the convolutions
        (docs/decisions/recognizer-precision.md).

    Returns:
      A frozen model from images [batch, input_px, input_px, 3], RGB, 0 to 255, to a
      dict of float32 tensors: `fc6` [batch, fc_units] before its ReLU, `fc7`
      [batch, fc_units], `fc8` [batch, n_classes] logits, which do not depend on
      `fc7_relu`. Gradients reach the images.
    """
    image = keras.Input((size.input_px, size.input_px, 3), name="image")
    offset = [-value for value in MEAN_RGB]
    # float32 throughout, whatever the policy: features must not depend on it.
    x = keras.layers.Rescaling(
        1.0, offset=offset, dtype="float32", name="subtract_mean"
    )(image)
    for block, channels in enumerate(size.blocks, start=1):
        for index, n_out in enumerate(channels, start=1):
            x = _convolution(n_out, f"conv{block}_{index}", precision)(x)
        x = keras.layers.MaxPooling2D(2, dtype=precision, name=f"pool{block}")(x)
    # [b, h, w, c] -> [b, h * w * c]. From here on float32: casting the many weights at
    # each call would take longer (docs/decisions/recognizer-precision.md).
    x = keras.layers.Flatten(dtype="float32", name="flatten")(x)
    fc6 = _dense(size.fc_units, "fc6")(x)
    rectified = keras.layers.ReLU(dtype="float32", name="relu6")(fc6)
    fc7 = _dense(size.fc_units, "fc7")(rectified)
    rectified = keras.layers.ReLU(dtype="float32", name="relu7")(fc7)
    fc8 = _dense(size.n_classes, "fc8")(rectified)
    outputs = {"fc6": fc6, "fc7": rectified if fc7_relu else fc7, "fc8": fc8}
    model = keras.Model(image, outputs, name="vgg_face")
    model.trainable = False
    return model


def load_vgg_face(
    path: PathLike, fc7_relu: bool = False, precision: InferencePrecision = "float32"
) -> keras.Model:
    """Returns VGG-Face with the weights of an imported file.

    Args:
      path: output of `python -m speech2face.import_vgg_face`.
      fc7_relu: as for `build_vgg_face`.
      precision: as for `build_vgg_face`.

    Raises:
      FileNotFoundError: there is no such file.
      UserError: the file is not an imported one, is incomplete, or was changed.
    """
    weights, info = vgg_face_file.read_weights(path)
    model = build_vgg_face(fc7_relu, info.size, precision)
    set_weights(model, weights)
    return model


def set_weights(model: keras.Model, weights: vgg_face_file.Weights) -> None:
    """Puts imported weights into a model that `build_vgg_face` made."""
    for name, layer_weights in weights.items():
        model.get_layer(name).set_weights(layer_weights)


def _convolution(
    n_out: int, name: str, precision: InferencePrecision
) -> keras.layers.Layer:
    return keras.layers.Conv2D(
        n_out,
        3,
        padding="same",
        activation="relu",
        kernel_initializer="zeros",
        dtype="float32" if precision == "float32" else "mixed_bfloat16",
        name=name,
    )


def _dense(n_out: int, name: str) -> keras.layers.Layer:
    return keras.layers.Dense(
        n_out, kernel_initializer="zeros", dtype="float32", name=name
    )
