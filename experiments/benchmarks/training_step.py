"""One step of training at paper size, beside the same step in plain Keras.

    python -m experiments.benchmarks.training_step
    python -m experiments.benchmarks.training_step --width=0.25    # small machines

Measures seconds, CPU seconds, FLOP/s and peak memory of a step. Both sides take
`--batch_size` examples of 6 s through Table 1 and Eq. 1, with a face decoder of paper
size. Each runs in a process of its own, so that its memory can be measured. Ours reads
records through the input pipeline, as a training does; the twin (`keras_twin`) has its
batch in memory.

The FLOP/s count three forward passes (Table 1's multiplications and additions), and
stand beside a 2048 x 2048 matrix product of the same process and type. On a shared
machine CPU seconds say more than seconds. Why so: docs/decisions/step-benchmark.md.
"""

import dataclasses
import json
import os
import pathlib
import resource
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import numpy as np

from experiments.benchmarks import random_data, rows, timing
from experiments.benchmarks.rows import Beside, Row
from experiments.lib import architecture
from speech2face import paper
from speech2face.config import (
    LoopConfig,
    Precision,
    VoiceEncoderConfig,
    VoiceTrainingConfig,
)
from speech2face.options import Options, option, run_command

Side = Literal["ours", "twin"]
Measurements = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class TrainingStepOptions(Options):
    """The size of the step, and how it is computed."""

    width: float = option(
        1.0, "Multiplier on Table 1's channels; 1 is the paper's.", above=0, maximum=16
    )
    feature_dim: int = option(
        paper.VGG_FACE_FEATURE_DIM,
        "Length of the face feature; the paper's is 4096.",
        minimum=1,
        maximum=65_536,
    )
    batch_size: int = option(
        8, "Examples of a step (Sec. 3: 8).", minimum=1, maximum=2**20
    )
    n_steps: int = option(
        3,
        "Steps of which the fastest counts, after one to warm up.",
        minimum=1,
        maximum=1_000_000,
    )
    precision: Precision = option("float32", "Arithmetic of both sides.")
    accumulate_steps: int = option(
        1, "Parts into which ours divides a batch.", minimum=1, maximum=2**20
    )
    xla: bool = option(False, "Compile ours with XLA.")
    side: Literal["both", "ours", "twin"] = option(
        "both", "'both' runs each in a process of its own."
    )


def main(options: TrainingStepOptions) -> None:
    """Prints the table, or the measurements of one side as JSON."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the training commands do
    if options.side == "both":
        sides = {side: _in_process(options, side) for side in ("ours", "twin")}
        print(report(sides))
        rows.show([_row(options, sides["ours"], sides["twin"])])
    else:
        print(json.dumps(measure(options)))


def _row(options: TrainingStepOptions, ours: Measurements, twin: Measurements) -> Row:
    """The row of the table at the head of benchmarks.md."""
    size = "paper size" if options.width == 1 else f"width {options.width:g}"
    what = f"training step, {size}, batch {options.batch_size}, {options.precision}"
    note = ", ".join(
        f"{name} {side['cpu_secs']:.2f} s of processor, {side['memory_gb']:.1f} GB"
        for name, side in (("ours", ours), ("twin", twin))
    )
    floor = ours["n_operations"] / ours["product_rate"]
    return Row(
        what,
        ours["secs"],
        "s",
        Beside("plain Keras", twin["secs"]),
        Beside("matrix product", floor),
        note,
    )


def report(sides: Mapping[str, Measurements]) -> str:
    """A table of both sides, and a sentence that compares them."""
    header = ["", "s a step", "CPU s", "examples/s", "GFLOP/s", "of a matrix product"]
    header += ["waits for input", "memory, GB"]
    rows = [header, ["---"] * len(header)]
    for name, side in sides.items():
        rate = side["n_operations"] / side["secs"]
        rows.append(
            [
                name,
                f"{side['secs']:.2f}",
                f"{side['cpu_secs']:.2f}",
                f"{side['batch_size'] / side['secs']:.2f}",
                f"{rate / 1e9:.1f}",
                f"{rate / side['product_rate']:.2f}",
                f"{side['wait_secs'] / side['secs']:.1%}",
                f"{side['memory_gb']:.1f}",
            ]
        )
    ours, twin = sides["ours"], sides["twin"]
    # Waiting for most of a step means that records are what it lacks.
    bound = "input" if ours["wait_secs"] > ours["secs"] / 2 else "compute"
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(
        [
            *lines,
            "",
            f"Ours takes {ours['secs'] / twin['secs']:.2f} of the twin's time, "
            f"{ours['cpu_secs'] / twin['cpu_secs']:.2f} of its CPU time and "
            f"{ours['memory_gb'] / twin['memory_gb']:.2f} of its memory, and is "
            f"{bound}-bound.",
            "",
        ]
    )


def measure(options: TrainingStepOptions) -> Measurements:
    """Measures one side in this process."""
    is_half = options.precision == "mixed_bfloat16"
    product, product_operations = timing.matrix_product(
        "bfloat16" if is_half else "float32"
    )
    side = _ours if options.side == "ours" else _twin
    with tempfile.TemporaryDirectory() as folder:
        steps = []
        for step in side(options, pathlib.Path(folder)):
            secs = f"{step['secs']:.2f} s ({step['cpu_secs']:.2f} s of processor time)"
            print(f"  {options.side}: {secs}", file=sys.stderr, flush=True)
            steps.append(step)
    product_secs = timing.fastest({"product": product}, 5)["product"]
    # The first step compiles.
    best = min(steps[1:], key=lambda step: step["secs"])
    peak_bytes = timing.peak_bytes(resource.getrusage(resource.RUSAGE_SELF))
    return {
        **best,
        "batch_size": options.batch_size,
        "n_operations": options.batch_size * n_operations(options),
        "product_rate": product_operations / product_secs,
        "memory_gb": peak_bytes / 1e9,
    }


def n_operations(options: TrainingStepOptions) -> float:
    """Multiplications and additions of an example: three forward passes of Table 1.

    One pass forward, one for the gradients of the activations, one for those of the
    weights.
    """
    import keras

    from speech2face.audio import spectrogram
    from speech2face.models import voice_encoder

    frames = spectrogram.n_frames(random_data.CLIP_SAMPLES)
    with keras.StatelessScope(initialize_variables=False):  # shapes without weights
        config = VoiceEncoderConfig(width=options.width)
        model = voice_encoder.build_table_1(config, options.feature_dim)
        shapes = architecture.shapes_for(model, (frames, paper.N_BANDS, 2))
        names = [row.layer for row in voice_encoder.TABLE_1]
        rows = architecture.built_layers(model, names, [shapes])
    # Three passes, each a multiplication and an addition.
    return 6.0 * sum(row.multiply_adds for row in rows)


def _in_process(options: TrainingStepOptions, side: Side) -> Measurements:
    flags = dataclasses.asdict(dataclasses.replace(options, side=side))
    module = "experiments.benchmarks.training_step"
    return timing.measure_in_process(f"a step, {side}", module, flags)


def _ours(options: TrainingStepOptions, folder: pathlib.Path) -> Iterator[Measurements]:
    from speech2face.data import input_pipeline
    from speech2face.training.voice import VoiceTrainer

    config = _config(options)
    info = random_data.write_records(folder, options.feature_dim)
    parse = input_pipeline.voice_parser(info, config.audio, config.augment, 0)
    trainer = VoiceTrainer(config, random_data.decoder(options.feature_dim))
    batches = input_pipeline.training_batches(folder, info, config.loop, parse)
    batches = iter(batches)
    for _ in range(options.n_steps + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        batch = next(batches)
        # Strings cannot go to the device.
        batch.pop("clip_id")
        wait_secs = time.perf_counter() - start
        trainer.train_step(batch)["total"].numpy()  # waits for the step
        yield _step(start, cpu_start, wait_secs)


def _twin(options: TrainingStepOptions, folder: pathlib.Path) -> Iterator[Measurements]:
    del folder  # the twin reads no records
    import keras

    from experiments.benchmarks import keras_twin
    from speech2face.training.precision import dtype_policy

    decoder = random_data.decoder(options.feature_dim)
    keras.config.set_dtype_policy(dtype_policy(options.precision))
    twin = keras_twin.Twin(_config(options), decoder)
    examples = random_data.examples(options.feature_dim)[: options.batch_size]
    waveforms = np.stack([example.waveform for example in examples])
    features = np.stack([example.face_feature for example in examples])
    for _ in range(options.n_steps + 1):
        start, cpu_start = time.perf_counter(), time.process_time()
        twin.train_on_batch(waveforms, features)
        yield _step(start, cpu_start, wait_secs=0.0)


def _step(start: float, cpu_start: float, wait_secs: float) -> Measurements:
    return {
        "secs": time.perf_counter() - start,
        "cpu_secs": time.process_time() - cpu_start,
        "wait_secs": wait_secs,
    }


def _config(options: TrainingStepOptions) -> VoiceTrainingConfig:
    n_steps = options.n_steps + 1  # the first one warms up
    return VoiceTrainingConfig(
        voice_encoder=VoiceEncoderConfig(width=options.width),
        loop=LoopConfig(
            batch_size=options.batch_size,
            epochs=n_steps * options.batch_size / random_data.N_RECORDS,
            precision=options.precision,
            shuffle_buffer=random_data.N_RECORDS,
            accumulate_steps=options.accumulate_steps,
            xla=options.xla,
        ),
    )


if __name__ == "__main__":
    run_command(main, TrainingStepOptions)
