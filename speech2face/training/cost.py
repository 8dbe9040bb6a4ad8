"""Estimates what an iteration takes before the first one: memory, disk, time.

Memory is estimated from the graph of the step, so it follows every option that changes
the network:

    16 bytes a parameter (weight, gradient and ADAM's two moments)
    + all tensors that the forward pass keeps for the gradients
    + 3 copies of the largest of them, for the layer at work
    + TensorFlow itself

Time is three forward passes, one of which is measured here: the backward pass of a
convolution is two more of its size. docs/decisions/dry-run.md
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from speech2face.training.trainer import Batch, Trainer

BYTES_PER_PARAMETER = 16  # float32: value, gradient, ADAM's m and v
FRAMEWORK_BYTES = 700_000_000  # TensorFlow with its libraries, measured on a CPU
FORWARD_PASSES = 3  # in an iteration; the backward pass counts as two
_LARGEST_COPIES = 3  # a layer's gradient, its input's, and a rearranged copy
_MEASURED_SECS = 4.0  # a whole batch is measured if it promises to take less

# Operations whose outputs are not kept for the gradients: they are there anyway.
_NOT_KEPT = {"Const", "Placeholder", "ReadVariableOp"}


class Memory(NamedTuple):
    """Bytes of an iteration.

    Attributes:
      parameters: weights, gradients and ADAM's moments.
      kept: tensors that wait for the backward pass.
      total: these, working memory and TensorFlow.
    """

    parameters: int
    kept: int
    total: int


def memory(trainer: Trainer, batch: Batch, n_examples: int) -> Memory:
    """Estimates the memory of an iteration.

    Args:
      trainer: ready to train.
      batch: one of its batches, of any size.
      n_examples: examples that go through the network at once.
    """
    kept = kept_bytes(trainer, batch, n_examples)
    parameters = n_trainable(trainer) * BYTES_PER_PARAMETER
    working = _LARGEST_COPIES * max(kept.values(), default=0)
    n_kept = sum(kept.values())
    return Memory(parameters, n_kept, FRAMEWORK_BYTES + parameters + n_kept + working)


def n_trainable(trainer: Trainer) -> int:
    """Returns the number of parameters that training changes."""
    return sum(v.value.shape.num_elements() for v in trainer.model.trainable_variables)


def checkpoint_bytes(trainer: Trainer) -> int:
    """Returns the size of a checkpoint: the model and its optimizer."""
    variables = [*trainer.model.variables, *trainer.optimizer.variables]
    return sum(v.value.shape.num_elements() * v.value.dtype.size for v in variables)


def kept_bytes(trainer: Trainer, batch: Batch, n_examples: int) -> dict[str, int]:
    """Traces a step and finds what its forward pass keeps for the backward pass.

    Args:
      trainer: ready to train.
      batch: one of its batches, of any size.
      n_examples: examples that go through the network at once.

    Returns:
      Name of a tensor -> its bytes.
    """
    variables = [v.value for v in trainer.model.trainable_variables]
    n_forward = 0

    def gradients(inputs: Batch) -> Any:
        nonlocal n_forward
        with tf.GradientTape() as tape:
            total = tf.reduce_mean(trainer.losses(inputs, training=True)["total"])
        # Operations are listed in the order of tracing: these are the forward pass.
        n_forward = len(tf.compat.v1.get_default_graph().get_operations())
        return tape.gradient(total, variables)

    specs = {
        name: tf.TensorSpec([n_examples, *value.shape[1:]], value.dtype)
        for name, value in batch.items()
    }
    traced = tf.function(gradients, autograph=False).get_concrete_function(specs)
    operations = traced.graph.get_operations()
    forward = {op.name for op in operations[:n_forward] if op.type not in _NOT_KEPT}
    return {
        tensor.name: tensor.shape.num_elements() * tensor.dtype.size
        for op in operations[n_forward:]
        for tensor in op.inputs
        if tensor.op.name in forward and tensor.shape.is_fully_defined()
    }


def iteration_secs(trainer: Trainer, batch: Batch) -> float:
    """Estimates the seconds of an iteration from a forward pass here and now.

    If the whole batch would take long, one example is measured. That is right where
    examples are computed in turn, as on a CPU, and too much on a large accelerator.
    """
    n_examples = len(next(iter(batch.values())))
    one = {name: value[:1] for name, value in batch.items()}
    secs = _secs(lambda: trainer.evaluate_step(one)) * n_examples
    if secs < _MEASURED_SECS:
        secs = _secs(lambda: trainer.evaluate_step(batch))
    return FORWARD_PASSES * secs


def _secs(call: Callable[[], dict[str, tf.Tensor]]) -> float:
    call()  # traces, and lets libraries choose their algorithms
    start = time.perf_counter()
    call()["total"].numpy()
    return time.perf_counter() - start
