"""From media to batches: each stage of a record job, then the input pipeline.

    python -m experiments.benchmarks.stages
    python -m experiments.benchmarks.stages --n_people=20

Generates a few talking people, makes records of them in one process, and reads these.
Measures the core seconds per clip of each stage, those of all its threads, relative to
all stages together. Then measures the seconds per example of the input pipeline (parse,
decode, fit to 6 s, batch), relative to TensorFlow reading the records without parsing
them.
"""

import dataclasses
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face.config import AudioConfig, AugmentConfig, LoopConfig
from speech2face.json_codec import read_json
from speech2face.options import Options, option, run_command

N_COPIES = 64  # times the few records are read, so that it takes long enough to time


@dataclasses.dataclass(frozen=True)
class StageBenchmarkOptions(Options):
    """Amount of data to generate."""

    n_people: int = option(
        4, "Generated people, of two clips each.", minimum=3, maximum=1_000_000
    )


def main(options: StageBenchmarkOptions) -> None:
    """Prints the table, row by row."""
    timing.print_table(measure(options.n_people))


def measure(n_people: int) -> Iterator[Timing]:
    """Times a record job stage by stage, then the reading of its records."""
    with tempfile.TemporaryDirectory() as folder:
        people, voices = pathlib.Path(folder) / "people", pathlib.Path(folder) / "data"
        _command(
            "data_prep.sample_people",
            f"--output_dir={people}",
            f"--n_people={n_people}",
            "--clips_per_person=2",
            "--n_silent_people=0",
        )
        _command(
            "data_prep.build_tfrecords",
            f"--manifest={people}/manifest.csv",
            f"--output_dir={voices}",
            "--recognizer=dlib",
            "--n_workers=1",  # stages that share cores would time each other
        )
        yield from _job_stages(voices)
        yield _input_pipeline(voices)


def _command(module: str, *flags: str) -> None:
    subprocess.run(
        [sys.executable, "-m", module, *flags], check=True, capture_output=True
    )


def _job_stages(voices: pathlib.Path) -> Iterator[Timing]:
    stages = read_json(voices / "report.json")["stages"]
    per_clip = {
        # Of the clips that came into the stage: earlier ones reject some.
        name: stage["core_secs"] / stage["in"]
        for name, stage in stages.items()
    }
    total = sum(per_clip.values())
    for name, secs in per_clip.items():
        if secs:
            yield Timing(f"records: {name} a clip", secs, "all stages", total)


def _input_pipeline(voices: pathlib.Path) -> Timing:
    import tensorflow as tf

    from speech2face.data import dataset_info, input_pipeline

    info = dataset_info.read(voices, kind="voice")
    split = max(info.splits, key=info.n_examples)
    shards = info.shards(split) * N_COPIES
    parse = input_pipeline.voice_parser(info, AudioConfig(), AugmentConfig(), seed=0)
    repeated = dataclasses.replace(info, splits={split: shards})
    # In order and unshuffled, as the bare records are read beside it.
    batches = input_pipeline.evaluation_batches(
        voices, repeated, split, LoopConfig().batch_size, parse
    )
    bare = tf.data.TFRecordDataset([str(voices / shard.name) for shard in shards])
    secs = timing.fastest(
        {
            "ours": lambda: batches.reduce(0, lambda n, _: n + 1).numpy(),
            "bare": lambda: bare.reduce(0, lambda n, _: n + 1).numpy(),
        },
        3,
    )
    n = sum(shard.n_examples for shard in shards)
    return Timing(
        "input pipeline, an example of 6 s",
        secs["ours"] / n,
        "bare records",
        secs["bare"] / n,
        f"{n / secs['ours']:,.0f} examples/s",
    )


if __name__ == "__main__":
    run_command(main, StageBenchmarkOptions)
