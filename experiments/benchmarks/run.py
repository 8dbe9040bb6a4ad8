"""All benchmarks, one command.

    python -m experiments.benchmarks.run --output_dir=benchmarks

Writes benchmarks.md, with the machine it ran on. Every number stands beside a floor or
a naive twin of the same run: only the ratios mean something on another machine.
"""

import dataclasses
import importlib.metadata
import os
import pathlib
import platform
import subprocess
import sys

from speech2face import flag_config
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions:
    """Where to write."""

    output_dir: str = option("benchmarks", "Folder for benchmarks.md.")


# Each runs in a process of its own: what one leaves in memory is not the next one's.
SECTIONS = {
    "Training step": "training_step",
    "Input pipeline": "input_pipeline",
    "Networks": "networks",
    "Other runtimes": "runtimes",
    "Warp": "warp",
    "Retrieval": "retrieval",
    "Face detection": "detection",
    "From media to batches": "stages",
    "Commands": "startup",
}


def main(options: BenchmarkOptions) -> None:
    """Runs the benchmarks one after the other; writes the tables as they come."""
    from speech2face import files

    path = pathlib.Path(options.output_dir) / "benchmarks.md"
    text = f"# Benchmarks\n\n{_machine()}\n"
    for title, name in SECTIONS.items():
        module = f"experiments.benchmarks.{name}"
        process = subprocess.run(
            [sys.executable, "-m", module], stdout=subprocess.PIPE, text=True
        )
        if process.returncode:
            raise ValueError(f"python -m {module} failed; see above")
        section = f"\n## {title}\n\n{process.stdout}"
        print(section, flush=True)
        text += section
        files.write_atomically(path, text.encode())
    print(f"wrote {path}")


def _machine() -> str:
    version = importlib.metadata.version("tensorflow")
    return (
        f"{len(os.sched_getaffinity(0))} cores, {platform.machine()}, "
        f"Python {platform.python_version()}, TensorFlow {version}."
    )


if __name__ == "__main__":
    flag_config.run(main, BenchmarkOptions)
