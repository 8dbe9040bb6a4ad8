"""Cost of the paper's 1.7 million clips: their records, a training on many hosts.

    python -m experiments.benchmarks.at_scale --data_dirs=data/pcm,data/flac
    python -m experiments.benchmarks.at_scale --examples_per_sec=100,1000

Of voice data sets that `data_prep.build_tfrecords` wrote on this machine, each gives a
row: the mean size of a record and the core seconds of a clip in each stage, both times
`--n_clips`. Core seconds count all threads, so other load on the machine changes them
little. The cost of rejected clips is included (docs/decisions/stage-costs.md).

For a training of n hosts, reading and the disk are measured here, and what no machine
here has (cards, a network, a store) is given by flag. It prints from how many hosts on
reading must be divided (docs/decisions/multi-worker-input.md).
"""

import dataclasses
import math
import pathlib
from typing import Any

from experiments.benchmarks import many_hosts
from experiments.benchmarks.many_hosts import SECS_A_DAY
from speech2face.data import dataset_info
from speech2face.errors import UserError
from speech2face.files import PathLike
from speech2face.json_codec import read_json
from speech2face.options import Options, option, run_command

N_CORES = 16  # a common size of machines to rent
EPOCHS = 3  # Sec. 3
N_PARAMETERS = 148_067_584  # Table 1: speech2face/models/voice_encoder.py
BYTES_A_PARAMETER = 12  # the weight and ADAM's two moments, float32


@dataclasses.dataclass(frozen=True)
class AtScaleOptions(Options):
    """Data sets to measure, and the number of clips to extrapolate to."""

    data_dirs: tuple[str, ...] = option(
        (), "Data sets of data_prep.build_tfrecords.", exists="folder"
    )
    n_clips: int = option(
        1_700_000,
        "How many clips; Sec. 4 trains with this many.",
        minimum=1,
        maximum=1_000_000_000,
    )


@dataclasses.dataclass(frozen=True)
class ManyHostsOptions(Options):
    """A training of many hosts, and the rates that cannot be measured here."""

    hosts: tuple[int, ...] = option(
        (1, 2, 4, 8, 16, 32, 64, 128),
        "Numbers of hosts, 1 or 2 rows each.",
        minimum=1,
        maximum=1_000_000,
    )
    examples_per_sec: tuple[float, ...] = option(
        (100.0,),
        "Examples that a host trains in a second, a table each. 100 take 54 TFLOP/s.",
        above=0,
        maximum=1e9,
    )
    batch_per_host: int = option(
        8, "Examples of a batch that a host takes.", minimum=1, maximum=1_000_000
    )
    save_every: int = option(
        1000, "Iterations between checkpoints.", minimum=1, maximum=1_000_000_000
    )
    network_gbit_per_sec: float = option(
        10.0, "Network of a host.", above=0, maximum=1e6
    )
    storage_gbyte_per_sec: float = option(
        10.0, "What the store gives to all hosts together.", above=0, maximum=1e6
    )
    checkpoint_gbyte_per_sec: float = option(
        0.0,
        "Rate at which the chief writes a checkpoint; 0 measures it in --folder.",
        minimum=0,
        maximum=1e6,
    )
    folder: str = option(".", "Where the disk is measured.", exists="folder")
    losses_a_day: float = option(
        1.0, "Hosts that the whole cluster loses a day.", minimum=0, maximum=1e6
    )
    restart_secs: float = option(
        300.0,
        "From the loss of a host to the first iteration after it; a silent process "
        "counts as lost after 60 s.",
        minimum=0,
        maximum=SECS_A_DAY,
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


def main(options: AtScaleOptions, many: ManyHostsOptions) -> None:
    """Prints the tables."""
    if options.data_dirs:
        print(to_markdown([measure(d) for d in options.data_dirs], options.n_clips))
    records_per_sec, record_bytes = many_hosts.measure_reading()
    bytes_per_sec = 1e9 * many.checkpoint_gbyte_per_sec
    checkpoint_bytes = N_PARAMETERS * BYTES_A_PARAMETER
    checkpoint_secs = checkpoint_bytes / (
        bytes_per_sec or many_hosts.measure_writing(many.folder)
    )
    print(
        f"reads {records_per_sec:,.0f} records/s of {record_bytes / 1e3:.1f} kB; "
        f"a checkpoint of {checkpoint_bytes / 1e9:.2f} GB takes {checkpoint_secs:.1f} s"
    )
    plan = many_hosts.Plan(
        EPOCHS * options.n_clips, many.batch_per_host, many.save_every
    )
    for examples_per_sec in many.examples_per_sec:
        rates = many_hosts.Rates(
            examples_per_sec,
            records_per_sec,
            record_bytes,
            # Networks are sold in bits, stores in bytes.
            network_bytes_per_sec=1e9 / 8 * many.network_gbit_per_sec,
            storage_bytes_per_sec=1e9 * many.storage_gbyte_per_sec,
            checkpoint_secs=checkpoint_secs,
            restart_secs=many.restart_secs,
            losses_a_day=many.losses_a_day,
        )
        print(f"\n{many_hosts.to_markdown(rates, plan, many.hosts)}")


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
    # A stage that took no time is not a column.
    stages = [name for name in costs[0].core_secs if costs[0].core_secs[name]]
    lines = [
        "| sound | kB a clip | disk, TB | core hours: "
        + " | ".join([*stages, "all"])
        + f" | days on {N_CORES} cores | machines for a day |",
        "|---" * (len(stages) + 6) + "|",
    ]
    for cost in costs:
        hours = [cost.core_secs[name] * n_clips / 3600 for name in stages]
        # As if all cores were busy all the time: clips do not wait for one another.
        days = cost.total_core_secs * n_clips / N_CORES / SECS_A_DAY
        cells = [
            cost.encoding,
            f"{cost.record_bytes / 1e3:.1f}",
            f"{cost.record_bytes * n_clips / 1e12:.2f}",
            *(f"{hour:,.0f}" for hour in [*hours, sum(hours)]),
            f"{days:.1f}",
            # As many machines as one would need days.
            f"{math.ceil(days)}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    run_command(main, AtScaleOptions, ManyHostsOptions)
