"""Weights whose layers have names of their own: which channel comes first."""

import pytest

from speech2face.errors import UserError
from speech2face.weights import (
    vgg_face_import,
)
from tests.helpers import vgg_face_writers as writers

TINY = writers.TINY


def renamed(layers, name_of):
    return [(name_of(name), *arrays) for name, *arrays in layers]


def pyvggface(name):
    if name.startswith("fc"):
        return f"fc.{name}"
    return f"features.conv_{name[4:]}"


@pytest.mark.parametrize(
    ("layout", "name_of"),
    [
        ("pytorch", pyvggface),
        ("pytorch_legacy", lambda name: name.replace("conv", "conv_")),
        ("pytorch", lambda name: f"module.{name}"),
        ("caffe", pyvggface),
        ("mat_vlfeat", pyvggface),
        ("keras_vggface", lambda name: f"vgg_{name}"),
    ],
)
def test_layers_with_other_names_need_a_channel_order(layout, name_of, tmp_path):
    layout = writers.LAYOUTS[layout]
    path, output = tmp_path / "converted", tmp_path / "out.h5"
    layout.write(path, renamed(layout.network(), name_of))
    with pytest.raises(UserError, match="give --channel_order=bgr") as caught:
        vgg_face_import.import_weights(path, output, size=TINY)
    assert caught.value.reason == "unknown_channel_order" and not output.exists()


def test_torch7_arrays_in_a_pytorch_file_are_the_same_network(tmp_path):
    torch7, pytorch = writers.LAYOUTS["torch7"], writers.LAYOUTS["pytorch"]
    torch7.write(tmp_path / "VGG_FACE.t7", torch7.network())
    pytorch.write(tmp_path / "vggface.pth", renamed(torch7.network(), pyvggface))
    original, converted = (
        vgg_face_import.import_weights(
            tmp_path / name, tmp_path / "out.h5", size=TINY, channel_order=order
        )
        for name, order in (("VGG_FACE.t7", "auto"), ("vggface.pth", "bgr"))
    )
    assert original.channel_order == "bgr"
    assert converted.checksum == original.checksum
