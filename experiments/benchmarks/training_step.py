"""One step of training at paper size, beside the same step in plain Keras.

    python -m experiments.benchmarks.training_step

Both sides take `--batch_size` examples of 6 s through Table 1 and Eq. 1 against a face
decoder of paper size, each in a process of its own, so that memory is its own. Ours
reads records through the input pipeline, as a training does; the twin has its batch at
hand. FLOP/s count three forward passes (Table 1's multiplications and additions), and
stand beside a 2048 x 2048 matrix product in the same process. On a shared machine CPU
seconds say more than seconds. `--width=0.25` is for small machines.
"""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from typing import Dict, Iterator, Literal

from experiments.benchmarks import material, timing
from speech2face import flag_config
from speech2face.config import Precision
from speech2face.config_fields import option


@dataclasses.dataclass(frozen=True)
class TrainingStepOptions:
    """What is timed."""

    width: float = option(1.0, "Multiplier on Table 1's channels; 1 is the paper's.")
    feature_dim: int = option(4096, "Length of the face feature; the paper's is 4096.")
    batch_size: int = option(8, "Examples of a step (Sec. 3: 8).")
    n_steps: int = option(3, "Steps of which the fastest counts, after one to warm up.")
    precision: Precision = option("float32", "Arithmetic of both sides.")
    accumulate_steps: int = option(1, "Parts in which ours computes a batch.")
    xla: bool = option(False, "Compile ours with XLA.")
    side: Literal["both", "ours", "twin"] = option(
        "both", "'both' runs each in a process of its own."
    )


def main(options: TrainingStepOptions) -> None:
    """Prints the table, or of one side its measurements as JSON."""
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the training commands do
    if options.side == "both":
        print(report({side: _in_process(options, side) for side in ("ours", "twin")}))
    else:
        print(json.dumps(measure(options)))


def report(sides: Dict[str, dict]) -> str:
    """A table of both sides, and what it says in words."""
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


def measure(options: TrainingStepOptions) -> dict:
    """Measures one side in this process."""
    import resource

    product, product_operations = timing.matrix_product()
    side = _ours if options.side == "ours" else _twin
    with tempfile.TemporaryDirectory() as folder:
        steps = list(side(options, pathlib.Path(folder)))
    product_secs = timing.fastest({"product": product}, 5)["product"]
    best = min(steps[1:], key=lambda step: step["secs"])
    unit = 1 if sys.platform == "darwin" else 1024  # bytes
    usage = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    return {
        **best,
        "batch_size": options.batch_size,
        "n_operations": options.batch_size * n_operations(options),
        "product_rate": product_operations / product_secs,
        "memory_gb": usage / 1e9,
    }


def n_operations(options: TrainingStepOptions) -> float:
    """Multiplications and additions of an example: three forward passes of Table 1."""
    import keras

    from experiments import architecture
    from speech2face import audio
    from speech2face.config import VoiceEncoderConfig
    from speech2face.models import voice_encoder

    frames = audio.n_frames(material.CLIP_SECS * audio.SAMPLE_RATE_HZ)
    with keras.StatelessScope(initialize_variables=False):  # shapes without weights
        config = VoiceEncoderConfig(width=options.width)
        model = voice_encoder.build_table_1(config, options.feature_dim)
        shapes = architecture.shapes_for(model, (frames, audio.N_BANDS, 2))
        names = [row.layer for row in voice_encoder.TABLE_1]
        rows = architecture.built_layers(model, names, [shapes])
    return 6.0 * sum(row.multiply_adds for row in rows)


def _in_process(options: TrainingStepOptions, side: str) -> dict:
    flags = dataclasses.asdict(dataclasses.replace(options, side=side))
    command = [sys.executable, "-m", "experiments.benchmarks.training_step"]
    command += [f"--{name}={value}" for name, value in flags.items()]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise ValueError(f"the {side} side failed; see above")
    return json.loads(done.stdout.splitlines()[-1])


def _ours(options: TrainingStepOptions, folder: pathlib.Path) -> Iterator[dict]:
    from speech2face import input_pipeline, voice_trainer

    config = _config(options)
    info = material.write_records(folder, options.feature_dim)
    parse = input_pipeline.voice_parser(info, config.audio, config.augment, 0)
    trainer = voice_trainer.VoiceTrainer(config, material.decoder(options.feature_dim))
    batches = input_pipeline.training_batches(folder, info, config.loop, parse)
    batches = iter(batches)
    for _ in range(options.n_steps + 1):
        start, cpu = time.perf_counter(), time.process_time()
        batch = next(batches)
        batch.pop("clip_id")
        wait_secs = time.perf_counter() - start
        trainer.train_step(batch)["total"].numpy()  # waits for the step
        yield _took(start, cpu, wait_secs)


def _twin(options: TrainingStepOptions, folder: pathlib.Path) -> Iterator[dict]:
    import keras
    import numpy as np

    from experiments.benchmarks import keras_twin
    from speech2face.precision import dtype_policy

    decoder = material.decoder(options.feature_dim)
    keras.config.set_dtype_policy(dtype_policy(options.precision))
    twin = keras_twin.Twin(_config(options), decoder)
    examples = material.examples(options.feature_dim)[: options.batch_size]
    batch = [
        np.stack([getattr(example, name) for example in examples])
        for name in ("waveform", "face_feature")
    ]
    for _ in range(options.n_steps + 1):
        start, cpu = time.perf_counter(), time.process_time()
        twin.train_on_batch(*batch)
        yield _took(start, cpu, wait_secs=0.0)


def _took(start: float, cpu: float, wait_secs: float) -> dict:
    return {
        "secs": time.perf_counter() - start,
        "cpu_secs": time.process_time() - cpu,
        "wait_secs": wait_secs,
    }


def _config(options: TrainingStepOptions):
    from speech2face.config import LoopConfig, VoiceEncoderConfig, VoiceTrainingConfig

    n_steps = options.n_steps + 1
    return VoiceTrainingConfig(
        voice_encoder=VoiceEncoderConfig(width=options.width),
        loop=LoopConfig(
            batch_size=options.batch_size,
            epochs=n_steps * options.batch_size / material.N_RECORDS,
            precision=options.precision,
            shuffle_buffer=material.N_RECORDS,
            accumulate_steps=options.accumulate_steps,
            xla=options.xla,
        ),
    )


if __name__ == "__main__":
    flag_config.run(main, TrainingStepOptions)
