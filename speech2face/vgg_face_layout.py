"""From the array layouts of other frameworks to the one of `vgg_face_file`.

| source                       | convolution      | fc6                  | channels |
|------------------------------|------------------|----------------------|----------|
| MatConvNet                   | [h, w, in, out]  | [h, w, c, out]       | RGB      |
| Keras (keras-vggface)        | [h, w, in, out]  | [h * w * c, out]     | BGR      |
| Keras (deepface)             | [h, w, in, out]  | [h, w, c, out]       | BGR      |
| Caffe                        | [out, in, h, w]  | [out, c * h * w]     | BGR      |
| Torch7                       | [out, in, h, w]  | [out, c * h * w]     | BGR      |
| PyTorch (vgg_face_dag)       | [out, in, h, w]  | [out, c * h * w]     | RGB      |

All of them correlate (none flips the filter). Torch7's SpatialConvolutionMM stores a
convolution as [out, in * h * w]; old Caffe files carry leading dimensions of 1.
"""

import dataclasses
from typing import List, Sequence, Tuple

import numpy as np

from speech2face import vgg_face_file
from speech2face.vgg_face_file import LayerWeights, VggFaceSize, Weights


@dataclasses.dataclass(frozen=True)
class SourceLayer:
    """A layer as its file stores it; `name` is '' where the file has no names."""

    name: str
    kernel: np.ndarray
    bias: np.ndarray


@dataclasses.dataclass(frozen=True)
class SourceNetwork:
    """A network as its file stores it.

    Attributes:
      source_format: for people, such as 'Caffe'.
      layers: the layers with weights, in network order.
      kernel_layout: 'hwio' or 'oihw'.
      channel_order: order of the input channels, 'rgb' or 'bgr'.
      class_names: names of fc8's classes, empty where the file has none.
    """

    source_format: str
    layers: Sequence[SourceLayer]
    kernel_layout: str
    channel_order: str
    class_names: Tuple[str, ...] = ()


def to_common_layout(source: SourceNetwork, size: VggFaceSize, path: str) -> Weights:
    """Returns the weights in the conventions of `vgg_face_file`.

    Raises:
      ValueError: the network is not VGG-Face, or holds values that are not finite.
    """
    layers = _in_network_order(source, size, path)
    weights = {}
    for layer, (name, shape) in zip(layers, size.kernel_shapes.items()):
        kernel = _common_kernel(layer.kernel, name, source.kernel_layout, size)
        if kernel is None or layer.bias.size != shape[-1]:
            raise _wrong_shape(source, layer, name, shape, path)
        if name == "conv1_1" and source.channel_order == "bgr":
            kernel = kernel[:, :, ::-1]
        kernel = np.ascontiguousarray(kernel, dtype=np.float32)
        bias = np.array(layer.bias, dtype=np.float32).reshape(-1)
        if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
            raise ValueError(f"{path}: {name} holds values that are not finite")
        weights[name] = LayerWeights(kernel, bias)
    return weights


def _in_network_order(
    source: SourceNetwork, size: VggFaceSize, path: str
) -> List[SourceLayer]:
    expected = list(size.kernel_shapes)
    if len(source.layers) != len(expected):
        names = [layer.name for layer in source.layers if layer.name]
        some = f" ({', '.join(names[:3])} ...)" if names else ""
        raise ValueError(
            f"{path} ({source.source_format}) is not VGG-Face: it has "
            f"{len(source.layers)} layers with weights{some}, VGG-Face has "
            f"{len(expected)} (conv1_1 ... fc8){_guess(len(source.layers))}"
        )
    by_name = {layer.name: layer for layer in source.layers}
    if set(by_name) == set(expected):
        return [by_name[name] for name in expected]
    return list(source.layers)


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
    shape: Tuple[int, ...],
    path: str,
) -> ValueError:
    found = f"{list(layer.kernel.shape)} with {layer.bias.size} biases"
    hint = ""
    if name == "fc8" and layer.bias.size == 1000:
        hint = "; 1000 classes are VGG-16 of ImageNet"
    return ValueError(
        f"{path} ({source.source_format}) is not VGG-Face: layer {layer.name or name} "
        f"has shape {found}, {name} needs {list(shape)} with {shape[-1]}{hint}"
    )


def _common_kernel(
    kernel: np.ndarray, name: str, layout: str, size: vgg_face_file.VggFaceSize
):
    """Returns the kernel in the common layout, or None if its shape is another's."""
    shape = size.kernel_shapes[name]
    n_out = shape[-1]
    if len(shape) == 4:
        full = shape
    elif name == "fc6":
        full = (*size.pool5_shape, n_out)
    else:
        full = (1, 1, *shape)
    h, w, n_in, _ = full
    if layout == "hwio":
        if kernel.shape not in (full, shape):
            return None
        return kernel.reshape(shape)
    flat = (n_out, n_in * h * w)
    if kernel.shape not in ((n_out, n_in, h, w), flat, (1, 1, *flat)):
        return None
    oihw = kernel.reshape(n_out, n_in, h, w)
    return oihw.transpose(2, 3, 1, 0).reshape(shape)
