"""The input pipeline alone, on one core and more, beside the demand of a training step.

    python -m experiments.benchmarks.input_pipeline
    python -m experiments.benchmarks.input_pipeline --cores=1,2,4,8

Reads, shuffles, parses and batches records of 6 s as a training does, in a process for
each number of cores. Measures records a second, without augmentation (mostly copying
bytes) and with every augmentation at once (mostly arithmetic).

The demand is an upper bound: no step consumes records faster than a matrix product of
as many multiplications, at the rate measured in the same process. The pipeline is at
least that many times faster than a training of paper size on this machine. Opening a
shard takes as long as reading several records, so a shard should hold many more.

Needs Linux: no other system lets a process choose its cores.
"""

import dataclasses
import json
import os
import pathlib
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import random_data, rows, timing, training_step
from experiments.benchmarks.rows import Beside, Row
from speech2face.config import AudioConfig, AugmentConfig, LoopConfig
from speech2face.errors import UserError
from speech2face.messages import counted
from speech2face.options import Options, option, run_command

# Each option at a strength that a training might use; all at once is the worst case.
_AUGMENTED: dict[str, dict[str, Any]] = {
    "as they are": {},
    "augmented": {
        "random_window": True,
        "gain_db": 6.0,
        "speed": 0.3,
        "noise_snr_db": 15.0,
        "reverb_secs": 0.3,
        "band_limit_hz": 3400.0,
    },
}
_FEWER_AUGMENTED = 16  # times fewer records are read: each takes so much longer


@dataclasses.dataclass(frozen=True)
class InputPipelineOptions(Options):
    """Amount of data to read, and the numbers of cores."""

    cores: tuple[int, ...] = option(
        (1, 2), "Numbers of cores, one row each.", minimum=1, maximum=1024
    )
    n_records: int = option(
        1024, "Records of the data set, in 16 shards.", minimum=1, maximum=1_000_000_000
    )
    n_read: int = option(
        8192, "Records read each time.", minimum=1, maximum=1_000_000_000
    )
    is_child: bool = option(False, "Measure in this process, on the first of `cores`.")


def main(options: InputPipelineOptions) -> None:
    """Prints the table, or the measurements for one number of cores as JSON."""
    if not hasattr(os, "sched_setaffinity"):
        raise UserError("this benchmark needs Linux, where a process chooses its cores")
    if options.is_child:
        print(json.dumps(measure(options)))
    else:
        rates = [_in_process(options, n) for n in options.cores]
        print(report(rates))
        rows.show(head_rows(rates[0]))


def report(rows: Sequence[Mapping[str, float]]) -> str:
    """Two rows for each number of cores."""
    lines = [
        "| cores | | records/s | of the first row's "
        "| a step at the matrix product's rate | times faster |",
        "|---|---|---|---|---|---|",
    ]
    for name in _AUGMENTED:
        for row in rows:
            per_sec = row[name]
            lines.append(
                f"| {row['cores']} | {name} | {per_sec:,.0f} "
                f"| {per_sec / rows[0][name]:.2f} "
                f"| {row['consumed_per_sec']:.2f} records/s "
                f"| {per_sec / row['consumed_per_sec']:,.0f} |"
            )
    return "\n".join(lines) + "\n"


def head_rows(rates: Mapping[str, float]) -> list[Row]:
    """The rows of the table at the head of benchmarks.md.

    Here the twin is a bare reader of the same files.
    """
    return [
        Row(
            f"input pipeline, {rates['cores']} core, {name}",
            rates[name],
            "records/s",
            Beside("records not parsed", rates["bare"]),
            note=f"a step consumes {rates['consumed_per_sec']:.2f} a second at most",
        )
        for name in _AUGMENTED
    ]


def measure(options: InputPipelineOptions) -> dict[str, float]:
    """Measures on the first `cores` cores, which this process is bound to from now."""
    n_cores = options.cores[0]
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:n_cores])
    step = training_step.TrainingStepOptions()  # of paper size
    product, product_operations = timing.matrix_product()
    product_secs = timing.fastest({"product": product}, 5)["product"]
    n_operations = training_step.n_operations(step)
    rates = {
        name: _records_per_sec(options, step, changes)
        for name, changes in _AUGMENTED.items()
    }
    return {
        "cores": n_cores,
        **rates,
        "bare": _bare_records_per_sec(options, step),
        # Examples a second, if a step were nothing but matrix products.
        "consumed_per_sec": product_operations / product_secs / n_operations,
    }


def _records_per_sec(
    options: InputPipelineOptions,
    step: training_step.TrainingStepOptions,
    changes: dict[str, Any],
) -> float:
    from speech2face.data import input_pipeline

    n_read = options.n_read // (_FEWER_AUGMENTED if changes else 1)
    loop = LoopConfig(batch_size=step.batch_size, epochs=n_read / options.n_records)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        info = random_data.write_records(folder, step.feature_dim, options.n_records)
        augment = AugmentConfig(**changes)
        parse = input_pipeline.voice_parser(info, AudioConfig(), augment, 0)
        batches = iter(input_pipeline.training_batches(folder, info, loop, parse))
        next(batches)  # starts its threads
        start = time.perf_counter()
        n_batches = sum(1 for _ in batches)
        return n_batches * step.batch_size / (time.perf_counter() - start)


def _bare_records_per_sec(
    options: InputPipelineOptions, step: training_step.TrainingStepOptions
) -> float:
    """The rate at which TensorFlow reads the records in order, without parsing them."""
    import tensorflow as tf

    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        random_data.write_records(folder, step.feature_dim, options.n_records)
        files = sorted(str(path) for path in folder.glob("*.tfrecord*"))
        dataset = tf.data.TFRecordDataset(files).repeat(4)
        n_records = dataset.reduce(0, lambda n, _: n + 1)  # fills the page cache
        start = time.perf_counter()
        n_records = int(dataset.reduce(0, lambda n, _: n + 1))
        return n_records / (time.perf_counter() - start)


def _in_process(options: InputPipelineOptions, n_cores: int) -> dict[str, float]:
    """Measures in a new process, because TensorFlow sizes its thread pools once."""
    flags = {
        "cores": n_cores,
        "n_records": options.n_records,
        "n_read": options.n_read,
        "is_child": True,
    }
    module = "experiments.benchmarks.input_pipeline"
    return timing.measure_in_process(counted(n_cores, "core"), module, flags)


if __name__ == "__main__":
    run_command(main, InputPipelineOptions)
