"""How the benchmarks measure: in turn, the fastest call, beside a floor or a twin.

Seconds mean little on a shared machine. Every timing therefore stands beside another
one of the same run: what the hardware could do at best (a matrix product of as many
operations, a plain copy), or the straightforward way to the same result.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from typing import Callable, Dict, List, NamedTuple, Sequence, Tuple

MATRIX_SIZE = 2048


@dataclasses.dataclass(frozen=True)
class Timing:
    """Seconds of something, and of what it is compared with, in one run.

    Attributes:
      what: is timed.
      secs: of the fastest call.
      beside: the floor or the twin.
      beside_secs: its fastest call.
      note: what else was measured, such as memory.
    """

    what: str
    secs: float
    beside: str
    beside_secs: float
    note: str = ""

    @property
    def ratio(self) -> float:
        """How many times as long as what it is compared with."""
        return self.secs / self.beside_secs


def to_markdown(timings: Sequence[Timing]) -> str:
    """Returns a table of timings."""
    lines = ["| what | ms | beside | ms | ratio | |", "|---|---|---|---|---|---|"]
    for timing in timings:
        lines.append(
            f"| {timing.what} | {1e3 * timing.secs:,.2f} | {timing.beside} "
            f"| {1e3 * timing.beside_secs:,.2f} | {timing.ratio:.2f} | {timing.note} |"
        )
    return "\n".join(lines) + "\n"


def fastest(
    operations: Dict[str, Callable[[], object]], n_repeats: int
) -> Dict[str, float]:
    """Seconds of the fastest call of each operation.

    The operations take turns, so that what else the machine does meets all alike. One
    call of each, which may compile, does not count.
    """
    for operation in operations.values():
        operation()
    times: Dict[str, List[float]] = {name: [] for name in operations}
    for _ in range(n_repeats):
        for name, operation in operations.items():
            start = time.perf_counter()
            operation()
            times[name].append(time.perf_counter() - start)
    return {name: min(values) for name, values in times.items()}


def matrix_product(dtype: str = "float32") -> Tuple[Callable[[], object], float]:
    """A large square matrix product on TensorFlow's device, and its operations.

    Returns:
      A function that computes it and waits, and the multiplications and additions that
      it takes.
    """
    import tensorflow as tf

    size = (MATRIX_SIZE, MATRIX_SIZE)
    matrix = tf.cast(tf.random.stateless_normal(size, seed=(0, 0)), dtype)
    product = tf.function(lambda: tf.reduce_sum(tf.matmul(matrix, matrix)))
    return lambda: product().numpy(), 2.0 * MATRIX_SIZE**3


class Run(NamedTuple):
    """A process that has ended.

    Attributes:
      secs: from start to end.
      memory_mb: its largest resident memory, at least that of who started it.
      stdout: what it printed.
    """

    secs: float
    memory_mb: float
    stdout: str


def run_command(arguments: Sequence[str], status: int = 0) -> Run:
    """Runs `python` with arguments in a new process, which should exit with `status`.

    Raises:
      RuntimeError: it exits otherwise; with what it printed last.
    """
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as stderr:
        command = [sys.executable, *arguments]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=stderr, text=True
        )
        with process.stdout:
            stdout = process.stdout.read()
        _, ended, usage = os.wait4(process.pid, 0)
        secs = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(ended)
        if process.returncode != status:
            stderr.seek(0)
            last = stderr.read()[-500:]
            raise RuntimeError(f"python {' '.join(arguments)} failed: {last}")
    per_mb = 1e6 if sys.platform == "darwin" else 1e3
    return Run(secs, usage.ru_maxrss / per_mb, stdout)
