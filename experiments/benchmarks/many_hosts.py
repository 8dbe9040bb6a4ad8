"""Cost of a training on many hosts: reading, checkpoints, hosts that are lost.

Nothing here runs on many hosts: times follow from rates of one host, which
`experiments.benchmarks.at_scale` measures or takes from its flags.
"""

import dataclasses
import math
import os
import pathlib
import tempfile
import time
from typing import Literal

import numpy as np

from speech2face.errors import UserError

SECS_A_DAY = 86_400
SHARDS_PER_GROUP = 16  # of a reader: speech2face.data.record_stream
_MB = 1e6
_WRITTEN_MB = 256
_N_RECORDS = 1024

Rule = Literal["all", "own"]  # what a host reads: all records, or its own part


@dataclasses.dataclass(frozen=True)
class Rates:
    """Rates of one host, and of what all hosts share.

    Attributes:
      examples_per_sec: rate at which a host trains.
      records_per_sec: rate at which a host reads records from memory and shuffles them,
        without parsing.
      record_bytes: size of a record.
      network_bytes_per_sec: rate of a host's network.
      storage_bytes_per_sec: rate of the store, for all hosts together.
      checkpoint_secs: seconds that all hosts wait while the chief writes.
      restart_secs: seconds from the loss of a host to the first iteration after it.
      losses_a_day: mean number of hosts that the whole cluster loses in a day.
    """

    examples_per_sec: float
    records_per_sec: float
    record_bytes: float
    network_bytes_per_sec: float
    storage_bytes_per_sec: float
    checkpoint_secs: float
    restart_secs: float
    losses_a_day: float


@dataclasses.dataclass(frozen=True)
class Plan:
    """A training: each of its hosts takes `batch_per_host` examples of a batch."""

    n_examples: int
    batch_per_host: int
    save_every: int


@dataclasses.dataclass(frozen=True)
class Iteration:
    """Seconds of an iteration: it reads beside training, so the longer counts."""

    training_secs: float
    reading_secs: float

    @property
    def secs(self) -> float:
        """Seconds that the iteration takes."""
        return max(self.training_secs, self.reading_secs)


def iteration(rates: Rates, plan: Plan, n_hosts: int, rule: Rule) -> Iteration:
    """One iteration of `n_hosts`.

    A reader's part of a group begins inside a shard, half of which it skips on average:
    1 record in 32 more.

    Args:
      rates: rates of a host, and of what all share.
      plan: batch, checkpoints, examples.
      n_hosts: how many train together.
      rule: what each of them reads.
    """
    n_read = float(plan.batch_per_host)
    if rule == "all":
        n_read *= n_hosts
    elif n_hosts > 1:
        n_read *= 1 + 1 / (2 * SHARDS_PER_GROUP)
    n_bytes = n_read * rates.record_bytes
    return Iteration(
        plan.batch_per_host / rates.examples_per_sec,
        max(
            n_read / rates.records_per_sec,
            n_bytes / rates.network_bytes_per_sec,
            n_bytes * n_hosts / rates.storage_bytes_per_sec,
        ),
    )


def last_without_waiting(rates: Rates, plan: Plan, rule: Rule) -> int:
    """The largest number of hosts whose reading is not longer than their training.

    Args:
      rates: rates of a host, and of what all share.
      plan: batch, checkpoints, examples.
      rule: what each host reads.
    """

    def waits(n_hosts: int) -> bool:
        of_n = iteration(rates, plan, n_hosts, rule)
        return of_n.reading_secs > of_n.training_secs

    if waits(1):
        return 0
    above = 2
    while not waits(above):
        above *= 2
        # Reading never holds it up: a billion hosts are no limit in practice.
        if above > 1 << 30:
            return above
    # Bisection: `below` hosts do not wait, `above` hosts do.
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (below, middle) if waits(middle) else (middle, above)
    return below


@dataclasses.dataclass(frozen=True)
class Training:
    """Duration of a simulated training, and its lost time.

    Attributes:
      days: days from start to end.
      saving: days that the hosts wait for checkpoints.
      lost: days of iterations that are repeated, and of restarts.
      n_losses: how many hosts were lost.
    """

    days: float
    saving: float
    lost: float
    n_losses: int


def simulate(
    rates: Rates, plan: Plan, n_hosts: int, rule: Rule, seed: int = 0
) -> Training:
    """Runs through a training in which hosts are lost at random times.

    All hosts then go back to the last checkpoint.

    Args:
      rates: rates of a host, and of what all share.
      plan: batch, checkpoints, examples.
      n_hosts: how many train together.
      rule: what each of them reads.
      seed: seed of the times at which hosts are lost.

    Raises:
      UserError: hardly any checkpoint would be reached before the next loss.
    """
    n_iterations = math.ceil(plan.n_examples / (plan.batch_per_host * n_hosts))
    step_secs = iteration(rates, plan, n_hosts, rule).secs
    between_losses = SECS_A_DAY / rates.losses_a_day if rates.losses_a_day else math.inf
    between_saves = plan.save_every * step_secs + rates.checkpoint_secs
    if between_saves > 5 * between_losses:  # 1 of 150 intervals has no loss
        raise UserError(
            f"a checkpoint comes every {between_saves:,.0f} s, and a host is lost "
            f"every {between_losses:,.0f} s: lower --save_every"
        )
    random = np.random.default_rng(seed)

    def next_loss(now: float) -> float:
        if not rates.losses_a_day:
            return math.inf
        # Losses are independent of one another, so the time between them is
        # exponential.
        return now + random.exponential(between_losses)

    now, saved, saving, n_losses = 0.0, 0, 0.0, 0
    loss_at = next_loss(now)
    while saved < n_iterations:
        n = min(plan.save_every, n_iterations - saved)
        end = now + n * step_secs + rates.checkpoint_secs
        if end <= loss_at:
            now, saved, saving = end, saved + n, saving + rates.checkpoint_secs
        else:
            n_losses += 1
            # All iterations since the last checkpoint are lost with the host.
            now = loss_at + rates.restart_secs
            loss_at = next_loss(now)
    # What is neither saving nor the iterations, each counted once.
    lost = now - saving - n_iterations * step_secs
    return Training(now / SECS_A_DAY, saving / SECS_A_DAY, lost / SECS_A_DAY, n_losses)


def to_markdown(rates: Rates, plan: Plan, hosts: tuple[int, ...]) -> str:
    """A row for each number of hosts and rule, and from where reading costs time.

    Hours are the mean of twenty trainings, which lose hosts at other times.

    Args:
      rates: rates of a host, and of what all share.
      plan: batch, checkpoints, examples.
      hosts: the numbers of hosts.
    """
    lines = [
        "| hosts | each reads | trains, ms an iteration | reads, ms | MB/s a host "
        "| GB/s of the store | waits for records | hours | saving, % | lost hosts, % |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for n in hosts:
        for rule in ("all", "own") if n > 1 else ("all",):
            of_n = iteration(rates, plan, n, rule)
            n_read = plan.batch_per_host * (n if rule == "all" else 1)
            rate = n_read * rates.record_bytes / of_n.secs
            trainings = [simulate(rates, plan, n, rule, seed) for seed in range(20)]
            days, saving, lost = np.mean(
                [(one.days, one.saving, one.lost) for one in trainings], axis=0
            )
            cells = [
                f"{n}",
                "all records" if rule == "all" else "its own part",
                f"{1e3 * of_n.training_secs:,.1f}",
                f"{1e3 * of_n.reading_secs:,.1f}",
                f"{rate / _MB:,.0f}",
                f"{n * rate / 1e9:,.2f}",
                f"{100 * (1 - of_n.training_secs / of_n.secs):.0f} %",
                f"{24 * days:.2f}",
                f"{100 * saving / days:.1f}",
                f"{100 * max(lost, 0) / days:.1f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    all_records, own_part = (
        last_without_waiting(rates, plan, rule) for rule in ("all", "own")
    )
    lines += [
        "",
        f"At {rates.examples_per_sec:,.0f} examples/s a host, the most hosts that do "
        f"not wait for records: {all_records:,} if each reads all of them; "
        f"{own_part:,} if each reads its own part (--n_readers).",
    ]
    return "\n".join(lines)


def measure_reading() -> tuple[float, float]:
    """Reads generated records of the paper's size, one of 64 shares of each batch.

    Returns:
      Records a second that pass, from memory, and the bytes of a record.
    """
    from experiments.benchmarks import random_data
    from speech2face import paper
    from speech2face.config import LoopConfig
    from speech2face.data.damaged_shards import Damage
    from speech2face.data.record_stream import BatchShare, records_of_share

    n_epochs = 8
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        info = random_data.write_records(folder, paper.VGG_FACE_FEATURE_DIM, _N_RECORDS)
        n_bytes = sum((folder / s.name).stat().st_size for s in info.shards("train"))
        loop = LoopConfig(batch_size=64, epochs=n_epochs, shuffle_buffer=256)
        # The last share: all records before it in a batch are skipped.
        share = BatchShare(63, 64, 64)
        stream = iter(records_of_share(folder, info, loop, 0, share, Damage()))
        next(stream)  # starts its threads, and fills the buffer
        start = time.perf_counter()
        n_batches = sum(1 for _ in stream)
        secs = time.perf_counter() - start
    return 64 * n_batches / secs, n_bytes / _N_RECORDS


def measure_writing(folder: str) -> float:
    """Returns bytes a second with which a file is written to the disk of `folder`."""
    # Random: a file system that compresses would write zeros too fast.
    block = np.random.default_rng(0).bytes(1 << 20)
    with tempfile.TemporaryFile(dir=folder) as file:
        start = time.perf_counter()
        for _ in range(_WRITTEN_MB):
            file.write(block)
        file.flush()
        # To the disk, not only into the system's memory.
        os.fsync(file.fileno())
        return _WRITTEN_MB * len(block) / (time.perf_counter() - start)
