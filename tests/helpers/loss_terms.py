"""Shared by the tests of the loss functions."""

import numpy as np
import tensorflow as tf


def random_array(*shape, seed=0):
    return np.random.default_rng(seed).normal(0, 1, shape).astype(np.float32)


def assert_terms(result, expected):
    assert set(result) == set(expected)
    for name, value in expected.items():
        assert result[name].dtype == tf.float32
        np.testing.assert_allclose(result[name], value, rtol=1e-5, err_msg=name)
