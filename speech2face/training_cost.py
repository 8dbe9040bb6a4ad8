"""What an iteration will take, before the first one: memory, disk, time.

Memory is estimated from the graph of the step, so it follows every option that changes
the network: weights, gradients and ADAM's two moments are 16 bytes a parameter; what
the forward pass computes and the gradients read is kept from one to the other; on top
come a few copies of the largest of these for the layer at work, and TensorFlow itself.
Time is three forward passes, one of which is measured here: the backward pass of a
convolution is two more of its size.
"""

import time
from typing import Callable, Dict, NamedTuple

import tensorflow as tf

from speech2face.trainer import Batch, Trainer

BYTES_A_PARAMETER = 16  # float32: value, gradient, ADAM's m and v
FRAMEWORK_BYTES = 700_000_000  # TensorFlow with its libraries, on a CPU
FORWARD_PASSES = 3  # of an iteration; the backward pass counts as two
_LARGEST_COPIES = 3  # a layer's gradient, its input's, and a rearranged copy
_MEASURED_SECS = 4.0  # a whole batch is measured if it promises to take less

_NOT_KEPT = {"Const", "Placeholder", "ReadVariableOp"}


class Memory(NamedTuple):
    """Bytes of an iteration: of the parameters, kept for the gradients, altogether."""

    parameters: int
    kept: int
    total: int


def memory(trainer: Trainer, batch: Batch, n_examples: int) -> Memory:
    """Estimates the memory of an iteration.

    Args:
      trainer: ready to train.
      batch: an example of its batches, of any size.
      n_examples: that go through the network at once.
    """
    kept = kept_bytes(trainer, batch, n_examples)
    parameters = n_trainable(trainer) * BYTES_A_PARAMETER
    largest = max(kept.values(), default=0)
    total = FRAMEWORK_BYTES + parameters + sum(kept.values())
    return Memory(parameters, sum(kept.values()), total + _LARGEST_COPIES * largest)


def n_trainable(trainer: Trainer) -> int:
    """Parameters that training changes."""
    return sum(v.value.shape.num_elements() for v in trainer.model.trainable_variables)


def checkpoint_bytes(trainer: Trainer) -> int:
    """Size of a checkpoint: the model and its optimizer."""
    variables = [*trainer.model.variables, *trainer.optimizer.variables]
    return sum(v.value.shape.num_elements() * v.value.dtype.size for v in variables)


def kept_bytes(trainer: Trainer, batch: Batch, n_examples: int) -> Dict[str, int]:
    """Bytes of each tensor that the forward pass leaves for the backward pass."""
    variables = [v.value for v in trainer.model.trainable_variables]
    n_forward = 0

    def gradients(inputs: Batch):
        nonlocal n_forward
        with tf.GradientTape() as tape:
            total = tf.reduce_mean(trainer.losses(inputs, training=True)["total"])
        n_forward = len(tf.compat.v1.get_default_graph().get_operations())
        return tape.gradient(total, variables)

    graph = (
        tf.function(gradients).get_concrete_function(_specs(batch, n_examples)).graph
    )
    operations = graph.get_operations()
    forward = {op.name for op in operations[:n_forward] if op.type not in _NOT_KEPT}
    return {
        tensor.name: tensor.shape.num_elements() * tensor.dtype.size
        for op in operations[n_forward:]
        for tensor in op.inputs
        if tensor.op.name in forward and tensor.shape.is_fully_defined()
    }


def iteration_secs(trainer: Trainer, batch: Batch) -> float:
    """Seconds of an iteration with this batch, from a forward pass here and now.

    One example is measured if the whole batch would take long, which is right where
    examples take their turns, as on a CPU, and too much on a large accelerator.
    """
    n_examples = len(next(iter(batch.values())))
    one = {name: value[:1] for name, value in batch.items()}
    secs = _secs(lambda: trainer.evaluate_step(one)) * n_examples
    if secs < _MEASURED_SECS:
        secs = _secs(lambda: trainer.evaluate_step(batch))
    return FORWARD_PASSES * secs


def _secs(call: Callable[[], Dict[str, tf.Tensor]]) -> float:
    call()  # traces, and lets libraries choose their ways
    start = time.perf_counter()
    call()["total"].numpy()
    return time.perf_counter() - start


def _specs(batch: Batch, n_examples: int) -> Dict[str, tf.TensorSpec]:
    return {
        name: tf.TensorSpec([n_examples, *value.shape[1:]], value.dtype)
        for name, value in batch.items()
    }
