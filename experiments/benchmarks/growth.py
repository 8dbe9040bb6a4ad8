"""Growth of cost: recordings, batches, galleries, lists of clips, records, hosts.

    python -m experiments.benchmarks.growth --output_dir=docs
    python -m experiments.benchmarks.growth --curves=gallery

Measures each size in a process of its own, as seconds of processor time (which other
load changes little) and peak memory, fits time = c * size ** exponent over the sizes of
which the last is at most a hundred times as large, and draws a small figure for each
curve. An exponent of 1 is a straight line.

    recording  seconds of one recording, by the model that ships
    batch      clips of a training step, an eighth of the width
    gallery    faces in which 100 voices look for theirs, cosine
    planning   rows of a list: read, fingerprints, plan
    resuming   rows of a list of which half is finished: all of planning, compared
    inspecting records of a data set of tiny clips, by `data_prep.inspect_tfrecords`
    hosts      simulated: hours of all hosts together, each reads its own part
"""

import dataclasses
import json
import math
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.benchmarks import many_hosts, random_data, timing, training_step
from experiments.lib import plots
from speech2face.errors import UserError
from speech2face.options import Options, option, run_command
from speech2face.paper import SAMPLE_RATE_HZ

_N_QUERIES = 100
# The default of the record jobs: a work folder has a file for each chunk.
_CLIPS_PER_CHUNK = 8
_FITTED_RANGE = 100  # smaller sizes measure what does not grow, such as imports


class Point(NamedTuple):
    """Cost at one size."""

    size: float
    secs: float
    memory_gb: float


class Curve(NamedTuple):
    """A quantity that grows, its sizes, and the function that measures one of them."""

    title: str
    size_title: str
    sizes: tuple[float, ...]
    measure: Callable[[int], float]  # -> seconds


@dataclasses.dataclass(frozen=True)
class GrowthOptions(Options):
    """Curves to measure, and the folder of their figures."""

    curves: tuple[str, ...] = option((), "Which are measured; all by default.")
    largest: float = option(
        1e9, "Larger sizes are left out: hours become minutes.", minimum=1, maximum=1e9
    )
    output_dir: str = option("benchmarks", "Folder for growth_*.png.")
    size: int = option(
        0, "Measure this size of the first curve here.", minimum=0, maximum=10**9
    )


def main(options: GrowthOptions) -> None:
    """Prints a table of all points, and draws the curves."""
    names = options.curves or tuple(CURVES)
    if unknown := set(names) - set(CURVES):
        raise UserError(f"--curves={min(unknown)}: choose from {', '.join(CURVES)}")
    if options.size:
        print(json.dumps(_measure_here(names[0], options.size)))
        return
    print("| what | size | s | memory, GB | exponent |\n|---|---|---|---|---|")
    for name in names:
        points = list(_points(name, options.largest))
        for point in points:
            is_last = point is points[-1]
            steepness = f"{exponent(points):.2f}" if is_last else ""
            memory = f"{point.memory_gb:.2f}" if point.memory_gb else ""
            print(
                f"| {CURVES[name].title} | {point.size:,.0f} | {point.secs:,.2f} "
                f"| {memory} | {steepness} |",
                flush=True,
            )
        folder = pathlib.Path(options.output_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"growth_{name}.png").write_bytes(draw(CURVES[name], points))


def exponent(points: Sequence[Point]) -> float:
    """Slope of the seconds over the sizes, both logarithmic, at the large sizes."""
    largest = points[-1].size
    if len(points) < 2:
        return math.nan
    fitted = [p for p in points if p.size * _FITTED_RANGE >= largest]
    sizes, secs = np.log([p.size for p in fitted]), np.log([p.secs for p in fitted])
    return float(np.polyfit(sizes, secs, 1)[0])


def draw(curve: Curve, points: Sequence[Point]) -> bytes:
    """A small figure: time and memory over the size, beside a straight line."""
    figure = plots.figure(4.0, 3.0)
    axes = figure.subplots()
    sizes = np.array([point.size for point in points])
    secs = [point.secs for point in points]
    axes.loglog(sizes, secs, "o-", color=plots.OURS, label="seconds")
    # Through the largest size, where the curve should end on it.
    line = secs[-1] * sizes / sizes[-1]
    axes.loglog(sizes, line, ":", color=plots.CHANCE, label="a straight line")
    if all(point.memory_gb for point in points):
        memory = [point.memory_gb for point in points]
        axes.loglog(sizes, memory, "s--", color=plots.PAPER, label="GB of memory")
    axes.set_title(f"{curve.title}: exponent {exponent(points):.2f}", fontsize=9)
    axes.set_xlabel(curve.size_title, fontsize=8)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=7)
    return plots.to_png(figure)


def _points(name: str, largest: float) -> Iterator[Point]:
    curve = CURVES[name]
    print(f"{curve.title}:", file=sys.stderr, flush=True)
    for size in curve.sizes:
        if size > largest:
            continue
        if name == "hosts":  # computed, without a process or memory of its own
            point = Point(size, curve.measure(int(size)), 0.0)
        else:
            flags = {"curves": name, "size": int(size)}
            module = "experiments.benchmarks.growth"
            point = Point(
                size, **timing.measure_in_process(f"{size:,.0f}", module, flags)
            )
        print(f"  {size:,.0f}: {point.secs:.2f} s", file=sys.stderr, flush=True)
        yield point


def _measure_here(name: str, size: int) -> dict[str, Any]:
    secs = CURVES[name].measure(size)
    peak = timing.peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
    return {"secs": secs, "memory_gb": peak / 1e9}


def _processor_secs(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def _recording(secs: int) -> float:
    import soundfile

    from speech2face import Speech2Face
    from speech2face.audio.recordings import SoundFile

    model = Speech2Face.load()
    second = random_data.noise(1)[0][:SAMPLE_RATE_HZ]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "long.wav"
        with soundfile.SoundFile(path, "w", SAMPLE_RATE_HZ, 1) as file:
            # One second again and again: an hour of noise need not be in memory.
            for _ in range(secs):
                file.write(second)
        model.voice_features([SoundFile(path)])  # loads and traces
        return _processor_secs(lambda: model.voice_features([SoundFile(path)]))


def _batch(batch_size: int) -> float:
    options = training_step.TrainingStepOptions(
        width=0.125, batch_size=batch_size, side="ours", n_steps=2
    )
    return training_step.measure(options)["cpu_secs"]


def _gallery(n_faces: int) -> float:
    from experiments.benchmarks import retrieval
    from speech2face.metrics import neighbors

    random = np.random.default_rng(1)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "gallery.npy"
        retrieval.write_gallery(path, n_faces)
        gallery = np.load(path, mmap_mode="r")
        true = random.integers(0, n_faces, _N_QUERIES)
        # Nearer to its face than to others, as the features of a trained model are.
        queries = gallery[true] + random.normal(size=(_N_QUERIES, retrieval.DIM))

        def search() -> None:
            neighbors.ranks(queries.astype(np.float32), gallery, true, "cos")

        search()
        # A small gallery takes milliseconds, of which the fastest of many counts.
        repeats = max(1, 100_000 // n_faces)
        return min(_processor_secs(search) for _ in range(repeats))


def _write_list(path: pathlib.Path, n_rows: int) -> None:
    """A list of segments, nine of a video."""
    with path.open("w") as file:
        file.write("clip_id,speaker_id,media,face,start_secs,end_secs\n")
        for row in range(n_rows):
            video = f"video{row // 9:07d}"
            start = row % 9 * 6
            file.write(
                f"{video}_{start},{video},{video}.mp4,{video}.jpg,{start},{start + 6}\n"
            )


def _plan(folder: pathlib.Path) -> Any:
    """From the list to a work folder that is ready for the first clip."""
    from data_prep.clips import manifest
    from data_prep.jobs import voice
    from data_prep.stages import same_job, work_folder

    clips = manifest.read_manifest(folder / "list.csv")
    job = {"kind": "voice", **same_job.identity_of(clips)}
    work = work_folder.WorkFolder(folder / ".work")
    work.start(job, voice.plan_by_clip(clips, _CLIPS_PER_CHUNK))
    return work


def _planning(n_rows: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _write_list(folder / "list.csv", n_rows)
        return _processor_secs(lambda: _plan(folder))


def _resuming(n_rows: int) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        _write_list(folder / "list.csv", n_rows)
        _plan(folder)
        # Every second chunk is finished: an empty file says so.
        for chunk in range(0, n_rows // _CLIPS_PER_CHUNK, 2):
            (folder / f".work/done/{chunk:08d}.chunk").touch()
        return _processor_secs(lambda: sum(1 for _ in _plan(folder).pending()))


def _inspecting(n_records: int) -> float:
    from data_prep.jobs import inspection

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        random_data.write_tiny_records(folder, n_records)
        inspection.inspect(folder)  # loads what it needs
        return _processor_secs(lambda: inspection.inspect(folder))


def _hosts(n_hosts: int) -> float:
    """Seconds of all hosts together, with the defaults of `at_scale`."""
    rates = many_hosts.Rates(
        examples_per_sec=100.0,
        # Measured by `at_scale` on two cores: docs/performance.md.
        records_per_sec=1_400.0,
        record_bytes=208_600.0,
        network_bytes_per_sec=10e9 / 8,
        storage_bytes_per_sec=10e9,
        checkpoint_secs=2.7,
        restart_secs=300.0,
        losses_a_day=1.0,
    )
    plan = many_hosts.Plan(3 * 1_700_000, batch_per_host=8, save_every=1_000)
    runs = [
        many_hosts.simulate(rates, plan, n_hosts, "own", seed) for seed in range(20)
    ]
    days = float(np.mean([run.days for run in runs]))
    return days * many_hosts.SECS_A_DAY * n_hosts


CURVES = {
    "recording": Curve("A recording", "seconds", (6, 60, 600, 3_600), _recording),
    "batch": Curve("A training step", "clips", (1, 2, 4, 8, 16, 32), _batch),
    "gallery": Curve(
        "100 voices in a gallery", "faces", (1e3, 1e4, 1e5, 1e6), _gallery
    ),
    "planning": Curve(
        "Planning a job", "clips", (1e3, 1e4, 1e5, 5e5, 2.6e6), _planning
    ),
    "resuming": Curve(
        "Resuming a job", "clips", (1e3, 1e4, 1e5, 5e5, 2.6e6), _resuming
    ),
    "inspecting": Curve("Inspecting records", "records", (1e3, 1e4, 1e5), _inspecting),
    "hosts": Curve(
        "All hosts together", "hosts", (1, 2, 4, 8, 16, 32, 64, 128, 256), _hosts
    ),
}


if __name__ == "__main__":
    run_command(main, GrowthOptions)
