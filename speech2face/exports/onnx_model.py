"""ONNX: the model in one file for onnxruntime and whatever else reads ONNX."""

import functools
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from speech2face.exports import network, small_weights
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.request import WeightType
from speech2face.exports.small_weights import StoredVariables
from speech2face.inference.model import Speech2Face

OPSET = 17  # onnxruntime 1.12 (2022) and later


def write(model: Speech2Face, path: pathlib.Path, weights: WeightType) -> None:
    """Writes `network.from_waveform` as an ONNX file.

    Args:
      model: a model whose weights are `small_weights.rounded`.
      path: path of the new file.
      weights: how they are stored.
    """
    import onnx

    large = [
        variable
        for variable in network.variables(model)
        if small_weights.is_large(np.asarray(variable))
    ]
    with network.portable(model):
        converted = convert(
            lambda waveform: network.from_waveform(model, waveform),
            network.WAVEFORM,
            StoredVariables(large, weights),
        )
    # tf2onnx numbers the axes whose size is free; names say what they are.
    graph = converted.graph
    for value in (*graph.input, *graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    graph.input[0].type.tensor_type.shape.dim[1].dim_param = "samples"
    onnx.save(converted, str(path))


def load(path: pathlib.Path) -> Runtime:
    """Opens an ONNX file in onnxruntime."""
    import onnxruntime

    session = onnxruntime.InferenceSession(
        str(path), providers=["CPUExecutionProvider"]
    )

    def call(waveforms: np.ndarray) -> Outputs:
        values = session.run(network.OUTPUTS, {network.WAVEFORM.name: waveforms})
        return dict(zip(network.OUTPUTS, values))

    return call


def convert(function: Callable, inputs: tf.TensorSpec, stored: StoredVariables) -> Any:
    """Converts a function to an ONNX model that holds `stored` variables.

    tf2onnx copies constants many times, so that the paper's networks would take more
    than 18 GB. So the arrays are inputs during the conversion and become constants
    afterwards. This also keeps tf2onnx from folding 8-bit arrays into float32.

    Args:
      function: function of one tensor, to be converted.
      inputs: type and shape of that tensor.
      stored: variables that the function uses.

    Returns:
      onnx.ModelProto.
    """
    import tf2onnx

    # Else it copies the whole graph before each optimization, in case that fails: a
    # third of the time for the model that ships. Any value turns this off.
    os.environ.setdefault("TF2ONNX_CATCH_ERRORS", "FALSE")
    named = _named_arrays(stored)
    specs = [tf.TensorSpec(array.shape, array.dtype, name) for name, array in named]

    @functools.partial(tf.function, autograph=False)
    def with_arrays(value: tf.Tensor, *tensors: tf.Tensor) -> Any:
        remaining = iter(tensors)
        grouped = [[next(remaining) for _ in arrays] for arrays in stored.arrays]
        with stored.scope(grouped):
            return function(value)

    converted, _ = tf2onnx.convert.from_function(
        with_arrays, input_signature=[inputs, *specs], opset=OPSET
    )
    _make_constant(converted.graph, named)
    return converted


def _named_arrays(stored: StoredVariables) -> list[tuple[str, np.ndarray]]:
    """The arrays in order, each with a name of its own in a graph."""
    return [
        (f"weights_{i}_{part}", array)
        for i, arrays in enumerate(stored.arrays)
        for part, array in zip(("values", "scales"), arrays)
    ]


def _make_constant(graph: Any, named: Sequence[tuple[str, np.ndarray]]) -> None:
    """Replaces inputs of an ONNX graph by constants."""
    from onnx import numpy_helper

    names = {name for name, _ in named}
    inputs = [value for value in graph.input if value.name not in names]
    del graph.input[:]
    graph.input.extend(inputs)
    for name, array in named:
        graph.initializer.append(numpy_helper.from_array(array, name))
