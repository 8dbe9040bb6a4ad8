"""The face decoder of Cole et al. 2017, Fig. 3: a normalized face from its feature.

F. Cole et al., "Synthesizing Normalized Faces from Facial Identity Features", CVPR
2017. Speech2Face (Sec. 3, "Face decoder network") uses it trained and frozen. Its first
layer is f_dec of Eq. 1 (docs/decisions/f-dec.md). Two independent branches follow:

    v_f [d] -> FC 1000 + ReLU = f_dec
      landmarks: FC 256 + ReLU, FC 256 + ReLU, FC 136 -> 68 points (x, y), or more:
                 records may have points on the outline of the head
      texture:   FC 14 x 14 x 256 + ReLU,
                 4 transposed convolutions 5 x 5, stride 2, + ReLU
                 (128, 64, 32, 32 channels) -> 224 x 224 x 32,
                 convolution 1 x 1 -> RGB: the face warped to the mean landmarks
    image = texture, warped from the mean landmarks to the predicted ones

The papers do not give the landmark branch's widths, the range of the texture or any
initialization; ours, with reasons, stand beside the code and in
docs/decisions/face-decoder.md.
"""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from speech2face import paper
from speech2face.config import FaceDecoderConfig
from speech2face.errors import UserError
from speech2face.models import background, clear_outline, texture_space, warp

# How far an output of 1 moves a landmark: docs/decisions/landmark-unit.md.
LANDMARK_UNIT_PX = 16
COARSE_PX = 14  # of the first texture map (Cole et al., Fig. 3)


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
      mean_landmarks: [n, 2] (x, y) px at 224 x 224, of the mean face: dlib's 68, then
        the points of the outline, if there are any.
      dtype_policy: Keras policy of the texture branch. The rest is cheap and float32.

    Returns:
      A model from normalized features [b, d] to a dict, float32 throughout:
        decoder_activation: [b, decoder_units], f_dec, not negative.
        landmarks: [b, n, 2] (x, y) px.
        texture: [b, 224, 224, 3] in [0, 1], the face at the mean landmarks.
        image: [b, 224, 224, 3] in [0, 1], the face.

    Raises:
      UserError: mean_landmarks are not finite [n, 2] with n of 68 or more, a white
        background has no outline, texture_channels are not the five that lead from
        14 x 14 to 224 x 224, or warp_order is neither 1 nor 2.
    """
    mean_landmarks = np.asarray(mean_landmarks, "float32")
    _check(config, mean_landmarks)
    face_feature = keras.Input((feature_dim,), name="face_feature")
    decoder_activation = layers.Dense(
        config.decoder_units, activation="relu", dtype="float32", name="f_dec"
    )(face_feature)
    landmarks = _landmark_branch(decoder_activation, config, mean_landmarks)
    texture = _texture_branch(decoder_activation, config, mean_landmarks, dtype_policy)
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

    Normalized feature [b, d] -> f_dec [b, decoder_units] float32, after its ReLU.
    """
    return keras.Model(model.input, model.get_layer("f_dec").output, name="f_dec")


def _check(config: FaceDecoderConfig, mean_landmarks: np.ndarray) -> None:
    shape = mean_landmarks.shape
    is_points = len(shape) == 2 and shape[0] >= paper.N_LANDMARKS and shape[1] == 2
    if not is_points or not np.isfinite(mean_landmarks).all():
        raise UserError(
            f"mean landmarks are {shape}; expected {paper.N_LANDMARKS} finite points "
            "(x, y) or, with an outline, more"
        )
    if config.white_background and shape[0] == paper.N_LANDMARKS:
        raise UserError(
            "--white_background needs landmarks on the outline of the head, which "
            "these records lack; build them with --outline_points=26"
        )
    n_doublings = int(np.log2(paper.FACE_PX // COARSE_PX))
    if len(config.texture_channels) != n_doublings + 1:
        raise UserError(
            f"texture_channels {config.texture_channels}: expected {n_doublings + 1}, "
            f"from {COARSE_PX} x {COARSE_PX} to {paper.FACE_PX} x {paper.FACE_PX}"
        )
    if config.warp_order not in (1, 2):
        raise UserError(f"warp_order is {config.warp_order}; it must be 1 or 2")


def _landmark_branch(
    decoder_activation: Any, config: FaceDecoderConfig, mean_landmarks: np.ndarray
) -> Any:
    """f_dec -> landmarks [b, n, 2] px."""
    hidden = decoder_activation
    for i, units in enumerate(config.landmark_units, start=1):
        hidden = layers.Dense(
            units, activation="relu", dtype="float32", name=f"landmarks_fc_{i}"
        )(hidden)
    offsets = layers.Dense(
        mean_landmarks.size,
        # Small: an untrained decoder draws nearly the mean shape, which never folds.
        kernel_initializer=keras.initializers.RandomNormal(stddev=1e-3),
        dtype="float32",
        name="landmarks_fc_out",
    )(hidden)
    # [b, 2 n] -> [b, n, 2]
    offsets = layers.Reshape(mean_landmarks.shape, dtype="float32")(offsets)
    landmarks = layers.Rescaling(
        LANDMARK_UNIT_PX,
        offset=mean_landmarks.tolist(),
        dtype="float32",
        name="landmarks",
    )(offsets)
    if len(mean_landmarks) == paper.N_LANDMARKS:  # no outline
        return landmarks
    return clear_outline.ClearOutline(mean_landmarks, name="clear_landmarks")(landmarks)


def _texture_branch(
    decoder_activation: Any,
    config: FaceDecoderConfig,
    mean_landmarks: np.ndarray,
    dtype_policy: str,
) -> Any:
    """f_dec -> texture [b, 224, 224, 3] in [0, 1], float32."""
    first, *others = config.texture_channels
    x = layers.Dense(
        COARSE_PX**2 * first,
        activation="relu",
        dtype=dtype_policy,
        name="texture_fc",
    )(decoder_activation)
    # [b, 14 * 14 * c] -> [b, 14, 14, c]
    x = layers.Reshape((COARSE_PX, COARSE_PX, first), dtype=dtype_policy)(x)
    for i, channels in enumerate(others, start=1):
        x = SmoothConv2DTranspose(
            channels, dtype=dtype_policy, name=f"texture_deconv_{i}"
        )(x)
    x = layers.Conv2D(
        3,
        kernel_size=1,
        # Mid-gray, inside [0, 1], or the mean texture as it is.
        bias_initializer=keras.initializers.Constant(
            0.0 if config.mean_texture else 0.5
        ),
        dtype=dtype_policy,
        name="texture_rgb",
    )(x)
    if config.texture_components:
        space = texture_space.TextureSpace(config.texture_components, name="space")
        x = space(x)
    if config.mean_texture:
        x = texture_space.MeanTexture(name="mean_texture")(x)
    if not config.white_background:
        return ClipToUnit(dtype="float32", name="texture")(x)
    x = ClipToUnit(dtype="float32", name="texture_everywhere")(x)
    return background.WhiteBackground(mean_landmarks, name="texture")(x)


@keras.saving.register_keras_serializable("speech2face")
class SmoothConv2DTranspose(layers.Conv2DTranspose):
    """A transposed convolution, 5 x 5, stride 2, + ReLU, that draws no checkerboard.

    Even and odd output pixels see 3 x 3 and 2 x 2 of the kernel's numbers. If these
    weigh a plain area differently, it becomes a checkerboard (Odena et al.,
    "Deconvolution and Checkerboard Artifacts", Distill 2016), a small error that
    training leaves. Here the kernel's alternating sum along each direction, which is
    its answer to a plain area at the highest frequency, is subtracted before use. The
    parameters are those of the paper's layer.
    """

    _ALTERNATING = np.array([1, -1, 1, -1, 1], "float32")

    def __init__(self, filters: int, **kwargs: Any):
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

    def call(self, inputs: Any) -> Any:
        """Returns [b, 2 h, 2 w, filters] of [b, h, w, channels]."""
        outputs = ops.conv_transpose(
            inputs, self.smooth_kernel(), strides=2, padding="same"
        )
        return self.activation(outputs + self.bias)

    def smooth_kernel(self) -> Any:
        """Returns the kernel [5, 5, out, in] without its alternating sums."""
        # Projects on what is orthogonal to the alternating vector, of squared norm 5.
        projection = np.eye(5) - np.outer(self._ALTERNATING, self._ALTERNATING) / 5.0
        projection = ops.cast(projection, self.kernel.dtype)
        # [5, 5, out, in] -> [5, 5 * out * in]: along y
        kernel = ops.matmul(projection, ops.reshape(self.kernel, (5, -1)))
        kernel = ops.reshape(kernel, (5, 5, -1))  # [y, x, out * in]: along x
        return ops.reshape(ops.matmul(projection, kernel), self.kernel.shape)

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"name": self.name, "filters": self.filters, "dtype": self.dtype_policy}


@keras.saving.register_keras_serializable("speech2face")
class SmoothUpsampling(keras.initializers.Initializer):
    """Starts a 5 x 5, stride-2 transposed convolution as a smooth enlargement.

    Every kernel is a random number times the cubic spline's (1, 4, 6, 4, 1)/8 in each
    direction, whose even and odd numbers have the same sum.
    """

    _TAPS = np.array([1, 4, 6, 4, 1], "float32") / 8.0

    def __init__(self, seed: int | None = None):
        """Takes an optional seed; without one, every call draws different numbers."""
        self._mixing = keras.initializers.HeNormal(seed)
        self._seed = seed

    def __call__(self, shape: Sequence[int], dtype: str | None = None) -> Any:
        """Returns a kernel [5, 5, channels out, channels in]."""
        size_y, size_x, n_out, n_in = shape
        if (size_y, size_x) != (5, 5):
            raise ValueError(f"the kernel must be 5 x 5, not {size_y} x {size_x}")
        mixing = ops.transpose(self._mixing((n_in, n_out), dtype))
        taps = ops.cast(np.outer(self._TAPS, self._TAPS), mixing.dtype)
        return taps[:, :, None, None] * mixing

    def get_config(self) -> dict[str, Any]:
        """Returns what `from_config` needs."""
        return {"seed": self._seed}


@keras.saving.register_keras_serializable("speech2face")
class ClipToUnit(layers.Layer):
    """Clips to [0, 1]; its gradient is that of the identity (straight-through).

    The targets' background is plain white, which a sigmoid never reaches. Clipping
    does, and the gradient brings a pixel back from beyond the range.
    """

    def call(self, inputs: Any) -> Any:
        """Returns `inputs` clipped to [0, 1]."""
        return ops.stop_gradient(ops.clip(inputs, 0.0, 1.0)) + (
            inputs - ops.stop_gradient(inputs)
        )
