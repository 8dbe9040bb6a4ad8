"""What the spline warp costs, in bilinear resizes of the same size.

    python -m experiments.benchmarks.warp

Faces of the face decoder's size, warped to landmarks a few pixels from the mean face's,
on the device TensorFlow chooses, uncompiled and under XLA. The yardstick is a bilinear
resize from 192 x 192 px to that size by operations that every device has: compiled,
`tf.image.resize`; uncompiled, four gathers a pixel, since there `tf.image.resize` is
one kernel written for the device, which has a row of its own.
"""

import dataclasses
from typing import Callable, Dict, Iterator

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face import flag_config
from speech2face.config_fields import option

IMAGE_PX = 224
SMALLER_PX = 192  # is resized to that

_RESIZE = "tf.image.resize"
_RESIZE_BY_GATHERS = "resize by gathers"


@dataclasses.dataclass(frozen=True)
class WarpBenchmarkOptions:
    """How much is timed."""

    batch_size: int = option(8, "Images a call.")
    n_repeats: int = option(20, "Calls of which the fastest counts.")


def main(options: WarpBenchmarkOptions) -> None:
    """Prints the table."""
    print(timing.to_markdown(list(measure(options.batch_size, options.n_repeats))))


def measure(batch_size: int, n_repeats: int) -> Iterator[Timing]:
    """Times every operation beside its resize, both uncompiled, then both compiled."""
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


def operations(batch_size: int) -> Dict[str, Callable]:
    """Returns what is timed: functions without arguments, on fixed random input."""
    import numpy as np
    import tensorflow as tf

    from speech2face import decoder_bundle, inference
    from speech2face.models import warp

    decoder = decoder_bundle.load(inference.DEFAULT_BUNDLE / decoder_bundle.DECODER_DIR)
    rng = np.random.default_rng(0)
    ys, xs = np.mgrid[:IMAGE_PX, :IMAGE_PX] + 0.5
    to_smaller = np.stack([xs, ys]) * (SMALLER_PX / IMAGE_PX - 1)
    to_smaller = to_smaller[None].astype(np.float32)
    size = (batch_size, IMAGE_PX, IMAGE_PX, 3)
    images = tf.Variable(rng.random(size, np.float32))
    smaller = tf.Variable(images[:, :SMALLER_PX, :SMALLER_PX])
    mean = decoder.mean_landmarks[None].repeat(batch_size, 0)
    points = tf.Variable(mean + rng.normal(0, 3, mean.shape).astype(np.float32))

    def forward(**kwargs):
        return lambda: warp.warp(images.value(), mean, points.value(), **kwargs)

    def with_gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(warp.warp(images.value(), mean, points.value()))
        gradients = tape.gradient(loss, [images, points])
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    return {
        _RESIZE: lambda: tf.image.resize(smaller.value(), (IMAGE_PX, IMAGE_PX)),
        _RESIZE_BY_GATHERS: lambda: warp.sample(images.value(), to_smaller),
        "warp, order 1": forward(),
        "warp, order 1, every pixel": forward(node_step_px=1),
        "warp, order 1, portable": forward(portable=True),
        "warp, order 2": forward(order=2),
        "warp, order 1, and its gradients": with_gradients,
    }


def _waiting(operation: Callable) -> Callable[[], None]:
    """The operation, until all its outputs are there."""
    import tensorflow as tf

    def call() -> None:
        for output in tf.nest.flatten(operation()):
            output.numpy()

    return call


if __name__ == "__main__":
    flag_config.run(main, WarpBenchmarkOptions)
