"""What the spline warp costs, in bilinear resizes of the same size.

    python -m experiments.benchmarks.warp

Faces of the face decoder's size, warped to landmarks a few pixels from the mean, on
the device TensorFlow chooses, uncompiled and under XLA. The yardstick is what a
`tf.image.resize` of an image of 256 x 256 px to the same 224 x 224 px takes: by its
kernel, which on a CPU is many times faster than what XLA makes of it.
"""

import dataclasses
from typing import Callable, Dict, Iterator

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face import flag_config
from speech2face.config import option

IMAGE_PX = 224


@dataclasses.dataclass(frozen=True)
class WarpBenchmarkOptions:
    """How much is timed."""

    batch_size: int = option(8, "Images a call.")
    n_repeats: int = option(20, "Calls of which the fastest counts.")


def main(options: WarpBenchmarkOptions) -> None:
    """Prints the table."""
    print(timing.to_markdown(list(measure(options.batch_size, options.n_repeats))))


def measure(batch_size: int, n_repeats: int) -> Iterator[Timing]:
    """Times every operation, uncompiled and compiled, beside the uncompiled resize."""
    import tensorflow as tf

    resize_secs = 0.0
    for xla in (False, True):
        compiled = {
            name: _waiting(tf.function(operation, jit_compile=xla))
            for name, operation in operations(batch_size).items()
        }
        secs = timing.fastest(compiled, n_repeats)
        resize_secs = resize_secs or secs["resize"]
        for name in compiled:
            what = f"{name}, XLA" if xla else name
            yield Timing(what, secs[name], "resize", resize_secs)


def operations(batch_size: int) -> Dict[str, Callable]:
    """Returns what is timed: functions without arguments, on fixed random input."""
    import numpy as np
    import tensorflow as tf

    from speech2face.models import warp

    rng = np.random.default_rng(0)
    size = (batch_size, IMAGE_PX, IMAGE_PX, 3)
    images = tf.Variable(rng.random(size, np.float32))
    larger = tf.Variable(rng.random((batch_size, 256, 256, 3), np.float32))
    mean = rng.uniform(60, 160, (1, 68, 2)).astype(np.float32).repeat(batch_size, 0)
    points = tf.Variable(mean + rng.normal(0, 3, mean.shape).astype(np.float32))

    def forward(**kwargs):
        return lambda: warp.warp(images.value(), mean, points.value(), **kwargs)

    def with_gradients():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(warp.warp(images.value(), mean, points.value()))
        gradients = tape.gradient(loss, [images, points])
        return [tf.convert_to_tensor(gradient) for gradient in gradients]

    return {
        "resize": lambda: tf.image.resize(larger.value(), (IMAGE_PX, IMAGE_PX)),
        "sampling alone": lambda: warp.sample(images.value(), images[..., :2]),
        "warp, order 1": forward(),
        "warp, order 1, every pixel": forward(node_step_px=1),
        "warp, order 1, every 4th pixel": forward(node_step_px=4),
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
