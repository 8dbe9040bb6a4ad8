"""TFLite (LiteRT): the model in one file for telephones and small computers.

It has builtin operations only: any build of the runtime can run it, with its batch and
its length resized at will.
"""

import os
import pathlib
import tempfile
from typing import Any, Optional

import numpy as np
import tensorflow as tf

from speech2face.exports import network, saved_model, small_weights
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.small_weights import Stored, WeightType
from speech2face.inference import Speech2Face


def write(model: Speech2Face, path: pathlib.Path, weights: WeightType) -> None:
    """Writes `network.from_waveform` as a TFLite file."""
    with tempfile.TemporaryDirectory() as folder, network.portable(model):
        saved_model.write(model, pathlib.Path(folder), "float32")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        content = converter.convert()
    if weights != "float32":
        content = with_small_weights(content, weights)
    path.write_bytes(content)


def load(path: pathlib.Path) -> Runtime:
    """Opens a TFLite file in TensorFlow's interpreter."""
    interpreter = tf.lite.Interpreter(str(path), num_threads=os.cpu_count())
    runner = interpreter.get_signature_runner()

    def call(waveforms: np.ndarray) -> Outputs:
        return runner(**{network.WAVEFORM.name: waveforms})

    return call


def with_small_weights(content: bytes, weights: WeightType) -> bytes:
    """Stores the constants as `weights`, with operations that undo it.

    That is what the converter itself does for float16. For 8 bits it offers arithmetic
    in 8 bits instead: see `small_weights`.
    """
    import flatbuffers
    from tensorflow.lite.python import schema_py_generated as schema

    flat = schema.ModelT.InitFromPackedBuf(content)
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 5  # 8 bits with a scale for each slice
    flat.operatorCodes.append(code)
    for graph in flat.subgraphs:
        for index in range(len(graph.tensors)):
            values = _constant(flat, graph.tensors[index])
            if values is None:
                continue
            stored = small_weights.store(values, weights)
            if stored is not values:
                _hold(flat, graph, index, stored)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(flat.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _constant(flat: Any, tensor: Any) -> Optional[np.ndarray]:
    """The float32 values of a constant tensor."""
    from tensorflow.lite.python.schema_py_generated import TensorType

    data = flat.buffers[tensor.buffer].data
    if tensor.type != TensorType.FLOAT32 or data is None or not len(data):
        return None
    return np.frombuffer(data.tobytes(), np.float32).reshape(tensor.shape)


def _hold(flat: Any, graph: Any, index: int, stored: Stored) -> None:
    """Makes tensor `index` what an operation puts out that reads `stored`."""
    from tensorflow.lite.python import schema_py_generated as schema

    small, buffer, reader = schema.TensorT(), schema.BufferT(), schema.OperatorT()
    small.name = graph.tensors[index].name + b"_stored"
    small.shape, small.buffer = graph.tensors[index].shape, len(flat.buffers)
    if isinstance(stored, small_weights.Int8):
        small.type, values = schema.TensorType.INT8, stored.values
        small.quantization = schema.QuantizationParametersT()
        small.quantization.scale = stored.scales
        small.quantization.zeroPoint = np.zeros(len(stored.scales), np.int64)
        small.quantization.quantizedDimension = stored.axis
    else:
        small.type, values = schema.TensorType.FLOAT16, stored
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    reader.opcodeIndex = len(flat.operatorCodes) - 1
    reader.inputs, reader.outputs = [len(graph.tensors)], [index]
    flat.buffers[graph.tensors[index].buffer].data = None
    graph.tensors[index].buffer = 0  # no longer a constant
    graph.tensors.append(small)
    graph.operators.insert(0, reader)
    flat.buffers.append(buffer)
