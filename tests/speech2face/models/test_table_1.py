"""Table 1 at paper size: the order of its layers, their shapes and parameters."""

import dataclasses

import keras
import numpy as np
import pytest

from speech2face.config import VoiceEncoderConfig
from speech2face.models import voice_encoder
from tests.helpers.tiny_encoder import TINY

# Time x frequency x channels after each layer, worked out by hand: a convolution
# takes 3 off each side (stride 2: then halves, rounded down), a pool halves time.
VALID_6_SECS = {
    "conv1": (595, 254, 64),
    "conv2": (592, 251, 64),
    "conv3": (589, 248, 128),
    "maxpool3": (294, 248, 128),
    "conv4": (291, 245, 128),
    "maxpool4": (145, 245, 128),
    "conv5": (142, 242, 128),
    "maxpool5": (71, 242, 128),
    "conv6": (68, 239, 256),
    "maxpool6": (34, 239, 256),
    "conv7": (31, 236, 512),
    "conv8": (14, 117, 512),
    "conv9": (6, 57, 512),
    "avgpool": (57, 512),
    "fc1": (4096,),
    "fc2": (4096,),
}


VALID_3_SECS = {
    "conv1": (295, 254, 64),
    "conv2": (292, 251, 64),
    "conv3": (289, 248, 128),
    "maxpool3": (144, 248, 128),
    "conv4": (141, 245, 128),
    "maxpool4": (70, 245, 128),
    "conv5": (67, 242, 128),
    "maxpool5": (33, 242, 128),
    "conv6": (30, 239, 256),
    "maxpool6": (15, 239, 256),
    "conv7": (12, 236, 512),
    "conv8": (5, 117, 512),
    "conv9": (1, 57, 512),
    "avgpool": (57, 512),
    "fc1": (4096,),
    "fc2": (4096,),
}


SAME_6_SECS = {
    "conv1": (598, 257, 64),
    "conv2": (598, 257, 64),
    "conv3": (598, 257, 128),
    "maxpool3": (299, 257, 128),
    "conv4": (299, 257, 128),
    "maxpool4": (149, 257, 128),
    "conv5": (149, 257, 128),
    "maxpool5": (74, 257, 128),
    "conv6": (74, 257, 256),
    "maxpool6": (37, 257, 256),
    "conv7": (37, 257, 512),
    "conv8": (19, 129, 512),
    "conv9": (10, 65, 512),
    "avgpool": (65, 512),
    "fc1": (4096,),
    "fc2": (4096,),
}


@pytest.fixture(scope="module")
def table_1():
    """The paper's network, without memory for its 600 MB of weights."""
    with keras.StatelessScope(initialize_variables=False):
        return voice_encoder.build_table_1(VoiceEncoderConfig(), 4096)


def output_shapes(model, n_frames):
    shapes, shape = {}, (None, n_frames, 257, 2)
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            shape = tuple(layer.compute_output_shape(shape))
        shapes[layer.name] = shape[1:]
    return shapes


def rows_of(shapes):
    return {row.layer: shapes[row.layer] for row in voice_encoder.TABLE_1}


def test_parameter_counts_are_table_1s(table_1):
    trainable = sum(np.prod(w.shape) for w in table_1.trainable_weights)
    assert table_1.count_params() == 148_067_584
    assert trainable == 148_062_976


@pytest.mark.parametrize(
    ("n_frames", "expected"), [(598, VALID_6_SECS), (298, VALID_3_SECS)]
)
def test_output_shape_of_every_layer(table_1, n_frames, expected):
    assert rows_of(output_shapes(table_1, n_frames)) == expected


def test_pooling_is_over_time_only_and_frequency_stays(table_1):
    for name in ("maxpool3", "maxpool4", "maxpool5", "maxpool6"):
        layer = table_1.get_layer(name)
        assert tuple(layer.pool_size) == tuple(layer.strides) == (2, 1)
    assert output_shapes(table_1, 598)["flatten"] == (29_184,)


def test_layers_come_in_the_order_of_table_1(table_1):
    block = ["conv{0}", "relu{0}", "bn{0}"]
    names = ["spectrogram"]
    for k in range(1, 9):
        names += [name.format(k) for name in block]
        names += [f"maxpool{k}"] if k in (3, 4, 5, 6) else []
    names += ["conv9", "avgpool", "relu9", "bn9", "flatten", "fc1", "relu_fc1", "fc2"]
    assert [layer.name for layer in table_1.layers] == names


def test_same_padding_has_its_known_size():
    with keras.StatelessScope(initialize_variables=False):
        model = voice_encoder.build_table_1(VoiceEncoderConfig(padding="same"), 4096)
    assert model.count_params() == 164_844_800
    assert rows_of(output_shapes(model, 598)) == SAME_6_SECS


def test_without_batch_norm_only_its_weights_are_gone():
    without = voice_encoder.build_table_1(
        dataclasses.replace(TINY, batch_norm=False), 7
    )
    with_ = voice_encoder.build_table_1(TINY, 7)
    assert not any("bn" in layer.name for layer in without.layers)
    channels = 1 + 1 + 3 + 3 + 3 + 5 + 10 + 10 + 10
    assert with_.count_params() - without.count_params() == 4 * channels


def test_width_scales_every_channel_count_but_the_last():
    model = voice_encoder.build_table_1(VoiceEncoderConfig(width=0.25), 128)
    shapes = rows_of(output_shapes(model, 598))
    channels = [shapes[row.layer][-1] for row in voice_encoder.TABLE_1]
    expected = [16, 16, 32, 32, 32, 32, 32, 32, 64, 64, 128, 128, 128, 128, 1024, 128]
    assert channels == expected
