"""A whole request in other runtimes, beside the same request in Keras.

    python -m experiments.benchmarks.runtimes

Measures the time from 6 s of sound to the face in exported files (SavedModel, TFLite,
ONNX): of the compact model that ships, and of the paper's networks with random weights,
which take a few minutes and 9 GB. The note gives the size of the file and the cosine
between its feature and Keras'.
"""

import dataclasses
import functools
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from experiments.benchmarks import random_data, timing
from experiments.benchmarks.rows import Beside, Row
from experiments.benchmarks.timing import Timing
from speech2face.options import Options, option, run_command
from speech2face.paper import VGG_FACE_FEATURE_DIM

if TYPE_CHECKING:
    from speech2face.exports.small_weights import WeightType
    from speech2face.inference.model import Speech2Face

Outputs = dict[str, np.ndarray]  # 'feature', 'image' and so on: name -> [1, ...]
Call = Callable[[np.ndarray], Outputs]  # of waveforms [1, 96,000] float32

# Format, and precision of the weights.
COMPACT_FILES: "Sequence[tuple[str, WeightType]]" = (
    ("savedmodel", "float32"),
    ("tflite", "float32"),
    ("tflite", "int8"),
    ("onnx", "float32"),
    ("onnx", "int8"),
)
PAPER_FILES: "Sequence[tuple[str, WeightType]]" = (
    ("tflite", "float32"),
    ("onnx", "float32"),
)


@dataclasses.dataclass(frozen=True)
class RuntimeBenchmarkOptions(Options):
    """Number of timed calls."""

    n_repeats: int = option(
        5, "Calls of which the fastest counts.", minimum=1, maximum=1_000_000
    )
    paper_size: bool = option(True, "Also the paper's networks, which need 9 GB.")


def main(options: RuntimeBenchmarkOptions) -> None:
    """Prints the table, row by row."""
    timing.print_table(_both_sizes(options))


def _both_sizes(options: RuntimeBenchmarkOptions) -> Iterator[Timing]:
    from speech2face import Speech2Face

    compact = Speech2Face.load()
    yield from measure(compact, "compact", COMPACT_FILES, options.n_repeats)
    if options.paper_size:
        paper = paper_model(compact)
        yield from measure(paper, "paper size", PAPER_FILES, options.n_repeats)


def paper_model(compact: "Speech2Face") -> "Speech2Face":
    """Returns the paper's networks with random weights, around a compact bundle."""
    from speech2face import Speech2Face
    from speech2face.config import FaceDecoderConfig, VoiceTrainingConfig
    from speech2face.data.dataset_info import RecognizerInfo
    from speech2face.models import face_decoder, voice_encoder

    config = VoiceTrainingConfig()
    dim = VGG_FACE_FEATURE_DIM
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, dim)
    decoder = face_decoder.build_face_decoder(
        FaceDecoderConfig(), dim, compact.decoder.mean_landmarks
    )
    bundle = dataclasses.replace(
        compact.decoder,
        model=decoder,
        config=FaceDecoderConfig(),
        recognizer=RecognizerInfo("vgg_face", dim, ""),
    )
    return Speech2Face(encoder, bundle, config)


def measure(
    model: "Speech2Face",
    size: str,
    files: "Sequence[tuple[str, WeightType]]",
    n_repeats: int,
) -> Iterator[Timing]:
    """Exports a model, and times each file, Keras, and Keras under XLA in turn.

    Args:
      model: is exported.
      size: size of the networks, for the table.
      files: (format, precision of the weights) of each file.
      n_repeats: calls of which the fastest counts.

    Yields:
      XLA, then the files, each beside Keras.
    """
    from speech2face.exports import comparison, network

    waveforms = random_data.noise(1)
    # Before anything is rounded.
    expected = network.in_keras(model, waveforms)["feature"]
    graph = _keras(model)
    calls: dict[str, Call] = {
        "Keras": graph,
        "Keras, networks one by one": functools.partial(network.in_keras, model),
        "XLA": _keras(model, True),
    }
    notes = {"Keras": "", "XLA": ""}
    product, product_operations = timing.matrix_product()
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in files:
            path = pathlib.Path(folder) / f"{name}_{kind}"
            calls[path.name], n_bytes = _exported(model, path, name, kind)
            feature = calls[path.name](waveforms)["feature"]
            cosine = comparison.smallest_cosine(feature, expected)
            notes[path.name] = f"{n_bytes / 1e6:.1f} MB, cosine {cosine:.6f}"
        operations = {
            name: functools.partial(call, waveforms) for name, call in calls.items()
        }
        secs = timing.fastest({**operations, "product": product}, n_repeats)
    n_operations = _n_operations(model)
    floor = Beside(
        f"matrix product of {n_operations / 1e9:.1f} billion operations",
        secs["product"] * n_operations / product_operations,
    )
    for name, note in notes.items():
        what = f"request of 6 s, {size}, {name.replace('_', ', ')}"
        twin = "Keras, networks one by one" if name == "Keras" else "Keras"
        row = Row(what, secs[name], "ms", Beside(twin, secs[twin]), floor, note)
        yield Timing(what, secs[name], twin, secs[twin], note, row)


def _n_operations(model: "Speech2Face") -> float:
    """Multiplications and additions of a request of 6 s, as TensorFlow counts them."""
    import tensorflow as tf

    from speech2face.exports import network

    shape = tf.TensorSpec(random_data.noise(1).shape, tf.float32)
    graph = tf.function(lambda x: network.from_waveform(model, x))
    traced = graph.get_concrete_function(shape).graph
    profiler = tf.compat.v1.profiler
    options = profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return float(profiler.profile(traced, options=options).total_float_ops)


def _exported(
    model: "Speech2Face", path: pathlib.Path, name: str, kind: "WeightType"
) -> tuple[Call, int]:
    """Writes and opens one file: the call, and the bytes on disk."""
    from speech2face.exports import comparison, export_job, small_weights

    # Rounded only while the file is written: Keras keeps its weights.
    with small_weights.rounded([model.encoder, model.decoder.model], kind):
        export_job.FORMATS[name].write(model, path, kind)
    return export_job.FORMATS[name].load(path), comparison.size_bytes(path)


def _keras(model: "Speech2Face", xla: bool = False) -> Call:
    """The whole request in one TensorFlow graph; waits for every output."""
    import tensorflow as tf

    from speech2face.exports import network

    graph = tf.function(
        lambda waveforms: network.from_waveform(model, waveforms), jit_compile=xla
    )

    def call(waveforms: np.ndarray) -> Outputs:
        # numpy() waits for the device.
        return {name: value.numpy() for name, value in graph(waveforms).items()}

    return call


if __name__ == "__main__":
    run_command(main, RuntimeBenchmarkOptions)
