"""From media to batches: each stage of a record job, and the input pipeline.

    python -m experiments.benchmarks.stages

Generates a few talking people, makes records of them in one process, and reads these.
A stage stands beside all stages together; the input pipeline (parse, decode, fit to
6 s, batch) stands beside TensorFlow reading the bare records.
"""

import dataclasses
import json
import pathlib
import subprocess
import sys
import tempfile
from typing import Iterator

from experiments.benchmarks import timing
from experiments.benchmarks.timing import Timing
from speech2face import flag_config
from speech2face.config_fields import option

N_COPIES = 64  # times the records are read, for long enough to be timed


@dataclasses.dataclass(frozen=True)
class StageBenchmarkOptions:
    """How much is generated."""

    n_people: int = option(4, "Generated people, of two clips each.")


def main(options: StageBenchmarkOptions) -> None:
    """Prints the table."""
    print(timing.to_markdown(list(measure(options.n_people))))


def measure(n_people: int) -> Iterator[Timing]:
    """Times a record job stage by stage, then the reading of its records."""
    with tempfile.TemporaryDirectory() as folder:
        people, voices = pathlib.Path(folder) / "people", pathlib.Path(folder) / "data"
        _command(
            *("data_prep.sample_people", f"--output_dir={people}"),
            *(f"--n_people={n_people}", "--clips_per_person=2"),
        )
        _command(
            *("data_prep.build_tfrecords", f"--manifest={people}/manifest.csv"),
            *(f"--output_dir={voices}", "--recognizer=dlib", "--n_workers=1"),
        )
        yield from _job_stages(voices)
        yield _input_pipeline(voices)


def _command(module: str, *flags: str) -> None:
    subprocess.run(
        [sys.executable, "-m", module, *flags], check=True, capture_output=True
    )


def _job_stages(voices: pathlib.Path) -> Iterator[Timing]:
    stages = json.loads((voices / "report.json").read_text())["stages"]
    per_clip = {
        name: stage["busy_secs"] / stage["in"] for name, stage in stages.items()
    }
    total = sum(per_clip.values())
    for name, secs in per_clip.items():
        if secs:
            yield Timing(f"records: {name} a clip", secs, "all stages", total)


def _input_pipeline(voices: pathlib.Path) -> Timing:
    import tensorflow as tf

    from speech2face import dataset_info, input_pipeline
    from speech2face.config import AudioConfig, AugmentConfig, LoopConfig

    info = dataset_info.read(voices, kind="voice")
    split = max(info.splits, key=info.n_examples)
    shards = info.shards(split) * N_COPIES
    parse = input_pipeline.voice_parser(info, AudioConfig(), AugmentConfig(), seed=0)
    batches = input_pipeline.evaluation_batches(
        *(voices, dataclasses.replace(info, splits={split: shards}), split),
        *(LoopConfig().batch_size, parse),
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
    flag_config.run(main, StageBenchmarkOptions)
