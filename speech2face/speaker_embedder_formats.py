"""Pretrained speaker embedders as their packages store them, and as this one does.

Ours is one `.npz` for each, arrays by
`models.speaker_embedding.WEIGHT_NAMES`: what its source
holds as float32 is kept as float16 (the embedding moves by less than 5e-4), what it
holds as 8-bit integers stays so beside its scale; window and mel filters, which the
sources compute, as float32; and `source_sha256`.
"""

import os
import pathlib
from typing import Callable, Dict, List, Tuple

import librosa
import numpy as np

from speech2face import (
    audio,
    bounded_reader,
    files,
    protobuf_wire,
    vgg_face_pytorch,
)
from speech2face.models import speaker_embedding
from speech2face.protobuf_wire import Value

Arrays = Dict[str, np.ndarray]

# Field numbers of onnx.proto
_MODEL_GRAPH = 7
_GRAPH_NODE, _GRAPH_INITIALIZER = 1, 5
_NODE_INPUT, _NODE_OPERATOR = 1, 4
_TENSOR_DIMS, _TENSOR_TYPE, _TENSOR_NAME = 1, 2, 8
_TENSOR_FLOAT_DATA, _TENSOR_RAW_DATA = 4, 9
_ONNX_DTYPES = {1: "<f4", 3: "<i1"}


def import_embedder(name: str, path: str, output_dir: os.PathLike) -> pathlib.Path:
    """Converts one source file, whole or not at all; returns the path written.

    Raises:
      FileNotFoundError, ValueError: `path` is missing or not that embedder.
    """
    source = pathlib.Path(path)
    if not source.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        arrays = _READERS[name](path)
    except (KeyError, IndexError) as error:
        raise ValueError(f"{path} is not the {name} network ({error!r})") from None
    arrays = {key: _half(array) for key, array in arrays.items()}
    arrays.update(front_end(speaker_embedding.find_embedder(name)))
    checksum = np.array(files.sha256(source))
    output = pathlib.Path(output_dir) / f"{name}.npz"
    with files.atomic_path(output) as temporary, open(temporary, "wb") as file:
        np.savez_compressed(file, source_sha256=checksum, **arrays)
    return output


def front_end(embedder: speaker_embedding.Embedder) -> Arrays:
    """Returns what the network sees a waveform through, float32.

    `window`: the periodic 400-sample window in the middle of [fft_samples];
    `mel_filters`: [40, fft_samples // 2 + 1], Slaney's.
    """
    window = librosa.filters.get_window(embedder.window, audio.WINDOW_SAMPLES)
    mel_filters = librosa.filters.mel(
        sr=audio.SAMPLE_RATE_HZ,
        n_fft=embedder.fft_samples,
        n_mels=speaker_embedding.N_MELS,
    )
    padded = librosa.util.pad_center(window, size=embedder.fft_samples)
    return {"window": padded.astype(np.float32), "mel_filters": mel_filters}


def read_resemblyzer(path: str) -> Arrays:
    """Returns the float32 weights of resemblyzer's checkpoint.

    PyTorch's gates come in Keras' order (input, forget, cell, output), its matrices
    transposed, its biases in two.
    """
    state = vgg_face_pytorch.read_legacy_entry(path, "model_state")
    arrays: Arrays = {}
    for layer in range(3):
        arrays[f"lstm{layer + 1}_kernel"] = state[f"lstm.weight_ih_l{layer}"].T
        arrays[f"lstm{layer + 1}_recurrent_kernel"] = state[
            f"lstm.weight_hh_l{layer}"
        ].T
        biases = [state[f"lstm.bias_{part}_l{layer}"] for part in ("ih", "hh")]
        arrays[f"lstm{layer + 1}_bias"] = np.sum(biases, axis=0, dtype=np.float32)
    arrays["dense_kernel"] = state["linear.weight"].T
    arrays["dense_bias"] = state["linear.bias"]
    return arrays


def read_voicefilter(path: str) -> Arrays:
    """Returns the 8-bit weights, their scales, and the float32 biases of the graph.

    Its LSTM nodes are in order; ONNX sorts gates as input, output, forget, cell.
    """
    nodes, values = _read_onnx(path)
    arrays: Arrays = {}
    lstms = [inputs for kind, inputs in nodes if kind == "DynamicQuantizeLSTM"]
    for number, inputs in enumerate(lstms, start=1):
        _add_onnx_lstm(inputs, values, f"lstm{number}", arrays)
    prefix = "proj.linear_layer."
    arrays["dense_kernel"] = values[f"{prefix}weight_quantized"]
    arrays["dense_kernel_scale"] = values[f"{prefix}weight_scale"]
    arrays["dense_bias"] = values[f"{prefix}bias"]
    return arrays


def _read_onnx(path: str) -> Tuple[List[Tuple[str, List[str]]], Arrays]:
    """Returns the nodes (operator, names of inputs) and constants of an ONNX graph."""
    with bounded_reader.open_reader(path) as reader:
        model = protobuf_wire.message(reader.take(reader.remaining), path)
        graph = protobuf_wire.message(model[_MODEL_GRAPH][0], path)
        nodes = []
        for value in graph[_GRAPH_NODE]:
            node = protobuf_wire.message(value, path)
            inputs = [_text(item) for item in node.get(_NODE_INPUT, [])]
            nodes.append((_text(node[_NODE_OPERATOR][0]), inputs))
        tensors = [protobuf_wire.message(t, path) for t in graph[_GRAPH_INITIALIZER]]
        return nodes, {_text(t[_TENSOR_NAME][0]): _onnx_array(t, path) for t in tensors}


def _onnx_array(tensor: Dict[int, List[Value]], path: str) -> np.ndarray:
    """The values of a tensor; empty where they are none that the network needs."""
    dtype = _ONNX_DTYPES.get(tensor[_TENSOR_TYPE][0])
    data = tensor.get(_TENSOR_RAW_DATA) or tensor.get(_TENSOR_FLOAT_DATA)
    if dtype is None or not data:
        return np.empty(0)
    shape = protobuf_wire.integers(tensor.get(_TENSOR_DIMS, []), path)
    return np.frombuffer(data[0], dtype).reshape(shape)


def _text(value: Value) -> str:
    return bytes(value).decode("utf-8", "replace")


def _add_onnx_lstm(
    inputs: List[str], values: Arrays, name: str, arrays: Arrays
) -> None:
    kernel, recurrent, bias = inputs[1:4]
    kernel_scale, recurrent_scale = inputs[8], inputs[10]
    arrays[f"{name}_kernel"] = _keras_gates(values[kernel][0])
    arrays[f"{name}_kernel_scale"] = values[kernel_scale]
    arrays[f"{name}_recurrent_kernel"] = _keras_gates(values[recurrent][0])
    arrays[f"{name}_recurrent_kernel_scale"] = values[recurrent_scale]
    biases = [_keras_gates(part) for part in np.split(values[bias][0], 2)]
    arrays[f"{name}_bias"] = biases[0] + biases[1]


def _keras_gates(weights: np.ndarray) -> np.ndarray:
    i, o, f, c = np.split(weights, 4, axis=-1)
    return np.concatenate([i, f, c, o], axis=-1)


def _half(array: np.ndarray) -> np.ndarray:
    is_matrix = array.dtype == np.float32 and array.size > 1
    return array.astype(np.float16) if is_matrix else array


_READERS: Dict[str, Callable[[str], Arrays]] = {
    "resemblyzer": read_resemblyzer,
    "voicefilter": read_voicefilter,
}
