"""Chooses the devices that train: the `tf.distribute` strategy of `--strategy`.

    none          one device, the first GPU if there is one; batches are prefetched
    mirrored      all GPUs of this machine, or all of its (logical) CPU devices
    multi_worker  several machines, each started with the same command and a TF_CONFIG
    tpu           the TPU that TPU_NAME names

There is one code path. A model is built and trained within the strategy's scope, each
replica takes `batch_size` / replicas examples of the same global batch
(`input_pipeline.training_batches`), and `trainer.Trainer` adds up their gradients.
`--n_readers` says what each process reads (docs/decisions/multi-worker-input.md).

Known debt: `_wait_long_for_heartbeats` uses a private module of TensorFlow, since there
is no public option for this timeout.
"""

import contextlib
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence

import tensorflow as tf
from absl import logging

from speech2face.config import LoopConfig, VoiceEncoderConfig
from speech2face.data.record_stream import BatchShare
from speech2face.errors import UserError
from speech2face.json_codec import parse_json

# A process that is silent for so long counts as lost. TensorFlow gives it 10 s, and a
# busy machine may well stall for longer.
HEARTBEAT_TIMEOUT_SECS = 60

# Which of them TensorFlow raises depends on what it was doing at that moment.
_WHEN_A_WORKER_IS_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@contextlib.contextmanager
def scope(strategy_name: str) -> Iterator[None]:
    """Enters the strategy's scope and leaves it when all processes are done.

    Raises:
      UserError: this machine lacks what the strategy needs.
      OSError: another process of the training is gone.
    """
    strategy = make_strategy(strategy_name)
    with strategy.scope():
        n_processes = n_workers()
        try:
            yield
            if n_processes > 1:
                _wait_for_all(strategy)
        except _WHEN_A_WORKER_IS_LOST as error:
            if n_processes == 1:
                raise
            raise OSError(
                "another process of this training is gone; start all of them again "
                f"to resume from the last checkpoint ({type(error).__name__})"
            ) from None


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the strategy `name`; for 'multi_worker' it waits for all workers.

    TensorFlow must not have computed anything yet if it is 'multi_worker'.

    Raises:
      UserError: this machine lacks what the strategy needs.
    """
    if name == "mirrored":
        gpus = tf.config.list_logical_devices("GPU")
        return mirrored(gpus or tf.config.list_logical_devices("CPU"))
    if name == "multi_worker":
        _wait_long_for_heartbeats(_cluster())
        return tf.distribute.MultiWorkerMirroredStrategy()
    if name == "tpu":
        return tf.distribute.TPUStrategy(_connect_to_tpu())
    has_gpu = bool(tf.config.list_logical_devices("GPU"))
    return tf.distribute.OneDeviceStrategy("/gpu:0" if has_gpu else "/cpu:0")


def mirrored(devices: Sequence[tf.config.LogicalDevice]) -> tf.distribute.Strategy:
    """Returns the strategy of these devices of one machine, all of one kind."""
    reduction = None  # TensorFlow's choice
    if devices[0].device_type == "CPU":
        # TensorFlow's choice fails if one process uses 2 devices first and 4 later.
        reduction = tf.distribute.ReductionToOneDevice()
    names = [device.name for device in devices]
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)


def check_batch(loop: LoopConfig) -> None:
    """Raises UserError unless replicas and micro-batches divide a batch evenly."""
    n_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    n_micro_batches = n_replicas * loop.accumulate_steps
    if n_micro_batches < 1 or loop.batch_size % n_micro_batches:
        raise UserError(
            f"--batch_size={loop.batch_size} cannot be divided among {n_replicas} "
            f"devices and --accumulate_steps={loop.accumulate_steps}; give a multiple "
            "of their product"
        )


def check_batch_norm(encoder: VoiceEncoderConfig, loop: LoopConfig) -> None:
    """Raises UserError if batch norm would synchronize in a compiled function or loop.

    Replicas cannot wait for one another there.
    """
    n_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    nested = loop.accumulate_steps > 1 or (loop.xla and loop.strategy != "tpu")
    if encoder.global_batch_norm and n_replicas > 1 and nested:
        raise UserError(
            "--global_batch_norm on several devices works neither with --xla nor with "
            "--accumulate_steps; leave one of them out"
        )


def is_chief() -> bool:
    """Returns whether this process writes the run folder and validates."""
    if n_workers() == 1:
        return True
    resolver = tf.distribute.get_strategy().cluster_resolver
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def n_workers() -> int:
    """Returns how many processes train together."""
    strategy = tf.distribute.get_strategy()
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return 1
    cluster = strategy.cluster_resolver.cluster_spec()
    return sum(cluster.num_tasks(job) for job in cluster.jobs if job != "evaluator")


def distribute(batches: Callable[[BatchShare], tf.data.Dataset]) -> Iterable:
    """Gives each replica of the strategy its part of every batch, without strings.

    Args:
      batches: share of this process -> its batches (`input_pipeline.training_batches`).
    """

    def of_this_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
        share = BatchShare(
            context.input_pipeline_id,
            context.num_input_pipelines,
            context.num_replicas_in_sync,
        )
        return batches(share).map(_numbers)  # a TPU takes no strings

    strategy = tf.distribute.get_strategy()
    return strategy.distribute_datasets_from_function(of_this_process)


def _numbers(batch: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    return {name: value for name, value in batch.items() if value.dtype != tf.string}


def _wait_for_all(strategy: tf.distribute.Strategy) -> None:
    # A process that leaves early counts as lost, and TensorFlow stops the others.
    @functools.partial(tf.function, autograph=False)
    def meet() -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(lambda: tf.constant(1.0)), axis=None)

    meet().numpy()


def _wait_long_for_heartbeats(cluster: dict[str, list[str]]) -> None:
    """Configures what MultiWorkerMirroredStrategy would, with a longer timeout."""
    try:
        from tensorflow.python.eager import context
    except ImportError:
        logging.warning("this TensorFlow takes a process that stalls for 10 s as lost")
        return
    jobs = [job for job in ("chief", "worker") if job in cluster]
    config = tf.compat.v1.ConfigProto().experimental.coordination_config
    for job in jobs:
        config.coordinated_job_list.add(name=job, num_tasks=len(cluster[job]))
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=f"/job:{jobs[0]}/replica:0/task:0",
        heartbeat_timeout_in_ms=1000 * HEARTBEAT_TIMEOUT_SECS,
        coordinated_jobs=list(config.coordinated_job_list),
    )


def _cluster() -> dict[str, list[str]]:
    try:
        config = parse_json(os.environ["TF_CONFIG"], "TF_CONFIG")
        config["task"]["type"], config["task"]["index"]
        return {job: list(hosts) for job, hosts in config["cluster"].items()}
    except (KeyError, TypeError, AttributeError, UserError):
        raise UserError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG: "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from None


def _connect_to_tpu() -> tf.distribute.cluster_resolver.TPUClusterResolver:
    try:
        return tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise UserError(
            f"--strategy=tpu found no TPU ({error}); set TPU_NAME, or TPU_NAME=local "
            "on a TPU machine"
        ) from None
