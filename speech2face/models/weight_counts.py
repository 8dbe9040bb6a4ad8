"""Counts the weights of a network before it is built.

A config of a few bytes can describe a network of many gigabytes. Only what grows with
the product of two widths is counted: kernels, and the components of the textures.
"""

import itertools
from collections.abc import Sequence

from speech2face import config as config_lib
from speech2face.models import (
    face_decoder,
    speaker_embedding,
    texture_space,
    voice_encoder,
)
from speech2face.paper import N_BANDS

_KERNEL_VALUES = 5 * 5  # of `face_decoder.SmoothConv2DTranspose`


def of_face_decoder(
    config: config_lib.FaceDecoderConfig, feature_dim: int, n_landmarks: int
) -> int:
    """Returns the number of values in the kernels of `build_face_decoder`.

    Args:
      config: its widths.
      feature_dim: d, of the face feature.
      n_landmarks: points of the mean face.
    """
    units, channels = config.decoder_units, config.texture_channels
    first, last = (channels[0], channels[-1]) if channels else (0, 0)
    return (
        feature_dim * units
        + _of_dense_layers([units, *config.landmark_units, 2 * n_landmarks])
        + units * face_decoder.COARSE_PX**2 * first
        + _KERNEL_VALUES * _of_dense_layers(channels)
        + 3 * last
        + config.texture_components * 3 * texture_space.SPACE_PX**2
    )


def of_voice_encoder(config: config_lib.VoiceEncoderConfig, feature_dim: int) -> int:
    """Returns the number of values in the kernels that `build_voice_encoder` learns.

    Args:
      config: which network, and its widths.
      feature_dim: length of the face feature.
    """
    if config.encoder == "speaker_embedding":
        n_inputs = speaker_embedding.VOICE_DIM
        return _of_dense_layers([n_inputs, *config.speaker_hidden_units, feature_dim])
    n_values, n_bands, n_channels = 0, N_BANDS, 2
    for row in voice_encoder.TABLE_1:
        if row.channels is None:  # a pooling layer, over time only
            continue
        is_last = row is voice_encoder.TABLE_1[-1]
        n_outputs = feature_dim if is_last else voice_encoder.n_units(row, config)
        if row.layer.startswith("fc"):
            n_values += n_bands * n_channels * n_outputs
            n_bands = 1
        else:
            (n_times, size), step = (row.kernel[0] or 1, row.kernel[1]), row.stride[1]
            n_values += n_times * size * n_channels * n_outputs
            is_padded = config.padding == "same"
            n_bands = -(-(n_bands if is_padded else n_bands - size + 1) // step)
        n_channels = n_outputs
    return n_values


def _of_dense_layers(widths: Sequence[int]) -> int:
    return sum(n * m for n, m in itertools.pairwise(widths))
