"""Spectrogram, encoders, decoder and a whole request, beside the arithmetic they need.

    python -m experiments.benchmarks.networks

Paper size and the compact model that ships, one clip of 6 s at a time. The floor of a
network is a matrix product of as many multiplications, at the rate of a 2048 x 2048 one
in the same run; the spectrogram stands beside numpy and SciPy's FFT.
"""

import dataclasses
from typing import TYPE_CHECKING, Callable, Iterator, List

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face import flag_config
from speech2face.config_fields import option

if TYPE_CHECKING:
    import numpy as np

CLIP_SECS = 6
SAMPLE_RATE_HZ = 16_000
PAPER_FEATURE_DIM = 4096


@dataclasses.dataclass(frozen=True)
class NetworkBenchmarkOptions:
    """How much is timed."""

    n_repeats: int = option(5, "Calls of which the fastest counts.")


def main(options: NetworkBenchmarkOptions) -> None:
    """Prints the table."""
    print(timing.to_markdown(list(measure(options.n_repeats))))


def measure(n_repeats: int) -> Iterator[Timing]:
    """Times the parts of a request, paper size first."""
    import numpy as np

    waveform = np.random.default_rng(0).normal(0, 0.1, (1, CLIP_SECS * SAMPLE_RATE_HZ))
    waveform = waveform.astype(np.float32)
    yield _spectrogram(waveform, n_repeats)
    yield from _paper_encoder(waveform, n_repeats)
    yield from _paper_decoder(n_repeats)
    yield from _compact(waveform, n_repeats)


def numpy_spectrogram(waveform: "np.ndarray") -> "np.ndarray":
    """The straightforward way to [frames, 257, 2] of [n]: numpy frames, SciPy's FFT."""
    import numpy as np
    import scipy.fft
    import scipy.signal

    frames = np.lib.stride_tricks.sliding_window_view(waveform, 400)[::160]
    window = scipy.signal.get_window("hann", 400).astype(np.float32)
    transform = scipy.fft.rfft(frames * window, n=512)
    parts = np.stack([transform.real, transform.imag], axis=-1)
    return np.sign(parts) * np.abs(parts) ** np.float32(0.3)


def _spectrogram(waveform: "np.ndarray", n_repeats: int) -> Timing:
    import tensorflow as tf

    from speech2face import audio

    ours = tf.function(audio.spectrogram)
    secs = timing.fastest(
        {
            "ours": lambda: ours(waveform).numpy(),
            "twin": lambda: numpy_spectrogram(waveform[0]),
        },
        10 * n_repeats,
    )
    return Timing("spectrogram of 6 s", secs["ours"], "numpy, SciPy", secs["twin"])


def _paper_encoder(waveform: "np.ndarray", n_repeats: int) -> Iterator[Timing]:
    from experiments import architecture_tables
    from speech2face.config import VoiceEncoderConfig
    from speech2face.models import voice_encoder

    n_operations = 2e9 * architecture_tables.paper_tables()[0].giga_multiply_adds
    config = VoiceEncoderConfig()
    models = {
        policy: voice_encoder.build_voice_encoder(config, PAPER_FEATURE_DIM, policy)
        for policy in ("float32", "mixed_bfloat16")
    }
    models["mixed_bfloat16"].set_weights(models["float32"].get_weights())
    calls = {name: _graph(model, waveform) for name, model in models.items()}
    calls["float32, XLA"] = _graph(models["float32"], waveform, xla=True)
    cosine = _cosine(calls["float32"](), calls["mixed_bfloat16"]())
    product, product_operations = timing.matrix_product()
    secs = timing.fastest({**calls, "product": product}, n_repeats)
    floor = secs["product"] * n_operations / product_operations
    for name in ("float32", "float32, XLA"):
        what = f"voice encoder, paper size, {name}"
        yield Timing(what, secs[name], "matrix product", floor)
    yield Timing(
        "voice encoder, paper size, mixed_bfloat16",
        secs["mixed_bfloat16"],
        "float32",
        secs["float32"],
        f"cosine to float32 {cosine:.6f}",
    )


def _paper_decoder(n_repeats: int) -> Iterator[Timing]:
    import numpy as np

    from experiments import architecture_tables
    from speech2face.config import FaceDecoderConfig
    from speech2face.models import face_decoder

    n_operations = 2e9 * architecture_tables.paper_tables()[2].giga_multiply_adds
    mean_landmarks = np.random.default_rng(0).uniform(60, 160, (68, 2))
    decoder = face_decoder.build_face_decoder(
        FaceDecoderConfig(), PAPER_FEATURE_DIM, mean_landmarks.astype(np.float32)
    )
    feature = np.random.default_rng(0).normal(size=(1, PAPER_FEATURE_DIM))
    call = _graph(decoder, feature.astype(np.float32))
    product, product_operations = timing.matrix_product()
    secs = timing.fastest({"ours": call, "product": product}, 4 * n_repeats)
    floor = secs["product"] * n_operations / product_operations
    yield Timing("face decoder, paper size", secs["ours"], "matrix product", floor)


def _compact(waveform: "np.ndarray", n_repeats: int) -> Iterator[Timing]:
    import numpy as np

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


def _graph(model, inputs: "np.ndarray", xla: bool = False) -> Callable[[], List]:
    """A call of a model as one graph, which waits for every output."""
    import tensorflow as tf

    call = tf.function(lambda x: model(x, training=False), jit_compile=xla)

    def outputs() -> "List[np.ndarray]":
        return [output.numpy() for output in tf.nest.flatten(call(inputs))]

    return outputs


def _cosine(left: "List[np.ndarray]", right: "List[np.ndarray]") -> float:
    import numpy as np

    a, b = left[0].astype(np.float64), right[0].astype(np.float64)
    return float((a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b))


if __name__ == "__main__":
    flag_config.run(main, NetworkBenchmarkOptions)
