"""TFLite (LiteRT): the model in one file for phones and small computers.

The file has builtin operations only, so any build of the runtime can run it. Its batch
and its number of samples can be resized.
"""

import pathlib
import tempfile
from typing import Any

import numpy as np
import tensorflow as tf

from speech2face.exports import network, saved_model, small_weights
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.request import WeightType
from speech2face.exports.small_weights import Int8, Stored
from speech2face.inference.model import Speech2Face
from speech2face.system import n_cores

# The version of the operation DEQUANTIZE that takes 8 bits with a scale per slice.
_DEQUANTIZE_VERSION = 5


def write(model: Speech2Face, path: pathlib.Path, weights: WeightType) -> None:
    """Writes `network.from_waveform` as a TFLite file.

    Args:
      model: a model whose weights are `small_weights.rounded`.
      path: path of the new file.
      weights: how they are stored.
    """
    with tempfile.TemporaryDirectory() as folder, network.portable(model):
        saved_model.write(model, pathlib.Path(folder), "float32")
        converter = tf.lite.TFLiteConverter.from_saved_model(folder)
        content = converter.convert()
    if weights != "float32":
        content = with_small_weights(content, weights)
    path.write_bytes(content)


def load(path: pathlib.Path) -> Runtime:
    """Opens a TFLite file in TensorFlow's interpreter."""
    interpreter = tf.lite.Interpreter(str(path), num_threads=n_cores())
    runner = interpreter.get_signature_runner()

    def call(waveforms: np.ndarray) -> Outputs:
        return runner(**{network.WAVEFORM.name: waveforms})

    return call


def with_small_weights(content: bytes, weights: WeightType) -> bytes:
    """Stores the constants of a file as `weights`.

    The converter does the same for float16, but to all constants, and for 8 bits it has
    8-bit arithmetic only: `small_weights` has what that costs. So this edits the file:
    each float32 constant that was rounded becomes a small constant, read through the
    operation DEQUANTIZE.

    Args:
      content: bytes of a TFLite file.
      weights: how the constants that are rounded weights will be stored.

    Returns:
      The content of the new file.
    """
    import flatbuffers  # type: ignore[import-untyped]  # it has no types
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content)
    dequantize = schema.OperatorCodeT()
    dequantize.builtinCode = schema.BuiltinOperator.DEQUANTIZE
    dequantize.deprecatedBuiltinCode = dequantize.builtinCode
    dequantize.version = _DEQUANTIZE_VERSION
    model.operatorCodes.append(dequantize)
    for graph in model.subgraphs:
        for index in range(len(graph.tensors)):  # without those that are appended
            values = _constant(model, graph.tensors[index])
            if values is not None:
                stored = small_weights.store(values, weights)
                if stored is not values:
                    _replace_constant(model, graph, index, stored)
    builder = flatbuffers.Builder(len(content))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _constant(model: Any, tensor: Any) -> np.ndarray | None:
    """The values of a tensor that is a float32 constant; None for any other tensor."""
    from tensorflow.lite.python.schema_py_generated import TensorType

    data = model.buffers[tensor.buffer].data
    if tensor.type != TensorType.FLOAT32 or data is None or not len(data):
        return None
    return np.frombuffer(data.tobytes(), np.float32).reshape(tensor.shape)


def _replace_constant(model: Any, graph: Any, index: int, stored: Stored) -> None:
    """Makes tensor `index` the output of a DEQUANTIZE of a constant `stored`."""
    from tensorflow.lite.python import schema_py_generated as schema

    tensor = graph.tensors[index]
    small = schema.TensorT()
    small.name, small.shape = tensor.name + b"_stored", tensor.shape
    if isinstance(stored, Int8):
        small.type, values = schema.TensorType.INT8, stored.values
        small.quantization = schema.QuantizationParametersT()
        small.quantization.scale = stored.scales
        small.quantization.zeroPoint = np.zeros(len(stored.scales), np.int64)
        small.quantization.quantizedDimension = stored.axis
    else:
        small.type, values = schema.TensorType.FLOAT16, stored
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    small.buffer = len(model.buffers)
    model.buffers.append(buffer)
    model.buffers[tensor.buffer].data = None
    tensor.buffer = 0  # buffer 0 is empty: the tensor is not a constant any more

    reader = schema.OperatorT()
    reader.opcodeIndex = len(model.operatorCodes) - 1
    reader.inputs, reader.outputs = [len(graph.tensors)], [index]
    graph.tensors.append(small)
    graph.operators.insert(0, reader)  # operations run in order: readers come first
