"""Timing for the benchmarks: in turn, the fastest call, beside a floor or a twin.

Seconds mean little on a shared machine. Every timing therefore stands beside another
one of the same run: what the hardware could do at best, the floor (a matrix product of
as many operations, a plain copy), or the straightforward way to the same result, the
twin. Why: docs/decisions/step-benchmark.md.
"""

import dataclasses
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from experiments.benchmarks import rows
from speech2face.errors import UserError
from speech2face.json_codec import parse_json

# Large enough for the full rate of any device, small enough for milliseconds.
MATRIX_SIZE = 2048


@dataclasses.dataclass(frozen=True)
class Timing:
    """An operation and its yardstick, both timed in one run.

    Attributes:
      what: name of the operation.
      secs: seconds of its fastest call.
      beside: name of the floor or twin it is compared with.
      beside_secs: seconds of that one's fastest call.
      note: anything else that was measured, such as memory.
      row: its row of the table at the head of benchmarks.md, if it has one.
    """

    what: str
    secs: float
    beside: str
    beside_secs: float
    note: str = ""
    row: rows.Row | None = None

    @property
    def ratio(self) -> float:
        """Time divided by that of its yardstick."""
        return self.secs / self.beside_secs


def print_table(timings: Iterable[Timing]) -> None:
    """Prints a table, each row as soon as it is measured: the next may take minutes.

    After it come the rows that some of them have in the table at the head.
    """
    head_rows = []
    print(
        "| what | ms | beside | ms | ratio | |\n|---|---|---|---|---|---|", flush=True
    )
    for timing in timings:
        print(
            f"| {timing.what} | {1e3 * timing.secs:,.2f} | {timing.beside} "
            f"| {1e3 * timing.beside_secs:,.2f} | {timing.ratio:.2f} | {timing.note} |",
            flush=True,
        )
        if timing.row:
            head_rows.append(timing.row)
    if head_rows:
        rows.show(head_rows)


def fastest(
    operations: Mapping[str, Callable[[], object]],
    n_repeats: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Seconds of the fastest call of each operation.

    The operations take turns, so that other load on the machine affects all alike. The
    first call of each does not count: it may compile.

    Args:
      operations: what to call, by name.
      n_repeats: calls of each that count.
      clock: `time.process_time` counts processor seconds of all threads instead.
    """
    for operation in operations.values():
        operation()
    times: dict[str, list[float]] = {name: [] for name in operations}
    for _ in range(n_repeats):
        for name, operation in operations.items():
            start = clock()
            operation()
            times[name].append(clock() - start)
    return {name: min(values) for name, values in times.items()}


def matrix_product(dtype: str = "float32") -> tuple[Callable[[], object], float]:
    """A large square matrix product on TensorFlow's device.

    Returns:
      A function that computes it and waits for the result, and its number of
      multiplications and additions.
    """
    import tensorflow as tf

    size = (MATRIX_SIZE, MATRIX_SIZE)
    matrix = tf.cast(tf.random.stateless_normal(size, seed=(0, 0)), dtype)
    # The sum is one number to fetch instead of 16 MB.
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    return lambda: product().numpy(), 2.0 * MATRIX_SIZE**3


def reading(n_values: int) -> Callable[[], object]:
    """Returns a function that reads `n_values` float32 of memory and adds them up."""
    import tensorflow as tf

    values = tf.Variable(tf.ones([n_values]))
    total = tf.function(lambda: tf.reduce_sum(values))
    return lambda: total().numpy()


class Run(NamedTuple):
    """A process that has ended.

    Attributes:
      secs: seconds from start to end.
      memory_mb: its peak resident memory, which is at least its parent's.
      stdout: what it printed.
    """

    secs: float
    memory_mb: float
    stdout: str


def peak_bytes(usage: resource.struct_rusage) -> int:
    """The peak resident memory of a process."""
    # macOS counts bytes, Linux kilobytes.
    return usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def measure_in_process(
    what: str, module: str, flags: Mapping[str, object]
) -> dict[str, Any]:
    """Runs one measurement in a process of its own, which starts with no memory in use.

    Args:
      what: is said on standard error first, because it may take minutes.
      module: a benchmark that prints its measurements as JSON on the last line.
      flags: its options.

    Returns:
      The measurements.

    Raises:
      UserError: the process failed; its message is on standard error.
    """
    command = [sys.executable, "-m", module]
    command += [f"--{name}={value}" for name, value in flags.items()]
    print(f"measuring {what} ...", file=sys.stderr, flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise UserError(f"{' '.join(command[1:])} failed; see above")
    return parse_json(done.stdout.splitlines()[-1], f"output of {module}")


def run_command(arguments: Sequence[str]) -> Run:
    """Runs `python` with arguments in a new process.

    Raises:
      RuntimeError: it does not exit with 0; the message ends with its last output.
    """
    start = time.perf_counter()
    # A file, not a second pipe: a full one would stop the process.
    with tempfile.TemporaryFile("w+") as stderr:
        command = [sys.executable, *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        assert process.stdout is not None  # a pipe was asked for
        with process.stdout:
            stdout = process.stdout.read()
        # Not `process.wait`, which does not report the memory.
        _, ended, usage = os.wait4(process.pid, 0)
        secs = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(ended)
        if process.returncode:
            stderr.seek(0)
            last = stderr.read()[-500:]
            raise RuntimeError(f"python {' '.join(arguments)} failed: {last}")
    return Run(secs, peak_bytes(usage) / 1e6, stdout)
