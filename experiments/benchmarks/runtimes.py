"""A whole request in other runtimes, beside the same one in Keras.

    python -m experiments.benchmarks.runtimes

From 6 s of sound to the face: the compact model that ships, and the paper's networks
with random weights (a few minutes and 9 GB). Notes: the size of the file, and the
cosine between its feature and Keras'.
"""

import dataclasses
import pathlib
import tempfile
from typing import TYPE_CHECKING, Callable, Dict, Iterator, Tuple

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face import flag_config
from speech2face.config_fields import option

if TYPE_CHECKING:
    import numpy as np

    from speech2face.inference import Speech2Face

CLIP_SECS = 6
SAMPLE_RATE_HZ = 16_000
PAPER_FEATURE_DIM = 4096
COMPACT_FILES = (
    ("savedmodel", "float32"),
    ("tflite", "float32"),
    ("tflite", "int8"),
    ("onnx", "float32"),
    ("onnx", "int8"),
)
PAPER_FILES = (("tflite", "float32"), ("onnx", "float32"))


@dataclasses.dataclass(frozen=True)
class RuntimeBenchmarkOptions:
    """How much is timed."""

    n_repeats: int = option(5, "Calls of which the fastest counts.")


def main(options: RuntimeBenchmarkOptions) -> None:
    """Prints the table."""
    from speech2face import Speech2Face

    compact = Speech2Face.load()
    rows = list(measure(compact, "compact", COMPACT_FILES, options.n_repeats))
    paper = paper_model(compact)
    rows += measure(paper, "paper size", PAPER_FILES, options.n_repeats)
    print(timing.to_markdown(rows))


def paper_model(compact: "Speech2Face") -> "Speech2Face":
    """Returns the paper's networks with random weights."""
    from speech2face import Speech2Face
    from speech2face.config import FaceDecoderConfig, VoiceTrainingConfig
    from speech2face.dataset_info import RecognizerInfo
    from speech2face.models import face_decoder, voice_encoder

    config = VoiceTrainingConfig()
    encoder = voice_encoder.build_voice_encoder(config.voice_encoder, PAPER_FEATURE_DIM)
    decoder = face_decoder.build_face_decoder(
        FaceDecoderConfig(), PAPER_FEATURE_DIM, compact.decoder.mean_landmarks
    )
    bundle = dataclasses.replace(
        compact.decoder,
        model=decoder,
        config=FaceDecoderConfig(),
        recognizer=RecognizerInfo("vgg_face", PAPER_FEATURE_DIM, ""),
    )
    return Speech2Face(encoder, bundle, config)


def measure(
    model: "Speech2Face", size: str, files: Tuple[Tuple[str, str], ...], n_repeats: int
) -> Iterator[Timing]:
    """Exports a model, and times each file, Keras, and Keras under XLA in turn."""
    import numpy as np

    from speech2face.exports import network

    sound = np.random.default_rng(0).normal(0, 0.1, (1, CLIP_SECS * SAMPLE_RATE_HZ))
    waveforms = sound.astype(np.float32)
    expected = network.in_keras(model, waveforms)["feature"]
    calls: Dict[str, Callable] = {"Keras": _keras(model), "XLA": _keras(model, True)}
    notes = {"XLA": ""}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in files:
            path = pathlib.Path(folder) / f"{name}_{kind}"
            calls[path.name], n_bytes = _exported(model, path, name, kind)
            cosine = _cosine(calls[path.name](waveforms)["feature"], expected)
            notes[path.name] = f"{n_bytes / 1e6:.1f} MB, cosine {cosine:.6f}"
        operations = {n: lambda call=call: call(waveforms) for n, call in calls.items()}
        secs = timing.fastest(operations, n_repeats)
    for name, note in notes.items():
        what = f"request of 6 s, {size}, {name.replace('_', ', ')}"
        yield Timing(what, secs[name], "Keras", secs["Keras"], note)


def _exported(model: "Speech2Face", path: pathlib.Path, name: str, kind: str):
    """Writes and opens one file: the call, and the bytes on disk."""
    from speech2face.exports import job, small_weights

    with small_weights.rounded([model.encoder, model.decoder.model], kind):
        job.FORMATS[name].write(model, path, kind)
    parts = [part for part in (path, *path.rglob("*")) if part.is_file()]
    return job.FORMATS[name].load(path), sum(part.stat().st_size for part in parts)


def _keras(model: "Speech2Face", xla: bool = False) -> Callable:
    """The whole in one TensorFlow graph, which waits for every output."""
    import tensorflow as tf

    from speech2face.exports import network

    graph = tf.function(
        lambda waveforms: network.from_waveform(model, waveforms), jit_compile=xla
    )

    def call(waveforms: "np.ndarray") -> Dict[str, "np.ndarray"]:
        return {name: value.numpy() for name, value in graph(waveforms).items()}

    return call


def _cosine(left: "np.ndarray", right: "np.ndarray") -> float:
    import numpy as np

    left, right = left[0].astype(np.float64), right[0].astype(np.float64)
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


if __name__ == "__main__":
    flag_config.run(main, RuntimeBenchmarkOptions)
