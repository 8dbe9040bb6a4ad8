"""The voice encoder (Table 1): from speech to the face feature that it predicts.

"A convolutional neural network that turns the spectrogram of a short input speech into
a pseudo face feature" (Sec. 3). Blocks of CONV, ReLU and batch normalization alternate
with max pooling over time only. The last convolution is averaged over time, so the
input "can be arbitrarily long". Two fully connected layers follow, the last of them
without activation.

Table 1 leaves two things open. The convolutions are not padded here
(docs/decisions/convolution-padding.md). And since a 1 x 1 convolution could not turn
the remaining 57 frequencies into one feature, the first fully connected layer takes all
57 x 512 values (docs/decisions/encoder-blocks.md). That makes 148,067,584 parameters,
148,062,976 of them trainable. Without padding the network needs 259 frames, 2.605 s;
callers repeat anything shorter (`audio.spectrogram.fit_length`).
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import keras
from keras import layers, ops

from speech2face import config as config_lib
from speech2face.audio.spectrogram import Spectrogram
from speech2face.errors import UserError
from speech2face.models import speaker_encoder
from speech2face.models.fast.batch_norm import FusedBatchNormalization
from speech2face.models.fast.convolution import Convolution, MaxPooling
from speech2face.paper import HOP_SAMPLES, N_BANDS, SAMPLE_RATE_HZ, WINDOW_SAMPLES


class Row(NamedTuple):
    """One column of Table 1; sizes are time x frequency, None where it has a dash."""

    layer: str
    channels: int | None
    stride: tuple[int, int]
    kernel: tuple[int | None, int]


TABLE_1 = (
    Row("conv1", 64, (1, 1), (4, 4)),
    Row("conv2", 64, (1, 1), (4, 4)),
    Row("conv3", 128, (1, 1), (4, 4)),
    Row("maxpool3", None, (2, 1), (2, 1)),
    Row("conv4", 128, (1, 1), (4, 4)),
    Row("maxpool4", None, (2, 1), (2, 1)),
    Row("conv5", 128, (1, 1), (4, 4)),
    Row("maxpool5", None, (2, 1), (2, 1)),
    Row("conv6", 256, (1, 1), (4, 4)),
    Row("maxpool6", None, (2, 1), (2, 1)),
    Row("conv7", 512, (1, 1), (4, 4)),
    Row("conv8", 512, (2, 2), (4, 4)),
    Row("conv9", 512, (2, 2), (4, 4)),
    Row("avgpool", None, (1, 1), (None, 1)),  # None: all of time
    Row("fc1", 4096, (1, 1), (1, 1)),
    Row("fc2", 4096, (1, 1), (1, 1)),
)
LAST_CONVOLUTION = "conv9"

MIN_FRAMES = 259  # the receptive field of conv9 in time, without padding
MIN_SAMPLES = WINDOW_SAMPLES + (MIN_FRAMES - 1) * HOP_SAMPLES  # 2.605 s


class TimeGeometry(NamedTuple):
    """Frames that the outputs of the last convolution see.

    Attributes:
      stride_frames: frames from one output to the next.
      span_frames: output k sees no frame from k * stride_frames + span_frames on.
      n_lead: how many of the first outputs see the padding before frame 0.
      n_outputs: number of frames -> number of outputs.
    """

    stride_frames: int
    span_frames: int
    n_lead: int
    n_outputs: Callable[[int], int]


def check_clip_secs(config: config_lib.VoiceEncoderConfig, clip_secs: float) -> None:
    """Raises UserError if clips are shorter than what the network can see."""
    min_secs = MIN_SAMPLES / SAMPLE_RATE_HZ
    if config.encoder == "table1" and clip_secs < min_secs:
        raise UserError(
            f"--clip_secs={clip_secs:g} is too short for the network of Table 1, whose "
            f"convolutions see {min_secs:.3f} s"
        )


def build_voice_encoder(
    config: config_lib.VoiceEncoderConfig,
    feature_dim: int,
    dtype_policy: str = "float32",
    feature_norm: float | None = None,
    embedder_precision: config_lib.InferencePrecision = "float32",
) -> keras.Model:
    """Builds the network that `config.encoder` names.

    Args:
      config: which network, and its size.
      feature_dim: length of the face feature; 4096 in the paper.
      dtype_policy: arithmetic of all but the spectrogram and the last layer.
      feature_norm: see `build_table_1`; the other network does not need it.
      embedder_precision: arithmetic of a frozen speaker recognizer. It is float32 in
        training, which keeps its vectors.

    Returns:
      A model from a waveform [batch, n_samples] float32 in [-1, 1] at 16 kHz, of at
      least `MIN_SAMPLES`, to the voice feature (v_s) [batch, feature_dim] float32.
    """
    if config.encoder == "speaker_embedding":
        return speaker_encoder.build_speaker_encoder(
            config, feature_dim, dtype_policy, embedder_precision
        )
    waveform = keras.Input([None], name="waveform")
    spectrogram = Spectrogram(MIN_SAMPLES)(waveform)
    table_1 = build_table_1(config, feature_dim, dtype_policy, feature_norm)
    return keras.Model(waveform, table_1(spectrogram), name="voice_encoder")


def precision_of(encoder: keras.Model) -> str:
    """Returns the type in which an encoder multiplies, such as 'float32'.

    Args:
      encoder: what `build_voice_encoder` returned.
    """
    if "table_1" in [layer.name for layer in encoder.layers]:
        return encoder.get_layer("table_1").get_layer("conv1").compute_dtype
    return encoder.get_layer("speaker_embedding").get_layer("campplus").precision


def build_table_1(
    config: config_lib.VoiceEncoderConfig,
    feature_dim: int,
    dtype_policy: str = "float32",
    feature_norm: float | None = None,
) -> keras.Model:
    """Builds Table 1, each layer named as its row.

    Args:
      config: width, padding, batch normalization, dropout.
      feature_dim: length of the face feature; 4096 in the paper.
      dtype_policy: arithmetic of all but the last layer.
      feature_norm: mean |v_f|; |v_s| of the new network is about as long. None takes
        Glorot's initial weights as they are.

    Returns:
      A model from a compressed spectrogram [batch, frames, 257, 2] float32 to the voice
      feature [batch, feature_dim] float32.
    """
    n_inputs = 0  # of fc1
    spectrogram = keras.Input([None, N_BANDS, 2], name="spectrogram")
    x = spectrogram
    for row in TABLE_1:
        if _is_convolution(row):
            x = _convolution(x, row, config, dtype_policy)
        elif row.layer.startswith("maxpool"):
            pool = MaxPooling(
                row.kernel, row.stride, dtype=dtype_policy, name=row.layer
            )
            x = pool(x)
        elif row.layer == "avgpool":
            # [b, t, f, c] -> [b, f, c]
            x = TimeAverage(dtype=dtype_policy, name=row.layer)(x)
            x = _activate(x, "9", config, dtype_policy)
            # [b, f, c] -> [b, f * c]
            x = layers.Flatten(dtype=dtype_policy, name="flatten")(x)
            n_inputs = x.shape[-1]
        elif row is TABLE_1[-1]:
            scale = _first_scale(n_inputs, x.shape[-1], feature_dim, feature_norm)
            x = _last_layer(_dropout(x, row, config, dtype_policy), feature_dim, scale)
        else:
            x = _dropout(x, row, config, dtype_policy)
            x = layers.Dense(n_units(row, config), dtype=dtype_policy, name=row.layer)(
                x
            )
            x = layers.ReLU(dtype=dtype_policy, name=f"relu_{row.layer}")(x)
    return keras.Model(spectrogram, x, name="table_1")


def feature_units(table_1: keras.Model, feature_norm: float | None) -> dict[str, float]:
    """Returns the unit of the weights of fc2, by path: what its outputs are about.

    Not in the paper: docs/decisions/first-weights.md.

    Args:
      table_1: a model of `build_table_1`.
      feature_norm: mean |v_f|; None for features whose numbers are about 1.
    """
    fc1, fc2 = (table_1.get_layer(row.layer) for row in TABLE_1[-2:])
    n_inputs, n_units = fc1.kernel.shape
    unit = _first_scale(n_inputs, n_units, fc2.units, feature_norm)
    return {weight.path: unit for weight in fc2.weights}


def learned_variables(encoder: layers.Layer) -> list[keras.Variable]:
    """Returns an encoder's variables without those of pretrained, frozen networks.

    These are what a bundle stores: pretrained networks come with the package, and the
    seeds of dropout have no effect after training.
    """
    if isinstance(encoder, keras.Model):
        nested = [learned_variables(layer) for layer in encoder.layers]
        return [variable for variables in nested for variable in variables]
    return [] if getattr(encoder, "is_pretrained", False) else encoder.weights


def n_units(row: Row, config: config_lib.VoiceEncoderConfig) -> int:
    """Returns the row's channels times the width multiplier, rounded, at least 1."""
    if row.channels is None:
        raise ValueError(f"{row.layer} has no channels")
    return max(1, round(row.channels * config.width))


def split_at_time_average(table_1: keras.Model) -> tuple[keras.Model, keras.Model]:
    """Splits Table 1 where time ends, sharing its weights.

    Long audio can be fed in pieces: average the first model's outputs over the time of
    all pieces, then apply the second model (docs/decisions/long-recordings.md).

    Returns:
      (spectrogram -> [batch, time, frequency, channels] of the last convolution,
      its mean over time [batch, frequency, channels] -> voice feature).
    """
    last = table_1.get_layer(LAST_CONVOLUTION).output
    average = table_1.get_layer("avgpool").output
    return (
        keras.Model(table_1.input, last, name="convolutions"),
        keras.Model(average, table_1.output, name="head"),
    )


def time_geometry(padding: str) -> TimeGeometry:
    """Follows time through Table 1, for `padding` 'valid' or 'same'.

    The span is the shortest input of the network (docs/decisions/any-length.md).
    """
    # (kernel size, stride, whether it is padded), in time
    steps = [
        (row.kernel[0], row.stride[0], padding == "same" and _is_convolution(row))
        for row in TABLE_1
        if row.kernel[0] is not None and not row.layer.startswith("fc")
    ]
    stride, n_before, n_span = 1, 0, 1  # frames, of one output and before it
    for size, step, is_padded in steps:
        n_span += (size - 1) * stride
        if is_padded:
            n_before += (size - 1) // 2 * stride  # TensorFlow pads less at the left
        stride *= step

    def n_outputs(n: int) -> int:
        for size, step, is_padded in steps:
            n = -(-n // step) if is_padded else (n - size) // step + 1
        return n

    return TimeGeometry(stride, n_span - n_before, -(-n_before // stride), n_outputs)


@keras.saving.register_keras_serializable("speech2face")
class TimeAverage(layers.Layer):
    """Mean over all of time: [batch, time, frequency, channels] without its axis 1."""

    def call(self, x: Any) -> Any:
        """Returns the mean."""
        return ops.mean(x, axis=1)

    def compute_output_shape(self, input_shape: tuple[Any, ...]) -> tuple[Any, ...]:
        """Returns `input_shape` without time."""
        return (input_shape[0], *input_shape[2:])


def _is_convolution(row: Row) -> bool:
    return row.layer.startswith("conv")


def _convolution(
    x: Any, row: Row, config: config_lib.VoiceEncoderConfig, dtype_policy: str
) -> Any:
    x = Convolution(
        n_units(row, config),
        row.kernel,
        row.stride,
        padding=config.padding,
        dtype=dtype_policy,
        name=row.layer,
    )(x)
    if row.layer == LAST_CONVOLUTION:
        return x  # Table 1: its ReLU and BN follow the average over time
    return _activate(x, row.layer[len("conv") :], config, dtype_policy)


def _activate(
    x: Any, number: str, config: config_lib.VoiceEncoderConfig, dtype_policy: str
) -> Any:
    """ReLU, then batch normalization, in the order of Table 1."""
    x = layers.ReLU(dtype=dtype_policy, name=f"relu{number}")(x)
    if not config.batch_norm:
        return x
    # The paper gives no settings: docs/decisions/batch-norm-settings.md.
    return FusedBatchNormalization(
        momentum=config.batch_norm_momentum,
        epsilon=config.batch_norm_epsilon,
        synchronized=config.global_batch_norm,
        dtype=dtype_policy,
        name=f"bn{number}",
    )(x)


def _dropout(
    x: Any, row: Row, config: config_lib.VoiceEncoderConfig, dtype_policy: str
) -> Any:
    if not config.head_dropout:
        return x
    name = f"dropout_{row.layer}"
    return layers.Dropout(config.head_dropout, dtype=dtype_policy, name=name)(x)


def _last_layer(x: Any, feature_dim: int, scale: float) -> Any:
    """Applies fc2, whose first weights are Glorot's times `scale`."""
    first_weights = keras.initializers.VarianceScaling(
        scale**2, mode="fan_avg", distribution="uniform"
    )
    return layers.Dense(
        feature_dim,
        dtype="float32",  # half precision would round the result itself
        kernel_initializer=first_weights,
        name=TABLE_1[-1].layer,
    )(x)


def _first_scale(
    n_inputs: int, n_units: int, feature_dim: int, feature_norm: float | None
) -> float:
    """Returns the factor on Glorot's weights of fc2 that makes |v_s| `feature_norm`.

    docs/decisions/first-weights.md
    """
    if not feature_norm:
        return 1.0
    # Batch normalization gives fc1 inputs of variance 1. Glorot's weights give
    # 2 n / (n + m) times the mean square of n inputs to each of m outputs, and a ReLU
    # halves it. Without batch normalization the inputs, and v_s, are smaller.
    hidden = n_inputs / (n_inputs + n_units)
    voice_norm = (feature_dim * hidden * 2 * n_units / (n_units + feature_dim)) ** 0.5
    return float(feature_norm / voice_norm)
