"""Spectrogram, encoders, decoder and a whole request, beside the arithmetic they need.

    python -m experiments.benchmarks.networks
    python -m experiments.benchmarks.networks --n_repeats=20

Measures the networks of paper size, with random weights, and the compact model that
ships, one clip of 6 s at a time. The floor of a network is a matrix product of as many
multiplications, at the rate of a 2048 x 2048 one in the same run. Of one picture, each
weight of the face decoder's fully connected layers is multiplied once, so reading it
takes longer than multiplying: the decoder has a second floor, the time to add up as
many numbers, and a matrix product for its convolutions. The twin of the spectrogram is
numpy with SciPy's FFT; that of the compact model's networks is the same model called
without a graph.
"""

import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments import table1_architecture
from experiments.benchmarks import random_data, timing
from experiments.benchmarks.rows import Beside, Row
from experiments.benchmarks.timing import Timing
from speech2face import paper
from speech2face.config import FaceDecoderConfig, VoiceEncoderConfig
from speech2face.options import Options, option, run_command

if TYPE_CHECKING:
    import keras

# Multiplications and additions of a billion multiply-adds.
_OPERATIONS_PER_GIGA_MULTIPLY_ADDS = 2e9
_TOGETHER = 8  # crops that VGG-Face sees at once


@dataclasses.dataclass(frozen=True)
class NetworkBenchmarkOptions(Options):
    """How much is timed."""

    n_repeats: int = option(
        5, "Calls of which the fastest counts.", minimum=1, maximum=1_000_000
    )


def main(options: NetworkBenchmarkOptions) -> None:
    """Prints the table, row by row."""
    timing.print_table(measure(options.n_repeats))


def measure(n_repeats: int) -> Iterator[Timing]:
    """Times the parts of a request, paper size first."""
    waveform = random_data.noise(1)
    yield _spectrogram(waveform, n_repeats)
    yield from _paper_encoder(waveform, n_repeats)
    yield from _paper_decoder(n_repeats)
    yield _recognizer(n_repeats)
    yield from _compact(waveform, n_repeats)


def numpy_spectrogram(waveform: np.ndarray) -> np.ndarray:
    """The straightforward spectrogram, [n] -> [frames, 257, 2], by SciPy's FFT."""
    import scipy.fft
    import scipy.signal

    windows = np.lib.stride_tricks.sliding_window_view(waveform, paper.WINDOW_SAMPLES)
    hann = scipy.signal.get_window("hann", paper.WINDOW_SAMPLES).astype(np.float32)
    frames = windows[:: paper.HOP_SAMPLES] * hann
    transform = scipy.fft.rfft(frames, n=paper.FFT_SAMPLES)
    parts = np.stack([transform.real, transform.imag], axis=-1)
    return np.sign(parts) * np.abs(parts) ** np.float32(paper.COMPRESSION)


def _spectrogram(waveform: np.ndarray, n_repeats: int) -> Timing:
    import tensorflow as tf

    from speech2face.audio import spectrogram

    ours = tf.function(spectrogram.spectrogram)
    secs = timing.fastest(
        {
            "ours": lambda: ours(waveform).numpy(),
            "twin": lambda: numpy_spectrogram(waveform[0]),
        },
        10 * n_repeats,  # each takes milliseconds
    )
    return Timing("spectrogram of 6 s", secs["ours"], "numpy, SciPy", secs["twin"])


def _paper_encoder(waveform: np.ndarray, n_repeats: int) -> Iterator[Timing]:
    from speech2face.exports import comparison
    from speech2face.models import voice_encoder

    table = table1_architecture.build_tables()[0]
    n_operations = _OPERATIONS_PER_GIGA_MULTIPLY_ADDS * table.giga_multiply_adds
    config, feature_dim = VoiceEncoderConfig(), paper.VGG_FACE_FEATURE_DIM
    models = {
        policy: voice_encoder.build_voice_encoder(config, feature_dim, policy)
        for policy in ("float32", "mixed_bfloat16")
    }
    # The same weights, so that the features can be compared.
    models["mixed_bfloat16"].set_weights(models["float32"].get_weights())
    calls: dict[str, Callable[[], Any]] = {
        name: _graph(model, waveform) for name, model in models.items()
    }
    calls["float32, XLA"] = _graph(models["float32"], waveform, xla=True)
    # Arithmetic in half the bits must not change the feature much.
    cosine = comparison.smallest_cosine(
        calls["float32"]()[0], calls["mixed_bfloat16"]()[0]
    )
    for policy in ("float32", "mixed_bfloat16"):
        calls[f"{policy}, twin"] = _twin(policy, waveform)
    product, product_operations = timing.matrix_product()
    half_product, _ = timing.matrix_product("bfloat16")
    products = {"float32, product": product, "mixed_bfloat16, product": half_product}
    secs = timing.fastest({**calls, **products}, n_repeats)

    def floor_of(policy: str) -> float:
        return secs[f"{policy}, product"] * n_operations / product_operations

    def row(policy: str, note: str = "") -> Row:
        return Row(
            f"voice encoder forward, one clip, {policy}",
            secs[policy],
            "s",
            Beside("plain Keras", secs[f"{policy}, twin"]),
            Beside("matrix product", floor_of(policy)),
            note,
        )

    floor = floor_of("float32")
    what = "voice encoder, paper size"
    yield Timing(
        f"{what}, float32", secs["float32"], "matrix product", floor, row=row("float32")
    )
    yield Timing(f"{what}, float32, XLA", secs["float32, XLA"], "matrix product", floor)
    note = f"cosine to float32 {cosine:.6f}"
    yield Timing(
        f"{what}, mixed_bfloat16",
        secs["mixed_bfloat16"],
        "float32",
        secs["float32"],
        note,
        row("mixed_bfloat16", note),
    )


def _twin(policy: str, waveform: np.ndarray) -> Callable[[], np.ndarray]:
    """The voice encoder of `keras_twin` as one graph, with random weights."""
    import keras
    import tensorflow as tf

    from experiments.benchmarks import keras_twin

    default = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        model = keras_twin.table_1(1.0, paper.VGG_FACE_FEATURE_DIM, 1.0)
    finally:
        keras.config.set_dtype_policy(default)
    call = tf.function(lambda x: model(keras_twin.spectrogram(x), training=False))
    return lambda: call(waveform).numpy()


def _paper_decoder(n_repeats: int) -> Iterator[Timing]:
    import keras

    from speech2face.models import face_decoder

    table = table1_architecture.build_tables()[2]
    n_operations = _OPERATIONS_PER_GIGA_MULTIPLY_ADDS * table.giga_multiply_adds
    decoder = face_decoder.build_face_decoder(
        FaceDecoderConfig(), paper.VGG_FACE_FEATURE_DIM, random_data.mean_landmarks()
    )
    dense = [layer for layer in decoder.layers if isinstance(layer, keras.layers.Dense)]
    n_read = sum(layer.kernel.shape[0] * layer.kernel.shape[1] for layer in dense)
    random = np.random.default_rng(0)
    feature = random.normal(size=(1, paper.VGG_FACE_FEATURE_DIM)).astype(np.float32)
    call = _graph(decoder, feature)
    product, product_operations = timing.matrix_product()
    calls = {
        "ours": call,
        "twin": lambda: np.asarray(decoder(feature)["image"]),
        "product": product,
        "read": timing.reading(n_read),
    }
    secs = timing.fastest(calls, 4 * n_repeats)
    secs_per_operation = secs["product"] / product_operations
    floor = secs_per_operation * n_operations
    # A multiplication and an addition for each weight that is read.
    convolutions = secs_per_operation * (n_operations - 2 * n_read)
    yield _beside_floor("face decoder forward, paper size", secs, floor)
    yield Timing(
        "the same",
        secs["ours"],
        "matrix product of its convolutions, its FC weights read once",
        convolutions + secs["read"],
        f"reading {4e-6 * n_read:.0f} MB {1e3 * secs['read']:.1f} ms",
    )


def _recognizer(n_repeats: int) -> Timing:
    """VGG-Face with zero weights: its time does not depend on them."""
    from speech2face.models import vgg_face

    table = table1_architecture.build_tables()[1]
    n_operations = _OPERATIONS_PER_GIGA_MULTIPLY_ADDS * table.giga_multiply_adds
    network = vgg_face.build_vgg_face()
    half = vgg_face.build_vgg_face(precision="bfloat16")
    crop = np.zeros((1, paper.FACE_PX, paper.FACE_PX, 3), np.float32)
    crops = np.repeat(crop, _TOGETHER, 0)
    product, product_operations = timing.matrix_product()
    calls = {
        "ours": lambda: network.predict_on_batch(crop),
        "together": lambda: network.predict_on_batch(crops),
        "half": lambda: half.predict_on_batch(crops),
        "twin": lambda: np.asarray(network(crop, training=False)["fc7"]),
        "product": product,
    }
    secs = timing.fastest(calls, n_repeats)
    floor = secs["product"] * n_operations / product_operations
    note = (
        f"{_TOGETHER} together {1e3 * secs['together'] / _TOGETHER:.0f} ms each, in "
        f"bfloat16 {1e3 * secs['half'] / _TOGETHER:.0f}"
    )
    return _beside_floor("recognize a face: VGG-Face, one crop", secs, floor, note)


def _beside_floor(
    what: str, secs: dict[str, float], floor: float, note: str = ""
) -> Timing:
    """A network of paper size beside its layers called one by one, and the floor."""
    row = Row(
        what,
        secs["ours"],
        "ms",
        Beside("operation by operation", secs["twin"]),
        Beside("matrix product", floor),
        note,
    )
    return Timing(what, secs["ours"], "matrix product", floor, note, row)


def _compact(waveform: np.ndarray, n_repeats: int) -> Iterator[Timing]:
    from speech2face import Speech2Face

    model = Speech2Face.load()
    feature = model.encode(waveform)
    secs = timing.fastest(
        {
            "encoder": lambda: model.encode(waveform),
            "encoder, op by op": lambda: np.asarray(model.encoder(waveform)),
            "encoder, XLA": _graph(model.encoder, waveform, xla=True),
            "decoder": lambda: model.faces(feature),
            "decoder, op by op": lambda: np.asarray(
                model.decoder.model(feature)["image"]
            ),
            "request": lambda: model(waveform[0]),
        },
        2 * n_repeats,
    )
    for name in ("encoder", "decoder"):
        twin = f"{name}, op by op"
        yield Timing(f"{name}, compact", secs[name], "called op by op", secs[twin])
    yield Timing(
        "encoder, compact, XLA", secs["encoder, XLA"], "graph", secs["encoder"]
    )
    parts = secs["encoder"] + secs["decoder"]
    yield Timing(
        "request of 6 s, compact, warm", secs["request"], "encoder + decoder", parts
    )


def _graph(
    model: "keras.Model", values: np.ndarray, xla: bool = False
) -> Callable[[], list[np.ndarray]]:
    """A call of a model as one graph; waits for every output."""
    import tensorflow as tf

    call = tf.function(lambda x: model(x, training=False), jit_compile=xla)

    def outputs() -> list[np.ndarray]:
        return [output.numpy() for output in tf.nest.flatten(call(values))]

    return outputs


if __name__ == "__main__":
    run_command(main, NetworkBenchmarkOptions)
