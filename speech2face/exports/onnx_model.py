"""ONNX: the model in one file for onnxruntime and whatever else reads ONNX."""

import pathlib
from typing import Any, List, Tuple

import numpy as np
import tensorflow as tf

from speech2face.exports import network, small_weights
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.small_weights import Stored, WeightType
from speech2face.inference import Speech2Face

OPSET = 17  # onnxruntime 1.12 (2022) and later


def write(model: Speech2Face, path: pathlib.Path, weights: WeightType) -> None:
    """Writes `network.from_waveform` as an ONNX file."""
    import onnx
    import tf2onnx

    function = tf.function(lambda waveform: network.from_waveform(model, waveform))
    with network.portable(model):
        converted, _ = tf2onnx.convert.from_function(
            function, input_signature=[network.WAVEFORM], opset=OPSET
        )
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
