"""The cost of the spline warp, in bilinear resizes to the same size.

    python -m experiments.benchmarks.warp
    python -m experiments.benchmarks.warp --batch_size=1

Measures the time to warp faces of 224 x 224 px to landmarks a few pixels from the mean
face's, on TensorFlow's default device, uncompiled and under XLA. The yardstick is a
bilinear resize from 192 x 192 px, by operations that every device has: compiled,
`tf.image.resize`; uncompiled, four gathers a pixel. Uncompiled `tf.image.resize` is one
kernel written for the device; it has a row of its own. The backward pass (gradients of
images and points) stands beside the forward pass, in processor time: it is the time of
both together, less that of the forward pass.
"""

import dataclasses
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face.options import Options, option, run_command
from speech2face.paper import FACE_PX

SMALLER_PX = 192  # is resized to 224

_RESIZE = "tf.image.resize"
_RESIZE_BY_GATHERS = "resize by gathers"
_FORWARD = "warp, order 1"
_WITH_GRADIENTS = "warp, order 1, and its gradients"


@dataclasses.dataclass(frozen=True)
class WarpBenchmarkOptions(Options):
    """Size of a batch, and number of timed calls."""

    batch_size: int = option(8, "Images a call.", minimum=1, maximum=2**20)
    n_repeats: int = option(
        20, "Calls of which the fastest counts.", minimum=1, maximum=1_000_000
    )


def main(options: WarpBenchmarkOptions) -> None:
    """Prints the table, row by row."""
    timing.print_table(measure(options.batch_size, options.n_repeats))


def measure(batch_size: int, n_repeats: int) -> Iterator[Timing]:
    """Times every operation beside a resize: uncompiled, then under XLA."""
    import tensorflow as tf

    for xla, yardstick in ((False, _RESIZE_BY_GATHERS), (True, _RESIZE)):
        compiled = {
            name: _waiting(tf.function(operation, jit_compile=xla))
            for name, operation in operations(batch_size).items()
        }
        secs = timing.fastest(compiled, n_repeats)
        for name in compiled:
            what = f"{name}, XLA" if xla else name
            yield Timing(what, secs[name], yardstick, secs[yardstick])
        yield _backward(compiled, n_repeats, ", XLA" if xla else "")


def _backward(
    compiled: dict[str, Callable[[], None]], n_repeats: int, suffix: str
) -> Timing:
    """The backward pass beside the forward pass, in processor time."""
    calls = {name: compiled[name] for name in (_FORWARD, _WITH_GRADIENTS)}
    secs = timing.fastest(calls, n_repeats, time.process_time)
    return Timing(
        f"warp, order 1{suffix}, backward, processor time",
        # The two are only measured together: a backward pass needs a forward one.
        secs[_WITH_GRADIENTS] - secs[_FORWARD],
        "forward, processor time",
        secs[_FORWARD],
    )


def operations(batch_size: int) -> dict[str, Callable[[], Any]]:
    """Returns the operations, functions without arguments, on fixed random input."""
    import tensorflow as tf

    from speech2face.artifacts import decoder_bundle, decoder_files
    from speech2face.inference import model as inference_model
    from speech2face.models import sampling, warp

    decoder = decoder_bundle.load(
        inference_model.DEFAULT_BUNDLE / decoder_files.DECODER_DIR
    )
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[:FACE_PX, :FACE_PX] + 0.5
    # Displacements of a resize: the same gathers as a warp, without its spline.
    to_smaller = np.stack([xs, ys]) * (SMALLER_PX / FACE_PX - 1)
    to_smaller = to_smaller[None].astype(np.float32)
    size = (batch_size, FACE_PX, FACE_PX, 3)
    # Variables: the tape watches them, and no compiler folds them into constants.
    images = tf.Variable(rng.random(size, np.float32))
    smaller = tf.Variable(images[:, :SMALLER_PX, :SMALLER_PX])
    mean = decoder.mean_landmarks[None].repeat(batch_size, 0)
    # A few pixels from the mean, as predicted landmarks are.
    points = tf.Variable(mean + rng.normal(0, 3, mean.shape).astype(np.float32))

    def forward(**kwargs):
        return lambda: warp.warp(images.value(), mean, points.value(), **kwargs)

    def with_gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(warp.warp(images.value(), mean, points.value()))
        gradients = tape.gradient(loss, [images, points])
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    return {
        _RESIZE: lambda: tf.image.resize(smaller.value(), (FACE_PX, FACE_PX)),
        _RESIZE_BY_GATHERS: lambda: sampling.sample(images.value(), to_smaller),
        _FORWARD: forward(),
        "warp, order 1, every pixel": forward(node_step_px=1),
        "warp, order 1, portable": forward(portable=True),
        "warp, order 2": forward(order=2),
        _WITH_GRADIENTS: with_gradients,
    }


def _waiting(operation: Callable[[], Any]) -> Callable[[], None]:
    """The operation, followed by a wait for all its outputs."""
    import tensorflow as tf

    def call() -> None:
        for output in tf.nest.flatten(operation()):
            output.numpy()

    return call


if __name__ == "__main__":
    run_command(main, WarpBenchmarkOptions)
