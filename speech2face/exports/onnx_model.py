"""ONNX: the model in one file for onnxruntime and whatever else reads ONNX."""

import pathlib
from typing import Any, Dict, List, Tuple

import keras
import numpy as np
import tensorflow as tf

from speech2face.exports import network, small_weights
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.small_weights import Stored, WeightType
from speech2face.inference import Speech2Face

OPSET = 17  # onnxruntime 1.12 (2022) and later


def write(model: Speech2Face, path: pathlib.Path, weights: WeightType) -> None:
    """Writes `network.from_waveform` as an ONNX file.

    tf2onnx copies constants many times over. The kernels of dense layers, nearly all
    of what a network of the paper's size weighs, are inputs while it converts, and
    become constants after it.
    """
    import onnx
    import tf2onnx

    kernels = _dense_kernels(model)
    specs = [tf.TensorSpec(k.shape, tf.float32, name) for name, k in kernels.items()]

    @tf.function
    def function(waveform, *values):
        with keras.StatelessScope(list(zip(kernels.values(), values))):
            return network.from_waveform(model, waveform)

    with network.portable(model):
        converted, _ = tf2onnx.convert.from_function(
            function, input_signature=[network.WAVEFORM, *specs], opset=OPSET
        )
    _make_constant(converted.graph, kernels)
    for value in (*converted.graph.input, *converted.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = "batch"
    converted.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "samples"
    store_weights(converted.graph, weights)
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


def store_weights(graph: Any, weights: WeightType) -> None:
    """Stores an ONNX graph's constants as `weights`, with nodes that undo it."""
    from onnx import numpy_helper

    constants, nodes = [], []
    for constant in graph.initializer:
        values = numpy_helper.to_array(constant)
        stored = small_weights.store(values, weights)
        if stored is values:
            constants.append(constant)
        else:
            held, readers = _held(constant.name, stored)
            constants += held
            nodes += readers
    nodes += graph.node
    for field, content in ((graph.initializer, constants), (graph.node, nodes)):
        del field[:]
        field.extend(content)


def _dense_kernels(model: Speech2Face) -> Dict[str, keras.Variable]:
    networks = (model.encoder, model.decoder.model)
    layers = [layer for one in networks for layer in network.all_layers(one)]
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    return {f"kernel_{i}": layer.kernel for i, layer in enumerate(dense)}


def _make_constant(graph: Any, variables: Dict[str, keras.Variable]) -> None:
    """Gives inputs of an ONNX graph the values of variables, for good."""
    from onnx import numpy_helper

    inputs = [value for value in graph.input if value.name not in variables]
    del graph.input[:]
    graph.input.extend(inputs)
    for name, variable in variables.items():
        constant = numpy_helper.from_array(np.asarray(variable), name)
        graph.initializer.append(constant)


def _held(name: str, stored: Stored) -> Tuple[List[Any], List[Any]]:
    """Small constants, and the nodes that make the constant `name` of them.

    Not DequantizeLinear: onnxruntime makes that and a product behind it one operation
    with 8-bit activations.
    """
    from onnx import TensorProto, helper, numpy_helper

    is_int8 = isinstance(stored, small_weights.Int8)
    values = stored.values if is_int8 else stored
    held = [numpy_helper.from_array(values, f"{name}_stored")]
    if not is_int8:
        cast = helper.make_node("Cast", [held[0].name], [name], to=TensorProto.FLOAT)
        return held, [cast]
    scales = numpy_helper.from_array(stored.broadcast_scales(), f"{name}_scales")
    unscaled = f"{name}_unscaled"
    return [*held, scales], [
        helper.make_node("Cast", [held[0].name], [unscaled], to=TensorProto.FLOAT),
        helper.make_node("Mul", [unscaled, scales.name], [name]),
    ]
