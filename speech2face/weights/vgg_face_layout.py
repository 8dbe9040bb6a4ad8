"""Converts the array layouts of other frameworks to that of `vgg_face_file`.

| source                       | convolution      | fc6                  | channels |
|------------------------------|------------------|----------------------|----------|
| MatConvNet                   | [h, w, in, out]  | [h, w, c, out]       | RGB      |
| Keras (keras-vggface)        | [h, w, in, out]  | [h * w * c, out]     | BGR      |
| Keras (deepface)             | [h, w, in, out]  | [h, w, c, out]       | BGR      |
| Caffe                        | [out, in, h, w]  | [out, c * h * w]     | BGR      |
| Torch7                       | [out, in, h, w]  | [out, c * h * w]     | BGR      |
| PyTorch (vgg_face_dag)       | [out, in, h, w]  | [out, c * h * w]     | RGB      |

The last column is that of the authors' files and of these conversions, which name their
layers as the authors do (or not at all: Torch7, deepface). With other names the order
is not known.

All of them correlate (none flips the filter). Torch7's SpatialConvolutionMM stores a
convolution as [out, in * h * w]; old Caffe files have leading dimensions of 1. Sources:
docs/decisions/vgg-face-file-formats.md.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.weights.vgg_face_file import LayerWeights, Weights
from speech2face.weights.vgg_face_size import PAPER_SIZE, VggFaceSize


@dataclasses.dataclass(frozen=True)
class SourceLayer:
    """A layer as its file stores it; `name` is '' if the file has no names."""

    name: str
    kernel: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class SourceNetwork:
    """A network as its file stores it.

    Attributes:
      source_format: name of the format for people, such as 'Caffe'.
      layers: the layers with weights, in network order.
      kernel_layout: 'hwio' or 'oihw'.
      channel_order: order of the input channels, 'rgb' or 'bgr'; '' if the file does
        not tell from which network it was converted.
      class_names: names of fc8's classes, empty where the file has none.
    """

    source_format: str
    layers: Sequence[SourceLayer]
    kernel_layout: str
    channel_order: str
    class_names: tuple[str, ...] = ()


def has_original_names(layers: Sequence[SourceLayer]) -> bool:
    """Returns whether the layers are named conv1_1 to fc8, as by the authors.

    The channel order of a file follows from its lineage, and the names tell that: a
    file with other names was converted by somebody, from RGB or from BGR
    (docs/decisions/vgg-face-file-formats.md).
    """
    return {layer.name for layer in layers} == set(PAPER_SIZE.kernel_shapes)


def to_common_layout(
    source: SourceNetwork, size: VggFaceSize, path: PathLike
) -> Weights:
    """Returns the weights in the conventions of `vgg_face_file`.

    Args:
      source: a network in its file's layout.
      size: the expected size.
      path: names the file in errors.

    Raises:
      UserError: the network is not VGG-Face, its channel order is not known, or it
        holds values that are not finite.
    """
    layers = _in_network_order(source, size, path)
    _check_channel_order(source, layers, path)
    weights = {}
    for layer, (name, shape) in zip(layers, size.kernel_shapes.items()):
        kernel = _common_kernel(layer.kernel, name, source.kernel_layout, size)
        if kernel is None or layer.bias.size != shape[-1]:
            raise _wrong_shape(source, layer, name, shape, path)
        if name == "conv1_1" and source.channel_order == "bgr":
            kernel = kernel[:, :, ::-1]  # only the first layer sees the image
        kernel = np.ascontiguousarray(kernel, dtype=np.float32)
        bias = np.array(layer.bias, dtype=np.float32).reshape(-1)
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise UserError(f"{path}: {name} holds values that are not finite")
        weights[name] = LayerWeights(kernel, bias)
    return weights


def _in_network_order(
    source: SourceNetwork, size: VggFaceSize, path: PathLike
) -> list[SourceLayer]:
    """Returns the layers as VGG-Face applies them, sorted by name if they have one."""
    expected = list(size.kernel_shapes)
    if len(source.layers) != len(expected):
        names = [layer.name for layer in source.layers if layer.name]
        some = f" ({', '.join(names[:3])} ...)" if names else ""
        raise UserError(
            f"{path} ({source.source_format}) is not VGG-Face: it has "
            f"{len(source.layers)} layers with weights{some}, VGG-Face has "
            f"{len(expected)} (conv1_1 ... fc8){_guess(len(source.layers))}"
        )
    by_name = {layer.name: layer for layer in source.layers}
    if set(by_name) == set(expected):
        return [by_name[name] for name in expected]
    return list(source.layers)


def _check_channel_order(
    source: SourceNetwork, layers: Sequence[SourceLayer], path: PathLike
) -> None:
    if not source.channel_order:
        raise UserError(
            f"{path} ({source.source_format}): layers named {layers[0].name!r:.40} do "
            "not tell the order of the input channels; give --channel_order=bgr for a "
            "conversion of VGG_FACE.t7 or of the Caffe file, --channel_order=rgb for "
            "one of the MatConvNet file, and see --check_images",
            reason="unknown_channel_order",
        )


def _guess(n_layers: int) -> str:
    if n_layers == 13:
        return "; a file without fc6 to fc8 ('notop') cannot be used"
    if n_layers > 40:
        return "; is it VGGFace2's ResNet-50 or SENet-50?"
    return ""


def _wrong_shape(
    source: SourceNetwork,
    layer: SourceLayer,
    name: str,
    shape: tuple[int, ...],
    path: PathLike,
) -> UserError:
    found = f"{list(layer.kernel.shape)} with {layer.bias.size} biases"
    hint = ""
    if name == "fc8" and layer.bias.size == 1000:
        hint = "; 1000 classes are VGG-16 of ImageNet"
    return UserError(
        f"{path} ({source.source_format}) is not VGG-Face: layer {layer.name or name} "
        f"has shape {found}, {name} needs {list(shape)} with {shape[-1]}{hint}"
    )


def _common_kernel(
    kernel: np.ndarray, name: str, layout: str, size: VggFaceSize
) -> np.ndarray | None:
    """Returns the kernel in the common layout, or None if its shape does not fit."""
    shape = size.kernel_shapes[name]
    n_out = shape[-1]
    if len(shape) == 4:
        h, w, n_in = shape[:3]
    elif name == "fc6":
        h, w, n_in = size.pool5_shape  # a convolution as large as its map
    else:
        h, w, n_in = 1, 1, shape[0]
    if layout == "hwio":
        if kernel.shape not in ((h, w, n_in, n_out), shape):
            return None
        return kernel.reshape(shape)
    flat = (n_out, n_in * h * w)
    if kernel.shape not in ((n_out, n_in, h, w), flat, (1, 1, *flat)):
        return None
    oihw = kernel.reshape(n_out, n_in, h, w)
    return oihw.transpose(2, 3, 1, 0).reshape(shape)  # [o, i, h, w] -> [h, w, i, o]
