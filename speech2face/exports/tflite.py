"""TFLite (LiteRT): the model in one file for phones and small computers.

The file has builtin operations only, so any build of the runtime can run it. It has
two signatures with the same weights: that of a SavedModel, of which the batch and the
number of samples can be resized, and `one_clip`, for one clip of the length of the
training's. Of fixed sizes only, the runtime takes its fast kernels
(docs/decisions/single-export-graph.md).
"""

import hashlib
import math
import pathlib
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from speech2face.exports import network, saved_model, small_weights
from speech2face.exports.network import Outputs, Runtime
from speech2face.exports.request import WeightType
from speech2face.exports.small_weights import Int8, Stored
from speech2face.inference.model import Speech2Face
from speech2face.system import n_cores

ONE_CLIP = "one_clip"
# A file of larger networks has no `one_clip`: the conversion would take twice 7 GB.
_MOST_WEIGHTS_OF_TWO = 50_000_000

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
        stored = saved_model.StoredNetwork(model, "float32")
        signatures = _signatures(model, stored)
        stored.save(pathlib.Path(folder), signatures)
        # The fast kernels are for the first signature alone.
        converter = tf.lite.TFLiteConverter.from_saved_model(
            folder, signature_keys=sorted(signatures, key=ONE_CLIP.__ne__)
        )
        content = converter.convert()
    path.write_bytes(with_small_weights(content, weights))


def _signatures(
    model: Speech2Face, stored: saved_model.StoredNetwork
) -> dict[str, Callable]:
    any_size = stored.function(network.from_waveform, network.WAVEFORM)
    signatures = {saved_model.FROM_WAVEFORM: any_size}
    n_weights = sum(math.prod(v.shape) for v in network.variables(model))
    if n_weights <= _MOST_WEIGHTS_OF_TWO:
        clip = tf.TensorSpec([1, model.clip_samples], tf.float32, network.WAVEFORM.name)
        signatures[ONE_CLIP] = stored.function(network.from_waveform, clip)
    return signatures


def load(path: pathlib.Path) -> Runtime:
    """Opens a TFLite file in TensorFlow's interpreter."""
    interpreter = tf.lite.Interpreter(str(path), num_threads=n_cores())
    interpreter.allocate_tensors()  # only this chooses the fast kernels
    signatures = interpreter.get_signature_list()
    runners = {name: interpreter.get_signature_runner(name) for name in signatures}
    clip_shape: list[int] = []
    if ONE_CLIP in runners:
        (details,) = runners[ONE_CLIP].get_input_details().values()
        clip_shape = list(details["shape"])

    def call(waveforms: np.ndarray) -> Outputs:
        is_clip = list(waveforms.shape) == clip_shape
        runner = runners[ONE_CLIP if is_clip else saved_model.FROM_WAVEFORM]
        return runner(**{network.WAVEFORM.name: waveforms})

    return call


def with_small_weights(content: bytes, weights: WeightType) -> bytes:
    """Stores the constants of a file as `weights`, and equal ones once.

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
    from tensorflow.lite.python import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content)
    if weights == "float32":
        return _packed(model, len(content))
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
    return _packed(model, len(content))


def _packed(model: Any, n_bytes: int) -> bytes:
    """Returns the bytes of a file in which equal constants are stored once."""
    import flatbuffers  # type: ignore[import-untyped]  # it has no types

    kept: dict[bytes, int] = {}
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            data = model.buffers[tensor.buffer].data
            if data is not None and len(data):
                digest = hashlib.sha256(data.tobytes()).digest()
                first = kept.setdefault(digest, tensor.buffer)
                tensor.buffer = first
    used = {tensor.buffer for graph in model.subgraphs for tensor in graph.tensors}
    used |= {entry.buffer for entry in model.metadata or ()}
    for index, buffer in enumerate(model.buffers):
        if index not in used:
            buffer.data = None
    builder = flatbuffers.Builder(n_bytes)
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
    tensor.buffer = 0  # buffer 0 is empty: the tensor is not a constant any more

    reader = schema.OperatorT()
    reader.opcodeIndex = len(model.operatorCodes) - 1
    reader.inputs, reader.outputs = [len(graph.tensors)], [index]
    graph.tensors.append(small)
    graph.operators.insert(0, reader)  # operations run in order: readers come first
