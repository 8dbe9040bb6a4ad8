"""`--dry_run`: tries in seconds all that a training needs, and says what it will take.

Everything is read and built as the training would (data set, decoder, networks, the
first batch, its losses), nothing is learned and nothing is written.
"""

import dataclasses
import math
import os
import pathlib
import shutil
from typing import List, Optional, Tuple, Union

import tensorflow as tf

from speech2face import (
    checkpoints,
    distribution,
    environment,
    frozen_embeddings,
    input_pipeline,
    training,
    training_cost,
    validation,
)
from speech2face.config import DecoderTrainingConfig, LoopConfig, VoiceTrainingConfig
from speech2face.precision import dtype_policy
from speech2face.trainer import Batch

TrainingConfig = Union[VoiceTrainingConfig, DecoderTrainingConfig]

_CLOCK = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"))


@dataclasses.dataclass(frozen=True)
class Plan:
    """What a training will do.

    Attributes:
      n_steps: the iteration that it ends at.
      first_step: the iteration that it goes on from.
      memory: of an iteration.
      disk_bytes: that its checkpoints will take.
      secs: that it will take; an estimate.
      rows: all of that and more in words, (subject, sentence).
    """

    n_steps: int
    first_step: int
    memory: training_cost.Memory
    disk_bytes: int
    secs: float
    rows: List[Tuple[str, str]]

    def __str__(self) -> str:
        """One line a row."""
        width = max(len(subject) for subject, _ in self.rows)
        return "\n".join(f"{subject:<{width}}  {text}" for subject, text in self.rows)


def voice_training(
    config: VoiceTrainingConfig,
    data_dir: os.PathLike,
    decoder_dir: os.PathLike,
    run_dir: os.PathLike,
    init_dir: str = "",
) -> Plan:
    """Plans `training.train_voice_encoder`.

    Raises:
      FileNotFoundError, ValueError: as the training would; also if memory or disk would
        not do, or the first batch has a loss that is not finite.
    """
    available = environment.available_memory_bytes()
    with distribution.make_strategy(config.loop.strategy).scope():
        job = training.voice_job(config, data_dir, decoder_dir, init_dir)
        return _plan(job, config, data_dir, run_dir, available)


def decoder_training(
    config: DecoderTrainingConfig,
    data_dir: os.PathLike,
    run_dir: os.PathLike,
    vgg_face_weights: str = "",
) -> Plan:
    """Plans `training.train_face_decoder`; raises as `voice_training`."""
    available = environment.available_memory_bytes()
    with distribution.make_strategy(config.loop.strategy).scope():
        job = training.decoder_job(config, data_dir, vgg_face_weights)
        return _plan(job, config, data_dir, run_dir, available)


def duration(secs: float) -> str:
    """'3.2 days', '5 minutes', '12 s'."""
    for size, name in _CLOCK:
        if secs >= 2 * size:
            return f"{secs / size:.3g} {name}"
    return f"{secs:.3g} s"


def _plan(
    job: training.Job,
    config: TrainingConfig,
    data_dir: os.PathLike,
    run_dir: os.PathLike,
    available_bytes: Optional[int],
) -> Plan:
    loop, trainer = config.loop, job.trainer
    first_step = _first_step(run_dir, config, job)
    batch = _first_batch(data_dir, job, loop)
    losses = _finite_losses(job, batch)
    n_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    batch = {
        name: value[: loop.batch_size // n_replicas] for name, value in batch.items()
    }
    n_at_once = len(batch["face_feature"]) // loop.accumulate_steps
    memory = training_cost.memory(trainer, batch, n_at_once)
    _check_memory(memory, available_bytes)
    disk_bytes = _check_disk(job, loop, run_dir)
    secs_each = training_cost.iteration_secs(trainer, batch)
    secs = (job.n_steps - first_step) * secs_each
    how = "three forward passes, one measured here"
    if _is_embedded_once(config):
        forward = secs_each / training_cost.FORWARD_PASSES / len(batch["face_feature"])
        secs = job.info.n_examples("train") * forward
        how = "each clip is embedded once; the head takes little"
    rows = [
        *_data_rows(job, data_dir),
        ("iterations", _iterations(job, loop, first_step)),
        ("network", _network(job, loop)),
        ("device", _device()),
        ("memory", _memory_text(memory, n_at_once, available_bytes)),
        ("disk", _disk_text(disk_bytes, loop, run_dir)),
        ("time", f"about {duration(secs)}, {secs_each:.3g} s an iteration: {how}"),
        ("first batch", losses),
    ]
    return Plan(job.n_steps, first_step, memory, disk_bytes, secs, rows)


def _is_embedded_once(config: TrainingConfig) -> bool:
    is_voice = isinstance(config, VoiceTrainingConfig)
    return is_voice and frozen_embeddings.is_possible(config)


def _first_step(run_dir: os.PathLike, config: TrainingConfig, job: training.Job) -> int:
    if not checkpoints.is_started(run_dir, config, job.provenance):
        return 0
    return min(checkpoints.newest_step(run_dir), job.n_steps)


def _first_batch(data_dir: os.PathLike, job: training.Job, loop: LoopConfig) -> Batch:
    # What fills the shuffle buffer would take long, and only decides the order.
    quick = dataclasses.replace(loop, shuffle_buffer=loop.batch_size)
    batches = input_pipeline.training_batches(data_dir, job.info, quick, job.parse)
    batch = next(iter(batches))
    return {name: value for name, value in batch.items() if name != "clip_id"}


def _finite_losses(job: training.Job, batch: Batch) -> str:
    one = {name: value[:1] for name, value in batch.items()}
    terms = {
        name: float(value[0]) for name, value in job.trainer.evaluate_step(one).items()
    }
    text = ", ".join(f"{name} {value:.4g}" for name, value in terms.items())
    if not math.isfinite(terms["total"]):
        raise ValueError(f"the loss of the first example is not finite: {text}")
    return f"losses of an untrained network: {text}"


def _check_memory(memory: training_cost.Memory, available_bytes: Optional[int]) -> None:
    if available_bytes is None or not _is_on_cpu():
        return
    if memory.total > available_bytes:
        raise ValueError(
            f"an iteration takes about {_gb(memory.total)}, and {_gb(available_bytes)} "
            "are available: raise --accumulate_steps, or lower --batch_size"
        )


def _check_disk(job: training.Job, loop: LoopConfig, run_dir: os.PathLike) -> int:
    # One more than is kept: the oldest goes when the newest is whole.
    size = training_cost.checkpoint_bytes(job.trainer) * (loop.keep_checkpoints + 1)
    held = _size(pathlib.Path(run_dir) / checkpoints.CHECKPOINT_DIR)
    free = _free_bytes(run_dir)
    if size - held > free:
        raise ValueError(
            f"the checkpoints take {_gb(size)}, and {_gb(free)} are free at {run_dir}: "
            "free some space, lower --keep_checkpoints, or give another --run_dir"
        )
    return size


def _data_rows(job: training.Job, data_dir: os.PathLike) -> List[Tuple[str, str]]:
    info = job.info
    shards = len(info.shards("train"))
    text = f"{info.n_examples('train'):,} examples in {shards:,} shards"
    rows = [("training set", f"{text}, {data_dir} ({info.checksum[:8]})")]
    if validation.SPLIT in info.splits:
        n_examples = info.n_examples(validation.SPLIT)
        return [*rows, ("validation set", f"{n_examples:,} examples")]
    return [*rows, ("validation set", f"none: there is no split {validation.SPLIT!r}")]


def _iterations(job: training.Job, loop: LoopConfig, first_step: int) -> str:
    text = f"{job.n_steps:,} of {loop.batch_size} examples, {loop.epochs:g} epochs; "
    if first_step >= job.n_steps:
        return text + "the run is finished"
    return text + (f"goes on at {first_step:,}" if first_step else "a new run")


def _network(job: training.Job, loop: LoopConfig) -> str:
    n_parameters = training_cost.n_trainable(job.trainer)
    return f"{n_parameters:,} parameters to train, {dtype_policy(loop.precision)}"


def _device() -> str:
    if _is_on_cpu():
        return f"{environment.n_cores()} CPU cores ({environment.cpu_name()})"
    devices = tf.config.list_logical_devices()
    return ", ".join(d.name for d in devices if d.device_type != "CPU")


def _memory_text(
    memory: training_cost.Memory, n_examples: int, available_bytes: Optional[int]
) -> str:
    text = (
        f"about {_gb(memory.total)}: {_gb(memory.parameters)} weights, gradients and "
        f"ADAM, {_gb(memory.kept)} activations of {n_examples} examples"
    )
    if not _is_on_cpu() or available_bytes is None:
        return text + "; what the device has is not known"
    return text + f"; {_gb(available_bytes)} are available"


def _disk_text(size: int, loop: LoopConfig, run_dir: os.PathLike) -> str:
    free = _gb(_free_bytes(run_dir))
    return (
        f"{_gb(size)} for {loop.keep_checkpoints} checkpoints and one in the making; "
        f"{free} are free"
    )


def _is_on_cpu() -> bool:
    return all(d.device_type == "CPU" for d in tf.config.list_logical_devices())


def _free_bytes(path: os.PathLike) -> int:
    folder = pathlib.Path(path).absolute()
    while not folder.is_dir():
        folder = folder.parent
    return shutil.disk_usage(folder).free


def _size(folder: pathlib.Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*"))


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.2g} GB" if n_bytes < 1e9 else f"{n_bytes / 1e9:,.1f} GB"
