"""The input pipeline alone, on one core and on more, beside what a step consumes.

    python -m experiments.benchmarks.input_pipeline

Reads, shuffles, parses and batches records of 6 s as a training does, in a process
for each number of cores: as they are, which is mostly moving bytes, and with all the
augmentations that train the compact Table 1, which is mostly arithmetic. No step can
consume faster than its multiplications take in a matrix product of the same process,
so how many times faster the pipeline is than that is the least it is faster than a
training of paper size on this machine. To open a shard takes as long as to read several
records, so a shard should hold many times more.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Any, Dict, List, Tuple

from experiments.benchmarks import material, timing, training_step
from speech2face import flag_config
from speech2face.config_fields import option

_AUGMENTED: Dict[str, Dict[str, Any]] = {
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
_FEWER_AUGMENTED = 16  # times fewer are read: each takes so much longer


@dataclasses.dataclass(frozen=True)
class InputPipelineOptions:
    """What is timed."""

    cores: Tuple[int, ...] = option((1, 2), "Numbers of cores, one row each.")
    n_records: int = option(1024, "Records of the data set, in 16 shards.")
    n_read: int = option(8192, "Records read each time.")
    is_child: bool = option(False, "Measure in this process, on the first of `cores`.")


def main(options: InputPipelineOptions) -> None:
    """Prints the table, or of one number of cores its measurements as JSON."""
    if options.is_child:
        print(json.dumps(measure(options)))
    else:
        print(report([_in_process(options, n) for n in options.cores]))


def report(rows: List[dict]) -> str:
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


def measure(options: InputPipelineOptions) -> dict:
    """Measures on the first `cores` cores of this process, which it takes for good."""
    n_cores = options.cores[0]
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:n_cores])
    paper = training_step.TrainingStepOptions()
    product, product_operations = timing.matrix_product()
    product_secs = timing.fastest({"product": product}, 5)["product"]
    n_operations = training_step.n_operations(paper)
    return {
        "cores": n_cores,
        **{
            name: _records_per_sec(options, paper, changes)
            for name, changes in _AUGMENTED.items()
        },
        "consumed_per_sec": product_operations / product_secs / n_operations,
    }


def _records_per_sec(
    options: InputPipelineOptions,
    paper: training_step.TrainingStepOptions,
    changes: Dict[str, Any],
) -> float:
    from speech2face import input_pipeline
    from speech2face.config import AudioConfig, AugmentConfig, LoopConfig

    n_read = options.n_read // (_FEWER_AUGMENTED if changes else 1)
    loop = LoopConfig(batch_size=paper.batch_size, epochs=n_read / options.n_records)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        info = material.write_records(folder, paper.feature_dim, options.n_records)
        augment = AugmentConfig(**changes)
        parse = input_pipeline.voice_parser(info, AudioConfig(), augment, 0)
        batches = iter(input_pipeline.training_batches(folder, info, loop, parse))
        next(batches)  # starts its threads
        start = time.perf_counter()
        n_batches = sum(1 for _ in batches)
        return n_batches * paper.batch_size / (time.perf_counter() - start)


def _in_process(options: InputPipelineOptions, n_cores: int) -> dict:
    command = [sys.executable, "-m", "experiments.benchmarks.input_pipeline"]
    command += [f"--cores={n_cores}", f"--n_records={options.n_records}"]
    command += [f"--n_read={options.n_read}", "--is_child"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise ValueError(f"the measurement on {n_cores} cores failed; see above")
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    flag_config.run(main, InputPipelineOptions)
