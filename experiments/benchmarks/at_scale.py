"""What the paper's 1.7 million clips take, from a small data set that was built here.

    python -m experiments.benchmarks.at_scale --data_dirs=data/pcm,data/flac

Each data set gives a row: the mean size of a record, and the core seconds of each stage
a clip (of all threads, so a busy machine does not change them much), both multiplied.
A clip that was rejected counts with what it cost.
"""

import dataclasses
import json
import math
import pathlib
from typing import Dict, List, Tuple

from speech2face import flag_config
from speech2face.config_fields import option, required

N_CORES = 16
SECS_A_DAY = 86_400


@dataclasses.dataclass(frozen=True)
class AtScaleOptions:
    """What was measured, and what for."""

    data_dirs: Tuple[str, ...] = required("Data sets of data_prep.build_tfrecords.")
    n_clips: int = option(1_700_000, "How many clips; Sec. 4 trains with so many.")


@dataclasses.dataclass(frozen=True)
class Cost:
    """A clip's share of a data set, and of the work that made it."""

    encoding: str
    record_bytes: float
    core_secs: Dict[str, float]  # by stage

    @property
    def total_core_secs(self) -> float:
        """Of all stages."""
        return sum(self.core_secs.values())


def main(options: AtScaleOptions) -> None:
    """Prints the table."""
    print(to_markdown([measure(d) for d in options.data_dirs], options.n_clips))


def measure(data_dir: str) -> Cost:
    """The mean cost of a clip of a voice data set.

    Raises:
      FileNotFoundError, ValueError: it is none, or has no report.
    """
    from speech2face import dataset_info

    folder = pathlib.Path(data_dir)
    info = dataset_info.read(folder, kind="voice")
    shards = [shard for split in info.splits for shard in info.shards(split)]
    n_bytes = sum((folder / shard.name).stat().st_size for shard in shards)
    report = json.loads((folder / "report.json").read_text())
    return Cost(
        encoding=info.config["audio_encoding"],
        record_bytes=n_bytes / sum(shard.n_examples for shard in shards),
        core_secs={
            name: stage["core_secs"] / report["clips"]
            for name, stage in report["stages"].items()
        },
    )


def to_markdown(costs: List[Cost], n_clips: int) -> str:
    """The table: a data set a row."""
    stages = [name for name in costs[0].core_secs if costs[0].core_secs[name]]
    lines = [
        "| sound | kB a clip | disk, TB | core hours: "
        + " | ".join([*stages, "all"])
        + f" | days on {N_CORES} cores | machines for a day |",
        "|---" * (len(stages) + 6) + "|",
    ]
    for cost in costs:
        hours = [cost.core_secs[name] * n_clips / 3600 for name in stages]
        days = cost.total_core_secs * n_clips / N_CORES / SECS_A_DAY
        cells = [
            cost.encoding,
            f"{cost.record_bytes / 1e3:.1f}",
            f"{cost.record_bytes * n_clips / 1e12:.2f}",
            *(f"{hour:,.0f}" for hour in [*hours, sum(hours)]),
            f"{days:.1f}",
            f"{math.ceil(days)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    flag_config.run(main, AtScaleOptions)
