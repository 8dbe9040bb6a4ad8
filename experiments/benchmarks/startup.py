"""Time and peak memory of the commands, each in a process of its own.

    python -m experiments.benchmarks.startup

Measures `--help` of every command, beside a Python that does nothing; and a whole
`reconstruct` of 6 s with the model that ships, from the end of `import tensorflow` on,
beside that import, which no request can do without. Of the web page, the first request
after it says that it is ready stands beside a later one.
"""

import dataclasses
import pathlib
import re
import sys
import tempfile
from collections.abc import Iterator

from experiments.benchmarks import page_requests, random_data, timing
from experiments.benchmarks.rows import Beside, Row
from experiments.benchmarks.timing import Timing
from speech2face.options import Options, option, run_command
from speech2face.paper import SAMPLE_RATE_HZ

PACKAGES = ("speech2face", "data_prep", "experiments")
_IS_COMMAND = re.compile(
    r'^if __name__ == "__main__":\n    run_command\(', re.MULTILINE
)
# What the command does, with a clock read after the import of TensorFlow.
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
class StartupBenchmarkOptions(Options):
    """Number of timed starts."""

    n_repeats: int = option(
        2,
        "Processes of each command of which the fastest counts.",
        minimum=1,
        maximum=1_000_000,
    )


def main(options: StartupBenchmarkOptions) -> None:
    """Prints the table, row by row."""
    timing.print_table(measure(options.n_repeats))


def commands() -> list[str]:
    """Every module that is a command, which is one that calls `run_command`."""
    names = []
    for package in PACKAGES:
        for path in sorted((_ROOT / package).glob("*.py")):
            if _IS_COMMAND.search(path.read_text()):
                names.append(f"{package}.{path.stem}")
    return names


def measure(n_repeats: int) -> Iterator[Timing]:
    """Times `--help` of every command, a request in a new process, and the page."""
    # No command can start faster than Python itself.
    empty = _fastest(["-c", "pass"], n_repeats).secs
    for name in commands():
        run = _fastest(["-m", name, "--help"], n_repeats)
        note = f"{run.memory_mb:.0f} MB"
        yield Timing(f"{name} --help", run.secs, "python", empty, note)
    yield _cold_request(n_repeats)
    if sys.platform == "linux":  # elsewhere nothing tells another process' time
        yield from page_requests.measure()


def _cold_request(n_repeats: int) -> Timing:
    import soundfile

    with tempfile.TemporaryDirectory() as folder:
        path = str(pathlib.Path(folder) / "voice.wav")
        soundfile.write(path, random_data.noise(1)[0], SAMPLE_RATE_HZ)
        command = ["-c", _RECONSTRUCT, "--audio", path, "--output_dir", folder]
        runs = [timing.run_command(command) for _ in range(n_repeats)]
    # The last two words are the script's; the command's own lines are before them.
    times = [[float(t) for t in run.stdout.split()[-2:]] for run in runs]
    # Each the fastest, perhaps of different processes.
    secs, imported = map(min, zip(*times))
    note = f"{min(run.memory_mb for run in runs):.0f} MB"
    floor = Beside("import of TensorFlow before it", imported)
    what = "`reconstruct` of 6 s, cold, after the import of TensorFlow"
    row = Row(what, secs, "s", floor=floor, note=note)
    beside = "import tensorflow"
    return Timing("reconstruct 6 s, cold", secs, beside, imported, note, row)


def _fastest(arguments: list[str], n_repeats: int) -> timing.Run:
    runs = [timing.run_command(arguments) for _ in range(n_repeats)]
    return min(runs, key=lambda run: run.secs)


if __name__ == "__main__":
    run_command(main, StartupBenchmarkOptions)
