"""Which devices train: the `tf.distribute` strategy of `--strategy`.

    none          one device, the first GPU if there is one, and batches are there
                  before they are needed
    mirrored      all GPUs of this machine, or all of its (logical) CPU devices
    multi_worker  several machines, each started with the same command and a TF_CONFIG
    tpu           the TPU that TPU_NAME names

There is one code path. A model is built and trained within the strategy's scope, each
replica takes `batch_size` / replicas examples of the same global batch
(`input_pipeline.training_batches`), and `trainer.Trainer` adds up what they found.
"""

import contextlib
import json
import os
from typing import Callable, Dict, Iterable, Iterator, List, Sequence

import tensorflow as tf

from speech2face.config import LoopConfig, VoiceEncoderConfig
from speech2face.input_pipeline import Part

HEARTBEAT_TIMEOUT_SECS = 60  # after which a silent process counts as lost

_WHEN_A_WORKER_IS_LOST = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.InternalError,
)


@contextlib.contextmanager
def scope(strategy_name: str) -> Iterator[None]:
    """The scope of a training: of the strategy, until all processes are done.

    Raises:
      ValueError: this machine cannot do that.
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
                "another process of this training is gone; start all of them again: "
                f"they go on from the last checkpoint ({type(error).__name__})"
            ) from None


def make_strategy(name: str) -> tf.distribute.Strategy:
    """Returns the strategy `name`; for 'multi_worker' it waits for all workers.

    TensorFlow must not have computed anything yet if it is 'multi_worker'.

    Raises:
      ValueError: this machine cannot do that.
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
        # What it would choose allows one number of devices in a process.
        reduction = tf.distribute.ReductionToOneDevice()
    names = [device.name for device in devices]
    return tf.distribute.MirroredStrategy(names, cross_device_ops=reduction)


def check_batch(loop: LoopConfig) -> None:
    """Raises ValueError if a batch cannot be divided among replicas and their parts."""
    n_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    n_parts = n_replicas * loop.accumulate_steps
    if n_parts < 1 or loop.batch_size % n_parts:
        raise ValueError(
            f"--batch_size={loop.batch_size} cannot be divided among {n_replicas} "
            f"devices and --accumulate_steps={loop.accumulate_steps}; give a multiple "
            "of their product"
        )


def check_batch_norm(encoder: VoiceEncoderConfig, loop: LoopConfig) -> None:
    """Raises ValueError if statistics over all replicas would be needed in mid-air.

    Replicas cannot wait for one another within a compiled function or a loop.
    """
    n_replicas = tf.distribute.get_strategy().num_replicas_in_sync
    nested = loop.accumulate_steps > 1 or (loop.xla and loop.strategy != "tpu")
    if encoder.global_batch_norm and n_replicas > 1 and nested:
        raise ValueError(
            "--global_batch_norm on several devices goes neither with --xla nor with "
            "--accumulate_steps; leave one of them out"
        )


def is_chief() -> bool:
    """Whether this process is the one that writes the run folder and validates."""
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


def distribute(batches: Callable[[Part], tf.data.Dataset]) -> Iterable:
    """Gives each replica of the strategy its part of every batch, without strings.

    Args:
      batches: part -> what `input_pipeline.training_batches` makes of it.
    """

    def of_this_process(context: tf.distribute.InputContext) -> tf.data.Dataset:
        part = Part(
            context.input_pipeline_id,
            context.num_input_pipelines,
            context.num_replicas_in_sync,
        )
        return batches(part).map(_numbers)  # a TPU takes no strings

    strategy = tf.distribute.get_strategy()
    return strategy.distribute_datasets_from_function(of_this_process)


def _numbers(batch: Dict[str, tf.Tensor]) -> Dict[str, tf.Tensor]:
    return {name: value for name, value in batch.items() if value.dtype != tf.string}


def _wait_for_all(strategy: tf.distribute.Strategy) -> None:
    # Who leaves early counts as lost, and TensorFlow stops the others.
    @tf.function
    def meet() -> tf.Tensor:
        return strategy.reduce("SUM", strategy.run(lambda: tf.constant(1.0)), axis=None)

    meet().numpy()


def _wait_long_for_heartbeats(cluster: Dict[str, List[str]]) -> None:
    # TensorFlow gives a process up after 10 s, in which a busy machine may well stall,
    # and has no public option for it: what its strategy would set, with more time.
    from tensorflow.python.eager import context

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


def _cluster() -> Dict[str, List[str]]:
    try:
        config = json.loads(os.environ["TF_CONFIG"])
        config["task"]["type"], config["task"]["index"]
        return {job: list(hosts) for job, hosts in config["cluster"].items()}
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
        raise ValueError(
            "--strategy=multi_worker needs the environment variable TF_CONFIG: "
            '{"cluster": {"worker": ["host1:2222", "host2:2222"]}, '
            '"task": {"type": "worker", "index": 0}}'
        ) from None


def _connect_to_tpu() -> tf.distribute.cluster_resolver.TPUClusterResolver:
    try:
        return tf.distribute.cluster_resolver.TPUClusterResolver.connect()
    except (ValueError, tf.errors.OpError) as error:
        raise ValueError(
            f"--strategy=tpu found no TPU ({error}); set TPU_NAME, or TPU_NAME=local "
            "on a TPU machine"
        ) from None
