"""A built Keras model, layer by layer, beside the architecture it should be.

Kernels, strides, channels, shapes and counts are read off the model's layers, never off
the table that it was built from.
"""

import dataclasses
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from experiments.lib.published import INF, PublishedLayer

if TYPE_CHECKING:
    import keras

Shape = tuple[int, ...]  # without the batch

# Our and Keras' layers, in the words of Table 1.
_OPERATIONS = {
    "Conv2D": "CONV",
    "Convolution": "CONV",
    "SmoothConv2DTranspose": "DECONV",
    "Dense": "FC",
    "MaxPooling": "MAXPOOL",
    "MaxPooling2D": "MAXPOOL",
    "TimeAverage": "AVGPOOL",
    "ReLU": "RELU",
    "FusedBatchNormalization": "BN",
}


@dataclasses.dataclass(frozen=True)
class BuiltLayer:
    """A layer with the ReLU and the batch normalization that follow it.

    Attributes:
      name: name of the layer.
      operations: names in order, as `PublishedLayer.operations`.
      channels: channels or units of its output.
      stride: None for a fully connected layer without a spatial input.
      kernel: likewise; a fully connected layer's is its whole spatial input.
      output_shapes: without the batch, one for each input shape.
      n_parameters: number of parameters of all its operations.
      multiply_adds: per example, for the first input shape.
    """

    name: str
    operations: str
    channels: int
    stride: tuple[int, int]
    kernel: tuple[float, int]
    output_shapes: list[Shape]
    n_parameters: int
    multiply_adds: int

    def differences(self, published: PublishedLayer) -> str:
        """Names what is not as published; '' if everything published agrees."""
        differences = []
        for field in ("operations", "channels", "stride", "kernel"):
            ours, theirs = getattr(self, field), getattr(published, field)
            if theirs is not None and ours != theirs:
                differences.append(f"{field} {text(ours)}, published {text(theirs)}")
        return "; ".join(differences)


def shapes_for(model: "keras.Model", input_shape: Shape) -> dict[str, Shape]:
    """Output shape of each layer of a chain of layers, for an input without batch."""
    import keras

    shapes, shape = {}, input_shape
    for layer in model.layers:
        if not isinstance(layer, keras.layers.InputLayer):
            shape = tuple(layer.compute_output_shape((None, *shape)))[1:]
        shapes[layer.name] = shape
    return shapes


def static_shapes(model: "keras.Model") -> dict[str, Shape]:
    """Output shape of each layer of a model whose input has a fixed size."""
    return {layer.name: tuple(layer.output.shape[1:]) for layer in model.layers}


def built_layers(
    model: "keras.Model", names: Iterable[str], shapes: Sequence[dict[str, Shape]]
) -> list[BuiltLayer]:
    """Describes the layers `names` of `model`.

    Args:
      model: all its weights must belong to these layers or to the ReLU and batch
        normalization directly after them.
      names: names of the layers to list.
      shapes: output shapes of all layers, one dict for each input to report.

    Raises:
      ValueError: a layer is missing, or weights belong to none of the layers.
    """
    rows = [_describe(model.get_layer(name), shapes) for name in names]
    n_parameters = sum(row.n_parameters for row in rows)
    if n_parameters != model.count_params():
        raise ValueError(
            f"{model.name} has {model.count_params():,} parameters, but the layers "
            f"listed have {n_parameters:,}"
        )
    return rows


def text(value: Any) -> str:
    """'4 × 4' for a size, '∞' for all of time, '–' for nothing, '1,000' for a count."""
    if value is None:
        return "–"
    if isinstance(value, tuple):
        return " × ".join(text(item) for item in value)
    if value == INF:
        return "∞"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _describe(
    layer: "keras.layers.Layer", shapes: Sequence[dict[str, Shape]]
) -> BuiltLayer:
    chain = [layer, *_followers(layer)]
    operations = [name for part in chain for name in _operations_of(part)]
    output_shapes = [by_name[layer.name] for by_name in shapes]
    return BuiltLayer(
        name=layer.name,
        operations=" ".join(operations),
        channels=output_shapes[0][-1],
        stride=tuple(getattr(layer, "strides", (1, 1))),
        kernel=_kernel(layer),
        output_shapes=output_shapes,
        n_parameters=sum(part.count_params() for part in chain),
        multiply_adds=_multiply_adds(layer, output_shapes[0]),
    )


def _operations_of(layer: "keras.layers.Layer") -> list[str]:
    import keras

    operations = [_OPERATIONS[type(layer).__name__]]
    has_relu = getattr(layer, "activation", None) is keras.activations.relu
    if has_relu and not isinstance(layer, keras.layers.ReLU):
        operations.append("RELU")
    return operations


def _followers(layer: "keras.layers.Layer") -> "list[keras.layers.Layer]":
    """The ReLU and batch normalization that follow `layer` directly."""
    for node in layer._outbound_nodes:
        follower = node.operation
        if type(follower).__name__ in ("ReLU", "FusedBatchNormalization"):
            return [follower, *_followers(follower)]
    return []


def _kernel(layer: "keras.layers.Layer") -> tuple[float, int]:
    import keras

    if type(layer).__name__ == "TimeAverage":
        return (INF, 1)
    if not isinstance(layer, keras.layers.Dense):
        return tuple(getattr(layer, "kernel_size", None) or layer.pool_size)
    # A dense layer after Flatten is a convolution over its whole spatial input.
    source = layer.input._keras_history.operation
    if not isinstance(source, keras.layers.Flatten):
        return (1, 1)
    spatial = tuple(source.input.shape[1:-1])
    return (1,) * (2 - len(spatial)) + spatial


def _multiply_adds(layer: "keras.layers.Layer", output_shape: Shape) -> int:
    import keras

    kernel = getattr(layer, "kernel", None)
    if kernel is None:
        return 0
    if isinstance(layer, keras.layers.Conv2DTranspose):  # once for each input position
        return math.prod(kernel.shape) * math.prod(layer.input.shape[1:-1])
    return math.prod(kernel.shape) * math.prod(output_shape[:-1])
