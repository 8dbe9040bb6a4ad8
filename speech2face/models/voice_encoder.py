"""The voice encoder (Table 1): from speech to the face feature that it predicts.

"A convolutional neural network that turns the spectrogram of a short input speech into
a pseudo face feature" (Sec. 3). Blocks of CONV, ReLU and batch normalisation alternate
with max pooling over time only; the last convolution is averaged over all that remains
of time, so the input "can be arbitrarily long"; two fully connected layers follow, the
last of them without activation.

What Table 1 leaves open: the convolutions are not padded (BUILD_NOTES 5), and since a
1 x 1 convolution could not turn the 57 frequencies left into one feature, the first
fully connected layer takes all of them times 512 channels. That makes 148,067,584
parameters, 148,062,976 of them trainable. Without padding the network needs 259
frames, 2.605 s; callers repeat anything shorter (`audio.fit_length`).
"""

from typing import Any, Callable, List, NamedTuple, Optional, Tuple

import keras
from keras import layers, ops

from speech2face import audio
from speech2face import config as config_lib
from speech2face.models.batch_norm import FusedBatchNormalization
from speech2face.models.convolution import Convolution, MaxPooling


class Row(NamedTuple):
    """One column of Table 1; sizes are time x frequency, None where it has a dash."""

    layer: str
    channels: Optional[int]
    stride: Tuple[int, int]
    kernel: Tuple[Optional[int], int]


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
LAST_LAYER = TABLE_1[-1].layer

MIN_FRAMES = 259  # the receptive field of conv9 in time, without padding
MIN_SAMPLES = audio.WINDOW_SAMPLES + (MIN_FRAMES - 1) * audio.HOP_SAMPLES  # 2.605 s


class TimeGeometry(NamedTuple):
    """Which frames the outputs of the last convolution see.

    Attributes:
      stride_frames: from one output to the next.
      span_frames: output k sees nothing behind the first `span_frames` from frame
        k * stride_frames on.
      n_lead: first outputs that see the padding before frame 0.
      n_outputs: frames -> outputs.
    """

    stride_frames: int
    span_frames: int
    n_lead: int
    n_outputs: Callable[[int], int]


def build_voice_encoder(
    config: config_lib.VoiceEncoderConfig,
    feature_dim: int,
    dtype_policy: str = "float32",
) -> keras.Model:
    """Builds the network that `config.encoder` names.

    Args:
      config: which network, and its size.
      feature_dim: length of the face feature; 4096 in the paper.
      dtype_policy: arithmetic of all but the spectrogram and the last layer.

    Returns:
      A model from a waveform [batch, n_samples] float32 in [-1, 1] at 16 kHz, of at
      least `MIN_SAMPLES`, to the voice feature (v_s) [batch, feature_dim] float32.
    """
    if config.encoder == "speaker_embedding":
        from speech2face.models import speaker_encoder

        return speaker_encoder.build_speaker_encoder(config, feature_dim, dtype_policy)
    waveform = keras.Input([None], name="waveform")
    spectrogram = audio.Spectrogram(MIN_SAMPLES)(waveform)
    table_1 = build_table_1(config, feature_dim, dtype_policy)
    return keras.Model(waveform, table_1(spectrogram), name="voice_encoder")


def build_table_1(
    config: config_lib.VoiceEncoderConfig,
    feature_dim: int,
    dtype_policy: str = "float32",
) -> keras.Model:
    """Builds Table 1, each layer named as its row.

    Returns:
      A model from a compressed spectrogram [batch, frames, 257, 2] float32 to the voice
      feature [batch, feature_dim] float32.
    """
    spectrogram = keras.Input([None, audio.N_BANDS, 2], name="spectrogram")
    x = spectrogram
    for row in TABLE_1:
        if row.layer.startswith("conv"):
            x = _convolution(x, row, config, dtype_policy)
        elif row.layer.startswith("maxpool"):
            pool = MaxPooling(
                row.kernel, row.stride, dtype=dtype_policy, name=row.layer
            )
            x = pool(x)
        elif row.layer == "avgpool":
            x = TimeAverage(dtype=dtype_policy, name=row.layer)(x)
            x = _activate(x, "9", config, dtype_policy)
            x = layers.Flatten(dtype=dtype_policy, name="flatten")(x)
        else:
            x = _fully_connected(x, row, config, feature_dim, dtype_policy)
    return keras.Model(spectrogram, x, name="table_1")


def table_1_layers(encoder: keras.Model) -> List[layers.Layer]:
    """The layers of Table 1 in what `build_voice_encoder` made.

    Raises:
      ValueError: it is another network.
    """
    for layer in encoder.layers:
        if layer.name == "table_1":
            return layer.layers
    raise ValueError("this voice encoder is not Table 1: give --encoder=table1")


def freeze_all_but_last(encoder: keras.Model) -> None:
    """Freezes Table 1 but for its last layer, batch statistics included."""
    for layer in table_1_layers(encoder):
        layer.trainable = layer.name == LAST_LAYER


def split_behind_convolutions(encoder: keras.Model) -> Tuple[keras.Model, keras.Model]:
    """Splits an encoder with Table 1 in front of its first dropout, sharing weights.

    Returns:
      (waveform -> what the fully connected layers read [batch, n]; that -> v_s).
    """
    waveform, spectrogram, table_1 = encoder.layers
    seen = table_1.get_layer("flatten").output
    embed = keras.Model(table_1.input, seen)
    return (
        keras.Model(waveform.output, embed(spectrogram.output)),
        keras.Model(seen, table_1.output),
    )


def learned_variables(encoder: layers.Layer) -> List[keras.Variable]:
    """The variables of an encoder but those of pretrained, frozen networks.

    Pretrained networks come with the package, and seeds of dropout decide nothing
    behind the training: neither belongs into a bundle.
    """
    if isinstance(encoder, keras.Model):
        parts = [learned_variables(layer) for layer in encoder.layers]
        return [variable for part in parts for variable in part]
    return [] if getattr(encoder, "is_pretrained", False) else encoder.weights


def split_at_time_average(table_1: keras.Model) -> Tuple[keras.Model, keras.Model]:
    """Splits Table 1 where time ends, sharing its weights.

    Long audio can be fed in pieces: the features of a whole are the second model's of
    the mean over time of the first model's.

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
    """Follows time through Table 1, for `padding` 'valid' or 'same'."""
    stride, n_before, n_span = 1, 0, 1  # frames, of one output and before it
    rows = [row for row in TABLE_1 if row.layer.startswith(("conv", "maxpool"))]
    for row in rows:
        size = row.kernel[0]
        n_span += (size - 1) * stride
        if padding == "same" and row.layer.startswith("conv"):
            n_before += (size - 1) // 2 * stride  # TensorFlow pads less at the left
        stride *= row.stride[0]

    def n_outputs(n: int) -> int:
        for row in rows:
            if padding == "same" and row.layer.startswith("conv"):
                n = -(-n // row.stride[0])
            else:
                n = (n - row.kernel[0]) // row.stride[0] + 1
        return n

    return TimeGeometry(stride, n_span - n_before, -(-n_before // stride), n_outputs)


@keras.saving.register_keras_serializable("speech2face")
class TimeAverage(layers.Layer):
    """Mean over all of time: [batch, time, frequency, channels] without its axis 1."""

    def call(self, x):
        """Returns the mean."""
        return ops.mean(x, axis=1)

    def compute_output_shape(self, input_shape):
        """Returns `input_shape` without time."""
        return (input_shape[0], *input_shape[2:])


def _convolution(
    x: Any, row: Row, config: config_lib.VoiceEncoderConfig, dtype_policy: str
) -> Any:
    x = Convolution(
        scaled(row.channels, config.width),
        row.kernel,
        row.stride,
        padding=config.padding,
        dtype=dtype_policy,
        name=row.layer,
    )(x)
    if row.layer == LAST_CONVOLUTION:
        return x  # Table 1: its ReLU and BN stand behind the average over time
    return _activate(x, row.layer[len("conv") :], config, dtype_policy)


def _activate(
    x: Any, number: str, config: config_lib.VoiceEncoderConfig, dtype_policy: str
) -> Any:
    """ReLU, then batch normalisation, in the order of Table 1."""
    x = layers.ReLU(dtype=dtype_policy, name=f"relu{number}")(x)
    if not config.batch_norm:
        return x
    return FusedBatchNormalization(
        momentum=config.batch_norm_momentum,
        epsilon=config.batch_norm_epsilon,
        synchronized=config.global_batch_norm,
        dtype=dtype_policy,
        name=f"bn{number}",
    )(x)


def _fully_connected(
    x: Any,
    row: Row,
    config: config_lib.VoiceEncoderConfig,
    feature_dim: int,
    dtype_policy: str,
) -> Any:
    if config.head_dropout:
        name = f"dropout_{row.layer}"
        x = layers.Dropout(config.head_dropout, dtype=dtype_policy, name=name)(x)
    if row is TABLE_1[-1]:  # in float32: half precision would round the result itself
        return layers.Dense(feature_dim, dtype="float32", name=row.layer)(x)
    units = scaled(row.channels, config.width)
    x = layers.Dense(units, dtype=dtype_policy, name=row.layer)(x)
    return layers.ReLU(dtype=dtype_policy, name=f"relu_{row.layer}")(x)


def scaled(channels: int, width: float) -> int:
    """`channels` times the width multiplier, rounded, at least 1."""
    return max(1, round(channels * width))
