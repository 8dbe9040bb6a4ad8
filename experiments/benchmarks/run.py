"""Runs all benchmarks and writes their tables.

    python -m experiments.benchmarks.run --output_dir=benchmarks
    python -m experiments.benchmarks.run --only=startup,runtimes

Writes benchmarks.md, with the machine it ran on. At its head is one table of what
matters most: ours, a straightforward twin, and the floor. Every number stands beside a
floor or a twin of the same run (`timing`): only the ratios carry over to another
machine. The training step of paper size needs 12 GB of memory. `at_scale` is left out,
because it needs data sets.
"""

import dataclasses
import datetime
import importlib.metadata
import pathlib
import platform
import re
import subprocess
import sys
from collections.abc import Collection
from typing import NamedTuple

from experiments.benchmarks import rows
from speech2face import files
from speech2face.errors import UserError
from speech2face.options import Options, option, run_command
from speech2face.system import has_fast_bfloat16, n_cores


@dataclasses.dataclass(frozen=True)
class BenchmarkOptions(Options):
    """Output folder and selection of modules."""

    output_dir: str = option("benchmarks", "Folder for benchmarks.md.")
    only: tuple[str, ...] = option((), "Modules to run; all by default.")


class Section(NamedTuple):
    """A benchmark: its module in this package, and its flags."""

    module: str
    flags: tuple[str, ...] = ()


_HALF = "--precision=mixed_bfloat16"

# Each runs in a process of its own: the memory that one holds must not slow the next.
SECTIONS = {
    "Training step, paper size, float32": Section("training_step", ("--n_steps=2",)),
    "Training step, paper size, bfloat16": Section(
        "training_step", ("--n_steps=2", _HALF)
    ),
    "Training step, a quarter of the width, float32": Section(
        "training_step", ("--width=0.25",)
    ),
    "Training step, a quarter of the width, bfloat16": Section(
        "training_step", ("--width=0.25", _HALF)
    ),
    "Networks": Section("networks"),
    "Other runtimes": Section("runtimes"),
    "Face detection": Section("detection"),
    "Commands": Section("startup"),
    "Input pipeline": Section("input_pipeline"),
    "Recordings": Section("recordings"),
    "Warp": Section("warp"),
    "Retrieval": Section("retrieval"),
    "From media to batches": Section("stages"),
}


def main(options: BenchmarkOptions) -> None:
    """Runs the benchmarks one after the other; writes the file after each."""
    path = pathlib.Path(options.output_dir) / "benchmarks.md"
    chosen = _chosen(options.only)
    lines: list[str] = []
    sections = ""
    for title, section in chosen.items():
        heading = f"\n## {title}\n\n"
        print(heading, end="", flush=True)
        printed, rows_of_section = rows.found_in(_output_of(section))
        sections += heading + printed
        lines += rows_of_section
        # After each benchmark: an hour's results survive a failure of the next.
        head = f"# Benchmarks\n\n{machine()}\n\n{rows.of_lines(lines)}"
        files.write_atomically(path, (head + sections).encode())
    print(f"\nwrote {path}")


def _chosen(modules: Collection[str]) -> dict[str, Section]:
    """The sections of these modules, or all; emulated arithmetic would take hours."""
    if unknown := set(modules) - {section.module for section in SECTIONS.values()}:
        raise UserError(f"--only={min(unknown)}: there is no such benchmark")
    chosen = {}
    for title, section in SECTIONS.items():
        if modules and section.module not in modules:
            continue
        if _HALF in section.flags and not has_fast_bfloat16():
            print(f"left out: {title}, which this processor would emulate")
            continue
        chosen[title] = section
    return chosen


def _output_of(section: Section) -> str:
    """Runs a benchmark, and prints its lines as they come: some take minutes."""
    lines = []
    module = f"experiments.benchmarks.{section.module}"
    command = [sys.executable, "-m", module, *section.flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None  # a pipe was asked for
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line)
    if process.returncode:
        raise UserError(f"{' '.join(command[1:])} failed; see above")
    return "".join(lines)


def machine() -> str:
    """The processor, how many cores of it, and the versions, in a sentence."""
    version = importlib.metadata.version("tensorflow")
    return (
        f"{datetime.date.today()}: {n_cores()} cores of {_processor()}; "
        f"Python {platform.python_version()}, TensorFlow {version}."
    )


def _processor() -> str:
    """Name and the instructions on which the times depend most, where Linux says so."""
    try:
        text = pathlib.Path("/proc/cpuinfo").read_text()
    except OSError:
        return platform.machine()
    fields = dict(re.findall(r"^(.*?)\s*: (.*)$", text, re.MULTILINE))
    flags = fields.get("flags", "").split()
    names = {"avx2": "AVX2", "avx512f": "AVX-512", "avx512_bf16": "AVX512_BF16"}
    has = [name for flag, name in names.items() if flag in flags]
    has.append("AMX" if "amx_bf16" in flags else "no AMX")
    return f"{fields.get('model name', platform.machine())} ({', '.join(has)})"


if __name__ == "__main__":
    run_command(main, BenchmarkOptions)
