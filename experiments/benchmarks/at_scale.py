"""Cost of the paper's 1.7 million clips, extrapolated from a small data set.

    python -m experiments.benchmarks.at_scale --data_dirs=data/pcm,data/flac

Reads voice data sets that `data_prep.build_tfrecords` wrote on this machine, and
measures nothing itself. Each gives a row: the mean size of a record and the core
seconds of a clip in each stage, both times `--n_clips`. Core seconds count all threads,
so other load on the machine changes them little. The cost of rejected clips is included
(docs/decisions/stage-costs.md).
"""

import dataclasses
import math
import pathlib
from typing import Any

from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import read_json
from speech2face.options import Options, option, required, run_command

N_CORES = 16  # a common size of machines to rent
SECS_A_DAY = 86_400


@dataclasses.dataclass(frozen=True)
class AtScaleOptions(Options):
    """Which data sets, and how many clips to extrapolate to."""

    data_dirs: tuple[str, ...] = required(
        "Data sets of data_prep.build_tfrecords.", exists="folder"
    )
    n_clips: int = option(
        1_700_000,
        "How many clips; Sec. 4 trains with this many.",
        minimum=1,
        maximum=1_000_000_000,
    )


@dataclasses.dataclass(frozen=True)
class Cost:
    """A clip's share of a data set, and of the work that made it."""

    encoding: str
    record_bytes: float
    core_secs: dict[str, float]  # by stage

    @property
    def total_core_secs(self) -> float:
        """Core seconds of a clip in all stages."""
        return sum(self.core_secs.values())


def main(options: AtScaleOptions) -> None:
    """Prints the table."""
    print(to_markdown([measure(d) for d in options.data_dirs], options.n_clips))


def measure(data_dir: PathLike) -> Cost:
    """The mean cost of a clip of a voice data set.

    Raises:
      FileNotFoundError: the folder has no dataset.json or no report.json.
      UserError: one of these is not what data_prep.build_tfrecords writes.
    """
    folder = pathlib.Path(data_dir)
    info = dataset_info.read(folder, kind="voice")
    shards = [shard for split in info.splits for shard in info.shards(split)]
    n_bytes = sum((folder / shard.name).stat().st_size for shard in shards)
    report = _read_report(folder / "report.json")
    return Cost(
        encoding=info.config["audio_encoding"],
        record_bytes=n_bytes / sum(shard.n_examples for shard in shards),
        core_secs={
            # Divided by all clips: the rejected ones have cost their share, too.
            name: stage["core_secs"] / report["clips"]
            for name, stage in report["stages"].items()
        },
    )


def _read_report(path: pathlib.Path) -> dict[str, Any]:
    report = read_json(path, dict[str, Any])
    if not {"clips", "stages"} <= set(report):
        raise UserError(f"{path} has no 'clips' and 'stages'; build the data set again")
    return report


def to_markdown(costs: list[Cost], n_clips: int) -> str:
    """The table, one row for each data set."""
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
    run_command(main, AtScaleOptions)
