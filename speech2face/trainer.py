"""One iteration of training: losses, gradients, ADAM. No files.

Correct under any `tf.distribute` strategy: each replica divides the sum of its
examples' losses by the size of the whole batch and the optimizer adds the replicas'
gradients, so N replicas with batch B/N take the step of one replica with batch B. To
batch normalisation a replica, or a micro-batch of one (`--accumulate_steps`), is a
batch: each normalises by its own statistics and moves the averages from where the
iteration before left them; the mean of what they come to is kept (BUILD_NOTES 49).
"""

from typing import Dict, List, NamedTuple, Tuple

import keras
import tensorflow as tf

from speech2face import backward_pass, distribution
from speech2face.config import LoopConfig, OptimizerConfig
from speech2face.precision import dtype_policy

Batch = Dict[str, tf.Tensor]
Terms = Dict[str, tf.Tensor]


class _Found(NamedTuple):
    """What a micro-batch says; of the micro-batches of a replica, the sum.

    Attributes:
      gradients: of the total's share in the mean over the whole batch.
      terms: the examples' share in the mean over the whole batch.
      averages: position in `model.non_trainable_variables` -> what batch normalisation
        moves it to, divided by the number of micro-batches.
      seeds: position -> how far the seed of a random layer has advanced.
    """

    gradients: List[tf.Tensor]
    terms: Terms
    averages: Dict[str, tf.Tensor]
    seeds: Dict[str, tf.Tensor]


def build_optimizer(config: OptimizerConfig, precision: str) -> keras.Optimizer:
    """Returns ADAM with the paper's schedule (Sec. 3, "Implementation details")."""
    schedule = keras.optimizers.schedules.ExponentialDecay(
        config.learning_rate,
        decay_steps=config.decay_steps,
        decay_rate=config.decay_rate,
        staircase=config.staircase,
    )
    optimizer = keras.optimizers.Adam(
        schedule,
        beta_1=config.beta1,
        beta_2=config.beta2,
        epsilon=config.epsilon,
        weight_decay=config.weight_decay or None,
        name="adam",
    )
    if dtype_policy(precision) == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name="loss_scale")
    return optimizer


class Trainer:
    """What all trainers share: a model, an optimizer, and the step.

    Attributes:
      model: the network in training.
      optimizer: its optimizer, built.
    """

    def __init__(
        self, model: keras.Model, optimizer: keras.Optimizer, loop: LoopConfig
    ):
        """Takes a network and an optimizer made in the scope of the strategy.

        Raises:
          ValueError: the batch cannot be divided among the replicas.
        """
        self.model = model
        self.optimizer = optimizer
        self._batch_size = loop.batch_size
        self._n_micro_batches = loop.accumulate_steps
        self._strategy = tf.distribute.get_strategy()
        distribution.check_batch(loop)
        optimizer.build(model.trainable_variables)
        if loop.xla and loop.strategy != "tpu":  # which compiles everything
            self._find = tf.function(self._find, jit_compile=True)

    def losses(self, batch: Batch, training: bool) -> Terms:
        """Returns 'total' and what else of each example is logged, [b] float32 each."""
        raise NotImplementedError

    def predict(self, batch: Batch):
        """Returns the model's outputs."""
        raise NotImplementedError

    @tf.function
    def train_step(self, batch: Batch) -> Terms:
        """Takes one step; returns the mean of each term over the whole batch."""
        return self._step(batch)

    @tf.function
    def train_steps(
        self, batches: tf.data.Iterator, n_steps: tf.Tensor, stop: tf.Tensor
    ) -> Tuple[Terms, tf.Tensor]:
        """Takes steps with the next batches, all within TensorFlow.

        Args:
          batches: of `distribution.distribute`.
          n_steps: scalar int32.
          stop: scalar float32, 1 if this process wishes to stop after these steps.

        Returns:
          What `train_step` returns, [n_steps] each; how many processes wish to stop,
          each counted once for each of its replicas.
        """
        rows = tf.TensorArray(tf.float32, n_steps, element_shape=[None])
        names = []
        for index in tf.range(n_steps):
            terms = self._step(next(batches))
            names[:] = terms  # known once this has been traced
            rows = rows.write(index, tf.stack(list(terms.values())))
        columns = tf.unstack(rows.stack(), len(names), axis=1)
        wishes = self._strategy.run(tf.identity, (stop,))
        n_stops = self._strategy.reduce("SUM", wishes, axis=None)
        return dict(zip(names, columns)), n_stops

    @tf.function
    def evaluate_step(self, batch: Batch) -> Terms:
        """Returns the terms of each example without learning from them."""
        return self._on_each_replica(lambda b: self.losses(b, training=False), batch)

    @tf.function
    def predict_step(self, batch: Batch):
        """Returns the model's outputs for a batch (what it takes of it)."""
        return self._on_each_replica(self.predict, batch)

    def _on_each_replica(self, function, batch: Batch):
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
        first_part = replica.replica_id_in_sync_group * self._n_micro_batches
        found = self._find(batch, tf.cast(first_part, tf.int32))
        self._assign(found)
        gradients = found.gradients
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            gradients = _agree_on_overflow(gradients)
        self.optimizer.apply(gradients, self.model.trainable_variables)
        return found.terms

    def _find(self, batch: Batch, first_part: tf.Tensor) -> _Found:
        """What the examples of a replica say, in one or several micro-batches."""
        if self._n_micro_batches == 1:
            return self._find_in_part(batch, first_part)
        parts = {
            name: tf.reshape(value, [self._n_micro_batches, -1, *value.shape[1:]])
            for name, value in batch.items()
        }
        sums = self._find_in_part({n: v[0] for n, v in parts.items()}, first_part)
        # One after the other: the memory of one part is all that there may be.
        with tf.control_dependencies(tf.nest.flatten(sums)):
            first = tf.constant(1)
        for index in tf.range(first, self._n_micro_batches):
            tf.autograph.experimental.set_loop_options(parallel_iterations=1)
            found = self._find_in_part(
                {n: v[index] for n, v in parts.items()}, first_part + index
            )
            sums = tf.nest.map_structure(tf.add, sums, found)
        return sums

    def _find_in_part(self, batch: Batch, part: tf.Tensor) -> _Found:
        """Differentiates; what layers assign meanwhile is returned, not assigned."""
        state = dict(enumerate(self.model.non_trainable_variables))
        seeds = {  # no two parts of a batch draw the same
            index: v.value + tf.cast([part, 0], v.value.dtype)
            for index, v in state.items()
            if v.path.startswith("seed_generator")
        }
        mapping = [(state[index], seed) for index, seed in seeds.items()]
        with keras.StatelessScope(mapping) as scope, tf.GradientTape() as tape:
            terms = self.losses(batch, training=True)
            means = {
                name: tf.reduce_sum(value) / self._batch_size
                for name, value in terms.items()
            }
            scaled_loss = self.optimizer.scale_loss(means["total"])
        new = {index: scope.get_current_value(v) for index, v in state.items()}
        gradients = tape.gradient(
            scaled_loss, [v.value for v in self.model.trainable_variables]
        )
        return _Found(
            backward_pass.products_last(gradients),
            means,
            averages={
                str(index): value / self._n_micro_batches
                for index, value in new.items()
                if value is not None and index not in seeds
            },
            seeds={str(index): new[index] - seed for index, seed in seeds.items()},
        )

    def _assign(self, found: _Found) -> None:
        variables = self.model.non_trainable_variables
        if found.averages:
            replica = tf.distribute.get_replica_context()
            for index, value in replica.all_reduce("MEAN", found.averages).items():
                variables[int(index)].value.assign(value)
        for index, advance in found.seeds.items():
            variables[int(index)].value.assign_add(advance)


def _agree_on_overflow(gradients: List[tf.Tensor]) -> List[tf.Tensor]:
    """Makes the gradients of all replicas not finite if those of one are not.

    Keras asks one replica only whether the step shall be left out.
    """
    are_finite = [tf.reduce_all(tf.math.is_finite(g)) for g in gradients]
    nothing = tf.where(tf.reduce_all(are_finite), 0.0, float("nan"))
    nothing = tf.distribute.get_replica_context().all_reduce("SUM", nothing)
    return [gradients[0] + nothing, *gradients[1:]]
