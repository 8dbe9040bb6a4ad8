"""Time and memory of the model that ships on recordings: short, many, and long.

    python -m experiments.benchmarks.recordings

A warm request of 6 s; 32 of them together, beside one by one; and a long file, beside
its own duration. Then the same in bfloat16, where the processor multiplies it, with
how far its features are from those of float32. Processor time is in the last column: on
a shared machine it is what carries over.
"""

import dataclasses
import math
import pathlib
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face.app import EXAMPLES_DIR, examples_in
from speech2face.audio.recordings import SoundFile
from speech2face.options import Options, option, run_command
from speech2face.paper import SAMPLE_RATE_HZ
from speech2face.system import has_fast_bfloat16

if TYPE_CHECKING:
    from speech2face import Speech2Face

N_TOGETHER = 32


@dataclasses.dataclass(frozen=True)
class RecordingBenchmarkOptions(Options):
    """Number of timed calls."""

    n_repeats: int = option(
        5, "Calls of which the fastest counts.", minimum=1, maximum=1_000_000
    )
    minutes: float = option(
        60.0, "Length of the long recording.", minimum=1, maximum=600
    )


def main(options: RecordingBenchmarkOptions) -> None:
    """Prints the table, row by row."""
    timing.print_table(measure(options.n_repeats, options.minutes))


def measure(n_repeats: int, minutes: float) -> Iterator[Timing]:
    """Yields the timings.

    Args:
      n_repeats: calls of which the fastest counts.
      minutes: length of the long recording, which is computed once.
    """
    from speech2face import Speech2Face
    from speech2face.exports import comparison

    model = Speech2Face.load()
    yield from _timings(model, n_repeats, minutes)
    if has_fast_bfloat16():
        half = Speech2Face.load(precision="bfloat16")
        voices = [SoundFile(path) for path in examples_in(EXAMPLES_DIR).values()]
        cosine = comparison.smallest_cosine(
            model.voice_features(voices), half.voice_features(voices)
        )
        note = f"; cosine of generated voices to float32 {cosine:.5f} at least"
        yield from _timings(half, n_repeats, minutes, note)


def _timings(
    model: "Speech2Face", n_repeats: int, minutes: float, note: str = ""
) -> Iterator[Timing]:
    clips = [_noise(6.0, seed) for seed in range(N_TOGETHER)]
    # All shapes of a batch are traced before the clock starts.
    model(clips[0])
    model(clips)
    one = min(_timed(lambda: model(clips[0])) for _ in range(n_repeats))
    all_clips = min(_timed(lambda: model(clips)) for _ in range(n_repeats))
    yield Timing(
        f"{N_TOGETHER} clips of 6 s together, {model.precision}",
        all_clips[0],
        f"{N_TOGETHER} warm requests",
        N_TOGETHER * one[0],
        f"a request: {1e3 * one[0]:.0f} ms, {1e3 * one[1]:.0f} ms of processor; "
        f"together: {1e3 * all_clips[1] / N_TOGETHER:.0f} ms of processor a clip{note}",
    )
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "long.wav"
        with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1) as file:
            # In pieces: the whole would count as memory of the model.
            for seed in range(math.ceil(minutes)):
                file.write(_noise(60 * min(1, minutes - seed), seed))
        # Once: it takes minutes, beside which the noise of a call is small.
        long = _timed(lambda: model.voice_features([SoundFile(path)]))
    yield Timing(
        f"a recording of {minutes:g} minutes, {model.precision}",
        long[0],
        "its duration",
        60 * minutes,
        f"{long[1]:.0f} s of processor, {_peak_gb():.2f} GB at most",
    )


def _noise(secs: float, seed: int) -> np.ndarray:
    draw = np.random.default_rng(seed)
    samples = draw.standard_normal(round(secs * SAMPLE_RATE_HZ), np.float32)
    # About as loud as speech.
    return samples * np.float32(0.1)


def _peak_gb() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return timing.peak_bytes(usage) / 1e9


def _timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Returns the seconds of a call, and those of the processor."""
    start, processor = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start, time.process_time() - processor


if __name__ == "__main__":
    run_command(main, RecordingBenchmarkOptions)
