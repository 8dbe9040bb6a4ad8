"""One step of training: losses, gradients, ADAM. Reads and writes no files.

Correct under any `tf.distribute` strategy. Each replica divides the sum of its
examples' losses by the size of the whole batch, and the optimizer adds the replicas'
gradients. N replicas with B / N examples each then take the step of one replica with B.

Batch normalization sees each replica, or each micro-batch of one
(`--accumulate_steps`), as a batch of its own: each normalizes by its own statistics and
moves the averages from their values before the step. The mean of the moved averages is
kept (docs/decisions/replicas-and-micro-batches.md).
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from speech2face.config import LoopConfig, OptimizerConfig
from speech2face.models.fast.backward_pass import delay_matmul_gradients
from speech2face.training import distribution
from speech2face.training.precision import dtype_policy
from speech2face.training.unit_adam import UnitAdam

CALIBRATION_STEP = 1000  # the paper compares the gradients of its terms there (Sec. 3)

# Nothing here branches on tensors or loops over them but by tf.while_loop: AutoGraph
# would find nothing to convert and take as long as the tracing itself.
_function = functools.partial(tf.function, autograph=False)

Batch = dict[str, tf.Tensor]  # name -> [batch, ...]
Terms = dict[str, tf.Tensor]  # term of the loss -> its values


class StepResult(NamedTuple):
    """Contribution of one micro-batch to a step. Contributions add up.

    Attributes:
      gradients: gradients of the loss, one for each of `model.trainable_variables`; the
        micro-batch's share of the mean over the whole batch.
      terms: scalars; the micro-batch's share of the means over the whole batch.
      batch_statistics: path of a variable -> what batch normalization moves it to,
        divided by the number of micro-batches.
      seed_advances: [2] integers; how far the seed of each random layer has advanced.
    """

    gradients: list[tf.Tensor]
    terms: Terms
    batch_statistics: dict[str, tf.Tensor]
    seed_advances: list[tf.Tensor]


def build_optimizer(
    config: OptimizerConfig, precision: str, units: Mapping[str, float] | None = None
) -> keras.Optimizer:
    """Returns ADAM with the paper's schedule (Sec. 3, "Implementation details").

    Args:
      config: options of ADAM and of the schedule.
      precision: precision in which the networks compute.
      units: units of the last layer's weights, by path: see `UnitAdam`. Not in the
        paper: docs/decisions/first-weights.md.
    """
    # The paper's, with ADAM's default for beta2: docs/decisions/optimizer.md.
    schedule = keras.optimizers.schedules.ExponentialDecay(
        config.learning_rate,
        decay_steps=config.decay_steps,
        decay_rate=config.decay_rate,
        staircase=config.staircase,
    )
    optimizer = UnitAdam(
        units or {},
        learning_rate=schedule,
        beta_1=config.beta1,
        beta_2=config.beta2,
        epsilon=config.epsilon,
        weight_decay=config.weight_decay or None,
        name="adam",
    )
    if dtype_policy(precision) == "mixed_float16":
        # Small gradients are zero in float16 unless the loss is scaled up.
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    return optimizer


class Trainer:
    """Base of both trainers: a model, an optimizer, and the step.

    A subclass says what is learned: `losses`, and `predict` for validation.

    Attributes:
      model: the network in training.
      optimizer: its optimizer, built.
    """

    def __init__(
        self, model: keras.Model, optimizer: keras.Optimizer, loop: LoopConfig
    ):
        """Takes a network and an optimizer made in the scope of the strategy.

        Args:
          model: built.
          optimizer: new.
          loop: batch size, micro-batches and XLA.

        Raises:
          UserError: the batch cannot be divided among the replicas.
        """
        self.model = model
        self.optimizer = optimizer
        self._batch_size = loop.batch_size
        self._n_micro_batches = loop.accumulate_steps
        self._strategy = tf.distribute.get_strategy()
        distribution.check_batch(loop)
        optimizer.build(model.trainable_variables)
        self._seeds = [v for v in model.non_trainable_variables if _is_seed(v)]
        self._statistics = [v for v in model.non_trainable_variables if not _is_seed(v)]
        self._compute: Callable[..., StepResult] = self._replica_gradients
        if loop.xla and loop.strategy != "tpu":  # a TPU compiles everything anyway
            self._compute = tf.function(
                self._replica_gradients, jit_compile=True, autograph=False
            )

    @property
    def term_weights(self) -> list[dict[str, float]]:
        """Groups of loss terms (name -> weight).

        Within a group, the weighted gradients should have similar norms.
        """
        return []

    @property
    def calibration_step(self) -> int:
        """Iteration at which the loop compares the weighted gradient norms."""
        return CALIBRATION_STEP

    def losses(self, batch: Batch, training: bool) -> Terms:
        """Returns 'total' and all other terms to log, [batch] float32 each."""
        raise NotImplementedError

    def predict(self, batch: Batch) -> Any:
        """Returns the model's outputs."""
        raise NotImplementedError

    @_function
    def train_step(self, batch: Batch) -> Terms:
        """Takes one step; returns the mean of each term over the whole batch."""
        return self._step(batch)

    @_function
    def train_steps(
        self, batches: tf.data.Iterator, n_steps: tf.Tensor, stop: tf.Tensor
    ) -> tuple[Terms, tf.Tensor]:
        """Takes steps with the next batches, all within TensorFlow.

        Args:
          batches: iterator over the batches of `distribution.distribute`.
          n_steps: scalar int32.
          stop: scalar float32, 1 if this process wishes to stop after these steps.

        Returns:
          The terms of `train_step`, [n_steps] each; how many processes wish to stop,
          each counted once for each of its replicas.
        """
        names: list[str] = []

        def take_step(index: tf.Tensor, rows: tf.TensorArray) -> Any:
            terms = self._step(batches.get_next())
            # A loop over tensors cannot return strings. Its body is traced once,
            # before the lines below it, and leaves them in this list.
            names[:] = terms
            return index + 1, rows.write(index, tf.stack(list(terms.values())))

        rows = tf.TensorArray(tf.float32, n_steps, element_shape=[None])
        _, rows = tf.while_loop(lambda index, _: index < n_steps, take_step, (0, rows))
        columns = tf.unstack(rows.stack(), len(names), axis=1)
        wishes = self._strategy.run(tf.identity, (stop,))
        n_stops = self._strategy.reduce("SUM", wishes, axis=None)
        return dict(zip(names, columns)), n_stops

    @_function
    def evaluate_step(self, batch: Batch) -> Terms:
        """Returns the terms of each example without learning from them."""
        return self._on_each_replica(lambda b: self.losses(b, training=False), batch)

    @_function
    def predict_step(self, batch: Batch) -> Any:
        """Returns the model's outputs for a batch, of which it reads its inputs."""
        return self._on_each_replica(self.predict, batch)

    def _on_each_replica(self, function: Callable[[Batch], Any], batch: Batch) -> Any:
        # All replicas of this process do the same; no other process takes part.
        results = self._strategy.run(function, (batch,))
        return tf.nest.map_structure(
            lambda value: self._strategy.experimental_local_results(value)[0], results
        )

    def _step(self, batch: Batch) -> Terms:
        terms = self._strategy.run(self._replica_step, (batch,))
        return {
            name: self._strategy.reduce("SUM", value, axis=None)
            for name, value in terms.items()
        }

    def _replica_step(self, batch: Batch) -> Terms:
        replica = tf.distribute.get_replica_context()
        first_micro_batch = replica.replica_id_in_sync_group * self._n_micro_batches
        result = self._compute(batch, tf.cast(first_micro_batch, tf.int32))
        self._assign_layer_state(result)
        gradients = result.gradients
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            gradients = _agree_on_overflow(gradients)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return result.terms

    def _replica_gradients(
        self, batch: Batch, first_micro_batch: tf.Tensor
    ) -> StepResult:
        """Differentiates the losses of a replica, micro-batch after micro-batch.

        Args:
          batch: the replica's examples.
          first_micro_batch: scalar int32, number of the replica's first micro-batch
            among those of all replicas.
        """
        if self._n_micro_batches == 1:
            return self._micro_batch_gradients(batch, first_micro_batch)
        micro_batches = {  # [b, ...] -> [micro-batches, b / micro-batches, ...]
            name: tf.reshape(value, [self._n_micro_batches, -1, *value.shape[1:]])
            for name, value in batch.items()
        }
        total = self._micro_batch_gradients(
            {name: value[0] for name, value in micro_batches.items()},
            first_micro_batch,
        )
        # One after the other: memory may hold the maps of one micro-batch only.
        with tf.control_dependencies(tf.nest.flatten(total)):
            second = tf.constant(1)

        def add_next(index: tf.Tensor, total: StepResult) -> Any:
            result = self._micro_batch_gradients(
                {name: value[index] for name, value in micro_batches.items()},
                first_micro_batch + index,
            )
            return index + 1, tf.nest.map_structure(tf.add, total, result)

        _, total = tf.while_loop(
            lambda index, _: index < self._n_micro_batches,
            add_next,
            (second, total),
            parallel_iterations=1,
        )
        return total

    def _micro_batch_gradients(self, batch: Batch, number: tf.Tensor) -> StepResult:
        """Differentiates the losses of a micro-batch and assigns nothing.

        Args:
          batch: the micro-batch's examples.
          number: scalar int32, of the micro-batch among those of all replicas.
        """
        # Why a StatelessScope: layers assign to variables while they are called. Batch
        # normalization moves its averages, dropout advances its seed. In Keras 3 each
        # replica would assign to its own copy, and a checkpoint holds the first copy
        # only. The second micro-batch would start from the averages of the first.
        # The scope catches the assigned values instead. Every micro-batch starts from
        # the same state, the caller averages the results and assigns them once, on all
        # replicas alike. This function is pure as well, which XLA needs. Seeds are set
        # from outside, so that no two micro-batches of a batch draw the same numbers.
        # docs/decisions/layer-state-updates.md
        seeds = [
            seed.value + tf.cast([number, 0], seed.value.dtype) for seed in self._seeds
        ]
        with keras.StatelessScope(list(zip(self._seeds, seeds))) as scope:
            with tf.GradientTape() as tape:
                terms = self.losses(batch, training=True)
                shares = {
                    name: tf.reduce_sum(value) / self._batch_size
                    for name, value in terms.items()
                }
                scaled_loss = self.optimizer.scale_loss(shares["total"])
        gradients = tape.gradient(
            scaled_loss, [v.value for v in self.model.trainable_variables]
        )
        moved = {v.path: scope.get_current_value(v) for v in self._statistics}
        return StepResult(
            gradients=delay_matmul_gradients(gradients),
            terms=shares,
            batch_statistics={
                path: value / self._n_micro_batches
                for path, value in moved.items()
                if value is not None  # constants and frozen layers assign nothing
            },
            seed_advances=[
                scope.get_current_value(variable) - seed
                for variable, seed in zip(self._seeds, seeds)
            ],
        )

    def _assign_layer_state(self, result: StepResult) -> None:
        """Assigns averages and seeds, the same values on all replicas."""
        if result.batch_statistics:
            replica = tf.distribute.get_replica_context()
            means = replica.all_reduce("MEAN", result.batch_statistics)
            for variable in self._statistics:
                if variable.path in means:
                    variable.value.assign(means[variable.path])
        for variable, advance in zip(self._seeds, result.seed_advances):
            variable.value.assign_add(advance)


def _is_seed(variable: keras.Variable) -> bool:
    return variable.path.startswith("seed_generator")  # as Keras names them


def _agree_on_overflow(gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    """Makes the gradients of all replicas NaN if those of one are not finite.

    Keras asks one replica only whether to skip the step. The others would apply it,
    and their weights would diverge.
    """
    are_finite = [tf.reduce_all(tf.math.is_finite(g)) for g in gradients]
    zero_or_nan = tf.where(tf.reduce_all(are_finite), 0.0, float("nan"))
    zero_or_nan = tf.distribute.get_replica_context().all_reduce("SUM", zero_or_nan)
    return [gradients[0] + zero_or_nan, *gradients[1:]]
