"""The face decoder of Cole et al. 2017, Fig. 3: a normalised face from its feature.

Speech2Face (Sec. 3, "Face decoder network") takes it trained and frozen. Its first
layer is f_dec of Eq. 1. From there two branches draw the face apart from each other:

    v_f [d] -> FC 1000 + ReLU = f_dec
      landmarks: FC 256 + ReLU, FC 256 + ReLU, FC 136 -> 68 points (x, y)
      texture:   FC 14 x 14 x 256 + ReLU,
                 4 transposed convolutions 5 x 5, stride 2, + ReLU
                 (128, 64, 32, 32 channels) -> 224 x 224 x 32,
                 convolution 1 x 1 -> RGB: the face warped to the mean landmarks
    image = texture, warped from the mean landmarks to the predicted ones

The papers leave the landmark branch's widths, the range of the texture and all
initialisation open; ours, with reasons, stand beside the code and in BUILD_NOTES 16.
"""

import keras
import numpy as np
from keras import layers, ops

from speech2face.config import FaceDecoderConfig
from speech2face.models import texture_space, warp

IMAGE_PX = 224
N_LANDMARKS = 68
LANDMARK_UNIT_PX = 16  # what a landmark's output of 1 moves it by: BUILD_NOTES 20
_COARSE_PX = 14


def build_face_decoder(
    config: FaceDecoderConfig,
    feature_dim: int,
    mean_landmarks: np.ndarray,
    dtype_policy: str = "float32",
) -> keras.Model:
    """Builds a face decoder with new weights.

    Args:
      config: its widths.
      feature_dim: d, of the face feature: 4096 for VGG-Face, 128 for dlib.
      mean_landmarks: [68, 2] (x, y) px at 224 x 224, of the mean face.
      dtype_policy: Keras policy of the texture branch. All else is cheap, and float32.

    Returns:
      A model from normalised features [b, d] to a dict, float32 throughout:
        decoder_activation: [b, decoder_units], f_dec, not negative.
        landmarks: [b, 68, 2] (x, y) px.
        texture: [b, 224, 224, 3] in [0, 1], the face at the mean landmarks.
        image: [b, 224, 224, 3] in [0, 1], the face.

    Raises:
      ValueError: mean_landmarks are not [68, 2] finite numbers, or texture_channels
        are not the five that lead from 14 x 14 to 224 x 224.
    """
    mean_landmarks = np.asarray(mean_landmarks, "float32")
    expected_shape = (N_LANDMARKS, 2)
    if mean_landmarks.shape != expected_shape or not np.isfinite(mean_landmarks).all():
        raise ValueError(
            f"mean landmarks are {mean_landmarks.shape}; expected {N_LANDMARKS} finite "
            "points (x, y)"
        )
    n_doublings = int(np.log2(IMAGE_PX // _COARSE_PX))
    if len(config.texture_channels) != n_doublings + 1:
        raise ValueError(
            f"texture_channels {config.texture_channels}: expected {n_doublings + 1}, "
            f"from {_COARSE_PX} x {_COARSE_PX} to {IMAGE_PX} x {IMAGE_PX}"
        )
    face_feature = keras.Input((feature_dim,), name="face_feature")
    decoder_activation = layers.Dense(
        config.decoder_units, activation="relu", dtype="float32", name="f_dec"
    )(face_feature)
    landmarks = _landmark_branch(decoder_activation, config, mean_landmarks)
    texture = _texture_branch(decoder_activation, config, dtype_policy)
    image = warp.SplineWarp(mean_landmarks, config.warp_order, name="warp")(
        (texture, landmarks)
    )
    outputs = {
        "decoder_activation": decoder_activation,
        "landmarks": landmarks,
        "texture": texture,
        "image": image,
    }
    return keras.Model(face_feature, outputs, name="face_decoder")


def decoder_activation_layer(model: keras.Model) -> keras.Model:
    """Returns f_dec alone, sharing the weights of the face decoder `model`.

    Normalised feature [b, d] -> f_dec [b, decoder_units] float32, after its ReLU.
    """
    return keras.Model(model.input, model.get_layer("f_dec").output, name="f_dec")


def make_portable(model: keras.Model) -> None:
    """Makes the face decoder `model` use only what TFLite and ONNX runtimes know.

    Its outputs stay the same to within rounding. For what is traced afterwards.
    """
    model.get_layer("warp").portable = True


def _landmark_branch(decoder_activation, config, mean_landmarks):
    """f_dec -> landmarks [b, 68, 2] px, at first very nearly the mean ones."""
    hidden = decoder_activation
    for i, units in enumerate(config.landmark_units, start=1):
        hidden = layers.Dense(
            units, activation="relu", dtype="float32", name=f"landmarks_fc_{i}"
        )(hidden)
    offsets = layers.Dense(
        N_LANDMARKS * 2,
        kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
        dtype="float32",
        name="landmarks_fc_out",
    )(hidden)
    offsets = layers.Reshape((N_LANDMARKS, 2), dtype="float32")(offsets)
    return layers.Rescaling(
        LANDMARK_UNIT_PX,
        offset=mean_landmarks.tolist(),
        dtype="float32",
        name="landmarks",
    )(offsets)


def _texture_branch(decoder_activation, config, dtype_policy):
    """f_dec -> texture [b, 224, 224, 3] in [0, 1], float32."""
    first, *others = config.texture_channels
    x = layers.Dense(
        _COARSE_PX**2 * first,
        activation="relu",
        dtype=dtype_policy,
        name="texture_fc",
    )(decoder_activation)
    x = layers.Reshape((_COARSE_PX, _COARSE_PX, first), dtype=dtype_policy)(x)
    for i, channels in enumerate(others, start=1):
        x = SmoothConv2DTranspose(
            channels, dtype=dtype_policy, name=f"texture_deconv_{i}"
        )(x)
    x = layers.Conv2D(
        3,
        kernel_size=1,
        bias_initializer=keras.initializers.Constant(0.5),
        dtype=dtype_policy,
        name="texture_rgb",
    )(x)
    if config.texture_components:
        space = texture_space.TextureSpace(config.texture_components, name="space")
        x = space(x)
    return ClipToUnit(dtype="float32", name="texture")(x)


@keras.saving.register_keras_serializable("speech2face")
class SmoothConv2DTranspose(layers.Conv2DTranspose):
    """A transposed convolution, 5 x 5, stride 2, + ReLU, that draws no checkerboard.

    Even and odd output pixels see 3 x 3 and 2 x 2 of the kernel's numbers; where these
    weigh a plain area differently, it comes out as a checkerboard (Odena et al. 2016),
    and training, which sees it as a small error, leaves it. Here they cannot: what a
    plain area makes of the kernel at the highest frequency, its alternating sum along
    each direction, is taken off before use. Parameters are those of the paper's layer.
    """

    _ALTERNATING = np.array([1, -1, 1, -1, 1], "float32")

    def __init__(self, filters: int, **kwargs):
        """Takes the number of output channels."""
        super().__init__(
            filters,
            kernel_size=5,
            strides=2,
            padding="same",
            activation="relu",
            kernel_initializer=SmoothUpsampling(),
            **kwargs,
        )

    def call(self, inputs):
        """Returns [b, 2 h, 2 w, filters] of [b, h, w, channels]."""
        outputs = ops.conv_transpose(
            inputs, self.smooth_kernel(), strides=2, padding="same"
        )
        return self.activation(outputs + self.bias)

    def smooth_kernel(self):
        """Returns the kernel [5, 5, out, in] without its alternating sums."""
        kept = np.eye(5) - np.outer(self._ALTERNATING, self._ALTERNATING) / 5.0
        shape = self.kernel.shape
        kept = ops.cast(kept, self.kernel.dtype)
        kernel = ops.matmul(kept, ops.reshape(self.kernel, (5, -1)))  # along y
        kernel = ops.reshape(kernel, (5, 5, -1))
        return ops.reshape(ops.matmul(kept, kernel), shape)  # along x

    def get_config(self):
        """Returns what `from_config` needs."""
        return {"name": self.name, "filters": self.filters, "dtype": self.dtype_policy}


@keras.saving.register_keras_serializable("speech2face")
class SmoothUpsampling(keras.initializers.Initializer):
    """Starts a 5 x 5, stride-2 transposed convolution as a smooth enlargement.

    Every kernel is a random number times the cubic spline's (1, 4, 6, 4, 1)/8 in each
    direction, whose even and odd numbers have the same sum.
    """

    _TAPS = np.array([1, 4, 6, 4, 1], "float32") / 8.0

    def __init__(self, seed=None):
        """Takes an optional seed; without one, every call draws other numbers."""
        self._mixing = keras.initializers.HeNormal(seed)
        self._seed = seed

    def __call__(self, shape, dtype=None):
        """Returns a kernel [5, 5, channels out, channels in]."""
        size_y, size_x, n_out, n_in = shape
        if (size_y, size_x) != (5, 5):
            raise ValueError(f"the kernel must be 5 x 5, not {size_y} x {size_x}")
        mixing = ops.transpose(self._mixing((n_in, n_out), dtype))
        taps = ops.cast(np.outer(self._TAPS, self._TAPS), mixing.dtype)
        return taps[:, :, None, None] * mixing

    def get_config(self):
        """Returns what `from_config` needs."""
        return {"seed": self._seed}


@keras.saving.register_keras_serializable("speech2face")
class ClipToUnit(layers.Layer):
    """Clips to [0, 1], and lets gradients pass as if it had not.

    The targets' background is plain white. A sigmoid approaches 1 forever; clipping
    reaches it, and the passing gradient brings a pixel back from beyond.
    """

    def call(self, inputs):
        """Returns `inputs` clipped to [0, 1]."""
        return ops.stop_gradient(ops.clip(inputs, 0.0, 1.0)) + (
            inputs - ops.stop_gradient(inputs)
        )
