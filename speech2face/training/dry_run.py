"""`--dry_run`: checks in seconds what a training needs, and prints what it will take.

Everything is read and built as in the training: data set, decoder, networks, the first
batch and its losses. Nothing is learned and nothing is written.
"""

import dataclasses
import math
import shutil

import tensorflow as tf

from speech2face.artifacts import checkpoints, environment, run_folder
from speech2face.config import DecoderTrainingConfig, VoiceTrainingConfig
from speech2face.data import input_pipeline
from speech2face.errors import UserError
from speech2face.files import PathLike, as_path, is_in_bucket
from speech2face.system import has_fast_bfloat16, n_cores, nvidia_cards
from speech2face.training import (
    cost,
    decoder_job,
    distribution,
    frozen_embeddings,
    validation,
    voice_job,
)
from speech2face.training.job import Job
from speech2face.training.precision import dtype_policy
from speech2face.training.trainer import Batch

_CLOCK = ((86_400.0, "days"), (3_600.0, "hours"), (60.0, "minutes"))


@dataclasses.dataclass(frozen=True)
class Plan:
    """Forecast of a training.

    Attributes:
      n_steps: iteration at which it ends.
      first_step: iteration from which it resumes; 0 for a new run.
      disk_bytes: size of its checkpoints.
      secs: estimate of the time it will take.
      rows: all of this and more in words, (subject, sentence).
    """

    n_steps: int
    first_step: int
    disk_bytes: int
    secs: float
    rows: list[tuple[str, str]]

    def __str__(self) -> str:
        """One line a row."""
        width = max(len(subject) for subject, _ in self.rows)
        return "\n".join(f"{subject:<{width}}  {text}" for subject, text in self.rows)


def plan_voice_training(
    config: VoiceTrainingConfig,
    data_dir: PathLike,
    decoder_dir: PathLike,
    run_dir: PathLike,
) -> Plan:
    """Plans `voice_job.train_voice_encoder`.

    Args:
      config: everything about networks, losses and loop.
      data_dir: voice data set of `data_prep.build_tfrecords`.
      decoder_dir: trained face decoder.
      run_dir: run folder that the training would create or resume.

    Raises:
      FileNotFoundError, UserError: as the training would. UserError also if memory or
        disk do not suffice, or the loss of the first example is not finite.
    """
    available_bytes = environment.available_memory_bytes()
    with distribution.make_strategy(config.loop.strategy).scope():
        job = voice_job.prepare_voice_training(config, data_dir, decoder_dir)
        is_embedded_once = frozen_embeddings.is_possible(config)
        return _plan(job, run_dir, available_bytes, is_embedded_once)


def plan_decoder_training(
    config: DecoderTrainingConfig,
    data_dir: PathLike,
    run_dir: PathLike,
    vgg_face_weights: PathLike = "",
    voice_data_dir: PathLike = "",
) -> Plan:
    """Plans `decoder_job.train_face_decoder`.

    Args:
      config: everything about networks, losses and loop.
      data_dir: face data set of `data_prep.build_decoder_tfrecords`.
      run_dir: run folder that the training would create or resume.
      vgg_face_weights: imported weights, if the data set's recognizer is VGG-Face.
      voice_data_dir: voice data set on whose faces the normalizer is fitted; '' fits it
        on the photographs.

    Raises:
      FileNotFoundError, UserError: as `plan_voice_training`.
    """
    available_bytes = environment.available_memory_bytes()
    with distribution.make_strategy(config.loop.strategy).scope():
        job = decoder_job.prepare_decoder_training(
            config, data_dir, vgg_face_weights, voice_data_dir
        )
        return _plan(job, run_dir, available_bytes, is_embedded_once=False)


def duration(secs: float) -> str:
    """Formats a time: '3.2 days', '5 minutes', '12 s'."""
    for size, name in _CLOCK:
        if secs >= 2 * size:
            return f"{secs / size:.3g} {name}"
    return f"{secs:.3g} s"


def _plan(
    job: Job,
    run_dir: PathLike,
    available_bytes: int | None,
    is_embedded_once: bool,
) -> Plan:
    """Checks a job part by part and reports each in a row.

    Args:
      job: the training to plan.
      run_dir: its run folder.
      available_bytes: free memory in bytes, before the job was prepared; None if not
        known.
      is_embedded_once: whether each clip goes through the fixed network only once.
    """
    first_step = _first_step(job, run_dir)
    batch = _first_batch(job)
    losses = _losses_text(job, batch)
    n_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    n_of_replica = job.config.loop.batch_size // n_replicas
    batch = {name: value[:n_of_replica] for name, value in batch.items()}
    memory = _memory_text(job, batch, available_bytes)
    disk_bytes, disk = _disk(job, run_dir)
    secs, time = _time(job, batch, job.n_steps - first_step, is_embedded_once)
    rows = [
        ("training set", _training_set_text(job)),
        ("validation set", _validation_set_text(job)),
        ("iterations", _iterations_text(job, first_step)),
        ("network", _network_text(job)),
        ("precision", _precision_text(job.config.loop.precision)),
        ("device", _device_text()),
        ("memory", memory),
        ("disk", disk),
        ("time", time),
        ("first batch", losses),
    ]
    return Plan(job.n_steps, first_step, disk_bytes, secs, rows)


def _first_step(job: Job, run_dir: PathLike) -> int:
    if not run_folder.is_started(run_dir, job.config, job.must_match):
        return 0
    return min(checkpoints.newest_step(run_dir), job.n_steps)


def _first_batch(job: Job) -> Batch:
    # Filling the shuffle buffer would take long, and it only decides the order.
    loop = job.config.loop
    unshuffled = dataclasses.replace(loop, shuffle_buffer=loop.batch_size)
    batches = input_pipeline.training_batches(
        job.data_dir, job.info, unshuffled, job.parse
    )
    batch = next(iter(batches))
    return {name: value for name, value in batch.items() if name != "clip_id"}


def _losses_text(job: Job, batch: Batch) -> str:
    one = {name: value[:1] for name, value in batch.items()}
    terms = job.trainer.evaluate_step(one)
    values = {name: float(value[0]) for name, value in terms.items()}
    text = ", ".join(f"{name} {value:.4g}" for name, value in values.items())
    if not math.isfinite(values["total"]):
        raise UserError(f"the loss of the first example is not finite: {text}")
    return f"losses of an untrained network: {text}"


def _memory_text(job: Job, batch: Batch, available_bytes: int | None) -> str:
    n_examples = len(batch["face_feature"]) // job.config.loop.accumulate_steps
    memory = cost.memory(job.trainer, batch, n_examples)
    text = (
        f"about {_gb(memory.total)}: {_gb(memory.parameters)} weights, gradients and "
        f"ADAM, {_gb(memory.kept)} activations of {n_examples} examples"
    )
    if available_bytes is None or not _is_on_cpu():
        return text + "; the memory of the device is not known"
    if memory.total > available_bytes:
        raise UserError(
            f"an iteration takes about {_gb(memory.total)}, and {_gb(available_bytes)} "
            "are available: raise --accumulate_steps, or lower --batch_size"
        )
    return text + f"; {_gb(available_bytes)} are available"


def _time(
    job: Job, batch: Batch, n_steps: int, is_embedded_once: bool
) -> tuple[float, str]:
    """Returns the seconds of `n_steps` iterations, and a sentence about them.

    Args:
      job: the training to plan.
      batch: batch of one replica.
      n_steps: iterations that are left.
      is_embedded_once: see `_plan`.
    """
    step_secs = cost.iteration_secs(job.trainer, batch)
    secs, basis = n_steps * step_secs, "three forward passes, one measured here"
    if is_embedded_once:
        n_of_replica = len(batch["face_feature"])
        forward_secs = step_secs / cost.FORWARD_PASSES / n_of_replica
        secs = job.info.n_examples("train") * forward_secs
        basis = "each clip is embedded once; the head takes little"
    return secs, f"about {duration(secs)}, {step_secs:.3g} s an iteration: {basis}"


def _disk(job: Job, run_dir: PathLike) -> tuple[int, str]:
    """Returns the bytes of all checkpoints, and a sentence about them."""
    n_kept = job.config.loop.keep_checkpoints
    # One more than is kept: the oldest is removed when the newest is complete.
    size = cost.checkpoint_bytes(job.trainer) * (n_kept + 1)
    checkpoint_dir = as_path(run_dir) / checkpoints.CHECKPOINT_DIR
    present = sum(path.stat().st_size for path in checkpoint_dir.glob("*"))
    if is_in_bucket(run_dir):
        return size, f"{_gb(size)} for {n_kept} checkpoints and the next one"
    folder = as_path(run_dir).absolute()
    while not folder.is_dir():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if size - present > free:
        raise UserError(
            f"the checkpoints take {_gb(size)}, and {_gb(free)} are free at {run_dir}: "
            "free some space, lower --keep_checkpoints, or give another --run_dir"
        )
    return size, (
        f"{_gb(size)} for {n_kept} checkpoints and the next one; {_gb(free)} are free"
    )


def _training_set_text(job: Job) -> str:
    n_examples, n_shards = job.info.n_examples("train"), len(job.info.shards("train"))
    checksum = job.info.checksum[:8]
    return (
        f"{n_examples:,} examples in {n_shards:,} shards, {job.data_dir} ({checksum})"
    )


def _validation_set_text(job: Job) -> str:
    if validation.SPLIT in job.info.splits:
        return f"{job.info.n_examples(validation.SPLIT):,} examples"
    return f"none: the data set has no split {validation.SPLIT!r}"


def _iterations_text(job: Job, first_step: int) -> str:
    loop = job.config.loop
    text = f"{job.n_steps:,} of {loop.batch_size} examples, {loop.epochs:g} epochs; "
    if first_step >= job.n_steps:
        return text + "the run is finished"
    return text + (f"resumes at {first_step:,}" if first_step else "a new run")


def _network_text(job: Job) -> str:
    n_parameters = cost.n_trainable(job.trainer)
    return f"{n_parameters:,} parameters to train"


def _precision_text(precision: str) -> str:
    if has_fast_bfloat16():
        advice = "mixed_bfloat16 is faster than float32 here"
    else:
        advice = "bfloat16 would be emulated here, slower than float32"
    return f"{dtype_policy(precision)}; {advice}"


def _device_text() -> str:
    if _is_on_cpu():
        text = f"{n_cores()} CPU cores ({environment.cpu_name()})"
        unused = environment.why_unused(nvidia_cards())
        return f"{text}. WARNING: {unused}" if unused else text
    devices = tf.config.list_logical_devices()
    return ", ".join(d.name for d in devices if d.device_type != "CPU")


def _is_on_cpu() -> bool:
    return all(d.device_type == "CPU" for d in tf.config.list_logical_devices())


def _gb(n_bytes: int) -> str:
    return f"{n_bytes / 1e9:,.2g} GB" if n_bytes < 1e9 else f"{n_bytes / 1e9:,.1f} GB"
