"""Options that both trainings share: ADAM, the loop, precision."""

import dataclasses
from typing import Literal

from speech2face.options import Options, option

Precision = Literal["auto", "float32", "mixed_bfloat16", "mixed_float16"]


@dataclasses.dataclass(frozen=True)
class OptimizerConfig(Options):
    """ADAM and its schedule (Sec. 3, "Implementation details")."""

    learning_rate: float = option(
        1e-3, "Initial learning rate (Sec. 3: 0.001).", above=0, maximum=1000
    )
    decay_rate: float = option(
        0.95,
        "Factor on the learning rate every decay_steps iterations (Sec. 3: 0.95).",
        above=0,
        maximum=1,
    )
    decay_steps: int = option(
        10_000,
        "Iterations between decays of the learning rate (Sec. 3: 10,000).",
        minimum=1,
        maximum=1_000_000_000,
    )
    staircase: bool = option(
        True,
        "Decay the learning rate in steps, not continuously. Not in the paper: "
        "docs/decisions/optimizer.md.",
    )
    beta1: float = option(
        0.5, "Decay of ADAM's first moment (Sec. 3: 0.5).", minimum=0, below=1
    )
    beta2: float = option(
        0.999,
        "Decay of ADAM's second moment. Not in the paper: ADAM's default.",
        minimum=0,
        below=1,
    )
    epsilon: float = option(1e-4, "ADAM's epsilon (Sec. 3: 1e-4).", above=0, maximum=1)
    weight_decay: float = option(
        0.0,
        "Decoupled weight decay of all weights. The paper mentions none: 0.",
        minimum=0,
        maximum=1,
    )


@dataclasses.dataclass(frozen=True)
class LoopConfig(Options):
    """The training loop: its length, devices and precision, and its records.

    A run may be resumed with another value of each `changeable` option.
    """

    batch_size: int = option(
        8,
        "Examples per iteration, over all replicas (Sec. 3: 8).",
        minimum=1,
        maximum=2**20,
    )
    epochs: float = option(
        3.0,
        "Passes over the training set (Sec. 3: 3).",
        changeable=True,
        above=0,
        maximum=1e6,
    )
    seed: int = option(
        0,
        "Seed of the initial weights, the order of the data and augmentation.",
        minimum=0,
        maximum=2**31 - 1,
    )
    precision: Precision = option(
        "float32",
        "Arithmetic of the networks. 'auto' is mixed_bfloat16 on hardware that is fast "
        "at it, and float32 elsewhere.",
        changeable=True,
    )
    strategy: Literal["none", "mirrored", "multi_worker", "tpu"] = option(
        "none",
        "Devices: 'none' is one device, 'mirrored' all GPUs of this machine, "
        "'multi_worker' the machines in TF_CONFIG, 'tpu' the TPU in TPU_NAME (see "
        "docs/training.md).",
        changeable=True,
    )
    accumulate_steps: int = option(
        1,
        "Micro-batches in which each device computes its examples, in turn, to save "
        "memory. Batch normalization uses the statistics of a micro-batch.",
        changeable=True,
        minimum=1,
        maximum=2**20,
    )
    steps_per_call: int = option(
        1,
        "Largest number of iterations in one call into TensorFlow. More saves the time "
        "between calls, above all on a TPU.",
        changeable=True,
        minimum=1,
        maximum=1_000_000,
    )
    xla: bool = option(
        False, "Compile the networks and their gradients with XLA.", changeable=True
    )
    host_spectrogram: bool = option(
        False,
        "Compute the spectrograms of --encoder=table1 in the input pipeline on the "
        "host's cores instead of on the accelerator. The result is the same.",
        changeable=True,
    )
    shuffle_buffer: int = option(
        4096,
        "Records in the buffer that shuffles an epoch. Not in the paper.",
        minimum=1,
        maximum=1_000_000_000,
    )
    n_readers: int = option(
        1,
        "Equal parts of a batch, each of which reads its own part of the records. As "
        "many as processes, so that each reads only its own; 1 makes every process "
        "read all records (docs/decisions/multi-worker-input.md).",
        minimum=1,
        maximum=2**20,
    )
    skip_corrupt: bool = option(
        False,
        "Replace the lost records of a damaged shard with other records and report "
        "their number, instead of stopping.",
        changeable=True,
    )
    save_every: int = option(
        1000,
        "Iterations between checkpoints.",
        changeable=True,
        minimum=1,
        maximum=1_000_000_000,
    )
    keep_checkpoints: int = option(
        3,
        "Number of newest checkpoints to keep.",
        changeable=True,
        minimum=1,
        maximum=1_000_000,
    )
    keep_every_hours: float = option(
        0.0,
        "Also keep one older checkpoint per this many hours; 0 keeps none.",
        changeable=True,
        minimum=0,
        maximum=1e6,
    )
    summarize_every: int = option(
        100,
        "Iterations between summaries.",
        changeable=True,
        minimum=1,
        maximum=1_000_000_000,
    )
    validate_every: int = option(
        5000,
        "Iterations between validations; 0 disables them.",
        changeable=True,
        minimum=0,
        maximum=1_000_000_000,
    )
    validation_examples: int = option(
        5000,
        "Largest number of examples in a validation (Tables 2 and 3: 5,000).",
        changeable=True,
        minimum=1,
        maximum=1_000_000_000,
    )
    histograms_every: int = option(
        0,
        "Iterations between TensorBoard histograms of all weights; 0 disables them.",
        changeable=True,
        minimum=0,
        maximum=1_000_000_000,
    )
    projector_examples: int = option(
        0,
        "Number of validation clips whose face and voice features TensorBoard's "
        "projector shows; 0 disables it.",
        changeable=True,
        minimum=0,
        maximum=1_000_000,
    )
    deterministic_ops: bool = option(
        False,
        "Use only operations that give the same bits every time. They are slower on a "
        "GPU, where the others add numbers in any order.",
    )
