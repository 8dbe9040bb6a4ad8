"""Each convolution of Table 1 alone: forward, gradient of the input, of the kernel.

    python -m experiments.benchmarks.layers
    python -m experiments.benchmarks.layers --width=0.25 --batch_size=8

Measures the processor time of TensorFlow's kernels, in milliseconds and GFLOP/s of one
core, and of this project's gradient of the kernel (`models.fast.convolution`), which
takes float32. Their sum is what a step cannot go below with these
kernels; the last line has it beside a matrix product of as many operations.
"""

import dataclasses
import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from experiments.benchmarks import random_data, timing
from speech2face import paper
from speech2face.config import Precision
from speech2face.options import Options, option, run_command


@dataclasses.dataclass(frozen=True)
class LayerOptions(Options):
    """Size and type of the layers."""

    width: float = option(
        1.0, "Multiplier on Table 1's channels; 1 is the paper's.", above=0, maximum=16
    )
    batch_size: int = option(1, "Clips of 6 s.", minimum=1, maximum=1024)
    precision: Precision = option("float32", "Type of maps and kernels.")
    n_repeats: int = option(
        3, "Calls of which the fastest counts.", minimum=1, maximum=1_000_000
    )


class Layer(NamedTuple):
    """A convolution of Table 1: its input [b, h, w, c], kernel and stride."""

    name: str
    inputs: tuple[int, int, int, int]
    kernel: tuple[int, int, int, int]
    stride: int

    @property
    def outputs(self) -> tuple[int, int, int, int]:
        """The shape of its output."""
        batch, height, width, _ = self.inputs
        n_rows, n_columns, _, filters = self.kernel
        return (
            batch,
            # Without padding.
            (height - n_rows) // self.stride + 1,
            (width - n_columns) // self.stride + 1,
            filters,
        )

    @property
    def n_operations(self) -> float:
        """Multiplications and additions of one of its three products."""
        batch, height, width, filters = self.outputs
        n_rows, n_columns, channels, _ = self.kernel
        return 2.0 * batch * height * width * filters * n_rows * n_columns * channels


def main(options: LayerOptions) -> None:
    """Prints the table."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the training commands do
    import tensorflow as tf

    dtype = "float32" if options.precision == "float32" else "bfloat16"
    print(
        "| layer | forward, ms | GFLOP/s | input's gradient, ms | GFLOP/s "
        "| kernel's gradient, ms | GFLOP/s | ours, ms | GFLOP/s |\n"
        "|---|---|---|---|---|---|---|---|---|"
    )
    sums = dict.fromkeys(_WAYS, 0.0)
    n_operations = 0.0
    for layer in table_1(options.width, options.batch_size):
        secs = measure(layer, dtype, options.n_repeats)
        cells = [layer.name]
        for way in _WAYS:
            # What ours does not take is TensorFlow's.
            sums[way] += secs.get(way, secs["kernel"])
            cells += _cells(secs.get(way), layer.n_operations)
        n_operations += layer.n_operations
        print(f"| {' | '.join(cells)} |", flush=True)
        # Seen also where the table is written to a file: a layer takes seconds.
        print(f"  {layer.name}: {cells[1:]}", file=sys.stderr, flush=True)
    cells = ["sum"]
    for way in _WAYS:
        cells += _cells(sums[way], n_operations)
    print(f"| {' | '.join(cells)} |")
    product, of_product = timing.matrix_product(dtype)
    secs_of_product = _fastest({"product": product}, 5)["product"]
    rate = of_product / secs_of_product
    del tf
    print(
        f"\nA matrix product takes {1e3 * n_operations / rate:,.0f} ms for as many "
        f"operations as each column: {rate / 1e9:,.0f} GFLOP/s of a core."
    )


_WAYS = ("forward", "input", "kernel", "ours")


def _cells(secs: float | None, n_operations: float) -> list[str]:
    if secs is None:
        return ["", ""]
    return [f"{1e3 * secs:,.1f}", f"{n_operations / secs / 1e9:,.0f}"]


def table_1(width: float, batch_size: int) -> list[Layer]:
    """The convolutions of Table 1 for clips of 6 s."""
    from speech2face.audio import spectrogram
    from speech2face.models import voice_encoder

    layers = []
    n_frames = spectrogram.n_frames(random_data.CLIP_SAMPLES)
    shape = (batch_size, n_frames, paper.N_BANDS, 2)
    for row in voice_encoder.TABLE_1:
        if row.layer.startswith("maxpool"):
            # Max pooling halves time and leaves frequency as it is.
            shape = (shape[0], shape[1] // 2, *shape[2:])
        if row.channels is None or not row.layer.startswith("conv"):
            continue
        filters = max(1, round(row.channels * width))
        kernel = (4, 4, shape[-1], filters)
        layers.append(Layer(row.layer, shape, kernel, row.stride[0]))
        shape = layers[-1].outputs
    return layers


def measure(layer: Layer, dtype: str, n_repeats: int) -> dict[str, float]:
    """Seconds of processor time of each way: its fastest call.

    Args:
      layer: the convolution.
      dtype: of maps and kernel, 'float32' or 'bfloat16'.
      n_repeats: calls of which the fastest counts.
    """
    import tensorflow as tf

    from speech2face.models.fast import convolution

    def noise(shape: tuple[int, ...]) -> Any:
        return tf.cast(tf.random.stateless_normal(shape, seed=(0, 0)), dtype)

    x, kernel = noise(layer.inputs), noise(layer.kernel)
    d_outputs = noise(layer.outputs)
    strides = [1, layer.stride, layer.stride, 1]
    window = {"strides": strides, "padding": "VALID"}
    operations: dict[str, Callable[[], Any]] = {
        "forward": lambda: tf.nn.conv2d(x, kernel, **window),
        "input": lambda: tf.raw_ops.Conv2DBackpropInput(
            input_sizes=layer.inputs, filter=kernel, out_backprop=d_outputs, **window
        ),
        "kernel": lambda: tf.raw_ops.Conv2DBackpropFilter(
            input=x, filter_sizes=layer.kernel, out_backprop=d_outputs, **window
        ),
    }
    if dtype == "float32":
        graph = tf.function(
            lambda x, d: convolution.kernel_gradient(
                x, d, layer.kernel[:2], layer.stride
            )
        )
        operations["ours"] = lambda: graph(x, d_outputs)
    return _fastest(operations, n_repeats)


def _fastest(
    operations: dict[str, Callable[[], Any]], n_repeats: int
) -> dict[str, float]:
    """Seconds of processor time of the fastest call of each, in turn."""
    times: dict[str, list[float]] = {name: [] for name in operations}
    for repeat in range(n_repeats + 1):
        for name, operation in operations.items():
            start = time.process_time()
            result = operation()
            if hasattr(result, "numpy"):
                # Waits: a device may compute after the call has returned.
                result.numpy()
            if repeat:  # the first call may compile
                times[name].append(time.process_time() - start)
    return {name: min(values) for name, values in times.items()}


if __name__ == "__main__":
    run_command(main, LayerOptions)
