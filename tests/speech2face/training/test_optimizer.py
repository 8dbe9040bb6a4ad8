"""ADAM in the form of TensorFlow 1, its units, and its schedule."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from speech2face.config import (
    OptimizerConfig,
)
from speech2face.training import trainer


def test_adam_is_the_papers(monkeypatch):
    """Against the update of Kingma and Ba in float64, epsilon as TensorFlow adds it."""
    optimizer = trainer.build_optimizer(OptimizerConfig(), "float32")
    variable = keras.Variable(np.array([1.0, -2.0], np.float32))
    optimizer.build([variable])
    value = np.array([1.0, -2.0])
    mean, square = np.zeros(2), np.zeros(2)
    random = np.random.default_rng(0)
    for step in range(1, 6):
        gradient = random.normal(size=2)
        optimizer.apply([tf.constant(gradient, tf.float32)])
        mean = 0.5 * mean + 0.5 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        rate = 1e-3 * np.sqrt(1 - 0.999**step) / (1 - 0.5**step)
        value -= rate * mean / (np.sqrt(square) + 1e-4)
        np.testing.assert_allclose(variable.numpy(), value, rtol=1e-5)


def test_a_unit_is_adam_of_the_weight_in_that_unit():
    """Against the twin above, of w = W / unit; the other variable has no unit."""
    unit, random = 0.01, np.random.default_rng(0)
    start = np.array([1.0, -2.0])
    weight = keras.Variable(np.float32(start * unit))
    other = keras.Variable(np.float32(start))
    optimizer = trainer.build_optimizer(
        OptimizerConfig(), "float32", {weight.path: unit}
    )
    # By path: both have one of their own.
    assert weight.path != other.path
    optimizer.build([other, weight])
    values, means, squares = [start.copy() for _ in range(2)], [0, 0], [0, 0]
    for step in range(1, 6):
        gradients = random.normal(size=(2, 2)) / 10
        optimizer.apply([tf.constant(g, tf.float32) for g in gradients])
        rate = 1e-3 * np.sqrt(1 - 0.999**step) / (1 - 0.5**step)
        for k, gradient in enumerate((gradients[0], gradients[1] * unit)):
            means[k] = 0.5 * means[k] + 0.5 * gradient
            squares[k] = 0.999 * squares[k] + 0.001 * gradient**2
            values[k] = values[k] - rate * means[k] / (np.sqrt(squares[k]) + 1e-4)
        np.testing.assert_allclose(other.numpy(), values[0], rtol=1e-5)
        np.testing.assert_allclose(weight.numpy(), values[1] * unit, rtol=1e-5)


@pytest.mark.parametrize(
    "step, staircase, rate",
    [
        (0, True, 1e-3),
        (9_999, True, 1e-3),
        (10_000, True, 0.95e-3),
        (637_500, True, 1e-3 * 0.95**63),
        (5_000, False, 1e-3 * 0.95**0.5),
    ],
)
def test_learning_rate_decays_by_a_factor_not_inverse_time(step, staircase, rate):
    optimizer = trainer.build_optimizer(OptimizerConfig(staircase=staircase), "float32")
    variable = keras.Variable(np.zeros(1, np.float32))
    optimizer.build([variable])
    optimizer.iterations.assign(step)
    np.testing.assert_allclose(optimizer.learning_rate, rate, rtol=1e-5)
