"""The architecture tables: known totals, hand-counted rows, and marked differences."""

import csv
import io

import keras
import pytest

from experiments import table1_architecture
from experiments.lib import architecture, published, results
from speech2face.config import VoiceEncoderConfig
from speech2face.models import voice_encoder


@pytest.fixture(scope="module")
def tables():
    return table1_architecture.build_tables()


def compare(model, source, input_shape):
    names = [layer.name for layer in source]
    shapes = architecture.shapes_for(model, input_shape)
    layers = architecture.built_layers(model, names, [shapes])
    return {
        built.name: built.differences(layer) for built, layer in zip(layers, source)
    }


def test_totals(tables):
    assert [t.n_parameters for t in tables[:2]] == [148_067_584, 145_002_878]
    assert tables[0].giga_multiply_adds == pytest.approx(89.2, abs=0.05)
    assert tables[1].giga_multiply_adds == pytest.approx(15.5, abs=0.05)  # VGG-16's


def test_the_table_that_is_built_is_the_published_one():
    rows = [
        (row.layer, row.channels, row.stride, row.kernel)
        for row in voice_encoder.TABLE_1
    ]
    assert rows == [
        (layer.name, layer.channels, layer.stride, layer.kernel)
        if layer.name != "avgpool"
        else ("avgpool", None, (1, 1), (None, 1))  # published: inf x 1
        for layer in published.TABLE_1
    ]


def test_rows_counted_by_hand(tables):
    rows = {layer.name: layer for table in tables for layer in table.layers}
    conv2 = rows["conv2"]
    assert conv2.multiply_adds == 4 * 4 * 64 * 64 * 592 * 251
    assert conv2.n_parameters == 4 * 4 * 64 * 64 + 64 + 4 * 64
    assert conv2.output_shapes == [(592, 251, 64), (292, 251, 64)]
    assert rows["fc1"].multiply_adds == 57 * 512 * 4096
    assert rows["texture_deconv_2"].multiply_adds == 5 * 5 * 128 * 64 * 28 * 28
    assert rows["f_dec"].n_parameters == 4096 * 1000 + 1000


def test_the_first_fully_connected_layer_is_the_one_difference(tables):
    found = {}
    for table in tables:
        for layer, source in zip(table.layers, table.published):
            if layer.differences(source):
                found[layer.name] = layer.differences(source)
        assert tuple(table.input_shapes[0]) == table.published_input
    assert found == {"fc1": "kernel 1 × 57, published 1 × 1"}


def test_other_widths_and_missing_batch_norm_are_marked():
    config = VoiceEncoderConfig(width=1 / 64, batch_norm=False)
    model = voice_encoder.build_table_1(config, 4096)
    found = compare(model, published.TABLE_1, (598, 257, 2))
    assert found["conv3"] == (
        "operations CONV RELU, published CONV RELU BN; channels 2, published 128"
    )
    assert found["maxpool3"] == found["fc2"] == ""


def test_pooling_over_frequency_is_marked():
    source = published.TABLE_1[2:4]
    model = keras.Sequential(
        [
            keras.Input([None, 257, 2]),
            keras.layers.Conv2D(128, 4, activation="relu", name="conv3"),
            keras.layers.MaxPooling2D((1, 2), name="maxpool3"),
        ]
    )
    found = compare(model, source, (598, 257, 2))
    assert found["conv3"] == "operations CONV RELU, published CONV RELU BN"
    assert found["maxpool3"] == (
        "stride 1 × 2, published 2 × 1; kernel 1 × 2, published 2 × 1"
    )


def test_weights_outside_the_listed_layers_are_an_error():
    model = voice_encoder.build_table_1(VoiceEncoderConfig(width=1 / 64), 8)
    with pytest.raises(ValueError, match="but the layers listed have"):
        compare(model, published.TABLE_1[:-1], (598, 257, 2))


def test_files(tmp_path):
    result = table1_architecture.run()
    markdown, table = results.write(result, tmp_path / "results")
    text = markdown.read_text()
    assert (
        "| conv9 | CONV | 4 × 4 | 2 × 2 | 512 | 6 × 57 × 512 | 1 × 57 × 512 |" in text
    )
    assert "**kernel 1 × 57, published 1 × 1**" in text
    assert "148,067,584 parameters, 89.2 GMAC; 1 of 16 layers differ" in text
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    assert len(rows) == 16 + 21 + 10
    assert rows[0]["output_3_secs"] == "295 × 254 × 64"
    assert rows[0]["difference"] == rows[-1]["difference"] == ""
    for line in text.splitlines():
        assert line.count("|") in (0, 14, 15)
