"""Time and memory of the commands, each in a process of its own.

    python -m experiments.benchmarks.startup

`--help` of every command stands beside an empty Python. A whole `reconstruct` of 6 s
with the model that ships is timed from behind `import tensorflow`, which no request can
do without, and stands beside it. The note is the largest resident memory.
"""

import dataclasses
import pathlib
import re
import tempfile
from typing import Iterator, List

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face import flag_config
from speech2face.config_fields import option

PACKAGES = ("speech2face", "data_prep", "experiments")
_IS_COMMAND = re.compile(
    r'^if __name__ == "__main__":\n    flag_config\.run\(', re.MULTILINE
)
_HELP_STATUS = 1  # absl's
_RECONSTRUCT = """
import runpy, time
start = time.perf_counter()
import tensorflow
imported = time.perf_counter()
try:
    runpy.run_module("speech2face.reconstruct", run_name="__main__", alter_sys=True)
finally:
    print(time.perf_counter() - imported, imported - start)
"""
_ROOT = pathlib.Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class StartupBenchmarkOptions:
    """How much is timed."""

    n_repeats: int = option(2, "Processes of each command of which the fastest counts.")


def main(options: StartupBenchmarkOptions) -> None:
    """Prints the table."""
    print(timing.to_markdown(list(measure(options.n_repeats))))


def commands() -> List[str]:
    """Every module that is a command: it hands `main` to flag_config."""
    names = []
    for package in PACKAGES:
        for path in sorted((_ROOT / package).glob("*.py")):
            if _IS_COMMAND.search(path.read_text()):
                names.append(f"{package}.{path.stem}")
    return names


def measure(n_repeats: int) -> Iterator[Timing]:
    """Times every command's `--help`, then a request from a cold start."""
    empty = _fastest(["-c", "pass"], n_repeats).secs
    for name in commands():
        run = _fastest(["-m", name, "--help"], n_repeats, _HELP_STATUS)
        note = f"{run.memory_mb:.0f} MB"
        yield Timing(f"{name} --help", run.secs, "python", empty, note)
    yield _cold_request(n_repeats)


def _cold_request(n_repeats: int) -> Timing:
    import numpy as np
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "voice.wav")
        noise = np.random.default_rng(0).normal(0, 0.1, 96_000)
        soundfile.write(path, noise, 16_000)
        command = ["-c", _RECONSTRUCT, "--audio", path, "--output_dir", folder]
        runs = [timing.run_command(command) for _ in range(n_repeats)]
    times = [[float(t) for t in run.stdout.split()[-2:]] for run in runs]
    secs, imported = map(min, zip(*times))
    note = f"{min(run.memory_mb for run in runs):.0f} MB"
    return Timing("reconstruct 6 s, cold", secs, "import tensorflow", imported, note)


def _fastest(arguments: List[str], n_repeats: int, status: int = 0) -> timing.Run:
    runs = [timing.run_command(arguments, status) for _ in range(n_repeats)]
    return min(runs, key=lambda run: run.secs)


if __name__ == "__main__":
    flag_config.run(main, StartupBenchmarkOptions)
