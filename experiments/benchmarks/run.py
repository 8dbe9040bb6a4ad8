"""Runs all benchmarks and writes their tables.

    python -m experiments.benchmarks.run --output_dir=benchmarks

Writes benchmarks.md, with the machine it ran on. Every number stands beside a floor or
a straightforward twin of the same run (`timing`): only the ratios carry over to another
machine. The training step of paper size needs 12 GB of memory. `at_scale` is left out,
because it needs data sets.
"""

import dataclasses
import importlib.metadata
import pathlib
import platform
import subprocess
import sys

from speech2face import files
from speech2face.errors import UserError
from speech2face.options import Options, option, run_command
from speech2face.system import n_cores


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions(Options):
    """Where to write."""

    output_dir: str = option("benchmarks", "Folder for benchmarks.md.")


# Each runs in a process of its own: the memory that one holds must not slow the next.
SECTIONS = {
    "Training step": "training_step",
    "Input pipeline": "input_pipeline",
    "Networks": "networks",
    "Recordings": "recordings",
    "Other runtimes": "runtimes",
    "Warp": "warp",
    "Retrieval": "retrieval",
    "Face detection": "detection",
    "From media to batches": "stages",
    "Commands": "startup",
}


def main(options: BenchmarkOptions) -> None:
    """Runs the benchmarks one after the other; writes the file after each."""
    path = pathlib.Path(options.output_dir) / "benchmarks.md"
    text = f"# Benchmarks\n\n{_machine()}\n"
    for title, name in SECTIONS.items():
        heading = f"\n## {title}\n\n"
        print(heading, end="", flush=True)
        text += heading + _output_of(f"experiments.benchmarks.{name}")
        files.write_atomically(path, text.encode())
    print(f"\nwrote {path}")


def _output_of(module: str) -> str:
    """Runs a benchmark, and prints its lines as they come: some take minutes."""
    lines = []
    command = [sys.executable, "-m", module]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # a pipe was asked for
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise UserError(f"python -m {module} failed; see above")
    return "".join(lines)


def _machine() -> str:

    version = importlib.metadata.version("tensorflow")
    return (
        f"{n_cores()} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, TensorFlow {version}."
    )


if __name__ == "__main__":
    run_command(main, BenchmarkOptions)
